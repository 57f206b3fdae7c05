/* Victims: programs run with the library preloaded, or bare. The runner itself is never preloaded. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGS = 64, MAX_SETTINGS = 16, GUARD_S = 120, MOST_GUARDS = 10 };

extern char **environ;

static char *copy(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *copy(const char *format, ...) {
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    return text;
}

/* Begun by a shell in the background, or by nohup, it would hand on that these are ignored. */
__attribute__((constructor)) static void hear_what_tests_send(void) {
    static const int sent[] = { SIGINT, SIGQUIT, SIGHUP };
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        signal(sent[i], SIG_DFL);
}

/* The runner is build/tests/NAME. */
static char build_path[PATH_MAX];

const char *build_directory(void) {
    ssize_t len = *build_path ? 0 : readlink("/proc/self/exe", build_path, sizeof build_path - 1);

    for (int up = 0; up < 2 && len > 0; up++) {
        build_path[len] = 0;
        char *slash = strrchr(build_path, '/');
        len = slash ? slash - build_path : 0;
        build_path[len] = 0;
    }
    return build_path;
}

static bool open_to_all(const char *directory) {
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%s", directory);
    for (char *slash; *path; *slash = 0) {
        if (stat(path, &st) != 0 || !(st.st_mode & S_IXOTH))
            return false;
        slash = strrchr(path, '/');
    }
    return true;
}

void build_for_all(void) {
    const char *from = build_directory();

    if (open_to_all(from))
        return;
    const char *to = scratch_path();
    struct ended e = run(NULL, "install -d -m 755 %s %s/tests", to, to);
    if (e.status == 0)
        e = run(NULL, "cp -rp %s/libafterfin.so %s/afterfin %s", from, from, to);
    if (e.status == 0)
        e = run(NULL, "cp -rp %s/tests/victims %s/tests", from, to);
    if (e.status == 0 && access(copy("%s/musl", from), F_OK) == 0)
        e = run(NULL, "cp -rp %s/musl %s", from, to);
    if (e.status == 0 && access(copy("%s/libafterfin", from), F_OK) == 0)
        e = run(NULL, "cp -rpP %s/libafterfin %s/i386 %s", from, from, to);
    if (e.status == 0)
        e = run(NULL, "chmod -R a+rX %s", to);
    cr_assert_eq(e.status, 0, "%s", e.err);
    snprintf(build_path, sizeof build_path, "%s", to);
}

const char *library_path(void) {
    return victims_are("i386") ? preload_path() : copy("%s/libafterfin.so", build_directory());
}

const char *preload_path(void) {
    const char *other = copy("%s/libafterfin/i686/libafterfin.so", build_directory());
    const char *path = copy("%s/libafterfin%s.so", build_directory(),
                            access(other, R_OK) == 0 ? "/$PLATFORM/libafterfin" : "");
    return victims_are("i386") && victims_are("musl")
               ? copy("%s:%s/libafterfin/${PLATFORM}/libafterfin.so", path, build_directory())
               : path;
}

bool victims_are(const char *libc) {
    const char *wanted = getenv("VICTIMS");
    return wanted && strstr(wanted, libc);
}

const char *victim_path(const char *name) {
    const char *libc = getenv("VICTIMS"),
               *other = copy("%s/%s/tests/victims/%s", build_directory(), libc ? libc : "", name);
    return libc && access(other, F_OK) == 0 ? other : copy("%s/tests/victims/%s", build_directory(), name);
}

static unsigned scratch_serial;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st, (void)type, (void)where;
    return remove(path);
}

void remove_scratch(pid_t test) {
    glob_t found = { 0 };

    if (glob(copy("/tmp/afterfin-test.%d.*", (int)test), 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        nftw(found.gl_pathv[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
    globfree(&found);
}

/* Another test of this number, killed long ago, may have left something; as another user, for good. */
const char *scratch_path(void) {
    const char *path;

    test_begins();
    if (scratch_serial == 0)
        remove_scratch(getpid());
    do
        path = copy("/tmp/afterfin-test.%d.%u", (int)getpid(), scratch_serial++);
    while (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    return path;
}

const char *file_text(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t room = 4096, used = 0;
    ssize_t got = 0;
    char *text = malloc(room);

    if (fd < 0 || !text)
        return NULL;
    while ((got = pread(fd, text + used, room - used - 1, (off_t)used)) > 0) {
        used += (size_t)got;
        if (used + 1 == room)
            text = realloc(text, room *= 2);
    }
    close(fd);
    text[used] = 0;
    return text;
}

static bool is_ours(const char *setting) {
    return strncmp(setting, "AFTERFIN_", 9) == 0 || strncmp(setting, "LD_PRELOAD=", 11) == 0;
}

/* environ without settings of ours, then the wanted ones. */
static char **make_environment(const char *settings) {
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + MAX_SETTINGS + 2, sizeof *env), *rest = NULL;

    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            env[kept++] = environ[i];
    if (!settings)
        return env;
    const size_t preload = kept++;
    env[preload] = copy("LD_PRELOAD=%s", library_path());
    char *one = strtok_r(copy("%s", settings), "|", &rest);
    for (int i = 0; one && i < MAX_SETTINGS; i++, one = strtok_r(NULL, "|", &rest))
        if (strncmp(one, "$LD_PRELOAD=", 12) == 0) /* of two, each loader takes another */
            env[preload] = one + 1;
        else
            env[kept++] = *one == '$' ? one + 1 : copy("AFTERFIN_%s", one);
    return env;
}

static int memory_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        give_up("memfd_create: %s", strerror(errno));
    return fd;
}

struct victim victim_start_argv(const char *settings, const char *const argv[]) {
    struct victim v = { .out = memory_file("stdout"), .err = memory_file("stderr") };
    const char *program = argv[0];
    char **env = make_environment(settings);

    test_begins();
    if (!strchr(program, '/') && access(victim_path(program), X_OK) == 0)
        program = victim_path(program);
    fflush(NULL);
    v.pid = fork();
    if (v.pid < 0)
        give_up("fork: %s", strerror(errno));
    if (v.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(v.out, 1);
        dup2(v.err, 2);
        execvpe(program, (char *const *)argv, env);
        dprintf(2, "%s: %s\n", program, strerror(errno));
        _exit(127);
    }
    return v;
}

static const char **split(char *command) {
    const char **argv = calloc(MAX_ARGS + 1, sizeof *argv);
    char *rest = NULL, *word = strtok_r(command, " ", &rest);

    for (int i = 0; word && i < MAX_ARGS; i++, word = strtok_r(NULL, " ", &rest))
        argv[i] = word;
    return argv;
}

#define FORMATTED(command, format) \
    char *command = NULL; \
    va_list args_; \
    va_start(args_, format); \
    if (vasprintf(&command, format, args_) < 0) \
        abort(); \
    va_end(args_)

struct victim victim_start(const char *settings, const char *command, ...) {
    FORMATTED(text, command);
    return victim_start_argv(settings, split(text));
}

static const char *all_of(int fd) {
    char *path = copy("/proc/self/fd/%d", fd);
    const char *text = file_text(path);

    free(path);
    return text ? text : strdup("");
}

const char *victim_out(const struct victim *v) {
    return all_of(v->out);
}

bool victim_runs(const struct victim *v) {
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)v->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static void nap(void) {
    nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
}

struct guard {
    time_t until;
    unsigned long used;
    unsigned n;
};

/* The victims of the test have had time, and did nothing with it. */
static bool is_over(struct guard *g) {
    if (time(NULL) < g->until)
        return false;
    unsigned long used = test_cpu_time();
    bool idle = used == g->used;
    g->used = used;
    g->until = time(NULL) + GUARD_S;
    return idle || ++g->n == MOST_GUARDS;
}

struct ended victim_wait(struct victim *v) {
    struct guard guard = { .until = time(NULL) + GUARD_S };
    struct ended e = { 0 };
    int status = 0;

    while (waitpid(v->pid, &status, WNOHANG) == 0) {
        if (is_over(&guard)) {
            kill(v->pid, SIGKILL);
            waitpid(v->pid, &status, 0);
            give_up("a victim did not end; stdout: %s\nstderr: %s", all_of(v->out), all_of(v->err));
        }
        nap();
    }
    e.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    e.out = all_of(v->out);
    e.err = all_of(v->err);
    close(v->out);
    close(v->err);
    return e;
}

void victim_wait_out(const struct victim *v, const char *text) {
    struct guard guard = { .until = time(NULL) + GUARD_S };

    for (;;) {
        bool ended = !victim_runs(v);
        const char *out = victim_out(v);
        bool found = strstr(out, text) != NULL;
        free((char *)out);
        if (found || ended)
            return;
        cr_assert(!is_over(&guard), "a victim never said '%s'; stderr: %s", text, all_of(v->err));
        nap();
    }
}

struct ended victim_kill(struct victim *v, int signal) {
    kill(v->pid, signal);
    return victim_wait(v);
}

struct ended run_argv(const char *settings, const char *const argv[]) {
    struct victim v = victim_start_argv(settings, argv);
    return victim_wait(&v);
}

struct ended run(const char *settings, const char *command, ...) {
    FORMATTED(text, command);
    return run_argv(settings, split(text));
}
