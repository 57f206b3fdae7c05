/* THREADS threads that begin at the same moment, each with N connections, closed first by this side.
 *
 * threads_close ADDRESS PORT THREADS N */
#include "victim.h"

#include <pthread.h>

static struct sockaddr_storage to;
static socklen_t to_len;
static int each;
static pthread_barrier_t gate;

static void *work(void *unused) {
    pthread_barrier_wait(&gate);
    for (int i = 0; i < each; i++) {
        int fd = socket(to.ss_family, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, to_len) != 0 || close(fd) != 0)
            say_result("error", -1);
    }
    return unused;
}

int main(int argc, char **argv) {
    pthread_t thread[256];
    int n = argc == 5 ? atoi(argv[3]) : 0;

    if (n < 1 || n > 256)
        return 2;
    to_len = address_of(argv[1], argv[2], &to);
    each = atoi(argv[4]);
    pthread_barrier_init(&gate, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        if (pthread_create(&thread[i], NULL, work, NULL) != 0)
            return 1;
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
