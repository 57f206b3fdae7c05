/* Hooks: processes come and go. */
#include "shim/shim.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

_Thread_local volatile uint8_t af_vforked;
bool af_sealed;

/* vfork, and clone(CLONE_VM). ------------------------------------------------------------------------------- */

void *af_vfork_next(void) {
    if (!af_real.vfork)
        af_resolve();
    if (af.on) {
        if (!af.pid)
            af.pid = af_pid();
        af_vforked = 1;
    }
    return (void *)af_real.vfork;
}

void af_note_clone_vm(void) {
    if (!af.pid)
        af.pid = af_pid();
    af.shares_memory = true;
}

bool af_in_vfork_child_slow(void) {
    if (af_sealed || af_pid() != af.pid)
        return !af_sealed;
    af_vforked = 0; /* the parent runs again */
    return false;
}

/* fork. ---------------------------------------------------------------------------------------------------- */

/* Of the fork that this thread is in the middle of; the child has its parent's. 0: none that a hook has seen. */
static _Thread_local uint32_t ticket;

void af_before_fork(void) {
    ticket = af.ledger ? af_fork_prepare() : 0;
}

static void become_child(void) {
    if (!af_sealed)
        af.pid = af_pid();
    af.started = af_now();
    af.slot = AF_NO_SLOT;
    af.own_counts = NULL;
    af_vforked = 0;
    atomic_store(&af.next_line, 0);
    if (af.fork_page)
        *af.fork_page = 1;
}

void af_after_fork(pid_t child) {
    int error = errno;
    if (child == 0) {
        if (!af.fork_page || !*af.fork_page || ticket) /* before Linux 4.14 the page says nothing */
            af_adopt_fork_child();
    } else if (ticket) {
        af_fork_parent(ticket, child < 0);
    }
    ticket = 0;
    errno = error;
}

/* In the child, by the hook of fork, or by the first hook that it comes to. */
void af_adopt_fork_child(void) {
    become_child();
    af_fork_child(ticket);
    ticket = 0;
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
        af_on_dup2(false, (int)null, fd);
    if (null > 2 || !right)
        af_sys(SYS_close, null, 0, 0, 0, 0, 0);
    if (!right)
        errno = ENODEV;
    return right ? 0 : -1;
}

/* glibc's daemon forks and ends the parent out of our sight; this is what daemon(3) says, in our sight. */
static int detach(int nochdir, int noclose) {
    if (direct(af_sys(SYS_setsid, 0, 0, 0, 0, 0, 0)) < 0)
        return -1;
    if (!nochdir)
        af_sys(SYS_chdir, (long)"/", 0, 0, 0, 0, 0);
    return noclose ? 0 : to_null();
}

int af_on_daemon(int nochdir, int noclose) {
    switch (af_on_fork()) {
    case -1: return -1;
    case 0: return detach(nochdir, noclose);
    default: af_on__exit(0); return -1;
    }
}

/* exec. ---------------------------------------------------------------------------------------------------- */

/* A child of vfork runs another image, which may hold what we hold: note who it is. */
static void note_vfork_child(int fd, struct af_connection *conn, void *context) {
    (void)context;
    long flags = AF_SYS2(SYS_fcntl, fd, F_GETFD);
    if (flags >= 0 && !(flags & FD_CLOEXEC))
        atomic_store(&conn->foreign, (int32_t)af_pid());
}

static void hand_over(int fd, struct af_connection *conn, void *context) {
    (void)context;
    long flags = AF_SYS2(SYS_fcntl, fd, F_GETFD);
    bool goes_on = flags >= 0 && !(flags & FD_CLOEXEC);
    if (goes_on)
        af_bind_now(fd, conn);
    if (af_unref(conn) > 0) {
        if (goes_on)
            atomic_store(&conn->foreign, (int32_t)af.pid);
    } else if (goes_on) {
        af_settle_passed(fd, conn);
    } else {
        af_settle(fd, conn);
    }
}

/* exec has failed: everything as it was. */
static void take_back(int fd, struct af_connection *conn, void *context) {
    (void)fd, (void)context;
    if (atomic_load(&conn->foreign) == (int32_t)af.pid)
        atomic_store(&conn->foreign, 0);
    af_unsettle(conn);
    af_ref(conn);
}

static bool can_run(const char *path) {
    struct stat st;
    return path && AF_SYS4(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
           AF_SYS3(SYS_faccessat, AT_FDCWD, path, X_OK) == 0;
}

/* Would execvp find it? As it does itself: along PATH, or /bin and /usr/bin where that is unset. */
static bool can_find(const char *file) {
    extern char **environ;
    const char *path = "/bin:/usr/bin";
    for (char **e = environ; e && *e; e++)
        if (!__builtin_strncmp(*e, "PATH=", 5))
            path = *e + 5;
    for (const char *c = file; *c; c++)
        if (*c == '/')
            return can_run(file);
    for (;; path++) {
        char name[4096];
        size_t n = 0;
        for (; *path && *path != ':' && n < sizeof name - 2; path++)
            name[n++] = *path;
        if (n)
            name[n++] = '/';
        for (const char *c = file; *c && n < sizeof name - 1; c++)
            name[n++] = *c;
        name[n] = 0;
        if (can_run(name))
            return true;
        if (!*path)
            return false;
    }
}

static bool before_exec(bool will_run) {
    af_leave_sealed();
    if (af_vforked == AF_VFORK_LEAVING)
        return false;
    if (!af.ledger || af.finished || !will_run)
        return false;
    if (af_in_vfork_child()) {
        af_each(0, ~0u, note_vfork_child, NULL);
        return false;
    }
    af_each(0, ~0u, hand_over, NULL);
    af_log(AF_EVENT_EXEC);
    if (af.slot != AF_NO_SLOT) {
        af_self()->ended_at = af_now();
        atomic_store(&af_self()->ended, AF_EXECED);
    }
    return true;
}

static int exec_failed(bool prepared, int result) {
    int error = errno;
    if (af_vforked == AF_VFORK_LEAVING)
        af_vforked = AF_VFORK_SEALED;
    if (prepared) {
        af_each(0, ~0u, take_back, NULL);
        if (af.slot != AF_NO_SLOT)
            atomic_store(&af_self()->ended, AF_RUNNING);
    }
    errno = error;
    return result;
}

int af_on_execve(bool raw, const char *path, char *const argv[], char *const envp[]) {
    bool prepared = before_exec(af.ledger && can_run(path));
    return exec_failed(prepared, AF_NEXT(raw, execve, path, argv, envp));
}

int af_on_execv(const char *path, char *const argv[]) {
    bool prepared = before_exec(af.ledger && can_run(path));
    return exec_failed(prepared, af_real.execv(path, argv));
}

int af_on_execvp(const char *file, char *const argv[]) {
    bool prepared = before_exec(af.ledger && file && can_find(file));
    return exec_failed(prepared, af_real.execvp(file, argv));
}

int af_on_execvpe(const char *file, char *const argv[], char *const envp[]) {
    bool prepared = before_exec(af.ledger && file && can_find(file));
    return exec_failed(prepared, af_real.execvpe(file, argv, envp));
}

int af_on_fexecve(int fd, char *const argv[], char *const envp[]) {
    bool prepared = before_exec(true);
    return exec_failed(prepared, af_real.fexecve(fd, argv, envp));
}

int af_on_execveat(bool raw, int dir, const char *path, char *const argv[], char *const envp[], int flags) {
    bool prepared = before_exec(true);
    return exec_failed(prepared, AF_NEXT(raw, execveat, dir, path, argv, envp, flags));
}

/* The end. ------------------------------------------------------------------------------------------------- */

void af_finish(bool raw) {
    if (!af.ledger || af.finished || af_in_vfork_child())
        return;
    int error = errno;
    af_before_close_range(0, ~0u, !raw);
    af_log(AF_EVENT_EXIT);
    if (af.slot != AF_NO_SLOT) {
        af_self()->ended_at = af_now();
        atomic_store(&af_self()->ended, AF_EXITED);
    }
    af.finished = true;
    errno = error;
}

static void settle_now(int fd, struct af_connection *conn, void *context) {
    (void)context;
    if (af_unref(conn) <= 0)
        af_settle(fd, conn);
}

/* Who closes stderr by fclose is on his way out (the GNU programs do it to see a full disk), and a line
 * written by af_finish would come too late. So the end is counted, written down, and taken back. */
void af_before_log_stream_closes(void) {
    if (!af.ledger || af.finished || af_in_vfork_child())
        return;
    int error = errno;
    af_each(0, ~0u, settle_now, NULL);
    af_log(AF_EVENT_EXIT);
    af_each(0, ~0u, take_back, NULL);
    errno = error;
}

void af_on__exit(int status) {
    af_finish(false);
    af_leave_sealed();
    af_real._exit(status);
}

/* seccomp: after this nothing of ours reaches the kernel, so what is to be said is said now. */
void af_seal(void) {
    if (!af.ledger) {
        af_sealed = true;
        return;
    }
    struct af_process *self = af_self();
    if (self)
        atomic_store(&self->sealed, 1);
    af_log(AF_EVENT_INTERVAL);
    af_sealed = true;
}

void af_unseal(void) {
    int error = errno;
    struct af_process *self = af_self();
    af_sealed = false;
    if (self)
        atomic_store(&self->sealed, 0);
    errno = error;
}
