/* The library in a process that runs: which policy is in force there, and another one put in its mailbox. */
#ifndef AFTERFIN_CLI_KERNEL_MAILBOX_H
#define AFTERFIN_CLI_KERNEL_MAILBOX_H

#include "policy/mailbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct af_inside {
    int memory;     /* a descriptor of it */
    bool there;     /* the library is mapped */
    uint64_t at;    /* its mailbox; 0: it has none that this command knows */
    uint32_t state; /* enum af_mailbox_state */
    uint32_t taken, refused, posted;
    uint64_t bell;
    uint64_t low, top; /* its table of descriptors */
    uint32_t n_low, pointer;
    uint64_t since; /* ns since 1970; 0: from the start */
    char *text;     /* the settings in force, each ended by a NUL, and one NUL more; from malloc */
    size_t size;    /* without that */
};

/* 0, or -errno: EACCES, EPERM, ESRCH. Nothing that the process says is believed further than its own text. */
int af_inside_read(pid_t pid, struct af_inside *out);
/* What has become of it: the same fields. */
int af_inside_look_again(struct af_inside *inside);
void af_inside_free(struct af_inside *inside);

/* A letter (mailbox.h) of at most AF_LETTER_ROOM bytes; *serial is how it is called. 0, or -errno. */
int af_inside_post(const struct af_inside *inside, const char *letter, uint32_t size, uint32_t *serial);

enum af_claim {
    AF_CLAIM_OURS,    /* whoever lets go of it, or reads the letter, waits until af_inside_release */
    AF_CLAIM_UNKNOWN, /* the same; but the library does not know it, or is about to close it */
    AF_CLAIM_READS,   /* it reads its letter, has read it, or executes: nothing is claimed */
    AF_CLAIM_GONE,    /* that image of the process has gone, and the letter with it */
};
/* May the socket at its descriptor be changed from outside, while that letter is unread? */
enum af_claim af_inside_claim(const struct af_inside *inside, uint32_t serial, int fd);
void af_inside_release(const struct af_inside *inside);

#endif
