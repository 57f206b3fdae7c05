/* Hooks: processes come and go. */
#include "shim/shim.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, UNKNOWN_CHILD = 1 };

_Thread_local volatile uint32_t af_vforked;
_Thread_local volatile uint32_t af_vfork_image;
static _Thread_local volatile uint32_t vforks_inside;
_Thread_local volatile uint8_t af_own_table;

/* vfork, and clone(CLONE_VM). ------------------------------------------------------------------------------- */

/* The parent runs again, perhaps in a handler before its vfork has returned. */
static void note_vforked_image(void) {
    const pid_t image = (pid_t)af_vfork_image;
    af_vfork_image = 0;
    if (af.on && af.ledger)
        af_note_image(image);
}

/* Returns the word that the kernel is to keep, or NULL: in a child that has begun itself; where a filter of the program's may
 * know of no clone; and on i386. Then it is kept here. */
volatile uint32_t *af_vfork_begins(void) {
    af_be_odd(AF_ODD_GUESTS);
    if (af_vforked) {
        vforks_inside++;
        return NULL;
    }
    vforks_inside = 0;
    if (af_vfork_image)
        note_vforked_image();
#ifndef __i386__
    if (!af_sealed)
        return &af_vforked;
#endif
    af_vforked = UNKNOWN_CHILD;
    return NULL;
}

/* In the parent. What pid the child has is known here, and nowhere better: it may have a pid namespace of its own, or a
 * filter that kills it for asking. */
long af_vfork_ended(long result) {
    if (vforks_inside)
        vforks_inside--;
    else
        af_vforked = 0;
    if (af_vfork_image && result > 0) {
        af_vfork_image = (uint32_t)result;
        note_vforked_image();
    }
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* A child that has our descriptors too closes them for both; only its end, or its exec, is not ours. */
void af_note_clone_vm(bool shares_descriptors) {
    if (!af.pid)
        af.pid = af_pid();
    af_be_odd(AF_ODD_GUESTS);
    if (shares_descriptors)
        af.shares_all = true;
    else
        af.shares_memory = true;
}

/* A child that came by clone(2) without CLONE_VM has not returned through a hook: its memory is its own all the same. Not so
 * that of one who comes after a fork that a handler of pthread_atfork has left by siglongjmp. */
bool af_in_vfork_child_slow(void) {
    if (AF_UNLIKELY(af_vfork_image) && !af_vforked)
        note_vforked_image();
    if (!af_vforked && !af_own_table && !af.shares_memory)
        return false;
    if (!af_vforked && af_is_fork_under_way() && (af.not_wiped || !af_is_same_process()) && !af_sealed &&
        af_pid() != af.pid)
        af_adopt_fork_child();
    return af_vforked || af_has_own_table() || (!af_sealed && af_pid() != af.pid);
}

/* Is this another process, on our memory? */
static bool is_guest(void) {
    return af_in_vfork_child() || (AF_UNLIKELY(af.shares_all) && !af_sealed && af_pid() != af.pid);
}

/* ---- a descriptor table of one's own -------------------------------------------------------------------------- */

/* The main thread has parted from the others, and the table that we know went with it: whoever comes finds out, once,
 * whose he has. */
static _Atomic bool main_parted;

static bool has_mains_table(void) {
    enum { KCMP_FILES = 2 };
    const long thread = AF_SYS0(SYS_gettid), process = af_pid();
    return thread == process || AF_SYS5(SYS_kcmp, process, thread, KCMP_FILES, 0, 0) == 0;
}

bool af_has_own_table(void) {
    if (AF_UNLIKELY(af_own_table == AF_TABLE_NOT_ASKED && atomic_load(&main_parted)))
        af_own_table = has_mains_table() ? AF_TABLE_OURS : AF_TABLE_OWN;
    return af_own_table == AF_TABLE_OWN;
}

/* /proc/self/task has a link for each thread, and two. */
static bool is_alone(void) {
    struct stat tasks;
    return AF_SYS4(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &tasks, 0) == 0 && tasks.st_nlink == 3;
}

/* This thread may have parted from the others: what was open then, both sides have. */
void af_note_unshared(void) {
    const long thread = AF_SYS0(SYS_gettid);
    af_be_odd(AF_ODD_GUESTS);
    if (!has_mains_table()) {
        af_own_table = AF_TABLE_OWN;
        af_note_image(-(pid_t)thread);
    } else if (thread == af_pid() && !is_alone()) {
        af_note_image(AF_IMAGE_SOMEBODY);
        af_own_table = AF_TABLE_OURS;
        af.shares_memory = true; /* so that everybody asks */
        atomic_store(&main_parted, true);
    }
}

int af_on_unshare(int flags, bool raw) {
    int result = AF_NEXT(raw, unshare, flags);
    int error = errno;
    if (result == 0 && flags & CLONE_FILES && !af_in_vfork_child())
        af_note_unshared();
    errno = error;
    return result;
}

/* What is opened later is not there any more, but to who thinks of it now: a ledger, the range of ports. */
int af_on_chroot(const char *path) {
    uint16_t low, high;
    int error = errno;
    if (af.on && !af_in_vfork_child()) {
        if (af.policy.ledger != AF_LEDGER_OFF)
            af_ready();
        if (af.policy.set & (AF_BIT(PORT_RANGE) | AF_BIT(PORT_SEARCH) | AF_BIT(RULES)))
            af_port_range(&low, &high);
    }
    errno = error;
    return af_real.chroot(path);
}

/* fork. ---------------------------------------------------------------------------------------------------- */

struct af_birth af_birth(void) {
    return (struct af_birth){ af_sealed ? af.pid : af_pid(), af_now() };
}

/* What share.c does not see to. */
void af_become_child(struct af_birth birth) {
    af.pid = birth.pid;
    af.started = birth.at;
    af.slot = AF_NO_SLOT;
    af.own_counts = NULL;
    af_vforked = af_vfork_image = 0;
    af_own_table = AF_TABLE_NOT_ASKED;
    atomic_store(&main_parted, false);
    if (af.shares_memory || af.shares_all)
        af.shares_memory = af.shares_all = false;
    af_mailbox_become_child();
    atomic_store(&af.next_line, 0);
    atomic_store(&af.next_line_by_day, 0);
    if (af.ledger) {
        atomic_store(&af.ledger->last_endpoint, NULL);
        atomic_store(&af.fork_page->self, NULL);
        const bool wiped = !af_is_same_process();
        atomic_store(&af.fork_page->alive, 1);
        if (wiped)
            atomic_store(&af.fork_page->noticed, 1);
    }
}

pid_t af_on_fork(void) {
    af_before_fork();
    pid_t child = af_real.fork();
    af_after_fork(child);
    return child;
}

pid_t af_on__Fork(void) {
    af_before_fork();
    pid_t child = af_real._Fork();
    af_after_fork(child);
    return child;
}

pid_t af_on_forkpty(int *master, char *name, const struct termios *modes, const struct winsize *size) {
    af_before_fork();
    pid_t child = af_real.forkpty(master, name, modes, size);
    af_after_fork(child);
    return child;
}

static long direct(long result) {
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int to_null(void) {
    struct stat st;
    long null = direct(af_sys(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0, 0));
    if (null < 0 || direct(af_sys(SYS_newfstatat, null, (long)"", (long)&st, AT_EMPTY_PATH, 0, 0)) < 0)
        return -1;
    bool right = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    for (int fd = 0; right && fd <= 2; fd++)
        af_on_dup2((int)null, fd, false);
    if (null > 2 || !right)
        af_sys(SYS_close, null, 0, 0, 0, 0, 0);
    if (!right)
        errno = ENODEV;
    return right ? 0 : -1;
}

/* libc's daemon forks and ends the parent out of our sight; this is what daemon(3) says, in our sight. */
static int go_on_as_child(void) {
    pid_t child = af_on_fork();
    if (child > 0)
        af_on__exit(0);
    return child;
}

static int detach(int nochdir, int noclose) {
    if (direct(af_sys(SYS_setsid, 0, 0, 0, 0, 0, 0)) < 0)
        return -1;
    if (!nochdir)
        af_sys(SYS_chdir, (long)"/", 0, 0, 0, 0, 0);
    return noclose ? 0 : to_null();
}

/* musl's does the rest first, and forks once more, so that the daemon leads no session. */
static int detach_as_musl_does(int nochdir, int noclose) {
    if (!nochdir && direct(af_sys(SYS_chdir, (long)"/", 0, 0, 0, 0, 0)) < 0)
        return -1;
    if ((!noclose && to_null() < 0) || go_on_as_child() < 0 || direct(af_sys(SYS_setsid, 0, 0, 0, 0, 0, 0)) < 0)
        return -1;
    return go_on_as_child();
}

int af_on_daemon(int nochdir, int noclose) {
    if (!af_is_glibc())
        return detach_as_musl_does(nochdir, noclose);
    return go_on_as_child() < 0 ? -1 : detach(nochdir, noclose);
}

/* exec. ---------------------------------------------------------------------------------------------------- */

static void hand_over(int fd, struct af_socket *conn, void *before) {
    long flags = AF_SYS2(SYS_fcntl, fd, F_GETFD);
    conn->revocable = true;
    if (flags >= 0 && !(flags & FD_CLOEXEC)) {
        conn->passes = true;
        af_bind_now(fd, conn);
    }
    if (AF_UNLIKELY(af_is_changing()))
        af_wait_for_change(fd);
    if (af_unref(conn) > 0)
        return;
    struct af_connection *shared = af_shared(conn);
    if (af_let_go(conn, *(struct af_moment *)before)) {
        af_close_hold(conn);
        if (AF_UNLIKELY(af_is_changing()))
            af_enforce(fd, conn);
        if (conn->passes)
            af_settle_passed(fd, conn);
        else
            af_settle(fd, conn);
        af_show(conn);
    } else if (conn->passes && shared) {
        atomic_store(&shared->foreign, (int32_t)af.pid);
    }
}

/* exec has failed: everything as it was. */
static void take_back(int fd, struct af_socket *conn, void *context) {
    (void)context;
    struct af_connection *shared = af_shared(conn);
    if (af_ref(conn), atomic_load(&conn->refs) > 1)
        return;
    if (conn->passes && shared && atomic_load(&shared->foreign) == (int32_t)af.pid)
        atomic_store(&shared->foreign, 0);
    conn->passes = conn->revocable = false;
    af_unsettle(conn);
    af_restore_ack(fd, conn);
    af_take_hold_again(conn);
    af_show(conn);
}

static bool can_run(const char *path) {
    struct stat st;
    return path && AF_SYS4(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
           AF_SYS3(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

static size_t append(char *to, size_t n, const char *from, char end) {
    while (*from && *from != end && n < PATH_ROOM - 1)
        to[n++] = *from++;
    return n;
}

/* Along PATH; name is room for one path. */
static bool can_find_along(const char *path, const char *file, char *name) {
    for (;; path++) {
        size_t n = append(name, 0, path, ':');
        if (n)
            n = append(name, n, "/", 0);
        n = append(name, n, file, 0);
        name[n] = 0;
        if (can_run(name))
            return true;
        while (*path && *path != ':')
            path++;
        if (!*path)
            return false;
    }
}

/* Would execvp find it? As it does itself: along PATH, or /bin and /usr/bin where that is unset. */
static bool can_find(const char *file) {
    const char *path = af_real.getenv ? af_real.getenv("PATH") : NULL;
    if (!path)
        path = "/bin:/usr/bin";
    for (const char *c = file; *c; c++)
        if (*c == '/')
            return can_run(file);
    long name = AF_SYS6(SYS_mmap, 0, PATH_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (af_sys_failed(name))
        return false;
    bool found = can_find_along(path, file, (char *)name);
    AF_SYS2(SYS_munmap, name, PATH_ROOM);
    return found;
}

/* A guest's exec does not end this process, and must not make a system call more: it may be behind a filter. */
static bool is_ours_to_tell(void) {
    if (!af.ledger || af.finished || !is_guest())
        return af.ledger && !af.finished;
    if (af_vforked)
        af_vfork_image = af_vforked;
    else if (!af_has_own_table())
        af_note_image(af_pid());
    return false;
}

static bool before_exec(bool will_run) {
    if (!will_run)
        return false;
    struct af_moment before = af_now_of_forks();
    af_mailbox_in_exec(true);
    af_each(0, ~0u, hand_over, &before);
    af_log(AF_EVENT_EXEC);
    if (af.slot != AF_NO_SLOT) {
        af_self()->ended_at = af_now();
        atomic_store(&af_self()->ended, AF_EXECED);
    }
    return true;
}

static int exec_failed(bool prepared, int result) {
    int error = errno;
    af_vfork_image = 0;
    if (prepared) {
        af_each(0, ~0u, take_back, NULL);
        af_mailbox_in_exec(false);
        if (af.slot != AF_NO_SLOT)
            atomic_store(&af_self()->ended, AF_RUNNING);
    }
    errno = error;
    return result;
}

int af_on_execve(const char *path, char *const argv[], char *const envp[], bool raw) {
    bool prepared = before_exec(is_ours_to_tell() && can_run(path));
    return exec_failed(prepared, AF_NEXT(raw, execve, path, argv, envp));
}

int af_on_execv(const char *path, char *const argv[]) {
    bool prepared = before_exec(is_ours_to_tell() && can_run(path));
    return exec_failed(prepared, af_real.execv(path, argv));
}

int af_on_execvp(const char *file, char *const argv[]) {
    bool prepared = before_exec(is_ours_to_tell() && file && can_find(file));
    return exec_failed(prepared, af_real.execvp(file, argv));
}

int af_on_execvpe(const char *file, char *const argv[], char *const envp[]) {
    bool prepared = before_exec(is_ours_to_tell() && file && can_find(file));
    return exec_failed(prepared, af_real.execvpe(file, argv, envp));
}

int af_on_fexecve(int fd, char *const argv[], char *const envp[]) {
    bool prepared = before_exec(is_ours_to_tell());
    return exec_failed(prepared, af_real.fexecve(fd, argv, envp));
}

int af_on_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags, bool raw) {
    bool prepared = before_exec(is_ours_to_tell());
    return exec_failed(prepared, AF_NEXT(raw, execveat, dir, path, argv, envp, flags));
}

/* The end. ------------------------------------------------------------------------------------------------- */

void af_finish(bool raw) {
    if (!af.ledger || af.finished || is_guest())
        return;
    int error = errno;
    af_before_close_range(0, ~0u, !raw);
    af_log(AF_EVENT_EXIT);
    if (af.slot != AF_NO_SLOT) {
        af_self()->ended_at = af_now();
        atomic_store(&af_self()->ended, AF_EXITED);
    }
    af.finished = true;
    af_return_blocks();
    errno = error;
}

static void settle_now(int fd, struct af_socket *conn, void *before) {
    conn->revocable = true;
    if (af_unref(conn) <= 0 && af_let_go(conn, *(struct af_moment *)before))
        af_settle(fd, conn);
}

/* Who closes stderr by fclose is on his way out (the GNU programs do it to see a full disk), and a line
 * written by af_finish would come too late. So the end is counted, written down, and taken back. */
void af_before_log_stream_closes(void) {
    if (!af.ledger || af.finished || af_in_vfork_child())
        return;
    int error = errno;
    struct af_moment before = af_now_of_forks();
    af_each(0, ~0u, settle_now, &before);
    af_log(AF_EVENT_EXIT);
    af_each(0, ~0u, take_back, NULL);
    errno = error;
}

void af_on__exit(int status) {
    af_finish(false);
    af_real._exit(status);
}

/* A port that was left to connect could not be told to who asks for it later. */
static void choose_port(int fd, struct af_socket *conn, void *context) {
    (void)context;
    af_bind_now(fd, conn);
}

/* seccomp: after this nothing of ours reaches the kernel, so what is to be said is said now. */
bool af_seal(void) {
    if (af_sealed || af_in_vfork_child())
        return false;
    af_mailbox.state = af_mailbox.state == AF_MAILBOX_OPEN ? AF_MAILBOX_SEALED : af_mailbox.state;
    if (!af.ledger) {
        af_be_odd(AF_ODD_SEALED);
        af.writes_lines = false;
        af_sealed = true;
        return true;
    }
    af_each(0, ~0u, choose_port, NULL);
    struct af_process *self = af_self();
    if (self)
        atomic_store(&self->sealed, 1);
    af_log(AF_EVENT_INTERVAL);
    af_be_odd(AF_ODD_SEALED);
    af.writes_lines = false;
    af_sealed = true;
    return true;
}

void af_unseal(void) {
    int error = errno;
    struct af_process *self = af_self();
    af_sealed = false;
    af_mailbox.state = af_mailbox.state == AF_MAILBOX_SEALED ? AF_MAILBOX_OPEN : af_mailbox.state;
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_SEALED);
    af_log_begin();
    if (self)
        atomic_store(&self->sealed, 0);
    errno = error;
}
