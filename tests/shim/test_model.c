/* Random plays over descriptors and processes, against the kernel's books: each connection ends once, with
 * whoever has let go of it last. MODEL_SEEDS in the environment asks for more of them, MODEL_FIRST for others. */
#include "tests/harness/counts.h"

#include <stdlib.h>
#include <sys/prctl.h>

static unsigned long asked(const char *name, unsigned long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

Test(model, every_connection_of_a_random_play_is_counted_once) {
    const unsigned long first = asked("MODEL_FIRST", 1), n = asked("MODEL_SEEDS", 60);
    enum { STEPS = 40 };

    prctl(PR_SET_CHILD_SUBREAPER, 1); /* who outlives its parent is waited for here */
    for (unsigned long seed = first; seed < first + n; seed++) {
        const char *log = scratch_path(), *name = text("seed %lu", seed);
        long connections;
        if ((seed - first) % 50 == 0) { /* room for TIME_WAITs */
            ns_enter();
        }
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        struct ended e = run(text("LOG=%s", log), "model %lu 127.0.0.1 %u %d", seed, peer.port, STEPS);
        cr_assert(e.status == 0 && sscanf(e.out, "connections %ld", &connections) == 1, "%s: %d %s%s", name, e.status,
                  e.out, e.err);
        peer_wait_ended(&peer, (unsigned)connections); /* then all who had one have let go */
        peer_stop(&peer);
        test_wait_children();
        struct tally sum = tally_log(name, log);
        struct books books = books_of(name, peer.port);
        /* Who leaves before a child that has it still has said `open`: it is the child who counts the end. */
        cr_assert(sum.connects == connections && sum.established - sum.passed - sum.open == connections,
                  "%s: %ld connects, %ld established, %ld passed, %ld open, of %ld: %s", name, sum.connects,
                  sum.established, sum.passed, sum.open, connections, file_text(log));
        cr_assert(sum.time_wait == books.to && books.to == connections,
                  "%s: %ld counted, the kernel has %ld of %ld: %s", name, sum.time_wait, books.to, connections,
                  file_text(log));
    }
}
