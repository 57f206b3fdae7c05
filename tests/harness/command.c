/* See command.h. */
#include "tests/harness/command.h"

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <wchar.h>

enum { MAX_ARGS = 64 };

const char *command_path(void) {
    char *path;
    if (asprintf(&path, "%s/afterfin", build_directory()) < 0)
        abort();
    return path;
}

/* env NAME=VALUE... afterfin ARGUMENT...: env execs, so the pid is the command's. */
static const char **arguments(const char *environment, const char *const first[], va_list args) {
    const char **argv = calloc(MAX_ARGS + 1, sizeof *argv);
    char *rest = NULL;
    int n = 0;
    argv[n++] = "/usr/bin/env";
    char *one = environment ? strtok_r(strdup(environment), "|", &rest) : NULL;
    for (; one; one = strtok_r(NULL, "|", &rest))
        argv[n++] = one;
    argv[n++] = command_path();
    for (; first && *first; first++)
        argv[n++] = *first;
    while (n < MAX_ARGS && (argv[n] = va_arg(args, const char *)))
        n++;
    return argv;
}

struct victim command_start(const char *environment, ...) {
    va_list args;
    va_start(args, environment);
    const char **argv = arguments(environment, NULL, args);
    va_end(args);
    return victim_start_argv(NULL, argv);
}

struct ended command(const char *environment, ...) {
    va_list args;
    va_start(args, environment);
    const char **argv = arguments(environment, NULL, args);
    va_end(args);
    return run_argv(NULL, argv);
}

pid_t argv_on_terminal(int *terminal, unsigned short width, const char *const argv[]) {
    const struct winsize size = { .ws_row = 24, .ws_col = width };
    test_begins();
    pid_t pid = forkpty(terminal, NULL, NULL, &size);
    cr_assert_geq(pid, 0, "forkpty: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setenv("TERM", "xterm", 1);
        unsetenv("NO_COLOR");
        execvp(argv[0], (char *const *)argv);
        _exit(127);
    }
    return pid;
}

pid_t command_on_terminal(int *terminal, unsigned short width, const char *environment, ...) {
    va_list args;
    va_start(args, environment);
    const char **argv = arguments(environment, NULL, args);
    va_end(args);
    return argv_on_terminal(terminal, width, argv);
}

const char *terminal_read(int terminal, const char *text) {
    static char seen[1 << 16];
    size_t used = 0;
    ssize_t got;
    seen[0] = 0;
    while (used + 1 < sizeof seen && !(text && strstr(seen, text)) &&
           (got = read(terminal, seen + used, sizeof seen - used - 1)) > 0) {
        used += (size_t)got;
        seen[used] = 0;
    }
    return seen;
}

/* Behind an escape sequence: ESC [ 1 m. */
static const char *after_escape(const char *text) {
    text += 1 + (text[1] == '[');
    text += strspn(text, "0123456789;?");
    return text + (*text != 0);
}

size_t widest(const char *text) {
    size_t most = 0, columns = 0;
    mbstate_t state = { 0 };
    setlocale(LC_CTYPE, "C.UTF-8");
    while (*text) {
        wchar_t wide;
        size_t eaten = mbrtowc(&wide, text, strlen(text), &state);
        bool valid = eaten > 0 && eaten <= strlen(text);
        if (*text == '\033') {
            text = after_escape(text);
            continue;
        }
        columns += valid ? (size_t)(wcwidth(wide) > 0 ? wcwidth(wide) : 0) : 1;
        columns = strchr("\r\n", *text) ? 0 : columns;
        most = columns > most ? columns : most;
        text += valid ? eaten : 1;
    }
    return most;
}

json_t *run_json(const char *environment, int status, ...) {
    const char *path = scratch_path();
    char option[256];
    const char *const first[] = { "run", "-q", option, NULL };
    json_error_t error;
    va_list args;
    snprintf(option, sizeof option, "--json=%s", path);
    va_start(args, status);
    const char **argv = arguments(environment, first, args);
    va_end(args);
    struct ended e = run_argv(NULL, argv);
    cr_assert_eq(e.status, status, "%d: %s%s", e.status, e.out, e.err);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    cr_assert(json, "line %d: %s; %s", error.line, error.text, e.err);
    unlink(path);
    return json;
}

const json_t *json_find(const json_t *json, const char *path) {
    while (json && *path) {
        size_t len = strcspn(path, ".");
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name)) : json_object_get(json, name);
        path += len + (path[len] == '.');
    }
    return json;
}

void json_expect_fields(const json_t *json, const char *path, const char *const *names) {
    const json_t *object = json_find(json, path);
    size_t n = 0;
    for (; names[n]; n++)
        cr_expect(json_object_get(object, names[n]), "%s: no %s", path, names[n]);
    cr_expect_eq(json_object_size(object), n, "%s has others too", path);
}

long json_number(const json_t *json, const char *path) {
    const json_t *found = json_find(json, path);
    return json_is_integer(found) ? (long)json_integer_value(found) : -1;
}

long json_endpoints(const json_t *process) {
    const char *name;
    json_t *count;
    long sum = 0;
    json_object_foreach(json_object_get(process, "time_wait_to"), name, count)
        sum += (long)json_integer_value(count);
    return sum;
}

unsigned entries(const char *directory, const char *prefix) {
    DIR *list = opendir(directory);
    unsigned n = 0;
    for (struct dirent *e; list && (e = readdir(list));)
        n += e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    if (list)
        closedir(list);
    return n;
}
