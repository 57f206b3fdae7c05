/* Which programs are touched: only and skip, by the name that was exec'd. */
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    const char *settings;
    bool touched;
} rows[] = {
    { "ONLY=connect_close", true },
    { "ONLY=other,connect_close", true },
    { "ONLY=connect", false },
    { "ONLY=connect_close_2,close", false },
    { "SKIP=connect_close", false },
    { "SKIP=other,connect_close", false },
    { "SKIP=other", true },
    { "SKIP=connect", true },
    { "ONLY=connect_close|SKIP=connect_close", false },
    { "ONLY=|SKIP=", true },
};

Test(only_skip, programs_are_chosen_by_name_and_skip_beats_only) {
    long tw = 0;

    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "LINGER=ack-always|LOG=stderr|%s", rows[i].settings);
        struct ended e = run(settings, "connect_close 127.0.0.1 %u", peer.port);
        cr_assert_eq(e.status, 0, "%s: %s%s", settings, e.out, e.err);
        tw += !rows[i].touched;
        cr_assert_eq(ns_tw(), tw, "%s", settings);
        cr_assert_eq(log_lines(e.err), rows[i].touched, "%s: %s", settings, e.err);
    }
}

/* The shell is skipped, what it starts is not. */
Test(only_skip, a_skipped_program_passes_the_variables_on) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    char command[512];
    snprintf(command, sizeof command, "%s 127.0.0.1 %u; exec %s 127.0.0.1 %u", victim_path("connect_close"), peer.port,
             victim_path("connect_close"), peer.port);
    const char *const argv[] = { "sh", "-c", command, NULL };
    struct ended e = run_argv("LINGER=ack-always|SKIP=sh", argv);
    cr_assert_eq(e.status, 0, "%s", e.err);
    peer_expect_clean(&peer, 0, 2, 0, "skipped shell");
    cr_assert_eq(ns_tw(), 0);
    e = run_argv("LINGER=ack-always|ONLY=sh", argv);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert_eq(ns_tw(), 2);
}

/* A script goes by its own name, not by its interpreter's. */
Test(only_skip, a_script_goes_by_its_own_name) {
    static const struct {
        const char *only;
        bool touched;
    } names[] = { { "python3", false }, { "legacy-script", true } };
    char path[64], text[512], port[8];

    ns_enter();
    const char *directory = scratch_path();
    cr_assert_eq(mkdir(directory, 0700), 0);
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    snprintf(path, sizeof path, "%s/legacy-script", directory);
    snprintf(port, sizeof port, "%u", peer.port);
    snprintf(text, sizeof text,
             "#!/usr/bin/python3\nimport socket, sys\n"
             "socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()\n");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    for (int i = 0; i < 2; i++) {
        const char *const argv[] = { path, port, NULL };
        snprintf(text, sizeof text, "LINGER=ack-always|ONLY=%s", names[i].only);
        struct ended e = run_argv(text, argv);
        if (e.status == 127)
            cr_skip_test("no python3");
        cr_assert_eq(e.status, 0, "%s", e.err);
        cr_assert_eq(ns_tw(), 1, "%s", text); /* the first, untouched one's */
    }
}
