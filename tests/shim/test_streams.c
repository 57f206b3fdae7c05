/* A descriptor that the program never gave to close is never let go, and nothing is said because of it. */
#include "tests/harness/counts.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* The peer closes first, once it is told to: what was counted at an earlier close would be a TIME_WAIT. */
static void expect_untouched(const char *settings, const char *log) {
    struct linger linger = { 1, 1 };
    socklen_t size = sizeof linger;

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .closes_first = true });
    struct victim v = victim_start(settings, "streams 127.0.0.1 %u", peer.port);
    victim_wait_out(&v, "ready");
    int fd = victim_socket(v.pid, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &size), 0);
    cr_assert(!linger.l_onoff && !linger.l_linger, "%s: an SO_LINGER in mid-life", settings);
    close(fd);
    kill(v.pid, SIGUSR1);
    struct ended e = victim_wait(&v);
    cr_assert_eq(e.status, 0, "%s: %d", settings, e.status);
    const char *whole = file_text(log);
    struct tally got = tally_log(settings, log);
    cr_assert(got.passive == 1 && got.established == 1, "%s: %s", settings, whole);
    cr_assert_eq(log_lines(whole), 1, "%s: one line a process, not more: %s", settings, whole);
    unlink(log);
    peer_stop(&peer);
}

Test(streams, what_has_no_descriptor_takes_none_with_it) {
    const char *log = scratch_path();

    expect_untouched(text("LOG=%s", log), log);
    expect_untouched(text("LOG=%s|LINGER=rst", log), log);
}
