/* A random but repeatable play over 8 descriptors and up to 4 processes at a time: opening, copying, closing, half-closing,
 * forking, children on our memory, other images, descriptors sent to whoever receives them, or to nobody, and every way out.
 * Whoever is the last to let go of a connection is the first to end it: its peer waits for that. Says what became of each
 * (model.h), and on standard error what is done where MODEL_TELLS is set.
 *
 * model SEED ADDRESS PORT STEPS locked|free */
#include "instruction.h"
#include "model.h"

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { FIRST = 200, BOOK = 150, PAIR = 160, ROOT = 0 };

extern char **environ;
struct book *book;
int me;
static struct process *self;
static const char *address, *port;

static unsigned draw(unsigned n) {
    return drawn(&self->state, n);
}

static void become(int process) {
    me = process;
    self = &book->process[me];
    self->pid = getpid();
}

/* ---- descriptors -------------------------------------------------------------------------------------------- */

static void hold(int at, int connection, bool cloexec) {
    take(connection, me);
    let_go(me, at, true);
    self->held[at] = (int16_t)connection;
    self->cloexec[at] = cloexec;
}

static void place(int fd, int at, int connection) {
    MUST(fd >= 0 && dup2(fd, FIRST + at) == FIRST + at && close(fd) == 0);
    hold(at, connection, false);
}

static bool is_held(int at) {
    return self->held[at] != NONE || (!book->locked && fcntl(FIRST + at, F_GETFD) >= 0);
}

static void opens(int at) {
    int connection = book->n_connections++, fd = connected(address, port);

    tell("open", at, connection);
    MUST(connection < CONNECTIONS);
    book->connection[connection].port = port_of(fd);
    place(fd, at, connection);
}

static void copies(int from, int to) {
    const unsigned how = draw(3);

    tell("copy", from, to);
    if (!is_held(from) || from == to)
        return;
    if (how == 0)
        MUST(dup3(FIRST + from, FIRST + to, O_CLOEXEC) == FIRST + to);
    else if (how == 1)
        MUST(dup2(FIRST + from, FIRST + to) == FIRST + to);
    else {
        place(dup(FIRST + from), to, self->held[from]);
        return;
    }
    hold(to, self->held[from], how == 0);
}

static void closes(int at) {
    tell("close", at, 0);
    MUST((close(FIRST + at) == 0) == is_held(at) || !book->locked);
    let_go(me, at, true);
}

static void closes_range(int from, int to) {
    tell("close_range", from, to);
    if (from > to)
        return;
    MUST(close_range((unsigned)(FIRST + from), (unsigned)(FIRST + to), 0) == 0);
    for (int i = from; i <= to; i++)
        let_go(me, i, true);
}

static void shuts_down(int at) {
    tell("shutdown", at, 0);
    if (is_held(at))
        shutdown(FIRST + at, SHUT_WR);
}

/* ---- messages: the queue is everybody's ---------------------------------------------------------------------- */

union control {
    char room[CMSG_SPACE(RIGHTS * sizeof(int))];
    struct cmsghdr head;
};

/* What a message is to carry; false: nothing is held there. */
static bool fill(struct message *m, union control *control, struct msghdr *to) {
    int fds[RIGHTS], n = 1 + (int)draw(RIGHTS);

    *m = (struct message){ .from = me };
    for (int i = 0; i < n; i++) {
        int at = (int)draw(SLOTS);
        if (!is_held(at))
            continue;
        fds[m->n] = FIRST + at;
        m->connection[m->n++] = self->held[at];
    }
    const size_t size = (size_t)m->n * sizeof *fds;
    to->msg_control = control;
    to->msg_controllen = CMSG_SPACE(size);
    control->head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size) };
    memcpy(CMSG_DATA(&control->head), fds, size);
    return m->n > 0;
}

static void sends(void) {
    struct message sent[2];
    union control control[2] = { 0 };
    struct iovec data = { &(char){ 'x' }, 1 };
    struct mmsghdr messages[2] = { { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1 } },
                                   { .msg_hdr = { .msg_iov = &data, .msg_iovlen = 1 } } };
    const int n = 1 + (int)draw(2), closed = draw(2) ? (int)draw(SLOTS) : NONE;
    int done;

    tell("send", n, closed);
    for (int i = 0; i < n; i++)
        if (!fill(&sent[i], &control[i], &messages[i].msg_hdr))
            return;
    if (n == 1)
        done = sendmsg(PAIR, &messages[0].msg_hdr, MSG_DONTWAIT) == 1;
    else
        done = sendmmsg(PAIR, messages, 2, MSG_DONTWAIT); /* the queue may take none, or one */
    for (int i = 0; i < done && book->locked; i++) {
        book->queue[book->n_sent++ % QUEUE] = sent[i];
        for (int k = 0; k < sent[i].n; k++)
            take(sent[i].connection[k], me);
    }
    if (closed != NONE)
        closes(closed);
}

static void receives(void) {
    union control control;
    struct iovec data = { &(char){ 0 }, 1 };
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    int fds[RIGHTS];

    tell("receive", (int)book->n_received, (int)book->n_sent);
    if (recvmsg(PAIR + 1, &message, MSG_DONTWAIT) != 1)
        return;
    const struct message *m = &book->queue[book->n_received % QUEUE];
    const int n = message.msg_controllen ? (int)((control.head.cmsg_len - CMSG_LEN(0)) / sizeof *fds) : 0;
    memcpy(fds, CMSG_DATA(&control.head), (size_t)n * sizeof *fds);
    MUST(!book->locked || n == m->n);
    for (int i = 0; i < n; i++) {
        const int connection = book->locked ? m->connection[i] : NONE;
        place(fds[i], (int)draw(SLOTS), connection);
        release(connection, me, true);
    }
    book->n_received++;
}

/* The descriptors of the oldest message go with it. */
static void discard(void) {
    const struct message *m = &book->queue[book->n_received++ % QUEUE];
    for (int i = 0; i < m->n; i++)
        release(m->connection[i], m->from, false);
}

static void reads_away(void) {
    tell("read away", (int)book->n_received, (int)book->n_sent);
    if (recv(PAIR + 1, &(char){ 0 }, 1, MSG_DONTWAIT) == 1 && book->locked)
        discard();
}

/* ---- processes ----------------------------------------------------------------------------------------------- */

/* Its part of the book; NONE: there are enough. */
static int another(bool image) {
    if (book->n_live >= LIVE || book->n_processes >= MOST)
        return NONE;
    const int child = book->n_processes++;
    if (child >= MOST)
        return NONE;
    struct process *p = &book->process[child];
    *p = *self;
    p->state ^= (uint64_t)(child + 1) * 0x9e3779b97f4a7c15u;
    p->step++;
    p->pid = 0;
    p->live = true;
    book->n_live++;
    for (int i = 0; i < SLOTS; i++) {
        if (image && p->cloexec[i])
            p->held[i] = NONE;
        take(p->held[i], child);
    }
    return child;
}

/* The parent has the lock, and unlocks. */
static void plays(void);
static void forks(void) {
    const int child = another(false);

    tell("fork", child, 0);
    pid_t pid = child == NONE ? -1 : fork();
    if (pid == 0) {
        become(child);
        lock();
        unlock();
        self->step--; /* the loop counts it */
    } else if (child != NONE) {
        MUST(pid > 0);
        book->process[child].pid = pid;
    }
}

static char **resumed(int process, char number[12]) {
    static char *argv[6];
    snprintf(number, 12, "%d", process);
    argv[0] = "model", argv[1] = "resume", argv[2] = number, argv[3] = (char *)address, argv[4] = (char *)port;
    return argv;
}

/* A child with an image of its own, that has what is not close-on-exec. */
static void spawns(void) {
    char number[12];
    const bool vforks = draw(2);
    const int child = another(true);
    pid_t pid = -1;

    tell(vforks ? "vfork, exec" : "spawn", child, 0);
    if (child == NONE)
        return;
    char **argv = resumed(child, number);
    if (vforks) {
        pid = vfork();
        if (pid == 0) {
            execv("/proc/self/exe", argv);
            _exit(3);
        }
    } else {
        MUST(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0);
    }
    MUST(pid > 0);
    book->process[child].pid = pid;
}

/* Children that only come and go. */
static void visits(void) {
    char *argv[] = { "true", NULL };
    pid_t child;

    tell("visit", 0, 0);
    if (draw(2)) {
        MUST(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0);
    } else {
        child = vfork();
        if (child == 0) {
            for (int i = 0; i < SLOTS; i++)
                close(FIRST + i);
            _exit(0);
        }
    }
    MUST(child > 0 && waitpid(child, NULL, 0) == child);
}

static void execs(void) {
    char number[12];

    tell("exec", me, 0);
    for (int i = 0; i < SLOTS; i++)
        if (self->cloexec[i])
            let_go(me, i, true);
    self->step++;
    execv("/proc/self/exe", resumed(me, number)); /* which has the lock still */
    MUST(false);
}

static void kills(void) {
    const int at = 1 + (int)draw(MOST - 1);
    struct process *p = &book->process[at];

    tell("kill", at, p->pid);
    if (at == me || !p->live || p->pid <= 0)
        return;
    MUST(kill(p->pid, SIGKILL) == 0 || !book->locked);
    await_death(p->pid);
    p->live = false;
    book->n_live--;
    for (int i = 0; i < SLOTS; i++)
        let_go(at, i, false);
}

static void await_all(void) {
    while (waitpid(-1, NULL, 0) > 0 || errno != ECHILD)
        continue;
}

/* Some leave before their children; who began it waits for all. */
__attribute__((noreturn)) static void leaves(void) {
    lock();
    if (me == ROOT) {
        self->waits = true;
        unlock();
        await_all();
        lock();
    }
    if (draw(3) == 0)
        closes_range(0, SLOTS - 1);
    const unsigned way = draw(me == ROOT ? 3 : 4);
    tell("leave", (int)way, 0);
    self->live = false;
    book->n_live--;
    draw_turn();
    book->leaving = me + 1;
    for (int i = 0; i < SLOTS; i++)
        let_go(me, i, way < 2);
    if (me == ROOT) {
        while (book->locked && book->n_received < book->n_sent)
            discard();
        tell_book();
    }
    if (way == 0)
        exit(0);
    if (way == 1)
        _exit(0);
    if (way == 2)
        instruction(SYS_exit_group, 0, 0, 0);
    kill(getpid(), SIGKILL);
    pause();
    __builtin_unreachable();
}

/* ---- the play ------------------------------------------------------------------------------------------------ */

static void steps(void) {
    int a = (int)draw(SLOTS), b = (int)draw(SLOTS);

    switch (draw(20)) {
    case 0:
    case 1:
    case 2: opens(a); break;
    case 3:
    case 4: copies(a, b); break;
    case 5:
    case 6: closes(a); break;
    case 7: closes_range(a, b); break;
    case 8:
    case 9: sends(); break;
    case 10:
    case 11: receives(); break;
    case 12: reads_away(); break;
    case 13: visits(); break;
    case 14:
    case 15: forks(); break;
    case 16: spawns(); break;
    case 17: draw(3) ? (void)0 : execs(); break;
    case 18: draw(3) ? (void)0 : kills(); break;
    default: shuts_down(a);
    }
}

static void plays(void) {
    for (; self->step < book->steps; self->step++) {
        lock();
        const int who = me;
        steps();
        if (who == me)
            unlock();
    }
    leaves();
}

static void begins(uint64_t seed, unsigned n, bool locked) {
    int pair[2];

    memset(book, 0, sizeof *book);
    book->locked = locked;
    book->steps = n;
    book->n_processes = book->n_live = 1;
    become(ROOT);
    self->live = true;
    self->state = seed * 0x9e3779b97f4a7c15u;
    book->turns = ~self->state;
    for (int i = 0; i < SLOTS; i++)
        self->held[i] = NONE;
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    for (int i = 0; i < 2; i++)
        MUST(dup2(pair[i], PAIR + i) == PAIR + i && close(pair[i]) == 0);
    opens(0);
}

int main(int argc, char **argv) {
    const bool resumes = argc == 5 && strcmp(argv[1], "resume") == 0;

    MUST(resumes || argc == 6);
    address = argv[resumes ? 3 : 2], port = argv[resumes ? 4 : 3];
    if (!resumes) {
        int fd = memfd_create("book", 0);
        MUST(fd >= 0 && ftruncate(fd, sizeof *book) == 0 && dup2(fd, BOOK) == BOOK && close(fd) == 0);
    }
    book = mmap(NULL, sizeof *book, PROT_READ | PROT_WRITE, MAP_SHARED, BOOK, 0);
    MUST(book != MAP_FAILED);
    if (resumes) {
        const int process = atoi(argv[2]);
        const bool same = book->process[process].pid == getpid();
        become(process);
        if (same && book->owner == process + 1)
            unlock();
    } else {
        begins(strtoull(argv[1], NULL, 10), (unsigned)atoi(argv[4]), strcmp(argv[5], "locked") == 0);
    }
    plays();
}
