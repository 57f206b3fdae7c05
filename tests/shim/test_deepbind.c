/* Libraries that are opened so that libc comes before what is preloaded, or into a namespace with a libc of their own:
 * treated and counted, and the rest as they asked. */
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

#include <stdlib.h>
#include <unistd.h>

enum { N = 5 };

static struct ended opened(const char *settings, const char *how, const char *library, uint16_t port) {
    return run(settings, "opens_library %s %s 127.0.0.1 %u %d", how, library, port, N);
}

static struct peer answering(void) {
    return peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
}

static bool reaches_namespaces(void) {
    return !victims_are("musl");
}

Test(deepbind, what_such_a_library_opens_is_treated_and_counted) {
    static const char *const ways[] = { "lazy",      "now",        "lazy_deep",       "now_deep", "lazy_deep_twice",
                                        "now_apart", "lazy_apart", "lazy_apart_often" };

    if (victims_are("musl"))
        cr_skip_test("musl has neither RTLD_DEEPBIND nor dlmopen");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int ack = 0; ack < 2 && (reaches_namespaces() || !strstr(ways[i], "apart")); ack++) {
            const char *log = scratch_path(), *preload = text("%s:%s", library_path(), victim_path("interposes.so"));
            const int n = strstr(ways[i], "twice") ? 2 * N : strstr(ways[i], "often") ? 8 * N : N;
            ns_enter();
            struct peer peer = answering();
            struct ended e = opened(text("$LD_PRELOAD=%s|LOG=%s|LINGER=%s", preload, log, ack ? "ack" : "off"), ways[i],
                                    victim_path("deep.so"), peer.port);
            cr_assert(e.status == 0, "%s: %d %s%s", ways[i], e.status, e.out, e.err);
            cr_assert(strstr(e.out, strchr(ways[i], '_') ? "getdtablesize libc" : "getdtablesize preloaded"), "%s: %s",
                      ways[i], e.out);
            struct tally got = tally_log(ways[i], log);
            cr_assert(got.connects == n && got.established == n, "%s: %s", ways[i], file_text(log));
            cr_assert((ack ? got.avoided : got.time_wait) == n, "%s: %s", ways[i], file_text(log));
            cr_assert(ns_tw() == (ack ? 0 : n), "%s: the kernel has %ld in TIME_WAIT", ways[i], ns_tw());
            unlink(log);
            peer_stop(&peer);
        }
}

/* A library in between whose RUNPATH is where the other one lies: dlopen is to see it call. */
Test(deepbind, a_library_is_looked_for_where_its_caller_says) {
    if (getenv("VICTIMS"))
        cr_skip_test("such a library is made here with gcc, for this machine's libc");
    const char *directory = directory_made();
    struct ended e =
        shell("mkdir %s/in && cp %s %s/in/inner.so && echo '#include <dlfcn.h>\n"
              "void go(const char *a, const char *p, int n) { void *l = dlopen(\"inner.so\", RTLD_NOW | MODE);"
              " ((void (*)(const char *, const char *, int))dlsym(l, \"go\"))(a, p, n); }' >%s/outer.c",
              directory, victim_path("deep.so"), directory, directory);
    cr_assert_eq(e.status, 0, "%s", e.err);
    for (int deep = 0; deep < 2; deep++) {
        e = shell("gcc -w -shared -fPIC -D_GNU_SOURCE -DMODE=%s -Wl,-rpath,%s/in -o %s/outer.so %s/outer.c",
                  deep ? "RTLD_DEEPBIND" : "0", directory, directory, directory);
        if (e.status != 0)
            cr_skip_test("gcc is not there: %s", e.err);
        ns_enter();
        struct peer peer = answering();
        e = opened("LOG=stderr", "now", text("%s/outer.so", directory), peer.port);
        cr_assert(e.status == 0 && strstr(e.out, "getdtablesize libc"), "%d: %d %s%s", deep, e.status, e.out, e.err);
        peer_stop(&peer);
    }
}

Test(deepbind, a_library_that_is_not_there_is_said_not_to_be) {
    struct ended bare = opened(NULL, "now_deep", "/nowhere/x.so", 1),
                 e = opened("LOG=stderr", "now_deep", "/nowhere/x.so", 1);

    cr_assert(bare.status == 1 && e.status == 1, "%d %d", bare.status, e.status);
    cr_assert_str_eq(e.err, bare.err);
}

/* ---- in namespaces of their own ------------------------------------------------------------------------------- */

Test(deepbind, in_four_namespaces_at_once_and_a_fifth_does_as_it_does_bare) {
    const char *log = scratch_path();

    if (!reaches_namespaces())
        cr_skip_test("musl has no dlmopen");
    ns_enter();
    struct peer peer = answering();
    struct ended e = opened(text("LOG=%s|LINGER=ack", log), "lazy_apart_five", victim_path("deep.so"), peer.port);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    struct tally got = tally_log("five", log);
    cr_assert(got.connects == 4 * N && got.avoided == 4 * N, "%s", file_text(log));
    cr_assert(ns_tw() == N, "the kernel has %ld in TIME_WAIT", ns_tw());
    peer_stop(&peer);
}

/* The C library of that namespace forks: what the child lets go of is not the end. */
Test(deepbind, a_child_forked_there_shares_what_was_open) {
    const char *log = scratch_path();

    if (!reaches_namespaces())
        cr_skip_test("musl has no dlmopen");
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .raw = true });
    struct ended e = opened(text("LOG=%s|LINGER=rst", log), "lazy_apart_shares", victim_path("deep.so"), peer.port);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    peer_wait_ended(&peer, N);
    cr_assert_eq(peer_count(&peer, 0, 0), 0, "%u ended by the child, and without a reset", peer_count(&peer, 0, 0));
    struct tally got = tally_log("shares", log);
    cr_assert(got.connects == N && got.avoided == N && got.open == 0, "%s", file_text(log));
    peer_stop(&peer);
}

/* With its own C library, by system: the child is one that nobody has told us of. */
Test(deepbind, a_namespace_that_starts_processes_otherwise_is_left_alone) {
    if (getenv("VICTIMS"))
        cr_skip_test("such a library is made here with gcc, for this machine's libc");
    const char *directory = directory_made(), *log = scratch_path();
    struct ended e =
        shell("cp %s %s/inner.so && echo 'extern void inner(const char *, const char *, int) __asm__(\"go\");\n"
              "#include <stdlib.h>\nvoid go(const char *a, const char *p, int n);\n"
              "void shares(const char *a, const char *p, int n) { inner(a, p, n); if (system(\"true\")) abort(); }'"
              " >%s/outer.c && gcc -w -shared -fPIC -Wl,-rpath,%s -o %s/outer.so %s/outer.c %s/inner.so",
              victim_path("deep.so"), directory, directory, directory, directory, directory, directory);
    if (e.status != 0)
        cr_skip_test("gcc is not there: %s", e.err);
    ns_enter();
    struct peer peer = answering();
    e = opened(text("LOG=%s|LINGER=ack", log), "now_apart_shares", text("%s/outer.so", directory), peer.port);
    cr_assert(e.status == 0, "%d %s%s", e.status, e.out, e.err);
    cr_assert_eq(ns_tw(), N);
    cr_assert_null(file_text(log), "%s", file_text(log));
    peer_stop(&peer);
}

/* ld.so has two locks, and who opens takes them in the other order than who walks through all objects. */
Test(deepbind, while_another_thread_opens_and_closes_libraries) {
    if (victims_are("musl"))
        cr_skip_test("musl has neither RTLD_DEEPBIND nor dlmopen");
    for (int i = 0; i < 10; i++) {
        const char *how = i % 2 && reaches_namespaces() ? "lazy_apart_meanwhile" : "lazy_deep_meanwhile",
                   *log = scratch_path();
        ns_enter();
        struct peer peer = answering();
        struct ended e = opened(text("LOG=%s", log), how, victim_path("deep.so"), peer.port);
        cr_assert(e.status == 0, "%s: %d %s", how, e.status, e.err);
        cr_assert_eq(tally_log(how, log).time_wait, N, "%s: %s", how, file_text(log));
        peer_stop(&peer);
    }
}
