/* Runs that outlive their TIME_WAITs. A real one would take 65 s: here they are ended early, by SOCK_DESTROY or
 * by a short tcp_fin_timeout, between two looks (`make soak` waits for real ones). */
#include "cli/ledgers/sample.h"
#include "cli/ledgers/settle.h"
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct af_collection collected(const char *directory) {
    struct af_collection c;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    af_collect(&c, fd);
    close(fd);
    af_settle_records(&c);
    return c;
}

/* A kernel that has these cookies in TIME_WAIT. */
static struct af_kernel_sockets showing(const uint64_t *cookies, size_t n) {
    struct af_kernel_sockets kernel = { calloc(n + 1, sizeof *kernel.all), n, AF_IN_ANY };
    for (size_t i = 0; i < n; i++)
        kernel.all[i] = (struct af_kernel_socket){ .cookie = cookies[i], .state = AF_IN_TIME_WAIT };
    return kernel;
}

static uint64_t confirmed(const struct af_collection *c, int32_t pid) {
    for (size_t i = 0; i < c->n_rows; i++)
        if (c->rows[i].seen.pid == pid)
            return c->rows[i].confirmed;
    return UINT64_MAX;
}

/* Process 10 closes 1 to 6, process 20 closes 7; 8 is nobody's. Each row is one look: which of them stand. */
Test(sample, confirms_each_TIME_WAIT_once_however_often_it_was_seen) {
    static const struct {
        const char *name, *looks[5]; /* the last is the dump at the end */
        uint64_t ten, twenty, expired;
    } rows[] = {
        { "never looked", { "123" }, 3, 0, 0 },
        { "seen again and again", { "12", "12", "12" }, 2, 0, 0 },
        { "expired", { "12", "" }, 2, 0, 2 },
        { "some expired, some stand, some are new", { "123", "237", "347" }, 4, 1, 2 },
        { "all gone long ago", { "1", "2", "7", "" }, 2, 1, 3 },
        { "not of ours", { "8", "8", "" }, 0, 0, 0 },
        { "in another order", { "321", "13", "1" }, 3, 0, 2 },
    };
    const char *directory = new_directory();
    struct af_ledger *a = make_ledger(directory, "a.ledger"), *b = make_ledger(directory, "b.ledger");
    b->pid++;
    uint32_t ten = make_process(a, 10), twenty = make_process(b, 20);
    for (uint64_t cookie = 1; cookie <= 6; cookie++)
        make_closed(a, cookie, cookie, ten, ten, AF_END_TIME_WAIT);
    make_closed(b, 7, 7, twenty, twenty, AF_END_TIME_WAIT);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_samples samples = { .standing = NULL };
        struct af_collection c = collected(directory);
        for (size_t look = 0; rows[i].looks[look]; look++) {
            uint64_t cookies[8];
            size_t n = strlen(rows[i].looks[look]);
            for (size_t k = 0; k < n; k++)
                cookies[k] = (uint64_t)(rows[i].looks[look][k] - '0');
            struct af_kernel_sockets kernel = showing(cookies, n);
            if (rows[i].looks[look + 1]) {
                struct af_collection now = collected(directory); /* rows may stand elsewhere each time */
                af_sample_add(&samples, &kernel, &now);
                af_collection_free(&now);
            } else {
                uint64_t expired = af_sample_settle(&samples, &c, &kernel, 0);
                cr_expect_eq(expired, rows[i].expired, "%s: %d expired", rows[i].name, (int)expired);
                af_settle_kernel(&c, &kernel, 0);
            }
            free(kernel.all);
        }
        cr_expect_eq(confirmed(&c, 10), rows[i].ten, "%s: %d", rows[i].name, (int)confirmed(&c, 10));
        cr_expect_eq(confirmed(&c, 20), rows[i].twenty, "%s: %d", rows[i].name, (int)confirmed(&c, 20));
        af_collection_free(&c);
        af_samples_free(&samples);
    }
}

Test(sample, reads_no_ledger_when_the_kernel_shows_nothing_new) {
    static const uint64_t cookies[] = { 5, 3, 9 };
    struct af_samples samples = { .standing = NULL };
    struct af_kernel_sockets two = showing(cookies, 2), three = showing(cookies, 3), none = showing(cookies, 0);
    cr_assert(af_sample_has_new(&samples, &two));
    af_sample_add(&samples, &two, NULL);
    cr_assert_not(af_sample_has_new(&samples, &two));
    cr_assert_not(af_sample_has_new(&samples, &none));
    cr_assert(af_sample_has_new(&samples, &three));
    cr_assert_eq(samples.n_standing, 2);
    af_sample_add(&samples, &none, NULL);
    cr_assert_eq(samples.n_standing + samples.n_expired + samples.n_gone, 0, "strangers leave nothing behind");
}

Test(sample, looks_often_enough_for_every_TIME_WAIT_and_FIN_WAIT2) {
    static const unsigned rows[][2] = { { 60, 20 }, { 120, 20 }, { 40, 20 }, { 30, 15 },
                                        { 5, 2 },   { 2, 1 },    { 1, 1 },   { 0, 20 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(af_sample_interval(rows[i][0]), rows[i][1], "tcp_fin_timeout %u: %u", rows[i][0],
                     af_sample_interval(rows[i][0]));
}

/* ---- the whole command ---------------------------------------------------------------------------------------- */

static void expect(const json_t *json, const char *path, long wanted, const char *what) {
    cr_expect_eq(json_number(json, path), wanted, "%s: %s is %ld, not %ld", what, path, json_number(json, path),
                 wanted);
}

static void need_sock_destroy(const struct peer *peer) {
    cr_assert_eq(run(NULL, "connect_close 127.0.0.1 %u", peer->port).status, 0);
    if (run(NULL, "ss -K -t -o state time-wait").status != 0 || ns_tw() != 0)
        cr_skip_test("ss -K removes no TIME_WAIT here");
}

/* Nothing is ended early here: a TIME_WAIT lives for 60 s, and the run for longer. */
Test(soak, a_run_of_70_seconds_confirms_all_of_its_TIME_WAITs, .timeout = 200) {
    if (!getenv("AFTERFIN_SOAK"))
        cr_skip_test("takes 70 s: make soak");
    unsetenv("AFTERFIN_SOAK");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char port[16];
    snprintf(port, sizeof port, "%u", peer.port);
    json_t *json = run_json(NULL, 0, "sh", "-c",
                            "\"$2\" 127.0.0.1 $1 30 1 -c; i=0; while [ $i -lt 14 ]; do "
                            "\"$0\" 127.0.0.1 $1 -n 10; sleep 5; i=$((i + 1)); done",
                            victim_path("connect_close"), port, victim_path("kill_open"), NULL);
    long sum = 0, attributed = json_number(json, "kernel.attributed");
    size_t at;
    const json_t *process;
    json_array_foreach(json_object_get(json, "processes"), at, process)
        sum += json_number(process, "time_wait_confirmed");
    cr_assert_eq(json_number(json, "totals.time_wait"), 171);
    cr_assert_eq(sum, 171, "%ld", sum);
    cr_assert(attributed > 0 && attributed < 171, "some have expired: %ld", attributed);
    cr_assert_eq(json_number(json, "totals.open"), 0);
}

/* With tcp_fin_timeout 2 the command looks every second. $0 the victim, $1 the port, $2 the other victim. */
Test(sample, a_run_confirms_what_has_expired_before_its_end) {
    static const struct {
        const char *name, *script;
        bool holds; /* the peer never closes: orphans in FIN_WAIT2, of 2 s */
        long time_wait, confirmed, attributed;
    } rows[] = {
        { "closed",
          "\"$0\" 127.0.0.1 $1 -n 20; sleep 2.5; ss -K -t -o state time-wait >&2; "
          "\"$0\" 127.0.0.1 $1 -n 5",
          false, 25, 25, 5 },
        { "killed",
          "\"$2\" 127.0.0.1 $1 20 1 -c; sleep 2.5; ss -K -t -o state time-wait >&2; "
          "\"$0\" 127.0.0.1 $1 -n 5",
          false, 26, 26, 5 },
        { "in FIN_WAIT2", "\"$0\" 127.0.0.1 $1 -n 20; sleep 5", true, 20, 20, 0 },
    };
    ns_enter();
    ns_sysctl("tcp_fin_timeout", "2");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer peer = peer_start(&(struct peer_options){ .holds = rows[i].holds });
        char port[16];
        snprintf(port, sizeof port, "%u", peer.port);
        if (!rows[i].holds)
            need_sock_destroy(&peer);
        json_t *json = run_json(NULL, 0, "sh", "-c", rows[i].script, victim_path("connect_close"), port,
                                victim_path("kill_open"), NULL);
        long sum = 0;
        size_t at;
        const json_t *process;
        json_array_foreach(json_object_get(json, "processes"), at, process)
            sum += json_number(process, "time_wait_confirmed");
        expect(json, "totals.time_wait", rows[i].time_wait, rows[i].name);
        cr_expect_eq(sum, rows[i].confirmed, "%s: %ld confirmed", rows[i].name, sum);
        expect(json, "kernel.attributed", rows[i].attributed, rows[i].name);
        expect(json, "totals.open", 0, rows[i].name);
        peer_stop(&peer);
    }
}
