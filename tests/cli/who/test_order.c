/* The order in which who lists sockets, of more of them, and of odder ones, than a test's kernel has. */
#include "cli/output/memory.h"
#include "cli/who/who.h"
#include "tests/harness/harness.h"
#include "tests/harness/shell.h"

#include <stdlib.h>
#include <string.h>

static struct af_addr some_addr(void) {
    struct af_addr addr = { .port = (uint16_t)(random() % 3 * 30000 + random() % 3), .v6 = random() % 4 == 0 };
    addr.ip[0] = (uint8_t)(random() % 3 * 127);
    addr.ip[3] = (uint8_t)(random() % 3 * 127);
    addr.ip[15] = addr.v6 ? (uint8_t)(random() % 3) : 0;
    return addr;
}

static struct af_who made_up(size_t rows, size_t sockets) {
    struct af_who w = { .left = af_array(NULL, rows, sizeof *w.left) };
    w.owners.found.rows = af_array(NULL, rows, sizeof *w.owners.found.rows);
    w.owners.found.n_rows = rows;
    w.owners.all = af_array(NULL, sockets, sizeof *w.owners.all);
    w.owners.n = sockets;
    memset(w.left, 0, rows * sizeof *w.left);
    for (size_t i = 0; i < rows; i++)
        w.owners.found.rows[i] = (struct af_row){ .seen.started = (uint64_t)random() % 4 };
    for (size_t i = 0; i < sockets; i++) {
        const long kind = random() % 4;
        struct af_owned *owned = &w.owners.all[i];
        *owned = (struct af_owned){ .owner.row = kind ? (size_t)random() % rows : AF_NO_ROW };
        owned->owner.n_claims = kind ? 0 : (size_t)(random() % 3 * random() % 400);
        owned->net_ns = kind == 3 ? (uint64_t)random() % 3 : 0;
        owned->socket.local = some_addr();
        owned->socket.peer = some_addr();
        if (kind)
            w.left[owned->owner.row]++;
    }
    return w;
}

static int numbers(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static int addrs(const struct af_addr *x, const struct af_addr *y) {
    int order = numbers(x->v6, y->v6);
    order = order ? order : memcmp(x->ip, y->ip, sizeof x->ip);
    return order ? order : numbers(x->port, y->port);
}

/* As the manual has it: by process, the most first, the unknown last; then by address. */
static int order_of(const struct af_who *w, const struct af_owned *x, const struct af_owned *y) {
    const size_t a = x->owner.row, b = y->owner.row;
    int order = numbers(a == AF_NO_ROW, b == AF_NO_ROW);
    if (!order && a != AF_NO_ROW) {
        order = numbers(w->left[b], w->left[a]);
        order = order ? order : numbers(w->owners.found.rows[a].seen.started, w->owners.found.rows[b].seen.started);
        order = order ? order : numbers(a, b);
    }
    order = order ? order : numbers(y->owner.n_claims, x->owner.n_claims);
    order = order ? order : numbers(x->net_ns, y->net_ns);
    order = order ? order : addrs(&x->socket.local, &y->socket.local);
    return order ? order : addrs(&x->socket.peer, &y->socket.peer);
}

Test(who_order, is_by_process_and_address_of_however_many) {
    static const size_t rows[] = { 1, 3, 50, 40000, 70000 };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct af_who w = made_up(rows[i], 20000);
        af_who_put_in_order(&w, AF_WHO_TIME_WAIT, false);
        for (size_t k = 1; k < w.owners.n; k++)
            cr_assert(order_of(&w, &w.owners.all[k - 1], &w.owners.all[k]) <= 0, "%zu rows: socket %zu", rows[i], k);
        for (size_t k = 1; k < w.n_order; k++)
            cr_assert(w.left[w.order[k - 1]] >= w.left[w.order[k]], "%zu rows: row %zu", rows[i], k);
        free(w.order);
        free(w.left);
        free(w.owners.all);
        free(w.owners.found.rows);
    }
}
