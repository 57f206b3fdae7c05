/* The floor: the least that a preloaded tool does that knows how each connection ended. A table of what is a TCP
 * socket, and one TCP_INFO at its close; no policy, no record that others could read. FLOOR in the environment adds what
 * more is asked of such a tool: "cookie", which connection it was (one SO_COOKIE); "ack", to set TCP_LINGER2 before its
 * connect; "back", to set it back before its close, too. */
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 1 << 16, STATES = 16 };

static int (*next_socket)(int, int, int), (*next_connect)(int, const struct sockaddr *, socklen_t), (*next_close)(int);
static bool reads_cookie, sets, sets_back;
static unsigned char is_tcp[DESCRIPTORS];
static unsigned long ended_in[STATES], cookie[DESCRIPTORS];

__attribute__((constructor)) static void bind_next(void) {
    next_socket = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    next_connect = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    next_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
    const char *also = getenv("FLOOR");
    reads_cookie = also && strcmp(also, "cookie") == 0;
    sets_back = also && strcmp(also, "back") == 0;
    sets = sets_back || (also && strcmp(also, "ack") == 0);
}

int socket(int domain, int type, int protocol) {
    int fd = next_socket(domain, type, protocol);

    if (fd >= 0 && fd < DESCRIPTORS)
        is_tcp[fd] = (domain == AF_INET || domain == AF_INET6) && (type & 15) == SOCK_STREAM;
    return fd;
}

static void set_linger2(int fd, int value) {
    setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &value, sizeof value);
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
    if (fd >= 0 && fd < DESCRIPTORS && is_tcp[fd] && reads_cookie)
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie[fd], &(socklen_t){ sizeof *cookie });
    if (fd >= 0 && fd < DESCRIPTORS && is_tcp[fd] && sets)
        set_linger2(fd, -1);
    return next_connect(fd, to, len);
}

int close(int fd) {
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;

    if (fd >= 0 && fd < DESCRIPTORS && is_tcp[fd]) {
        is_tcp[fd] = 0;
        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
            __atomic_fetch_add(&ended_in[info.tcpi_state % STATES], 1, __ATOMIC_RELAXED);
        if (sets_back)
            set_linger2(fd, 0);
    }
    return next_close(fd);
}
