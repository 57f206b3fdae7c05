/* Sockets that no ledger tells of, in a few words: where they are from. */
#include "cli/output/memory.h"
#include "cli/output/text.h"
#include "cli/who/who.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8 };

/* One socket's peer, or its local port; and how many have the same. */
struct end {
    struct af_addr addr; /* a local port: no address, so that all are alike */
    bool local;
    size_t socket, n;
};

static int compare_ends(const struct end *x, const struct end *y) {
    int order = x->local != y->local ? x->local - y->local : x->addr.v6 - y->addr.v6;
    order = order ? order : memcmp(x->addr.ip, y->addr.ip, sizeof x->addr.ip);
    return order ? order : x->addr.port - y->addr.port;
}

static int by_end(const void *a, const void *b) {
    return compare_ends(a, b);
}

static int by_socket(const void *a, const void *b) {
    const struct end *x = a, *y = b;
    const int order = x->socket < y->socket ? -1 : x->socket > y->socket;
    return order ? order : x->local - y->local;
}

static int by_count(const void *a, const void *b) {
    const struct end *x = a, *y = b;
    const int order = x->n > y->n ? -1 : x->n < y->n;
    return order ? order : compare_ends(x, y);
}

/* Sets how many are alike, and puts them next to each other. */
static void count(struct end *ends, size_t n) {
    if (n)
        qsort(ends, n, sizeof *ends, by_end);
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i; next < n && compare_ends(&ends[next], &ends[i]) == 0; next++)
            ;
        for (size_t k = i; k < next; k++)
            ends[k].n = next - i;
    }
}

/* Of each socket that end of both that more sockets have in common. */
static size_t choose(struct end *ends, size_t n) {
    count(ends, n);
    if (n)
        qsort(ends, n, sizeof *ends, by_socket);
    for (size_t i = 0; i < n / 2; i++)
        ends[i] = ends[2 * i].n >= ends[2 * i + 1].n ? ends[2 * i] : ends[2 * i + 1];
    count(ends, n / 2);
    return n / 2;
}

static char *words(struct end *ends, size_t n, size_t all) {
    char *text = af_format("%s", "");
    size_t said = 0;
    for (size_t i = 0, shown = 0; i < n && shown < SHOWN; i += ends[i].n, shown++) {
        char addr[AF_ADDR_TEXT];
        af_addr_text(&ends[i].addr, addr);
        char *longer = ends[i].local
                           ? af_format("%s%s%zu from :%u", text, *text ? ", " : "", ends[i].n, ends[i].addr.port)
                           : af_format("%s%s%zu to %s", text, *text ? ", " : "", ends[i].n, addr);
        free(text);
        text = longer;
        said += ends[i].n;
    }
    if (said == all)
        return text;
    char *longer = af_format("%s, %zu other%s", text, all - said, af_plural(all - said, "", "s"));
    free(text);
    return longer;
}

char *af_who_unknown(const struct af_who *w) {
    struct end *ends = af_array(NULL, 2 * w->owners.n, sizeof *ends);
    size_t n = 0;
    for (size_t i = 0; i < w->owners.n; i++) {
        const struct af_owned *owned = &w->owners.all[i];
        if (owned->owner.row != AF_NO_ROW || owned->owner.n_claims)
            continue;
        ends[n++] = (struct end){ .addr = owned->socket.peer, .socket = i };
        ends[n++] = (struct end){ .addr = { .port = owned->socket.local.port }, .local = true, .socket = i };
    }
    n = choose(ends, n);
    if (n)
        qsort(ends, n, sizeof *ends, by_count);
    char *text = words(ends, n, n);
    free(ends);
    return text;
}
