/* Another library to preload behind ours, in whose shutdown the peer's FIN comes: before ours with MEETS=before, right
 * after it with MEETS=after. What is done by others during a call cannot be shown more plainly. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The peer ends it on a byte. */
static void make_peer_end(int fd) {
    struct pollfd end = { .fd = fd, .events = POLLRDHUP };
    syscall(SYS_sendto, fd, "x", 1, 0, NULL, 0);
    while (!(end.revents & POLLRDHUP))
        poll(&end, 1, -1);
}

static void await_end(int fd) {
    struct pollfd end = { .fd = fd, .events = POLLRDHUP };
    while (!(end.revents & POLLHUP))
        poll(&end, 1, -1);
}

int shutdown(int fd, int how) {
    const char *meets = getenv("MEETS");
    if (meets && strcmp(meets, "before") == 0)
        make_peer_end(fd);
    long result = syscall(SYS_shutdown, fd, how);
    if (meets)
        await_end(fd);
    return (int)result;
}
