/* In which order who shows what it found. */
#include "cli/output/memory.h"
#include "cli/output/order.h"
#include "cli/who/who.h"

#include <stdlib.h>
#include <string.h>

static int by_number(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static const struct af_row *row_of(const struct af_who *w, size_t row) {
    return &w->owners.found.rows[row];
}

static int compare_rows(const struct af_who *w, size_t x, size_t y) {
    if (x == y)
        return 0;
    if (x == AF_NO_ROW || y == AF_NO_ROW)
        return x == AF_NO_ROW ? 1 : -1;
    if (w->left[x] != w->left[y])
        return by_number(w->left[y], w->left[x]);
    int order = by_number(row_of(w, x)->seen.started, row_of(w, y)->seen.started);
    return order ? order : by_number(x, y);
}

static int compare_addr(const struct af_addr *x, const struct af_addr *y) {
    int order = by_number(x->v6, y->v6);
    order = order ? order : memcmp(x->ip, y->ip, sizeof x->ip);
    return order ? order : by_number(x->port, y->port);
}

/* By process, the most first: for each row its place; whom nobody is known for comes after all, the contested before the
 * others. */
struct ranks {
    const struct af_who *who;
    uint32_t *of;
    unsigned shift; /* of a rank in a key of 64 bits */
};

/* As they are listed unless something else is asked for: by process, the most first, then by address. */
static int by_owner(const struct af_who *w, const struct af_owned *x, const struct af_owned *y) {
    int order = compare_rows(w, x->owner.row, y->owner.row);
    order = order ? order : by_number(y->owner.n_claims, x->owner.n_claims);
    order = order ? order : by_number(x->net_ns, y->net_ns);
    order = order ? order : compare_addr(&x->socket.local, &y->socket.local);
    return order ? order : compare_addr(&x->socket.peer, &y->socket.peer);
}

static int by_rank(const void *a, const void *b, void *who) {
    return compare_rows(who, *(const size_t *)a, *(const size_t *)b);
}

enum { MOST_CLAIMS = 255, ADDRESS_BITS = 49 };

static struct ranks make_ranks(const struct af_who *w) {
    const size_t n = w->owners.found.n_rows;
    struct ranks r = { .who = w, .of = af_array(NULL, n, sizeof *r.of) };
    size_t *order = af_array(NULL, n, sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    if (n)
        qsort_r(order, n, sizeof *order, by_rank, (void *)(uintptr_t)w);
    for (size_t i = 0; i < n; i++)
        r.of[order[i]] = (uint32_t)i;
    free(order);
    for (r.shift = 63; n + MOST_CLAIMS >= UINT64_C(1) << (64 - r.shift); r.shift--)
        ;
    return r;
}

/* by_owner in a number, as far as that goes: process, namespace, family, IPv4 address, port. */
static uint64_t owner_key(const void *owned, void *ranks) {
    const struct af_owned *x = owned;
    const struct ranks *r = ranks;
    const struct af_addr *local = &x->socket.local;
    const size_t claims = x->owner.n_claims < MOST_CLAIMS ? x->owner.n_claims : MOST_CLAIMS;
    const uint64_t rank = x->owner.row == AF_NO_ROW ? r->who->owners.found.n_rows + MOST_CLAIMS - claims
                                                    : r->of[x->owner.row];
    uint64_t address = (uint64_t)local->ip[0] << 40 | (uint64_t)local->ip[1] << 32 | (uint64_t)local->ip[2] << 24 |
                       (uint64_t)local->ip[3] << 16;
    address |= local->v6 ? UINT64_C(1) << 48 : local->port;
    if (claims == MOST_CLAIMS) /* or more: that comes before */
        address = 0;
    else if (x->net_ns)
        address = (UINT64_C(1) << ADDRESS_BITS) - 1;
    if (r->shift < ADDRESS_BITS)
        address >>= ADDRESS_BITS - r->shift;
    return rank << r->shift | address;
}

static int by_owner_of(const void *a, const void *b, void *ranks) {
    return by_owner(((const struct ranks *)ranks)->who, a, b);
}

static void sort_by_owner(struct af_who *w) {
    struct ranks ranks = make_ranks(w);
    af_put_in_order(w->owners.all, w->owners.n, sizeof *w->owners.all, owner_key, by_owner_of, &ranks);
    free(ranks.of);
}

/* ---- what it may be asked for ------------------------------------------------------------------------------- */

struct asked {
    const struct af_who *who;
    enum af_who_column column;
    bool reversed;
};

/* Of rows of processes; other columns are of sockets alone. */
static int by_column(const struct asked *ask, size_t x, size_t y) {
    const struct af_collection *found = &ask->who->owners.found;
    switch (ask->column) {
    case AF_WHO_TIME_WAIT: return by_number(ask->who->left[y], ask->who->left[x]);
    case AF_WHO_PID: return by_number((uint64_t)found->rows[x].seen.pid, (uint64_t)found->rows[y].seen.pid);
    case AF_WHO_PROGRAM:
        return strcmp(found->images[found->rows[x].image].program, found->images[found->rows[y].image].program);
    default: return 0;
    }
}

static int by_row(const void *a, const void *b, void *asked) {
    const struct asked *ask = asked;
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    const int order = by_column(ask, x, y);
    return order ? (ask->reversed ? -order : order) : compare_rows(ask->who, x, y);
}

/* Whoever is unknown stays behind those that are known, where it is processes that are put in order. */
static int by_socket(const void *a, const void *b, void *asked) {
    const struct asked *ask = asked;
    const struct af_owned *x = a, *y = b;
    int order = 0;
    if (ask->column == AF_WHO_LOCAL)
        order = compare_addr(&x->socket.local, &y->socket.local);
    else if (ask->column == AF_WHO_PEER)
        order = compare_addr(&x->socket.peer, &y->socket.peer);
    else if (ask->column == AF_WHO_EXPIRES)
        order = by_number(x->socket.expires_ms, y->socket.expires_ms);
    else if (x->owner.row != AF_NO_ROW && y->owner.row != AF_NO_ROW)
        order = by_column(ask, x->owner.row, y->owner.row);
    return order ? (ask->reversed ? -order : order) : by_owner(ask->who, x, y);
}

void af_who_put_in_order(struct af_who *w, enum af_who_column column, bool reversed) {
    struct asked ask = { w, column, reversed };
    w->order = af_array(NULL, w->owners.found.n_rows, sizeof *w->order);
    for (size_t i = 0; i < w->owners.found.n_rows; i++)
        if (w->left[i])
            w->order[w->n_order++] = i;
    if (w->n_order)
        qsort_r(w->order, w->n_order, sizeof *w->order, by_row, &ask);
    if (column == AF_WHO_TIME_WAIT && !reversed)
        sort_by_owner(w);
    else if (w->owners.n)
        qsort_r(w->owners.all, w->owners.n, sizeof *w->owners.all, by_socket, &ask);
}

static const char *const names[AF_WHO_COLUMNS] = {
    [AF_WHO_TIME_WAIT] = "time_wait", [AF_WHO_PID] = "pid",   [AF_WHO_PROGRAM] = "program",
    [AF_WHO_LOCAL] = "local",         [AF_WHO_PEER] = "peer", [AF_WHO_EXPIRES] = "expires",
};

enum af_who_column af_who_column_named(const char *name) {
    enum af_who_column c = 0;
    while (c < AF_WHO_COLUMNS && strcmp(names[c], name) != 0)
        c++;
    return c;
}

const char *af_who_column_names(void) {
    static char all[64];
    if (!*all)
        for (int c = 0; c < AF_WHO_COLUMNS; c++)
            strcat(strcat(all, *all ? ", " : ""), names[c]);
    return all;
}
