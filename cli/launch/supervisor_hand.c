/* See supervisor_inner.h. Where we may not take a program's socket we make it, with the options set, and only where it
 * would be the same: the program's thread has our user, group, capabilities, network and user namespace now, in its call,
 * which waits for us. In all other cases the call is let go: never is this a way out of a sandbox. */
#include "cli/launch/supervisor_inner.h"
#include "ledger/layout.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* Neither its address nor what it will be is known yet: no rules, and nothing that is for a bind or a connect alone. */
static void treat_new(const struct af_policy *policy, int fd) {
    struct af_values values = policy->values;
    af_values_from_outside(&values);
    values.port_low = values.port_high = 0;
    af_treat(fd, &values, AF_ROLE_CONNECT, 0, 0, policy->override);
}

bool af_supervise_socket(const struct af_supervision *s, struct af_charges *charges,
                         const struct af_notification *notification, const struct af_notified_call *call) {
    const int family = (int)call->arguments[0], type = (int)call->arguments[1], protocol = (int)call->arguments[2];
    if (protocol != 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)
        return false;
    const struct af_charge *charge = call->thread ? af_charge_of(charges, s, call->thread, 0, NULL, 0) : NULL;
    if (!charge || charge->left_alone || !af_charge_is_like(charge, &s->like_us) ||
        !af_notify_waits(s->listener, notification))
        return false;
    const int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return false;
    treat_new(&s->settings->policy, fd);
    if (charge->slot != AF_NO_SLOT)
        af_book_socket(charge->book, charge->slot, af_cookie_of(fd), NULL, protocol == IPPROTO_MPTCP);
    const int number = af_notify_hand_in(s->listener, notification, fd, type & SOCK_CLOEXEC);
    close(fd); /* before the program goes on: its own close is to be the last */
    if (number >= 0)
        af_notify_end(s->listener, notification, number);
    return number >= 0;
}
