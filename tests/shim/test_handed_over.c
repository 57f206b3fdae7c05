/* A connection that another image has opened, with options of ours on it: what the program that has it now sets itself
 * wins there too, and the counts follow. */
#include "tests/harness/counts.h"

#include <unistd.h>

static const struct {
    const char *way, *option;
    bool wins; /* the program's own choice */
} rows[] = {
    { "exec", "linger", true },    { "exec", "linger2", true },    { "exec", "none", false },
    { "message", "linger", true }, { "message", "linger2", true }, { "message", "none", false },
};

Test(handed_over, what_the_receiver_sets_wins_over_what_the_sender_was_given) {
    enum { N = 5 };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *log = scratch_path(), *row = text("%s %s", rows[i].way, rows[i].option);
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        for (int n = 0; n < N; n++) {
            struct ended bare = run(NULL, "hands_over %s 127.0.0.1 %u", row, peer.port);
            struct ended e = run(text("LINGER=ack|LOG=%s", log), "hands_over %s 127.0.0.1 %u", row, peer.port);
            cr_assert(bare.status == 0 && e.status == 0, "%s: %s%s", row, bare.err, e.err);
            if (rows[i].wins)
                cr_assert_str_eq(e.out, bare.out, "%s", row);
            else
                cr_assert_str_eq(e.out, "{0,0} -1\n", "%s", row);
        }
        struct tally got = tally_log(row, log);
        cr_assert(got.time_wait == (rows[i].wins ? N : 0) && got.avoided == N - got.time_wait,
                  "%s: time_wait %ld avoided %ld", row, got.time_wait, got.avoided);
        cr_assert_eq(books_of(row, peer.port).to, N + got.time_wait, "%s", row); /* N of the bare runs */
        unlink(log);
        peer_stop(&peer);
    }
}
