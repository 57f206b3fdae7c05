/* What run writes for machines: DESIGN's `run --json`. */
#include "cli/launch/result.h"
#include "cli/ledgers/json.h"
#include "cli/ledgers/names.h"
#include "cli/output/json.h"
#include "cli/run/run.h"

#include <string.h>
#include <unistd.h>

static json_t *words(const char *command, size_t size) {
    json_t *array = json_array();
    while (size) {
        size_t len = strnlen(command, size);
        json_array_append_new(array, af_json_text(command, len));
        len += len < size;
        command += len;
        size -= len;
    }
    return array;
}

/* How a process ended that wrote no word about it, we know of CMD alone. */
static bool knows_fate(const struct af_result *r, const struct af_row *row) {
    return !row->seen.outside || row->fate == AF_FATE_RUNNING || row->seen.pid == r->child.pid;
}

static json_t *process(const struct af_result *r, const struct af_row *row) {
    const struct af_image *image = &r->found.images[row->image];
    json_t *object = json_object(), *errors = json_object();
    struct af_counts counts = { .known = 0 };
    json_object_set_new(object, "pid", json_integer(row->seen.pid));
    json_object_set_new(object, "ppid", json_integer(row->seen.ppid));
    json_object_set_new(object, "program", af_json_text(image->program, strlen(image->program)));
    if (image->uid != geteuid())
        af_json_put(object, "uid", image->uid);
    json_object_set_new(object, "command", words(image->command, image->command_size));
    json_object_set_new(object, "ended", knows_fate(r, row) ? json_string(af_fate_name(row->fate)) : json_null());
    af_counts_add(&counts, row->seen.count, af_seen_knows(&row->seen));
    af_json_put_counts(object, &counts);
    if (row->seen.outside)
        json_object_set_new(object, "outside", json_true());
    af_json_add_errors(errors, &row->seen);
    json_object_set_new(object, "errors", errors);
    json_object_set_new(object, "time_wait_confirmed",
                        r->dumped && row->confirmable ? json_integer((json_int_t)row->confirmed) : json_null());
    json_object_set_new(object, "time_wait_to", af_json_endpoints(row));
    return object;
}

/* As in the log line: what treats sockets, and linger even where it is not set. */
static json_t *policy(const struct af_settings *settings) {
    const uint32_t shown = AF_BIT(REUSEADDR) | AF_BIT(BIND_NO_PORT) | AF_BIT(LINGER) | AF_BIT(SOURCE) |
                           AF_BIT(SYN_RETRIES) | AF_BIT(PORT_RANGE) | AF_BIT(PORT_SEARCH) | AF_BIT(KEEPALIVE) |
                           AF_BIT(USER_TIMEOUT) | AF_BIT(OVERRIDE) | AF_BIT(RULES);
    json_t *object = json_object();
    for (int key = 0; key < AF_KEYS; key++) {
        bool set = settings->policy.set & 1u << key;
        if (!(shown & 1u << key) || (!set && key != AF_KEY_LINGER))
            continue;
        const char *value = set ? af_settings_get(settings, af_keys[key].variable) : af_keys[key].fallback;
        json_object_set_new(object, af_keys[key].name, af_json_text(value, strlen(value)));
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
    struct af_counts counts;
    uint64_t confirmed;
    json_t *all = json_object(), *command = json_array(), *totals = json_object();
    json_t *errors = json_object(), *processes = json_array();
    af_result_totals(r, &counts, &confirmed);
    af_json_put_counts(totals, &counts);
    for (size_t i = 0; i < r->found.n_rows; i++) {
        const struct af_row *row = &r->found.rows[r->order[i]];
        af_json_add_errors(errors, &row->seen);
        json_array_append_new(processes, process(r, row));
    }
    json_object_set_new(totals, "errors", errors);
    for (char **word = r->command; *word; word++)
        json_array_append_new(command, af_json_text(*word, strlen(*word)));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "command", command);
    json_object_set_new(all, "exit_status", json_integer(r->child.status));
    json_object_set_new(all, "elapsed_s", json_real((double)(int64_t)(r->child.elapsed_s * 1000 + 0.5) / 1000));
    json_object_set_new(all, "policy", policy(r->settings));
    json_object_set_new(all, "totals", totals);
    json_object_set_new(all, "processes", processes);
    if (r->child.unsupervised)
        json_object_set_new(all, "unsupervised", json_true());
    if (r->found.n_unkept)
        af_json_put(all, "without_ledger", r->found.n_unkept);
    json_object_set_new(all, "kernel", kernel(r));
    return all;
}

bool af_result_write_json(const struct af_result *r, const char *path) {
    return af_json_write(document(r), "run", path);
}
