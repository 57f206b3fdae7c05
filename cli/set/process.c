/* See set.h. */
#include "cli/set/set.h"
#include "cli/kernel/diag.h"
#include "cli/kernel/netns.h"
#include "cli/kernel/process.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- sockets that have been seen ------------------------------------------------------------------------------ */

static struct af_seen_socket *slot_of(struct af_seen_socket *all, size_t room, uint64_t inode) {
    size_t at = (size_t)(inode * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (room - 1);
    while (all[at].inode && all[at].inode != inode)
        at = (at + 1) & (room - 1);
    return &all[at];
}

static void grow(struct af_set *set) {
    const size_t room = set->seen_room ? set->seen_room * 2 : 1024;
    struct af_seen_socket *all = af_array(NULL, room, sizeof *all);
    memset(all, 0, room * sizeof *all);
    for (size_t i = 0; i < set->seen_room; i++)
        if (set->seen[i].inode)
            *slot_of(all, room, set->seen[i].inode) = set->seen[i];
    free(set->seen);
    set->seen = all;
    set->seen_room = room;
}

/* A socket that processes share is treated once. */
static struct af_seen_socket *seen(struct af_set *set, uint64_t inode) {
    if (set->n_seen * 2 >= set->seen_room)
        grow(set);
    struct af_seen_socket *slot = slot_of(set->seen, set->seen_room, inode);
    set->n_seen += !slot->inode;
    slot->inode = inode;
    return slot;
}

/* ---- where is listened ---------------------------------------------------------------------------------------- */

void af_set_add_listener(struct af_set *set, const struct af_addr *local) {
    set->listeners = af_room_for_one(set->listeners, set->n_listeners, sizeof *set->listeners);
    set->listeners[set->n_listeners++] = *local;
}

static int by_number(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static bool is_listening(const struct af_set *set, uint64_t inode) {
    return set->n_listening && bsearch(&inode, set->listening, set->n_listening, sizeof inode, by_number);
}

static void add_listeners(void *context, uint64_t net_ns) {
    struct af_set *set = context;
    struct af_kernel_sockets kernel;
    (void)net_ns;
    if (af_diag_dump(AF_IN_LISTENING, &kernel) != 0)
        return;
    for (size_t i = 0; i < kernel.n; i++) {
        af_set_add_listener(set, &kernel.all[i].local);
        set->listening = af_room_for_one(set->listening, set->n_listening, sizeof *set->listening);
        set->listening[set->n_listening++] = kernel.all[i].inode;
    }
    if (set->n_listening)
        qsort(set->listening, set->n_listening, sizeof *set->listening, by_number);
    free(kernel.all);
}

void af_set_find_listeners(struct af_set *set, const struct af_held *held) {
    int why;
    uint64_t net_ns = af_namespace_of(held->thread, "net");
    if (net_ns == set->listed_ns)
        return;
    set->listed_ns = net_ns;
    if (net_ns && net_ns == af_own_namespace("net"))
        add_listeners(set, net_ns);
    else if (net_ns)
        af_netns_each(&net_ns, 1, add_listeners, set, &why);
}

/* ---- one process ---------------------------------------------------------------------------------------------- */

struct number {
    int fd;
    uint64_t inode;
};
struct numbers {
    struct number *all;
    size_t n;
};

static void add_number(void *context, int fd, uint64_t inode) {
    struct numbers *list = context;
    list->all = af_room_for_one(list->all, list->n, sizeof *list->all);
    list->all[list->n++] = (struct number){ fd, inode };
}

/* Another socket may have the number by now: then that one is treated, and met again under its own inode. */
static int treat(struct af_set *set, const struct af_held *held, const struct number *at, struct af_set_process *p) {
    struct af_seen_socket *s = seen(set, at->inode);
    int why = 0;
    const int fd = af_held_take(held, at->fd);
    if (fd < 0)
        return fd == -EBADF ? 0 : fd; /* closed since */
    s->outcome = (uint8_t)af_set_outside(set, held, fd, &s->listens, &why);
    close(fd);
    s->treated = true;
    set->n_new++;
    p->why_refused = why ? why : p->why_refused;
    return 0;
}

/* Where the library has not read its letter nobody changes a socket behind its counts. */
static int treat_once(struct af_set *set, const struct af_held *held, const struct number *at,
                      struct af_set_process *p) {
    if (seen(set, at->inode)->treated)
        return 0;
    if (!p->posted || set->only_look)
        return treat(set, held, at, p);
    const enum af_claim claim = af_inside_claim(&p->inside, p->serial, at->fd);
    int error = 0;
    p->posted = claim != AF_CLAIM_GONE;
    if (claim == AF_CLAIM_OURS || (claim == AF_CLAIM_UNKNOWN && set->last_look))
        error = treat(set, held, at, p);
    else
        p->left++;
    if (claim == AF_CLAIM_OURS || claim == AF_CLAIM_UNKNOWN)
        af_inside_release(&p->inside);
    return error;
}

static void count(struct af_set_process *p, const struct af_seen_socket *s) {
    if (!(s->outcome & AF_OUTCOME_TCP))
        return;
    p->listening += s->listens;
    p->connections += !s->listens;
    p->opened += (s->outcome & AF_OUTCOME_OPENED) != 0;
    p->set += (s->outcome & AF_OUTCOME_SET) != 0;
    p->chosen += (s->outcome & AF_OUTCOME_CHOSEN) != 0;
    p->refused += (s->outcome & AF_OUTCOME_REFUSED) != 0;
}

/* ActiveOpens and PassiveOpens of its network namespace (RFC 4022), together; 0: they are not to be read. */
static uint64_t opens_of(const struct af_held *held) {
    char path[64], line[1024];
    unsigned long long active, passive;
    uint64_t opens = 0;
    snprintf(path, sizeof path, "/proc/%d/net/snmp", (int)held->thread);
    FILE *file = fopen(path, "re");
    while (file && !opens && fgets(line, sizeof line, file))
        if (sscanf(line, "Tcp: %*d %*d %*d %*d %llu %llu", &active, &passive) == 2)
            opens = 1 + active + passive;
    if (file)
        fclose(file);
    return opens;
}

/* Ten thousand descriptors take a while to be listed again: of a process with many sockets it is asked first whether there
 * can be a connection that has not been there. One that waits to be accepted is counted already. */
static bool has_news(const struct af_set *set, const struct af_held *held, struct af_set_process *p) {
    enum { MANY = 256 };
    const uint64_t before = p->opens;
    if (set->seen_all && (p->sockets < MANY || p->left))
        return true;
    p->opens = opens_of(held);
    return !set->seen_all || set->has_waiting || !p->opens || p->opens != before;
}

/* Of what was there when it was asked the library is told, or is not in it. What has come since may be the work of a library
 * that has. */
static bool has_library_by_now(struct af_set *set, const struct numbers *list, bool only_listening,
                               struct af_set_process *p) {
    bool comes = false;
    for (size_t i = 0; i < list->n && !p->posted && !comes; i++)
        comes = (!only_listening || is_listening(set, list->all[i].inode)) && !seen(set, list->all[i].inode)->treated;
    if (comes)
        af_set_letter(set, p);
    return comes && p->posted;
}

int af_set_sockets(struct af_set *set, const struct af_held *held, bool only_listening, struct af_set_process *p) {
    struct numbers list = { NULL, 0 };
    if (!has_news(set, held, p))
        return 0;
    int error = af_held_each_socket(held, add_number, &list);
    p->sockets = list.n;
    p->left = 0;
    p->listening = p->connections = p->opened = p->set = p->chosen = p->refused = 0;
    const bool told = !error && has_library_by_now(set, &list, only_listening, p);
    if (told)
        p->left = list.n; /* for the next round */
    for (int listening = 1; listening >= only_listening && !told; listening--)
        for (size_t i = 0; i < list.n && !error && !p->error; i++)
            if (!listening || is_listening(set, list.all[i].inode))
                error = treat_once(set, held, &list.all[i], p);
    set->n_left += p->left;
    for (size_t i = 0; i < list.n; i++)
        count(p, seen(set, list.all[i].inode));
    free(list.all);
    return error;
}
