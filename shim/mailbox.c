/* Another policy while the program runs: takes a letter out of the mailbox (policy/mailbox.h) and brings what is open to
 * it. */
#include "shim/line.h"
#include "shim/shim.h"

#include <sys/mman.h>

struct af_mailbox af_mailbox __attribute__((aligned(64)));

/* Where it is, for whoever reads our program headers: an exported name would cost every program at its start. */
__asm__(".pushsection .note.afterfin, \"a\", %note\n"
        "    .balign 4\n"
        "    .long 9, 4, 1\n" /* sizes of name and content; AF_MAILBOX_NOTE */
        "    .asciz \"afterfin\"\n"
        "    .balign 4\n"
        "1:  .long af_mailbox - 1b\n"
        "    .popsection");

/* Who is reading, by process: a fork may have copied one in the middle of it, whom nobody will relieve. */
static _Atomic pid_t reader;

void af_mailbox_open(const char *text, size_t size) {
    af_mailbox.version = AF_MAILBOX_VERSION;
    af_mailbox.size = sizeof af_mailbox;
    af_mailbox.bell = (uintptr_t)&af.odd + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 3 : 0);
    af_mailbox.text = (uintptr_t)text;
    af_mailbox.text_size = (uint32_t)size;
    af_mailbox.state = af.policy.closed ? AF_MAILBOX_CLOSED : AF_MAILBOX_OPEN;
}

/* What a letter becomes. It stays as long as the process: a hook may be reading it. */
struct taken {
    struct af_force force;
    struct af_policy policy;
    struct af_error error;
    const char *settings[AF_KEYS + 1];
    uint32_t size;
    char letter[];
};

static void *more(size_t size) {
    long map = AF_SYS6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return af_sys_failed(map) ? NULL : (void *)map;
}

/* False: it is torn, or makes no sense. */
static bool copy(struct taken *to, uint32_t size, uint32_t serial) {
    size_t n = 0;
    __builtin_memcpy(to->letter, af_mailbox.letter, size);
    if (af_letter_sum(to->letter, size, serial) != af_mailbox.sum || (size && to->letter[size - 1]))
        return false;
    to->size = size;
    for (size_t at = 0; at < size; at += __builtin_strlen(to->letter + at) + 1) {
        if (n == AF_KEYS)
            return false;
        to->settings[n++] = to->letter + at;
    }
    return true;
}

static bool parse(struct taken *t) {
    struct af_input given = { .room = NULL }; /* a file of rules has become rules by now */
    given.size = af_policy_room(t->settings, &given);
    given.room = given.size ? more(given.size) : NULL;
    return (given.room || !given.size) && af_policy_parse(&t->policy, t->settings, &given, &t->error);
}

static void enforce(int fd, struct af_socket *conn, void *context) {
    (void)context;
    if (!af_pin(fd, conn))
        return;
    af_enforce(fd, conn);
    af_unpin(conn);
}

static void bring_into_force(struct taken *t, uint32_t serial) {
    t->force.policy = &t->policy;
    t->force.serial = serial;
    t->force.ever = af_force()->ever;
    af_line_policy(&t->force, t->settings);
    af_prepare_policy(&t->force, af_policy_acts(&t->policy));
    atomic_store(&af.force, &t->force);
    af.changes = true;
    af_be_odd(AF_ODD_CONNECTS); /* from now on what was set before is looked at */
    atomic_store(&af_mailbox.since, af_now());
    atomic_store(&af_mailbox.text, (uintptr_t)t->letter);
    atomic_store(&af_mailbox.text_size, t->size);
    af_ledger_note_policy();
    if (af.ledger)
        af_each(0, ~0u, enforce, NULL);
    atomic_store(&af_mailbox.taken, serial); /* whoever waits for this finds all sockets treated */
}

/* False: there is no memory for it now, and it is to be read at the next call. */
static bool take(uint32_t serial) {
    const uint32_t size = af_mailbox.letter_size;
    struct taken *t = size <= AF_LETTER_ROOM ? more(sizeof *t + size) : NULL;
    if (!t && size <= AF_LETTER_ROOM)
        return false;
    if (t && copy(t, size, serial) && parse(t)) {
        bring_into_force(t, serial);
    } else {
        atomic_store(&af_mailbox.refused, serial);
        if (t)
            AF_SYS2(SYS_munmap, t, sizeof *t + size);
    }
    atomic_compare_exchange_strong(&af_mailbox.posted, &serial, 0);
    return true;
}

/* One thread of a process reads; others go on with what is in force, as does a handler that has interrupted it. */
void af_read_mail_now(void) {
    if (af_in_vfork_child())
        return;
    if (af_sealed || af_mailbox.state != AF_MAILBOX_OPEN) {
        atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_MAIL);
        return;
    }
    const pid_t pid = af_pid();
    pid_t was = atomic_load(&reader);
    if (was == pid || !atomic_compare_exchange_strong(&reader, &was, pid))
        return;
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_MAIL); /* first: what is posted from here on rings again */
    const uint32_t serial = atomic_load(&af_mailbox.posted);
    if (serial && !take(serial))
        af_be_odd(AF_ODD_MAIL);
    atomic_store(&reader, 0);
}
