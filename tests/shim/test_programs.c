/* nginx, and what calls it: ab, wrk, curl. Each runs bare, counted, and with linger=ack, on either side; the
 * kernel's count of TIME_WAITs is the log's, and what it prints is what it prints without us. */
#include "tests/harness/programs.h"

#include <signal.h>

#define PORT "8080"

/* keepalive_requests: only the client ends a connection that is kept alive. On port 8100 an answer has neither a
 * length nor chunks, and is over when the server closes: then it is first for sure. */
static const char nginx_conf[] = "user root; daemon off; %s worker_processes 2; error_log stderr; pid nginx.pid;\n"
                                 "events { worker_connections 512; }\n"
                                 "http {\n"
                                 "    access_log off; keepalive_requests 1000000; keepalive_timeout 60s;\n"
                                 "    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n"
                                 "    uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
                                 "    gzip_types *; gzip_min_length 1;\n"
                                 "    server { listen 127.0.0.1:8080-8099; location / { return 200 \"hello\\n\"; } }\n"
                                 "    server { listen 127.0.0.1:8100; gzip on; chunked_transfer_encoding off;\n"
                                 "             location / { return 200 \"hello\\n\"; } }\n"
                                 "}\n";

/* wrk stops in the middle of its requests, and who is first then is a matter of luck: let it fall silent before. */
static const char wrk_lua[] = "local sent = 0\n"
                              "function request() sent = sent + 1; return wrk.format() end\n"
                              "function delay() if sent < 500 then return 0 end return 60000 end\n";

/* In a user namespace there are no groups to change to, which a master demands of itself. */
static const char *make_directory(void) {
    static char conf[2048];
    const char *groups = file_text("/proc/self/setgroups");
    bool may = !groups || strncmp(groups, "deny", 4) != 0;

    snprintf(conf, sizeof conf, nginx_conf, may ? "" : "master_process off;");
    return program_directory((const char *const[]){ "nginx.conf", conf, "wrk.lua", wrk_lua, NULL });
}

/* The lines of the client's that vary; how many connections the server, and the client, is sure to end first. */
struct row {
    const char *client, *varying;
    long server_first, client_first;
    bool not_with_server_ack;
    /* Both sides close at one moment: whether FINs cross is not for a close to know, and counts may differ by it. */
    bool luck;
};

static void expect_same(const struct row *row, const struct outcome *o, const struct outcome *bare, const char *sides) {
    cr_expect_eq(o->client.status, bare->client.status, "%s, %s: %d", row->client, sides, o->client.status);
    cr_expect_str_eq(masked(o->client.out, row->varying, false), masked(bare->client.out, row->varying, false),
                     "%s, %s:\n%s\nbare:\n%s", row->client, sides, o->client.out, bare->client.out);
    cr_expect_str_eq(masked(o->client.err, row->varying, false), masked(bare->client.err, row->varying, false),
                     "%s, %s:\n%s", row->client, sides, o->client.err);
    cr_expect_eq(o->server.status, bare->server.status, "nginx, %s: %s", sides, o->server.err);
    cr_expect_str_eq(masked(o->server.err, NULL, true), masked(bare->server.err, NULL, true), "%s: %s", sides,
                     o->server.err);
}

static void check(const struct row *row) {
    const char *directory = make_directory();
    struct pair pair = { "/usr/sbin/nginx -e stderr -c nginx.conf -p %s", row->client, directory, 8080, SIGQUIT };
    struct outcome bare = run_pair(&pair, &all_sides[0]);

    cr_assert_eq(bare.client.status, 0, "%s: %s%s", row->client, bare.client.out, bare.client.err);
    cr_assert_eq(bare.server.status, 0, "nginx: %s", bare.server.err);
    cr_assert_geq(bare.tw - bare.client_tw, row->server_first, "%s: %ld", row->client, bare.tw - bare.client_tw);
    cr_assert_geq(bare.client_tw, row->client_first, "%s: %ld", row->client, bare.client_tw);
    for (size_t i = 1; i < SIDES; i++) {
        const struct sides *sides = &all_sides[i];
        if (row->not_with_server_ack && sides->server && sides->ack)
            continue;
        struct outcome o = run_pair(&pair, sides);
        expect_same(row, &o, &bare, sides->name);
        if (!row->luck)
            expect_counted(&o, sides, row->client);
        if (sides->ack && sides->server)
            cr_expect_geq(log_sum(o.server_log, "avoided"), row->server_first, "%s", o.server_log);
        if (sides->ack && sides->client)
            cr_expect_geq(log_sum(o.client_log, "avoided"), row->client_first, "%s", o.client_log);
    }
    program_directory_remove(directory);
}

static void need_nginx_and(const char *client) {
    need_program("/usr/sbin/nginx");
    need_program(client);
}

#define AB_VARIES \
    "Time taken|Requests per|Time per|Transfer rate|Connect:|Processing:|Waiting:|Total:|" \
    "50%|66%|75%|80%|90%|95%|98%|99%|100%|Total transferred|HTML transferred"

/* A peer of linger=ack finds ERR beside IN in its poll. ab then opens two connections in the place of one, and
 * waits for the answer to a request that it never sent; no other program here does such a thing. */
Test(programs, nginx_and_ab_with_a_connection_a_request) {
    need_nginx_and("ab");
    check(&(struct row){ "ab -q -S -n 2000 -c 10 http://127.0.0.1:" PORT "/", AB_VARIES, 2000, 0, true, false });
}

Test(programs, nginx_and_ab_with_connections_kept_alive) {
    need_nginx_and("ab");
    check(&(struct row){ "ab -k -q -S -n 2000 -c 10 http://127.0.0.1:" PORT "/", AB_VARIES, 0, 10, false, false });
}

Test(programs, nginx_and_curl) {
    need_nginx_and("curl");
    check(&(struct row){ "curl -sS http://127.0.0.1:[8080-8099]/", NULL, 0, 20, false, false });
}

Test(programs, nginx_that_closes_first_and_curl) {
    need_nginx_and("curl");
    check(&(struct row){ "curl -sS --compressed http://127.0.0.1:8100/?[1-500]", NULL, 500, 0, false, false });
}

/* Its multi interface: 50 at once, each ended by nginx. */
Test(programs, nginx_that_closes_first_and_curl_with_many_at_once) {
    need_nginx_and("curl");
    check(&(struct row){
        "curl -sS -Z --no-progress-meter --parallel-max 50 --compressed http://127.0.0.1:8100/?[1-500]", NULL, 400, 0,
        false, false });
}

Test(programs, nginx_that_closes_first_and_h2load) {
    need_nginx_and("h2load");
    check(&(struct row){ "h2load --h1 -n 500 -c 20 -H Connection:close http://127.0.0.1:" PORT "/",
                         "finished|traffic|time for|time to|req/s|min|progress|spawning", 400, 0, false, true });
}

Test(programs, nginx_and_wrk) {
    need_nginx_and("wrk");
    check(&(struct row){ "wrk -t2 -c20 -d1s -s %s/wrk.lua http://127.0.0.1:" PORT "/",
                         "Thread Stats|Latency|Req/Sec|Requests/sec|Transfer/sec|9|1", 0, 20, false, false });
}

/* curl closes once it has a whole answer, and so does nginx where it was told to: then the one whose FIN comes
 * second has counted itself as first now and then, for it looks before it closes. Never less than the kernel,
 * and never more than both. (The command's join by cookie sets it right.) */
Test(programs, connections_that_both_sides_close_at_once_are_never_missed) {
    enum { N = 500 };

    need_nginx_and("curl");
    const char *directory = make_directory();
    struct pair pair = { "/usr/sbin/nginx -e stderr -c nginx.conf -p %s",
                         "curl -sS -HConnection:close http://127.0.0.1:" PORT "/?[1-500]", directory, 8080, SIGQUIT };
    struct outcome o = run_pair(&pair, &all_sides[3]);
    long counted = log_sum(o.client_log, "time_wait") + log_sum(o.server_log, "time_wait");
    cr_expect_geq(o.tw, N, "%ld", o.tw);
    cr_expect_geq(counted, o.tw, "%ld, kernel %ld", counted, o.tw);
    cr_expect_leq(counted, 2 * N, "%ld", counted);
    program_directory_remove(directory);
}
