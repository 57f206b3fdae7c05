/* Where a policy is put for a process that runs and has the library: `afterfin set` finds it by its note, and writes to
 * it with process_vm_writev(2), so that the kernel alone decides who may. The library reads it at its next call. */
#ifndef AFTERFIN_POLICY_MAILBOX_H
#define AFTERFIN_POLICY_MAILBOX_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The note (PT_NOTE) in the library whose content, an int32_t, is the distance from itself to the mailbox. */
#define AF_MAILBOX_OWNER "afterfin"
enum { AF_MAILBOX_NOTE = 1 };
enum { AF_MAILBOX_VERSION = 2, AF_LETTER_ROOM = 8000 };

enum af_mailbox_state {
    AF_MAILBOX_ASLEEP, /* no setting at the start, or one that leaves this program alone: nothing is ever read */
    AF_MAILBOX_OPEN,
    AF_MAILBOX_CLOSED, /* AFTERFIN_SET=off */
    AF_MAILBOX_SEALED, /* the program has a seccomp filter: the library does nothing more */
};

/* A letter is settings as in an environment, "AFTERFIN_NAME=VALUE", each ended by a NUL: all policies that are to be in
 * force. Whoever writes sets `posted` to 0, writes the letter, then its serial number, never 0, to `posted`, and rings.
 *
 * Where nobody reads it, `afterfin set` changes the sockets from outside, one after the other: it names the descriptor in
 * `at_work`, and then looks whether the letter is still unread, and the descriptor in the library's table. The library says
 * that it reads, or takes the descriptor out of its table, and then waits as long as that one is at work. So whoever counts
 * an end comes last, and knows what is on the socket. */
struct af_mailbox {
    _Atomic uint32_t posted; /* 0: there is nothing */
    _Atomic uint32_t taken;  /* serial of the last letter that came into force */
    _Atomic uint32_t refused;
    _Atomic uint32_t state; /* enum af_mailbox_state */
    uint32_t version, size; /* of this struct */
    _Atomic uint64_t since; /* CLOCK_REALTIME, ns: when it came into force; 0: from the start */
    _Atomic uint64_t text;  /* address of the settings in force, as in a letter */
    _Atomic uint32_t text_size;
    uint32_t letter_size;
    uint64_t sum;  /* af_letter_sum of the letter: torn ones are not believed */
    uint64_t bell; /* address of a byte that is to be made 1 then: the library's hooks look at nothing else */
    _Atomic uint32_t reading; /* not 0: it is being read, or the process is in exec */
    _Atomic uint32_t at_work; /* descriptor + 1; 0: none */
    uint64_t low, top;        /* addresses of the library's table (shim/track.c) */
    uint32_t n_low, pointer;  /* entries of the first; bytes of an entry */
    char spare[32];
    char letter[AF_LETTER_ROOM];
};
_Static_assert(offsetof(struct af_mailbox, letter) == 128 && sizeof(struct af_mailbox) == 128 + AF_LETTER_ROOM,
               "the format");

/* FNV-1a. */
static inline uint64_t af_letter_sum(const char *letter, uint32_t size, uint32_t serial) {
    uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ serial;
    for (uint32_t i = 0; i < size; i++)
        sum = (sum ^ (uint8_t)letter[i]) * UINT64_C(0x100000001b3);
    return sum;
}

#endif
