/* What a libc does not have. A program that finds one of these names by dlsym takes it for there, and so it works: by the
 * system call, or by what the libc does have. Missing are in glibc before 2.34 close_range, closefrom, execveat, _Fork and,
 * but for libutil, forkpty; before 2.36 pidfd_getfd; in musl most of these, bindresvport, and since 1.2.4 freopen64; and
 * musl tells constructors nothing. */
#include "shim/shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>

/* By libc's own syscall, for a program may be watching that; errno is the program's. */
#define BY_CALL(name, ...) af_real.syscall(SYS_##name, __VA_ARGS__)

static int stand_in_close_range(unsigned first, unsigned last, int flags) {
    return (int)BY_CALL(close_range, first, last, flags);
}

static int stand_in_pidfd_getfd(int pidfd, int fd, unsigned flags) {
    return (int)BY_CALL(pidfd_getfd, pidfd, fd, flags);
}

static int stand_in_execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags) {
    return (int)BY_CALL(execveat, dir, path, argv, envp, flags);
}

/* Without close_range(2) (Linux 5.9) /proc says what is open. */
static void close_listed(int first) {
    char room[512];
    long list = BY_CALL(openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC), got;
    while (list >= 0 && (got = BY_CALL(getdents64, list, room, sizeof room)) > 0)
        for (long at = 0; at < got; at += ((struct dirent64 *)(room + at))->d_reclen) {
            const char *name = ((struct dirent64 *)(room + at))->d_name;
            int fd = 0;
            for (; *name >= '0' && *name <= '9'; name++)
                fd = 10 * fd + *name - '0';
            if (!*name && fd >= first && fd != list)
                BY_CALL(close, fd);
        }
    if (list >= 0)
        BY_CALL(close, list);
}

static void stand_in_closefrom(int first) {
    int error = errno;
    first = first < 0 ? 0 : first;
    if (BY_CALL(close_range, first, ~0u, 0) != 0)
        close_listed(first);
    errno = error;
}

/* That runs the functions of pthread_atfork; but only libc can tell its own memory of the new process. */
static pid_t stand_in__Fork(void) {
    return af_real.fork();
}

static FILE *stand_in_freopen64(const char *path, const char *mode, FILE *file) {
    return af_real.freopen(path, mode, file);
}

/* As glibc does it: ports 600 to 1023, the first by the process's number, then 512 to 599. */
static int stand_in_bindresvport(int fd, struct sockaddr_in *addr) {
    enum { FIRST = 600, LOWEST = 512, LAST = 1023 };
    struct sockaddr_in any = { .sin_family = AF_INET };
    addr = addr ? addr : &any;
    if (addr->sin_family != AF_INET) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    int result = -1;
    unsigned start = (unsigned)af_pid() % (LAST - FIRST + 1), n = LAST - LOWEST + 1;
    for (unsigned i = 0; i < n && (i == 0 || (result < 0 && errno == EADDRINUSE)); i++) {
        const unsigned at = i <= LAST - FIRST ? FIRST + (start + i) % (LAST - FIRST + 1)
                                              : LOWEST + i - (LAST - FIRST + 1);
        addr->sin_port = htons((uint16_t)at);
        result = af_real.bind(fd, (struct sockaddr *)addr, sizeof *addr);
    }
    return result;
}

/* "/dev/pts/17" */
static void name_terminal(char *to, int number) {
    char digits[12], *digit = digits + sizeof digits;
    for (*--digit = 0; number > 9; number /= 10)
        *--digit = (char)('0' + number % 10);
    *--digit = (char)('0' + number);
    __builtin_memcpy(to, "/dev/pts/", 9);
    __builtin_memcpy(to + 9, digit, (size_t)(digits + sizeof digits - digit));
}

/* A terminal's two ends; the kernel's termios is the head of libc's. */
static int open_terminal(int *master, char *name, const struct termios *modes, const struct winsize *size) {
    int number, unlocked = 0, other = -1;
    *master = BY_CALL(openat, AT_FDCWD, "/dev/ptmx", O_RDWR | O_NOCTTY);
    if (*master < 0)
        return -1;
    if (BY_CALL(ioctl, *master, TIOCSPTLCK, &unlocked) == 0 && BY_CALL(ioctl, *master, TIOCGPTN, &number) == 0) {
        name_terminal(name, number);
        other = BY_CALL(openat, AT_FDCWD, name, O_RDWR | O_NOCTTY);
    }
    if (other < 0)
        BY_CALL(close, *master);
    else if (modes)
        BY_CALL(ioctl, other, TCSETS, modes);
    if (other >= 0 && size)
        BY_CALL(ioctl, other, TIOCSWINSZ, size);
    return other;
}

static int stand_in_forkpty(int *master, char *name, const struct termios *modes, const struct winsize *size) {
    char room[24];
    int end, other = open_terminal(&end, name ? name : room, modes, size);
    if (other < 0)
        return -1;
    pid_t child = af_real.fork();
    if (child == 0) {
        BY_CALL(setsid, 0);
        BY_CALL(ioctl, other, TIOCSCTTY, 0);
        for (int fd = 0; fd <= 2; fd++)
            BY_CALL(dup3, other, fd, 0);
    }
    if (child != 0 || other > 2)
        BY_CALL(close, other);
    if (child <= 0)
        BY_CALL(close, end);
    else
        *master = end;
    return child;
}

/* Nobody has such a libc; a call of it fails as one that the kernel does not have. */
static long no_such_call(void) {
    errno = ENOSYS;
    return -1;
}

static FILE *no_such_stream(void) {
    errno = ENOSYS;
    return NULL;
}

/* Before 2.34 it is of libdl, which may come later than we do. */
static void *stand_in_dlopen(const char *file, int mode) {
    void *(*late)(const char *, int) = af_find_late("dlopen");
    return late ? late(file, mode) : NULL;
}

#define STAND_INS(STAND_IN) \
    STAND_IN(close_range) \
    STAND_IN(closefrom) \
    STAND_IN(pidfd_getfd) \
    STAND_IN(execveat) \
    STAND_IN(_Fork) \
    STAND_IN(freopen64) \
    STAND_IN(bindresvport) \
    STAND_IN(forkpty) \
    STAND_IN(dlopen)

/* libutil's forkpty calls the fork that is intercepted; ours is one that its hook knows about. */
static bool has_libutil(void) {
    return af_is_glibc() && !af_real._Fork;
}

void af_stand_in(void) {
    if (has_libutil())
        af_real.forkpty = NULL;
#define STAND_IN(name) \
    if (!af_real.name) \
        af_real.name = stand_in_##name;
    STAND_INS(STAND_IN)
#define NONE(result) \
    _Generic((result(*)(void))0, FILE * (*)(void) : (void *)no_such_stream, default : (void *)no_such_call)
#define CALL(result, name, parameters, arguments) \
    if (!af_real.name) \
        af_real.name = NONE(result);
#define ALIAS(result, name, target, parameters, arguments)
#define VARIADIC(result, name, parameters) CALL(result, name, parameters, )
#define ALSO(name, target)
#include "shim/calls.def"
#undef CALL
#undef ALIAS
#undef VARIADIC
#undef ALSO
}

/* The program's arguments stand before its environment, where that is still the kernel's own; else another library's
 * constructor has changed it. */
bool af_find_arguments(int *argc, char ***argv, char ***envp) {
    char ***environment = af_find_in(RTLD_DEFAULT, "environ");
    *envp = environment ? *environment : NULL;
    *argc = 0;
    if ((uintptr_t)*envp < (uintptr_t)__builtin_frame_address(0))
        return false;
    for (*argv = *envp - 1; (uintptr_t)(*argv)[-1] != (uintptr_t)*argc; --*argv)
        ++*argc;
    return true;
}

/* What else start.c reads of what stands behind the environment. */
bool af_ask_auxv(void) {
    unsigned long (*value)(unsigned long) = af_ask_libc("getauxval");
    af.program = value ? (const char *)value(AT_EXECFN) : NULL;
    af.page = value && value(AT_PAGESZ) ? value(AT_PAGESZ) : af.page;
    return value && !value(AT_SECURE);
}

static void last_word(void) {
    af_finish(false);
}

void af_at_quick_exit(void) {
    int (*at_quick_exit)(void (*)(void)) = af_ask_libc("at_quick_exit");
    if (at_quick_exit)
        at_quick_exit(last_word);
}
