/* Connects N times with an address that lies where WHERE says: stack, static, heap, page (its last bytes), thread (the
 * stack of one).
 *
 * connect_from WHERE ADDRESS PORT N    each connection: connect, send a byte, read to the end of an answer, close */
#include "way.h"

#include <pthread.h>
#include <sys/mman.h>

static struct sockaddr_in in_data, at;
static int n;

static void cycles(struct sockaddr_in *to) {
    char byte = 0;

    *to = at;
    for (int i = 0; i < n; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)to, sizeof *to) != 0 || write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
            exit(1);
        close(fd);
    }
}

static void *on_this_stack(void *nothing) {
    struct sockaddr_in to;

    cycles(&to);
    return nothing;
}

int main(int argc, char **argv) {
    const char *where = argc > 4 ? argv[1] : "";
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t thread;

    at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3])) };
    inet_pton(AF_INET, argv[2], &at.sin_addr);
    n = atoi(argv[4]);
    munmap(page + 4096, 4096);
    if (!strcmp(where, "stack"))
        on_this_stack(NULL);
    else if (!strcmp(where, "static"))
        cycles(&in_data);
    else if (!strcmp(where, "heap"))
        cycles(malloc(sizeof at));
    else if (!strcmp(where, "page"))
        cycles((void *)(page + 4096 - sizeof at));
    else if (pthread_create(&thread, NULL, on_this_stack, NULL) == 0)
        pthread_join(thread, NULL);
    return 0;
}
