/* report --prometheus --listen: what it serves, to whom, and that nobody is harmed by who is slow. */
#include "tests/cli/report/metrics.h"
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const char *directory;
static unsigned port;

static struct victim serve(void) {
    ns_enter();
    directory = new_directory();
    struct af_ledger *ledger = make_ledger(directory, "1.ledger");
    make_count(ledger, make_process(ledger, 1), AF_COUNT_connects, 12);
    struct victim v = victim_start_argv(NULL, (const char *[]){ "sh", "-c", "exec \"$@\" 2>&1", "sh", command_path(),
                                                                "report", "-d", directory, "--prometheus", "--listen",
                                                                ":0", NULL });
    victim_wait_out(&v, "/metrics");
    cr_assert_eq(sscanf(victim_out(&v), "afterfin: report: http://127.0.0.1:%u/metrics", &port), 1, "%s",
                 victim_out(&v));
    return v;
}

static struct ended get(const char *options, const char *path) {
    return shell("exec curl -s --http1.1 %s http://127.0.0.1:%u%s", options, port, path);
}

static void need(const char *program) {
    if (shell("command -v %s", program).status != 0)
        cr_skip_test("no %s", program);
}

Test(report_listen, serves_what_report_prints_to_GET_and_HEAD_of_one_path) {
    need("curl");
    struct victim v = serve();
    const char *wanted = command(NULL, "report", "-d", directory, "--prometheus", NULL).out;
    struct ended e = get("-i", "/metrics"), head = get("-I", "/metrics");
    const char *body = strstr(e.out, "\r\n\r\n");
    cr_assert(strncmp(e.out, "HTTP/1.1 200 ", 13) == 0 && body, "%s", e.out);
    cr_expect_str_eq(body + 4, wanted);
    cr_expect_eq(metric(body + 4, "afterfin_connects_total{program=\"made\"}"), 12);
    cr_expect(strstr(e.out, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "%s", e.out);
    cr_expect(strncmp(head.out, "HTTP/1.1 200 ", 13) == 0 && strstr(head.out, "\r\n\r\n")[4] == 0, "%s", head.out);
    static const char *const rows[][3] = {
        { "-i", "/", "HTTP/1.1 404 " },
        { "-i", "/metrics/", "HTTP/1.1 404 " },
        { "-i --path-as-is", "/../metrics", "HTTP/1.1 404 " },
        { "-i", "/metrics?a=b", "HTTP/1.1 200 " },
        { "-i -d a=b", "/metrics", "HTTP/1.1 405 " },
        { "-i -X PUT", "/metrics", "HTTP/1.1 405 " },
        { "-i -X DELETE", "/metrics", "HTTP/1.1 405 " },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        e = get(rows[i][0], rows[i][1]);
        cr_expect(strncmp(e.out, rows[i][2], strlen(rows[i][2])) == 0, "%s %s: %s", rows[i][0], rows[i][1], e.out);
    }
    if (shell("command -v promtool").status == 0) {
        e = shell("curl -s http://127.0.0.1:%u/metrics | promtool check metrics", port);
        cr_expect_eq(e.status, 0, "%s", e.err);
        cr_expect_str_empty(e.err);
    }
    kill(v.pid, SIGTERM);
    cr_expect_eq(victim_wait(&v).status, 0);
}

Test(report_listen, says_what_is_wrong) {
    static const char *const rows[][2] = {
        { "--prometheus --listen 127.0.0.1", "--listen needs ADDR:PORT" },
        { "--prometheus --listen localhost:9", "--listen needs ADDR:PORT" },
        { "--prometheus --listen :70000", "--listen needs ADDR:PORT" },
        { "--prometheus --listen ::1:80", "--listen needs ADDR:PORT" },
        { "--listen :9642", "goes with --prometheus" },
        { "--prometheus=/x --listen :9642", "goes with --prometheus" },
        { "--json --listen :9642", "goes with --prometheus" },
        { "--prometheus --listen :9642 /dev/null", "no FILE, LOG or --clean" },
        { "--prometheus --clean --listen :9642", "no FILE, LOG or --clean" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = shell("exec %s report %s", command_path(), rows[i][0]);
        cr_expect_eq(e.status, 2, "%s: %d", rows[i][0], e.status);
        cr_expect(strstr(e.err, rows[i][1]), "%s: %s", rows[i][0], e.err);
    }
    struct ended e = shell("exec %s report --prometheus --listen 192.0.2.1:9642", command_path());
    cr_expect(e.status == 1 && strstr(e.err, "--listen: Cannot assign requested address"), "%s", e.err);
}

/* ---- who is slow ------------------------------------------------------------------------------------------------- */

static int connect_with(const char *text) {
    const struct sockaddr_in to = { .sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int little = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    if (*text)
        send(fd, text, strlen(text), MSG_NOSIGNAL);
    return fd;
}

static unsigned count_descriptors(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    return entries(path, "");
}

Test(report_listen, answers_while_1000_who_ask_and_do_not_read_have_their_places_taken) {
    enum { SLOW = 1000, MOST = 128 };
    static const char *const texts[] = { "", "GET /me", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" };
    need("curl");
    struct victim v = serve();
    const time_t began = time(NULL);
    for (int i = 0; i < SLOW; i++)
        connect_with(texts[i % 3]);
    struct ended e = get("-i", "/metrics");
    cr_expect(strncmp(e.out, "HTTP/1.1 200 ", 13) == 0, "%d %s", e.status, e.out);
    cr_expect(strstr(e.out, "afterfin_connects_total{program=\"made\"} 12\n"));
    /* If they were let go after their 10 s, and not because others come, it would take 70 s. */
    cr_expect_lt(time(NULL) - began, 50);
    cr_expect_leq(count_descriptors(v.pid), MOST + 16, "%u", count_descriptors(v.pid));
    e = shell("awk '/^VmRSS/ { print $2 }' /proc/%d/status", (int)v.pid);
    cr_expect_lt(atoi(e.out), 32 * 1024, "%s KB", e.out);
    kill(v.pid, SIGINT);
    cr_expect_eq(victim_wait(&v).status, 0);
}

/* Nobody else comes, and something does come now and then: it is the time that ends it. */
Test(report_listen, waits_for_nobody_for_ever) {
    struct victim v = serve();
    char c;
    struct pollfd slow = { .fd = connect_with("GET /metrics HTTP/1.1\r\nX: "), .events = POLLIN };
    for (int i = 0; i < 220 && poll(&slow, 1, 500) == 0; i++)
        send(slow.fd, "x", 1, MSG_NOSIGNAL);
    cr_assert_eq(poll(&slow, 1, 0), 1, "it still waits");
    cr_expect_leq(recv(slow.fd, &c, 1, 0), 0);
    victim_kill(&v, SIGTERM);
}

/* Debian's Prometheus, until it has the value. */
Test(report_listen, prometheus_scrapes_it) {
    need("curl");
    need("prometheus");
    struct victim v = serve();
    const char *home = new_directory();
    struct ended e =
        shell("cd %s && printf 'scrape_configs:\\n- job_name: a\\n  scrape_interval: 1s\\n  scrape_timeout: 1s\\n"
              "  static_configs:\\n  - targets: [\"127.0.0.1:%u\"]\\n' >p.yml && "
              "{ prometheus --config.file=p.yml --storage.tsdb.path=d --web.listen-address=127.0.0.1:9099 "
              ">log 2>&1 & p=$!; for i in $(seq 100); do sleep 0.5; a=$(curl -s "
              "'http://127.0.0.1:9099/api/v1/query?query=afterfin_connects_total'); "
              "case $a in *'\"12\"'*) break;; esac; done; kill $p; wait $p; echo \"$a\"; }",
              home, port);
    cr_expect(strstr(e.out, "\"program\":\"made\""), "%s%s", e.out, e.err);
    victim_kill(&v, SIGTERM);
}
