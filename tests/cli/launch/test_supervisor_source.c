/* source= of static programs, reached from outside: where connections come from, how many fit, and that nothing fails that
 * would not without it. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/said.h"

#include <stdlib.h>

enum { RANGE = 100 };

static const char *static_victim(const char *name) {
    return victim_path(text("static/%s", name));
}

/* `afterfin run -q -p SETTING connect_many ADDRESS PORT N [FLAG]`, or without a setting. */
static struct ended connect_many(const char *setting, const char *address, const struct peer *peer, int n,
                                 const char *flag, const char *value) {
    const char *program = static_victim("connect_many"), *port = text("%u", peer->port), *count = text("%d", n);
    if (!setting)
        return run_argv(NULL, (const char *[]){ program, address, port, count, flag, value, NULL });
    return command(NULL, "run", "-q", "-p", setting, program, address, port, count, flag, value, NULL);
}

static void with_few_ports(void) {
    ns_enter();
    ns_port_range(40000, 40000 + RANGE - 1);
}

/* Four addresses hold four times as many, each the same share; blocking or not, from several threads, over IPv6 too. */
Test(supervisor_source, four_addresses_hold_four_times_as_many_connections) {
    static const char *const flags[][2] = { { NULL }, { "-N" }, { "-t", "5" } };
    static const struct {
        const char *setting, *pool[4];
        int family;
    } rows[] = {
        { "source=127.0.0.2-127.0.0.5", { "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5" }, 0 },
        { "rules=connect 127.0.0.1 source=127.0.0.2+127.0.0.4-127.0.0.6",
          { "127.0.0.2", "127.0.0.4", "127.0.0.5", "127.0.0.6" },
          0 },
        { "source=fd00::1-fd00::3,::1,127.0.0.2-127.0.0.5", { "fd00::1", "fd00::2", "fd00::3", "::1" }, 1 },
        { "source=fd00::1-fd00::3,::1,127.0.0.2-127.0.0.5",
          { "::ffff:127.0.0.2", "::ffff:127.0.0.3", "::ffff:127.0.0.4", "::ffff:127.0.0.5" },
          2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
            const struct family *f = &families[rows[i].family];
            with_few_ports();
            for (int a = 0; a < 3; a++)
                run(NULL, "ip addr add fd00::%d/128 dev lo nodad", a + 1);
            struct peer peer = peer_start(&(struct peer_options){ .address = f->listen, .holds = true });
            struct ended e = connect_many(rows[i].setting, f->connect, &peer, 6 * RANGE, flags[k][0], flags[k][1]);
            cr_expect_eq(said_made(e.out), 4 * RANGE, "%s, row %zu, flag %zu: %s%s", f->name, i, k, e.out, e.err);
            for (int a = 0; a < 4; a++)
                cr_expect_eq(said_from(e.out, rows[i].pool[a]), RANGE, "%s, row %zu, flag %zu: %s", f->name, i, k,
                             e.out);
            peer_stop(&peer);
        }
}

/* 127.0.0.3 is there, and no route leads from it; 10.9.9.9 is not. */
Test(supervisor_source, an_address_that_is_not_there_or_leads_nowhere_is_passed_over) {
    static const struct {
        const char *setting, *address;
    } rows[] = {
        { "source=10.9.9.9,127.0.0.2", "127.0.0.2" },
        { "source=127.0.0.2-127.0.0.3", "127.0.0.2" },
        { "source=10.9.9.9", "127.0.0.1" },
        { "source=127.0.0.3", "127.0.0.1" },
        { "source=10.0.0.1-10.255.255.255", "127.0.0.1" },
    };
    with_few_ports();
    struct ended e = run(NULL, "ip rule add pref 5 lookup local");
    if (e.status == 0)
        e = run(NULL, "ip rule del pref 0");
    if (e.status == 0)
        e = run(NULL, "ip rule add pref 1 from 127.0.0.3 prohibit");
    if (e.status != 0)
        cr_skip("no rules of routing to be had: %s", e.err);
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        e = connect_many(rows[i].setting, "127.0.0.1", &peer, 10, NULL, NULL);
        cr_expect_eq(said_made(e.out), 10, "%s: %s%s", rows[i].setting, e.out, e.err);
        cr_expect_eq(said_from(e.out, rows[i].address), 10, "%s: %s", rows[i].setting, e.out);
    }
}

Test(supervisor_source, the_programs_own_choice_stays) {
    static const struct {
        const char *settings[2], *steps, *address;
    } rows[] = {
        { { "source=127.0.0.9" }, "connect:%u", "127.0.0.9" },
        { { "source=127.0.0.9" }, "bind connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9", "bind_no_port=on" }, "bind connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9", "bind_no_port=on" }, "bind@0.0.0.0 connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9" }, "bind@127.0.0.7 connect:%u", "127.0.0.7" },
        { { "source=127.0.0.9", "override=on" }, "bind@127.0.0.7 connect:%u", "127.0.0.7" },
        { { "source=127.0.0.9" }, "bind@0.0.0.0 connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9" }, "freebind connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9" }, "device connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9", "override=on" }, "device connect:%u", "127.0.0.9" },
        { { "source=127.0.0.9" }, "connect:%u@0.0.0.0", "127.0.0.1" },
        { { "source=::1,fd00::7" }, "connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9", "rules=connect :1-5 source=127.0.0.5" }, "connect:%u", "127.0.0.9" },
        { { "source=127.0.0.9", "rules=connect * source=off" }, "connect:%u", "127.0.0.1" },
        { { "source=127.0.0.9", "skip=bind_steps" }, "connect:%u", "127.0.0.1" },
    };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *argv[24] = { command_path(), "run", "-q" };
        size_t n = 3;
        for (size_t k = 0; k < 2 && rows[i].settings[k]; k++) {
            argv[n++] = "-p";
            argv[n++] = rows[i].settings[k];
        }
        argv[n++] = static_victim("bind_steps");
        argv[n++] = "127.0.0.1";
        char steps[128];
        snprintf(steps, sizeof steps, rows[i].steps, peer.port);
        for (char *at = strtok(steps, " "); at; at = strtok(NULL, " "))
            argv[n++] = at;
        argv[n++] = "address";
        struct ended e = run_argv(NULL, argv);
        cr_expect(strstr(e.out, "connect 0\n") && strstr(e.out, text("address %s\n", rows[i].address)), "row %zu: %s%s",
                  i, e.out, e.err);
    }
}

/* What it sees of its socket before there is a connection, and after one, is what it sees without. */
Test(supervisor_source, the_program_sees_what_it_sees_without) {
    static const char *const steps[] = {
        "no_port? connect:9 no_port? v6only?",
        "connect:9 bind name no_port?",
        "connect:9 listen address",
        "connect:9 connect:%u no_port? v6only?",
        "connect:%u bind listen",
        "nonblock connect:9 wait listen",
        "nonblock connect:%u wait connect:%u",
        "connect:9@203.0.113.1 connect:%u",
        "connect:0 connect:%u",
        "connect:9 v6only? connect:%u@::ffff:127.0.0.1",
        "v6only connect:9 v6only? connect:%u",
    };
    ns_enter();
    run(NULL, "ip addr add fd00::1/128 dev lo nodad");
    for (int i = 0; i < FAMILIES; i++) {
        struct peer peer = peer_start(&(struct peer_options){ .address = families[i].listen });
        for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
            char line[192];
            if (i == 0 && (strstr(steps[s], "@::") || strstr(steps[s], "v6only ")))
                continue;
            snprintf(line, sizeof line, steps[s], peer.port, peer.port);
            const char *bare =
                strdup(run(NULL, "%s %s %s", static_victim("bind_steps"), families[i].connect, line).out);
            struct ended e = run(NULL, "%s run -q -p source=127.0.0.11,10.1.1.1,fd00::1,fd00::77 %s %s %s",
                                 command_path(), static_victim("bind_steps"), families[i].connect, line);
            cr_expect_str_eq(e.out, bare, "%s, %s: %s, bare %s", families[i].name, line, e.out, bare);
        }
        peer_stop(&peer);
    }
}
