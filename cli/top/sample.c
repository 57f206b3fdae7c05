/* A look, boiled down to what top needs of it. */
#include "cli/output/memory.h"
#include "cli/output/order.h"
#include "cli/top/top.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- processes --------------------------------------------------------------------------------------------- */

/* "linger=off,port_range=40000-40999,rules=...": a rule's own comes after `rules=` and is not looked at. */
static void read_port_range(struct af_top_process *p, const char *policy) {
    static const char key[] = "port_range=";
    const char *rules = strstr(policy, "rules="), *at = strstr(policy, key);
    unsigned low, high;
    p->port_low = 0;
    p->port_high = AF_PORTS - 1;
    if (at && !(rules && rules < at) && sscanf(at + strlen(key), "%u-%u", &low, &high) == 2 && low <= high &&
        high < AF_PORTS) {
        p->port_low = (uint16_t)low;
        p->port_high = (uint16_t)high;
    }
}

static void add_processes(struct af_top_sample *s, const struct af_snapshot *snapshot) {
    const struct af_collection *found = &snapshot->found;
    s->processes = af_array(NULL, found->n_rows, sizeof *s->processes);
    s->n_processes = found->n_rows;
    for (size_t i = 0; i < found->n_rows; i++) {
        const struct af_row *row = &found->rows[i];
        const struct af_image *image = &found->images[row->image];
        struct af_top_process *p = &s->processes[i];
        *p = (struct af_top_process){
            .key = af_sample_key_of(found, i),
            .pid = row->seen.pid,
            .fate = row->fate,
            .pid_ns = image->pid_ns == snapshot->pid_ns ? 0 : image->pid_ns,
            .outside = row->seen.outside,
            .opened = row->seen.count[AF_COUNT_established],
            .avoided = row->seen.count[AF_COUNT_avoided],
            .binds = row->seen.count[AF_COUNT_binds] != 0,
            .n_left = row->n_top,
        };
        memcpy(p->program, image->program, sizeof p->program);
        memcpy(p->left, row->top, sizeof p->left);
        read_port_range(p, image->policy);
    }
}

static int key_order(const void *a, const void *b, void *processes) {
    const struct af_top_process *all = processes;
    return af_sample_key_compare(&all[*(const uint32_t *)a].key, &all[*(const uint32_t *)b].key);
}

static void put_in_order(struct af_top_sample *s) {
    s->by_key = af_array(NULL, s->n_processes, sizeof *s->by_key);
    for (uint32_t i = 0; i < s->n_processes; i++)
        s->by_key[i] = i;
    if (s->n_processes)
        qsort_r(s->by_key, s->n_processes, sizeof *s->by_key, key_order, s->processes);
}

const struct af_top_process *af_top_find(const struct af_top_sample *s, const struct af_sample_key *key) {
    size_t low = 0, high = s->n_processes;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = af_sample_key_compare(&s->processes[s->by_key[middle]].key, key);
        if (order == 0)
            return &s->processes[s->by_key[middle]];
        low = order < 0 ? middle + 1 : low;
        high = order > 0 ? middle : high;
    }
    return NULL;
}

/* `established` has those too that another process opened and this one ended: whose parent accepts, or who was sent
 * them, would count again what is counted there. */
static void count_inherited(struct af_top_sample *s, const struct af_collection *found, uint64_t since) {
    for (size_t i = 0; i < found->n_closings; i++) {
        const struct af_closing *c = &found->closings[i];
        if (c->row != AF_NO_ROW && c->owner != c->row && c->counted != AF_END_PASSED && since && c->at > since)
            s->processes[c->row].inherited++;
    }
    for (size_t i = 0; i < found->n_live; i++) { /* of processes that were killed: settled at every look */
        const struct af_live *l = &found->live[i];
        if (l->settled != AF_END_NONE && l->settled != AF_END_PASSED && l->owner != l->holder &&
            s->processes[l->holder].opened)
            s->processes[l->holder].opened--;
    }
}

/* ---- what is open ------------------------------------------------------------------------------------------ */

static bool is_open(const struct af_live *l) {
    return l->settled == AF_END_NONE && l->holder != AF_NO_ROW &&
           (l->state == AF_CONN_OPEN || l->state == AF_CONN_INHERITED);
}

/* Of n records of one connection, the youngest program's first, whose it is: the oldest's whose holder runs, for
 * whoever has passed it on has closed it too. Where the holder was killed, another process of its program may have it
 * still. NULL: it is not open. */
static const struct af_live *holding(const struct af_collection *found, const struct af_live *group, size_t n) {
    const struct af_live *other = NULL;
    while (n-- > 0) {
        if (!is_open(&group[n]))
            continue;
        if (found->rows[group[n].holder].fate == AF_FATE_RUNNING)
            return &group[n];
        if (found->images[group[n].image].runs)
            other = &group[n];
    }
    return other;
}

static void add_open(struct af_top_sample *s, const struct af_live *l) {
    struct af_top_open open = { .cookie = l->cookie,
                                .process = (uint32_t)l->holder,
                                .accepted = l->flags & AF_FLAG_ACCEPTED };
    if (open.accepted)
        open.addr.port = l->local_port;
    else
        open.addr = l->peer;
    s->opens = af_room_for_one(s->opens, s->n_opens, sizeof *s->opens);
    s->opens[s->n_opens++] = open;
    s->processes[l->holder].open++;
}

static void add_opens(struct af_top_sample *s, const struct af_collection *found) {
    for (size_t i = 0, n; i < found->n_live; i += n) {
        for (n = 1; i + n < found->n_live && found->live[i + n].cookie == found->live[i].cookie; n++)
            ;
        size_t claim;
        const struct af_live *live = holding(found, &found->live[i], n);
        if (live && !af_find_claims(found, live->cookie, &claim))
            add_open(s, live);
    }
}

static int open_order(const void *a, const void *b) {
    const struct af_top_open *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* ---- the kernel's tables ----------------------------------------------------------------------------------- */

static int host_compare(const struct af_addr *x, const struct af_addr *y) {
    return x->v6 != y->v6 ? x->v6 - y->v6 : memcmp(x->ip, y->ip, sizeof x->ip);
}

static int target_compare(const struct af_top_socket *x, const struct af_top_socket *y) {
    if (x->net_ns != y->net_ns)
        return x->net_ns < y->net_ns ? -1 : 1;
    int order = host_compare(&x->local, &y->local);
    order = order ? order : host_compare(&x->peer, &y->peer);
    return order ? order : (int)x->peer.port - (int)y->peer.port;
}

/* As far as a number goes: the namespace, ours or another; the local host's family and, of IPv4, its address; the same of the
 * peer's. */
static uint64_t socket_key(const void *socket, void *nothing) {
    const struct af_top_socket *s = socket;
    const uint8_t *local = s->local.ip, *peer = s->peer.ip;
    (void)nothing;
    if (s->net_ns)
        return UINT64_MAX;
    if (s->local.v6)
        return UINT64_MAX >> 1;
    const uint64_t from = (uint64_t)local[0] << 24 | (uint64_t)local[1] << 16 | (uint64_t)local[2] << 8 | local[3];
    const uint64_t to = (uint64_t)peer[0] << 24 | (uint64_t)peer[1] << 16 | (uint64_t)peer[2] << 8 | peer[3];
    return from << 30 | (s->peer.v6 ? UINT64_C(1) << 29 : to >> 3);
}

static int socket_order(const void *a, const void *b, void *nothing) {
    const struct af_top_socket *x = a, *y = b;
    (void)nothing;
    int order = target_compare(x, y);
    return order ? order : (int)x->local.port - (int)y->local.port;
}

size_t af_top_towards(const struct af_top_sample *s, const struct af_top_socket *like, size_t *first) {
    size_t low = 0, high = s->n_sockets, n = 0;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (target_compare(&s->sockets[middle], like) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + n < s->n_sockets && target_compare(&s->sockets[low + n], like) == 0)
        n++;
    *first = low;
    return n;
}

static void add_socket(struct af_top_sample *s, const struct af_collection *found,
                       const struct af_kernel_socket *socket, uint64_t net_ns) {
    const struct af_top_open key = { .cookie = socket->cookie };
    const struct af_top_open *open = s->n_opens ? bsearch(&key, s->opens, s->n_opens, sizeof key, open_order) : NULL;
    const struct af_owner owner = open ? (struct af_owner){ .row = open->process, .accepted = open->accepted }
                                       : af_settle_owner(found, socket->cookie);
    s->sockets[s->n_sockets++] = (struct af_top_socket){
        .net_ns = net_ns,
        .local = socket->local,
        .peer = socket->peer,
        .accepted = owner.accepted,
        .process = owner.row == AF_NO_ROW ? AF_NOBODY : (uint32_t)owner.row,
        .time_wait = af_is_time_wait(socket),
        .contested = owner.n_claims != 0,
    };
}

static void add_netns(struct af_top_sample *s, const struct af_collection *found,
                      const struct af_netns_snapshot *netns) {
    s->namespaces = af_room_for_one(s->namespaces, s->n_namespaces, sizeof *s->namespaces);
    struct af_top_netns *to = &s->namespaces[s->n_namespaces++];
    memset(to, 0, sizeof *to);
    to->net_ns = netns->net_ns;
    to->ports = netns->ports;
    to->taken_over = netns->taken_over;
    s->sockets = af_array(s->sockets, s->n_sockets + netns->kernel.n, sizeof *s->sockets);
    for (size_t i = 0; i < netns->kernel.n; i++) {
        const struct af_kernel_socket *socket = &netns->kernel.all[i];
        if (socket->state & (AF_IN_LISTENING | AF_IN_CLOSE))
            af_port_add(&to->held, socket->local.port);
        else
            add_socket(s, found, socket, netns->net_ns);
    }
}

/* ---- the sample -------------------------------------------------------------------------------------------- */

void af_top_sample(struct af_top_sample *s, const struct af_snapshot *snapshot, uint64_t since) {
    *s = (struct af_top_sample){
        .at = snapshot->at, .at_real = snapshot->at_real, .ledgers = snapshot->ledgers, .tw_reuse = snapshot->tw_reuse
    };
    add_processes(s, snapshot);
    put_in_order(s);
    count_inherited(s, &snapshot->found, since);
    add_opens(s, &snapshot->found);
    for (size_t i = 0; i < snapshot->n_namespaces; i++)
        add_netns(s, &snapshot->found, &snapshot->namespaces[i]);
    af_put_in_order(s->sockets, s->n_sockets, sizeof *s->sockets, socket_key, socket_order, NULL);
}

void af_top_sample_free(struct af_top_sample *s) {
    free(s->processes);
    free(s->by_key);
    free(s->sockets);
    free(s->opens);
    free(s->namespaces);
    memset(s, 0, sizeof *s);
}
