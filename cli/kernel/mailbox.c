/* See mailbox.h. The library's own program headers, in the process's memory, lead to the mailbox: its file may be
 * deleted, or be another one by now. */
#include "cli/kernel/mailbox.h"
#include "cli/output/memory.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define LIBRARY "/libafterfin.so"
#define DELETED " (deleted)"
enum { HEADERS = 32, NOTES = 1024, MOST_TEXT = 1 << 17 };

/* ---- memory of another process -------------------------------------------------------------------------------- */

/* Through /proc/PID/mem, which the kernel opens for whoever it lets trace (PTRACE_MODE_ATTACH), and which stays the memory
 * of that very image, whatever the process executes meanwhile, or whoever has its number then. All of it, or -errno. */
static int copy_from(int memory, uint64_t at, void *to, size_t size) {
    const ssize_t got = pread(memory, to, size, (off_t)at);
    return got < 0 ? -errno : (size_t)got == size ? 0 : -EFAULT;
}

static int copy_to(int memory, uint64_t at, const void *from, size_t size) {
    const ssize_t got = pwrite(memory, from, size, (off_t)at);
    return got < 0 ? -errno : (size_t)got == size ? 0 : -EFAULT;
}

/* Of so many bytes, 2, 4 or 8, as that process has it. */
static uint64_t number(const char *at, unsigned size) {
    uint16_t half;
    uint32_t word;
    uint64_t whole;
    if (size == sizeof half)
        return memcpy(&half, at, sizeof half), half;
    if (size == sizeof word)
        return memcpy(&word, at, sizeof word), word;
    return memcpy(&whole, at, sizeof whole), whole;
}

/* ---- where the mailbox is ------------------------------------------------------------------------------------- */

/* Where the beginning of the library's file is mapped; 0: nowhere. */
static uint64_t base_in(FILE *maps) {
    char line[4096 + 128];
    while (fgets(line, sizeof line, maps)) {
        unsigned long long start, offset;
        char *path = strchr(line, '/');
        if (!path || sscanf(line, "%llx-%*x %*s %llx", &start, &offset) != 2 || offset)
            continue;
        path[strcspn(path, "\n")] = 0;
        size_t len = strlen(path), cut = strlen(DELETED);
        if (len > cut && strcmp(path + len - cut, DELETED) == 0)
            path[len -= cut] = 0;
        if (len >= strlen(LIBRARY) && strcmp(path + len - strlen(LIBRARY), LIBRARY) == 0)
            return start;
    }
    return 0;
}

/* The content of our note among these, as an offset; -1: it is not there. */
static long find_note(const char *notes, size_t size) {
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= size;) {
        Elf64_Nhdr note;
        memcpy(&note, notes + at, sizeof note);
        if (note.n_namesz > size || note.n_descsz > size)
            return -1;
        const size_t name = at + sizeof note, content = name + (note.n_namesz + 3u) / 4 * 4;
        if (content + sizeof(int32_t) <= size && note.n_type == AF_MAILBOX_NOTE &&
            note.n_namesz == sizeof AF_MAILBOX_OWNER && memcmp(notes + name, AF_MAILBOX_OWNER, note.n_namesz) == 0)
            return (long)content;
        at = content + (note.n_descsz + 3u) / 4 * 4;
    }
    return -1;
}

static int look_in(int memory, uint64_t address, uint64_t length, uint64_t *at) {
    char notes[NOTES];
    int32_t distance;
    const size_t size = length < sizeof notes ? length : sizeof notes;
    const int error = copy_from(memory, address, notes, size);
    const long content = error ? -1 : find_note(notes, size);
    if (content < 0)
        return error;
    memcpy(&distance, notes + content, sizeof distance);
    *at = address + (uint64_t)content + (uint64_t)(int64_t)distance;
    return 0;
}

/* Where in the headers of a program of 32 bits, or of 64, what is asked for lies. */
static const struct format {
    unsigned word, table, size, n, address, length;
} formats[] = {
#define FORMAT(BITS) \
    { \
        sizeof(Elf##BITS##_Addr), offsetof(Elf##BITS##_Ehdr, e_phoff), offsetof(Elf##BITS##_Ehdr, e_phentsize), \
            offsetof(Elf##BITS##_Ehdr, e_phnum), offsetof(Elf##BITS##_Phdr, p_vaddr), \
            offsetof(Elf##BITS##_Phdr, p_memsz) \
    }
    FORMAT(32),
    FORMAT(64),
};

static int find_mailbox(int memory, uint64_t base, uint64_t *at) {
    char elf[sizeof(Elf64_Ehdr)], header[sizeof(Elf64_Phdr)];
    int error = copy_from(memory, base, elf, sizeof elf);
    if (error || memcmp(elf, ELFMAG, SELFMAG) != 0)
        return error;
    const struct format *f = &formats[elf[EI_CLASS] == ELFCLASS64];
    const uint64_t table = base + number(elf + f->table, f->word), size = number(elf + f->size, 2),
                   n = number(elf + f->n, 2);
    for (size_t i = 0; i < n && i < HEADERS && size <= sizeof header && !error && !*at; i++) {
        error = copy_from(memory, table + i * size, header, size);
        if (!error && number(header, sizeof(Elf64_Word)) == PT_NOTE) /* p_type comes first in both */
            error = look_in(memory, base + number(header + f->address, f->word), number(header + f->length, f->word),
                            at);
    }
    return error;
}

/* ---- what is in it -------------------------------------------------------------------------------------------- */

static int read_box(int memory, struct af_inside *out) {
    struct {
        uint32_t posted, taken, refused, state, version, size;
        uint64_t since, text;
        uint32_t text_size, letter_size;
        uint64_t sum, bell;
        uint32_t reading, at_work;
        uint64_t low, top;
        uint32_t n_low, pointer;
    } box; /* as struct af_mailbox has them */
    _Static_assert(offsetof(struct af_mailbox, pointer) == offsetof(__typeof__(box), pointer), "the format");
    int error = copy_from(memory, out->at, &box, sizeof box);
    if (error)
        return error;
    if (box.version != AF_MAILBOX_VERSION) { /* 0: asleep; else of a format to come */
        out->at = box.version ? 0 : out->at;
        out->state = AF_MAILBOX_ASLEEP;
        return 0;
    }
    out->posted = box.posted;
    out->bell = box.bell;
    out->low = box.low;
    out->top = box.top;
    out->n_low = box.n_low;
    out->pointer = box.pointer;
    out->taken = box.taken;
    out->refused = box.refused;
    out->state = box.state;
    out->since = box.since;
    out->size = box.text_size < MOST_TEXT ? box.text_size : MOST_TEXT;
    out->text = af_array(NULL, out->size + 1, 1);
    error = out->size ? copy_from(memory, box.text, out->text, out->size) : 0;
    out->text[error ? 0 : out->size] = 0;
    out->size = error ? 0 : out->size;
    return error;
}

int af_inside_read(pid_t pid, struct af_inside *out) {
    char path[64];
    *out = (struct af_inside){ .memory = -1 };
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    out->memory = open(path, O_RDWR | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = out->memory < 0 ? NULL : fopen(path, "re");
    if (!maps)
        return errno == ENOENT ? -ESRCH : -errno;
    const uint64_t base = base_in(maps);
    fclose(maps);
    out->there = base != 0;
    const int error = base ? find_mailbox(out->memory, base, &out->at) : 0;
    return error || !out->at ? error : read_box(out->memory, out);
}

int af_inside_look_again(struct af_inside *inside) {
    free(inside->text);
    inside->text = NULL;
    return inside->at ? read_box(inside->memory, inside) : 0;
}

void af_inside_free(struct af_inside *inside) {
    if (inside->memory >= 0)
        close(inside->memory);
    free(inside->text);
    *inside = (struct af_inside){ .memory = -1 };
}

int af_inside_post(const struct af_inside *inside, const char *letter, uint32_t size, uint32_t *serial) {
    const uint32_t none = 0;
    do /* of two who write at once the sum fits one serial */
        if (getrandom(serial, sizeof *serial, 0) != sizeof *serial)
            return -EIO;
    while (!*serial || *serial == inside->taken || *serial == inside->refused);
    const uint64_t sum = af_letter_sum(letter, size, *serial);
    int error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, posted), &none, sizeof none);
    if (!error)
        error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, letter_size), &size, sizeof size);
    if (!error)
        error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, sum), &sum, sizeof sum);
    if (!error)
        error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, letter), letter, size);
    if (!error)
        error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, posted), serial, sizeof *serial);
    if (!error)
        error = copy_to(inside->memory, inside->bell, &(const uint8_t){ 1 }, 1);
    return error;
}

/* ---- one socket, from outside --------------------------------------------------------------------------------- */

static uint64_t pointer_at(const struct af_inside *inside, uint64_t table, unsigned at) {
    char pointer[sizeof(uint64_t)];
    if ((inside->pointer != sizeof(uint32_t) && inside->pointer != sizeof pointer) ||
        copy_from(inside->memory, table + (uint64_t)at * inside->pointer, pointer, inside->pointer) != 0)
        return 0;
    return number(pointer, inside->pointer);
}

/* As af_leaf_of in shim/shim.h. */
static bool is_known(const struct af_inside *inside, unsigned fd) {
    if (fd < inside->n_low)
        return pointer_at(inside, inside->low, fd) != 0;
    const uint64_t middle = pointer_at(inside, inside->top, fd >> 20);
    const uint64_t leaf = middle ? pointer_at(inside, middle, fd >> 10 & 1023) : 0;
    return leaf && pointer_at(inside, leaf, fd & 1023) != 0;
}

static int put_to_work(const struct af_inside *inside, uint32_t at_work) {
    const int error = copy_to(inside->memory, inside->at + offsetof(struct af_mailbox, at_work), &at_work,
                              sizeof at_work);
    atomic_thread_fence(memory_order_seq_cst); /* what is read now is of later */
    return error;
}

enum af_claim af_inside_claim(const struct af_inside *inside, uint32_t serial, int fd) {
    uint32_t posted = 0, reading = 0;
    if (put_to_work(inside, (uint32_t)fd + 1) != 0 ||
        copy_from(inside->memory, inside->at + offsetof(struct af_mailbox, posted), &posted, sizeof posted) != 0 ||
        copy_from(inside->memory, inside->at + offsetof(struct af_mailbox, reading), &reading, sizeof reading) != 0)
        return AF_CLAIM_GONE;
    if (posted == serial && !reading)
        return is_known(inside, (unsigned)fd) ? AF_CLAIM_OURS : AF_CLAIM_UNKNOWN;
    put_to_work(inside, 0);
    return AF_CLAIM_READS;
}

void af_inside_release(const struct af_inside *inside) {
    put_to_work(inside, 0);
}
