/* What who writes for machines: DESIGN's `who --json`. A socket of another network namespace, a pid of another
 * pid namespace, another user's ledger and a state other than TIME_WAIT are told by a field more. */
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/who/who.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_process(json_t *object, const struct af_who *w, size_t row, json_t *program) {
    const uint64_t pid_ns = af_who_pid_ns(w, row);
    json_object_set_new_nocheck(object, "pid", json_integer(w->owners.found.rows[row].seen.pid));
    json_object_set_nocheck(object, "program", program);
    if (pid_ns)
        af_json_put(object, "pid_ns", pid_ns);
    if (af_who_uid(w, row) != geteuid())
        af_json_put(object, "uid", af_who_uid(w, row));
}

static json_t *claims(const struct af_who *w, const struct af_owner *owner, json_t *const *programs) {
    const struct af_collection *found = &w->owners.found;
    json_t *array = json_array();
    for (size_t i = 0; i < owner->n_claims; i++) {
        const size_t row = found->claims[owner->claim + i].row;
        json_t *one = json_object();
        put_process(one, w, row, programs[found->rows[row].image]);
        af_json_put(one, "uid", af_who_uid(w, row));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *one_socket(const struct af_who *w, const struct af_owned *owned, json_t *const *programs) {
    const size_t row = owned->owner.row;
    json_t *object = json_object();
    json_object_set_new_nocheck(object, "local", af_json_address(&owned->socket.local));
    json_object_set_new_nocheck(object, "peer", af_json_address(&owned->socket.peer));
    json_object_set_new_nocheck(object, "expires_s", json_real(owned->socket.expires_ms / 1000.0));
    if (row == AF_NO_ROW) {
        json_object_set_new_nocheck(object, "pid", json_null());
        json_object_set_new_nocheck(object, "program", json_null());
    } else {
        put_process(object, w, row, programs[w->owners.found.rows[row].image]);
    }
    json_object_set_new_nocheck(object, "role",
                                row == AF_NO_ROW ? json_null()
                                                 : json_string(owned->owner.accepted ? "accept" : "connect"));
    if (owned->owner.n_claims)
        json_object_set_new_nocheck(object, "claims", claims(w, &owned->owner, programs));
    if (owned->socket.state != AF_IN_TIME_WAIT)
        json_object_set_new_nocheck(object, "state", json_string(af_who_state(owned)));
    if (owned->net_ns)
        af_json_put(object, "net_ns", owned->net_ns);
    return object;
}

/* One that came while it ran. */
static void put_policy(json_t *process, const struct af_image *image) {
    if (!image->policy_since)
        return;
    json_object_set_new(process, "policy", af_json_text(image->policy, strnlen(image->policy, sizeof image->policy)));
    json_object_set_new(process, "policy_since", json_real((double)image->policy_since / 1e9));
}

static json_t *document(const struct af_who *w, json_t *const *programs) {
    json_t *all = json_object(), *sockets = json_array(), *processes = json_array();
    for (size_t i = 0; i < w->listed; i++)
        json_array_append_new(sockets, one_socket(w, &w->owners.all[i], programs));
    for (size_t i = 0; i < w->n_order; i++) {
        const size_t row = w->order[i];
        json_t *process = json_object();
        put_process(process, w, row, programs[w->owners.found.rows[row].image]);
        af_json_put(process, "time_wait", w->left[row]);
        put_policy(process, &w->owners.found.images[w->owners.found.rows[row].image]);
        json_array_append_new(processes, process);
    }
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "sockets", sockets);
    json_object_set_new(all, "processes", processes);
    af_json_put(all, "unknown", w->unknown);
    if (w->contested)
        af_json_put(all, "contested", w->contested);
    return all;
}

/* A hundred thousand sockets share the names of a few programs. */
bool af_who_write_json(const struct af_who *w, const char *path) {
    const struct af_collection *found = &w->owners.found;
    json_t **programs = af_array(NULL, found->n_images, sizeof *programs);
    for (size_t i = 0; i < found->n_images; i++)
        programs[i] = af_json_text(found->images[i].program, strlen(found->images[i].program));
    json_t *all = document(w, programs);
    for (size_t i = 0; i < found->n_images; i++)
        json_decref(programs[i]);
    free(programs);
    return af_json_write(all, "who", path);
}
