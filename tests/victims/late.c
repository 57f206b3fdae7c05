/* Uses the socket that early.so left at 90: connects it and closes it. Something of its own runs even earlier.
 *
 * late ADDRESS PORT */
#include "way.h"

static void before_all(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || close(fd) != 0)
        abort();
}
__attribute__((section(".preinit_array"), used)) static void (*preinit)(int, char **, char **) = before_all;

int main(int argc, char **argv) {
    struct sockaddr_storage to;

    if (argc != 3)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &to);
    MUST(connect(90, (struct sockaddr *)&to, len) == 0);
    MUST(close(90) == 0);
    say("late", "done");
    return 0;
}
