/* A pointer of the program's is read as the kernel would read it: where that says EFAULT, so does the call, and where the
 * address lies makes no difference to what is done with it. */
#include "tests/harness/counts.h"

#include <unistd.h>

/* Nothing read before the call; rules, which need the address before it; and a key that looks at the port. */
static const char *const asked[] = {
    "LOG=%s",
    "LOG=%s|LINGER=rst|KEEPALIVE=60",
    "LOG=%s|RULES=connect * keepalive=60; bind * reuseaddr=on",
    "LOG=%s|REUSEADDR=on|BIND_NO_PORT=on",
    "LOG=%s|PORT_SEARCH=cycle",
};

static struct ended alone(const char *settings) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .port = 5000 });
    struct ended e = run(settings, "show_faults %u", peer.port);
    peer_stop(&peer);
    return e;
}

Test(pointers, what_leads_nowhere_gives_what_it_gives_without_the_library) {
    struct ended bare = alone(NULL);

    cr_assert(bare.status == 0 && strstr(bare.out, "EFAULT"), "%d %s%s", bare.status, bare.out, bare.err);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const char *log = scratch_path(), *settings = text(asked[i], log);
        struct ended e = alone(settings);
        cr_assert_eq(e.status, 0, "%s: %d, after %s", settings, e.status,
                     e.out + (strlen(e.out) > 300 ? strlen(e.out) - 300 : 0));
        cr_assert_str_eq(e.out, bare.out, "%s", settings);
        log_expect_invariant(log_line(file_text(log), 0));
        unlink(log);
    }
}

Test(pointers, a_rule_finds_the_address_wherever_it_lies) {
    enum { N = 5 };
    static const char *const places[] = { "stack", "static", "heap", "page", "thread" };

    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *log = scratch_path();
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended e = run(text("LOG=%s|RULES=connect 127.0.0.1:%u linger=ack", log, peer.port),
                             "connect_from %s 127.0.0.1 %u %d", places[i], peer.port, N);
        cr_assert_eq(e.status, 0, "%s: %d", places[i], e.status);
        cr_assert_eq(ns_tw(), 0, "%s: the kernel has %ld TIME_WAITs", places[i], ns_tw());
        struct tally got = tally_log(places[i], log);
        cr_assert(got.avoided == N && got.established == N, "%s: avoided %ld", places[i], got.avoided);
        unlink(log);
        peer_stop(&peer);
    }
}
