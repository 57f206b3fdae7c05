/* The ledger's memory: a file where one was asked for and can be had, else anonymous, mapped at the first TCP
 * socket. The descriptor of the file lives inside af_ledger_get only. */
#include "shim/shim.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { CHUNK_BITS = 14, PATH_ROOM = 4096 };

/* One bit for each 16 KiB of a file that is known to be there. Private: a child inherits it. */
static _Atomic uint64_t backed_chunks[(1 << (28 - CHUNK_BITS)) / 64];

static void cannot_grow(void) {
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        af_say((const char *const[]){ "the ledger cannot grow, its disk is full: what finds no room in it is treated, "
                                      "and counted in part",
                                      NULL });
}

static uint64_t window_up(uint64_t size) {
    return (size + AF_WINDOW - 1) & ~(uint64_t)(AF_WINDOW - 1);
}

/* Of a file: is there memory for it? A chunk belongs to one section, and to one window of it. */
static bool is_backed(const struct af_ledger_map *map, const struct af_section *section, uint32_t index) {
    const uint64_t first = (uint64_t)index * section->size, last = first + section->size - 1;
    if (!map->section[AF_CLOSED].max)
        return true;
    for (uint64_t chunk = first >> CHUNK_BITS; chunk <= last >> CHUNK_BITS; chunk++) {
        const uint64_t n = (section->at >> CHUNK_BITS) + chunk, bit = 1ull << (n & 63);
        if (AF_LIKELY(atomic_load_explicit(&backed_chunks[n / 64], memory_order_relaxed) & bit))
            continue;
        if (af_sealed)
            return false;
        const uintptr_t at = (atomic_load(&section->window) & ~(uintptr_t)31) + (chunk << CHUNK_BITS);
        long result = AF_SYS3(SYS_madvise, at & -af.page, 1 << CHUNK_BITS, MADV_POPULATE_WRITE); /* its whole pages */
        if (result < 0 && result != -EINVAL) { /* it is reserved (map_file) */
            cannot_grow();
            return false;
        }
        atomic_fetch_or(&backed_chunks[n / 64], bit);
    }
    return true;
}

/* Where there is room behind it a window grows as it lies. Else more of it is mapped by what is mapped of it, without a
 * descriptor: mremap of nothing duplicates a shared mapping, as long as the caller likes. The old one stays, since other
 * threads may be at work in it. Many of them come here at once: who was not the first in the kernel leaves it at that. */
static bool grow_window(struct af_section *section, uint32_t index) {
    uintptr_t window = atomic_load(&section->window), larger = window;
    if (index >= section->max)
        return false;
    while (af_window_records(section, larger) <= index)
        larger++;
    const size_t size = window_up((uint64_t)af_window_records(section, larger) * section->size);
    const size_t before = window_up((uint64_t)af_window_records(section, window) * section->size);
    if (!af_sys_failed(AF_SYS4(SYS_mremap, window & ~(uintptr_t)31, before, size, 0))) {
        larger = (window & ~(uintptr_t)31) | (larger & 31);
        atomic_compare_exchange_strong(&section->window, &window, larger); /* or another thread was here */
        return true;
    }
    if (atomic_load(&section->window) != window)
        return true;
    long made = AF_SYS4(SYS_mremap, window & ~(uintptr_t)31, 0, size, MREMAP_MAYMOVE);
    if (af_sys_failed(made))
        return false;
    larger = (uintptr_t)made | (larger & 31);
    do
        if ((window & 31) >= (larger & 31)) { /* another thread's is as large */
            AF_SYS2(SYS_munmap, made, size);
            break;
        }
    while (!atomic_compare_exchange_weak(&section->window, &window, larger));
    return true;
}

static bool reach(struct af_ledger_map *map, enum af_section_of which, uint32_t index) {
    struct af_section *section = &map->section[which];
    while (AF_UNLIKELY(!af_section_reached(map, which, index)))
        if (!grow_window(section, index))
            return false;
    return is_backed(map, section, index);
}

static size_t put(char *to, size_t at, const char *text) {
    while (*text && at < PATH_ROOM - 1)
        to[at++] = *text++;
    to[at] = 0;
    return at;
}

static size_t put_number(char *to, size_t at, uint64_t n) {
    char digits[24] = "";
    int i = sizeof digits - 1;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return put(to, at, digits + i);
}

static size_t put_file_name(char *to, size_t at) {
    return put_number(to, put(to, put_number(to, put(to, at, "/"), (uint64_t)af.pid), "-"), af.started);
}

/* "DIRECTORY/PID-STARTED.ledger"; two threads may both make one, then the second is "PID-STARTED-1.ledger". */
static int create_in(int dir, char path[PATH_ROOM], size_t n) {
    const size_t name = n + 1;
    int fd = -EEXIST;
    n = put_file_name(path, n);
    for (uint64_t i = 0; fd == -EEXIST && i < 64; i++) {
        put(path, i ? put_number(path, put(path, n, "-"), i) : n, ".ledger");
        fd = (int)AF_SYS4(SYS_openat, dir, path + name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    return fd;
}

/* A group's: the containers of a pod, of several users, and who adds up what they did. Whoever is in it may put files there
 * and read them, and besides who made it only a file's own user takes it away. */
static bool is_groups(const struct stat *st) {
    return (st->st_mode & 07777) == 03770;
}

/* Ours, and nobody else can write to it; or the one that a root's `afterfin run` has made for every user of its tree:
 * whoever knows its name may put files there, and only root lists it or takes one away. */
static bool may_lie_in(const struct stat *st, unsigned euid) {
    return (st->st_uid == euid && !(st->st_mode & 022)) || (st->st_uid == 0 && (st->st_mode & 07777) == 01733) ||
           is_groups(st);
}

/* A new file in the directory that is named by the first n bytes of `path`. */
static int create_at(char path[PATH_ROOM], size_t n, unsigned euid) {
    int dir = (int)AF_SYS4(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat st;
    if (dir < 0) /* of a link O_DIRECTORY has the first word: ENOTDIR */
        return dir == -ENOTDIR && AF_SYS4(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                       S_ISLNK(st.st_mode)
                   ? -ELOOP
                   : dir;
    int fd = (int)AF_SYS4(SYS_newfstatat, dir, "", &st, AT_EMPTY_PATH);
    if (fd == 0 && !may_lie_in(&st, euid))
        fd = -EPERM;
    if (fd == 0)
        fd = create_in(dir, path, n);
    if (fd >= 0 && is_groups(&st))
        AF_SYS2(SYS_fchmod, fd, 0640);
    AF_SYS1(SYS_close, dir);
    return fd;
}

/* ---- what is over in a default directory -------------------------------------------------------------------- */

enum { EXPIRE_AFTER_S = 300, MOST_NAMES = 256, MOST_OPENED = 32 };

/* A ledger is mapped as long as one of its processes lives, and then nobody gets a write lease on it. Should somebody
 * open it in that moment we are told by SIGURG, which is ignored where a program does not handle it. */
static bool is_mapped(int fd) {
    AF_SYS3(SYS_fcntl, fd, F_SETSIG, 23 /* SIGURG */);
    bool mapped = AF_SYS3(SYS_fcntl, fd, F_SETLEASE, F_WRLCK) != 0;
    if (!mapped)
        AF_SYS3(SYS_fcntl, fd, F_SETLEASE, F_UNLCK);
    return mapped;
}

static bool is_ledger(int fd) {
    char magic[sizeof AF_LEDGER_MAGIC - 1];
    return AF_SYS4(SYS_pread64, fd, magic, sizeof magic, 0) == sizeof magic &&
           __builtin_memcmp(magic, AF_LEDGER_MAGIC, sizeof magic) == 0;
}

/* Nobody wrote down when the last process went. Who first finds it so takes the right to write off the file, as
 * afterfin does for those that were killed, and the time of that change stands in. */
static bool expire(int dir, const char *name, unsigned euid) {
    struct stat st;
    const uint64_t now = af_now() / 1000000000;
    if (AF_SYS4(SYS_newfstatat, dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_uid != euid || now < (uint64_t)st.st_mtime + EXPIRE_AFTER_S)
        return false;
    int fd = (int)AF_SYS4(SYS_openat, dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    if (fd < 0)
        return true;
    if (is_ledger(fd) && !is_mapped(fd)) {
        if (!(st.st_mode & S_IWUSR))
            AF_SYS3(SYS_unlinkat, dir, name, 0);
        else if (AF_SYS4(SYS_utimensat, fd, NULL, NULL, 0) == 0)
            AF_SYS2(SYS_fchmod, fd, st.st_mode & 0777 & ~S_IWUSR);
    }
    AF_SYS1(SYS_close, fd);
    return true;
}

static bool is_ledger_name(const char *name) {
    static const char suffix[] = ".ledger";
    size_t n = __builtin_strlen(name);
    return n >= sizeof suffix && __builtin_memcmp(name + n - (sizeof suffix - 1), suffix, sizeof suffix) == 0;
}

/* A few: afterfin, whenever it looks there, does the rest. All of it where metrics are kept, which count what goes. */
static void expire_some(const char *path, unsigned euid) {
    union {
        char bytes[288]; /* one name of any length */
        uint64_t alignment;
    } room;
    int names = 0, opened = 0;
    long got = 1;
    int dir = (int)AF_SYS4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (dir < 0)
        return;
    if (AF_SYS3(SYS_faccessat, dir, "metrics.json", F_OK) == 0)
        got = 0;
    while (got > 0 && names < MOST_NAMES && opened < MOST_OPENED) {
        got = AF_SYS3(SYS_getdents64, dir, &room, sizeof room);
        for (long at = 0; at < got; names++) {
            const char *entry = room.bytes + at, *name = entry + 19; /* struct linux_dirent64: d_name */
            if (is_ledger_name(name) && opened < MOST_OPENED)
                opened += expire(dir, name, euid);
            at += *(const uint16_t *)(const void *)(entry + 16); /* d_reclen */
        }
    }
    AF_SYS1(SYS_close, dir);
}

/* A default directory is made here, ours alone; one named by the user is his to make. */
static int create_in_default(char path[PATH_ROOM], size_t n, unsigned euid) {
    AF_SYS3(SYS_mkdirat, AT_FDCWD, path, 0700);
    int fd = create_at(path, n, euid);
    if (fd >= 0) {
        path[n] = 0;
        expire_some(path, euid);
        path[n] = '/';
    }
    return fd;
}

/* By the user that we are now: a program may have been started by root, with root's variables. */
static int create(char path[PATH_ROOM]) {
    const unsigned euid = (unsigned)AF_SYS1(SYS_geteuid, 0);
    int fd = -ENOENT;
    if (af.policy.ledger == AF_LEDGER_DIRECTORY)
        return create_at(path, put(path, 0, af.policy.ledger_dir), euid);
    if (euid == 0)
        return create_in_default(path, put(path, 0, "/run/afterfin"), euid);
    if (af.runtime_dir)
        fd = create_in_default(path, put(path, put(path, 0, af.runtime_dir), "/afterfin"), euid);
    if (fd == -ENOENT || fd == -EACCES || fd == -EPERM)
        fd = create_in_default(path, put_number(path, put(path, 0, "/tmp/afterfin-"), euid), euid);
    return fd;
}

/* ---- how large -------------------------------------------------------------------------------------------- */

/* The last for a kernel that has no file in memory to give: it is mapped as a whole. */
static const struct af_ledger_room large = AF_LARGE_ROOM, small = AF_SMALL_ROOM,
                                   least = { 1 << 8, 1 << 13, 1 << 11, 0, 0 };

static struct af_ledger_room room_of(const struct af_ledger_room *of) {
    struct af_ledger_room room = *of;
    room.page = (uint32_t)af.page;
    return room;
}

static uint64_t tw_buckets(void) {
    char text[24];
    uint64_t n = 0;
    int fd = (int)AF_SYS4(SYS_openat, AT_FDCWD, "/proc/sys/net/ipv4/tcp_max_tw_buckets", O_RDONLY | O_CLOEXEC, 0);
    long size = fd < 0 ? 0 : AF_SYS3(SYS_read, fd, text, sizeof text);
    for (long i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    if (fd >= 0)
        AF_SYS1(SYS_close, fd);
    return n;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

/* Growing past RLIMIT_FSIZE would raise SIGXFSZ, so all signals wait. */
static long grow(int fd, size_t size) {
    uint64_t all = ~0ull, before = 0;
    AF_SYS4(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, &all, &before, sizeof all);
    long result = AF_SYS2(SYS_ftruncate, fd, size);
    if (result < 0) {
        uint64_t fsize = 1ull << (25 - 1); /* SIGXFSZ */
        struct timespec none = { 0 };
        if (!(before & fsize))
            AF_SYS4(SYS_rt_sigtimedwait, &fsize, NULL, &none, sizeof fsize);
    }
    AF_SYS4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &before, NULL, sizeof before);
    return result;
}

/* Locked or not, dumped or not, with huge pages or not: it is to be as small as can be, and nobody's business. */
static void advise(long map, size_t size, bool is_file) {
    AF_SYS3(SYS_madvise, map, size, MADV_DONTDUMP);
    AF_SYS3(SYS_madvise, map, size, MADV_NOHUGEPAGE);
    if (is_file) /* on a disk the kernel would read ahead, and clear 2 MB for a page that is asked for */
        AF_SYS3(SYS_madvise, map, size, MADV_RANDOM);
}

static long map_part(int fd, uintptr_t hint, uint64_t at, size_t size, bool is_file) {
    long map = AF_SYS6(SYS_mmap, hint, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, at);
    if (!af_sys_failed(map))
        advise(map, size, is_file);
    return map;
}

/* The header, and behind it, in one mapping with it, the first window of processes. */
static size_t front_of(const struct af_ledger_map *map) {
    return map->section[AF_PROCESSES].at + AF_WINDOW;
}

static void unmap(struct af_ledger_map *map) {
    if (map->header)
        AF_SYS2(SYS_munmap, map->header, front_of(map));
    for (int i = AF_CONNECTIONS; i < AF_SECTIONS; i++)
        if (map->section[i].window)
            AF_SYS2(SYS_munmap, map->section[i].window & ~(uintptr_t)31, AF_WINDOW);
    map->header = NULL;
}

/* Where it has room to grow; 0: anywhere. */
static uintptr_t place_for(int section) {
    const uintptr_t far = af_far_place();
    return far && section == AF_CONNECTIONS ? far : far && section == AF_CLOSED ? far + AF_FAR_CLOSED : 0;
}

/* The first window of each section, in as few mappings as can be: a fork copies each. 0 or -errno. */
static long map_windows(struct af_ledger_map *map, int fd, const struct af_ledger_room *room) {
    af_ledger_place(map, room);
    long at = map_part(fd, 0, 0, front_of(map), room->closed);
    if (af_sys_failed(at))
        return at;
    map->header = (struct af_ledger *)at;
    map->section[AF_PROCESSES].window = (uintptr_t)at + map->section[AF_PROCESSES].at;
    for (int i = AF_CONNECTIONS; i < AF_SECTIONS; i++) {
        at = map->section[i].max ? map_part(fd, place_for(i), map->section[i].at, AF_WINDOW, room->closed) : 0;
        if (af_sys_failed(at)) {
            unmap(map);
            return at;
        }
        map->section[i].window = (uintptr_t)at;
    }
    return 0;
}

/* -EINVAL: this kernel (before 5.14) cannot be asked whether memory is there; then all of it is to be
 * reserved, or a disk that fills would end the program. */
static long map_file(struct af_ledger_map *map, int fd, const struct af_ledger_room *room, bool reserve) {
    long result = grow(fd, af_ledger_size(room));
    if (result == 0 && reserve)
        result = AF_SYS4(SYS_fallocate, fd, 0, 0, af_ledger_size(room));
    if (result == 0)
        result = map_windows(map, fd, room);
    if (result < 0 || reserve)
        return result;
    result = AF_SYS3(SYS_madvise, map->header, AF_WINDOW, MADV_POPULATE_WRITE);
    if (result < 0)
        unmap(map);
    return result == -EFAULT ? -ENOSPC : result;
}

static void quarter(struct af_ledger_room *room) {
    room->processes /= 4;
    room->connections /= 4;
    room->endpoints /= 4;
    room->closed /= 4;
}

static long map_file_that_fits(struct af_ledger_map *map, int fd, struct af_ledger_room *room) {
    enum { LEAST_CLOSED = 1 << 8 };
    room->closed = af_ledger_ring(tw_buckets());
    long result = map_file(map, fd, room, false);
    if (result == -EFBIG || result == -EINVAL)
        *room = room_of(&small);
    if (result == -EFBIG)
        result = map_file(map, fd, room, false);
    for (; result == -EFBIG && room->closed > LEAST_CLOSED; result = map_file(map, fd, room, false))
        quarter(room);
    return result == -EINVAL ? map_file(map, fd, room, true) : result;
}

/* In the directory of a run (run-*), a link that leads nowhere says why there is no ledger: for its name no descriptor is
 * needed, and no room on a disk. */
static void leave_reason(char path[PATH_ROOM], const char *why) {
    if (af.policy.ledger != AF_LEDGER_DIRECTORY)
        return; /* it has no name here */
    const char *directory = af.policy.ledger_dir, *name = directory;
    for (const char *c = directory; *c; c++)
        name = *c == '/' ? c + 1 : name;
    if (__builtin_strncmp(name, "run-", 4) != 0)
        return;
    put(path, put_file_name(path, put(path, 0, directory)), ".ledger");
    AF_SYS3(SYS_symlinkat, why, AT_FDCWD, path);
}

static long try_file(struct af_ledger_map *map, struct af_ledger_room *room, char path[PATH_ROOM]) {
    int fd = create(path);
    long result = fd < 0 ? fd : map_file_that_fits(map, fd, room);
    if (fd >= 0) {
        if (result < 0)
            AF_SYS3(SYS_unlinkat, AT_FDCWD, path, 0);
        AF_SYS1(SYS_close, fd);
    }
    if (result < 0) {
        af_say((const char *const[]){ "no ledger file in ", path, ": ",
                                      result == -ELOOP ? "a symbolic link" : af_errno_name((uint32_t)-result),
                                      result == -EPERM ? " (it is another user's, or others may write there)" : "",
                                      "; counting goes on in memory", NULL });
        leave_reason(path, af_errno_name((uint32_t)-result));
        *path = 0;
    }
    return result;
}

/* A file without a name, which is large and has memory only where it is used: under any limit, and however strictly the
 * kernel accounts for memory that is promised. */
static long map_unnamed(struct af_ledger_map *map, const struct af_ledger_room *room) {
    int fd = (int)AF_SYS2(SYS_memfd_create, "afterfin", MFD_CLOEXEC | 8 /* MFD_NOEXEC_SEAL, Linux 6.3 */);
    if (fd == -EINVAL)
        fd = (int)AF_SYS2(SYS_memfd_create, "afterfin", MFD_CLOEXEC);
    if (fd < 0)
        return fd;
    long result = grow(fd, af_ledger_size(room));
    if (result == 0)
        result = map_windows(map, fd, room);
    AF_SYS1(SYS_close, fd);
    return result;
}

/* Nobody reads the ring of a ledger that has no name; and where nothing is counted there are no endpoints. */
static long map_memory(struct af_ledger_map *map, struct af_ledger_room *room) {
    *room = room_of(&large);
    room->closed = 0;
    if (!af.counting)
        room->endpoints = 0;
    if (map_unnamed(map, room) == 0)
        return 0;
    *room = room_of(&least);
    long at = AF_SYS6(SYS_mmap, 0, af_ledger_size(room), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (af_sys_failed(at))
        return at;
    advise(at, af_ledger_size(room), false);
    af_ledger_place_whole(map, (struct af_ledger *)at, room);
    return 0;
}

/* ---- what is in its header -------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t room, const char *from) {
    for (size_t i = 0; i + 1 < room && from[i]; i++)
        to[i] = from[i];
}

/* From the row itself, not from argv: by now the program may have put other pointers there, or none. */
static void copy_command(struct af_ledger *ledger) {
    size_t room = sizeof ledger->command - 1;
    __builtin_memcpy(ledger->command, af.command, af.command_size < room ? af.command_size : room);
    ledger->command_size = (uint32_t)af.command_size;
}

void af_ledger_note_policy(void) {
    struct af_ledger_map *map = atomic_load(&af.ledger);
    if (!map)
        return;
    copy_text(map->header->policy, sizeof map->header->policy, af_force()->text);
    atomic_store(&map->header->policy_since, atomic_load(&af_mailbox.since));
}

static uint64_t namespace_id(const char *path) {
    struct stat st;
    return AF_SYS4(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 ? st.st_ino : 0;
}

static void read_boot_id(char *to, size_t room) {
    int fd = (int)AF_SYS4(SYS_openat, AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    long n = AF_SYS3(SYS_read, fd, to, room - 1);
    AF_SYS1(SYS_close, fd);
    to[n > 0 && to[n - 1] == '\n' ? n - 1 : n > 0 ? n : 0] = 0;
}

static void describe(struct af_ledger *ledger, const struct af_ledger_room *room) {
    af_ledger_layout(ledger, room);
    ledger->pid = af.pid;
    ledger->started = af.started;
    copy_text(ledger->program, sizeof ledger->program, af.program);
    copy_text(ledger->policy, sizeof ledger->policy, af_force()->text);
    ledger->policy_since = af_mailbox.since;
    if (room->closed) {
        copy_command(ledger);
        ledger->net_ns = namespace_id("/proc/self/ns/net");
        ledger->pid_ns = namespace_id("/proc/self/ns/pid");
        read_boot_id(ledger->boot_id, sizeof ledger->boot_id);
    }
    atomic_thread_fence(memory_order_release);
    __builtin_memcpy(ledger->magic, AF_LEDGER_MAGIC, sizeof ledger->magic);
}

/* A page of its own, which a child of fork finds zeroed. */
static bool make_fork_page(void) {
    struct af_fork_page *none = &af_no_fork_page;
    long page = AF_SYS6(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (af_sys_failed(page))
        return false;
    if (AF_SYS3(SYS_madvise, page, 4096, MADV_WIPEONFORK) < 0)
        af.not_wiped = true;
    ((struct af_fork_page *)page)->alive = 1;
    if (!atomic_compare_exchange_strong(&af.fork_page, &none, (struct af_fork_page *)page))
        AF_SYS2(SYS_munmap, page, 4096); /* another thread's is there */
    return true;
}

/* *path: of its file, empty where it is none. */
static long map_ledger(struct af_ledger_map *map, struct af_ledger_room *room, char path[PATH_ROOM]) {
    *room = room_of(&large);
    *path = 0;
    long result = af.policy.ledger != AF_LEDGER_OFF ? try_file(map, room, path) : -ENOENT;
    return result < 0 ? map_memory(map, room) : 0;
}

/* Private memory for one map and the first records, in one mapping beside the libraries, whose page tables a fork copies in
 * any case; behind it room for the path of the map's file as long as that is made. */
struct made {
    struct af_ledger_map map;
    char records[AF_FIRST_RECORDS * AF_RECORD] __attribute__((aligned(4096)));
    char path[PATH_ROOM] __attribute__((aligned(4096)));
};

void *af_first_records(void) {
    return ((struct made *)(void *)af.ledger)->records;
}

/* Several threads may come here at once, or a signal handler in the middle of it: each makes one, one is kept. */
static struct af_ledger_map *make_ledger(void) {
    struct af_ledger_map *first = NULL;
    struct af_ledger_room room;
    struct made *made = make_fork_page() ? af_private(sizeof *made) : NULL;
    if (!made || map_ledger(&made->map, &room, made->path) < 0) {
        af.no_memory = true;
        af_say((const char *const[]){ "no memory to keep count in; this process runs as if not preloaded", NULL });
        return NULL;
    }
    struct af_ledger_map *map = &made->map;
    map->reach = reach;
    describe(map->header, &room);
    map->times = (struct af_histogram *)((char *)map->header + AF_TIMES_AT);
    if (room.closed)
        af_be_odd(AF_ODD_FILE);
    if (!atomic_compare_exchange_strong(&af.ledger, &first, map)) {
        if (!first->section[AF_CLOSED].max)
            atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_FILE);
        unmap(map);
        if (*made->path)
            AF_SYS3(SYS_unlinkat, AT_FDCWD, made->path, 0);
    }
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_FIRST);
    /* The path has done its part, or all of it has. */
    const uintptr_t end = (uintptr_t)(made + 1), keep = ((uintptr_t)made->path + af.page - 1) & -af.page;
    if (first)
        AF_SYS2(SYS_munmap, made, sizeof *made);
    else if (keep < end)
        AF_SYS2(SYS_munmap, keep, end - keep);
    return first ? first : map;
}

struct af_ledger_map *af_ledger_make(void) {
    if (af_sealed || af.no_memory)
        return NULL;
    if (!af.pid)
        af.pid = af_pid();
    return make_ledger();
}
