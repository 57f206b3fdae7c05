/* Is the library in process N, and with which settings? */
#include "cli/doctor/doctor.h"
#include "cli/kernel/process.h"
#include "cli/kernel/ptrace.h"
#include "cli/kernel/supervised.h"
#include "cli/launch/settings.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libafterfin.so"
#define DELETED " (deleted)"
enum { COMM = 15 }; /* bytes of a program's name that /proc shows */

/* ---- /proc/N -------------------------------------------------------------------------------------------------- */

static void refuse(struct af_process_seen *p, char *why) {
    free(p->why);
    p->why = why;
}

/* All of /proc/N/NAME and a NUL more; NULL with errno. */
static char *read_proc(pid_t pid, const char *name, size_t *size) {
    char path[64], *text = NULL;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    for (*size = 0; got > 0; *size += got > 0 ? (size_t)got : 0) {
        text = af_array(text, *size + 4097, 1);
        got = read(fd, text + *size, 4096);
    }
    const int error = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        free(text);
        errno = error;
        return NULL;
    }
    text[*size] = 0;
    return text;
}

static int status_number(const char *status, const char *field) {
    const char *at = status ? strstr(status, field) : NULL;
    return at ? atoi(at + strlen(field)) : -1;
}

/* Where its own absolute path leads: it may have another root than we. */
static char *in_its_root(pid_t pid, const char *path) {
    return af_format("/proc/%d/root%s", (int)pid, path);
}

/* ---- is it there? -------------------------------------------------------------------------------------------- */

/* The last field of a line of /proc/N/maps is the file. */
static void find_library(struct af_process_seen *p, char *maps) {
    char *rest = NULL;
    for (char *line = strtok_r(maps, "\n", &rest); line && !p->library; line = strtok_r(NULL, "\n", &rest)) {
        char *path = strchr(line, '/');
        size_t len = path ? strlen(path) : 0, mark = strlen(DELETED), name = strlen(LIBRARY);
        const bool deleted = len > mark && strcmp(path + len - mark, DELETED) == 0;
        len -= deleted ? mark : 0;
        if (len <= name || path[len - name - 1] != '/' || memcmp(path + len - name, LIBRARY, name) != 0)
            continue;
        p->library = af_format("%.*s", (int)len, path);
        p->deleted = deleted;
    }
}

/* What the dynamic linker makes of an entry of LD_PRELOAD, where the command has named libraries of both word sizes. */
static char *as_its_loader(const struct af_reach *reach, const char *entry) {
    static const char token[] = "$PLATFORM";
    const size_t size = strcspn(entry, " :");
    const char *at = memmem(entry, size, token, sizeof token - 1);
    return at ? af_format("%.*s%s%.*s", (int)(at - entry), entry, reach->is_i386 ? "i686" : "x86_64",
                          (int)(entry + size - at - (sizeof token - 1)), at + sizeof token - 1)
              : af_format("%.*s", (int)size, entry);
}

/* Why it is not, as far as can be told afterwards. */
static void explain(struct af_process_seen *p) {
    const char *entry = p->preload ? strstr(p->preload, LIBRARY) : NULL;
    struct af_reach reach;
    char exe[64];
    snprintf(exe, sizeof exe, "/proc/%d/exe", (int)p->pid);
    af_reach(exe, NULL, &reach);
    if (!entry) {
        refuse(p, af_format("it was started without LD_PRELOAD naming the library: start it under afterfin run"));
    } else if (!reach.reachable) {
        p->supervised = reach.is_static && af_is_supervised(p->pid);
        refuse(p, p->supervised ? af_format("it is static, and under the supervisor of afterfin run, which treats its "
                                            "sockets from outside (STATIC PROGRAMS in afterfin(7))")
                                : af_format("%s", reach.why));
    } else {
        while (entry > p->preload && !strchr(" :", entry[-1]))
            entry--;
        char *path = as_its_loader(&reach, entry), *there = in_its_root(p->pid, path);
        const bool missing = *path == '/' && access(there, F_OK) != 0 && errno == ENOENT;
        refuse(p, missing
                      ? af_format("LD_PRELOAD names %s, which is not there for it", path)
                      : af_format("LD_PRELOAD names %s, but the dynamic linker did not take it, and said why", path));
        free(path);
        free(there);
    }
    af_reach_free(&reach);
}

/* ---- its settings --------------------------------------------------------------------------------------------- */

/* As the library takes it: the base name of what was exec'd, of which /proc shows the beginning. */
static char *program_name(pid_t pid) {
    size_t size;
    char *comm = read_proc(pid, "comm", &size), *command = read_proc(pid, "cmdline", &size), *name = NULL;
    if (comm)
        comm[strcspn(comm, "\n")] = 0;
    const bool cut = comm && command && strlen(comm) == COMM;
    for (size_t at = 0; cut && at < size && !name; at += strlen(command + at) + 1) {
        const char *slash = strrchr(command + at, '/'), *base = slash ? slash + 1 : command + at;
        if (strncmp(base, comm, COMM) == 0)
            name = af_format("%s", base);
    }
    free(command);
    if (!name)
        return comm;
    free(comm);
    return name;
}

/* In an array that ends with NULL; what else it needs of them is taken out. */
static const char *split_environment(struct af_process_seen *p, size_t size) {
    static const char ours[] = "AFTERFIN_", preload[] = "LD_PRELOAD=", runtime[] = "XDG_RUNTIME_DIR=";
    const char *directory = NULL;
    p->settings = af_array(NULL, 1, sizeof *p->settings);
    for (char *at = p->environment; at < p->environment + size; at += strlen(at) + 1) {
        if (strncmp(at, preload, sizeof preload - 1) == 0) { /* of several the dynamic linker takes the last */
            free(p->preload);
            p->preload = af_format("%s", at + sizeof preload - 1);
        }
        if (strncmp(at, runtime, sizeof runtime - 1) == 0)
            directory = at + sizeof runtime - 1;
        if (strncmp(at, ours, sizeof ours - 1) != 0)
            continue;
        p->settings = af_array(p->settings, p->n_settings + 2, sizeof *p->settings);
        p->settings[p->n_settings++] = at;
    }
    p->settings[p->n_settings] = NULL;
    return directory;
}

/* ---- its ledger ----------------------------------------------------------------------------------------------- */

static void find_ledger(struct af_process_seen *p, const char *directory, int32_t inner_pid) {
    char *path = in_its_root(p->pid, directory);
    struct af_collection found;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return;
    const uint64_t pid_ns = af_namespace_of(p->pid, "pid");
    af_collect(&found, fd);
    close(fd);
    for (size_t i = 0; i < found.n_rows && !p->ledger; i++) {
        const struct af_row *row = &found.rows[i];
        const struct af_image *image = &found.images[row->image];
        if (row->fate != AF_FATE_RUNNING || row->seen.pid != inner_pid || (image->pid_ns && image->pid_ns != pid_ns))
            continue;
        p->ledger = af_format("%s/%s", directory, image->entry);
        p->policy = af_format("%s", image->policy);
        p->sealed = row->seen.sealed;
    }
    af_collection_free(&found);
}

static void check_settings(struct af_process_seen *p, const char *runtime) {
    struct af_settings settings;
    struct af_error error;
    struct af_rights rights;
    struct stat st;
    char directory[PATH_MAX], path[64], entry[16];
    af_settings_init(&settings, p->settings);
    settings.rights = af_rights_of(p->pid, &rights) == 0 ? &rights : NULL;
    const bool good = settings.rights && af_settings_parse(&settings, &error);
    snprintf(path, sizeof path, "/proc/%d", (int)p->pid);
    if (!good && settings.rights && !p->awake) {
        p->complaint = af_format("%s", error.text);
    } else if (good) {
        p->skipped = !p->awake && !af_policy_touches(&settings.policy, p->program);
        if (settings.policy.ledger == AF_LEDGER_DIRECTORY)
            snprintf(directory, sizeof directory, "%s", settings.policy.ledger_dir);
        else if (stat(path, &st) == 0)
            af_ledger_dir_name(st.st_uid, runtime, directory);
        snprintf(entry, sizeof entry, "%d", (int)p->pid);
        p->keeps_ledger = p->library && settings.policy.ledger != AF_LEDGER_OFF && !p->skipped;
        if (p->keeps_ledger)
            find_ledger(p, directory, af_innermost_pid(entry));
    }
    free(settings.environment);
    free(settings.room);
    free(settings.file);
}

/* ---- all of it ------------------------------------------------------------------------------------------------ */

/* EACCES alone does not say which check of the kernel it was. */
static void refuse_access(struct af_process_seen *p, int error) {
    char *why = af_refusal(p->pid, -error);
    refuse(p, af_format("process %d is not ours to look into: %s", (int)p->pid, why));
    free(why);
}

static void look_inside(struct af_process_seen *p, char *maps) {
    size_t size;
    p->environment = read_proc(p->pid, "environ", &size);
    p->program = p->environment ? program_name(p->pid) : NULL;
    if (!p->program) {
        refuse_access(p, errno);
        return;
    }
    const char *runtime = split_environment(p, size);
    find_library(p, maps);
    if (p->library)
        af_process_ask(p);
    check_settings(p, runtime);
    p->inside = p->library && !p->complaint && !p->skipped;
    if (!p->library)
        explain(p);
    else if (p->complaint)
        refuse(p, af_format("it is there, and touches nothing, because of a bad setting: %s", p->complaint));
    else if (p->skipped)
        refuse(p, af_format("it is there, and leaves %s alone, by only or skip", p->program));
}

void af_process_read(pid_t pid, struct af_process_seen *p) {
    size_t size, maps_size;
    memset(p, 0, sizeof *p);
    p->pid = pid;
    char *status = read_proc(pid, "status", &size);
    p->seccomp = status_number(status, "\nSeccomp:");
    p->no_new_privs = status_number(status, "\nNoNewPrivs:");
    const uint64_t net_ns = af_namespace_of(pid, "net");
    p->net_ns = net_ns == af_own_namespace("net") ? 0 : net_ns;
    char *maps = status ? read_proc(pid, "maps", &maps_size) : NULL;
    if (!status)
        refuse(p, af_format("there is no process %d", (int)pid));
    else if (!maps)
        refuse_access(p, errno);
    else if (!maps_size)
        refuse(p, af_format("process %d has no program: it is a kernel thread, or has ended", (int)pid));
    else
        look_inside(p, maps);
    if (p->program)
        af_process_set_way(p);
    free(maps);
    free(status);
}

void af_process_free(struct af_process_seen *p) {
    char *const all[] = { p->why,    p->program, p->library, p->preload,  p->environment, p->complaint,
                          p->ledger, p->policy,  p->set_why, p->in_force, p->told };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(p->settings);
    memset(p, 0, sizeof *p);
}
