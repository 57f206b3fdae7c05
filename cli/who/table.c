/* What who prints: how many each process left, then the sockets. */
#include "cli/kernel/process.h"
#include "cli/ledgers/names.h"
#include "cli/output/memory.h"
#include "cli/output/table.h"
#include "cli/output/text.h"
#include "cli/who/who.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOCAL, PEER, STATE, EXPIRES, PID, PROGRAM, USER, ROLE, NET_NS, SOCKET_COLUMNS };
static const struct af_column socket_columns[SOCKET_COLUMNS] = {
    [LOCAL] = { "LOCAL", .text = true, .rank = 4 },
    [PEER] = { "PEER", .text = true, .rank = 1 },
    [STATE] = { "STATE", .text = true, .optional = true, .rank = 5 },
    [EXPIRES] = { "EXPIRES", .rank = 3 },
    [PID] = { "PID", .rank = 2 },
    [PROGRAM] = { "PROGRAM", .text = true },
    [USER] = { "USER", .text = true, .optional = true, .rank = 7 },
    [ROLE] = { "ROLE", .text = true, .optional = true, .rank = 6 },
    [NET_NS] = { "NET_NS", .optional = true, .rank = 8 },
};

enum { TOTAL_PID, TOTAL_PROGRAM, TOTAL_USER, TOTAL_TIME_WAIT, TOTAL_POLICY, TOTAL_COLUMNS };
static const struct af_column total_columns[TOTAL_COLUMNS] = {
    [TOTAL_PID] = { "PID", .rank = 1 },
    [TOTAL_PROGRAM] = { "PROGRAM", .text = true },
    [TOTAL_USER] = { "USER", .text = true, .optional = true, .rank = 2 },
    [TOTAL_TIME_WAIT] = { "TIME_WAIT", .rank = 0 },
    [TOTAL_POLICY] = { "SET", .text = true, .optional = true, .rank = 3 },
};

static char *pid_text(const struct af_who *w, size_t row) {
    return row == AF_NO_ROW ? af_format("-") : af_pid_text(w->owners.found.rows[row].seen.pid, af_who_pid_ns(w, row));
}

static char *program_text(const struct af_who *w, size_t row) {
    const struct af_collection *found = &w->owners.found;
    return af_format("%s", row == AF_NO_ROW ? "unknown" : found->images[found->rows[row].image].program);
}

/* "claimed: curl 4242 of alice, x 7 of nobody" */
static char *claims_text(const struct af_who *w, const struct af_owner *owner) {
    char *text = af_format("claimed:");
    for (size_t i = 0; i < owner->n_claims; i++) {
        const size_t row = w->owners.found.claims[owner->claim + i].row;
        char *program = program_text(w, row), *pid = pid_text(w, row), *user = af_user_name(af_who_uid(w, row));
        char *longer = af_format("%s%s %s %s of %s", text, i ? "," : "", program, pid, *user ? user : "us");
        free(program);
        free(pid);
        free(user);
        free(text);
        text = longer;
    }
    return text;
}

static char *user_text(const struct af_who *w, size_t row) {
    return row == AF_NO_ROW ? af_format("%s", "") : af_user_name(af_who_uid(w, row));
}

/* What the sockets' rows are made with. Thousands of them share the words of a process. */
struct making {
    const struct af_who *who;
    const size_t *listed;             /* of who->owners.all */
    bool states;                      /* any but TIME_WAIT */
    char **pids, **programs, **users; /* for each row that left any */
    char local[AF_ADDR_TEXT], peer[AF_ADDR_TEXT], expires[16], net_ns[24];
    char *claims;
};

static void seconds_text(uint32_t ms, char out[16]) {
    const uint32_t tenths = ms / 100 + (ms % 100 >= 50);
    char digits[12];
    int n = 0;
    for (uint32_t rest = tenths / 10; rest || !n; rest /= 10)
        digits[n++] = (char)('0' + rest % 10);
    while (n)
        *out++ = digits[--n];
    memcpy(out, (char[]){ '.', (char)('0' + tenths % 10), 's', 0 }, 4);
}

static void make_socket(void *context, size_t i, const char **cells) {
    struct making *m = context;
    const struct af_owned *owned = &m->who->owners.all[m->listed[i]];
    const size_t row = owned->owner.row;
    af_addr_text(&owned->socket.local, m->local);
    af_addr_text(&owned->socket.peer, m->peer);
    seconds_text(owned->socket.expires_ms, m->expires);
    cells[LOCAL] = m->local;
    cells[PEER] = m->peer;
    cells[STATE] = m->states ? af_who_state(owned) : "";
    cells[EXPIRES] = m->expires;
    cells[PID] = row == AF_NO_ROW ? "-" : m->pids[row];
    cells[PROGRAM] = row == AF_NO_ROW ? "unknown" : m->programs[row];
    if (owned->owner.n_claims) {
        free(m->claims);
        cells[PROGRAM] = m->claims = claims_text(m->who, &owned->owner);
    }
    if (row != AF_NO_ROW) {
        cells[USER] = m->users[row];
        cells[ROLE] = owned->owner.accepted ? "accept" : "connect";
    }
    if (owned->net_ns) {
        snprintf(m->net_ns, sizeof m->net_ns, "%llu", (unsigned long long)owned->net_ns);
        cells[NET_NS] = m->net_ns;
    }
}

/* "linger=ack since 12:00:00": of a policy that came while it ran. */
static char *policy_text(const struct af_who *w, size_t row) {
    const struct af_image *image = &w->owners.found.images[w->owners.found.rows[row].image];
    const time_t seconds = (time_t)(image->policy_since / 1000000000);
    struct tm when;
    char text[16];
    if (!image->policy_since || !localtime_r(&seconds, &when))
        return af_format("%s", "");
    strftime(text, sizeof text, "%H:%M:%S", &when);
    return af_format("%.*s since %s", (int)sizeof image->policy, image->policy, text);
}

static void add_total(struct af_table *table, char *pid, char *program, char *user, uint64_t n, char *policy) {
    char **cells = af_table_row(table);
    cells[TOTAL_PID] = pid;
    cells[TOTAL_PROGRAM] = program;
    cells[TOTAL_USER] = user;
    cells[TOTAL_TIME_WAIT] = af_format("%llu", (unsigned long long)n);
    cells[TOTAL_POLICY] = policy;
}

static void print(struct af_table *table, size_t width) {
    af_table_print(table, stdout, width, af_colour_on(STDOUT_FILENO));
    af_table_free(table);
}

static void print_totals(const struct af_who *w, size_t width) {
    struct af_table totals = { .columns = total_columns, .n_columns = TOTAL_COLUMNS };
    for (size_t i = 0; i < w->n_order; i++)
        add_total(&totals, pid_text(w, w->order[i]), program_text(w, w->order[i]), user_text(w, w->order[i]),
                  w->left[w->order[i]], policy_text(w, w->order[i]));
    if (w->contested)
        add_total(&totals, pid_text(w, AF_NO_ROW), af_format("claimed by several users"), af_format("%s", ""),
                  w->contested, af_format("%s", ""));
    if (w->unknown)
        add_total(&totals, pid_text(w, AF_NO_ROW), program_text(w, AF_NO_ROW), af_format("%s", ""), w->unknown,
                  af_format("%s", ""));
    add_total(&totals, af_format("%s", ""), af_format("total"), af_format("%s", ""), w->owners.n, af_format("%s", ""));
    print(&totals, width);
}

static bool is_listed(const struct af_who *w, const struct af_owned *owned) {
    return !w->counts_unknown || owned->owner.row != AF_NO_ROW || owned->owner.n_claims;
}

static void prepare(struct making *m) {
    const size_t n = m->who->owners.found.n_rows;
    m->pids = af_array(NULL, n, sizeof *m->pids);
    m->programs = af_array(NULL, n, sizeof *m->programs);
    m->users = af_array(NULL, n, sizeof *m->users);
    for (size_t i = 0; i < m->who->n_order; i++) {
        const size_t row = m->who->order[i];
        m->pids[row] = pid_text(m->who, row);
        m->programs[row] = program_text(m->who, row);
        m->users[row] = user_text(m->who, row);
    }
}

static void release(struct making *m) {
    for (size_t i = 0; i < m->who->n_order; i++) {
        free(m->pids[m->who->order[i]]);
        free(m->programs[m->who->order[i]]);
        free(m->users[m->who->order[i]]);
    }
    free(m->pids);
    free(m->programs);
    free(m->users);
    free(m->claims);
}

static void print_sockets(const struct af_who *w, size_t width) {
    size_t *listed = af_array(NULL, w->listed, sizeof *listed), n = 0;
    struct making m = { .who = w, .listed = listed };
    for (size_t i = 0; i < w->listed; i++) {
        if (!is_listed(w, &w->owners.all[i]))
            continue;
        m.states |= w->owners.all[i].socket.state != AF_IN_TIME_WAIT; /* a column of nothing else tells nothing */
        listed[n++] = i;
    }
    if (n) {
        struct af_table sockets = { .columns = socket_columns, .n_columns = SOCKET_COLUMNS, .n_made = n };
        sockets.make = make_socket;
        sockets.context = &m;
        prepare(&m);
        putchar('\n');
        print(&sockets, width);
        release(&m);
    }
    free(listed);
}

void af_who_print(const struct af_who *w) {
    /* Whoever reads a pipe can use a whole address. */
    const size_t width = isatty(STDOUT_FILENO) ? af_width_of(STDOUT_FILENO) : 1 << 12;
    char *rest = NULL;
    size_t elsewhere = 0;
    if (!w->owners.n && w->standing)
        printf("no TIME_WAIT socket matches, of %zu\n", w->standing);
    else if (!w->owners.n)
        puts("no TIME_WAIT sockets");
    if (!w->owners.n)
        return;
    print_totals(w, width);
    print_sockets(w, width);
    if (w->counts_unknown) {
        char *unknown = af_who_unknown(w);
        rest = af_format("%llu unknown are not listed (--limit N lists the first N of all): %s",
                         (unsigned long long)w->unknown, unknown);
        free(unknown);
    } else if (w->listed && w->listed < w->owners.n) {
        rest = af_format("%zu more %s not listed", w->owners.n - w->listed,
                         af_plural(w->owners.n - w->listed, "is", "are"));
    }
    for (size_t i = 0; i < w->owners.n; i++)
        elsewhere += w->owners.all[i].net_ns != 0;
    if (elsewhere) {
        char *all = af_format("%s%s%zu of them %s of %s own", rest ? rest : "", rest ? "; " : "", elsewhere,
                              af_plural(elsewhere, "is in another network namespace, which has a table",
                                        "are in other network namespaces, which have tables"),
                              af_plural(elsewhere, "its", "their"));
        free(rest);
        rest = all;
    }
    if (rest) {
        putchar('\n');
        af_print_wrapped(stdout, width, 0, rest);
    }
    free(rest);
}
