/* See given.h. The file is `set` in the directory: a header and rows, written as a whole. */
#include "cli/set/given.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[16] = "afterfin set 1\n";
enum { MOST = 1 << 20 }; /* rows that are read */

static int by_cookie(const void *a, const void *b) {
    const struct af_given *x = a, *y = b;
    return x->cookie != y->cookie ? (x->cookie < y->cookie ? -1 : 1) : x->choice - y->choice;
}

static void add_listening(struct af_givens *g, const struct af_given *given) {
    g->listening = af_room_for_one(g->listening, g->n_listening, sizeof *g->listening);
    g->listening[g->n_listening++] = *given;
}

static void read_rows(struct af_givens *g, int fd) {
    char head[sizeof magic];
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid() || read(fd, head, sizeof head) != (ssize_t)sizeof head ||
        memcmp(head, magic, sizeof head) != 0)
        return;
    size_t n = ((size_t)st.st_size - sizeof head) / sizeof *g->old, have = 0;
    n = n < MOST ? n : MOST;
    g->old = af_array(NULL, n, sizeof *g->old);
    for (ssize_t got; have < n * sizeof *g->old; have += (size_t)got)
        if ((got = read(fd, (char *)g->old + have, n * sizeof *g->old - have)) <= 0)
            break;
    for (size_t i = 0; i < have / sizeof *g->old; i++)
        if (g->old[i].choice < AF_CHOICES)
            g->old[g->n_old++] = g->old[i];
    for (size_t i = 0; i < g->n_old; i++)
        if (g->old[i].listens)
            add_listening(g, &g->old[i]);
    if (g->n_old)
        qsort(g->old, g->n_old, sizeof *g->old, by_cookie);
}

/* The file as it is, or a new one; -1: there is none. */
static int open_ahead(int directory) {
    struct stat st;
    const int fd = openat(directory, "set", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_size || af_write_all(fd, magic, sizeof magic)))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void af_givens_read(struct af_givens *g) {
    char directory[PATH_MAX];
    *g = (struct af_givens){ .directory = af_ledger_dir_default(directory), .ahead = -1 };
    if (g->directory < 0) {
        af_tell("set: %s: %s: what is set now cannot be noted there, and off will not give back what was before",
                directory, strerror(-g->directory));
        return;
    }
    while (flock(g->directory, LOCK_EX) != 0 && errno == EINTR)
        ;
    snprintf(g->path, sizeof g->path, "%s/set", directory);
    int fd = openat(g->directory, "set", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        read_rows(g, fd);
        close(fd);
    }
    g->ahead = open_ahead(g->directory);
    g->over = af_array(NULL, g->n_old, sizeof *g->over);
    memset(g->over, 0, g->n_old * sizeof *g->over);
}

/* The rows of one process come one after the other more often than not. */
static bool still_runs(const struct af_given *given) {
    static struct af_given last;
    static bool runs;
    if (given->pid != last.pid || given->start_ticks != last.start_ticks)
        runs = af_process_running(0, given->pid, given->start_ticks);
    last = *given;
    return runs;
}

void af_givens_write(struct af_givens *g) {
    size_t n = g->n_new;
    for (size_t i = 0; i < g->n_old; i++)
        if (!g->over[i] && still_runs(&g->old[i]))
            g->old[n++ - g->n_new] = g->old[i];
    if (g->directory >= 0 && !n) {
        unlinkat(g->directory, "set", 0);
    } else if (g->directory >= 0) {
        struct af_output_file file;
        const mode_t mask = umask(077);
        bool ok = af_output_open(&file, g->path) >= 0 && af_write_all(file.fd, magic, sizeof magic) &&
                  af_write_all(file.fd, (char *)g->old, (n - g->n_new) * sizeof *g->old) &&
                  af_write_all(file.fd, (char *)g->new, g->n_new * sizeof *g->new);
        umask(mask);
        if (!af_output_close(&file, ok))
            af_tell("set: %s: %s: off will not give back what was before", g->path, strerror(errno));
    }
    if (g->ahead >= 0)
        close(g->ahead);
    if (g->directory >= 0)
        close(g->directory);
    free(g->old);
    free(g->new);
    free(g->listening);
    free(g->over);
}

/* The first of them: a set that was killed has left another. */
static struct af_given *find(const struct af_givens *g, uint64_t cookie, enum af_choice choice) {
    const struct af_given key = { .cookie = cookie, .choice = (uint8_t)choice };
    struct af_given *found = g->n_old ? bsearch(&key, g->old, g->n_old, sizeof key, by_cookie) : NULL;
    while (found && found > g->old && by_cookie(found - 1, &key) == 0)
        found--;
    return found;
}

/* What a listening socket handed on: it has the state that was set there, and comes from its port. */
static const struct af_state *inherited(const struct af_givens *g, enum af_choice choice, uint16_t port,
                                        const struct af_state *now) {
    for (const struct af_given *from = g->listening; from < g->listening + g->n_listening; from++)
        if (from->choice == choice && from->port == port && af_state_equal(&from->set, now))
            return &from->before;
    return NULL;
}

const struct af_state *af_givens_before(struct af_givens *g, uint64_t cookie, enum af_choice choice, uint16_t port,
                                        const struct af_state *now) {
    const struct af_state *before = NULL;
    for (struct af_given *own = find(g, cookie, choice); own && own < g->old + g->n_old; own++) {
        if (own->cookie != cookie || own->choice != choice)
            break;
        g->over[own - g->old] = true; /* af_givens_add puts another in its place, if there is to be one */
        before = af_state_equal(&own->set, now) ? &own->before : before;
    }
    return before ? before : inherited(g, choice, port, now);
}

void af_givens_add(struct af_givens *g, const struct af_given *given) {
    g->new = af_room_for_one(g->new, g->n_new, sizeof *g->new);
    g->new[g->n_new++] = *given;
    if (g->ahead >= 0 && !af_write_all(g->ahead, (const char *)given, sizeof *given)) {
        close(g->ahead);
        g->ahead = -1;
    }
    if (given->listens)
        add_listening(g, given);
}

void af_givens_drop_last(struct af_givens *g) {
    g->n_new--;
}
