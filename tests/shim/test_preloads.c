/* Beside other libraries that people preload, before ours and behind it: the program does what it does with theirs alone,
 * and is counted and treated. Those that are not installed are named, and left out. */
#include "tests/harness/counts.h"

#include <glob.h>
#include <unistd.h>

enum { N = 100 };

static const struct {
    const char *name, *library; /* where Debian has it, as glob(7) */
    const char *setting;        /* of its own: $NAME=VALUE; %s is a file with `file` in it */
    const char *file;
    bool mptcp;       /* the connections become others, which linger=ack cannot treat */
    bool first;       /* it ends the program where another comes before it */
    bool passes_over; /* it fetches its functions from libc's own handle: who stands behind it sees nothing (LIMITS) */
} rows[] = {
    { .name = "jemalloc", .library = "/usr/lib/*/libjemalloc.so.2" },
    { .name = "tcmalloc", .library = "/usr/lib/*/libtcmalloc_minimal.so.4" },
    { .name = "mimalloc", .library = "/usr/lib/*/libmimalloc.so.[23]" },
    { .name = "libfaketime", .library = "/usr/lib/*/faketime/libfaketime.so.1", .setting = "$FAKETIME=+1d" },
    { .name = "fakeroot", .library = "/usr/lib/*/libfakeroot/libfakeroot-sysv.so" },
    { .name = "torsocks",
      .library = "/usr/lib/*/torsocks/libtorsocks.so",
      .setting = "$TORSOCKS_CONF_FILE=%s",
      .file = "AllowOutboundLocalhost 1\n",
      .passes_over = true },
    { .name = "proxychains4",
      .library = "/usr/lib/*/libproxychains.so.4",
      .setting = "$PROXYCHAINS_QUIET_MODE=1|$PROXYCHAINS_CONF_FILE=%s",
      .file = "strict_chain\nlocalnet 127.0.0.0/255.0.0.0\n[ProxyList]\nsocks4 127.0.0.1 9\n" },
    { .name = "mptcpize", .library = "/usr/lib/*/mptcpize/libmptcpwrap.so*", .mptcp = true },
    { .name = "stdbuf", .library = "/usr/libexec/coreutils/libstdbuf.so", .setting = "$_STDBUF_O=L" },
    { .name = "eatmydata", .library = "/usr/lib/*/libeatmydata.so" },
    { .name = "libasan",
      .library = "/usr/lib/*/libasan.so.[0-9]*",
      .setting = "$ASAN_OPTIONS=detect_leaks=0",
      .first = true },
};

static const char *installed(const char *pattern) {
    glob_t found = { 0 };
    return glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathv[0] : NULL;
}

static const char *file_with(const char *content) {
    const char *path = scratch_path();
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(content, file) >= 0 && fclose(file) == 0);
    return path;
}

static void expect(const char *name, const char *preload, const char *setting, bool ack, const struct ended *alone) {
    const char *log = scratch_path();

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
    struct ended e = run(text("$LD_PRELOAD=%s|%s|LOG=%s|LINGER=%s", preload, setting, log, ack ? "ack" : "off"),
                         "connect_close 127.0.0.1 %u -n %d -b 1 -r 1", peer.port, N);
    cr_assert(e.status == alone->status && strcmp(e.out, alone->out) == 0 && strcmp(e.err, alone->err) == 0,
              "%s: %d %s%s, alone %d %s%s", name, e.status, e.out, e.err, alone->status, alone->out, alone->err);
    struct tally got = tally_log(name, log);
    cr_assert(got.connects == N && got.established == N, "%s: %s", name, file_text(log));
    cr_assert((ack ? got.avoided : got.time_wait) == N, "%s: %s", name, file_text(log));
    cr_assert(ns_tw() == (ack ? 0 : N), "%s: the kernel has %ld in TIME_WAIT", name, ns_tw());
    unlink(log);
    peer_stop(&peer);
}

static struct ended alone(const char *library, const char *setting) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
    struct ended e = run(text("$LD_PRELOAD=%s|%s", library, setting), "connect_close 127.0.0.1 %u -n %d -b 1 -r 1",
                         peer.port, N);
    cr_assert_eq(ns_tw(), N, "%s: %d %s%s", library, e.status, e.out, e.err);
    peer_stop(&peer);
    return e;
}

Test(preloads, a_program_does_what_it_does_beside_each_in_both_orders) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *library = installed(rows[i].library), *setting = rows[i].setting ? rows[i].setting : "$NOTHING=";
        if (!library) {
            cr_log_warn("left out, not installed: %s", rows[i].name);
            continue;
        }
        if (rows[i].mptcp && access("/proc/sys/net/mptcp/enabled", F_OK) != 0) {
            cr_log_warn("left out, this kernel has no MPTCP: %s", rows[i].name);
            continue;
        }
        if (rows[i].file)
            setting = text(setting, file_with(rows[i].file));
        struct ended bare = alone(library, setting);
        for (int ack = 0; ack < (rows[i].mptcp ? 1 : 2); ack++) {
            if (!rows[i].first)
                expect(rows[i].name, text("%s:%s", library_path(), library), setting, ack, &bare);
            if (!rows[i].passes_over)
                expect(rows[i].name, text("%s:%s", library, library_path()), setting, ack, &bare);
        }
    }
}
