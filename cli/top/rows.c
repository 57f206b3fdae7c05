/* Two samples -> rows. */
#include "cli/output/memory.h"
#include "cli/top/top.h"

#include <stdlib.h>
#include <string.h>

/* What rows are made with. */
struct making {
    const struct af_top_sample *before, *now;
    struct af_top_rows *rows;
    uint32_t *row_of; /* for each process, AF_NOBODY: it has none */
    double elapsed_s;
};

/* ---- a row a process, or a program ------------------------------------------------------------------------- */

static const struct af_top_process *process_before(const struct making *m, size_t i) {
    return m->before ? af_top_find(m->before, &m->now->processes[i].key) : NULL;
}

static uint64_t grown(const struct making *m, size_t i) {
    const struct af_top_process *p = &m->now->processes[i], *before = process_before(m, i);
    const int64_t growth = (int64_t)(p->opened - (before ? before->opened : 0) - p->inherited);
    return growth > 0 ? (uint64_t)growth : 0;
}

static bool is_shown(const struct making *m, size_t i, bool leaves) {
    const struct af_top_process *p = &m->now->processes[i], *before = process_before(m, i);
    return leaves || p->fate == AF_FATE_RUNNING || p->open || (before && before->fate == AF_FATE_RUNNING) ||
           (m->before && grown(m, i));
}

static struct af_top_row *new_row(struct making *m) {
    m->rows->all = af_room_for_one(m->rows->all, m->rows->n, sizeof *m->rows->all);
    struct af_top_row *row = &m->rows->all[m->rows->n++];
    *row = (struct af_top_row){ .new_per_s = -1 };
    return row;
}

static void add_process_row(struct making *m, size_t i) {
    const struct af_top_process *p = &m->now->processes[i];
    struct af_top_row *row = new_row(m);
    m->row_of[i] = (uint32_t)(row - m->rows->all);
    row->key = p->key;
    row->program = p->program;
    row->pid = p->pid;
    row->pid_ns = p->pid_ns;
    row->fate = p->fate;
}

static int by_program(const void *a, const void *b, void *processes) {
    const struct af_top_process *all = processes;
    return strcmp(all[*(const uint32_t *)a].program, all[*(const uint32_t *)b].program);
}

/* One row for all processes of a name, if one of them is worth it. */
static void add_program_rows(struct making *m, const bool *shown) {
    const size_t n = m->now->n_processes;
    uint32_t *order = af_array(NULL, n, sizeof *order);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    if (n)
        qsort_r(order, n, sizeof *order, by_program, m->now->processes);
    for (size_t i = 0, next; i < n; i = next) {
        bool any = false;
        for (next = i; next < n && by_program(&order[i], &order[next], m->now->processes) == 0; next++)
            any |= shown[order[next]];
        if (!any)
            continue;
        struct af_top_row *row = new_row(m);
        row->program = m->now->processes[order[i]].program;
        for (size_t k = i; k < next; k++)
            m->row_of[order[k]] = (uint32_t)(row - m->rows->all);
    }
    free(order);
}

static void add_rows(struct making *m, enum af_top_by by) {
    const size_t n = m->now->n_processes;
    bool *shown = af_array(NULL, n, sizeof *shown);
    memset(shown, 0, n * sizeof *shown);
    for (size_t i = 0; i < m->now->n_sockets; i++)
        if (m->now->sockets[i].time_wait && m->now->sockets[i].process != AF_NOBODY)
            shown[m->now->sockets[i].process] = true;
    for (size_t i = 0; i < n; i++) {
        shown[i] = is_shown(m, i, shown[i]);
        m->row_of[i] = AF_NOBODY;
        if (by == AF_BY_PROCESS && shown[i])
            add_process_row(m, i);
    }
    if (by == AF_BY_PROGRAM)
        add_program_rows(m, shown);
    free(shown);
}

/* What a process counts; a ledger directory that was not there at one of the looks tells nothing of growth. */
static void add_counts(struct making *m) {
    const bool rated = m->before && m->before->ledgers && m->now->ledgers && m->elapsed_s > 0;
    for (size_t i = 0; i < m->now->n_processes; i++) {
        const struct af_top_process *p = &m->now->processes[i];
        if (m->row_of[i] == AF_NOBODY)
            continue;
        struct af_top_row *row = &m->rows->all[m->row_of[i]];
        row->processes++;
        row->running += p->fate == AF_FATE_RUNNING;
        row->outside += p->outside;
        if (p->outside)
            continue;
        row->open += p->open;
        row->avoided += p->avoided;
        if (rated)
            row->new_per_s = (row->new_per_s > 0 ? row->new_per_s : 0) + (double)grown(m, i) / m->elapsed_s;
    }
}

/* ---- endpoints --------------------------------------------------------------------------------------------- */

enum kind { OPEN, LEFT, SOCKET };

/* One reason for a row to have an endpoint. */
struct item {
    uint32_t row;
    bool accepted;
    uint8_t kind;
    struct af_addr addr;
    uint64_t what; /* of LEFT: how many; of SOCKET: its index */
};

struct items {
    struct item *all;
    size_t n;
};

static void add_item(struct items *items, struct item item) {
    if (item.row == AF_NOBODY || !item.addr.port)
        return;
    items->all = af_room_for_one(items->all, items->n, sizeof *items->all);
    items->all[items->n++] = item;
}

static int same_endpoint(const struct item *x, const struct item *y) {
    if (x->row != y->row)
        return x->row < y->row ? -1 : 1;
    return x->accepted != y->accepted ? x->accepted - y->accepted : memcmp(&x->addr, &y->addr, sizeof x->addr);
}

/* Sockets in the sample's order, so that those towards one destination are together. */
static int by_endpoint(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    int order = same_endpoint(x, y);
    order = order ? order : (int)x->kind - (int)y->kind;
    return order ? order : x->what < y->what ? -1 : x->what > y->what;
}

/* The TIME_WAITs in our own namespace that nobody's ledger tells of, or several users' do. */
static uint32_t unknown_row(struct making *m, bool contested) {
    for (size_t i = m->rows->n; i > 0 && m->rows->all[i - 1].unknown; i--)
        if (m->rows->all[i - 1].contested == contested)
            return (uint32_t)(i - 1);
    struct af_top_row *row = new_row(m);
    row->program = contested ? "claimed by several users" : "unknown";
    row->unknown = true;
    row->contested = contested;
    return (uint32_t)(row - m->rows->all);
}

static void add_sockets(struct making *m, struct items *items) {
    for (size_t i = 0; i < m->now->n_sockets; i++) {
        const struct af_top_socket *s = &m->now->sockets[i];
        struct item item = { .row = AF_NOBODY, .accepted = s->accepted, .kind = SOCKET, .what = i };
        if (s->process != AF_NOBODY)
            item.row = m->row_of[s->process];
        else if (s->time_wait && !s->net_ns)
            item.row = unknown_row(m, s->contested);
        m->rows->elsewhere += s->time_wait && s->net_ns && item.row != AF_NOBODY;
        if (s->accepted)
            item.addr.port = s->local.port;
        else
            item.addr = s->peer;
        add_item(items, item);
    }
}

static struct items collect_items(struct making *m) {
    struct items items = { NULL, 0 };
    for (size_t i = 0; i < m->now->n_opens; i++) {
        const struct af_top_open *o = &m->now->opens[i];
        add_item(&items, (struct item){ m->row_of[o->process], o->accepted, OPEN, o->addr, 0 });
    }
    for (size_t i = 0; i < m->now->n_processes; i++)
        for (uint32_t k = 0; k < m->now->processes[i].n_left; k++) {
            const struct af_endpoint *e = &m->now->processes[i].left[k];
            add_item(&items, (struct item){ m->row_of[i], e->accepted, LEFT, e->addr, e->count });
        }
    add_sockets(m, &items);
    if (items.n)
        qsort(items.all, items.n, sizeof *items.all, by_endpoint);
    return items;
}

/* ---- shares ------------------------------------------------------------------------------------------------ */

static const struct af_top_netns *netns_of(const struct af_top_sample *s, uint64_t net_ns) {
    for (size_t i = 0; i < s->n_namespaces; i++)
        if (s->namespaces[i].net_ns == net_ns)
            return &s->namespaces[i];
    return NULL;
}

/* The part of the range that a process's connections take their ports from. */
struct window {
    unsigned low, high;
};

/* Where no port of the policy's is in the kernel's range, the policy is not applied. */
static struct window window_of(const struct af_top_process *p, const struct af_ephemeral *ports) {
    const unsigned low = p->port_low > ports->low ? p->port_low : ports->low;
    const unsigned high = p->port_high < ports->high ? p->port_high : ports->high;
    return low <= high ? (struct window){ low, high } : (struct window){ ports->low, ports->high };
}

static uint32_t count(const struct af_top_netns *netns, struct window w, const struct af_port_set *set) {
    return af_ports_common(set, &netns->ports.usable, w.low, w.high);
}

static bool is_loopback(const struct af_addr *addr) {
    static const uint8_t one[16] = { [15] = 1 };
    return addr->v6 ? memcmp(addr->ip, one, sizeof one) == 0 : addr->ip[0] == 127;
}

/* Does a connect of this process from here to there take over TIME_WAITs? They are in nobody's way then. */
static bool takes_over(const struct af_top_process *p, const struct af_top_netns *netns,
                       const struct af_top_socket *at) {
    const bool loopback = is_loopback(&at->local) || is_loopback(&at->peer);
    return !p->binds && (netns->taken_over == 1 || (netns->taken_over == 2 && loopback));
}

/* A port is not free if somebody holds it altogether, or has a socket on it from here to there. *time_wait: how many have
 * nothing but a TIME_WAIT. */
static uint32_t used_towards(const struct af_top_sample *s, const struct af_top_netns *netns, struct window w,
                             const struct af_top_socket *at, uint32_t *time_wait) {
    uint32_t used = count(netns, w, &netns->held);
    unsigned port = 0;
    *time_wait = 0;
    size_t first, n = af_top_towards(s, at, &first);
    for (size_t i = first; i < first + n; i++) {
        if (s->sockets[i].local.port == port) /* seen twice: it changed its state while the kernel listed it */
            continue;
        port = s->sockets[i].local.port;
        if (port < w.low || port > w.high || !af_port_has(&netns->ports.usable, port) ||
            af_port_has(&netns->held, port))
            continue;
        used++;
        *time_wait += s->sockets[i].time_wait;
    }
    return used;
}

static void measure(const struct making *m, struct af_top_share *share) {
    const struct af_top_netns *netns = netns_of(m->now, share->at->net_ns);
    const struct af_top_netns *before = m->before ? netns_of(m->before, share->at->net_ns) : NULL;
    const struct window w = window_of(&m->now->processes[share->at->process], &netns->ports);
    share->of = netns->ports.n ? count(netns, w, &netns->ports.usable) : 0;
    if (!share->of) {
        share->at = NULL;
        return;
    }
    const bool over = takes_over(&m->now->processes[share->at->process], netns, share->at);
    uint32_t time_wait, time_wait_before = 0;
    share->used = used_towards(m->now, netns, w, share->at, &time_wait);
    uint32_t earlier = before ? used_towards(m->before, before, w, share->at, &time_wait_before) : share->used;
    share->taken_over = over ? time_wait : 0;
    const uint32_t in_the_way = share->used - share->taken_over;
    earlier = !before ? in_the_way : earlier - (over ? time_wait_before : 0);
    if (in_the_way == share->of)
        share->full_in_s = 0;
    else if (in_the_way > earlier && m->elapsed_s > 0)
        share->full_in_s = (share->of - in_the_way) * m->elapsed_s / (in_the_way - earlier);
}

/* Of one endpoint's sockets, those from the local address that has most. */
static void find_busiest(const struct making *m, struct af_top_share *share, const struct item *items, size_t n) {
    for (size_t i = 0, next; i < n; i = next) {
        const struct af_top_socket *at = &m->now->sockets[items[i].what];
        size_t first, end = af_top_towards(m->now, at, &first) + first;
        for (next = i + 1; next < n && items[next].what < end; next++)
            ;
        if (next - i > share->own) {
            share->own = (uint32_t)(next - i);
            share->at = at;
        }
    }
}

static void add_endpoint(const struct making *m, struct af_top_row *row, const struct item *items, size_t n) {
    row->endpoints = af_room_for_one(row->endpoints, row->n_endpoints, sizeof *row->endpoints);
    struct af_top_endpoint *e = &row->endpoints[row->n_endpoints++];
    *e = (struct af_top_endpoint){ .addr = items[0].addr, .accepted = items[0].accepted, .share.full_in_s = -1 };
    size_t i = 0;
    for (; i < n && items[i].kind != SOCKET; i++)
        if (items[i].kind == OPEN)
            e->open++;
        else
            e->left += items[i].what;
    for (size_t k = i; k < n; k++)
        e->time_wait += m->now->sockets[items[k].what].time_wait;
    row->time_wait += e->time_wait;
    if (!e->accepted && !row->unknown)
        find_busiest(m, &e->share, items + i, n - i);
}

static int most_first(const void *a, const void *b) {
    const struct af_top_endpoint *x = a, *y = b;
    const uint64_t here = x->open + x->time_wait, there = y->open + y->time_wait;
    if (here != there)
        return here > there ? -1 : 1;
    return x->left != y->left ? (x->left > y->left ? -1 : 1) : memcmp(&x->addr, &y->addr, sizeof x->addr);
}

static void finish(const struct making *m, struct af_top_row *row) {
    row->busiest.full_in_s = -1;
    for (size_t i = 0; i < row->n_endpoints; i++) {
        struct af_top_share *share = &row->endpoints[i].share;
        if (share->at)
            measure(m, share);
        if (share->at &&
            (share->own > row->busiest.own || (share->own == row->busiest.own && share->used > row->busiest.used)))
            row->busiest = *share;
    }
    if (row->n_endpoints)
        qsort(row->endpoints, row->n_endpoints, sizeof *row->endpoints, most_first);
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

void af_top_rows(struct af_top_rows *rows, const struct af_top_sample *before, const struct af_top_sample *now,
                 enum af_top_by by) {
    struct making m = { .before = before, .now = now, .rows = rows };
    *rows = (struct af_top_rows){ .all = NULL };
    m.row_of = af_array(NULL, now->n_processes, sizeof *m.row_of);
    m.elapsed_s = before && now->at > before->at ? (double)(now->at - before->at) / 1e9 : 0;
    add_rows(&m, by);
    add_counts(&m);
    struct items items = collect_items(&m);
    for (size_t i = 0, next; i < items.n; i = next) {
        for (next = i + 1; next < items.n && same_endpoint(&items.all[i], &items.all[next]) == 0; next++)
            ;
        add_endpoint(&m, &rows->all[items.all[i].row], &items.all[i], next - i);
    }
    for (size_t i = 0; i < rows->n; i++)
        finish(&m, &rows->all[i]);
    free(items.all);
    free(m.row_of);
}

void af_top_rows_free(struct af_top_rows *rows) {
    for (size_t i = 0; i < rows->n; i++)
        free(rows->all[i].endpoints);
    free(rows->all);
    *rows = (struct af_top_rows){ .all = NULL };
}
