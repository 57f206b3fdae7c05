/* Where the library is silent, and what its words may cost: nothing into a connection, no more than a second where nobody
 * reads, no line that another one has broken. */
#include "tests/harness/counts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A log line, a complaint, a warning: what there is to say. */
static const char *const words[] = {
    "LOG=stderr",      "LOG=stdout",          "LOG=stderr|LOG_FORMAT=json",
    "LINGER=nonsense", "LOG=/nowhere/at/all", "LOG=stderr|LEDGER=/nowhere/at/all",
    "PORT_RANGE=1-2",
};

Test(silence, nothing_is_ever_written_into_a_connection_that_is_stderr) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        ns_enter();
        struct peer connection = peer_start(&(struct peer_options){ .raw = true });
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1, .raw = true });
        struct ended e = run(words[i], "into tcp:%u %s stack 127.0.0.1 %u 2", connection.port,
                             victim_path("connect_from"), peer.port);
        cr_assert_eq(e.status, 0, "%s: %d", words[i], e.status);
        peer_wait_ended(&connection, 1);
        cr_assert_eq(connection.book->conn[0].bytes, 0, "%s: %lu bytes of ours in the program's protocol", words[i],
                     (unsigned long)connection.book->conn[0].bytes);
        peer_stop(&connection);
        peer_stop(&peer);
    }
    struct ended strict = run("LINGER=nonsense|STRICT=on", "true");
    cr_assert_eq(strict.status, 78);
}

Test(silence, a_unix_socket_is_told_as_a_file_is) {
    static const char *const kinds[] = { "unix", "datagram" };

    for (int i = 0; i < 2; i++) {
        struct ended e = run("LOG=stderr", "into %s %s 0", kinds[i], victim_path("lets_go"));
        const char *line = log_line(e.out, 0);
        cr_assert(e.status == 0 && line && log_number(line, "sockets") == 1, "%s: %d %s%s", kinds[i], e.status, e.out,
                  e.err);
    }
}

/* 400 lines: at a second each the guard of victim_wait would end it. */
Test(silence, a_full_pipe_and_a_stopped_terminal_cost_a_second_in_all) {
    static const char *const kinds[] = { "pipe", "terminal" };
    static const char *const sinks[] = { "LOG=stderr", "LOG=stdout", "LINGER=nonsense" };

    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            struct ended e = run(sinks[k], "into %s %s 400", kinds[i], victim_path("lets_go"));
            cr_assert_eq(e.status, 0, "%s, %s: %d %s", kinds[i], sinks[k], e.status, e.err);
        }
}

#ifdef SYS_poll
#define WAITS SYS_poll
#else
#define WAITS SYS_ppoll
#endif

/* Of i386 another. */
static int waits(void) {
    return victims_are("i386") ? 168 : WAITS;
}

/* What /proc says of a process in the first words of its line `name`; the whole file where name is NULL. */
static const char *of_process(pid_t pid, const char *file, const char *name) {
    const char *all = file_text(text("/proc/%d/%s", (int)pid, file));
    const char *line = all && name ? strstr(all, name) : all;
    return line ? line + (name ? strlen(name) : 0) : "";
}

Test(silence, while_it_waits_for_a_reader_no_signal_is_held_back) {
    static const char *const kinds[] = { "pipe", "terminal" };

    for (int i = 0; i < 2; i++) {
        bool seen = false;
        for (int attempt = 0; attempt < 20 && !seen; attempt++) {
            struct victim v = victim_start("LOG=stderr", "into %s %s 0", kinds[i], victim_path("lets_go"));
            victim_wait_out(&v, "child ");
            pid_t child = atoi(strstr(victim_out(&v), "child ") + 6);
            while (!seen && kill(child, 0) == 0 && victim_runs(&v))
                if (atoi(of_process(child, "syscall", NULL)) == waits()) {
                    const char *held = of_process(child, "status", "SigBlk:\t");
                    seen = strncmp(held, "0000000000000000\n", 17) == 0 &&
                           atoi(of_process(child, "syscall", NULL)) == waits();
                }
            if (seen)
                kill(child, SIGTERM);
            struct ended e = victim_wait(&v);
            cr_assert_eq(e.status, seen ? 128 + SIGTERM : 0, "%s: %d", kinds[i], e.status);
        }
        cr_assert(seen, "%s: it was never seen to wait with its signals free", kinds[i]);
    }
}

Test(silence, a_line_that_was_cut_off_takes_no_other_with_it) {
    static const char *const before[] = { "afterfin version=1 event=exit ti", "{\"version\":1,", "whole\n", "" };

    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        const char *log = scratch_path();
        FILE *file = fopen(log, "we");
        fputs(before[i], file);
        fclose(file);
        struct ended e = run(text("LOG=%s%s", log, i == 1 ? "|LOG_FORMAT=json" : ""), "lets_go 0");
        const char *got = file_text(log), *cut = i < 2 ? "\n" : "";
        cr_assert_eq(e.status, 0);
        cr_assert_eq(strncmp(got, text("%s%s%s", before[i], cut, i == 1 ? "{" : "afterfin "),
                             strlen(before[i]) + strlen(cut) + (i == 1 ? 1 : 9)),
                     0, "%s", got);
        cr_assert_eq(got[strlen(got) - 1], '\n');
        unlink(log);
    }
}

/* A file size limit cuts the line as a full disk does. */
Test(silence, a_line_for_which_there_is_no_room_is_made_up_for_by_the_next) {
    const char *log = scratch_path();
    struct ended e = run(text("LOG=%s", log), "prlimit --fsize=100 %s 0", victim_path("lets_go"));

    cr_assert_eq(e.status, 0, "%d %s", e.status, e.err);
    cr_assert_eq(strlen(file_text(log)), 100, "%s", file_text(log));
    e = run(text("LOG=%s", log), "lets_go 0");
    cr_assert(e.status == 0 && strlen(e.err) == 0, "%s", e.err);
    const char *line = strchr(file_text(log), '\n');
    cr_assert(line && log_number(log_line(line, 0), "sockets") == 1, "%s", file_text(log));
    unlink(log);
}
