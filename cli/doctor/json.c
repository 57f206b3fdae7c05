/* What doctor writes for machines; afterfin(1) has the names. */
#include "cli/doctor/doctor.h"
#include "cli/output/json.h"

#include <string.h>

static json_t *text(const char *string) {
    return string ? af_json_text(string, strlen(string)) : json_null();
}

static void put(json_t *object, const char *name, json_t *value) {
    json_object_set_new(object, name, value);
}

/* -1 where it is not known: null. */
static json_t *count(int64_t n) {
    return n < 0 ? json_null() : json_integer(n);
}

static json_t *address(const struct af_addr *addr) {
    char shown[AF_ADDR_TEXT];
    af_addr_text(addr, shown);
    shown[addr->port ? strlen(shown) : (size_t)(strrchr(shown, ':') - shown)] = 0; /* a port of 0 is none */
    return json_string(shown);
}

/* ---- the machine ----------------------------------------------------------------------------------------------- */

static json_t *needs(const char *name, const struct af_need *list, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();
        put(one, name, json_string(list[i].name));
        put(one, "available", json_boolean(list[i].error == 0));
        put(one, "needs", json_string(list[i].needs));
        put(one, "since", text(list[i].since));
        put(one, "probed", json_string(list[i].error ? strerror(-list[i].error) : "works"));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *settings(const struct af_machine *m) {
    json_t *array = json_array();
    for (int i = 0; i < AF_SYSCTLS; i++) {
        json_t *one = json_object();
        put(one, "name", json_string(af_sysctls[i].name));
        put(one, "value", text(m->values[i]));
        put(one, "level", json_string(af_level_name(m->findings[i].level)));
        put(one, "why", m->values[i] ? text(m->findings[i].why) : text(strerror(m->errors[i])));
        put(one, "set", text(m->findings[i].set));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *destinations(const struct af_machine *m) {
    json_t *array = json_array();
    for (size_t i = 0; i < m->n_destinations; i++) {
        const struct af_destination *d = &m->destinations[i];
        json_t *one = json_object();
        put(one, "local", address(&d->local));
        put(one, "peer", address(&d->peer));
        af_json_put(one, "ports", d->ports);
        af_json_put(one, "time_wait", d->time_wait);
        af_json_put(one, "range", m->ephemeral.n);
        put(one, "share", m->ephemeral.n ? json_real((double)d->ports / m->ephemeral.n) : json_null());
        put(one, "level", json_string(af_level_name(af_machine_filling(m, d))));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *time_wait(const struct af_machine *m) {
    json_t *object = json_object();
    put(object, "now", count(m->time_wait));
    put(object, "max", count(af_machine_number(m, AF_SYSCTL_tcp_max_tw_buckets)));
    put(object, "overflow", count(m->overflow));
    put(object, "accepted", m->dump_error ? json_null() : json_integer(m->accepted));
    return object;
}

static json_t *net_ns(const struct af_machine *m) {
    json_t *object = json_object();
    put(object, "initial", m->net_ns_own < 0 ? json_null() : json_boolean(!m->net_ns_own));
    put(object, "tcp_max_tw_buckets", json_string(m->buckets_error ? strerror(m->buckets_error) : "may be set"));
    return object;
}

static json_t *conntrack(const struct af_machine *m) {
    if (m->conntrack < 0)
        return json_null();
    json_t *object = json_object();
    put(object, "count", count(m->conntrack));
    put(object, "max", count(af_machine_number(m, AF_SYSCTL_nf_conntrack_max)));
    put(object, "time_wait", count(m->conntrack ? m->conntrack_time_wait : 0));
    put(object, "time_wait_s", count(af_machine_number(m, AF_SYSCTL_nf_conntrack_tcp_timeout_time_wait)));
    return object;
}

static json_t *myths(void) {
    json_t *array = json_array();
    for (size_t i = 0; i < af_n_myths; i++) {
        json_t *one = json_object();
        put(one, "name", json_string(af_myths[i].name));
        put(one, "why", json_string(af_myths[i].why));
        json_array_append_new(array, one);
    }
    return array;
}

/* ---- a program, a process ------------------------------------------------------------------------------------- */

static json_t *through(const struct af_program *p) {
    json_t *array = json_array();
    for (size_t i = 0; i < p->n_through; i++) {
        json_t *one = json_object(), *calls = json_array();
        for (size_t k = 0; k < p->through[i].n_calls; k++)
            json_array_append_new(calls, json_string(p->through[i].calls[k]));
        put(one, "file", text(p->through[i].path));
        put(one, "calls", calls);
        put(one, "opens", json_boolean(p->through[i].n_opening > 0));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *past(const struct af_program *p) {
    static const char *const by[] = { "RTLD_DEEPBIND", "dlmopen", "kernel" };
    json_t *array = json_array();
    for (size_t i = 0; i < p->n_past; i++) {
        json_t *one = json_object();
        put(one, "file", text(p->past[i].path));
        put(one, "by", json_string(by[p->past[i].by]));
        json_array_append_new(array, one);
    }
    return array;
}

static json_t *program(const struct af_program *p) {
    static const char *const reached[] = { "yes", "outside", "loaded", "no" };
    if (!p)
        return json_null();
    json_t *object = json_object(), *files = json_array(), *missing = json_array();
    for (size_t i = 0; i < p->reach.n_files; i++)
        json_array_append_new(files, text(p->reach.files[i]));
    for (size_t i = 0; i < p->n_libraries; i++)
        if (!p->libraries[i].path)
            json_array_append_new(missing, text(p->libraries[i].name));
    put(object, "name", text(p->name));
    put(object, "reached", json_string(reached[p->reached]));
    put(object, "why", text(p->why));
    put(object, "kind", text(p->kind));
    put(object, "files", files);
    put(object, "architecture", p->elf.class ? json_string(af_elf_machine(&p->elf)) : json_null());
    put(object, "loader", p->elf.loader[0] ? text(p->elf.loader) : json_null());
    put(object, "library", p->library ? text(p->library) : json_null());
    put(object, "libc", text(p->libc));
    put(object, "pie", json_boolean(p->elf.moves));
    put(object, "setuid", json_boolean(p->setuid));
    put(object, "setgid", json_boolean(p->setgid));
    put(object, "capabilities", json_boolean(p->capabilities));
    put(object, "go", json_boolean(p->code.go));
    put(object, "kernel_calls", p->code.looked ? json_integer((json_int_t)p->code.kernel_calls) : json_null());
    put(object, "dlopen", json_boolean(p->loads_later));
    put(object, "io_uring", json_boolean(p->io_uring));
    put(object, "through", p->reach.is_i386 ? json_null() : through(p));
    put(object, "past", p->reach.is_i386 ? json_null() : past(p));
    put(object, "missing", p->reach.is_i386 ? json_null() : missing);
    return object;
}

static json_t *process(const struct af_process_seen *p) {
    if (!p)
        return json_null();
    json_t *object = json_object(), *set = json_array();
    for (size_t i = 0; i < p->n_settings; i++)
        json_array_append_new(set, text(p->settings[i]));
    put(object, "pid", json_integer(p->pid));
    put(object, "inside", json_boolean(p->inside));
    put(object, "supervised", json_boolean(p->supervised));
    put(object, "why", text(p->why));
    put(object, "program", text(p->program));
    put(object, "library", text(p->library));
    put(object, "deleted", json_boolean(p->deleted));
    put(object, "ld_preload", text(p->preload));
    put(object, "settings", set);
    put(object, "complaint", text(p->complaint));
    put(object, "skipped", json_boolean(p->skipped));
    put(object, "ledger", text(p->ledger));
    put(object, "policy", text(p->policy));
    put(object, "sealed", json_boolean(p->sealed));
    put(object, "net_ns", p->net_ns ? json_integer((json_int_t)p->net_ns) : json_null());
    put(object, "seccomp", count(p->seccomp));
    put(object, "no_new_privs", count(p->no_new_privs));
    put(object, "set",
        json_string(p->set_way == AF_SET_LIBRARY   ? "library"
                    : p->set_way == AF_SET_OUTSIDE ? "outside"
                                                   : "no"));
    put(object, "set_why", text(p->set_why));
    put(object, "listening", json_integer((json_int_t)p->listening));
    put(object, "connections", json_integer((json_int_t)p->connections));
    put(object, "in_force", text(p->in_force));
    put(object, "policy_since", p->policy_since ? json_real((double)p->policy_since / 1e9) : json_null());
    return object;
}

bool af_doctor_write_json(const struct af_doctor *d, const char *path) {
    json_t *all = json_object(), *kernel = json_object();
    put(kernel, "release", text(d->machine.release));
    put(all, "version", json_integer(1));
    put(all, "kernel", kernel);
    put(all, "policies", needs("key", d->policies, d->n_policies));
    put(all, "commands", needs("name", d->commands, d->n_commands));
    put(all, "settings", settings(&d->machine));
    put(all, "time_wait", time_wait(&d->machine));
    put(all, "net_ns", net_ns(&d->machine));
    put(all, "destinations", destinations(&d->machine));
    put(all, "conntrack", conntrack(&d->machine));
    put(all, "myths", myths());
    put(all, "program", program(d->program));
    put(all, "process", process(d->process));
    return af_json_write(all, "doctor", path);
}
