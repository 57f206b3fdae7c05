/* The ledger as a file: when there is one, whose it is, and what stands in it. */
#include "ledger/reader.h"
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *format, ...) {
    char *out;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&out, format, args);
    va_end(args);
    return n < 0 ? NULL : out;
}

/* The first ledger in a directory. */
static struct af_reader open_ledger(const char *directory) {
    struct af_reader reader = { .fd = -1 };
    struct af_reader_error error;
    DIR *list = opendir(directory);
    for (struct dirent *e; (e = readdir(list));)
        if (strstr(e->d_name, ".ledger")) {
            cr_assert(af_reader_open(&reader, dirfd(list), e->d_name, NULL, &error), "%s", error.text);
            closedir(list);
            return reader;
        }
    give_up("no ledger in %s", directory);
    return reader;
}

static void keep_process(void *context, const struct af_seen_process *p) {
    *(struct af_seen_process *)context = *p;
}

static void keep_connection(void *context, const struct af_connection *conn) {
    memcpy(context, conn, sizeof *conn);
}

Test(ledger_file, is_made_at_the_first_TCP_socket_one_for_each_program) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    const struct {
        const char *name, *script;
        unsigned files;
    } rows[] = {
        { "no socket at all", "true", 0 },
        { "UDP", "\"$0/udp_bind\" 7; :", 0 },
        { "TCP", "\"$0/connect_close\" 127.0.0.1 $1", 1 },
        { "two programs", "\"$0/connect_close\" 127.0.0.1 $1; \"$0/connect_close\" 127.0.0.1 $1", 2 },
        { "many children of one", "\"$0/fork_many\" 127.0.0.1 $1 9", 1 },
        { "an image and the next", "\"$0/exec_close\" 127.0.0.1 $1 9", 2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory(), *victims = victim_path("");
        struct ended e = run_argv(text("LEDGER=%s", directory),
                                  (const char *[]){ "sh", "-c", rows[i].script, victims, text("%u", peer.port), NULL });
        cr_expect_eq(e.status, 0, "%s: %s", rows[i].name, e.err);
        cr_expect_eq(entries(directory, ""), rows[i].files, "%s: %u", rows[i].name, entries(directory, ""));
    }
    const char *directory = new_directory();
    cr_assert_eq(run(text("$XDG_RUNTIME_DIR=%s|LOG=%s/log", directory, directory), "connect_close 127.0.0.1 %u",
                     peer.port)
                     .status,
                 0);
    cr_assert_eq(entries(directory, ""), 1, "a log alone needs no file");
}

static unsigned long field_22(pid_t pid) {
    const char *stat = file_text(text("/proc/%d/stat", (int)pid));
    unsigned long ticks = 0;
    cr_assert_eq(sscanf(strrchr(stat, ')') + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                        "%*d %*d %*d %lu",
                        &ticks),
                 1);
    return ticks;
}

static uint64_t inode(const char *path) {
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    return st.st_ino;
}

Test(ledger_file, tells_whose_it_is) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    const char *directory = new_directory();
    struct victim v = victim_start(text("LEDGER=%s|LINGER=ack", directory), "connect_hold 127.0.0.1 %u", peer.port);
    victim_wait_out(&v, "open");
    struct af_reader reader = open_ledger(directory);
    const struct af_ledger *head = &reader.head;
    struct af_reader_error error;
    struct stat st;
    cr_assert_eq(fstat(reader.fd, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect_eq(head->pid, v.pid);
    cr_expect_eq(head->net_ns, inode(text("/proc/%d/ns/net", (int)v.pid)));
    cr_expect_eq(head->pid_ns, inode(text("/proc/%d/ns/pid", (int)v.pid)));
    cr_expect_str_eq(head->program, "connect_hold");
    cr_expect_str_eq(head->policy, "linger=ack");
    size_t size;
    const char *command = af_reader_command(&reader, &size);
    cr_expect_str_eq(command, "connect_hold");
    cr_expect_str_eq(command + strlen(command) + 1, "127.0.0.1");

    struct af_seen_process process = { .pid = 0 };
    cr_assert(af_reader_processes(&reader, keep_process, &process, &error), "%s", error.text);
    cr_expect_eq(process.pid, v.pid);
    cr_expect_eq(process.ppid, getpid());
    unsigned long began = field_22(v.pid);
    cr_expect_geq(process.start_ticks, began, "%lu, began %lu", (unsigned long)process.start_ticks, began);
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    cr_expect_leq(process.start_ticks, (unsigned long)now.tv_sec * 100 + 100, "not in the future");
    victim_kill(&v, SIGKILL);
}

/* The parent's, and that of a child: descriptors are counted over both. */
Test(ledger_file, counts_the_holders_of_a_connection_over_forks) {
    static const struct {
        const char *script;
        int refs;
    } rows[] = { { "", 1 }, { "-d", 2 }, { "-f", 2 }, { "-d -f", 4 } };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .holds = true });
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *directory = new_directory();
        struct victim v = victim_start(text("LEDGER=%s", directory), "share 127.0.0.1 %u %s", peer.port,
                                       rows[i].script);
        victim_wait_out(&v, "ready");
        struct af_reader reader = open_ledger(directory);
        struct af_reader_error error;
        struct af_connection conn = { .refs = 0 };
        cr_assert(af_reader_connections(&reader, keep_connection, &conn, &error), "%s", error.text);
        cr_expect_eq(conn.state, AF_CONN_OPEN);
        cr_expect_eq(conn.refs, rows[i].refs, "%s: %d", rows[i].script, conn.refs);
        cr_expect_eq(conn.peer.port, peer.port);
        cr_expect_neq(conn.cookie, 0);
        cr_expect_eq(conn.owner, 0);
        af_reader_close(&reader);
        victim_kill(&v, SIGTERM);
    }
}
