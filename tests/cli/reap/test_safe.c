/* What reap stands on: the kernel ends the TIME_WAITs of a dump, whatever their addresses, and nothing else. */
#include "cli/kernel/diag.h"
#include "tests/cli/reap/reap.h"

#include <errno.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

static struct af_kernel_sockets dump(uint32_t states) {
    struct af_kernel_sockets list;
    cr_assert_eq(af_diag_dump(states, &list), 0);
    return list;
}

static struct af_destroyed destroy(const struct af_kernel_sockets *list) {
    struct af_destroyed done;
    int error = af_diag_destroy(list->all, list->n, NULL, &done);
    cr_assert_eq(error, 0, "%s", strerror(-error));
    return done;
}

/* ---- every TIME_WAIT ------------------------------------------------------------------------------------------ */

Test(reap_safe, ends_any_number_of_any_family) {
    static const unsigned numbers[] = { 1, 63, 64, 65, 130 };
    ns_enter();
    for (size_t f = 0; f < FAMILIES; f++) {
        struct peer peer = peer_start(&(struct peer_options){ .address = families[f].listen });
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            const unsigned n = numbers[i];
            leave_at(NULL, families[f].connect, peer.port, n);
            cr_assert_eq(waiting(0, peer.port), n, "the test itself: %s, %u", families[f].name, n);
            struct af_kernel_sockets list = dump(AF_IN_TIME_WAIT);
            struct af_destroyed done = destroy(&list);
            cr_expect_eq(done.ended, n, "%s: %zu of %u", families[f].name, done.ended, n);
            cr_expect_eq(done.gone, 0, "%s, %u", families[f].name, n);
            cr_expect_eq(ns_sockstat("tw"), 0, "%s, %u: %ld left", families[f].name, n, ns_sockstat("tw"));
            free(list.all);
        }
    }
}

/* One connection to and from fe80::1 of this interface, closed first by the client. */
static void leave_on(const char *interface, uint16_t local_port, uint16_t port) {
    struct sockaddr_storage room;
    const socklen_t len = to_sockaddr("fe80::1", port, &room);
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)&room;
    const int one = 1;
    address->sin6_scope_id = if_nametoindex(interface);
    int listener = socket(AF_INET6, SOCK_STREAM, 0), client = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    cr_assert_eq(bind(listener, (struct sockaddr *)address, len) | listen(listener, 1), 0, "%s", strerror(errno));
    struct sockaddr_in6 from = *address;
    from.sin6_port = htons(local_port);
    cr_assert_eq(bind(client, (struct sockaddr *)&from, len), 0, "%s", strerror(errno));
    cr_assert_eq(connect(client, (struct sockaddr *)address, len), 0, "%s", strerror(errno));
    int served = accept(listener, NULL, NULL);
    close(client);
    char byte;
    cr_assert_eq(read(served, &byte, 1), 0);
    close(served);
    close(listener);
}

/* The same addresses and ports on two interfaces are two connections. */
Test(reap_safe, ends_those_of_one_interface_only) {
    ns_enter();
    struct ended e = run_argv(NULL, (const char *[]){
                                        "sh", "-c",
                                        "set -e; for i in d0 d1; do "
                                        "ip link add $i type dummy || ip link add $i type bridge; ip link set $i up; "
                                        "ip -6 addr add fe80::1/64 dev $i nodad; done",
                                        NULL });
    if (e.status != 0)
        cr_skip_test("no interface to make: %s", e.err);
    leave_on("d0", 5000, 9000);
    leave_on("d1", 5000, 9000);
    ns_settle();
    struct af_kernel_sockets list = dump(AF_IN_TIME_WAIT);
    cr_assert_eq(list.n, 2, "the test itself: %zu", list.n);
    cr_expect_neq(list.all[0].interface, list.all[1].interface);
    for (size_t i = 0; i < 2; i++) {
        const struct af_kernel_sockets one = { .all = &list.all[i], .n = 1 };
        cr_expect_eq(destroy(&one).ended, 1, "socket %zu", i);
        cr_expect_eq(ns_sockstat("tw"), (long)(1 - i));
    }
}

/* ---- nothing else --------------------------------------------------------------------------------------------- */

struct pair {
    int client, server;
};

/* From this port to port 9000, where somebody listens. */
static struct pair connect_from(int listener, uint16_t port) {
    struct sockaddr_storage from, to;
    const socklen_t len = to_sockaddr("127.0.0.1", port, &from);
    struct pair p = { .client = socket(AF_INET, SOCK_STREAM, 0) };
    const int one = 1;
    setsockopt(p.client, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    to_sockaddr("127.0.0.1", 9000, &to);
    cr_assert_eq(bind(p.client, (struct sockaddr *)&from, len), 0, "%s", strerror(errno));
    cr_assert_eq(connect(p.client, (struct sockaddr *)&to, len), 0, "%s", strerror(errno));
    p.server = accept(listener, NULL, NULL);
    cr_assert_geq(p.server, 0);
    return p;
}

static void end_by_server(const struct pair *p) {
    char byte;
    close(p->server);
    cr_assert_eq(read(p->client, &byte, 1), 0);
    close(p->client);
}

static void expect_works(const struct pair *p) {
    char byte = 0;
    cr_expect_eq(send(p->client, "q", 1, MSG_NOSIGNAL), 1, "%s", strerror(errno));
    cr_expect_eq(recv(p->server, &byte, 1, 0), 1, "%s", strerror(errno));
    cr_expect_eq(byte, 'q');
    cr_expect_eq(send(p->server, "a", 1, MSG_NOSIGNAL), 1, "%s", strerror(errno));
    cr_expect_eq(recv(p->client, &byte, 1, 0), 1, "%s", strerror(errno));
    cr_expect_eq(byte, 'a');
}

static int listen_at(uint16_t port) {
    struct sockaddr_storage at;
    const socklen_t len = to_sockaddr("127.0.0.1", port, &at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, len) | listen(fd, 16), 0, "%s", strerror(errno));
    return fd;
}

/* The server side's TIME_WAIT lets a new connection from the same port in at once. */
Test(reap_safe, hits_no_connection_that_has_taken_the_addresses_since_the_dump) {
    ns_enter();
    int listener = listen_at(9000);
    struct pair old = connect_from(listener, 4000), other = connect_from(listener, 4001);
    end_by_server(&old);
    end_by_server(&other);
    ns_settle();
    struct af_kernel_sockets stale = dump(AF_IN_TIME_WAIT);
    cr_assert_eq(stale.n, 2, "the test itself: %zu", stale.n);
    struct pair new = connect_from(listener, 4000);
    cr_assert_eq(waiting(9000, 4000), 0, "the test itself: its TIME_WAIT has been taken over");
    struct af_destroyed done = destroy(&stale);
    cr_expect_eq(done.ended, 1, "the other one: %zu", done.ended);
    cr_expect_eq(done.gone, 1, "%zu", done.gone);
    cr_expect_eq(ns_count(ST_ESTABLISHED, 9000, 4000), 1);
    expect_works(&new);
    cr_expect_eq(ns_sockstat("tw"), 0);
}

Test(reap_safe, leaves_other_states_alone_even_when_it_is_handed_them) {
    ns_enter();
    int listener = listen_at(9000);
    struct pair established = connect_from(listener, 4000), orphan = connect_from(listener, 4001),
                half = connect_from(listener, 4002), waits = connect_from(listener, 4003);
    close(orphan.server); /* FIN_WAIT2 without an owner here, CLOSE_WAIT there */
    shutdown(half.server, SHUT_WR);
    end_by_server(&waits);
    ns_settle();
    struct af_kernel_sockets list = dump(AF_IN_ANY);
    cr_assert_eq(list.n, 7, "the test itself: %zu", list.n);
    cr_assert_eq(ns_sockstat("tw"), 2, "the kernel books the orphan as TIME_WAIT");
    uint8_t fates[7];
    struct af_destroyed done;
    cr_assert_eq(af_diag_destroy(list.all, list.n, fates, &done), 0);
    cr_expect_eq(done.ended, 1, "%zu", done.ended);
    cr_expect_eq(done.gone, 0, "%zu", done.gone);
    for (size_t i = 0; i < list.n; i++)
        cr_expect_eq(fates[i], list.all[i].state == AF_IN_TIME_WAIT ? AF_DESTROY_ENDED : AF_DESTROY_NOT, "socket %zu",
                     i);
    expect_works(&established);
    cr_expect_eq(ns_count(ST_FIN_WAIT2, 9000, 4001), 1, "the orphan");
    cr_expect_eq(ns_count(ST_FIN_WAIT2, 9000, 4002), 1);
    cr_expect_eq(ns_count(ST_CLOSE_WAIT, 4001, 9000), 1);
    cr_expect_eq(ns_sockstat("tw"), 1, "the orphan");
}

/* No cookie, or the one that stands for any: the kernel would take whatever is there. */
Test(reap_safe, ends_none_that_it_cannot_tell_by_its_cookie) {
    static const uint64_t cookies[] = { 0, UINT64_MAX };
    ns_enter();
    int listener = listen_at(9000);
    struct pair p = connect_from(listener, 4000);
    end_by_server(&p);
    ns_settle();
    struct af_kernel_sockets list = dump(AF_IN_TIME_WAIT);
    cr_assert_eq(list.n, 1);
    const uint64_t own = list.all[0].cookie;
    for (size_t i = 0; i < 2; i++) {
        list.all[0].cookie = cookies[i];
        struct af_destroyed done = destroy(&list);
        cr_expect_eq(done.ended + done.gone, 0, "row %zu", i);
        cr_expect_eq(ns_sockstat("tw"), 1, "row %zu", i);
    }
    list.all[0].cookie = own + 1;
    cr_expect_eq(destroy(&list).gone, 1, "another's cookie");
    list.all[0].cookie = own;
    cr_expect_eq(destroy(&list).ended, 1);
    cr_expect_eq(destroy(&list).gone, 1, "once");
}

/* From every `step`-th of the 16 ports on. */
static void open_and_end(int listener, struct pair *pairs, int first, int step, bool ends) {
    for (int p = first; p < 16; p += step) {
        pairs[p] = connect_from(listener, (uint16_t)(4000 + p));
        if (ends)
            end_by_server(&pairs[p]);
    }
}

/* Of the ports in TIME_WAIT every other one is in use again when the reaper comes. */
Test(reap_safe, loses_no_connection_round_after_round) {
    struct pair pairs[16];
    ns_enter();
    int listener = listen_at(9000);
    open_and_end(listener, pairs, 0, 1, true);
    for (int round = 0; round < 20; round++) {
        const int used = round % 2, free_again = 1 - used;
        ns_settle();
        struct af_kernel_sockets stale = dump(AF_IN_TIME_WAIT);
        cr_assert_eq(stale.n, 16, "round %d: %zu", round, stale.n);
        open_and_end(listener, pairs, used, 2, false);
        struct af_destroyed done = destroy(&stale);
        cr_expect_eq(done.ended, 8, "round %d: %zu", round, done.ended);
        cr_expect_eq(done.gone, 8, "round %d: %zu", round, done.gone);
        for (int p = used; p < 16; p += 2) {
            expect_works(&pairs[p]);
            end_by_server(&pairs[p]);
        }
        open_and_end(listener, pairs, free_again, 2, true);
        free(stale.all);
    }
}
