/* A tree of processes that opens and closes connections until all of the book's are done: forks of forks, some of
 * them with threads, some of them another image (tests/soak/soak.h).
 *
 * soak_tree BOOK [NODE DESCRIPTOR...]: the node, with what it was left by the image before it */
#include "tests/soak/soak.h"
#include "way.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { HELD = 4, AHEAD = 8192 };

struct work {
    uint32_t node, thread;
    uint64_t random;
    struct soak_thread *own;
    int held[HELD];
    unsigned n_held;
};

static struct soak_book *book;
static const char *self_path, *book_path;

static struct soak_node *node_of(const struct work *w) {
    return &book->node[w->node];
}

static void count(_Atomic uint64_t *ending, struct soak_count *to) {
    to->established++;
    ++*ending;
}

/* ---- one connection to a peer ------------------------------------------------------------------------- */

static int open_one(struct work *w) {
    struct sockaddr_in to = soak_address(w->node, w->thread);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    MUST(fd >= 0);
    w->own->connecting = 1;
    MUST(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    w->own->opened++;
    w->own->connecting = 0;
    return fd;
}

static void ends_it(struct work *w, int fd) {
    MUST(close(fd) == 0);
    count(&node_of(w)->count.time_wait, &node_of(w)->count);
}

static void ends_it_by_its_copy(struct work *w, int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    MUST(copy >= 0 && close(fd) == 0);
    ends_it(w, copy);
}

static void ends_its_sending(struct work *w, int fd) {
    MUST(shutdown(fd, SHUT_WR) == 0 && read_bytes(fd, SIZE_MAX));
    ends_it(w, fd);
}

static void is_reset(struct work *w, int fd) {
    char byte = 'r';

    MUST(send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) < 0 && errno == ECONNRESET);
    MUST(close(fd) == 0);
    count(&node_of(w)->count.aborted, &node_of(w)->count);
}

static void resets_it(struct work *w, int fd) {
    struct linger abort = { 1, 0 };

    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort) == 0 && close(fd) == 0);
    count(&node_of(w)->count.aborted, &node_of(w)->count);
}

/* The oldest of several that are kept goes; the last ones at exit. */
static void keeps_it(struct work *w, int fd) {
    int *place = &w->held[w->n_held++ % HELD];

    if (w->n_held > HELD)
        MUST(close(*place) == 0);
    *place = fd;
    count(&node_of(w)->count.time_wait, &node_of(w)->count);
}

/* For a byte, or the parent's end: children of several threads hold each other's pipes, and would wait for ever for
 * an end of file. */
static void await(int gate, pid_t parent) {
    struct pollfd p = { .fd = gate, .events = POLLIN };

    while (getppid() == parent && poll(&p, 1, 50) == 0)
        ;
}

static void shares_it(struct work *w, int fd, bool child_is_last) {
    const pid_t self = getpid();
    int gate[2];

    MUST(pipe2(gate, O_CLOEXEC) == 0);
    book->helpers += child_is_last;
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        close(gate[1]);
        if (child_is_last)
            await(gate[0], self);
        close(fd);
        _exit(0);
    }
    if (child_is_last)
        MUST(close(fd) == 0 && write(gate[1], "x", 1) == 1);
    MUST(close(gate[0]) == 0 && close(gate[1]) == 0 && waitpid(child, NULL, 0) == child);
    if (!child_is_last)
        ends_it(w, fd);
    else
        count(&node_of(w)->count.passed, &node_of(w)->count);
}

static void one_to_a_peer(struct work *w) {
    const unsigned what = (unsigned)(soak_random(&w->random) % 1000);
    const bool forks = !soak_has_threads(w->node) || book->forks_in_threads;

    while (book->sent - book->done > AHEAD)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    book->sent++;
    int fd = open_one(w);
    if (what < 4 && forks)
        shares_it(w, fd, what & 1);
    else if (what < 60)
        is_reset(w, fd);
    else if (what < 120)
        resets_it(w, fd);
    else if (what < 200)
        keeps_it(w, fd);
    else if (what < 300)
        ends_its_sending(w, fd);
    else if (what < 400)
        ends_it_by_its_copy(w, fd);
    else
        ends_it(w, fd);
}

/* ---- one connection to itself --------------------------------------------------------------------------- */

static int listen_here(uint32_t node) {
    struct sockaddr_in at = soak_address(node, 9);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_port = htons(SOAK_PORT + 1);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 16) == 0);
    return fd;
}

/* From a port that it uses once: the SYN of a second time would end the TIME_WAIT of the accepting side. */
static int connect_from(uint32_t node, uint16_t port) {
    struct sockaddr_in from = soak_address(node, 10), to = soak_address(node, 9);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    from.sin_port = htons(port);
    to.sin_port = htons(SOAK_PORT + 1);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
    MUST(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static void one_to_itself(struct work *w, int listener, uint16_t port) {
    int end[2] = { connect_from(w->node, port) };

    MUST((end[1] = accept(listener, NULL, NULL)) >= 0);
    const int first = (int)(soak_random(&w->random) & 1);
    MUST(close(end[first]) == 0 && read_bytes(end[!first], SIZE_MAX) && close(end[!first]) == 0);
    count(&node_of(w)->count.time_wait, &node_of(w)->count);
    count(&node_of(w)->count.passive, &node_of(w)->count);
}

/* It waits for nobody, and would leave no work for the others. */
static void talk_to_itself(struct work *w) {
    int listener = listen_here(w->node);
    uint64_t share = book->connections / book->nodes;

    for (uint16_t port = SOAK_PORT + 2; port < SOAK_RANGE && share > 0; port++, share--)
        if (book->tickets++ < book->connections)
            one_to_itself(w, listener, port);
}

/* ---- a process ---------------------------------------------------------------------------------------- */

static void *works(void *argument) {
    struct work *w = argument;

    w->own = &node_of(w)->thread[w->thread];
    w->random = book->seed ^ ((uint64_t)w->node << 32 | w->thread << 16);
    if (soak_is_pair(w->node))
        talk_to_itself(w);
    else
        while (book->tickets++ < book->connections)
            one_to_a_peer(w);
    return NULL;
}

/* The image before this one has left it some connections, which are ended here. */
static void end_heirlooms(uint32_t node, char **descriptors) {
    for (; *descriptors; descriptors++) {
        MUST(close(atoi(*descriptors)) == 0);
        count(&book->node[node].count.time_wait, &book->node[node].count);
    }
}

static void become_another_image(uint32_t node) {
    struct work w = { .node = node, .own = &book->node[node].thread[0] };
    char text[SOAK_HEIRLOOMS + 1][12];
    char *argv[SOAK_HEIRLOOMS + 4] = { (char *)self_path, (char *)book_path, text[SOAK_HEIRLOOMS] };

    snprintf(text[SOAK_HEIRLOOMS], sizeof *text, "%u", node);
    for (int i = 0; i < SOAK_HEIRLOOMS; i++) {
        book->sent++;
        int fd = open_one(&w);
        MUST(fcntl(fd, F_SETFD, 0) == 0);
        snprintf(text[i], sizeof *text, "%d", fd);
        argv[3 + i] = text[i];
        count(&book->node[node].before.passed, &book->node[node].before);
    }
    execv("/proc/self/exe", argv);
    failed("execv", __FILE__, __LINE__);
}

static void live(uint32_t node);

static void start_children(uint32_t node) {
    for (uint32_t child = node * SOAK_FANOUT + 1; child <= node * SOAK_FANOUT + SOAK_FANOUT; child++) {
        if (child >= book->nodes)
            return;
        pid_t pid = fork();
        MUST(pid >= 0);
        if (pid > 0)
            continue;
        if (soak_execs(child))
            become_another_image(child);
        live(child);
        exit(0);
    }
}

static void live(uint32_t node) {
    struct work work[SOAK_THREADS] = { { 0 } };
    pthread_t thread[SOAK_THREADS];
    const unsigned n = soak_threads(node);

    start_children(node);
    book->node[node].pid = getpid();
    book->node[node].working = node != 0 && !soak_is_pair(node);
    for (unsigned i = 0; i < n; i++)
        work[i] = (struct work){ .node = node, .thread = i };
    for (unsigned i = 1; i < n; i++)
        MUST(pthread_create(&thread[i], NULL, works, &work[i]) == 0);
    works(&work[0]);
    for (unsigned i = 1; i < n; i++)
        MUST(pthread_join(thread[i], NULL) == 0);
    book->node[node].working = 0;
    while (wait(NULL) > 0 || errno == EINTR)
        ;
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    self_path = argv[0];
    book_path = argv[1];
    int fd = open(argv[1], O_RDWR | O_CLOEXEC);
    MUST(fd >= 0);
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(book != MAP_FAILED && close(fd) == 0);
    const uint32_t node = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    if (node == 0)
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* those whose parent was killed are waited for too */
    else
        end_heirlooms(node, argv + 3);
    live(node);
    return 0;
}
