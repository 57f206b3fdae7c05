/* See supervisor_inner.h. The same ledgers that the library keeps, one a program, so that who, top and report read them
 * alike. Of a connection no more is known than that it was opened: it is recorded as passed on by one who had not opened
 * it, which counts nothing; where the kernel has a TIME_WAIT of that cookie, and nobody else is known to have ended it,
 * the reader makes that of it. */
#include "cli/launch/supervisor_inner.h"
#include "cli/kernel/process.h"
#include "cli/kernel/sysctl.h"
#include "ledger/errno_name.h"
#include "ledger/reader.h"
#include "ledger/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { CHUNK = 1 << 16 };

struct af_ledger_book {
    struct af_ledger_map map; /* the first: reach() comes from it to the book */
    struct af_ledger_book *next;
    const struct af_supervision *supervision;
    char program[AF_PROGRAM_SIZE];
    uint64_t net_ns;
    _Atomic unsigned char *backed; /* a chunk each: its disk has room for it */
};

static struct af_ledger_book *books;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* On a full disk the file has no memory there: touching it would be SIGBUS. */
static bool reach(struct af_ledger_map *map, enum af_section_of section, uint32_t index) {
    struct af_ledger_book *book = (struct af_ledger_book *)(void *)map;
    const struct af_section *of = &map->section[section];
    if (index >= of->max)
        return false;
    const uint64_t first = of->at + (uint64_t)index * of->size, last = first + of->size - 1;
    for (uint64_t chunk = first / CHUNK; chunk <= last / CHUNK; chunk++) {
        if (atomic_load(&book->backed[chunk]))
            continue;
        const uint64_t at = chunk * CHUNK, rest = map->header->size - at;
        if (madvise((char *)map->header + at, rest < CHUNK ? rest : CHUNK, MADV_POPULATE_WRITE) != 0) {
            af_lacks_room(book->supervision, errno == EFAULT ? ENOSPC : errno);
            return false;
        }
        atomic_store(&book->backed[chunk], 1);
    }
    return true;
}

/* ---- a ledger ------------------------------------------------------------------------------------------------- */

/* NULL: errno tells. */
static struct af_ledger *map_new(const char *path, const struct af_ledger_room *room) {
    void *at = MAP_FAILED;
    const size_t size = af_ledger_size(room);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    int error = errno;
    if (at != MAP_FAILED && madvise(at, AF_WINDOW, MADV_POPULATE_WRITE) != 0) {
        error = errno == EFAULT ? ENOSPC : errno;
        munmap(at, size);
        at = MAP_FAILED;
    }
    if (fd >= 0) {
        if (at == MAP_FAILED)
            unlink(path);
        close(fd);
    }
    errno = error;
    return at == MAP_FAILED ? NULL : at;
}

static void put_policy(const struct af_settings *settings, char *to, size_t room) {
    size_t used = 0;
    for (int key = 0; key < AF_KEYS; key++) {
        const char *value = af_keys[key].roles ? af_settings_get(settings, af_keys[key].variable) : NULL;
        int size = value && *value && used < room
                       ? snprintf(to + used, room - used, "%s%s=%s", used ? "," : "", af_keys[key].name, value)
                       : 0;
        used += (size_t)size;
    }
}

static void describe(const struct af_supervision *s, struct af_ledger_book *book, const struct af_ledger_room *room,
                     pid_t pid) {
    struct af_ledger *ledger = book->map.header;
    af_ledger_layout(ledger, room);
    ledger->pid = pid;
    ledger->started = now();
    ledger->net_ns = book->net_ns;
    ledger->pid_ns = af_own_namespace("pid");
    memcpy(ledger->program, book->program, sizeof ledger->program);
    ledger->command_size = (uint32_t)strlen(book->program) + 1;
    memcpy(ledger->command, book->program, strlen(book->program) + 1);
    put_policy(s->settings, ledger->policy, sizeof ledger->policy);
    af_boot_id(ledger->boot_id);
    atomic_thread_fence(memory_order_release);
    memcpy(ledger->magic, AF_LEDGER_MAGIC, sizeof ledger->magic);
}

/* NULL: errno tells. */
static struct af_ledger_book *make_book(const struct af_supervision *s, const char *program, uint64_t net_ns,
                                        pid_t pid) {
    static unsigned serial;
    struct af_ledger_room room = AF_SMALL_ROOM;
    char path[4200];
    struct af_ledger_book *book = calloc(1, sizeof *book);
    room.processes = AF_MAX_PROCESSES;
    const int64_t buckets = af_sysctl_value("net.ipv4.tcp_max_tw_buckets");
    room.closed = af_ledger_ring(buckets > 0 ? (uint64_t)buckets : 0);
    snprintf(path, sizeof path, "%s/%d-%llu-%u.ledger", s->directory, (int)getpid(), (unsigned long long)now(),
             serial++);
    if (!book)
        return NULL;
    book->backed = calloc(af_ledger_size(&room) / CHUNK + 1, 1);
    struct af_ledger *ledger = book->backed ? map_new(path, &room) : NULL;
    if (!ledger) {
        const int error = errno;
        free((void *)book->backed);
        free(book);
        errno = error;
        return NULL;
    }
    snprintf(book->program, sizeof book->program, "%s", program);
    book->net_ns = net_ns;
    book->supervision = s;
    af_ledger_place_whole(&book->map, ledger, &room);
    book->map.reach = reach;
    describe(s, book, &room, pid);
    book->next = books;
    books = book;
    return book;
}

/* ---- a process ------------------------------------------------------------------------------------------------ */

static uint32_t find_process(struct af_ledger_book *book, pid_t pid, uint64_t start_ticks) {
    const uint32_t n = atomic_load(&book->map.header->n_processes);
    for (uint32_t slot = n; slot-- > 0 && slot < book->map.section[AF_PROCESSES].max;) {
        const struct af_process *process = af_ledger_process(&book->map, slot);
        if (process->pid == pid && process->start_ticks == start_ticks)
            return slot;
    }
    return AF_NO_SLOT;
}

static uint32_t add_process(struct af_ledger_book *book, pid_t pid, pid_t parent, uint64_t start_ticks) {
    bool shared;
    const uint32_t slot = af_ledger_claim_process(&book->map, &shared);
    if (slot == AF_NO_SLOT)
        return slot;
    struct af_process *process = af_ledger_process(&book->map, slot);
    process->pid = pid;
    process->ppid = parent;
    process->started = now();
    process->start_ticks = start_ticks;
    atomic_store(&process->sealed, AF_SEEN_FROM_OUTSIDE);
    atomic_store(&process->used, 2);
    return slot;
}

/* As shim/memory.c does it: in the directory of a run a link that leads nowhere says why there is no ledger. Elsewhere
 * nobody would read it. */
static void leave_reason(const struct af_supervision *s, pid_t pid, uint64_t start_ticks, int error) {
    char path[4200];
    const char *slash = strrchr(s->directory, '/');
    snprintf(path, sizeof path, "%s/%d-%llu.ledger", s->directory, (int)pid, (unsigned long long)start_ticks);
    if (!slash || strncmp(slash, "/run-", 5) != 0)
        af_lacks_room(s, error);
    else if (symlink(af_errno_name((uint32_t)error), path) != 0)
        return; /* it has been said of this process */
}

bool af_book_process(const struct af_supervision *s, const char *program, pid_t pid, pid_t parent, uint64_t start_ticks,
                     uint64_t net_ns, struct af_ledger_book **found, uint32_t *slot) {
    pthread_mutex_lock(&lock);
    struct af_ledger_book *book = books;
    while (book && (book->net_ns != net_ns || strcmp(book->program, program) != 0))
        book = book->next;
    int error = ENOSPC;
    if (!book && !(book = make_book(s, program, net_ns, pid)))
        error = errno;
    *slot = book ? find_process(book, pid, start_ticks) : AF_NO_SLOT;
    if (book && *slot == AF_NO_SLOT)
        *slot = add_process(book, pid, parent, start_ticks);
    if (*slot == AF_NO_SLOT)
        leave_reason(s, pid, start_ticks, error);
    pthread_mutex_unlock(&lock);
    *found = book;
    return *slot != AF_NO_SLOT;
}

void af_book_listener(struct af_ledger_book *book, uint32_t slot) {
    atomic_store(&af_ledger_process(&book->map, slot)->sealed, AF_SEEN_LISTENING);
}

void af_book_socket(struct af_ledger_book *book, uint32_t slot, uint64_t cookie, const struct af_addr *peer,
                    bool mptcp) {
    struct af_process *process = af_ledger_process(&book->map, slot);
    atomic_fetch_add(&process->count[peer ? AF_COUNT_connects : AF_COUNT_sockets], 1);
    af_ledger_append(&book->map, &(struct af_closed){ .cookie = cookie,
                                                      .at = now(),
                                                      .slot = slot,
                                                      .owner = AF_NO_SLOT,
                                                      .peer = peer ? *peer : (struct af_addr){ .port = 0 },
                                                      .counted = AF_END_PASSED,
                                                      .flags = mptcp ? AF_FLAG_MPTCP : 0 });
}
