/* Last words: the log line, and the few things that are said on stderr. */
#include "shim/line.h"
#include "shim/output.h"
#include "shim/text.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_ROOM = 4096, MESSAGE_ROOM = 8192 };

/* What stderr and stdout were at start: by now the numbers may belong to a file of the program's. */
static struct {
    uint64_t device, inode;
    bool there;
} at_start[3];

static bool identify(int fd, uint64_t *device, uint64_t *inode, bool *is_socket) {
    struct stat st;
    if (AF_SYS4(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) < 0)
        return false;
    *device = st.st_dev;
    *inode = st.st_ino;
    *is_socket = S_ISSOCK(st.st_mode);
    return true;
}

/* Where it is a connection, as under inetd, the program speaks a protocol there, and nothing of ours belongs in it. */
void af_log_start(void) {
    bool is_socket;
    af.log_fd = af.policy.log == AF_SINK_STDOUT ? 1 : af.policy.log == AF_SINK_STDERR ? 2 : -1;
    for (int fd = 1; fd <= 2; fd++)
        if (fd == 2 || af.policy.log == AF_SINK_STDOUT)
            at_start[fd].there = identify(fd, &at_start[fd].device, &at_start[fd].inode, &is_socket) &&
                                 !(is_socket && af_is_internet(fd));
}

static bool is_same(int fd) {
    uint64_t device, inode;
    bool is_socket;
    return at_start[fd].there && identify(fd, &device, &inode, &is_socket) && device == at_start[fd].device &&
           inode == at_start[fd].inode;
}

/* Memory of its own for what is written: the stack may be that of a signal handler, and small. */
void af_say(const char *const parts[]) {
    char *room = is_same(2) ? af_room(MESSAGE_ROOM) : NULL;
    struct af_text text = { room, MESSAGE_ROOM - 1, 0 };
    if (!room)
        return;
    af_put(&text, "afterfin: ");
    for (; *parts; parts++)
        af_put_fit(&text, *parts);
    size_t size = text.size < text.room ? text.size : text.room;
    room[size] = '\n';
    af_write_standard(2, room, size + 1);
    af_give_back(room, MESSAGE_ROOM);
}

void af_complain_now(void) {
    static _Atomic bool complained;
    if (AF_LIKELY(!af.complaint.text[0]) || atomic_exchange(&complained, true))
        return;
    af_say((const char *const[]){ af.complaint.text, "; nothing is applied", NULL });
    af.on = false;
}

/* %p is the pid, %n the program's name, %% a percent sign; the parser has let no other through. False: longer
 * than any path. */
static bool expand_path(struct af_text *path, pid_t pid) {
    for (const char *c = af.policy.log_path; *c; c++) {
        if (*c != '%')
            af_put_char(path, *c);
        else if (*++c == 'p')
            af_put_number(path, (uint64_t)pid);
        else if (*c == 'n')
            af_put(path, af.program);
        else
            af_put_char(path, '%');
    }
    af_put_char(path, 0);
    return path->size <= path->room;
}

/* O_NONBLOCK: a FIFO that nobody reads is an error, not a wait. */
/* Does the file end in the middle of a line, because its disk was full or its writer was killed? A file that may not be
 * read, or is none, does not say. */
static bool is_torn(const char *path) {
    char last = '\n';
    long fd = AF_SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (AF_SYS3(SYS_lseek, fd, -1, SEEK_END) >= 0)
        AF_SYS3(SYS_read, fd, &last, 1);
    AF_SYS1(SYS_close, fd);
    return last != '\n';
}

/* One write a line: before the line there is room for the newline that the one before has not got. */
static void write_file(const struct af_text *line, struct af_text path, pid_t pid) {
    static _Atomic bool said;
    bool fits = expand_path(&path, pid);
    long fd = fits ? AF_SYS4(SYS_openat, AT_FDCWD, path.to,
                             O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600)
                   : -ENAMETOOLONG;
    const bool torn = fd >= 0 && is_torn(path.to);
    line->to[-1] = '\n';
    long result = fd < 0 ? fd : af_write_own((int)fd, line->to - torn, line->size + torn);
    if (fd >= 0)
        AF_SYS1(SYS_close, fd);
    if (result < 0 && !atomic_exchange(&said, true))
        af_say((const char *const[]){ "cannot write the log ", fits ? path.to : af.policy.log_path, ": ",
                                      af_errno_name((uint32_t)-result), NULL });
}

static void write_line(const struct af_text *line, struct af_text path, pid_t pid) {
    if (af.policy.log == AF_SINK_FILE)
        write_file(line, path, pid);
    else if (af.policy.log == AF_SINK_STDOUT && is_same(1))
        af_write_standard(1, line->to, line->size);
    else if (af.policy.log == AF_SINK_STDERR && is_same(2))
        af_write_standard(2, line->to, line->size);
}

static bool has_counted(const struct af_process *process) {
    for (int i = 0; i < AF_COUNTERS; i++)
        if (atomic_load(&process->count[i]))
            return true;
    return process->errors[AF_CALLS].count != 0;
}

/* Counts may grow between the measuring and the writing, so there is some room to spare. */
void af_log(enum af_event event) {
    enum { SPARE = 256, BEFORE = PATH_ROOM + 1 };
    struct af_process *self = af.slot == AF_NO_SLOT ? NULL : af.own_counts ? af.own_counts : af_self();
    if (af.policy.log == AF_SINK_OFF || af_sealed || !self || !has_counted(self))
        return;
    int error = errno;
    uint64_t now = af_now();
    struct af_text measure = { NULL, 0, 0 };
    size_t size = PATH_ROOM + BEFORE;
    char *scratch = af_room(PATH_ROOM);
    if (!scratch)
        return;
    af_line(&measure, self, event, now, (struct af_endpoint *)scratch);
    size = BEFORE + measure.size + SPARE;
    char *room = af_room(size);
    if (room) {
        struct af_text line = { room + BEFORE, measure.size + SPARE, 0 };
        af_line(&line, self, event, now, (struct af_endpoint *)scratch);
        if (line.size <= line.room)
            write_line(&line, (struct af_text){ room, PATH_ROOM, 0 }, af.pid);
        af_give_back(room, size);
    }
    af_give_back(scratch, PATH_ROOM);
    errno = error;
}

void af_log_interval(int64_t now) {
    int64_t due = atomic_load(&af.next_line);
    if (now >= due && atomic_compare_exchange_strong(&af.next_line, &due, now + af.policy.log_interval_s) && due != 0)
        af_log(AF_EVENT_INTERVAL);
}

/* That clock may have been set since: the other one decides. */
void af_log_by_day(int64_t day) {
    struct timespec now;
    af_real.clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec >= atomic_load(&af.next_line))
        af_log_interval(now.tv_sec);
    atomic_store(&af.next_line_by_day, day + atomic_load(&af.next_line) - now.tv_sec);
}

/* The first call after the interval writes; the clock is the vDSO's coarse one, a few ns. */
void af_log_if_due_now(void) {
    struct timespec now;
    af_real.clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (AF_UNLIKELY(now.tv_sec >= atomic_load_explicit(&af.next_line, memory_order_relaxed)))
        af_log_interval(now.tv_sec);
}
