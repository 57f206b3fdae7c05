/* See collect.h. */
#include "cli/ledgers/collect.h"
#include "cli/kernel/process.h"
#include "cli/output/busy.h"
#include "cli/kernel/sysctl.h"
#include "cli/ledgers/endpoints.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/text.h"
#include "ledger/histogram.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH = 8 };
#define ANYBODY UINT32_MAX

/* What is taken of one other user's ledgers. A machine has fewer processes with sockets of one user than this; and of a
 * connection's end as many records as four rings hold, a ring being as long as the kernel keeps TIME_WAITs. */
enum {
    MOST_FILES = 4096,
    MOST_NAMES = 1 << 16,
    MOST_ROWS = 1 << 16,
    MOST_COMPLAINTS = 4,
    RINGS = 4,
    LEAST_RING = 1 << 18
};

/* A walk through a directory of ledgers. */
struct walk {
    struct af_collection *to;
    const char *where;                 /* what goes before the names of its files */
    const struct af_strings *left_out; /* NULL: nothing */
    const char *entry;                 /* where it is in the uppermost one */
    uint32_t owner;                    /* of the directory that is read now; ANYBODY: others too may write there */
};

/* While one ledger is read: its slots -> rows. */
struct reading {
    struct af_collection *to;
    size_t image;
    size_t *row_of;
    uint32_t n_slots;
    struct af_share *share; /* NULL: it is our own */
};

/* ---- other users' ------------------------------------------------------------------------------------------- */

/* The longest ring that a library makes. A namespace may have a limit of its own: at least that of most machines. */
static uint32_t longest_ring(void) {
    static uint32_t longest;
    if (longest)
        return longest;
    const int64_t buckets = af_sysctl_value("net.ipv4.tcp_max_tw_buckets");
    for (longest = LEAST_RING; longest < buckets && longest < AF_MAX_CLOSED;)
        longest *= 2;
    return longest;
}

/* NULL: the user is us. The pointer is good until the next one is asked for. */
static struct af_share *share_of(struct af_collection *c, uint32_t uid) {
    if (uid == geteuid())
        return NULL;
    for (size_t i = 0; i < c->n_shares; i++)
        if (c->shares[i].uid == uid)
            return &c->shares[i];
    c->shares = af_room_for_one(c->shares, c->n_shares, sizeof *c->shares);
    c->shares[c->n_shares] = (struct af_share){
        .uid = uid, .may_read = (uint64_t)2 * RINGS * longest_ring() * sizeof(struct af_closed)
    };
    return &c->shares[c->n_shares++];
}

/* One more of what a share has so many of already? */
static bool takes(struct af_share *share, size_t *taken, size_t most) {
    const bool room = *taken < most;
    *taken += room;
    share->cut |= !room;
    return room;
}

static bool takes_row(const struct reading *r) {
    return !r->share || takes(r->share, &r->share->rows, MOST_ROWS);
}

static bool takes_record(const struct reading *r) {
    return !r->share || takes(r->share, &r->share->records, (size_t)RINGS * longest_ring());
}

static size_t row_at(const struct reading *r, uint32_t slot) {
    return slot < r->n_slots ? r->row_of[slot] : AF_NO_ROW;
}

static void add_process(void *context, const struct af_seen_process *p) {
    struct reading *r = context;
    struct af_collection *c = r->to;
    if (!takes_row(r))
        return;
    if (p->slot >= r->n_slots) { /* claimed since the array was made */
        r->row_of = af_array(r->row_of, p->slot + 1, sizeof *r->row_of);
        for (; r->n_slots <= p->slot; r->n_slots++)
            r->row_of[r->n_slots] = AF_NO_ROW;
    }
    r->row_of[p->slot] = c->n_rows;
    c->rows = af_room_for_one(c->rows, c->n_rows, sizeof *c->rows);
    struct af_row *row = &c->rows[c->n_rows++];
    *row = (struct af_row){ .image = r->image, .seen = *p };
}

static void add_endpoint(void *context, const struct af_endpoint *endpoint) {
    const struct reading *r = context;
    if (!takes_record(r))
        return;
    af_endpoint_add(r->to, row_at(r, endpoint->slot), endpoint);
}

static void add_closing(void *context, const struct af_closed *closed) {
    const struct reading *r = context;
    struct af_collection *c = r->to;
    if (!closed->cookie || closed->counted == AF_END_NONE) /* not read; taken back */
        return;
    if (!takes_record(r))
        return;
    c->closings = af_room_for_one(c->closings, c->n_closings, sizeof *c->closings);
    c->closings[c->n_closings++] = (struct af_closing){
        .cookie = closed->cookie,
        .at = closed->at,
        .image = r->image,
        .row = row_at(r, closed->slot),
        .owner = row_at(r, closed->owner),
        .peer = closed->peer,
        .local_port = closed->local_port,
        .counted = closed->counted,
        .accepted = closed->flags & AF_FLAG_ACCEPTED,
        .mptcp = (closed->flags & AF_FLAG_MPTCP) != 0,
        .use = closed->use,
        .record = closed->record,
    };
}

static void add_live(void *context, const struct af_connection *conn) {
    const struct reading *r = context;
    struct af_collection *c = r->to;
    /* One with an ending was handed over by an exec, or freed by a process that was killed in the middle: it
     * is counted already. */
    const size_t owner = conn->ending ? AF_NO_ROW : row_at(r, conn->owner);
    if (conn->state == AF_CONN_OPEN && owner != AF_NO_ROW)
        c->rows[owner].held++;
    if (!conn->cookie || conn->state == AF_CONN_LISTENER || conn->state == AF_CONN_NEW || conn->ending)
        return;
    if (!takes_record(r))
        return;
    c->live = af_room_for_one(c->live, c->n_live, sizeof *c->live);
    c->live[c->n_live++] = (struct af_live){
        .cookie = conn->cookie,
        .image = r->image,
        .holder = row_at(r, conn->holder),
        .owner = row_at(r, conn->owner),
        .index = conn->index,
        .use = (uint8_t)(conn->hold >> AF_TAG_SHIFT),
        .state = conn->state,
        .flags = conn->flags,
        .peer = conn->peer,
        .local_port = conn->local_port,
    };
}

void af_collect_complain(struct af_collection *c, const char *where, const char *why) {
    c->complaints = af_room_for_one(c->complaints, c->n_complaints, sizeof *c->complaints);
    c->complaints[c->n_complaints++] = af_format("%s%s", where, why);
}

static size_t add_image(struct af_collection *c, const struct af_reader *reader, const char *entry) {
    const struct af_ledger *head = &reader->head;
    c->images = af_room_for_one(c->images, c->n_images, sizeof *c->images);
    struct af_image *image = &c->images[c->n_images];
    *image = (struct af_image){ .entry = af_format("%s", entry),
                                .net_ns = head->net_ns,
                                .pid_ns = head->pid_ns,
                                .started = head->started,
                                .uid = reader->uid,
                                .pid = head->pid };
    const char *command = af_reader_command(reader, &image->command_size);
    image->command = af_array(NULL, image->command_size, 1);
    memcpy(image->command, command, image->command_size);
    image->command_cut = head->command_size > sizeof head->command;
    memcpy(image->program, head->program, sizeof image->program);
    memcpy(image->policy, head->policy, sizeof image->policy);
    image->policy_since = head->policy_since;
    return c->n_images++;
}

/* Every complaint of our own files, a few of another's. */
static void complain_of(const struct walk *w, uint32_t uid, const char *why) {
    struct af_share *share = share_of(w->to, uid == geteuid() ? w->owner : uid);
    if (!share || share->complaints++ < MOST_COMPLAINTS) {
        af_collect_complain(w->to, w->where, why);
        return;
    }
    share->untold++;
    w->to->n_untold++;
}

/* Is there room for one more ledger of this user's, and can it be one? Else that has been said. */
static bool takes_ledger(const struct walk *w, const struct af_reader *reader, struct af_share *share) {
    if (!share)
        return true;
    if (reader->head.max_closed > longest_ring()) {
        char *why = af_format("%s: has room for %u closed connections, more than the kernel has TIME_WAITs",
                              reader->name, reader->head.max_closed);
        complain_of(w, reader->uid, why);
        free(why);
        return false;
    }
    if (takes(share, &share->files, MOST_FILES))
        return true;
    share->left_out++;
    return false;
}

/* In the place of a ledger that could not be: a link to the name of an errno. */
static bool is_unkept(struct af_collection *c, int directory, const char *name) {
    char why[sizeof c->unkept_why] = "";
    const ssize_t len = readlinkat(directory, name, why, sizeof why - 1);
    if (len <= 0 || (size_t)len != strspn(why, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
        return false;
    if (!c->n_unkept++)
        memcpy(c->unkept_why, why, sizeof why);
    return true;
}

/* False: its writer is not ready with it. One that has just been removed is none. */
static bool read_ledger(const struct walk *w, int directory, const char *name, bool wait) {
    struct af_collection *c = w->to;
    struct af_reader reader;
    struct af_reader_error error;
    if (is_unkept(c, directory, name))
        return true;
    if (!af_reader_open(&reader, directory, name, c->boot_id, &error)) {
        if (error.unfinished && wait)
            return false;
        if (!error.gone)
            complain_of(w, reader.uid, error.text);
        return true;
    }
    struct af_share *share = share_of(c, reader.uid);
    if (!takes_ledger(w, &reader, share)) {
        af_reader_close(&reader);
        return true;
    }
    struct reading r = { .to = c, .image = add_image(c, &reader, w->entry), .share = share };
    reader.may_read = share ? &share->may_read : NULL;
    struct af_histogram times;
    uint64_t lost = 0;
    /* Processes first: what the others refer to. */
    if (!af_reader_processes(&reader, add_process, &r, &error) ||
        !af_reader_endpoints(&reader, add_endpoint, &r, &error) ||
        !af_reader_connections(&reader, add_live, &r, &error) ||
        !af_reader_closed(&reader, add_closing, &r, &lost, &error) || !af_reader_times(&reader, &times, &error))
        complain_of(w, reader.uid, error.text);
    else
        af_histogram_add(&c->connect_times, &times);
    c->images[r.image].lost = lost;
    c->bad += reader.bad;
    free(r.row_of);
    af_reader_close(&reader);
    return true;
}

bool af_is_ledger_name(const char *name) {
    static const char suffix[] = ".ledger";
    size_t len = strlen(name);
    return len >= sizeof suffix && strcmp(name + len - (sizeof suffix - 1), suffix) == 0;
}

static void read_unfinished(struct walk *w, int directory, const struct af_strings *names, int depth) {
    for (size_t i = 0; i < names->n; i++) {
        w->entry = depth ? w->entry : names->all[i];
        while (!read_ledger(w, directory, names->all[i], af_wait_for_writer(&w->to->waited_ms)))
            ;
    }
}

static uint32_t owner_of(int directory) {
    struct stat st;
    return fstat(directory, &st) != 0 || st.st_mode & 022 ? ANYBODY : st.st_uid;
}

/* One more name to look at, in all directories of its owner? */
static bool takes_name(const struct walk *w) {
    struct af_share *share = share_of(w->to, w->owner);
    return !share || takes(share, &share->names, MOST_NAMES);
}

static void read_directory(struct walk *w, int directory, int depth) {
    int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = again < 0 ? NULL : fdopendir(again);
    struct af_strings unfinished = { .n = 0 };
    w->owner = owner_of(directory);
    for (struct dirent *e; list && (e = readdir(list)) && takes_name(w);) {
        w->entry = depth ? w->entry : e->d_name;
        if (!depth && w->left_out && af_strings_have(w->left_out, e->d_name))
            continue;
        if (af_is_ledger_name(e->d_name)) {
            af_busy("ledgers", w->to->n_images, 0);
            if (read_ledger(w, directory, e->d_name, true))
                continue;
            af_strings_add(&unfinished, af_format("%s", e->d_name));
        } else if (strncmp(e->d_name, "run-", 4) == 0 && depth < DEPTH) {
            int below = openat(directory, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below < 0)
                continue;
            const uint32_t owner = w->owner;
            read_directory(w, below, depth + 1);
            w->owner = owner;
            close(below);
        }
    }
    read_unfinished(w, directory, &unfinished, depth);
    af_strings_free(&unfinished);
    if (list)
        closedir(list);
    else if (again >= 0)
        close(again);
}

static enum af_fate fate_of(const struct af_image *image, const struct af_seen_process *p) {
    if (p->ended != AF_RUNNING)
        return p->ended == AF_EXECED ? AF_FATE_EXEC : AF_FATE_EXIT;
    return af_process_running(image->pid_ns, p->pid, p->start_ticks) ? AF_FATE_RUNNING : AF_FATE_SIGNAL;
}

/* Once all is read: who has begun meanwhile is not to be missed. */
static void judge_fates(struct af_collection *c) {
    af_process_list_anew();
    for (size_t i = 0; i < c->n_rows; i++) {
        struct af_image *image = &c->images[c->rows[i].image];
        c->rows[i].fate = fate_of(image, &c->rows[i].seen);
        image->runs |= c->rows[i].fate == AF_FATE_RUNNING;
    }
}

/* The library's ticks are of some time after the process's start, those from outside are that. */
static int compare_processes(const void *a, const void *b) {
    const struct af_seen_process *p = &(*(struct af_row *const *)a)->seen, *q = &(*(struct af_row *const *)b)->seen;
    if (p->pid != q->pid)
        return p->pid > q->pid ? 1 : -1;
    if (p->start_ticks != q->start_ticks)
        return p->start_ticks > q->start_ticks ? 1 : -1;
    return q->outside - p->outside;
}

static void take_out(uint64_t *from, uint64_t n) {
    *from -= n < *from ? n : *from;
}

static bool are_one(const struct af_collection *c, const struct af_row *a, const struct af_row *b) {
    return a->seen.pid == b->seen.pid && strcmp(c->images[a->image].program, c->images[b->image].program) == 0;
}

/* A program in Go with C in it, under run: the supervisor counts all that enters the kernel, the library what of it came by
 * libc. Each connect is told once. */
static void take_out_doubles(struct af_collection *c) {
    struct af_row **rows = af_array(NULL, c->n_rows, sizeof(struct af_row *)), *outside = NULL;
    size_t n_outside = 0;
    for (size_t i = 0; i < c->n_rows; i++) {
        rows[i] = &c->rows[i];
        n_outside += c->rows[i].seen.outside;
    }
    if (n_outside > 0 && n_outside < c->n_rows)
        qsort((void *)rows, c->n_rows, sizeof *rows, compare_processes);
    for (size_t i = 0; i < c->n_rows && n_outside > 0; i++) {
        if (rows[i]->seen.outside) {
            outside = rows[i];
        } else if (outside && are_one(c, outside, rows[i])) {
            take_out(&outside->seen.count[AF_COUNT_connects], rows[i]->seen.count[AF_COUNT_connects]);
            take_out(&outside->seen.count[AF_COUNT_sockets], rows[i]->seen.count[AF_COUNT_sockets]);
        }
    }
    free((void *)rows);
}

void af_collect_begin(struct af_collection *c) {
    memset(c, 0, sizeof *c);
    af_boot_id(c->boot_id);
}

void af_collect_add(struct af_collection *c, int directory, const char *where, const struct af_strings *left_out) {
    struct walk walk = { .to = c, .where = where, .left_out = left_out };
    read_directory(&walk, directory, 0);
}

void af_collect_end(struct af_collection *c) {
    judge_fates(c);
    take_out_doubles(c);
    af_endpoints_sum(c);
}

void af_collect(struct af_collection *c, int directory) {
    af_collect_except(c, directory, NULL);
}

void af_collect_except(struct af_collection *c, int directory, const struct af_strings *left_out) {
    af_collect_begin(c);
    af_collect_add(c, directory, "", left_out);
    af_collect_end(c);
}

void af_collection_free(struct af_collection *c) {
    for (size_t i = 0; i < c->n_images; i++) {
        free(c->images[i].entry);
        free(c->images[i].command);
    }
    for (size_t i = 0; i < c->n_complaints; i++)
        free(c->complaints[i]);
    free(c->images);
    free(c->rows);
    free(c->closings);
    free(c->live);
    free(c->targets);
    free(c->complaints);
    free(c->claims);
    free(c->shares);
    memset(c, 0, sizeof *c);
}

bool af_collection_runs(const struct af_collection *c) {
    bool runs = false;
    for (size_t i = 0; i < c->n_images; i++)
        runs |= c->images[i].runs;
    return runs;
}

static size_t beyond_told(const struct af_collection *c) {
    return c->n_complaints > AF_MOST_TOLD ? c->n_complaints - AF_MOST_TOLD : 0;
}

size_t af_collection_untold(const struct af_collection *c) {
    return c->n_untold + beyond_told(c);
}

static bool is_told(const struct af_share *share) {
    return share->untold || share->cut || share->left_out;
}

static void tell_share(const struct af_share *share, const char *command) {
    static const char what[] = "more files, or more in them, than a user has sockets";
    const bool anybody = share->uid == ANYBODY;
    char *who = anybody ? af_format("directories in which others write") : af_format("user %u", share->uid);
    if (share->untold)
        af_tell("%s: %s: %zu more %s left out", command, who, share->untold, af_plural(share->untold, "was", "were"));
    if (share->cut || share->left_out)
        af_tell("%s: %s %s %s: %zu %s left out", command, who, anybody ? "have" : "has", what, share->left_out,
                af_plural(share->left_out, "was", "were"));
    free(who);
}

void af_collection_tell(const struct af_collection *c, const char *command) {
    unsigned long long lost = 0;
    size_t users = 0;
    for (size_t i = 0; i < c->n_complaints && i < AF_MOST_TOLD; i++)
        af_tell("%s: left out: %s", command, c->complaints[i]);
    if (beyond_told(c))
        af_tell("%s: and %zu more %s left out", command, beyond_told(c), af_plural(beyond_told(c), "was", "were"));
    for (size_t i = 0; i < c->n_images; i++)
        lost += c->images[i].lost;
    for (size_t i = 0; i < c->n_shares; i++)
        if (is_told(&c->shares[i]) && users++ < MOST_COMPLAINTS)
            tell_share(&c->shares[i], command);
    if (users > MOST_COMPLAINTS)
        af_tell("%s: and %zu more user%s", command, users - MOST_COMPLAINTS,
                af_plural(users - MOST_COMPLAINTS, "", "s"));
    if (c->n_unkept)
        af_tell("%s: %zu process%s could not keep a ledger: %s", command, c->n_unkept, af_plural(c->n_unkept, "", "es"),
                c->unkept_why);
    if (c->bad)
        af_tell("%s: %u record%s made no sense and %s left out", command, c->bad, af_plural(c->bad, "", "s"),
                af_plural(c->bad, "was", "were"));
    if (lost)
        af_tell("%s: %llu closed connection%s too many for their ledger and forgotten", command, lost,
                af_plural(lost, " was", "s were"));
}
