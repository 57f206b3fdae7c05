/* What who writes for machines: DESIGN's `who --json`. A socket of another network namespace, a pid of another
 * pid namespace, another user's ledger and a state other than TIME_WAIT are told by a field more. Of sockets there may be a
 * million: they are written as text, one by one, and laid out as jansson lays the rest out. */
#include "cli/output/file.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/who/who.h"

#include <errno.h>
#include <stdio.h>
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

/* ---- sockets ------------------------------------------------------------------------------------------------ */

enum { MEMBER = 6 /* blanks before one of a socket's */ };

/* What is between the braces of an object, for a socket's members: "\n      \"pid\": 7,\n      ..." */
static char *members(json_t *object) {
    char *dump = af_json_dump(object, AF_JSON_LAYOUT), *text = NULL;
    size_t size, n = dump ? strlen(dump) : 0;
    FILE *to = open_memstream(&text, &size);
    for (size_t i = 1; to && i + 2 < n; i++) { /* the last ones: "\n}" */
        putc(dump[i], to);
        if (dump[i] == '\n')
            fprintf(to, "%*s", MEMBER - 2, "");
    }
    if (to)
        fclose(to);
    free(dump);
    json_decref(object);
    return text ? text : af_format("%s", "");
}

/* "pid" and "program" of each row that left any, and of nobody at the end; from malloc, NULL of others. */
static char **make_owners(const struct af_who *w, json_t *const *programs) {
    const size_t nobody = w->owners.found.n_rows;
    char **owners = af_array(NULL, nobody + 1, sizeof *owners);
    memset(owners, 0, (nobody + 1) * sizeof *owners);
    for (size_t i = 0; i < w->n_order; i++) {
        json_t *object = json_object();
        put_process(object, w, w->order[i], programs[w->owners.found.rows[w->order[i]].image]);
        owners[w->order[i]] = members(object);
    }
    owners[nobody] = members(json_pack("{s:n,s:n}", "pid", "program"));
    return owners;
}

/* As jansson writes a number that is none of the integers: 12.0, 12.05. */
static void put_seconds(FILE *to, uint32_t ms) {
    char digits[16];
    int n = snprintf(digits, sizeof digits, "%u.%03u", ms / 1000, ms % 1000);
    while (digits[n - 1] == '0' && digits[n - 2] != '.')
        n--;
    fwrite_unlocked(digits, 1, (size_t)n, to);
}

static void put_text(FILE *to, const char *name, const char *value) {
    fputs_unlocked(name, to);
    fputs_unlocked(value, to);
    putc_unlocked('"', to);
}

static void put_socket(FILE *to, const struct af_who *w, const struct af_owned *owned, char *const *owners,
                       json_t *const *programs) {
    const bool known = owned->owner.row != AF_NO_ROW;
    char addr[AF_ADDR_TEXT];
    fputs_unlocked("\n    {", to);
    af_addr_text(&owned->socket.local, addr);
    put_text(to, "\n      \"local\": \"", addr);
    af_addr_text(&owned->socket.peer, addr);
    put_text(to, ",\n      \"peer\": \"", addr);
    fputs_unlocked(",\n      \"expires_s\": ", to);
    put_seconds(to, owned->socket.expires_ms);
    putc_unlocked(',', to);
    fputs_unlocked(owners[known ? owned->owner.row : w->owners.found.n_rows], to);
    if (known)
        put_text(to, ",\n      \"role\": \"", owned->owner.accepted ? "accept" : "connect");
    else
        fputs_unlocked(",\n      \"role\": null", to);
    if (owned->owner.n_claims) {
        char *text = members(json_pack("{s:o}", "claims", claims(w, &owned->owner, programs)));
        putc_unlocked(',', to);
        fputs_unlocked(text, to);
        free(text);
    }
    if (owned->socket.state != AF_IN_TIME_WAIT)
        put_text(to, ",\n      \"state\": \"", af_who_state(owned));
    if (owned->net_ns)
        fprintf(to, ",\n      \"net_ns\": %llu", (unsigned long long)owned->net_ns);
    fputs_unlocked("\n    }", to);
}

static void put_sockets(FILE *to, const struct af_who *w, json_t *const *programs) {
    char **owners = make_owners(w, programs);
    fputs("  \"sockets\": [", to);
    for (size_t i = 0; i < w->listed; i++) {
        if (i)
            putc_unlocked(',', to);
        put_socket(to, w, &w->owners.all[i], owners, programs);
    }
    fputs(w->listed ? "\n  ]" : "]", to);
    for (size_t i = 0; i <= w->owners.found.n_rows; i++)
        free(owners[i]);
    free(owners);
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

/* One that came while it ran. */
static void put_policy(json_t *process, const struct af_image *image) {
    if (!image->policy_since)
        return;
    json_object_set_new(process, "policy", af_json_text(image->policy, strnlen(image->policy, sizeof image->policy)));
    json_object_set_new(process, "policy_since", json_real((double)image->policy_since / 1e9));
}

static json_t *rest(const struct af_who *w, json_t *const *programs) {
    json_t *all = json_object(), *processes = json_array();
    for (size_t i = 0; i < w->n_order; i++) {
        const size_t row = w->order[i];
        json_t *process = json_object();
        put_process(process, w, row, programs[w->owners.found.rows[row].image]);
        af_json_put(process, "time_wait", w->left[row]);
        put_policy(process, &w->owners.found.images[w->owners.found.rows[row].image]);
        json_array_append_new(processes, process);
    }
    json_object_set_new(all, "processes", processes);
    af_json_put(all, "unknown", w->unknown);
    if (w->contested)
        af_json_put(all, "contested", w->contested);
    return all;
}

/* From malloc; NULL: no memory. */
static char *document(const struct af_who *w, json_t *const *programs) {
    char *text = NULL;
    size_t size;
    json_t *all = rest(w, programs);
    char *dump = af_json_dump(all, AF_JSON_LAYOUT);
    json_decref(all);
    FILE *to = dump ? open_memstream(&text, &size) : NULL;
    if (to) {
        fputs("{\n  \"version\": 1,\n", to);
        put_sockets(to, w, programs);
        fprintf(to, ",%s\n", dump + 1); /* after its brace */
    }
    free(dump);
    if (to && fclose(to) != 0) {
        free(text);
        text = NULL;
    }
    return to ? text : NULL;
}

/* A hundred thousand sockets share the names of a few programs. */
bool af_who_write_json(const struct af_who *w, const char *path) {
    const struct af_collection *found = &w->owners.found;
    json_t **programs = af_array(NULL, found->n_images, sizeof *programs);
    for (size_t i = 0; i < found->n_images; i++)
        programs[i] = af_json_text(found->images[i].program, strlen(found->images[i].program));
    char *text = document(w, programs);
    for (size_t i = 0; i < found->n_images; i++)
        json_decref(programs[i]);
    free(programs);
    if (!text)
        af_tell("who: cannot write JSON: %s", strerror(ENOMEM));
    const bool ok = text && af_output(text, "who", "JSON", path);
    free(text);
    return ok;
}
