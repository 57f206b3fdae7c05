/* port_search=cycle: the ephemeral port, chosen here instead of by the kernel.
 *
 * The kernel looks at every port of one parity before the other, so once half a range is in TIME_WAIT towards
 * one destination each connect scans thousands. IP_LOCAL_PORT_RANGE (Linux 6.3) with a window of one port
 * costs the same at any fill, and a miss costs an early EADDRNOTAVAIL. So: walk the range in a keyed order
 * that visits every port once before it visits any again (least recently used first), one port a window; on
 * misses widen the window, for a range that others have filled; at last give the kernel the whole range, so
 * that nothing fails here which it could have done.
 *
 * What others have filled is filled evenly, if they cycle too, or in the kernel's order, which leaves its free
 * ports side by side. So once a range has shown itself crowded, the next search begins round the port that was
 * free last. */
#include "shim/shim.h"

#include <fcntl.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static const uint16_t widths[] = { 1, 1, 8, 32, 128, 512, 2048 };
enum { N_WIDTHS = sizeof widths / sizeof *widths };
enum { NEARBY = 512, NEARBY_TRIES = 3, CROWDED = 2, PROBE_EVERY = 4 };

/* Early in a system's start the kernel may have no random bytes yet. */
enum { NOT_WAITING = 1 /* GRND_NONBLOCK */ };

struct af_order *af_order(void) {
    struct af_order *order = (struct af_order *)(uintptr_t)af.fork_page;
    if (!atomic_load(&order->key)) {
        uint64_t key = 0, none = 0;
        if (AF_SYS3(SYS_getrandom, &key, sizeof key, NOT_WAITING) != sizeof key || !key)
            key = af_now() * 0x9e3779b97f4a7c15u | 1;
        atomic_compare_exchange_strong(&order->key, &none, key);
    }
    return order;
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A Feistel network of eight rounds over the next even number of bits, walked until it falls below n. */
uint32_t af_permute(uint64_t key, uint32_t i, uint32_t n) {
    unsigned half = 1;
    while (1u << 2 * half < n)
        half++;
    uint32_t mask = (1u << half) - 1;
    do {
        uint32_t left = i >> half, right = i & mask;
        for (uint32_t round = 0; round < 8; round++) {
            uint32_t next = left ^ ((uint32_t)mix(key + round * 0x9e3779b97f4a7c15u + right) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

static bool parse_range(const char *text, uint16_t *low, uint16_t *high) {
    uint32_t n[2] = { 0, 0 };
    for (int i = 0; i < 2; i++) {
        while (*text == ' ' || *text == '\t')
            text++;
        for (; *text >= '0' && *text <= '9' && n[i] < 65536; text++)
            n[i] = n[i] * 10 + (uint32_t)(*text - '0');
    }
    *low = (uint16_t)n[0];
    *high = (uint16_t)n[1];
    return n[0] && n[0] <= n[1] && n[1] < 65536;
}

bool af_port_range(uint16_t *low, uint16_t *high) {
    static _Atomic uint32_t known; /* high << 16 | low; 1: cannot be read */
    uint32_t range = atomic_load(&known);
    if (!range) {
        char text[64] = "";
        int fd = (int)AF_SYS4(SYS_openat, AT_FDCWD, "/proc/sys/net/ipv4/ip_local_port_range", O_RDONLY | O_CLOEXEC, 0);
        long n = fd < 0 ? fd : AF_SYS3(SYS_read, fd, text, sizeof text - 1);
        if (fd >= 0)
            AF_SYS1(SYS_close, fd);
        range = n > 0 && parse_range(text, low, high) ? (uint32_t)*high << 16 | *low : 1;
        if (n != -EMFILE && n != -ENFILE)
            atomic_store(&known, range);
    }
    *low = (uint16_t)range;
    *high = (uint16_t)(range >> 16);
    return range != 1;
}

/* Where the kernel's range cannot be read, the first port that it has chosen tells: it takes no notice of a range that has no
 * part inside its own. */
void af_look_at_port(int fd) {
    static _Atomic bool looked;
    uint32_t range = 0;
    socklen_t size = sizeof range;
    uint16_t low, high;
    struct af_addr at;
    if (atomic_load(&looked) || af_port_range(&low, &high) || atomic_exchange(&looked, true))
        return;
    if (AF_SYS5(SYS_getsockopt, fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, &size) < 0 || !range ||
        !af_learn_address(fd, SYS_getsockname, &at) || !at.port)
        return; /* a kernel before 6.3, or MPTCP */
    if (at.port < (range & 0xffff) || at.port > range >> 16)
        af_say((const char *const[]){ AF_NO_PART_INSIDE, NULL });
}

static long set_window(int fd, uint32_t low, uint32_t high) {
    uint32_t window = high << 16 | low;
    return AF_SYS5(SYS_setsockopt, fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &window, sizeof window);
}

void af_take_back_window_now(int fd, struct af_socket *conn) {
    if (!(atomic_load(&conn->own) & AF_BIT(PORT_RANGE)))
        set_window(fd, 0, 0);
    af_clear(conn, AF_FLAG_WINDOW);
}

struct search {
    const struct af_attempt *attempt;
    struct af_order *order;
    uint32_t low, high;
    int before; /* errno, which a window that misses must not change */
    long result;
};
enum outcome { MISSED, DONE, NO_WINDOWS };

static enum outcome try_window(struct search *s, uint32_t from, uint32_t width) {
    uint32_t to = from + width - 1 < s->high ? from + width - 1 : s->high;
    if (set_window(s->attempt->fd, from, to) < 0)
        return NO_WINDOWS; /* a kernel before 6.3 */
    s->result = s->attempt->run(s->attempt);
    if (s->result < 0 && errno == EADDRNOTAVAIL) {
        errno = s->before;
        return MISSED;
    }
    atomic_store(&s->order->last, from);
    return DONE;
}

/* The next port of the cycle. */
static uint32_t next_port(struct search *s) {
    uint32_t n = s->high - s->low + 1;
    return s->low + af_permute(s->order->key, atomic_fetch_add(&s->order->next, 1) % n, n);
}

/* A few windows at keyed places round `last`, then one over all of the middle. Now and then the whole range is
 * asked first whether it is crowded still: one port of it, which costs little where it is taken. */
static enum outcome search_nearby(struct search *s, uint32_t start) {
    uint32_t last = atomic_load(&s->order->last), n = atomic_fetch_add(&s->order->crowded, 1);
    if (n % PROBE_EVERY == 0) {
        enum outcome outcome = try_window(s, next_port(s), 1);
        if (outcome == DONE)
            atomic_store(&s->order->start, start - 1);
        if (outcome != MISSED)
            return outcome;
    }
    for (uint32_t i = 0; i <= NEARBY_TRIES && last >= s->low && last <= s->high; i++) {
        uint32_t place = af_permute(~s->order->key, (n * NEARBY_TRIES + i) % (2 * NEARBY), 2 * NEARBY);
        uint32_t from = last + (i < NEARBY_TRIES ? place : NEARBY / 2);
        from = from < s->low + NEARBY ? s->low : from - NEARBY < s->high ? from - NEARBY : s->high;
        enum outcome outcome = try_window(s, from, i < NEARBY_TRIES ? widths[start] : NEARBY);
        if (outcome != MISSED)
            return outcome;
    }
    return MISSED;
}

static enum outcome search_everywhere(struct search *s, uint32_t start) {
    for (uint32_t i = start; i < N_WIDTHS && widths[i] <= s->high - s->low + 1; i++) {
        enum outcome outcome = try_window(s, next_port(s), widths[i]);
        if (outcome == DONE)
            atomic_store(&s->order->start, i ? i - 1 : 0);
        if (outcome != MISSED)
            return outcome;
    }
    return MISSED;
}

/* The kernel has found a port where no window did: the next search is to begin there. */
static __attribute__((noinline)) void learn_last(struct search *s) {
    struct sockaddr_storage sa;
    socklen_t size = sizeof sa;
    struct af_addr at;
    if (AF_SYS3(SYS_getsockname, s->attempt->fd, &sa, &size) < 0 || !af_addr_from((struct sockaddr *)&sa, size, &at) ||
        !at.port)
        return;
    atomic_store(&s->order->last, at.port);
    atomic_store(&s->order->start, CROWDED);
}

/* The kernel cuts one window to its range, but one that is all outside it ignores: without the range no port can be
 * asked for alone. */
static long search_blindly(const struct af_attempt *attempt, const struct af_values *values) {
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        af_say((const char *const[]){
            "port_search=cycle: net.ipv4.ip_local_port_range cannot be read; the kernel searches",
            values->port_low ? ", inside port_range as far as that lies in it" : NULL, NULL });
    if (values->port_low)
        set_window(attempt->fd, values->port_low, values->port_high);
    return attempt->run(attempt);
}

long af_search(const struct af_attempt *attempt, const struct af_values *values) {
    uint16_t low, high;
    if (!values->cycle)
        return attempt->run(attempt);
    if (!af_port_range(&low, &high))
        return search_blindly(attempt, values);
    if (values->port_low) {
        low = values->port_low;
        high = values->port_high;
    }
    struct search s = { attempt, af_order(), low, high, errno, 0 };
    uint32_t start = atomic_load(&s.order->start);
    enum outcome outcome = start ? search_nearby(&s, start) : MISSED;
    if (outcome == MISSED)
        outcome = search_everywhere(&s, start);
    if (outcome == DONE)
        return s.result;
    set_window(attempt->fd, values->port_low, values->port_low ? values->port_high : 0);
    s.result = attempt->run(attempt);
    if (outcome == MISSED && (s.result >= 0 || errno == EINPROGRESS)) {
        int error = errno;
        learn_last(&s);
        errno = error;
    }
    return s.result;
}
