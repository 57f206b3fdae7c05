/* N connections, one after the other, each ended by the way named.
 *
 * end_by WAY ADDRESS PORT N */
#include "way.h"

#include <dlfcn.h>
#include <linux/close_range.h>

#ifdef __GLIBC__
extern int __close(int fd);
extern int __dup2(int fd, int to);
extern int _IO_fclose(FILE *file);
#endif

static int null;

static void by_close(int fd) {
    MUST(close(fd) == 0);
}
static void by___close(int fd) {
    MUST(__close(fd) == 0);
}
static void by_syscall_close(int fd) {
    MUST(syscall(SYS_close, fd) == 0);
}
static void by_close_range(int fd) {
    MUST(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
}
static void by_close_range_all(int fd) {
    MUST(fd > null && close_range((unsigned)null + 1, ~0u, 0) == 0);
}
static void by_close_range_unshare(int fd) {
    MUST(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_UNSHARE) == 0);
}
static void by_syscall_close_range(int fd) {
    MUST(syscall(SYS_close_range, fd, fd, 0) == 0);
}
static void by_closefrom(int fd) {
    closefrom(fd);
}

/* After calls that end nothing: the peer has sent its FIN when the close comes that does. */
static void last_close(int fd) {
    MUST(send(fd, "x", 1, 0) == 1 && wait_until(fd, POLLRDHUP) && close(fd) == 0);
}
static void by_close_range_that_only_marks(int fd) {
    MUST(close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC) == 0);
    MUST(close_range((unsigned)fd + 1, (unsigned)fd, 0) == -1);
    MUST(close_range((unsigned)fd + 1, 0, 0) == -1);
    MUST(close_range((unsigned)fd, (unsigned)fd, 1 << 30) == -1);
    last_close(fd);
}

static void by_close_twice(int fd) {
    MUST(close(fd) == 0);
    MUST(close(fd) == -1 && errno == EBADF);
}

static void by_close_loop(int fd) {
    for (int i = null + 1; i < 1024; i++)
        close(i);
    MUST(fcntl(fd, F_GETFD) == -1);
}

/* The number lives on as something else; that is closed too. */
static void replaced(int fd, int result) {
    MUST(result == fd && close(fd) == 0);
}
static void by_dup2(int fd) {
    replaced(fd, dup2(null, fd));
}
static void by___dup2(int fd) {
    replaced(fd, __dup2(null, fd));
}
static void by_dup3(int fd) {
    replaced(fd, dup3(null, fd, O_CLOEXEC));
}
static void by_syscall_dup2(int fd) {
    replaced(fd, raw_dup2(null, fd));
}
static void by_syscall_dup3(int fd) {
    replaced(fd, (int)syscall(SYS_dup3, null, fd, 0));
}

static void by_dup_that_fails(int fd) {
    MUST(dup2(fd, fd) == fd);
    MUST(dup3(fd, fd, 0) == -1 && errno == EINVAL);
    MUST(dup2(999, fd) == -1 && errno == EBADF);
    MUST(dup3(999, fd, 0) == -1 && errno == EBADF);
    MUST(dup3_odd(null, fd, O_APPEND) == -1 && errno == EINVAL);
    MUST(dup2(fd, -1) == -1 && dup2(-1, fd) == -1);
    MUST(raw_dup2(fd, fd) == fd && raw_dup2(999, fd) == -1);
    last_close(fd);
}

static FILE *opened(int fd) {
    FILE *file = fdopen(fd, "r+");
    MUST(file);
    return file;
}
static void by_fclose(int fd) {
    MUST(fclose(opened(fd)) == 0);
}
static void by__IO_fclose(int fd) {
    MUST(_IO_fclose(opened(fd)) == 0);
}
static void by_fclose_that_flushes(int fd) {
    FILE *file = opened(fd);
    MUST(fputs("waits in the buffer", file) >= 0 && fclose(file) == 0);
}
static void reopened(int fd, FILE *file) {
    MUST(file && fileno(file) == fd && fclose(file) == 0);
}
static void by_freopen(int fd) {
    reopened(fd, freopen("/dev/null", "r", opened(fd)));
}
static void by_freopen64(int fd) {
    reopened(fd, freopen64("/dev/null", "r", opened(fd)));
}
static void by_freopen_that_fails(int fd) {
    MUST(freopen("/nowhere", "r", opened(fd)) == NULL);
    MUST(fcntl(fd, F_GETFD) == -1);
}
/* glibc's fcloseall closes no descriptor: it flushes and unbuffers. */
static void by_close_after_fcloseall(int fd) {
    FILE *file = opened(fd);
    MUST(fputc('x', file) == 'x' && fcloseall() == 0);
    MUST(wait_until(fd, POLLRDHUP) && close(fd) == 0);
}

/* By an address that was looked up. The last of them is libc's own, which no library can stand before. */
static void looked_up(void *handle, int fd) {
    int (*found)(int) = (int (*)(int))dlsym(handle, "close");
    MUST(found && found(fd) == 0);
}
static void by_dlsym_default(int fd) {
    looked_up(RTLD_DEFAULT, fd);
}
static void by_dlsym_next(int fd) {
    looked_up(RTLD_NEXT, fd);
}
static void by_dlsym_program(int fd) {
    looked_up(dlopen(NULL, RTLD_NOW), fd);
}
static void by_dlsym_libc(int fd) {
    looked_up(dlopen("libc.so.6", RTLD_NOW), fd);
}

static const struct way ways[] = {
    { "close", by_close },
    { "__close", by___close },
    { "syscall_close", by_syscall_close },
    { "close_range", by_close_range },
    { "close_range_all", by_close_range_all },
    { "close_range_unshare", by_close_range_unshare },
    { "syscall_close_range", by_syscall_close_range },
    { "close_range_that_only_marks", by_close_range_that_only_marks },
    { "closefrom", by_closefrom },
    { "close_twice", by_close_twice },
    { "close_loop", by_close_loop },
    { "dup2", by_dup2 },
    { "__dup2", by___dup2 },
    { "dup3", by_dup3 },
    { "syscall_dup2", by_syscall_dup2 },
    { "syscall_dup3", by_syscall_dup3 },
    { "dup_that_fails", by_dup_that_fails },
    { "fclose", by_fclose },
    { "_IO_fclose", by__IO_fclose },
    { "fclose_that_flushes", by_fclose_that_flushes },
    { "freopen", by_freopen },
    { "freopen64", by_freopen64 },
    { "freopen_that_fails", by_freopen_that_fails },
    { "close_after_fcloseall", by_close_after_fcloseall },
    { "dlsym_default", by_dlsym_default },
    { "dlsym_next", by_dlsym_next },
    { "dlsym_program", by_dlsym_program },
    { "dlsym_libc", by_dlsym_libc },
};

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < atoi(argv[4]); i++)
        way->run(connected(argv[2], argv[3]));
    return 0;
}
