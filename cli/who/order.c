/* In which order who shows what it found. */
#include "cli/output/memory.h"
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

/* As they are listed unless something else is asked for: by process, the most first, then by address. */
static int by_owner(const struct af_who *w, const struct af_owned *x, const struct af_owned *y) {
    int order = compare_rows(w, x->owner.row, y->owner.row);
    order = order ? order : by_number(y->owner.n_claims, x->owner.n_claims);
    order = order ? order : by_number(x->net_ns, y->net_ns);
    order = order ? order : compare_addr(&x->socket.local, &y->socket.local);
    return order ? order : compare_addr(&x->socket.peer, &y->socket.peer);
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
    if (w->owners.n)
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
