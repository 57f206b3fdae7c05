/* What set writes for machines: the same as its rows. */
#include "cli/output/json.h"
#include "cli/set/set.h"

#include <stdlib.h>
#include <string.h>

static json_t *one_process(const struct af_set_process *p) {
    json_t *object = json_object();
    json_object_set_new(object, "pid", json_integer(p->pid));
    json_object_set_new(object, "program", p->start_ticks ? af_json_text(p->program, strlen(p->program)) : json_null());
    json_object_set_new(object, "how", p->error ? json_null() : json_string(p->posted ? "library" : "outside"));
    json_object_set_new(object, "in_force", p->posted ? json_boolean(p->in_force) : json_null());
    af_json_put(object, "listening", p->listening);
    af_json_put(object, "connections", p->connections);
    af_json_put(object, "set", p->set);
    af_json_put(object, "its_own", p->chosen);
    af_json_put(object, "refused", p->refused);
    json_object_set_new(object, "note", p->note ? json_string(p->note) : json_null());
    json_object_set_new(object, "error", p->error ? af_json_text(p->error, strlen(p->error)) : json_null());
    return object;
}

static json_t *policy(const struct af_set *set) {
    json_t *object = json_object();
    for (int key = 0; key < AF_KEYS; key++) {
        const char *value = af_settings_get(&set->settings, af_keys[key].variable);
        if (value)
            json_object_set_new(object, af_keys[key].name, af_json_text(value, strlen(value)));
    }
    return object;
}

bool af_set_write_json(const struct af_set *set) {
    json_t *all = json_object(), *processes = json_array();
    for (size_t i = 0; i < set->n_processes; i++)
        if (set->processes[i].start_ticks || set->processes[i].error)
            json_array_append_new(processes, one_process(&set->processes[i]));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "policy", policy(set));
    json_object_set_new(all, "processes", processes);
    char *beyond = af_set_out_of_reach(set);
    json_object_set_new(all, "out_of_reach", beyond ? af_json_text(beyond, strlen(beyond)) : json_null());
    free(beyond);
    return af_json_write(all, "set", set->json_path);
}
