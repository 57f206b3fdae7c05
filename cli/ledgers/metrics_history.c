/* See metrics_history.h. Whoever holds the lock writes the file once, at the end, and puts a new one in its place: the
 * next one finds the old one gone and locks the new one. Ledgers are named in it before they are unlinked: one who is killed
 * between the two has neither lost nor doubled anything. */
#include "cli/ledgers/metrics_history.h"
#include "cli/ledgers/settle.h"
#include "cli/output/file.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 1000, NAP_NS = 10000000, VERSION = 1 };
enum { MOST = 16 << 20 /* bytes: some 20,000 programs */ };
static const char file[] = AF_METRICS_HISTORY_FILE, new_file[] = AF_METRICS_HISTORY_FILE ".new";

/* ---- the file ------------------------------------------------------------------------------------------------ */

static bool is_in_place(int fd, int directory) {
    struct stat ours, now;
    return fstat(fd, &ours) == 0 && fstatat(directory, file, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == now.st_ino && ours.st_dev == now.st_dev;
}

static int lock(int directory, bool make) {
    const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (make ? O_CREAT : 0);
    for (int i = 0; i < TRIES; i++) {
        int fd = openat(directory, file, flags, 0600);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
        else if (is_in_place(fd, directory))
            return fd;
        close(fd);
    }
    return -EAGAIN;
}

static bool is_counts(const json_t *counts) {
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)counts, name, n)
        if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > INT64_MAX / 4)
            return false;
    return json_is_object(counts);
}

static const char *why_not(const json_t *all) {
    const char *program;
    json_t *one, *entry;
    size_t i;
    if (json_integer_value(json_object_get(all, "version")) != VERSION)
        return "not written by this version of afterfin";
    json_object_foreach(json_object_get(all, "programs"), program, one)
        if (!is_counts(json_object_get(one, "removed")) || !is_counts(json_object_get(one, "told")))
            return "its counts are none";
    json_array_foreach(json_object_get(all, "gone"), i, entry)
        if (!json_is_string(entry))
            return "its names are none";
    return json_is_object(json_object_get(all, "programs")) ? NULL : "no programs";
}

/* NULL: *why not; an empty one is new. */
static json_t *load(int fd, const char **why) {
    struct stat st;
    json_t *all = NULL;
    *why = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && geteuid() != 0))
        *why = "not a file of our own";
    else if (st.st_size > MOST)
        *why = "too large";
    if (*why || !st.st_size)
        return NULL;
    char *text = af_array(NULL, (size_t)st.st_size, 1);
    ssize_t got = pread(fd, text, (size_t)st.st_size, 0);
    if (got > 0)
        all = json_loadb(text, (size_t)got, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    *why = all ? why_not(all) : "broken";
    if (*why)
        json_decref(all);
    return *why ? NULL : all;
}

static json_t *gone_list(const struct af_metrics_history *history) {
    json_t *list = json_array();
    for (size_t i = 0; i < history->gone.n; i++)
        json_array_append_new(list, af_json_text(history->gone.all[i], strlen(history->gone.all[i])));
    return list;
}

static char *text_of(const struct af_metrics_history *history) {
    char boot[40];
    af_boot_id(boot);
    json_t *all = json_pack("{si ss sO so}", "version", VERSION, "boot", boot, "programs", history->programs, "gone",
                            gone_list(history));
    char *text = af_json_dump(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

static int save(const struct af_metrics_history *history) {
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct stat st;
    char *text = text_of(history);
    unlinkat(history->directory, new_file, 0); /* of one who was killed */
    int fd = openat(history->directory, new_file, flags, 0600);
    /* root in the directory of another: that one, too, is to be able to go on with it. */
    bool ok = text && fd >= 0 && fstat(history->directory, &st) == 0 &&
              (st.st_uid == geteuid() || fchown(fd, st.st_uid, st.st_gid) == 0) && af_write_all(fd, text, strlen(text));
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    int error = ok && renameat(history->directory, new_file, history->directory, file) == 0 ? 0 : -errno;
    if (error && fd >= 0)
        unlinkat(history->directory, new_file, 0);
    free(text);
    return error;
}

/* ---- what is in it ------------------------------------------------------------------------------------------- */

static void raise_to(json_t *to, json_t *least) {
    const char *name;
    json_t *n;
    json_object_foreach(least, name, n)
        if (json_integer_value(json_object_get(to, name)) < json_integer_value(n))
            json_object_set(to, name, n);
}

/* Ledgers of another boot are read no more: all that they told is history. */
static void begin_boot(struct af_metrics_history *history) {
    const char *program;
    json_t *one;
    json_object_foreach(history->programs, program, one)
        raise_to(json_object_get(one, "removed"), json_object_get(one, "told"));
}

static void take(struct af_metrics_history *history, json_t *all) {
    char boot[40];
    const char *its = json_string_value(json_object_get(all, "boot"));
    json_t *entry;
    size_t i;
    af_boot_id(boot);
    history->programs = json_incref(json_object_get(all, "programs"));
    json_array_foreach(json_object_get(all, "gone"), i, entry)
        if (faccessat(history->directory, json_string_value(entry), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            af_strings_add(&history->gone, af_format("%s", json_string_value(entry)));
    if (!its || strcmp(its, boot) != 0)
        begin_boot(history);
    json_decref(all);
}

static int open_history(struct af_metrics_history *history, int directory, bool make) {
    const char *why;
    *history = (struct af_metrics_history){ .directory = directory, .lock = lock(directory, make) };
    if (history->lock < 0)
        return history->lock;
    json_t *all = load(history->lock, &why);
    if (why)
        af_tell("%s: %s; metrics begin anew", file, why);
    if (all)
        take(history, all);
    else
        history->programs = json_object();
    return 0;
}

int af_metrics_history_open(struct af_metrics_history *history, int directory) {
    return open_history(history, directory, true);
}

void af_metrics_history_close(struct af_metrics_history *history) {
    if (history->lock >= 0)
        close(history->lock);
    json_decref(history->programs);
    af_strings_free(&history->gone);
    *history = (struct af_metrics_history){ .lock = -1 };
}

static json_t *program_in(struct af_metrics_history *history, const char *program) {
    json_t *one = json_object_get(history->programs, program);
    if (!one) {
        one = json_pack("{s{} s{}}", "removed", "told");
        json_object_set_new(history->programs, program, one);
    }
    return one;
}

int af_metrics_history_record(struct af_metrics_history *history, struct af_totals *t) {
    const char *program;
    json_t *one;
    json_object_foreach(history->programs, program, one)
        af_totals_of(t, program);
    for (size_t i = 0; i < t->n_sums; i++) {
        json_t *told = t->sums[i].told;
        one = program_in(history, t->sums[i].program);
        af_json_add(told, json_object_get(one, "removed"));
        raise_to(told, json_object_get(one, "told"));
        json_object_set(one, "told", told);
    }
    return save(history);
}

/* ---- leaving ------------------------------------------------------------------------------------------------- */

static int keep(struct af_metrics_history *history, const struct af_strings *leaving) {
    struct af_totals t = { .n_sums = 0 };
    struct af_collection found;
    struct af_kernel_sockets kernel;
    af_collect_except(&found, history->directory, &history->gone);
    af_settle_now(&found, &kernel);
    free(kernel.all);
    af_entries_add(&t.entries, &found, leaving);
    af_totals_sum(&t);
    for (size_t i = 0; i < t.n_sums; i++)
        af_json_add(json_object_get(program_in(history, t.sums[i].program), "removed"), t.sums[i].told);
    for (size_t i = 0; i < leaving->n; i++)
        if (!af_strings_have(&history->gone, leaving->all[i]))
            af_strings_add(&history->gone, af_format("%s", leaving->all[i]));
    af_totals_free(&t);
    af_collection_free(&found);
    return save(history);
}

int af_metrics_history_keep(int directory, const struct af_strings *leaving) {
    struct af_metrics_history history;
    int error = open_history(&history, directory, false);
    if (error)
        return error;
    error = leaving ? keep(&history, leaving) : 0;
    if (error)
        af_tell("%s: the counts of ledgers that are removed cannot be kept: %s", file, strerror(-error));
    int held = history.lock;
    history.lock = -1;
    af_metrics_history_close(&history);
    return held;
}
