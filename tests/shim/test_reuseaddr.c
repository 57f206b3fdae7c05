/* reuseaddr=on: a server comes back to a port that its last run left in TIME_WAIT. */
#include "tests/harness/harness.h"

#include <signal.h>

#define ON "REUSEADDR=on"

/* Serve one connection on the port, close it first: a TIME_WAIT of ours keeps the port. */
static struct ended serve(const char *settings, const struct family *f, uint16_t port, const char *flag) {
    struct victim v = victim_start(settings, "server_close %s %u -q 10 -b 10 %s", f->listen, port, flag);

    victim_wait_out(&v, "port ");
    if (strstr(victim_out(&v), "port "))
        client_run(&(struct client_options){ .address = f->connect, .port = port, .n = 1, .send = 10 });
    return victim_wait(&v);
}

Test(reuseaddr, a_server_restarts_on_a_port_in_time_wait) {
    ns_enter();
    for (unsigned i = 0; i < FAMILIES * 2; i++) {
        const struct family *f = &families[i / 2];
        const char *flag = i % 2 ? "-N" : "";
        uint16_t port = (uint16_t)(8080 + i * 10);

        cr_assert_eq(serve(NULL, f, port, flag).status, 0, "%s", f->name);
        cr_assert_str_eq(serve(NULL, f, port, flag).out, "error bind:EADDRINUSE\n", "%s bare", f->name);

        port++;
        for (int run = 0; run < 3; run++) {
            struct ended e = serve(ON, f, port, flag);
            cr_assert_eq(e.status, 0, "%s %s, run %d: %s", f->name, flag, run, e.out);
        }
        ns_settle();
        cr_assert_gt(ns_count(ST_TIME_WAIT, port, 0), 0, "%s: there was no TIME_WAIT in the way", f->name);
    }
}

/* The option must be on the old socket too, so it is there before a listen that no bind preceded. */
Test(reuseaddr, a_port_that_listen_chose_can_be_bound_again) {
    ns_enter();
    for (int treated = 0; treated < 2; treated++) {
        ns_port_range(40000u + (unsigned)treated, 40000u + (unsigned)treated);
        uint16_t port = (uint16_t)(40000 + treated);
        struct victim v = victim_start(treated ? ON : NULL, "server_close 127.0.0.1 0 -u -q 10 -b 10");
        ns_wait_listen(port);
        ns_port_range(41000, 42000);
        client_run(&(struct client_options){ .port = port, .n = 1, .send = 10 });
        cr_assert_eq(victim_wait(&v).status, 0);
        struct ended again = serve(ON, &families[0], port, "");
        if (treated)
            cr_assert_eq(again.status, 0, "%s", again.out);
        else
            cr_assert_str_eq(again.out, "error bind:EADDRINUSE\n");
    }
}

/* bind takes AF_UNSPEC with 0.0.0.0 for AF_INET: programs that set no family have the policy, too. */
Test(reuseaddr, who_binds_without_a_family_has_it_too) {
    ns_enter();
    for (int i = 0; i < 3; i++) {
        struct ended e = run(i ? ON : NULL, "bind_steps 127.0.0.1 %s reuse? listen name",
                             i == 2 ? "bind:8081" : "unspec:8080");
        cr_expect_str_eq(e.out, i ? "bind 0\nreuse 1\nlisten 0\nname 0\nport new\n"
                                  : "bind 0\nreuse 0\nlisten 0\nname 0\nport new\n");
    }
    struct ended e = run(ON, "bind_steps ::1 unspec:8082 reuse?");
    cr_expect_str_eq(e.out, "bind EINVAL\nreuse 0\n"); /* too short */
}

Test(reuseaddr, it_takes_no_port_from_a_live_listener) {
    ns_enter();
    struct victim first = victim_start(ON, "server_close 127.0.0.1 8080");
    ns_wait_listen(8080);
    struct ended e = run(ON, "server_close 127.0.0.1 8080");
    cr_assert(strstr(e.out, "EADDRINUSE"), "%s", e.out);
    victim_kill(&first, SIGKILL);
}

Test(reuseaddr, udp_is_never_touched) {
    ns_enter();
    const char *bare = run(NULL, "udp_bind 127.0.0.1 8080").out;
    cr_assert_str_eq(bare, "bind 0\nbind EADDRINUSE\n");
    cr_assert_str_eq(run(ON, "udp_bind 127.0.0.1 8080").out, bare);
}
