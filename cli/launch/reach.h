/* Can the library be preloaded into CMD at all? */
#ifndef AFTERFIN_CLI_LAUNCH_REACH_H
#define AFTERFIN_CLI_LAUNCH_REACH_H

#include <stdbool.h>
#include <stddef.h>

enum { AF_REACH_FILES = 8 };

/* The files that running a command comes to: the program; or a script, its interpreter, and the program last.
 * `env` as an interpreter is followed to the command that it runs. */
struct af_reach {
    char *files[AF_REACH_FILES];
    size_t n_files;
    bool is_static; /* not reachable, because it is static: the supervisor can (supervisor.h) */
    bool is_i386;   /* of 32 bits: it takes the library for those */
    bool is_musl;   /* of those, and of musl */
    bool is_go;     /* reachable, but it calls the kernel by itself: the library and the supervisor together can */
    bool reachable; /* true too where it cannot be told: exec will tell */
    int error;      /* why the last file, or what env is to run, cannot be run or read, as errno; 0: it can */
    char why[512];  /* not reachable: a line that begins with the file's name */
};

/* `command` is looked for as execvp(3) does, with this PATH (NULL: the default one); ENOENT and no files where
 * there is none. */
void af_reach(const char *command, const char *path, struct af_reach *out);
void af_reach_free(struct af_reach *reach);

/* exec says ENOENT of a file that is there: what is not, "its interpreter /x" or "its loader /x"; from malloc. NULL: it is
 * the file, or that cannot be told. */
char *af_reach_missing(const char *command, const char *path);

/* The same, only the verdict: by what way is it reached? */
enum af_way { AF_WAY_NONE, AF_WAY_PRELOAD, AF_WAY_SUPERVISOR, AF_WAY_BOTH };
enum af_way af_reach_way(const char *command, const char *path, char why[512]);
/* By the library? */
bool af_reachable(const char *command, const char *path, char why[512]);

#endif
