/* Filters that kill for what they do not know: in children, by vfork and by fork. */
#include "tests/harness/counts.h"

#include <unistd.h>

/* The parent is as free as before: its connections get their options, and are counted. The fork's children count in
 * lines of their own; what they let go of is not the last. */
Test(sandboxes, a_child_that_has_sealed_itself_adds_no_system_call_and_its_parent_goes_on) {
    enum { N = 8 };
    static const char *const policies[] = { "", "|LINGER=ack", "|LINGER=rst" /* not where a child may have a copy */ };

    for (int i = 0; i < 3; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended bare = run(NULL, "sandboxes 127.0.0.1 %u", peer.port);
        cr_assert(bare.status == 0 && !strstr(bare.out, "signal"), "%d %s%s", bare.status, bare.out, bare.err);
        struct ended e = run(text("LOG=%s%s", log, policies[i]), "sandboxes 127.0.0.1 %u", peer.port);
        cr_assert(e.status == 0, "%s: %d %s", policies[i], e.status, e.err);
        cr_assert_str_eq(e.out, bare.out, "%s", policies[i]);
        struct tally got = tally_log(policies[i], log);
        cr_assert(got.connects == N && got.established == N && got.time_wait == (i == 1 ? 0 : N) &&
                      got.avoided == (i == 1 ? N : 0),
                  "%s: %s", policies[i], file_text(log));
        cr_assert_eq(books_of(policies[i], peer.port).to, i == 1 ? N : 2 * N, "%s", policies[i]);
        unlink(log);
        peer_stop(&peer);
    }
}
