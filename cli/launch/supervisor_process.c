/* See supervisor_inner.h. A number of a thread may be another one's by the time that we look: it is held by a pidfd, which
 * stands for nobody else, and what is read of it counts only if its call still waits (still_waits of supervisor_call.c). */
#include "cli/elf/elf.h"
#include "cli/kernel/process.h"
#include "cli/launch/supervisor_inner.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

/* What a pidfd tells of whom it holds (Linux 6.13). */
struct info {
    uint64_t mask, cgroup;
    uint32_t thread, process, parent, ids[8];
    int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)

void af_charges_init(struct af_charges *charges) {
    charges->last = NULL;
    for (int i = 0; i < AF_CHARGES; i++)
        charges->all[i] = (struct af_charge){ .pidfd = -1 };
}

static void forget(struct af_charge *charge) {
    if (charge->pidfd >= 0)
        close(charge->pidfd);
    *charge = (struct af_charge){ .pidfd = -1 };
}

static size_t read_file(pid_t thread, const char *name, void *out, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)thread, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, room);
    if (fd >= 0)
        close(fd);
    return got > 0 ? (size_t)got : 0;
}

static pid_t process_of(pid_t thread) {
    static const char field[] = "\nTgid:";
    char text[2048];
    text[read_file(thread, "status", text, sizeof text - 1)] = 0;
    const char *found = strstr(text, field);
    return found ? (pid_t)atoi(found + sizeof field - 1) : 0;
}

static pid_t process_held(int pidfd, pid_t thread) {
    struct info info = { .mask = 1 };
    return ioctl(pidfd, GET_INFO, &info) == 0 ? (pid_t)info.process : process_of(thread);
}

static void forget_all(struct af_charges *charges, const struct af_charge *but) {
    for (struct af_charge *one = charges->all; one < charges->all + AF_CHARGES; one++)
        if (one != but)
            forget(one);
}

static int hold(struct af_charges *charges, pid_t thread) {
    long fd = syscall(SYS_pidfd_open, thread, PIDFD_THREAD);
    if (fd < 0 && errno == EMFILE) {
        forget_all(charges, NULL);
        fd = syscall(SYS_pidfd_open, thread, PIDFD_THREAD);
    }
    if (fd < 0 && errno == EINVAL) /* an older kernel holds processes: the descriptors are the same */
        fd = syscall(SYS_pidfd_open, process_of(thread), 0);
    return (int)fd;
}

/* ---- what the process is -------------------------------------------------------------------------------------- */

static bool read_memory(pid_t thread, uint64_t address, void *out, size_t size) {
    struct iovec to = { out, size }, from = { (void *)(uintptr_t)address, size };
    return af_process_memory(thread, &to, &from, 1);
}

static bool stat_program(pid_t thread, struct stat *st) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)thread);
    return stat(path, st) == 0;
}

/* As many again fit: its own have room for twice what a program of 64 bits is told. */
static size_t widen(Elf64_auxv_t vector[64], size_t n) {
    Elf32_auxv_t narrow[64];
    n = n * 2 < 64 ? n * 2 : 64;
    memcpy(narrow, vector, n * sizeof *narrow);
    for (size_t i = 0; i < n; i++)
        vector[i] = (Elf64_auxv_t){ .a_type = narrow[i].a_type, .a_un.a_val = narrow[i].a_un.a_val };
    return n;
}

/* What the kernel told it at its exec: its name, as the library has it (of a script the script's own), and where 16 random
 * bytes lie, which are others after each exec. */
static void read_vector(struct af_charge *charge) {
    Elf64_auxv_t vector[64];
    char name[256] = "";
    size_t n = read_file(charge->thread, "auxv", vector, sizeof vector) / sizeof *vector;
    if (n && vector[0].a_type >> 32) /* a program of 32 bits: two words where there is one */
        n = widen(vector, n);
    for (size_t i = 0; i < n; i++) {
        for (size_t size = sizeof name - 1; vector[i].a_type == AT_EXECFN && size > 0 && !*name; size /= 2)
            if (!read_memory(charge->thread, vector[i].a_un.a_val, name, size))
                *name = 0; /* its end is nearer to that of a page */
        if (vector[i].a_type == AT_RANDOM &&
            read_memory(charge->thread, vector[i].a_un.a_val, charge->random, sizeof charge->random))
            charge->random_at = vector[i].a_un.a_val;
    }
    const char *slash = strrchr(name, '/');
    snprintf(charge->program, sizeof charge->program, "%.*s", AF_PROGRAM_SIZE - 1, slash ? slash + 1 : name);
}

/* Its maps name the library where that is in it: what is to be done it does itself, and better. */
static bool has_library(pid_t thread) {
    char path[64], line[4352];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)thread);
    FILE *maps = fopen(path, "re");
    while (maps && !found && fgets(line, sizeof line, maps))
        found = strstr(line, "/libafterfin.so") != NULL;
    if (maps)
        fclose(maps);
    return found;
}

/* What it calls the kernel for by itself the library does not see. */
static bool is_go(pid_t thread) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)thread);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    pthread_mutex_lock(&lock); /* elf.h keeps headers in memory of its own */
    const bool go = fd >= 0 && af_elf_is_go(fd);
    pthread_mutex_unlock(&lock);
    if (fd >= 0)
        close(fd);
    return go;
}

/* ---- is it like us? --------------------------------------------------------------------------------------------- */

static void add_line(const char *status, const char *field, char *to, size_t room) {
    const char *found = strstr(status, field);
    const size_t used = strlen(to);
    if (found)
        snprintf(to + used, room - used, "%.*s", (int)strcspn(found + 1, "\n"), found + 1);
}

static void read_likeness(pid_t thread, struct af_likeness *out) {
    static const char *const fields[] = { "\nUid:", "\nGid:", "\nCapInh:", "\nCapPrm:", "\nCapEff:" };
    char text[4096];
    text[read_file(thread, "status", text, sizeof text - 1)] = 0;
    *out = (struct af_likeness){ .net_ns = af_namespace_of(thread, "net"), .user_ns = af_namespace_of(thread, "user") };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        add_line(text, fields[i], out->ids, sizeof out->ids);
}

void af_likeness_init(struct af_likeness *us) {
    read_likeness(getpid(), us);
}

bool af_charge_is_like(const struct af_charge *charge, const struct af_likeness *us) {
    struct af_likeness now;
    read_likeness(charge->thread, &now);
    return now.net_ns && now.user_ns && *now.ids && now.net_ns == us->net_ns && now.user_ns == us->user_ns &&
           strcmp(now.ids, us->ids) == 0;
}

/* A process that has no record is treated all the same. */
static void count_in(struct af_charge *charge, const struct af_supervision *s) {
    struct af_process_stat now = { .start_ticks = 0 };
    char entry[16];
    snprintf(entry, sizeof entry, "%d", (int)charge->process);
    af_process_stat(entry, &now);
    if (!af_book_process(s, charge->program, charge->process, now.parent, now.start_ticks, charge->net_ns,
                         &charge->book, &charge->slot))
        charge->slot = AF_NO_SLOT;
}

/* As one whose call came before, of the same process, if there is one: what it has is held by that thread's pidfd. */
static void count_as(struct af_charge *charge, const struct af_charge *kin, const struct af_supervision *s) {
    charge->process = process_held(charge->pidfd, charge->thread);
    charge->net_ns = af_namespace_of(charge->thread, "net");
    if (kin && kin->process == charge->process && kin->net_ns == charge->net_ns &&
        (syscall(SYS_pidfd_send_signal, kin->pidfd, 0, NULL, 0) == 0 || errno == EPERM)) {
        charge->book = kin->book;
        charge->slot = kin->slot;
    } else {
        count_in(charge, s);
    }
}

static void read_program(struct af_charge *charge, const struct stat *st, const struct af_supervision *s) {
    charge->device = st->st_dev;
    charge->inode = st->st_ino;
    read_vector(charge);
    charge->left_alone = !af_policy_touches(&s->settings->policy, charge->program) ||
                         (has_library(charge->thread) && !is_go(charge->thread));
}

/* Another thread of it, or what it has forked: the bytes are those of one exec. A program that wipes them (Go does) is
 * known by its file. */
static bool is_kin(const struct af_charge *charge, const struct af_charge *kin) {
    static const unsigned char wiped[sizeof kin->random];
    unsigned char random[sizeof kin->random];
    struct stat st;
    if (!kin || kin->pidfd < 0 || !kin->random_at ||
        !read_memory(charge->thread, kin->random_at, random, sizeof random) ||
        memcmp(random, kin->random, sizeof random) != 0)
        return false;
    return memcmp(random, wiped, sizeof random) != 0 ||
           (stat_program(charge->thread, &st) && st.st_dev == kin->device && st.st_ino == kin->inode);
}

static bool meet(struct af_charges *charges, struct af_charge *charge, const struct af_supervision *s, pid_t thread) {
    struct stat st;
    forget(charge);
    const int pidfd = hold(charges, thread);
    *charge = (struct af_charge){ .pidfd = pidfd, .thread = thread, .slot = AF_NO_SLOT, .fresh = true };
    const struct af_charge *kin = is_kin(charge, charges->last) ? charges->last : NULL;
    if (kin) {
        charge->device = kin->device;
        charge->inode = kin->inode;
        charge->random_at = kin->random_at;
        memcpy(charge->random, kin->random, sizeof charge->random);
        memcpy(charge->program, kin->program, sizeof charge->program);
        charge->left_alone = kin->left_alone;
    } else if (pidfd < 0 || !stat_program(thread, &st)) {
        forget(charge);
        return false;
    } else {
        read_program(charge, &st, s);
    }
    if (s->directory && !charge->left_alone)
        count_as(charge, kin, s);
    return true;
}

/* Is it the program that we have met, and `size` bytes of its memory, in one call. Where its memory may not be read, its
 * file tells. */
static bool is_as_met(const struct af_charge *charge, uint64_t address, void *out, size_t size) {
    unsigned char random[sizeof charge->random];
    struct iovec to[] = { { random, sizeof random }, { out, size } };
    struct iovec from[] = { { (void *)(uintptr_t)charge->random_at, sizeof random },
                            { (void *)(uintptr_t)address, size } };
    struct stat st;
    if (!charge->random_at)
        return !size && stat_program(charge->thread, &st) && st.st_dev == charge->device && st.st_ino == charge->inode;
    return af_process_memory(charge->thread, to, from, 2) && memcmp(random, charge->random, sizeof random) == 0;
}

struct af_charge *af_charge_of(struct af_charges *charges, const struct af_supervision *s, pid_t thread,
                               uint64_t address, void *out, size_t size) {
    struct af_charge *charge = &charges->all[(unsigned)thread % AF_CHARGES];
    const bool known = charge->pidfd >= 0 && charge->thread == thread && is_as_met(charge, address, out, size);
    if (!known && !(meet(charges, charge, s, thread) && is_as_met(charge, address, out, size)))
        return NULL;
    charges->last = charge;
    return charge;
}

int af_charge_take(struct af_charges *charges, const struct af_supervision *s, struct af_charge **charge, int fd) {
    long copy = syscall(SYS_pidfd_getfd, (*charge)->pidfd, fd, 0);
    if (copy < 0 && errno == ESRCH) { /* that one is gone, and its number another's now */
        const pid_t thread = (*charge)->thread;
        forget(*charge);
        *charge = af_charge_of(charges, s, thread, 0, NULL, 0);
        copy = *charge ? syscall(SYS_pidfd_getfd, (*charge)->pidfd, fd, 0) : -1;
    }
    if (copy < 0 && errno == EMFILE && *charge) {
        forget_all(charges, *charge);
        copy = syscall(SYS_pidfd_getfd, (*charge)->pidfd, fd, 0);
    }
    return copy < 0 ? -errno : (int)copy;
}
