/* Log lines summed, and the kernel's books to hold them against. */
#include "tests/harness/counts.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *text(const char *format, ...) {
    va_list args;
    char *out;

    va_start(args, format);
    if (vasprintf(&out, format, args) < 0)
        abort();
    va_end(args);
    return out;
}

const char *directory_made(void) {
    const char *dir = scratch_path();
    cr_assert_eq(mkdir(dir, 0700), 0);
    return dir;
}

int directory_removed(const char *path) {
    DIR *dir = opendir(path);
    int n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_name[0] == '.')
            continue;
        unlinkat(dirfd(dir), e->d_name, 0);
        n++;
    }
    if (dir)
        closedir(dir);
    rmdir(path);
    return n;
}

struct tally tally_sum(struct tally a, struct tally b) {
#define X(field) a.field += b.field;
    TALLY_FIELDS(X)
#undef X
    a.lines += b.lines;
    return a;
}

static struct tally tally_line(const char *line) {
    struct tally t = { .lines = 1 };
#define X(field) t.field = log_number(line, #field);
    TALLY_FIELDS(X)
#undef X
    return t;
}

struct tally tally_log(const char *row, const char *path) {
    struct tally sum = { 0 };
    const char *at = file_text(path), *line;

    for (; at && (line = log_line(at, 0)); at = strstr(at, line) + strlen(line)) {
        const char *event = log_text(line, "event");
        cr_assert(event, "%s: a line without event: %s", row, line);
        log_expect_invariant(line);
        if (strcmp(event, "interval") != 0)
            sum = tally_sum(sum, tally_line(line));
    }
    return sum;
}

void tally_expect(const char *row, const char *log, const struct tally *want, long times) {
    struct tally got = tally_log(row, log);
    const char *whole = file_text(log);
#define X(field) \
    cr_assert(got.field == want->field * times, "%s: %s is %ld, not %ld\n%s", row, #field, got.field, \
              want->field * times, whole ? whole : "(no log)");
    TALLY_FIELDS(X)
#undef X
}

/* A FIN_WAIT2 socket that somebody still holds has an inode. */
static bool is_time_wait(const struct ns_socket *s) {
    return s->state == ST_TIME_WAIT || (s->state == ST_FIN_WAIT2 && s->inode == 0);
}

struct books books_of(const char *row, uint16_t port) {
    struct books b = { 0 };
    struct ns_socket *rows;
    long all = 0, whole = 0; /* whole: its ACK came while close had the socket, so the kernel kept it as it is */

    ns_settle();
    size_t n = ns_sockets(&rows);
    for (size_t i = 0; i < n; i++) {
        if (!is_time_wait(&rows[i]))
            continue;
        all++;
        whole += rows[i].timer != 3;
        b.to += rows[i].remote_port == port;
        b.from += rows[i].local_port == port;
    }
    free(rows);
    cr_assert(ns_sockstat("tw") + whole == all, "%s: sockstat says tw %ld, the tables %ld, %ld are orphans", row,
              ns_sockstat("tw"), all, whole);
    b.made = ns_netstat("TW") + whole;
    return b;
}
