/* Hooks: children that do not come from fork. They may inherit connections, and outlive our own descriptors
 * for them.
 *
 * posix_spawn: on x86_64 and i386 glibc has two of each: since 2.15 one that does not give a file without #! to the shell.
 * Both are exported here under their versions, so that each caller gets the one that it was linked with. */
#include "shim/shim.h"

#include <spawn.h>

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

static int spawn(spawn_function *next, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) {
    pid_t child;
    int result = next(&child, path, actions, attributes, argv, envp);
    if (result != 0)
        return result;
    if (pid)
        *pid = child;
    if (af.on && af.ledger && !af_in_vfork_child())
        af_note_image(child);
    return 0;
}

/* system and popen spawn inside libc, and keep the pid to themselves. */
static void note_unknown_image(void) {
    if (af.ledger && !af_in_vfork_child())
        af_note_image(0);
}

int af_on_system(const char *command) {
    note_unknown_image();
    return af_real.system(command);
}

FILE *af_on_popen(const char *command, const char *mode) {
    note_unknown_image();
    return af_real.popen(command, mode);
}

#define SPAWN(name, function, next) \
    __attribute__((visibility("default"))) spawn_function function; \
    int function(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, \
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[]) { \
        if (AF_UNLIKELY(!af_real.name)) \
            af_resolve(); \
        spawn_function *real = (spawn_function *)(next); \
        return real ? spawn(real, pid, path, actions, attributes, argv, envp) : ENOSYS; \
    }

#if defined __x86_64__ || defined __i386__
#ifdef __x86_64__
#define FIRST "GLIBC_2.2.5"
#else
#define FIRST "GLIBC_2.2"
#endif
__asm__(".symver af_spawn, posix_spawn@@GLIBC_2.15, remove");
__asm__(".symver af_spawnp, posix_spawnp@@GLIBC_2.15, remove");
__asm__(".symver af_spawn_old, posix_spawn@" FIRST ", remove");
__asm__(".symver af_spawnp_old, posix_spawnp@" FIRST ", remove");
SPAWN(posix_spawn, af_spawn_old, af_find_old("posix_spawn"))
SPAWN(posix_spawnp, af_spawnp_old, af_find_old("posix_spawnp"))
#else
spawn_function af_spawn __asm__("posix_spawn"), af_spawnp __asm__("posix_spawnp");
#endif
SPAWN(posix_spawn, af_spawn, af_real.posix_spawn)
SPAWN(posix_spawnp, af_spawnp, af_real.posix_spawnp)
