/* Connects and ends by the bare system call, as runtimes without libc do.
 *
 * raw_exit ADDRESS PORT STATUS */
#include "victim.h"

#include <sys/syscall.h>

static void leave_now(long status) {
#if defined __x86_64__
    __asm__ volatile("syscall" : : "a"((long)SYS_exit_group), "D"(status) : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long x8 __asm__("x8") = SYS_exit_group;
    register long x0 __asm__("x0") = status;
    __asm__ volatile("svc 0" : : "r"(x8), "r"(x0) : "memory");
#else
#error "the system call of this architecture"
#endif
}

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 4)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0)
        return 1;
    leave_now(atoi(argv[3]));
    return 1;
}
