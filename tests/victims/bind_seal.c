/* Binds to port 0, installs a filter that lets all pass, binds a second socket, and prints of both whether they have a
 * port.
 *
 * bind_seal ADDRESS */
#include "way.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static int bound(const char *address) {
    struct sockaddr_in at = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &at.sin_addr);
    MUST(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

static void show(int fd) {
    struct sockaddr_in at;
    socklen_t len = sizeof at;

    errno = 0;
    int result = getsockname(fd, (struct sockaddr *)&at, &len);
    printf("%d %s %s\n", result, error_name(errno), at.sin_port ? "a port" : "none");
}

int main(int argc, char **argv) {
    struct sock_filter all[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { 1, all };

    MUST(argc == 2);
    int before = bound(argv[1]);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    int after = bound(argv[1]);
    show(before);
    show(after);
    return 0;
}
