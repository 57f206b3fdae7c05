/* See fabricate.h. */
#include "tests/harness/fabricate.h"
#include "ledger/reader.h"
#include "tests/harness/harness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool always(struct af_ledger_map *map, enum af_section_of section, uint32_t index) {
    return af_section_reached(map, section, index);
}

struct af_ledger_map made_map_of(struct af_ledger *ledger, const struct af_ledger_room *room) {
    struct af_ledger_map map = { .reach = always };
    af_ledger_place_whole(&map, ledger, room);
    return map;
}

struct af_ledger_map *made_map(struct af_ledger *ledger) {
    static const struct af_ledger_room whole = AF_LARGE_ROOM;
    struct af_ledger_map *map = calloc(1, sizeof *map);
    *map = made_map_of(ledger, &whole);
    return map;
}

const char *new_directory(void) {
    const char *path = scratch_path();
    cr_assert_eq(mkdir(path, 0700), 0, "%s", path);
    return path;
}

/* What was built there is still to be found. */
static bool own_tmp(void) {
    return strncmp(library_path(), "/tmp/", 5) == 0 || mount("none", "/tmp", "tmpfs", 0, "mode=1777") == 0;
}

const char *own_default(void) {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/run", "tmpfs", 0, "mode=755") != 0 || !own_tmp())
        cr_skip_test("no mount namespace");
    cr_assert_eq(mkdir("/run/afterfin", 0700), 0);
    return "/run/afterfin";
}

static uint64_t namespace_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static const struct af_ledger_room large = AF_LARGE_ROOM;

struct af_ledger *make_ledger(const char *directory, const char *name) {
    char path[512];
    const size_t size = af_ledger_size(&large);
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(ftruncate(fd, (off_t)size), 0);
    struct af_ledger *ledger = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq(ledger, MAP_FAILED);
    close(fd);
    af_ledger_layout(ledger, &large);
    memcpy(ledger->magic, AF_LEDGER_MAGIC, sizeof ledger->magic);
    af_boot_id(ledger->boot_id);
    ledger->pid = getpid();
    ledger->started = 1000;
    ledger->net_ns = namespace_of("/proc/self/ns/net");
    ledger->pid_ns = namespace_of("/proc/self/ns/pid");
    strcpy(ledger->program, "made");
    memcpy(ledger->command, "made\0--up\0", 10);
    ledger->command_size = 10;
    strcpy(ledger->policy, "linger=off");
    return ledger;
}

uint32_t make_process(struct af_ledger *ledger, int32_t pid) {
    bool shared;
    uint32_t slot = af_ledger_claim_process(made_map(ledger), &shared);
    struct af_process *p = af_ledger_process(made_map(ledger), slot);
    p->pid = pid;
    p->ppid = 1;
    p->started = 1000 + slot;
    p->ended = AF_EXITED;
    p->ended_at = 2000;
    p->used = 2;
    return slot;
}

void make_count(struct af_ledger *ledger, uint32_t slot, enum af_counter counter, uint64_t n) {
    af_ledger_process(made_map(ledger), slot)->count[counter] += n;
}

const struct af_addr made_peer = { .ip = { 10, 0, 0, 5 }, .port = 443 };

void make_closed(struct af_ledger *ledger, uint64_t cookie, uint64_t at, uint32_t slot, uint32_t owner,
                 enum af_ending counted) {
    const struct af_closed closed = {
        .cookie = cookie, .at = at, .slot = slot, .owner = owner, .peer = made_peer, .counted = (uint8_t)counted
    };
    af_ledger_append(made_map(ledger), &closed);
}
