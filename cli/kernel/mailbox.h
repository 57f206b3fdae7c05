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

#endif
