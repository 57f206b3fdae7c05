/* linger=ack takes itself back where nothing ever came from the peer: what the peer then still gets, judged by the peer
 * alone, with linger=ack-always as the control that takes it away. */
#include "tests/harness/counts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N = 50 };

/* bare, linger=ack, linger=ack-always: treated in silence, and counted. */
static const struct {
    const char *linger;
    bool kept; /* the peer keeps what it would have bare, and the TIME_WAIT is there */
} policies[] = { { NULL, true }, { "ack", true }, { "ack-always", false } };
#define POLICIES ((int)(sizeof policies / sizeof *policies))

static const char *settings_of(int policy, const char *log) {
    if (!policies[policy].linger)
        return NULL;
    return text(log ? "LINGER=%s|LOG=%s" : "LINGER=%s", policies[policy].linger, log);
}

static void expect_counted(int policy, const char *log, const char *name) {
    struct tally got = tally_log(name, log);
    const long kept = policies[policy].kept ? N : 0;
    cr_assert(got.time_wait == kept && got.avoided == N - kept, "%s: time_wait %ld, avoided %ld", name, got.time_wait,
              got.avoided);
}

static int begin_connect(uint16_t port) {
    struct sockaddr_storage to;
    socklen_t len = to_sockaddr("127.0.0.1", port, &to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && (connect(fd, (struct sockaddr *)&to, len) == 0 || errno == EINPROGRESS));
    return fd;
}

/* As an event loop does once its connect is writable: an error there ends the connection, unread as it is. */
static int connect_error(int fd) {
    struct pollfd writable = { .fd = fd, .events = POLLOUT };
    int error = -1;
    socklen_t size = sizeof error;
    cr_assert_eq(poll(&writable, 1, 60000), 1);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), 0);
    return error;
}

static size_t read_all(int fd) {
    char bytes[64];
    size_t all = 0;
    for (ssize_t n; (n = read(fd, bytes, sizeof bytes)) != 0; all += (size_t)n)
        cr_assert_geq(n, 0, "%s", strerror(errno));
    return all;
}

/* The server has come to its end, and the kernel with what it closed, before one client looks. `ways`: how it lets go. */
static void expect_late_clients(const char *how, int bytes) {
    uint16_t port = 8080;

    for (int i = 0; i < 2 * POLICIES; i++, port++) {
        const char *log = i % 2 ? scratch_path() : NULL, *settings = settings_of(i / 2, log);
        const char *name = text("%s%d bytes, %s", how, bytes, settings ? settings : "bare");
        struct victim v = victim_start(settings, "server_close 127.0.0.1 %u -n %d -b %d %s", port, N, bytes, how);
        int fd[N];
        ns_wait_listen(port);
        for (int k = 0; k < N; k++)
            fd[k] = begin_connect(port);
        victim_wait(&v);
        ns_settle();
        for (int k = 0; k < N; k++) {
            const int error = connect_error(fd[k]);
            cr_assert_eq(error, policies[i / 2].kept ? 0 : EPIPE, "%s: %s", name, strerror(error));
            if (!error)
                cr_assert_eq(read_all(fd[k]), bytes, "%s", name);
        }
        cr_assert_eq(ns_count(ST_TIME_WAIT, port, 0) + ns_count(ST_FIN_WAIT2, port, 0), policies[i / 2].kept ? N : 0,
                     "%s", name);
        for (int k = 0; k < N; k++)
            close(fd[k]);
        if (settings && log)
            expect_counted(i / 2, log, name);
    }
}

Test(heard, a_client_that_looks_late_at_its_connect_finds_it_made) {
    static const char *const ways[] = { "", "-x exit", "-x _exit", "-x quick_exit", "-x return" };

    ns_enter();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        expect_late_clients(ways[i], 4);
        ns_enter();
    }
    expect_late_clients("", 0); /* it is refused without a word */
}

Test(heard, nobody_takes_it_back_for_who_is_killed) {
    ns_enter();
    struct victim v = victim_start("LINGER=ack", "server_close 127.0.0.1 8080 -n %d -b 4 -x sigkill", N);
    int fd[N];
    ns_wait_listen(8080);
    for (int k = 0; k < N; k++)
        fd[k] = begin_connect(8080);
    victim_wait(&v);
    ns_settle();
    for (int k = 0; k < N; k++)
        cr_assert_eq(connect_error(fd[k]), EPIPE);
    cr_assert_eq(ns_tw(), 0);
}

/* The other way round: who sends and closes at once. `ways` are victims that do so. */
static void expect_late_server(const char *victim, const char *rest) {
    struct sockaddr_storage at, peer;
    socklen_t len = to_sockaddr("127.0.0.1", 9000, &at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, N) == 0);

    for (int i = 0; i < 2 * POLICIES; i++) {
        const char *log = i % 2 ? scratch_path() : NULL, *settings = settings_of(i / 2, log);
        const char *name = text("%s, %s", victim, settings ? settings : "bare");
        const long before = ns_tw();
        struct ended e = run(settings, rest, victim, 9000, N);
        cr_assert_eq(e.status, 0, "%s: %s%s", name, e.out, e.err);
        ns_settle();
        for (int k = 0; k < N; k++) {
            const int fd = accept(listener, NULL, NULL);
            socklen_t size = sizeof peer;
            const int error = getpeername(fd, (struct sockaddr *)&peer, &size) == 0 ? 0 : errno;
            cr_assert_eq(error, policies[i / 2].kept ? 0 : ENOTCONN, "%s: %s", name, strerror(error));
            cr_assert_eq(read_all(fd), 10, "%s", name);
            close(fd);
        }
        cr_assert_eq(ns_tw() - before, policies[i / 2].kept ? N : 0, "%s", name);
        if (settings && log)
            expect_counted(i / 2, log, name);
    }
    close(listener);
}

Test(heard, a_server_knows_who_has_sent_and_closed_before_it_accepted) {
    ns_enter();
    expect_late_server("connect_close", "%s 127.0.0.1 %u -n %d -b 10");
    expect_late_server("exit_open exit", "%s 127.0.0.1 %u %d 10");
    expect_late_server("exit_open quick_exit", "%s 127.0.0.1 %u %d 10");
    expect_late_server("exit_open exec", "%s 127.0.0.1 %u %d 10"); /* close-on-exec */
}

/* One byte is enough, and it may come as late as after the half-close. */
Test(heard, a_peer_that_was_heard_costs_no_TIME_WAIT) {
    static const char *const ways[] = { "after_reading", "answered_after_shut" };

    ns_enter();
    for (size_t i = 0; i < 2; i++)
        for (int counted = 0; counted < 2; counted++) {
            struct peer peer = script_start(i ? "esk" : "sek", 0);
            const char *log = scratch_path(), *with = counted ? text("LINGER=ack|LOG=%s", log) : "LINGER=ack";
            struct ended e = run(with, "end_in %s 127.0.0.1 %u %d", ways[i], peer.port, N);
            cr_assert_eq(e.status, 0, "%s: %s", ways[i], e.err);
            cr_assert_eq(ns_tw(), 0, "%s counted %d", ways[i], counted);
            if (counted)
                cr_assert_eq(tally_log(ways[i], log).avoided, N, "%s", ways[i]);
            peer_stop(&peer);
        }
}

/* What was taken back towards an end that did not come is there again. */
Test(heard, an_exec_that_fails_changes_nothing) {
    static const char *const ways[] = { "exec_fails", "closes_stderr" };

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
    for (size_t i = 0; i < 2; i++)
        for (int counted = i == 1; counted < 2; counted++) { /* the log is what stderr is looked at for */
            struct ended e = run(counted ? "LINGER=ack|LOG=stderr" : "LINGER=ack", "heard_late %s 127.0.0.1 %u %d",
                                 ways[i], peer.port, N);
            cr_assert_eq(e.status, 0, "%s: %s", ways[i], e.err);
            cr_assert_eq(ns_tw(), 0, "%s counted %d", ways[i], counted);
        }
}

/* The image that has it at the end asks, though it has not set the option. */
Test(heard, a_connection_that_was_handed_on_is_asked_for_too) {
    ns_enter();
    for (int i = 0; i < 2 * POLICIES; i++) {
        const char *log = i % 2 ? scratch_path() : NULL, *settings = settings_of(i / 2, log);
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        const long before = ns_tw();
        for (int k = 0; k < N; k++) {
            struct ended e = run(settings, "exec_close 127.0.0.1 %u 10", peer.port);
            cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
        }
        cr_assert_eq(ns_tw() - before, policies[i / 2].kept ? N : 0, "%s", settings ? settings : "bare");
        peer_stop(&peer);
    }
}

/* ADDRESS PORT N BYTES REQUEST: 100 at once, as an event loop opens them; says how many brought it all. */
static const char loop_py[] =
    "import asyncio, sys\n"
    "port, left, size, request = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode()\n"
    "said = {}\n"
    "async def work():\n"
    "    global left\n"
    "    while left > 0:\n"
    "        left -= 1\n"
    "        try:\n"
    "            reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
    "            if request: writer.write(request)\n"
    "            what = 'whole' if len(await reader.read()) == size else 'short'\n"
    "            writer.close()\n"
    "        except OSError as e:\n"
    "            what = str(e)\n"
    "        said[what] = said.get(what, 0) + 1\n"
    "async def main(): await asyncio.gather(*[work() for i in range(100)])\n"
    "asyncio.run(main())\n"
    "print(said)\n";

Test(heard, an_event_loop_loses_no_connection_of_a_server_that_greets_refuses_or_answers) {
    enum { MANY = 1000 };
    static const struct { int bytes, request; } servers[] = { { 4, 0 }, { 0, 0 }, { 4, 3 } };

    if (run_argv(NULL, (const char *[]){ "python3", "-c", "import asyncio", NULL }).status != 0)
        cr_skip_test("python3 is not there");
    ns_enter();
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        const uint16_t port = (uint16_t)(8080 + i);
        struct victim v = victim_start("LINGER=ack", "server_close 127.0.0.1 %u -n %d -b %d -q %d", port, MANY,
                                       servers[i].bytes, servers[i].request);
        ns_wait_listen(port);
        struct ended e = run_argv(NULL, (const char *[]){ "python3", "-c", loop_py, text("%u", port), text("%d", MANY),
                                                          text("%d", servers[i].bytes), servers[i].request ? "hi!" : "",
                                                          NULL });
        cr_assert_str_eq(e.out, text("{'whole': %d}\n", MANY), "%d bytes, %d asked: %s%s", servers[i].bytes,
                         servers[i].request, e.out, e.err);
        cr_assert_eq(victim_wait(&v).status, 0);
    }
}
