/* Connections that no process closed in the library's sight: it was killed, or ended by a way that no hook
 * sees. The kernel tells what became of them; where it has forgotten them, what was set on them does. */
#include "cli/ledgers/settle_inner.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>

static int by_cookie(const void *a, const void *b) {
    const struct af_kernel_socket *x = *(const struct af_kernel_socket *const *)a;
    const struct af_kernel_socket *y = *(const struct af_kernel_socket *const *)b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* The sockets that have a cookie, in its order. */
struct index {
    const struct af_kernel_socket **all;
    size_t n;
};

static struct index make_index(const struct af_kernel_sockets *kernel) {
    struct index index = { .all = af_array(NULL, kernel->n, sizeof *index.all) };
    for (size_t i = 0; i < kernel->n; i++)
        if (kernel->all[i].cookie)
            index.all[index.n++] = &kernel->all[i];
    if (index.n)
        qsort(index.all, index.n, sizeof *index.all, by_cookie);
    return index;
}

static const struct af_kernel_socket *find(const struct index *index, uint64_t cookie) {
    const struct af_kernel_socket key = { .cookie = cookie }, *wanted = &key;
    const struct af_kernel_socket **found = index->n
                                                ? bsearch(&wanted, index->all, index->n, sizeof *index->all, by_cookie)
                                                : NULL;
    return found ? *found : NULL;
}

/* How it ended, AF_END_NONE where nobody can tell (yet). socket NULL: the kernel has it no more, and then no
 * TIME_WAIT came of it, or one that is over. */
static enum af_ending judge(const struct af_live *live, const struct af_kernel_socket *socket) {
    const uint32_t state = socket ? socket->state : 0;
    if (socket && af_is_time_wait(socket))
        return AF_END_TIME_WAIT;
    if (live->state == AF_CONN_PENDING || live->flags & AF_FLAG_MPTCP)
        return AF_END_NONE;
    if (socket && !(state & (AF_IN_FIN_WAIT1 | AF_IN_CLOSING | AF_IN_LAST_ACK)))
        return AF_END_NONE;
    if (state == AF_IN_LAST_ACK || live->flags & AF_FLAG_FIN_SECOND)
        return AF_END_PASSIVE;
    if (live->flags & AF_FLAG_ABORTS)
        return AF_END_ABORTED;
    if (state != AF_IN_CLOSING && live->flags & (AF_FLAG_ACK | AF_FLAG_RST_SET))
        return AF_END_AVOIDED;
    return socket || live->flags & AF_FLAG_FIN_FIRST ? AF_END_TIME_WAIT : AF_END_PASSIVE;
}

static uint64_t *counts(struct af_collection *c, size_t row) {
    return row == AF_NO_ROW ? NULL : c->rows[row].seen.count;
}

/* Who is killed may have counted what its record does not say yet: by so many its open connections are more than the
 * records of them, or less where it was ends. */
static int64_t counted_ahead(const struct af_collection *c, size_t owner) {
    const struct af_row *row = owner == AF_NO_ROW ? NULL : &c->rows[owner];
    return row && row->fate == AF_FATE_SIGNAL && !row->seen.lost ? af_seen_open(row->seen.count) - row->held : 0;
}

/* Was it counted as established by whoever opened it? Then it is in the `open` of that process. */
static bool is_in_open(struct af_collection *c, const struct af_live *live) {
    const uint64_t *owner = counts(c, live->owner);
    if (live->state == AF_CONN_PENDING)
        return counted_ahead(c, live->owner) > 0;
    return live->state == AF_CONN_OPEN && owner && af_seen_open(owner) > 0;
}

static void settled(struct af_collection *c, struct af_live *live, enum af_ending ending) {
    if (live->state == AF_CONN_OPEN && live->owner != AF_NO_ROW)
        c->rows[live->owner].held--;
    live->settled = (uint8_t)ending;
}

static void pass(struct af_collection *c, struct af_live *live) {
    if (is_in_open(c, live))
        counts(c, live->owner)[AF_COUNT_passed]++;
    settled(c, live, AF_END_PASSED);
}

static void end(struct af_collection *c, struct af_live *live, enum af_ending ending) {
    uint64_t *holder = counts(c, live->holder);
    const bool in_open = is_in_open(c, live);
    if (in_open && live->owner != live->holder)
        counts(c, live->owner)[AF_COUNT_passed]++;
    if (!in_open || live->owner != live->holder)
        holder[AF_COUNT_established]++;
    holder[af_counter_of[ending]]++;
    if (ending == AF_END_TIME_WAIT)
        af_endpoint_of(c, live->holder, live->flags & AF_FLAG_ACCEPTED, &live->peer, live->local_port, 1);
    settled(c, live, ending);
}

static bool is_held(const struct af_collection *c, const struct af_live *live) {
    return live->holder == AF_NO_ROW || c->rows[live->holder].fate == AF_FATE_RUNNING ||
           !c->rows[live->holder].confirmable;
}

/* Killed in the middle of recording this end: it is in the ring, and is counted or is not. */
static bool is_cut_off(const struct af_collection *c, const struct af_live *live, const struct af_closing *closed) {
    return closed->row != AF_NO_ROW && closed->image == live->image && closed->record == live->index + 1 &&
           closed->use == live->use && c->rows[closed->row].fate == AF_FATE_SIGNAL && !live->settled;
}

/* All records of one connection in ledgers of one user, that of the youngest program first: the others became it. */
static uint64_t settle_one(struct af_collection *c, struct af_live *group, size_t n,
                           const struct af_kernel_socket *socket, bool complete) {
    size_t first;
    if (af_find_claims(c, group[0].cookie, &first))
        return 0;
    if (socket && !group[0].peer.port) /* its process was killed in connect */
        group[0].peer = socket->peer;
    const bool open = socket && socket->inode && !af_is_time_wait(socket);
    const bool time_wait = socket && af_is_time_wait(socket);
    const struct af_closing *closed = af_find_end(c, group[0].cookie);
    enum af_ending ending = AF_END_NONE;
    if (!closed && !open && !group[0].settled && (socket || complete) && group[0].holder != AF_NO_ROW &&
        (time_wait || !is_held(c, &group[0])))
        ending = judge(&group[0], socket);
    for (size_t i = 0; i < n && closed; i++)
        if (is_cut_off(c, &group[i], closed)) {
            group[i].holder = closed->row;
            if (group[i].owner == closed->row && counted_ahead(c, closed->row) < 0)
                settled(c, &group[i], closed->counted);
            else
                end(c, &group[i], closed->counted);
        }
    if (ending != AF_END_NONE) {
        end(c, &group[0], ending);
        c->rows[group[0].holder].confirmed += time_wait;
        c->rows[group[0].holder].guessed += ending == AF_END_PASSIVE && !socket &&
                                            !(group[0].flags & AF_FLAG_FIN_SECOND);
    }
    for (size_t i = 0; i < n && (open || closed || ending != AF_END_NONE); i++)
        if (!group[i].settled && !is_held(c, &group[i]) && !(open && c->images[group[i].image].runs))
            pass(c, &group[i]);
    return time_wait && ending != AF_END_NONE;
}

uint64_t af_settle_live(struct af_collection *c, const struct af_kernel_sockets *kernel) {
    const bool complete = (kernel->states & AF_IN_ANY) == AF_IN_ANY;
    uint64_t attributed = 0;
    if (!c->n_live)
        return 0;
    struct index index = make_index(kernel);
    for (size_t i = 0, n; i < c->n_live; i += n) {
        const uint64_t cookie = c->live[i].cookie;
        const uint32_t user = c->images[c->live[i].image].uid;
        for (n = 1; i + n < c->n_live && c->live[i + n].cookie == cookie && c->images[c->live[i + n].image].uid == user;
             n++)
            ;
        attributed += settle_one(c, &c->live[i], n, find(&index, cookie), complete);
    }
    free(index.all);
    return attributed;
}
