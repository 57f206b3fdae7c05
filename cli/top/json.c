/* What top --once writes for machines. */
#include "cli/launch/result.h"
#include "cli/ledgers/names.h"
#include "cli/output/json.h"
#include "cli/top/view.h"

#include <string.h>

/* The local address without its port: the ports are what is counted. */
static json_t *host(const struct af_addr *addr) {
    char text[AF_ADDR_TEXT];
    size_t size = af_addr_text(addr, text);
    while (size && text[size - 1] != ':')
        size--;
    const bool brackets = text[0] == '[';
    return json_stringn(text + brackets, size - 1 - 2 * (size_t)brackets);
}

static json_t *or_null(double n) {
    return n < 0 ? json_null() : json_real(n);
}

static void put_share(json_t *object, const struct af_top_share *share) {
    json_object_set_new(object, "share", share->at ? json_real((double)share->used / share->of) : json_null());
    json_object_set_new(object, "full_in_s", share->at ? or_null(share->full_in_s) : json_null());
}

static json_t *busiest(const struct af_top_share *share) {
    if (!share->at)
        return json_null();
    json_t *object = json_object();
    json_object_set_new(object, "local", host(&share->at->local));
    json_object_set_new(object, "peer", af_json_address(&share->at->peer));
    af_json_put(object, "own", share->own);
    af_json_put(object, "used", share->used);
    af_json_put(object, "ports", share->of);
    if (share->taken_over)
        af_json_put(object, "taken_over", share->taken_over);
    if (share->at->net_ns)
        af_json_put(object, "net_ns", share->at->net_ns);
    return object;
}

static json_t *endpoints(const struct af_top_row *row) {
    json_t *array = json_array();
    for (size_t i = 0; i < row->n_endpoints; i++) {
        const struct af_top_endpoint *e = &row->endpoints[i];
        const struct af_endpoint named = { .addr = e->addr, .accepted = e->accepted };
        char text[AF_ADDR_TEXT];
        json_t *object = json_object();
        af_endpoint_text(&named, text);
        json_object_set_new(object, "endpoint", json_string(text));
        json_object_set_new(object, "role", json_string(e->accepted ? "accept" : "connect"));
        af_json_put(object, "open", e->open);
        af_json_put(object, "time_wait", e->time_wait);
        af_json_put(object, "left", e->left);
        put_share(object, &e->share);
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *one_row(const struct af_top_row *row, enum af_top_by by) {
    json_t *object = json_object();
    const bool counted = af_top_is_counted(row);
    if (by == AF_BY_PROCESS)
        json_object_set_new(object, "pid", json_integer(row->pid));
    if (row->pid_ns)
        af_json_put(object, "pid_ns", row->pid_ns);
    json_object_set_new(object, "program", af_json_text(row->program, strlen(row->program)));
    if (by == AF_BY_PROCESS)
        json_object_set_new(object, "ended", json_string(af_fate_name(row->fate)));
    else
        af_json_put(object, "processes", row->processes);
    if (by == AF_BY_PROGRAM)
        af_json_put(object, "running", row->running);
    json_object_set_new(object, "open", counted ? json_integer((json_int_t)row->open) : json_null());
    json_object_set_new(object, "new_per_s", or_null(row->new_per_s));
    af_json_put(object, "time_wait", row->time_wait);
    json_object_set_new(object, "avoided", counted ? json_integer((json_int_t)row->avoided) : json_null());
    put_share(object, &row->busiest);
    json_object_set_new(object, "busiest", busiest(&row->busiest));
    json_object_set_new(object, "endpoints", endpoints(row));
    return object;
}

static json_t *range(const struct af_ephemeral *ports) {
    if (!ports->n)
        return json_null();
    json_t *object = json_object();
    af_json_put(object, "low", ports->low);
    af_json_put(object, "high", ports->high);
    af_json_put(object, "ports", ports->n);
    return object;
}

bool af_top_write_json(const struct af_top_rows *rows, const struct af_top_view *view, const struct af_top_sample *now,
                       double interval_s, enum af_top_by by, const char *path) {
    json_t *all = json_object(), *list = json_array();
    uint64_t unknown = 0, contested = 0;
    for (size_t i = 0; i < rows->n; i++)
        if (rows->all[i].unknown)
            *(rows->all[i].contested ? &contested : &unknown) += rows->all[i].time_wait;
    for (size_t i = 0; i < view->n; i++)
        if (!view->rows[i]->unknown)
            json_array_append_new(list, one_row(view->rows[i], by));
    json_object_set_new(all, "version", json_integer(1));
    json_object_set_new(all, "interval_s", json_real(interval_s));
    json_object_set_new(all, "port_range", range(&now->namespaces[0].ports));
    json_object_set_new(all, "tcp_tw_reuse", now->tw_reuse < 0 ? json_null() : json_integer(now->tw_reuse));
    json_object_set_new(all, by == AF_BY_PROCESS ? "processes" : "programs", list);
    af_json_put(all, "unknown", unknown);
    if (contested)
        af_json_put(all, "contested", contested);
    return af_json_write(all, "top", path);
}
