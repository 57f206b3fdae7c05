/* See settle.h. */
#include "cli/kernel/process.h"
#include "cli/ledgers/settle_inner.h"
#include "cli/output/memory.h"
#include "cli/output/order.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static uint32_t user_of(const struct af_collection *c, size_t image) {
    return c->images[image].uid;
}

static int number_order(uint64_t x, uint64_t y) {
    return x < y ? -1 : x > y;
}

static uint64_t cookie_of(const void *closing, void *collection) {
    (void)collection;
    return ((const struct af_closing *)closing)->cookie;
}

static int closing_order(const void *a, const void *b, void *collection) {
    const struct af_closing *x = a, *y = b;
    int order = number_order(x->cookie, y->cookie);
    order = order ? order : number_order(user_of(collection, x->image), user_of(collection, y->image));
    order = order ? order : number_order(x->at, y->at);
    /* The hand-over and the end at one moment: the end is later. */
    return order ? order : is_end(x) - is_end(y);
}

/* Of one connection's records, in ledgers of one user, that of the program which began last comes first. */
static int live_order(const void *a, const void *b, void *collection) {
    const struct af_live *x = a, *y = b;
    const struct af_image *images = ((const struct af_collection *)collection)->images;
    int order = number_order(x->cookie, y->cookie);
    order = order ? order : number_order(images[x->image].uid, images[y->image].uid);
    return order ? order : number_order(images[y->image].started, images[x->image].started);
}

/* Records of `size`, in the order of the cookies that they have in front. */
struct by_cookie {
    const char *all;
    size_t size;
};

static uint64_t cookie_at(const struct by_cookie *c, size_t i) {
    uint64_t cookie;
    memcpy(&cookie, c->all + i * c->size, sizeof cookie);
    return cookie;
}

/* One of these, both included, is the first at or after a cookie. */
struct bracket {
    size_t low, high;
};

static void look(const struct by_cookie *c, uint64_t cookie, size_t at, struct bracket *b) {
    if (at < b->low || at >= b->high)
        return;
    if (cookie_at(c, at) < cookie)
        b->low = at + 1;
    else
        b->high = at;
}

/* Cookies are given out in turn: so it lies about there. */
static size_t guess(const struct by_cookie *c, uint64_t cookie, const struct bracket *b) {
    const uint64_t first = cookie_at(c, b->low), last = cookie_at(c, b->high);
    if (cookie <= first || last <= first)
        return b->low;
    return b->low + (size_t)((double)(cookie - first) / (double)(last - first) * (double)(b->high - b->low));
}

/* The first of n records, of `size`, that has this cookie; NULL: none has. A search by halves misses the cache twenty times
 * in a million: so it begins near a guess, and whatever the cookies are, it ends by halves. */
static const void *find_first(const void *all, size_t n, size_t size, uint64_t cookie) {
    enum { GUESSES = 4, NEAR = 64 };
    const struct by_cookie c = { all, size };
    if (!n || !cookie || cookie < cookie_at(&c, 0) || cookie > cookie_at(&c, n - 1))
        return NULL;
    struct bracket b = { 0, n - 1 };
    const size_t at = guess(&c, cookie, &b);
    look(&c, cookie, at, &b);
    for (size_t step = NEAR; step < n; step *= 8) {
        look(&c, cookie, at + step, &b);
        look(&c, cookie, at - step, &b); /* below 0 it is beyond the end */
    }
    for (int i = 0; b.low < b.high; i++)
        look(&c, cookie, i < GUESSES ? guess(&c, cookie, &b) : (b.low + b.high) / 2, &b);
    return cookie_at(&c, b.low) == cookie ? (const char *)all + b.low * size : NULL;
}

_Static_assert(offsetof(struct af_live, cookie) == 0 && offsetof(struct af_closing, cookie) == 0 &&
                   offsetof(struct af_claim, cookie) == 0,
               "find_first looks in front");

/* Of several the first. */
static struct af_live *find_live(const struct af_collection *c, uint64_t cookie) {
    return (struct af_live *)(uintptr_t)find_first(c->live, c->n_live, sizeof *c->live, cookie);
}

/* A connection that no process closed, and whose last known holder is gone. */
static bool is_ownerless(const struct af_collection *c, uint64_t cookie) {
    const struct af_live *live = find_live(c, cookie);
    return live && live->holder != AF_NO_ROW && c->rows[live->holder].fate != AF_FATE_RUNNING;
}

/* Whose record said `passed` has ended it after all: the opener counts it as established already. */
static void end_passed(struct af_collection *c, struct af_closing *closing, enum af_ending ending) {
    uint64_t *count = c->rows[closing->row].seen.count;
    const bool opener = closing->owner == closing->row;
    if (opener && count[AF_COUNT_passed] == 0)
        return;
    if (opener)
        count[AF_COUNT_passed]--;
    else
        count[AF_COUNT_established]++;
    count[af_counter_of[ending]]++;
    move_endpoint(c, closing, ending, 1);
    closing->counted = (uint8_t)ending;
}

/* `last` let go when another seemed to have it still, who had let go before: so it was the end. Not where it had come
 * from elsewhere and somebody has it still, or was killed with it. */
static void inherit_end(struct af_collection *c, struct af_closing *last, enum af_ending ending) {
    if (last->counted == AF_END_PASSED && last->row != AF_NO_ROW &&
        (last->owner == last->row || !find_live(c, last->cookie)))
        end_passed(c, last, ending);
}

/* ---- claims ------------------------------------------------------------------------------------------------- */

/* One user's claim to a connection: his end of it, or whoever had it last. */
static void claim(struct af_collection *c, uint64_t cookie, size_t row) {
    const size_t n = c->n_claims;
    if (row == AF_NO_ROW)
        return;
    const uint32_t user = user_of(c, c->rows[row].image);
    for (size_t i = n; i > 0 && c->claims[i - 1].cookie == cookie; i--)
        if (user_of(c, c->rows[c->claims[i - 1].row].image) == user)
            return;
    c->claims = af_room_for_one(c->claims, n, sizeof *c->claims);
    c->claims[c->n_claims++] = (struct af_claim){ cookie, row };
}

/* Both lists are in the order of cookies. */
static void find_claims(struct af_collection *c) {
    c->n_claims = 0;
    for (size_t i = 0, k = 0; i < c->n_closings || k < c->n_live;) {
        const bool ended = k == c->n_live || (i < c->n_closings && c->closings[i].cookie <= c->live[k].cookie);
        const uint64_t cookie = ended ? c->closings[i].cookie : c->live[k].cookie;
        const size_t before = c->n_claims;
        for (; i < c->n_closings && c->closings[i].cookie == cookie; i++)
            if (is_end(&c->closings[i]))
                claim(c, cookie, c->closings[i].row);
        for (; k < c->n_live && c->live[k].cookie == cookie; k++)
            claim(c, cookie, c->live[k].holder);
        if (c->n_claims == before + 1)
            c->n_claims = before;
    }
}

size_t af_find_claims(const struct af_collection *c, uint64_t cookie, size_t *first) {
    const struct af_claim *found = find_first(c->claims, c->n_claims, sizeof *c->claims, cookie);
    size_t n = 0;
    if (!found)
        return 0;
    *first = (size_t)(found - c->claims);
    while (*first + n < c->n_claims && found[n].cookie == cookie)
        n++;
    return n;
}

/* ---- records ------------------------------------------------------------------------------------------------ */

void af_settle_records(struct af_collection *c) {
    size_t kept = 0;
    if (c->n_live)
        qsort_r(c->live, c->n_live, sizeof *c->live, live_order, c);
    af_put_in_order(c->closings, c->n_closings, sizeof *c->closings, cookie_of, closing_order, c);
    for (size_t i = 0; i < c->n_closings; i++) {
        struct af_closing *one = &c->closings[i], *next = one + 1;
        if (i + 1 == c->n_closings || next->cookie != one->cookie ||
            user_of(c, next->image) != user_of(c, one->image)) {
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
    find_claims(c);
    af_endpoints_sum(c);
}

/* What is recorded of one cookie's end: a closing of each user who has any. */
struct endings {
    uint64_t cookie;
    struct af_closing *all;
    size_t n;
};

static struct endings find_endings(const struct af_collection *c, uint64_t cookie) {
    struct endings found = { .cookie = cookie };
    found.all = (struct af_closing *)(uintptr_t)find_first(c->closings, c->n_closings, sizeof *c->closings, cookie);
    while (found.all && found.all + found.n < c->closings + c->n_closings && found.all[found.n].cookie == cookie)
        found.n++;
    return found;
}

static const struct af_closing *end_of(const struct af_collection *c, const struct endings *found) {
    size_t first;
    if (!found->n || af_find_claims(c, found->cookie, &first))
        return NULL;
    for (size_t i = 0; i < found->n; i++)
        if (is_end(&found->all[i]))
            return &found->all[i];
    return NULL;
}

const struct af_closing *af_find_end(const struct af_collection *c, uint64_t cookie) {
    const struct endings found = find_endings(c, cookie);
    return end_of(c, &found);
}

/* Of a connection that nobody is known to have ended or to have still, who let go of it last: it was sent and never
 * received, or read away, or given to somebody of whom no ledger tells. NULL: of several users' each says so. */
static struct af_closing *last_known(const struct af_collection *c, const struct endings *found) {
    return found->n == 1 && found->all->counted == AF_END_PASSED && found->all->row != AF_NO_ROW &&
                   !find_live(c, found->cookie)
               ? found->all
               : NULL;
}

bool af_has_no_end_yet(const struct af_collection *c, uint64_t cookie) {
    const struct endings found = find_endings(c, cookie);
    return find_live(c, cookie) || last_known(c, &found);
}

static bool attribute(struct af_collection *c, const struct af_kernel_socket *socket) {
    const struct endings found = find_endings(c, socket->cookie);
    struct af_closing *last = last_known(c, &found);
    if (last && !last->peer.port && !last->accepted)
        last->peer = socket->peer;
    if (last) /* a TIME_WAIT came of it: then that was the end */
        end_passed(c, last, AF_END_TIME_WAIT);
    const struct af_closing *end = end_of(c, &found);
    if (!end || end->row == AF_NO_ROW)
        return false;
    c->rows[end->row].confirmed++;
    return true;
}

/* Could this user have had a connection that is open? */
static bool may_have(uint32_t user, const struct af_kernel_socket *socket) {
    return socket->uid == user || socket->uid == 0 || user == 0 || user == geteuid();
}

/* Take out what others claim of connections that are open and not theirs. */
static void disbelieve(struct af_collection *c, const struct af_kernel_sockets *kernel) {
    size_t kept = 0, taken = 0;
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        struct af_live *live = socket->inode ? find_live(c, socket->cookie) : NULL;
        for (; live && live < c->live + c->n_live && live->cookie == socket->cookie; live++)
            if (!may_have(user_of(c, live->image), socket)) {
                live->disbelieved = true;
                taken++;
            }
    }
    for (size_t i = 0; i < c->n_live && taken; i++)
        if (!c->live[i].disbelieved)
            c->live[kept++] = c->live[i];
    if (taken) {
        c->n_live = kept;
        find_claims(c);
    }
}

uint64_t af_settle_kernel(struct af_collection *c, const struct af_kernel_sockets *kernel, uint64_t net_ns) {
    uint64_t attributed = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        const struct af_image *image = &c->images[c->rows[i].image];
        c->rows[i].confirmable = !image->net_ns || !net_ns || image->net_ns == net_ns;
    }
    disbelieve(c, kernel);
    for (size_t i = 0; i < kernel->n; i++) {
        const struct af_kernel_socket *socket = &kernel->all[i];
        if (af_is_time_wait(socket))
            attributed += attribute(c, socket);
        const struct endings found = socket->inode ? find_endings(c, socket->cookie) : (struct endings){ .n = 0 };
        for (size_t k = 0; k < found.n; k++)
            take_back(c, &found.all[k]);
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
    struct af_owner owner = { .row = AF_NO_ROW };
    const struct endings found = find_endings(c, cookie);
    const struct af_closing *end = end_of(c, &found), *last = last_known(c, &found);
    const struct af_live *live = find_live(c, cookie); /* the first was exec'd last */
    for (size_t i = 0; i < found.n; i++)
        owner.accepted |= found.all[i].accepted;
    owner.accepted |= live && live->flags & AF_FLAG_ACCEPTED;
    owner.n_claims = af_find_claims(c, cookie, &owner.claim);
    if (!owner.n_claims)
        owner.row = end ? end->row : live ? live->holder : last ? last->row : AF_NO_ROW;
    return owner;
}

bool af_settle_any(const struct af_collection *c, const struct af_kernel_sockets *kernel) {
    for (size_t i = 0; i < kernel->n; i++)
        if (!kernel->all[i].inode &&
            (find_endings(c, kernel->all[i].cookie).n || is_ownerless(c, kernel->all[i].cookie)))
            return true;
    return false;
}
