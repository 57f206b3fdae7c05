/* A library that is preloaded beside ours, and whose constructor uses sockets before ours has run. It leaves one
 * socket behind, at 90. Built as early.so. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((constructor)) static void early(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = 1;
    struct sockaddr_in nowhere = { .sin_family = AF_INET, .sin_port = htons(9) };

    connect(fd, (struct sockaddr *)&nowhere, sizeof nowhere);
    if (dup2(fd, 90) != 90 || fcntl(fd, F_GETFD) != 0 || syscall(SYS_close, fd) != 0 || close(fd) != -1)
        abort();
    close(90);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (dup2(fd, 90) != 90 || close(fd) != 0)
        abort();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (waitpid(child, &status, 0) != child || status != 0)
        abort();
    child = vfork();
    if (child == 0)
        _exit(0);
    if (waitpid(child, &status, 0) != child || status != 0)
        abort();
    fputs("early\n", stderr);
}
