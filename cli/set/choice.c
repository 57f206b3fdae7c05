/* See choice.h. */
#include "cli/set/choice.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/* What a state holds where. */
enum { LINGER_ON, LINGER_SECONDS, LINGER2 };
enum { KEEP_ON, KEEP_IDLE, KEEP_INTERVAL, KEEP_COUNT };
enum { TIMEOUT_MS };

static const struct row {
    enum af_choice choice;
    int level, name;
    unsigned at, n; /* which of the state's values, and how many: SO_LINGER is two */
} rows[] = {
    { AF_CHOICE_LINGER, SOL_SOCKET, SO_LINGER, LINGER_ON, 2 },
    { AF_CHOICE_LINGER, IPPROTO_TCP, TCP_LINGER2, LINGER2, 1 },
    { AF_CHOICE_KEEPALIVE, SOL_SOCKET, SO_KEEPALIVE, KEEP_ON, 1 },
    { AF_CHOICE_KEEPALIVE, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE, 1 },
    { AF_CHOICE_KEEPALIVE, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL, 1 },
    { AF_CHOICE_KEEPALIVE, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT, 1 },
    { AF_CHOICE_USER_TIMEOUT, IPPROTO_TCP, TCP_USER_TIMEOUT, TIMEOUT_MS, 1 },
};
enum { ROWS = sizeof rows / sizeof *rows };

enum af_key af_choice_key(enum af_choice choice) {
    static const enum af_key keys[AF_CHOICES] = { AF_KEY_LINGER, AF_KEY_KEEPALIVE, AF_KEY_USER_TIMEOUT };
    return keys[choice];
}

bool af_state_equal(const struct af_state *a, const struct af_state *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

int af_state_read(int fd, enum af_choice choice, struct af_state *out) {
    *out = (struct af_state){ { 0 } };
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        socklen_t size = row->n * sizeof *out->v;
        if (row->choice == choice && getsockopt(fd, row->level, row->name, &out->v[row->at], &size) != 0)
            return -errno;
    }
    if (choice == AF_CHOICE_LINGER && !out->v[LINGER_ON])
        out->v[LINGER_SECONDS] = 0; /* which the kernel keeps, and nobody asks for */
    return 0;
}

static int write_row(int fd, const struct row *row, const struct af_state *to) {
    const int zero = 0;
    int now = -1;
    socklen_t size = sizeof now;
    /* The kernel's own TCP_LINGER2 is 0, and reads as net.ipv4.tcp_fin_timeout. */
    if (row->name == TCP_LINGER2 && to->v[row->at] >= 0 &&
        setsockopt(fd, row->level, row->name, &zero, sizeof zero) == 0 &&
        getsockopt(fd, row->level, row->name, &now, &size) == 0 && now == to->v[row->at])
        return 0;
    return setsockopt(fd, row->level, row->name, &to->v[row->at], row->n * sizeof *to->v) == 0 ? 0 : -errno;
}

int af_state_write(int fd, enum af_choice choice, const struct af_state *now, const struct af_state *to) {
    for (const struct row *row = rows; row < rows + ROWS; row++) {
        if (row->choice != choice || memcmp(&now->v[row->at], &to->v[row->at], row->n * sizeof *to->v) == 0)
            continue;
        const int error = write_row(fd, row, to);
        if (error)
            return error;
    }
    return 0;
}

struct af_state af_state_before(enum af_choice choice, const struct af_state *now) {
    struct af_state before = *now;
    if (choice == AF_CHOICE_LINGER && before.v[LINGER2] < 0)
        before.v[LINGER2] = 0;
    return before;
}

struct af_state af_state_plain(enum af_choice choice, const struct af_state *now) {
    struct af_state plain = af_state_before(choice, now);
    if (choice == AF_CHOICE_LINGER)
        plain.v[LINGER_ON] = plain.v[LINGER_SECONDS] = 0;
    else
        plain.v[choice == AF_CHOICE_KEEPALIVE ? KEEP_ON : TIMEOUT_MS] = 0;
    return plain;
}

bool af_state_chosen(enum af_choice choice, const struct af_state *before) {
    return choice == AF_CHOICE_LINGER      ? before->v[LINGER_ON] != 0
           : choice == AF_CHOICE_KEEPALIVE ? before->v[KEEP_ON] != 0
                                           : before->v[TIMEOUT_MS] != 0;
}

static void want_linger(const struct af_values *values, struct af_state *to) {
    switch (values->linger) {
    case AF_LINGER_OFF:
    case AF_LINGER_RST: break; /* the close's business: not to be had from outside */
    case AF_LINGER_SECONDS:
        to->v[LINGER_ON] = 1;
        to->v[LINGER_SECONDS] = values->linger_s;
        break;
    default: /* nobody sees the close, so ack is ack-always */
        to->v[LINGER_ON] = to->v[LINGER_SECONDS] = 0;
        to->v[LINGER2] = -1;
    }
}

static void want_keepalive(const struct af_values *values, struct af_state *to) {
    if (!values->keep_idle)
        return;
    to->v[KEEP_ON] = 1;
    to->v[KEEP_IDLE] = values->keep_idle;
    if (values->keep_interval)
        to->v[KEEP_INTERVAL] = values->keep_interval;
    if (values->keep_count)
        to->v[KEEP_COUNT] = values->keep_count;
}

struct af_state af_state_wanted(enum af_choice choice, const struct af_values *values, const struct af_state *before) {
    struct af_state to = *before;
    if (choice == AF_CHOICE_LINGER)
        want_linger(values, &to);
    else if (choice == AF_CHOICE_KEEPALIVE)
        want_keepalive(values, &to);
    else if (values->user_timeout_ms)
        to.v[TIMEOUT_MS] = (int32_t)values->user_timeout_ms;
    return to;
}
