/* redis-server and redis-benchmark, with lasting connections and with one for each request. */
#include "tests/harness/programs.h"

#include <signal.h>

static const char redis_conf[] = "port 7000\nbind 127.0.0.1\nsave \"\"\nappendonly no\nloglevel warning\n";

static void check(const char *client, long client_first) {
    need_program("redis-server");
    need_program("redis-benchmark");
    const char *directory = program_directory((const char *const[]){ "redis.conf", redis_conf, NULL });
    struct pair pair = { "redis-server %s/redis.conf", client, directory, 7000, SIGTERM };
    struct outcome bare = run_pair(&pair, &all_sides[0]);

    cr_assert_eq(bare.client.status, 0, "%s%s", bare.client.out, bare.client.err);
    cr_assert_eq(bare.server.status, 0, "%s%s", bare.server.out, bare.server.err);
    cr_assert_geq(bare.client_tw, client_first, "%ld", bare.client_tw);
    for (size_t i = 1; i < SIDES; i++) {
        const char *name = all_sides[i].name;
        struct outcome o = run_pair(&pair, &all_sides[i]);
        expect_counted(&o, &all_sides[i], client);
        cr_expect_eq(o.client.status, 0, "%s: %s", name, o.client.err);
        cr_expect_str_eq(masked(o.client.out, NULL, false), masked(bare.client.out, NULL, false), "%s: %s", name,
                         o.client.out);
        cr_expect_str_eq(masked(o.client.err, NULL, false), masked(bare.client.err, NULL, false), "%s: %s", name,
                         o.client.err);
        cr_expect_eq(o.server.status, 0, "%s: %s", name, o.server.out);
        cr_expect_str_eq(masked(o.server.out, NULL, true), masked(bare.server.out, NULL, true), "%s: %s", name,
                         o.server.out);
        cr_expect_str_empty(o.server.err, "%s: %s", name, o.server.err);
        if (all_sides[i].client && all_sides[i].ack)
            cr_expect_geq(log_sum(o.client_log, "avoided"), client_first, "%s", o.client_log);
    }
    program_directory_remove(directory);
}

Test(programs, redis_with_connections_kept_alive) {
    check("redis-benchmark -p 7000 -n 2000 -c 20 -t ping_inline,set --csv", 20);
}

Test(programs, redis_with_a_connection_a_request) {
    check("redis-benchmark -p 7000 -n 1000 -c 10 -k 0 -t set --csv", 1000);
}
