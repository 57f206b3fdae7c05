/* See expire.h. */
#include "cli/ledgers/expire.h"
#include "cli/kernel/process.h"
#include "cli/ledgers/collect.h"
#include "cli/ledgers/metrics_history.h"
#include "cli/output/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct life {
    uint64_t pid_ns, last;
    unsigned processes;
    bool runs, killed;
};

static uint64_t nanoseconds(struct timespec t) {
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look_at(void *context, const struct af_seen_process *p) {
    struct life *life = context;
    life->processes++;
    if (p->ended_at > life->last)
        life->last = p->ended_at;
    if (p->ended != AF_RUNNING || life->runs)
        return;
    life->runs = af_process_running(life->pid_ns, p->pid, p->start_ticks);
    life->killed = true;
}

/* Nobody wrote down when a killed process ended. The first who finds it gone takes the right to write off its
 * ledger, and the time of that change stands in. */
static uint64_t time_of_death(int fd, const struct stat *st, uint64_t now) {
    if (!(st->st_mode & S_IWUSR))
        return nanoseconds(st->st_ctim);
    if (fchmod(fd, st->st_mode & 0777 & ~S_IWUSR) != 0)
        return nanoseconds(st->st_ctim);
    return now;
}

static bool is_over(struct af_reader *reader, uint64_t after) {
    struct af_reader_error error;
    struct timespec now;
    struct stat st;
    struct life life = { .pid_ns = reader->head.pid_ns, .last = reader->head.started };
    clock_gettime(CLOCK_REALTIME, &now);
    if (!af_reader_processes(reader, look_at, &life, &error) || life.runs || fstat(reader->fd, &st) != 0)
        return false;
    if (!life.processes && af_process_running(reader->head.pid_ns, reader->head.pid, 0))
        return false; /* just made: its first record is yet to come */
    if (life.killed) {
        uint64_t death = time_of_death(reader->fd, &st, nanoseconds(now));
        life.last = death > life.last ? death : life.last;
    }
    return nanoseconds(now) >= life.last && nanoseconds(now) - life.last >= after;
}

static bool is_left(int directory, const char *name, const char *boot_id, uint64_t after, bool all_users) {
    struct af_reader reader;
    struct af_reader_error error;
    struct stat st;
    if (!af_reader_open(&reader, directory, name, NULL, &error))
        return false;
    const char *its = reader.head.boot_id;
    bool left = fstat(reader.fd, &st) == 0 && (st.st_uid == geteuid() || all_users);
    if (left && !(*its && *boot_id && strcmp(its, boot_id) != 0))
        left = is_over(&reader, after);
    af_reader_close(&reader);
    return left;
}

/* ---- still mapped? -------------------------------------------------------------------------------------------- */

static void drop_if_mapped(struct af_strings *names, const char *line) {
    const char *name = strrchr(line, '/');
    for (size_t i = names->n; name && i > 0; i--)
        if (strncmp(name + 1, names->all[i - 1], strlen(names->all[i - 1])) == 0) {
            free(names->all[i - 1]);
            names->all[i - 1] = names->all[--names->n];
        }
}

/* A forked child that has not used a socket yet has no record, but will write one there. */
static void drop_mapped(struct af_strings *names) {
    DIR *proc = opendir("/proc");
    char *line = NULL;
    size_t room = 0;
    for (struct dirent *e; proc && (e = readdir(proc));) {
        char path[64];
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/maps", e->d_name);
        FILE *maps = fopen(path, "re");
        while (maps && getline(&line, &room, maps) > 0)
            if (strstr(line, ".ledger"))
                drop_if_mapped(names, line);
        if (maps)
            fclose(maps);
    }
    free(line);
    if (proc)
        closedir(proc);
}

static size_t remove_all(int directory, const struct af_strings *names) {
    size_t removed = 0;
    int held = names->n ? af_metrics_history_keep(directory, names) : -EAGAIN;
    for (size_t i = 0; i < names->n && held != -EAGAIN; i++)
        removed += unlinkat(directory, names->all[i], 0) == 0;
    if (held >= 0)
        close(held);
    return removed;
}

/* What lies in root's own, where nobody else can put anything, root has kept: a run's ledgers, of whatever users. */
static bool is_roots(int directory) {
    struct stat st;
    return geteuid() == 0 && fstat(directory, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022);
}

size_t af_expire_ledgers(int directory, unsigned after_s) {
    struct af_strings names = { NULL, 0 };
    char boot_id[40];
    const bool all_users = is_roots(directory);
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    af_boot_id(boot_id);
    af_process_list_anew();
    for (struct dirent *e; list && (e = readdir(list));)
        if (af_is_ledger_name(e->d_name) && is_left(directory, e->d_name, boot_id, after_s * 1000000000ull, all_users))
            af_strings_add(&names, af_format("%s", e->d_name));
    if (list)
        closedir(list);
    if (names.n)
        drop_mapped(&names);
    size_t removed = remove_all(directory, &names);
    af_strings_free(&names);
    return removed;
}
