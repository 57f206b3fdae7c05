/* What doctor finds out, on its way to columns, JSON and a sysctl.d fragment.
 *
 *   machine.c   facts of the kernel             settings.c  what they mean: doctor_settings.def
 *   needs.c     what of it each policy needs    program.c   can PROGRAM be reached, through what
 *   libraries.c the libraries it will load      process.c   is the library in process N
 *   namespace.c a network namespace of its own
 *   set.c       by which way set would reach it
 *   print.c print_program.c json.c  what is told
 *
 * Strings are from malloc and belong to the struct that they are in, unless they are const. */
#ifndef AFTERFIN_CLI_DOCTOR_DOCTOR_H
#define AFTERFIN_CLI_DOCTOR_DOCTOR_H

#include "cli/elf/elf.h"
#include "cli/kernel/diag.h"
#include "cli/kernel/ports.h"
#include "cli/launch/reach.h"

#include <sys/types.h>

enum af_level { AF_OK, AF_NOTE, AF_ADVICE, AF_PROBLEM };
const char *af_level_name(enum af_level level);

/* ---- the machine ------------------------------------------------------------------------------------------- */

enum af_sysctl {
#define SETTING(name, directory, unit) AF_SYSCTL_##name,
#include "cli/doctor/settings.def"
#undef SETTING
    AF_SYSCTLS
};

/* One row of doctor_settings.def. */
struct af_sysctl_info {
    const char *name; /* "net.ipv4.tcp_tw_reuse" */
    const char *unit;
};
extern const struct af_sysctl_info af_sysctls[AF_SYSCTLS];

struct af_finding {
    enum af_level level;
    char *why; /* one sentence; NULL: nothing to be said */
    char *set; /* the value to give it, or NULL */
};

struct af_machine {
    char release[65];
    char *values[AF_SYSCTLS];              /* NULL: not there, or not to be read */
    int errors[AF_SYSCTLS];                /* errno: why */
    struct af_ephemeral ephemeral;         /* the range, and what of it is not reserved */
    unsigned unprivileged;                 /* ip_unprivileged_port_start */
    struct af_port_set reserved, listened; /* listened on by TCP; outside the range, by UDP too */
    uint64_t memory;                       /* bytes */
    int64_t time_wait, overflow;           /* now; never made, since this network namespace began. -1: unknown */
    uint32_t accepted;                     /* of those TIME_WAITs, on ports that are listened on */
    struct af_destination *destinations;   /* fullest first */
    size_t n_destinations;
    bool none_left;              /* nearly all of the range is taken by one, and no connect to anywhere finds a port */
    int dump_error;              /* -errno: no destinations, no listeners */
    int64_t conntrack;           /* entries; -1: there is no conntrack */
    int64_t conntrack_time_wait; /* of them; -1: not ours to read */
    int net_ns_own;              /* 1: not the initial network namespace, but a container's or the like; -1: unknown */
    int buckets_error;           /* errno of who would set tcp_max_tw_buckets; 0: it may be set */
    struct af_finding findings[AF_SYSCTLS];
};

void af_machine_read(struct af_machine *machine);
void af_machine_free(struct af_machine *machine);

/* namespace.c: fills in the two of it. */
void af_machine_read_namespace(struct af_machine *machine);
/* The first number of a value; -1: there is none. */
int64_t af_machine_number(const struct af_machine *machine, enum af_sysctl which);
/* Of its ports, those that a new connection cannot take over. */
uint32_t af_machine_held(const struct af_machine *machine, const struct af_destination *destination);
/* AF_ADVICE: half of the range is held, where connect gets slow; AF_PROBLEM: nine tenths. */
enum af_level af_machine_filling(const struct af_machine *machine, const struct af_destination *destination);
/* Fill in the findings; also for facts that were not read but made up. */
void af_machine_judge(struct af_machine *machine);

/* What a policy, or a subcommand, needs of the kernel. */
struct af_need {
    const char *name;    /* "linger"; "reap" */
    const char *needs;   /* "TCP_LINGER2" */
    const char *since;   /* "2.4": Linux of that version, or NULL */
    int error;           /* what came of trying it: 0, or -errno */
    const char *without; /* what then comes of the policy */
};
/* The policies that need anything, in the order of keys.def; then subcommands. Returns how many. */
enum { AF_NEEDS_ROOM = 32 };
size_t af_needs_policies(struct af_need out[AF_NEEDS_ROOM]);
size_t af_needs_commands(struct af_need out[AF_NEEDS_ROOM]);

/* One row of doctor_myths.def. */
struct af_myth {
    const char *name, *why;
};
extern const struct af_myth af_myths[];
extern const size_t af_n_myths;

/* ---- a program ---------------------------------------------------------------------------------------------- */

/* A library that a program loads at its start; libc's own are left out. */
struct af_library {
    char *name; /* as it is asked for */
    char *path; /* NULL: not found */
};
/* Of the program at `path`, and of those libraries in turn, in ld.so(8)'s order. Returns how many; *out is from
 * malloc, as are the strings. */
size_t af_libraries(const char *path, struct af_library **out);

/* A file that imports calls which the library replaces. */
struct af_through {
    char *path;
    const char **calls; /* those by which a connection comes to be first */
    size_t n_calls, n_opening;
};

/* What passes the library by, and in which file: what that opens with RTLD_DEEPBIND by a bare name (it has a search
 * path of its own); what it opens in another namespace; what it opens itself, by a libc in it, or in Go. */
struct af_past {
    char *path;
    enum af_past_by { AF_BY_DEEPBIND, AF_BY_DLMOPEN, AF_BY_KERNEL } by;
};

enum af_reached {
    AF_REACHED,
    AF_FROM_OUTSIDE, /* nothing can be preloaded into it; run's supervisor treats its sockets */
    AF_ONLY_LOADED,  /* the library is loaded, but what the program does by itself goes past it */
    AF_NOT_REACHED
};

struct af_program {
    const char *name; /* as given */
    struct af_reach reach;
    enum af_reached reached;
    char *why;           /* of all but AF_REACHED: one line */
    const char *library; /* the one that fits it, of 64 or of 32 bits; NULL: none is loaded, or it was not found */
    const char *kind;    /* "elf", "script" or "other" (what execvp hands to /bin/sh); NULL: no program */
    const char *libc;    /* "glibc", "musl", "other"; NULL: none, or not known */
    struct af_elf elf;   /* of the last file; class 0: that is no ELF file */
    struct af_elf_code code;
    bool setuid, setgid, capabilities;
    bool loads_later, io_uring; /* imports dlopen; io_uring's functions */
    struct af_through *through; /* the program's own first, wherever it imports any */
    size_t n_through;
    struct af_past *past;
    size_t n_past;
    struct af_library *libraries;
    size_t n_libraries;
};

/* `command` is looked for with this PATH, as af_reach does. */
void af_program_read(const char *command, const char *path, struct af_program *out);
void af_program_free(struct af_program *program);
/* Does it, or a library of it, take any call from libc by which a connection comes to be? */
bool af_program_opens(const struct af_program *program);

/* ---- a process ---------------------------------------------------------------------------------------------- */

enum af_set_way { AF_SET_NOT, AF_SET_OUTSIDE, AF_SET_LIBRARY }; /* by which `afterfin set` would reach it */

struct af_process_seen {
    pid_t pid;
    bool inside;       /* the library is mapped, and its settings can be in force */
    bool supervised;   /* the library cannot be in it, and run's supervisor treats its sockets */
    char *why;         /* not inside, or not ours to look into: one line */
    char *program;     /* as only and skip have it; NULL: not ours to look into */
    char *library;     /* the file that is mapped, or NULL */
    bool deleted;      /* it is not there any more */
    char *preload;     /* LD_PRELOAD at its start, or NULL */
    char *environment; /* settings point into it */
    char **settings;   /* "AFTERFIN_...=...", as at its start; NULL-terminated */
    size_t n_settings;
    char *told;                /* the same from the library in it, which the settings point into then, or NULL */
    bool awake;                /* the library in it says that it is at work, whatever may be seen of its settings */
    bool open, forbids;        /* ... and that it takes a letter from set; that it never will */
    char *complaint;           /* what the parser says of them, or NULL */
    bool skipped;              /* by only or skip */
    bool keeps_ledger;         /* as its settings have it */
    char *ledger;              /* its file, or NULL */
    char *policy;              /* which policy that says */
    bool sealed;               /* it says that the process has installed a seccomp filter */
    uint64_t net_ns;           /* where it is, if not in our network namespace; else 0 */
    int seccomp, no_new_privs; /* of /proc/N/status; -1: unknown */
    enum af_set_way set_way;
    char *set_why;                 /* AF_SET_NOT: one line */
    size_t listening, connections; /* its TCP sockets; 0 where it cannot be reached */
    char *in_force;                /* policies that the library in it says are in force, or NULL */
    uint64_t policy_since;         /* ns since 1970; 0: from its start */
};

void af_process_read(pid_t pid, struct af_process_seen *out);
/* set.c: asks the library in it what is in force; and fills what set would do. */
void af_process_ask(struct af_process_seen *process);
void af_process_set_way(struct af_process_seen *process);
void af_process_free(struct af_process_seen *process);

/* ---- what is told --------------------------------------------------------------------------------------------- */

struct af_doctor {
    struct af_machine machine;
    struct af_need policies[AF_NEEDS_ROOM], commands[AF_NEEDS_ROOM];
    size_t n_policies, n_commands;
    const struct af_program *program;      /* or NULL */
    const struct af_process_seen *process; /* or NULL */
};

/* Columns, on stdout. Beside a program or a process, of the machine only what is amiss. */
void af_doctor_print(const struct af_doctor *doctor);
/* The sysctl.d fragment, from malloc. */
char *af_doctor_sysctl(const struct af_machine *machine);
/* JSON to stdout, or to a file. False: it has been said why. */
bool af_doctor_write_json(const struct af_doctor *doctor, const char *path);

#endif
