/* doctor PROGRAM: what it says is what run then does. */
#include "tests/cli/doctor/doctor.h"
#include "tests/cli/elf/elf_invariants.h"
#include "tests/harness/shell.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A directory of the test's own; what is built in it goes with it. */
static const char *directory(void) {
    const char *path = scratch_path();
    cr_assert_eq(mkdir(path, 0755), 0);
    return path;
}

/* DIRECTORY/NAME out of C, built by gcc with these options. */
static const char *build(const char *where, const char *name, const char *options, const char *source) {
    char *path;
    cr_assert_gt(asprintf(&path, "%s/%s", where, name), 0);
    struct ended e = shell("cat >%s.c <<'END'\n%s\nEND\ngcc -o %s %s.c -L%s %s", path, source, path, path, where,
                           options);
    cr_assert_eq(e.status, 0, "%s: %s", name, e.err);
    return path;
}

static const char *file(const char *where, const char *name, mode_t mode, const void *bytes, size_t size) {
    char *path;
    cr_assert_gt(asprintf(&path, "%s/%s", where, name), 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static const char *script(const char *where, const char *name, const char *line) {
    return file(where, name, 0755, line, strlen(line));
}

#define NOTHING "int main(void) { return 0; }"
#define CONNECTS "#include <sys/socket.h>\nint main(void) { return connect(0, 0, 0) == 0; }"
#define NOTE \
    "__asm__(\".pushsection .note.go.buildid, \\\"a\\\", @note\\n.long 4, 4, 4\\n\"" \
    "\".asciz \\\"Go\\\\0\\\"\\n.long 7\\n.popsection\");\n"
#define SECTION "__asm__(\".pushsection .go.buildinfo, \\\"aw\\\"\\n.long 1\\n.popsection\");\n"
#if defined __x86_64__
#define ENTERS "__asm__ volatile(\"syscall\" : : \"a\"(39) : \"rcx\", \"r11\", \"memory\");"
#define CONNECTS_ITSELF "__asm__ volatile(\"syscall\" : : \"a\"(42) : \"rcx\", \"r11\", \"memory\");"
#else
#define ENTERS "__asm__ volatile(\"mov x8, #172\\n svc #0\" : : : \"x0\", \"x8\", \"memory\");"
#define CONNECTS_ITSELF "__asm__ volatile(\"mov x8, #203\\n svc #0\" : : : \"x0\", \"x8\", \"memory\");"
#endif

/* ---- is it reached? ------------------------------------------------------------------------------------------- */

static void expect(const char *name, const char *program, const char *reached, const char *why) {
    const bool yes = strcmp(reached, "yes") == 0 || strcmp(reached, "outside") == 0;
    json_t *json = doctor_json(!yes, NULL, program);
    cr_expect_str_eq(json_text(json, "program.reached"), reached, "%s: %s", name, json_text(json, "program.why"));
    cr_expect(why ? strstr(json_text(json, "program.why"), why) != NULL : json_is_null(json_find(json, "program.why")),
              "%s: %s", name, json_text(json, "program.why"));
    struct ended e = command(NULL, "doctor", program, NULL);
    cr_expect_eq(e.status, !yes, "%s: %d", name, e.status);
    char *words = strdup(why ? why : "run reaches"), *rest = NULL; /* they may be wrapped */
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        cr_expect(strstr(e.out, word) || strstr(e.err, word), "%s: %s%s", name, e.out, e.err);
    /* run is of the same opinion: 125 refuses, 126 and 127 are exec's word, and what is only loaded is run. */
    e = command(NULL, "run", "-q", program, NULL);
    cr_expect_eq(e.status < 125, strcmp(reached, "no") != 0, "%s: run: %d: %s", name, e.status, e.err);
}

Test(doctor_program, says_of_each_kind_of_program_what_run_does_with_it) {
    const char *d = directory();
    const char *plain = build(d, "plain", "", CONNECTS), *lone = build(d, "lone", "-static", NOTHING);
    const char *raw = build(d, "raw", "", "int main(void) { " ENTERS " return 0; }");
    char line[512], env_line[512];
    snprintf(line, sizeof line, "#!%s\n", lone);
    snprintf(env_line, sizeof env_line, "#!/usr/bin/env %s\n", lone);
    const struct {
        const char *name, *program, *reached, *why;
    } rows[] = {
        { "dynamic", plain, "yes", NULL },
        { "static", lone, "outside", "is statically linked" },
        { "static and PIE", build(d, "lone_pie", "-static-pie", NOTHING), "outside", "is statically linked" },
        { "no PIE", build(d, "fixed", "-no-pie", CONNECTS), "yes", NULL },
        { "Go with cgo", build(d, "go", "", NOTE NOTHING), "loaded", "is written in Go" },
        { "Go without a build id", build(d, "go_section", "", SECTION NOTHING), "loaded", "is written in Go" },
        { "Go alone", build(d, "lone_go", "-static", NOTE NOTHING), "outside", "is statically linked" },
        { "calls the kernel by itself", raw, "loaded", "has 1 instruction of its own that enters the kernel" },
        { "does both",
          build(d, "both", "", "#include <sys/socket.h>\nint main(void) { " ENTERS " return connect(0, 0, 0) == 0; }"),
          "yes", NULL },
        { "a script", script(d, "script", "#!/bin/sh\n"), "yes", NULL },
        { "a script of a static program", script(d, "lone_script", line), "outside", "is statically linked" },
        { "env's static program", script(d, "env_script", env_line), "outside", "is statically linked" },
        { "env with -i", script(d, "env_i", "#!/usr/bin/env -S -i sh\n"), "no", "clears the environment" },
        { "text", script(d, "text", "exit 3\n"), "yes", NULL },
        { "empty", script(d, "empty", ""), "yes", NULL },
        { "found in PATH", "true", "yes", NULL },
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        expect(rows[i].name, rows[i].program, rows[i].reached, rows[i].why);
}

/* Of one that the library does all for there is nothing to tell. */
Test(doctor_program, says_in_the_words_of_run_that_nothing_is_reached_from_outside) {
    const char *program = build(directory(), "alone", "-static", NOTHING);
    if (geteuid() != 0)
        cr_skip_test("needs root, to hide /proc");
    static const char hidden[] = "mount -t tmpfs tmpfs /proc && exec \"$@\"", why[] = "/proc is not mounted here";
    struct ended e = run_argv(NULL, (const char *[]){ "unshare", "-m", "sh", "-c", hidden, "sh", command_path(), "run",
                                                      "-p", "linger=ack", program, NULL });
    cr_expect(e.status == 125 && strstr(e.err, why), "%d: %s", e.status, e.err);
    e = run_argv(NULL, (const char *[]){ "unshare", "-m", "sh", "-c", hidden, "sh", command_path(), "doctor", program,
                                         NULL });
    cr_expect(e.status == 1 && strstr(e.out, why) && strstr(e.out, "run does not reach"), "%d: %s", e.status, e.out);
    e = run_argv(NULL, (const char *[]){ "unshare", "-m", "sh", "-c", hidden, "sh", command_path(), "doctor", NULL });
    cr_expect(strstr(e.out, "not known: net.ipv4.ip_local_port_range cannot be read"), "%s", e.out);
}

Test(doctor_program, says_which_policies_are_carried_from_outside) {
    const char *d = directory();
    const struct {
        const char *program;
        bool told;
    } rows[] = {
        { build(d, "lone", "-static", NOTHING), true },
        { build(d, "go", "", NOTE NOTHING), true },
        { build(d, "plain", "", CONNECTS), false },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = command(NULL, "doctor", rows[i].program, NULL);
        cr_expect_eq(strstr(e.out, "linger: ack as ack-always") != NULL, rows[i].told, "%s: %s", rows[i].program,
                     e.out);
        cr_expect_eq(strstr(e.out, "port_search: no") != NULL, rows[i].told, "%s: %s", rows[i].program, e.out);
    }
}

Test(doctor_program, says_in_one_line_what_is_no_program) {
    const char *d = directory();
    unsigned char seed[ELF_SEED_ROOM];
    const size_t size = elf_seed(0, seed);
    char fifo[512], self[512];
    snprintf(fifo, sizeof fifo, "%s/fifo", d);
    snprintf(self, sizeof self, "#!%s/self\n", d);
    cr_assert_eq(mkfifo(fifo, 0755), 0);
    seed[18] = 62 ^ 183 ^ seed[18]; /* e_machine: the other one of the two */
    const char *other = file(d, "other", 0755, seed, size);
    seed[18] = 62 ^ 183 ^ seed[18];
    const struct {
        const char *program, *says;
    } rows[] = {
        { d, "is a directory" },
        { fifo, "is no regular file" },
        { "/dev/null", "is no regular file" },
        { "/nonexistent/x", "/nonexistent/x: No such file or directory" },
        { "no-such-program", "no-such-program: No such file or directory" },
        { file(d, "plain_file", 0644, "#!/bin/sh\n", 10), "Permission denied" },
        { file(d, "cut", 0755, seed, 40), "is a broken ELF file" },
        { file(d, "cut_later", 0755, seed, 100), "is a broken ELF file" },
        { file(d, "magic", 0755,
               "\x7f"
               "ELF",
               4),
          "is a broken ELF file" },
        { file(d, "binary", 0755, "\xca\xfe\0\0", 4), "is no program: neither ELF nor text" },
        { script(d, "gone", "#!/nonexistent/sh\n"), "/nonexistent/sh: No such file or directory" },
        { script(d, "env_gone", "#!/usr/bin/env no-such-program\n"), "has nothing to run: No such" },
        { script(d, "self", self), "Too many levels of symbolic links" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = command(NULL, "doctor", rows[i].program, NULL);
        cr_expect_eq(e.status, 1, "%s: %d", rows[i].says, e.status);
        cr_expect(strstr(e.err, rows[i].says), "%s: %s", rows[i].says, e.err);
        cr_expect(strchr(e.err, '\n') && !strchr(e.err, '\n')[1], "one line: %s", e.err);
        cr_expect_str_empty(e.out);
        json_t *json = doctor_json(1, NULL, rows[i].program);
        cr_expect_str_eq(json_text(json, "program.reached"), "no", "%s", rows[i].says);
    }
    struct ended e = command(NULL, "doctor", other, NULL);
    cr_expect(e.status == 1 && strstr(e.out, "is a program for"), "%d: %s", e.status, e.out);
}

Test(doctor_program, cannot_read_what_may_only_be_run) {
    const char *d = directory(), *path = build(d, "secret", "", NOTHING);
    chmod(path, 0711);
    struct ended e =
        shell("chmod 755 %s && setpriv --reuid=65534 --regid=65534 --clear-groups build/afterfin doctor %s", d, path);
    if (geteuid() != 0 || e.status == 127)
        cr_skip_test("no other user: %s", e.err);
    cr_expect_eq(e.status, 1);
    cr_expect(strstr(e.err, "Permission denied"), "%d: %s%s", e.status, e.out, e.err);
}

/* ---- who gains privileges ------------------------------------------------------------------------------------- */

Test(doctor_program, shows_what_makes_the_loader_ignore_LD_PRELOAD) {
    const struct vfs_cap_data caps = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                       .data[0].permitted = 1 << CAP_NET_BIND_SERVICE };
    const char *d = directory(), *program = build(d, "gains", "", NOTHING);
    if (geteuid() != 0 || chown(program, 65534, 65534) != 0)
        cr_skip_test("only root can make a program setuid to another user");
    chmod(program, 04755);
    json_t *json = doctor_json(1, NULL, program);
    cr_expect(json_is_true(json_find(json, "program.setuid")) && json_is_false(json_find(json, "program.setgid")));
    cr_expect(strstr(json_text(json, "program.why"), "is setuid (to user 65534)"));
    chmod(program, 02755);
    json = doctor_json(1, NULL, program);
    cr_expect(json_is_true(json_find(json, "program.setgid")) && json_is_false(json_find(json, "program.setuid")));
    chmod(program, 04755);
    cr_assert_eq(chown(program, 0, 0), 0);
    chmod(program, 04755);
    struct ended e = command(NULL, "doctor", program, NULL);
    cr_expect(e.status == 0 && strstr(e.out, "run by another user"), "root's own, for root: %s", e.out);
    chmod(program, 0755);
    if (setxattr(program, "security.capability", &caps, XATTR_CAPS_SZ_2, 0) != 0)
        cr_skip_test("cannot give a file capabilities");
    json = doctor_json(0, NULL, program);
    cr_expect(json_is_true(json_find(json, "program.capabilities")));
    e = shell("chmod 755 %s && setpriv --reuid=65534 --regid=65534 --clear-groups build/afterfin doctor %s", d,
              program);
    cr_expect(e.status == 1 && strstr(e.out, "has file capabilities"), "%s%s", e.out, e.err);
}

/* ---- through what --------------------------------------------------------------------------------------------- */

static bool has_call(const json_t *through, const char *path, const char *call) {
    const json_t *file_of = named(through, "file", path), *calls = json_object_get(file_of, "calls");
    for (size_t i = 0; i < json_array_size(calls); i++)
        if (strcmp(json_string_value(json_array_get(calls, i)), call) == 0)
            return true;
    return false;
}

Test(doctor_program, names_the_calls_and_the_libraries_that_they_come_from) {
    const char *d = directory();
    const char *inner = build(d, "libinner.so", "-shared -fPIC",
                              "#include <sys/socket.h>\n"
                              "int inner(void) { return connect(0, 0, 0) + bind(0, 0, 0); }");
    const char *outer = build(d, "libouter.so", "-shared -fPIC -linner -Wl,-rpath,'$ORIGIN'",
                              "#include <unistd.h>\nint inner(void);\n"
                              "int outer(void) { return inner() + close(9); }");
    const char *program = build(d, "program", "-louter -Wl,-rpath,'$ORIGIN' -Wl,-rpath-link,.",
                                "#include <unistd.h>\nint outer(void);\nint main(void) { return outer() + dup(0); }");
    json_t *json = doctor_json(0, NULL, program);
    const json_t *through = json_find(json, "program.through");
    cr_expect(has_call(through, program, "dup") && !has_call(through, program, "connect"), "its own");
    cr_expect(has_call(through, inner, "connect") && has_call(through, inner, "bind"), "a library's library");
    cr_expect_not(named(through, "file", outer), "one that opens none is left out");
    cr_expect_eq(json_array_size(json_find(json, "program.missing")), 0);
    struct ended e = command(NULL, "doctor", program, NULL);
    cr_expect(strstr(e.out, inner) && strstr(e.out, "connect, bind"), "%s", e.out);
    cr_assert_eq(unlink(inner), 0);
    json = doctor_json(0, NULL, program);
    cr_expect_str_eq(json_text(json, "program.missing.0"), "libinner.so");
    e = command(NULL, "doctor", program, NULL);
    cr_expect(strstr(e.out, "libinner.so is needed, and was not found"), "%s", e.out);
}

/* What the loader itself lists, with nothing of libc's own. */
Test(doctor_program, finds_libraries_where_the_loader_does) {
    static const char *const programs[] = { "/usr/bin/curl", "/usr/sbin/nginx", "/usr/bin/redis-server" };
    for (size_t i = 0; i < ROWS(programs); i++) {
        if (access(programs[i], X_OK) != 0)
            continue;
        const char *listed = shell("ldd %s", programs[i]).out;
        json_t *json = doctor_json(0, NULL, programs[i]);
        const json_t *through = json_find(json, "program.through");
        cr_expect_eq(json_array_size(json_find(json, "program.missing")), 0, "%s", programs[i]);
        for (size_t k = 1; k < json_array_size(through); k++) /* the first is the program */
            cr_expect(strstr(listed, json_text(json_array_get(through, k), "file")), "%s: %s", programs[i],
                      json_text(json_array_get(through, k), "file"));
    }
}

Test(doctor_program, says_what_cannot_be_seen_from_outside) {
    const char *d = directory();
    build(d, "liburing.so", "-shared -fPIC", "int io_uring_queue_init(void) { return 0; }");
    const char *ring = build(d, "ring", "-luring",
                             "int io_uring_queue_init(void);\n"
                             "int main(void) { return io_uring_queue_init(); }");
    const char *loads = build(d, "loads", "-ldl", "#include <dlfcn.h>\nint main(void) { return !dlopen(\"x\", 1); }");
    cr_expect(json_is_true(json_find(doctor_json(0, NULL, ring), "program.io_uring")));
    cr_expect(json_is_false(json_find(doctor_json(0, NULL, loads), "program.io_uring")));
    cr_expect(json_is_true(json_find(doctor_json(0, NULL, loads), "program.dlopen")));
    cr_expect(json_is_false(json_find(doctor_json(0, NULL, ring), "program.dlopen")));
    cr_expect(strstr(command(NULL, "doctor", ring, NULL).out, "io_uring"));
    cr_expect(strstr(command(NULL, "doctor", loads, NULL).out, "dlopen"));
    json_t *json = doctor_json(0, NULL,
                               build(d, "both", "",
                                     "#include <sys/socket.h>\nint main(void) { " ENTERS
                                     " return connect(0, 0, 0) == 0; }"));
    cr_expect_eq(json_number(json, "program.kernel_calls"), 1);
    cr_expect_eq(json_number(doctor_json(0, NULL, loads), "program.kernel_calls"), 0);
}

/* "RTLD_DEEPBIND dlmopen": how connections of this file, or of what it opens, pass the library by. */
static const char *past_of(const json_t *json, const char *path) {
    static char by[64];
    const json_t *one;
    size_t i;
    by[0] = 0;
    json_array_foreach(json_find(json, "program.past"), i, one)
        if (strcmp(json_text(one, "file"), path) == 0)
            snprintf(by + strlen(by), sizeof by - strlen(by), "%s%s", by[0] ? " " : "", json_text(one, "by"));
    return by;
}

Test(doctor_program, names_what_opens_connections_that_pass_the_library_by) {
    const char *d = directory();
    const char *opens = "#include <dlfcn.h>\n"
                        "void *f(void);\n#ifdef MAIN\nint main(void) { return !f() || !dlopen(\"x\", 9); }\n"
                        "#else\nvoid *f(void) { return dlopen(\"x\", 9); }\n#endif";
    const char *waits = build(d, "libwaits.so", "-shared -fPIC", "void *f(void) { " ENTERS " return 0; }");
    const char *plain = build(d, "libplain.so", "-shared -fPIC -ldl", opens);
    const char *path = build(d, "libpath.so", "-shared -fPIC -ldl -Wl,-rpath,/opt/lib", opens);
    const char *alone = build(d, "libalone.so", "-shared -fPIC", "void *f(void) { " CONNECTS_ITSELF " return 0; }");
    const char *go = build(d, "libgo.so", "-shared -fPIC", NOTE "void *f(void) { return 0; }");
    const char *space = build(d, "libspace.so", "-shared -fPIC -ldl",
                              "#define _GNU_SOURCE\n#include <dlfcn.h>\n"
                              "void *f(void) { return dlmopen(LM_ID_NEWLM, \"x\", 1); }");
    const struct {
        const char *library, *name, *by, *words;
    } rows[] = {
        { waits, "waits", "", NULL },
        { plain, "plain", "", NULL },
        { path, "path", "RTLD_DEEPBIND", "RTLD_DEEPBIND" },
        { alone, "alone", "kernel", "instructions" },
        { go, "go", "kernel", "instructions" },
        { space, "space", "dlmopen", "(dlmopen)" },
    };
    setenv("LD_LIBRARY_PATH", d, 1); /* the programs have no search path of their own */
    for (size_t i = 0; i < ROWS(rows); i++) {
        char options[256];
        snprintf(options, sizeof options, "-DMAIN -l%s -ldl", rows[i].name);
        const char *program = build(d, rows[i].name, options, opens);
        json_t *json = doctor_json(0, NULL, program);
        cr_expect_str_eq(past_of(json, rows[i].library), rows[i].by, "%s", rows[i].name);
        cr_expect_eq(json_array_size(json_find(json, "program.past")), rows[i].by[0] != 0, "%s", rows[i].name);
        const char *told = command(NULL, "doctor", program, NULL).out;
        cr_expect(!rows[i].words || strstr(told, rows[i].words), "%s: %s", rows[i].name, told);
    }
    const char *self = build(d, "self", "-DMAIN -lplain -ldl -Wl,-rpath,'$ORIGIN'", opens);
    cr_expect_str_eq(past_of(doctor_json(0, NULL, self), self), "RTLD_DEEPBIND", "the program itself");
}

/* A plugin, an extension: nothing that could be run, nor need it be allowed to. */
Test(doctor_program, says_of_a_library_whether_it_is_reached_in_what_loads_it) {
    const char *d = directory();
    const char *by_libc = build(d, "libby.so", "-shared -fPIC",
                                "#include <sys/socket.h>\nint f(void) { return socket(1, 1, 0); }");
    const char *above = build(d, "libabove.so", "-shared -fPIC -lby -Wl,-rpath,'$ORIGIN'",
                              "int f(void); int g(void) { return f(); }");
    const char *alone = build(d, "libalone.so", "-shared -fPIC", "void *f(void) { " CONNECTS_ITSELF " return 0; }");
    const struct {
        const char *file, *through, *past, *words;
    } rows[] = { { by_libc, by_libc, NULL, "is reached in programs" },
                 { above, by_libc, NULL, "is reached in programs" },
                 { alone, NULL, alone, "goes past" } };
    for (size_t i = 0; i < ROWS(rows); i++) {
        cr_assert_eq(chmod(rows[i].file, 0644), 0);
        struct ended e = command(NULL, "doctor", rows[i].file, NULL);
        cr_expect(e.status == (rows[i].past ? 1 : 0) && strstr(e.out, rows[i].words), "%d %s%s", e.status, e.out,
                  e.err);
        json_t *json = doctor_json(rows[i].past ? 1 : 0, NULL, rows[i].file);
        cr_expect_str_eq(json_text(json, "program.reached"), rows[i].past ? "no" : "yes", "%s", json_dumps(json, 0));
        cr_expect_eq(json_array_size(json_find(json, "program.through")), rows[i].through != NULL);
        if (rows[i].through)
            cr_expect_str_eq(json_text(json, "program.through.0.file"), rows[i].through);
        if (rows[i].past)
            cr_expect_str_eq(past_of(json, rows[i].past), "kernel");
    }
}

/* What libc does inside itself is no library that is missing, whatever libc it is. */
Test(doctor_program, finds_the_libraries_of_a_program_of_musl) {
    static const char *const names[] = { "libc.so", "libc.musl-x86_64.so.1" };
    const char *d = directory();
    if (shell("ls /lib/ld-musl-*.so.1").status != 0)
        cr_skip_test("no musl");
    for (size_t i = 0; i < ROWS(names); i++) {
        char options[256];
        snprintf(options, sizeof options, "-nostdlib -shared -fPIC -Wl,-soname,%s", names[i]);
        const char *libc = build(d, names[i], options, "int connect(int a, const void *b, unsigned c) { return 0; }");
        snprintf(options, sizeof options, "-nostdlib -Wl,-dynamic-linker,$(ls /lib/ld-musl-*.so.1) %s", libc);
        const char *program = build(d, "program", options,
                                    "int connect(int, const void *, unsigned);\n"
                                    "void _start(void) { connect(0, 0, 0); for (;;) ; }");
        cr_assert_eq(unlink(libc), 0);
        json_t *json = doctor_json(0, NULL, program);
        cr_expect_str_eq(json_text(json, "program.libc"), "musl");
        cr_expect_eq(json_array_size(json_find(json, "program.missing")), 0, "%s", names[i]);
        cr_expect(has_call(json_find(json, "program.through"), program, "connect"));
    }
}
