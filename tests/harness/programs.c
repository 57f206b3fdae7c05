/* See programs.h. */
#include "tests/harness/programs.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* As many connections no client here has at once: what it has just opened as it ends, it lets go of unheard. */
enum { AT_A_TIME = 20 };

const struct sides all_sides[SIDES] = {
    { "bare", false, false, false },          { "server counted", true, false, false },
    { "client counted", false, true, false }, { "both counted", true, true, false },
    { "server with ack", true, false, true }, { "client with ack", false, true, true },
    { "both with ack", true, true, true },
};

void need_program(const char *name) {
    struct ended e = run_argv(NULL, (const char *const[]){ "sh", "-c", "command -v \"$0\"", name, NULL });

    if (e.status != 0)
        cr_skip_test("%s is not installed (`make test-deps` does it)", name);
}

const char *program_directory(const char *const files[]) {
    const char *directory = scratch_path();
    char path[256];

    if (mkdir(directory, 0700) != 0)
        give_up("%s: %s", directory, strerror(errno));
    for (size_t i = 0; files[i]; i += 2) {
        snprintf(path, sizeof path, "%s/%s", directory, files[i]);
        FILE *file = fopen(path, "we");
        if (!file || fputs(files[i + 1], file) < 0 || fclose(file) != 0)
            give_up("%s: %s", path, strerror(errno));
    }
    return directory;
}

void program_directory_remove(const char *directory) {
    run(NULL, "rm -r %s", directory);
}

/* "LOG=DIRECTORY/SIDE.log" and the policy; NULL for a bare side. */
static const char *settings_of(const struct pair *pair, const char *side, bool wrapped, bool ack) {
    char *settings;

    if (!wrapped)
        return NULL;
    if (asprintf(&settings, "LOG=%s/%s.log%s", pair->directory, side, ack ? "|LINGER=ack" : "") < 0)
        abort();
    return settings;
}

static const char *take_log(const struct pair *pair, const char *side, bool wrapped) {
    char path[256];

    snprintf(path, sizeof path, "%s/%s.log", pair->directory, side);
    const char *text = file_text(path);
    unlink(path);
    cr_assert(!wrapped == !text, "%s: %s", path, text ? text : "no log");
    return text;
}

/* Sockets of the client's side that the kernel books as TIME_WAIT: those, and orphans in FIN_WAIT2, have their
 * timer. */
static long client_side(unsigned first_port) {
    struct ns_socket *rows;
    size_t n = ns_sockets(&rows);
    long found = 0;

    for (size_t i = 0; i < n; i++)
        found += rows[i].timer == 3 && rows[i].remote_port >= first_port && rows[i].remote_port < first_port + 100;
    free(rows);
    return found;
}

struct outcome run_pair(const struct pair *pair, const struct sides *sides) {
    struct outcome o = { 0 };
    const char *server = settings_of(pair, "server", sides->server, sides->ack),
               *client = settings_of(pair, "client", sides->client, sides->ack);
    char server_command[512], client_command[512];

    snprintf(server_command, sizeof server_command, pair->server, pair->directory);
    snprintf(client_command, sizeof client_command, pair->client, pair->directory);
    ns_enter();
    struct victim v = victim_start(server, "%s", server_command);
    ns_wait_listen(pair->port);
    long before = ns_netstat("TW");
    o.client = run(client, "%s", client_command);
    ns_wait_ended();
    o.tw = ns_netstat("TW") - before;
    o.client_tw = client_side(pair->port);
    o.server = victim_kill(&v, pair->stop);
    o.server_log = take_log(pair, "server", sides->server);
    o.client_log = take_log(pair, "client", sides->client);
    return o;
}

long log_sum(const char *log, const char *field) {
    long sum = 0;
    const char *line;

    for (unsigned i = 0; (line = log_line(log, i)); i++) {
        log_expect_invariant(line);
        cr_assert_eq(log_number(line, "open"), 0, "%s", line);
        sum += log_number(line, field);
    }
    cr_assert_gt(log_lines(log), 0);
    return sum;
}

void expect_counted(const struct outcome *o, const struct sides *sides, const char *what) {
    long client = sides->client ? log_sum(o->client_log, "time_wait") : 0,
         server = sides->server ? log_sum(o->server_log, "time_wait") : 0, server_tw = o->tw - o->client_tw;

    if (sides->client)
        cr_expect_eq(client, o->client_tw, "%s, %s: the client counted %ld, the kernel %ld\n%s", what, sides->name,
                     client, o->client_tw, o->client_log);
    if (sides->server)
        cr_expect_eq(server, server_tw, "%s, %s: the server counted %ld, the kernel %ld\n%s", what, sides->name, server,
                     server_tw, o->server_log);
    if (sides->client && sides->ack)
        cr_expect_leq(o->client_tw, AT_A_TIME, "%s, %s: %ld", what, sides->name, o->client_tw);
    if (sides->server && sides->ack)
        cr_expect_eq(server_tw, 0, "%s, %s: %ld", what, sides->name, server_tw);
}

static bool varies(const char *line, size_t len, const char *varying) {
    while (len && *line == ' ') {
        line++;
        len--;
    }
    for (const char *at = varying; at && *at; at += strcspn(at, "|") + (at[strcspn(at, "|")] == '|')) {
        size_t n = strcspn(at, "|");
        if (n <= len && strncmp(at, line, n) == 0)
            return true;
    }
    return false;
}

/* A number at `at`: its length, and whether it has a decimal point. */
static size_t number_at(const char *at, bool *decimal) {
    size_t n = 0;

    *decimal = false;
    while (isdigit((unsigned char)at[n]) || (at[n] == '.' && n && isdigit((unsigned char)at[n + 1]))) {
        *decimal |= at[n] == '.';
        n++;
    }
    return n;
}

const char *masked(const char *text, const char *varying, bool every_number) {
    char *out = malloc(strlen(text) + 1), *to = out;

    while (*text) {
        size_t len = strcspn(text, "\n") + 1;
        const char *end = text + (text[len - 1] ? len : len - 1);
        bool skip = varies(text, len - 1, varying);
        while (text < end) {
            bool decimal;
            size_t n = number_at(text, &decimal);
            if (!skip && n && (decimal || every_number))
                *to++ = 'N';
            else if (!skip)
                to = mempcpy(to, text, n ? n : 1);
            text += n ? n : 1;
        }
    }
    *to = 0;
    return out;
}
