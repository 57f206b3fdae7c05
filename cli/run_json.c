/* What run writes for machines: DESIGN's `run --json`. */
#include "cli/memory.h"
#include "cli/result.h"
#include "cli/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(12) };

/* JSON is UTF-8; a name or an argument need not be. What is not becomes U+FFFD. */
static json_t *text(const char *from, size_t size) {
    static const char replacement[] = "\xef\xbf\xbd";
    char *clean = af_array(NULL, size, sizeof replacement - 1), *to = clean;
    while (size) {
        size_t len = af_utf8_length(from, size);
        const char *piece = len ? from : replacement;
        size_t piece_len = len ? len : sizeof replacement - 1;
        memcpy(to, piece, piece_len);
        to += piece_len;
        from += len ? len : 1;
        size -= len ? len : 1;
    }
    json_t *value = json_stringn(clean, (size_t)(to - clean));
    free(clean);
    return value;
}

static json_t *words(const char *command, size_t size) {
    json_t *array = json_array();
    while (size) {
        size_t len = strnlen(command, size);
        json_array_append_new(array, text(command, len));
        len += len < size;
        command += len;
        size -= len;
    }
    return array;
}

static void put(json_t *object, const char *name, uint64_t n) {
    json_object_set_new(object, name, json_integer((json_int_t)n));
}

static void put_counts(json_t *object, const uint64_t *count) {
#define COUNTER(field, help) put(object, #field, count[AF_COUNT_##field]);
#define DERIVED(field, help) put(object, #field, (uint64_t)af_seen_##field(count));
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

/* Adds to what is there, so that it serves the totals too. */
static void put_errors(json_t *errors, const struct af_seen_process *seen) {
    for (uint32_t i = 0; i < seen->n_errors; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s:%s", af_call_name(seen->errors[i].call),
                 af_errno_name(seen->errors[i].error));
        json_int_t before = json_integer_value(json_object_get(errors, name));
        json_object_set_new(errors, name, json_integer(before + seen->errors[i].count));
    }
}

static json_t *endpoints(const struct af_row *row) {
    json_t *object = json_object();
    for (uint32_t i = 0; i < row->n_top; i++) {
        char name[AF_ADDR_TEXT];
        af_endpoint_text(&row->top[i], name);
        put(object, name, row->top[i].count);
    }
    return object;
}

static json_t *process(const struct af_result *r, const struct af_row *row) {
    static const char *const fates[] = { "exit", "signal", "exec", "running" };
    const struct af_image *image = &r->found.images[row->image];
    json_t *object = json_object(), *errors = json_object();
    json_object_set_new(object, "pid", json_integer(row->seen.pid));
    json_object_set_new(object, "ppid", json_integer(row->seen.ppid));
    json_object_set_new(object, "program", text(image->program, strlen(image->program)));
    json_object_set_new(object, "command", words(image->command, image->command_size));
    json_object_set_new(object, "ended", json_string(fates[row->fate]));
    put_counts(object, row->seen.count);
    put_errors(errors, &row->seen);
    json_object_set_new(object, "errors", errors);
    json_object_set_new(object, "time_wait_confirmed",
                        r->dumped && row->confirmable ? json_integer((json_int_t)row->confirmed) : json_null());
    json_object_set_new(object, "time_wait_to", endpoints(row));
    return object;
}

/* As in the log line: what treats sockets, and linger even where it is not set. */
static json_t *policy(const struct af_settings *settings) {
    const uint32_t shown = AF_BIT(REUSEADDR) | AF_BIT(BIND_NO_PORT) | AF_BIT(LINGER) | AF_BIT(PORT_RANGE) |
                           AF_BIT(PORT_SEARCH) | AF_BIT(KEEPALIVE) | AF_BIT(USER_TIMEOUT) | AF_BIT(OVERRIDE) |
                           AF_BIT(RULES);
    json_t *object = json_object();
    for (int key = 0; key < AF_KEYS; key++) {
        bool set = settings->policy.set & 1u << key;
        if (!(shown & 1u << key) || (!set && key != AF_KEY_LINGER))
            continue;
        const char *value = set ? af_settings_get(settings, af_keys[key].variable) : af_keys[key].fallback;
        json_object_set_new(object, af_keys[key].name, text(value, strlen(value)));
    }
    return object;
}

static json_t *kernel(const struct af_result *r) {
    json_t *object = json_object();
    json_object_set_new(object, "time_wait_before", r->dumped ? json_integer((json_int_t)r->before) : json_null());
    json_object_set_new(object, "time_wait_after", r->dumped ? json_integer((json_int_t)r->after) : json_null());
    json_object_set_new(object, "attributed", r->dumped ? json_integer((json_int_t)r->attributed) : json_null());
    return object;
}

static json_t *document(const struct af_result *r) {
    uint64_t count[AF_COUNTERS], confirmed;
    json_t *all = json_object(), *command = json_array(), *totals = json_object();
    json_t *errors = json_object(), *processes = json_array();
    af_result_totals(r, count, &confirmed);
    put_counts(totals, count);
    for (size_t i = 0; i < r->found.n_rows; i++) {
        const struct af_row *row = &r->found.rows[r->order[i]];
        put_errors(errors, &row->seen);
        json_array_append_new(processes, process(r, row));
    }
    json_object_set_new(totals, "errors", errors);
    for (char **word = r->command; *word; word++)
        json_array_append_new(command, text(*word, strlen(*word)));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "command", command);
    json_object_set_new(all, "exit_status", json_integer(r->child.status));
    json_object_set_new(all, "elapsed_s", json_real((double)(int64_t)(r->child.elapsed_s * 1000 + 0.5) / 1000));
    json_object_set_new(all, "policy", policy(r->settings));
    json_object_set_new(all, "totals", totals);
    json_object_set_new(all, "processes", processes);
    json_object_set_new(all, "kernel", kernel(r));
    return all;
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* A reader of the file sees the old one or the whole new one. What is no regular file (/dev/fd/3, a FIFO) is
 * written to as it is. */
static bool write_file(const char *path, const char *data, size_t size) {
    struct stat st;
    char *name = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? NULL : af_format("%s.%d", path, (int)getpid());
    int fd = open(name ? name : path, O_WRONLY | O_CLOEXEC | (name ? O_CREAT | O_EXCL : 0), 0666);
    bool ok = fd >= 0 && write_all(fd, data, size);
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (ok && name)
        ok = rename(name, path) == 0;
    int error = errno;
    if (!ok && name && fd >= 0)
        unlink(name);
    free(name);
    errno = error;
    return ok;
}

bool af_result_write_json(const struct af_result *r, const char *path) {
    json_t *all = document(r);
    char *dump = json_dumps(all, FLAGS), *data = dump ? af_format("%s\n", dump) : NULL;
    bool ok = data && (path ? write_file(path, data, strlen(data)) : write_all(STDOUT_FILENO, data, strlen(data)));
    if (!ok)
        af_tell("run: cannot write JSON to %s: %s", path ? path : "stdout", strerror(data ? errno : ENOMEM));
    free(data);
    free(dump);
    json_decref(all);
    return ok;
}
