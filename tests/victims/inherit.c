/* What starts servers: inetd, systemd, a shell. It makes a socket, puts it where the program expects it, and
 * becomes that program, or starts it and keeps the socket until it has ended. Itself run bare; the command is
 * "env LD_PRELOAD=... PROGRAM".
 *
 * inherit connection|connection_kept|listener PORT COMMAND...
 * inherit connections PORT N COMMAND...
 * connection: to PORT, on 0, 1 and 2; connections: N times, a process each; listener: at PORT, on 3 with LISTEN_FDS */
#include "way.h"

#include <sys/wait.h>

static void put_listener(const char *port) {
    struct sockaddr_storage at;
    socklen_t len = address_of("127.0.0.1", port, &at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    MUST(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 4096) == 0);
    if (fd != 3)
        MUST(dup2(fd, 3) == 3 && close(fd) == 0);
    setenv("LISTEN_FDS", "1", 1);
}

static void put_connection(const char *port) {
    int fd = connected("127.0.0.1", port);

    MUST(dup2(fd, 0) == 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2 && close(fd) == 0);
}

static int one_after_the_other(const char *port, int n, char **command) {
    for (int i = 0; i < n; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            put_connection(port);
            execvp(command[0], command);
            _exit(127);
        }
        MUST(waitpid(child, &status, 0) == child);
        if (status != 0)
            return 3;
    }
    return 0;
}

int main(int argc, char **argv) {
    int status = 0;

    if (argc < 4)
        return 2;
    if (strcmp(argv[1], "connections") == 0)
        return argc < 5 ? 2 : one_after_the_other(argv[2], atoi(argv[3]), argv + 4);
    bool kept = strcmp(argv[1], "connection_kept") == 0;
    if (strcmp(argv[1], "listener") == 0)
        put_listener(argv[2]);
    else
        put_connection(argv[2]);
    if (!kept || fork() == 0) {
        execvp(argv[3], argv + 3);
        _exit(127);
    }
    wait(&status);
    return WEXITSTATUS(status);
}
