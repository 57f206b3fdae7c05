/* One connection; then the process gives something up, and a child that it forks makes N more.
 *
 * descend ADDRESS PORT N nothing|setuid|chroot=DIR|first-setuid
 * first-: before the first connection */
#include "victim.h"

#include <sys/wait.h>

static struct sockaddr_storage to;
static socklen_t to_len;

static void cycle(void) {
    int fd = socket(to.ss_family, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, to_len) != 0 || close(fd) != 0)
        exit(1);
}

static void give_up(const char *what) {
    int result = 0;

    if (strcmp(what, "setuid") == 0)
        result = setgid(65534) != 0 || setuid(65534) != 0;
    else if (strncmp(what, "chroot=", 7) == 0)
        result = chroot(what + 7) != 0 || chdir("/") != 0;
    if (result) {
        say_result("error", -1);
        exit(3);
    }
}

int main(int argc, char **argv) {
    int status;

    if (argc != 5)
        return 2;
    const bool first = strncmp(argv[4], "first-", 6) == 0;
    to_len = address_of(argv[1], argv[2], &to);
    if (first)
        give_up(argv[4] + 6);
    cycle();
    if (!first)
        give_up(argv[4]);
    if (fork() == 0) {
        for (int i = 0; i < atoi(argv[3]); i++)
            cycle();
        return 0;
    }
    wait(&status);
    return status != 0;
}
