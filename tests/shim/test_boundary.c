/* The line between processes that share a ledger: what the other side writes there is not believed (law 9). */
#include "tests/harness/counts.h"

#include <glob.h>

/* A number of the victim's. */
static long said(const struct ended *e, const char *name) {
    const char *at = strstr(e->out, name);
    long n = -1;

    return at && sscanf(at + strlen(name), "%ld", &n) == 1 ? n : -1;
}

static void expect_unharmed(const char *victim, const char *settings, int linger2, const char *extra) {
    const char *directory = strstr(settings, "LEDGER") ? directory_made() : NULL;

    ns_enter();
    ns_port_range(10000, 60000);
    struct peer peer = peer_start(&(struct peer_options){ .raw = true });
    struct ended e = run(text("%s%s%s", settings, directory ? directory : "", extra), "%s 127.0.0.1 %u 2 %d", victim,
                         peer.port, linger2);
    cr_assert(e.status == 0, "%s: %d %s%s", settings, e.status, e.out, e.err);
    cr_expect(said(&e, "areas") > 0 && said(&e, "opened") >= 300, "%s: %s", settings, e.out);
    cr_expect(said(&e, "changed") == 0, "%s: %s", settings, e.out);
    cr_expect(said(&e, "otherwise") == 0, "%s: %s", settings, e.out);
    if (directory)
        directory_removed(directory);
    peer_stop(&peer);
}

Test(boundary, a_worker_that_writes_everywhere_spoils_counts_and_no_more) {
    expect_unharmed("spoils", "LINGER=ack|BIND_NO_PORT=on|PORT_SEARCH=cycle", -1, "");
    expect_unharmed("spoils", "LOG=/dev/null|LINGER=ack|BIND_NO_PORT=on", -1, "");
    expect_unharmed("spoils", "LOG=/dev/null|LOG_INTERVAL=1|LINGER=ack|BIND_NO_PORT=on|LEDGER=", -1, "");
    expect_unharmed("spoils", "LOG=/dev/null|OVERRIDE=off|KEEPALIVE=60|LEDGER=", 0, "");
    expect_unharmed("spoils", "LINGER=rst|SET=on|SOURCE=127.0.0.1-127.0.0.9|PORT_SEARCH=cycle|LEDGER=", 0, "");
}

/* The parent's memory watched by AddressSanitizer; its library must come first. */
Test(boundary, a_worker_that_writes_everywhere_touches_nothing_of_its_parent) {
    glob_t found;

    if (glob("/usr/lib/gcc/*/*/libasan.so", 0, NULL, &found) != 0)
        cr_skip_test("no AddressSanitizer");
    expect_unharmed("spoils_asan", "LOG=/dev/null|LINGER=ack|BIND_NO_PORT=on|LEDGER=", -1,
                    text("|$LD_PRELOAD=%s:%s", found.gl_pathv[0], library_path()));
    globfree(&found);
}
