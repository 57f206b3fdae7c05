/* Connects as often as it can, up to N times, holds all connections open to the end, and says how many started from each
 * local address.
 *
 * connect_many ADDRESS PORT N [-N] [-F] [-t THREADS] [-s SOURCE] [-w]
 * -N non-blocking, -F by MSG_FASTOPEN, -t several threads, N each, -s bind SOURCE first, -w waits for a signal after each
 * tenth */
#include "way.h"

#include <pthread.h>

enum { ADDRESSES = 64 };
static struct {
    char address[INET6_ADDRSTRLEN];
    int n;
} from[ADDRESSES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sockaddr_storage to, source;
static socklen_t to_len, source_len;
static int n, made, error;
static bool nonblocking, fast, waits;

static void note(int fd) {
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char text[INET6_ADDRSTRLEN] = "";
    int i = 0;

    MUST(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    inet_ntop(at.ss_family,
              at.ss_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&at)->sin6_addr
                                       : (void *)&((struct sockaddr_in *)&at)->sin_addr,
              text, sizeof text);
    pthread_mutex_lock(&lock);
    while (i < ADDRESSES - 1 && from[i].n && strcmp(from[i].address, text) != 0)
        i++;
    strcpy(from[i].address, text);
    from[i].n++;
    made++;
    pthread_mutex_unlock(&lock);
}

static void *connects(void *nothing) {
    for (int i = 0; i < n; i++) {
        int fd = socket(to.ss_family, SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), 0);
        MUST(fd >= 0 && (!source_len || bind(fd, (struct sockaddr *)&source, source_len) == 0));
        if (fast ? sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, to_len) < 0 && errno != EINPROGRESS
                 : connect_wait(fd, &to, to_len) != 0) {
            error = errno;
            break;
        }
        note(fd);
        if (waits && i % 10 == 9)
            await_signal();
    }
    return nothing;
}

int main(int argc, char **argv) {
    pthread_t thread[16];
    int threads = 0;

    for (int c; (c = next_option(argc, argv, "NFt:s:w")) != -1;) {
        nonblocking |= c == 'N';
        fast |= c == 'F';
        waits |= c == 'w';
        if (c == 't')
            threads = atoi(optarg);
        if (c == 's')
            source_len = address_of(optarg, "0", &source);
    }
    if (optind + 3 != argc || threads > 16)
        return 2;
    to_len = address_of(argv[optind], argv[optind + 1], &to);
    n = atoi(argv[optind + 2]);
    for (int i = 0; i < threads; i++)
        MUST(pthread_create(&thread[i], NULL, connects, NULL) == 0);
    for (int i = 0; i < threads; i++)
        MUST(pthread_join(thread[i], NULL) == 0);
    if (!threads)
        connects(NULL);
    if (error)
        printf("error %s\n", error_name(error));
    for (int i = 0; from[i].n; i++)
        printf("from %s %d\n", from[i].address, from[i].n);
    say_number("made", made);
    return 0;
}
