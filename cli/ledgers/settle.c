/* See settle.h. */
#include "cli/kernel/process.h"
#include "cli/ledgers/settle_inner.h"

#include <stdlib.h>

const enum af_counter af_counter_of[] = {
    [AF_END_TIME_WAIT] = AF_COUNT_time_wait, [AF_END_AVOIDED] = AF_COUNT_avoided, [AF_END_PASSIVE] = AF_COUNT_passive,
    [AF_END_ABORTED] = AF_COUNT_aborted,     [AF_END_PASSED] = AF_COUNT_passed,
};

static bool is_end(const struct af_closing *closing) {
    return closing->counted != AF_END_NONE && closing->counted != AF_END_PASSED;
}

static void move_endpoint(struct af_collection *c, const struct af_closing *closing, enum af_ending ending, int by) {
    if (ending == AF_END_TIME_WAIT)
        af_endpoint_of(c, closing->row, closing->accepted, &closing->peer, closing->local_port, by);
}

/* This record was not the connection's end after all. */
static void take_back(struct af_collection *c, struct af_closing *closing) {
    if (!is_end(closing) || closing->row == AF_NO_ROW)
        return;
    uint64_t *count = c->rows[closing->row].seen.count;
    uint64_t *ended = &count[af_counter_of[closing->counted]];
    if (*ended == 0 || count[AF_COUNT_established] == 0)
        return;
    --*ended;
    move_endpoint(c, closing, closing->counted, -1);
    if (closing->owner == closing->row)
        count[AF_COUNT_passed]++;
    else
        count[AF_COUNT_established]--;
    closing->counted = AF_END_PASSED;
}

static int by_cookie(const void *a, const void *b) {
    const struct af_closing *x = a, *y = b;
    if (x->cookie != y->cookie)
        return x->cookie < y->cookie ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    /* The hand-over and the end at one moment: the end is later. */
    return is_end(x) - is_end(y);
}

static int live_compare(const void *a, const void *b) {
    const struct af_live *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Of one connection's records, that of the program which began last comes first. */
static int live_order(const void *a, const void *b, void *context) {
    const struct af_live *x = a, *y = b;
    const struct af_image *images = ((const struct af_collection *)context)->images;
    if (x->cookie != y->cookie)
        return live_compare(a, b);
    return images[x->image].started > images[y->image].started ? -1
                                                               : images[x->image].started < images[y->image].started;
}

static const struct af_live *find_live(const struct af_collection *c, uint64_t cookie) {
    const struct af_live key = { .cookie = cookie };
    return c->n_live && cookie ? bsearch(&key, c->live, c->n_live, sizeof key, live_compare) : NULL;
}

bool af_is_recorded_live(const struct af_collection *c, uint64_t cookie) {
    return find_live(c, cookie) != NULL;
}

/* A connection that no process closed, and whose last known holder is gone. */
static bool is_ownerless(const struct af_collection *c, uint64_t cookie) {
    const struct af_live *live = find_live(c, cookie);
    return live && live->holder != AF_NO_ROW && c->rows[live->holder].fate != AF_FATE_RUNNING;
}

/* `last` let go when another seemed to have it still, who had let go before: so it was the end. */
static void inherit_end(struct af_collection *c, struct af_closing *last, enum af_ending ending) {
    if (last->counted != AF_END_PASSED || last->owner != last->row || last->row == AF_NO_ROW)
        return;
    uint64_t *count = c->rows[last->row].seen.count;
    if (count[AF_COUNT_passed] == 0)
        return;
    count[AF_COUNT_passed]--;
    count[af_counter_of[ending]]++;
    move_endpoint(c, last, ending, 1);
    last->counted = (uint8_t)ending;
}

void af_settle_records(struct af_collection *c) {
    size_t kept = 0;
    if (c->n_live)
        qsort_r(c->live, c->n_live, sizeof *c->live, live_order, c);
    if (c->n_closings)
        qsort(c->closings, c->n_closings, sizeof *c->closings, by_cookie);
    for (size_t i = 0; i < c->n_closings; i++) {
        struct af_closing *one = &c->closings[i], *next = one + 1;
        if (i + 1 == c->n_closings || next->cookie != one->cookie) {
            c->closings[kept++] = *one;
            continue;
        }
        enum af_ending ending = one->counted;
        bool ended = is_end(one);
        take_back(c, one);
        if (ended)
            inherit_end(c, next, ending);
    }
    c->n_closings = kept;
    af_endpoints_sum(c);
}

static int cookie_compare(const void *key, const void *element) {
    const uint64_t *cookie = key;
    const struct af_closing *closing = element;
    return *cookie < closing->cookie ? -1 : *cookie > closing->cookie;
}

static struct af_closing *find_closing(const struct af_collection *c, uint64_t cookie) {
    if (!c->n_closings || !cookie)
        return NULL;
    return bsearch(&cookie, c->closings, c->n_closings, sizeof *c->closings, cookie_compare);
}

const struct af_closing *af_find_end(const struct af_collection *c, uint64_t cookie) {
    const struct af_closing *closing = find_closing(c, cookie);
    return closing && is_end(closing) ? closing : NULL;
}

static bool attribute(struct af_collection *c, const struct af_kernel_socket *socket) {
    const struct af_closing *end = af_find_end(c, socket->cookie);
    if (!end || end->row == AF_NO_ROW)
        return false;
    c->rows[end->row].confirmed++;
    return true;
}

uint64_t af_settle_kernel(struct af_collection *c, const struct af_kernel_sockets *kernel, uint64_t net_ns) {
    uint64_t attributed = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct af_image *image = &c->images[c->rows[i].image];
        c->rows[i].confirmable = !image->net_ns || !net_ns || image->net_ns == net_ns;
    }
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        struct af_closing *closing;
        if (af_is_time_wait(socket))
            attributed += attribute(c, socket);
        else if (socket->inode && (closing = find_closing(c, socket->cookie)))
            take_back(c, closing);
    }
    attributed += af_settle_live(c, kernel);
    af_endpoints_sum(c);
    return attributed;
}

/* A killed process's connections are still open in its ledger: the kernel tells what became of them. */
void af_settle_now(struct af_collection *c, struct af_kernel_sockets *kernel) {
    af_settle_records(c);
    if (af_diag_dump(AF_IN_ANY, kernel) == 0)
        af_settle_kernel(c, kernel, af_own_namespace("net"));
}

/* A TIME_WAIT is there: nobody holds the connection any more, or its holder has shut it down both ways. So a live
 * record names who ended it even where a process of that program still runs. */
struct af_owner af_settle_owner(const struct af_collection *c, uint64_t cookie) {
    const struct af_closing *closing = find_closing(c, cookie);
    const struct af_live key = { .cookie = cookie };
    const struct af_live *live = cookie && c->n_live ? bsearch(&key, c->live, c->n_live, sizeof key, live_compare)
                                                     : NULL;
    while (live && live > c->live && live[-1].cookie == cookie) /* the first is the heir */
        live--;
    bool accepted = (closing && closing->accepted) || (live && live->flags & AF_FLAG_ACCEPTED);
    if (closing && is_end(closing))
        return (struct af_owner){ closing->row, accepted };
    return (struct af_owner){ live ? live->holder : AF_NO_ROW, accepted };
}

bool af_settle_any(const struct af_collection *c, const struct af_kernel_sockets *kernel) {
    for (size_t i = 0; i < kernel->n; i++)
        if (!kernel->all[i].inode && (find_closing(c, kernel->all[i].cookie) || is_ownerless(c, kernel->all[i].cookie)))
            return true;
    return false;
}
