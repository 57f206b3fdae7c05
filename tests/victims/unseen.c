/* N connections that are closed by an instruction of our own, past libc; then their number is something else's, which is
 * closed by libc's close. What has it is in the way's name; "tcp", of the same kind, is opened past libc too, to OTHER.
 *
 * unseen WAY ADDRESS PORT OTHER N */
#include "instruction.h"
#include "way.h"

#include <sys/eventfd.h>

static struct sockaddr_storage other;
static socklen_t other_size;

static int file(void) {
    return open("/dev/null", O_RDWR);
}
static int event(void) {
    return eventfd(0, 0);
}
static int udp(void) {
    return socket(AF_INET, SOCK_DGRAM, 0);
}
static int local(void) {
    return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int tcp(void) {
    int fd = (int)instruction(SYS_socket, AF_INET, SOCK_STREAM, 0);
    MUST(instruction(SYS_connect, fd, (long)&other, (long)other_size) == 0 && write(fd, "x", 1) == 1);
    return fd;
}
static int seen(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    MUST(connect(fd, (struct sockaddr *)&other, other_size) == 0);
    return fd;
}

static const struct {
    const char *name;
    int (*open)(void);
} ways[] = {
    { "file", file }, { "event", event }, { "udp", udp }, { "local", local }, { "tcp", tcp }, { "seen", seen }
};

int main(int argc, char **argv) {
    MUST(argc == 6);
    other_size = address_of(argv[2], argv[4], &other);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (int n = strcmp(argv[1], ways[i].name) == 0 ? atoi(argv[5]) : 0; n > 0; n--) {
            int fd = connected(argv[2], argv[3]);
            MUST(instruction(SYS_close, fd, 0, 0) == 0 && ways[i].open() == fd && close(fd) == 0);
        }
    return 0;
}
