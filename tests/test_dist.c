/* make dist: the same bytes wherever it is built, and a command that runs where nothing else is. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <unistd.h>

/* A tarball is at the path that it returns. `in`: the root of sources. */
static char *built(const char *in, const char *settings) {
    struct ended e = shell("cd %s && %s make -s dist ARM_CC= SOURCE_DATE_EPOCH=1700000000 && "
                           "ls build/afterfin-*-linux-$(uname -m).tar.gz",
                           in, settings);
    if (strstr(e.err, "dist: for "))
        cr_skip_test("%s", e.err);
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    const char *name = strstr(e.out, "build/afterfin-");
    char *path;
    cr_assert_gt(asprintf(&path, "%s/%.*s", in, (int)strcspn(name, "\n"), name), 0);
    return path;
}

Test(dist, two_builds_give_the_same_bytes) {
    const char *copy = scratch_path();
    cr_assert_eq(shell("mkdir %s && tar -cf - --exclude=./build --exclude=./.git . | tar -C %s -xf -", copy, copy)
                     .status,
                 0);
    const char *here = built(".", "umask 022; export TZ=UTC LC_ALL=C;");
    const char *there = built(copy, "umask 077; export TZ=Asia/Tokyo LC_ALL=C.UTF-8;");
    struct ended e =
        shell("cmp %s %s || diff -r build/dist-$(uname -m)/afterfin-*/ %s/build/dist-$(uname -m)/afterfin-*/", here,
              there, copy);
    cr_expect_eq(e.status, 0, "%s%s", e.out, e.err);
    cr_expect_str_empty(e.out);
    cr_expect_str_empty(shell("tar -tvzf %s | grep -v '^[dl-]rw[x-]r-[x-]r-[x-] 0/0 '", here).out);
}

Test(dist, two_makes_at_once_leave_what_its_checksums_say) {
    built(".", "");
    const char *to = scratch_path();
    struct ended e = shell(
        "for n in 1 2 3; do make -s dist ARM_CC= SOURCE_DATE_EPOCH=1700000000 & done; wait; mkdir %s && tar -C %s --strip-components=1 "
        "-xzf build/afterfin-*-linux-$(uname -m).tar.gz && cd %s && exec sha256sum -c --quiet SHA256SUMS",
        to, to, to);
    cr_expect_eq(e.status, 0, "%s%s", e.out, e.err);
}

Test(dist, one_of_arm64_is_made_too_where_its_compiler_is) {
    if (shell("command -v aarch64-linux-gnu-gcc && [ $(uname -m) != aarch64 ]").status != 0)
        cr_skip_test("no aarch64-linux-gnu-gcc");
    struct ended e = shell("make -s dist SOURCE_DATE_EPOCH=1700000000");
    cr_assert_eq(e.status, 0, "%s", e.err);
    if (strstr(e.err, "dist: for aarch64"))
        cr_skip_test("%s", e.err);
    const char *root = scratch_path();
    e = shell("mkdir %s && tar -C %s --strip-components=1 -xzf build/afterfin-*-linux-aarch64.tar.gz && cd %s && "
              "sha256sum -c --quiet SHA256SUMS && for f in bin/afterfin lib/libafterfin.so; do readelf -h $f; done | "
              "grep -c 'Machine: *AArch64'",
              root, root, root);
    cr_expect_str_eq(e.out, "2\n", "%s", e.err);
    if (shell("command -v qemu-aarch64").status == 0)
        cr_expect(strncmp(shell("qemu-aarch64 %s/bin/afterfin version", root).out, "afterfin ", 9) == 0);
}

/* ---- an empty root ---------------------------------------------------------------------------------------------- */

/* The tarball, two programs, what the dynamic one needs of libc, and what a container has of /dev. */
static const char *new_root(void) {
    const char *tarball = built(".", ""), *root = scratch_path();
    struct ended e =
        shell("mkdir -p %s/dev/shm && tar -C %s --strip-components=1 -xzf %s && cd %s && sha256sum -c --quiet "
              "SHA256SUMS",
              root, root, tarball, root);
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    e = shell("cp %s %s/dynamic && cp build/tests/victims/static/connect_close %s/static && "
              "ldd %s | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} %s",
              victim_path("connect_close"), root, root, victim_path("connect_close"), root);
    cr_assert_eq(e.status, 0, "%s%s", e.out, e.err);
    return root;
}

static struct ended in_root(const char *root, const char *environment, const char *arguments) {
    return shell("%s exec chroot %s /bin/afterfin %s", environment, root, arguments);
}

Test(dist, the_command_runs_in_an_empty_chroot) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *root = new_root();
    char arguments[256];
    snprintf(arguments, sizeof arguments, "run -q --json -- /dynamic 127.0.0.1 %u -n 5", peer.port);
    json_t *json = json_loads(in_root(root, "", arguments).out, 0, NULL);
    cr_expect_eq(json_number(json, "totals.time_wait"), 5);
    cr_expect_eq(json_number(json, "kernel.attributed"), 5);
    cr_expect_eq(ns_tw(), 5);
    snprintf(arguments, sizeof arguments, "run -q --json -p linger=ack-always -- /dynamic 127.0.0.1 %u -n 5",
             peer.port);
    json = json_loads(in_root(root, "", arguments).out, 0, NULL);
    cr_expect_eq(json_number(json, "totals.avoided"), 5);
    cr_expect_eq(ns_tw(), 5);
    cr_assert_eq(shell("mkdir -m 700 %s/ledgers", root).status, 0);
    snprintf(arguments, sizeof arguments, "run -q -- /dynamic 127.0.0.1 %u -n 7", peer.port);
    cr_expect_eq(in_root(root, "AFTERFIN_LEDGER=/ledgers", arguments).status, 0);
    json = json_loads(in_root(root, "", "who -d /ledgers --json").out, 0, NULL);
    cr_expect_eq(json_number(json, "processes.0.time_wait"), 7);
    cr_expect_str_eq(json_string_value(json_find(json, "processes.0.program")), "dynamic");

    struct ended e = in_root(root, "", "doctor");
    cr_expect(e.status == 0 && strstr(e.out, "Policies on Linux"), "%d %s%s", e.status, e.out, e.err);
    e = in_root(root, "", "doctor /dynamic");
    cr_expect(strstr(e.out, "Program: run reaches /dynamic"), "%s%s", e.out, e.err);
    cr_expect_eq(in_root(root, "", "report -d /ledgers").status, 0);
    e = shell("chroot %s /bin/afterfin report -d /ledgers --prometheus --listen :9642 & p=$!; curl -s --retry 30 "
              "--retry-delay 1 --retry-connrefused http://127.0.0.1:9642/metrics; kill $p; wait $p",
              root);
    cr_expect(e.status == 0 && strstr(e.out, "afterfin_time_wait_total{program=\"dynamic\"} 7\n"), "%d %s%s", e.status,
              e.out, e.err);
    e = in_root(root, "", "env");
    cr_expect(strstr(e.out, "LD_PRELOAD=/lib/libafterfin.so") ||
                  strstr(e.out, "LD_PRELOAD='/lib/libafterfin/$PLATFORM/libafterfin.so'"),
              "%s", e.out);
}

/* As a container has it; the supervisor reads /proc. */
Test(dist, the_command_reaches_a_static_program_where_there_is_proc) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const char *root = new_root();
    struct ended e =
        shell("mkdir %s/proc && exec unshare -m sh -c 'mount --rbind /proc %s/proc && exec chroot %s /bin/afterfin run "
              "-q -p linger=ack-always -- /static 127.0.0.1 %u -n 5'",
              root, root, root, peer.port);
    if (strstr(e.err, "mount: ") || strstr(e.err, "unshare: "))
        cr_skip_test("%s", e.err);
    cr_expect_eq(e.status, 0, "%s", e.err);
    peer_wait_ended(&peer, 5);
    cr_expect_eq(ns_tw(), 0, "%s", e.err);
}
