/* Another policy while the program runs: takes a letter out of the mailbox (policy/mailbox.h) and brings what is open to
 * it. */
#include "shim/line.h"
#include "shim/shim.h"

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
    af_mailbox.low = (uintptr_t)af_low;
    af_mailbox.top = (uintptr_t)af_high;
    af_mailbox.n_low = AF_LOW;
    af_mailbox.pointer = sizeof af_low[0];
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
    given.room = given.size ? af_lasting_room(given.size) : NULL;
    const bool good = (given.room || !given.size) && af_policy_parse(&t->policy, t->settings, &given, &t->error);
    if (!good)
        af_give_back(given.room, given.size);
    return good;
}

/* ---- who else is at work at it -------------------------------------------------------------------------------- */

static _Atomic uint32_t enforced;               /* descriptor + 1 that the policy is being brought onto; 0: none */
static _Thread_local volatile uint8_t enforces; /* this thread does it */

static bool is_at_work(uint32_t fd1) {
    return atomic_load(&af_mailbox.at_work) == fd1 || (atomic_load(&enforced) == fd1 && !enforces);
}

/* Microseconds, unless whoever it is gets no processor; a `set` that was killed or stopped just then is waited for once. */
void af_wait_for_change(int fd) {
    enum { MOST_MS = 1000 };
    uint32_t fd1 = (uint32_t)fd + 1;
    int ms = 0;
    for (; ms < MOST_MS && is_at_work(fd1) && !af_sealed; ms++)
        af_poll(NULL, 0, 1);
    if (ms == MOST_MS)
        atomic_compare_exchange_strong(&af_mailbox.at_work, &fd1, 0);
}

static void enforce(int fd, struct af_socket *conn, void *context) {
    (void)context;
    if (!af_pin(fd, conn))
        return;
    atomic_store(&enforced, (uint32_t)fd + 1);
    if (af_is_at(fd, conn)) { /* else who has let go of it does it himself */
        af_wait_for_change(fd);
        af_enforce(fd, conn);
    }
    atomic_store(&enforced, 0);
    af_unpin(conn);
}

static void bring_into_force(struct taken *t, uint32_t serial) {
    t->force.policy = &t->policy;
    t->force.serial = serial;
    t->force.ever = af_force()->ever;
    af_line_policy(&t->force, t->settings);
    af_prepare_policy(&t->force, af_policy_acts(&t->policy));
    atomic_store(&af.force, &t->force); /* af_is_changing by now */
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
    struct taken *t = size <= AF_LETTER_ROOM ? af_lasting_room(sizeof *t + size) : NULL;
    if (!t && size <= AF_LETTER_ROOM)
        return false;
    if (t && copy(t, size, serial) && parse(t)) {
        bring_into_force(t, serial);
    } else {
        atomic_store(&af_mailbox.refused, serial);
        af_give_back(t, sizeof *t + size);
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
    enforces = 1;
    af_be_odd(AF_ODD_CHANGING);
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_MAIL); /* first: what is posted from here on rings again */
    const uint32_t serial = atomic_load(&af_mailbox.posted);
    atomic_store(&af_mailbox.reading, serial);
    const bool taken = !serial || take(serial);
    atomic_store(&af_mailbox.reading, 0);
    if (!taken)
        af_be_odd(AF_ODD_MAIL);
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_CHANGING);
    enforces = 0;
    atomic_store(&reader, 0);
}

/* A thread that was reading is not here; the letter is. That it reads is said before the bell is silent, and until after. */
void af_mailbox_become_child(void) {
    if (atomic_load(&af_mailbox.at_work))
        atomic_store(&af_mailbox.at_work, 0);
    if (!atomic_load(&af_mailbox.reading) && !af_is_odd(AF_ODD_CHANGING))
        return;
    atomic_store(&af_mailbox.reading, 0);
    atomic_store(&enforced, 0);
    atomic_store(&reader, 0);
    enforces = 0;
    atomic_fetch_and(&af.odd, ~(uint32_t)AF_ODD_CHANGING);
    af_be_odd(AF_ODD_MAIL);
}

void af_mailbox_in_exec(bool begins) {
    enum { IN_EXEC = -1 };
    if (af_mailbox.state == AF_MAILBOX_OPEN)
        atomic_store(&af_mailbox.reading, begins ? (uint32_t)IN_EXEC : 0);
}
