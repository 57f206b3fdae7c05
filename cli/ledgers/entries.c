/* See entries.h. */
#include "cli/ledgers/entries.h"
#include "cli/ledgers/json.h"
#include "cli/output/text.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line has its time and its age in whole milliseconds, each cut off. Images are found by the span in which they began. */
enum { TOLERANCE_NS = 3000000, SPAN_NS = 4 * TOLERANCE_NS };

/* ---- names --------------------------------------------------------------------------------------------------- */

char *af_entry_program(const char *name, size_t size) {
    enum { MOST = AF_PROGRAM_SIZE - 1, LONGEST = 4 /* bytes of a character */ };
    if (size >= MOST) {
        size = MOST;
        size_t start = size; /* of the last character */
        while (start > size - LONGEST && ((unsigned char)name[start - 1] & 0xc0) == 0x80)
            start--;
        const unsigned char lead = (unsigned char)name[start - 1];
        const size_t wants = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        if (size - (start - 1) < wants)
            size = start - 1;
    }
    return af_utf8_text(name, size, NULL);
}

/* The bytes of one \xNN, or of U+0080 to U+009F as two of them; 0: none is there. */
static size_t escape_length(const char *at) {
    enum { LENGTH = 4 };
    if (strncmp(at, "\\x", 2) != 0 || !isxdigit((unsigned char)at[2]) || !isxdigit((unsigned char)at[3]))
        return 0;
    return strncmp(at, "\\xc2\\x", 6) == 0 && (at[6] == '8' || at[6] == '9') ? 2 * LENGTH : LENGTH;
}

/* A byte that is no UTF-8 is one of its own in a ledger, and U+0080 to U+00FF in a JSON log: in the key every character
 * beyond ASCII, and every \xNN, is a question mark. */
static char *key_of(const char *program) {
    char *key = af_format("%s", program), *to = key;
    for (const char *from = program; *from;) {
        const size_t escape = escape_length(from);
        if (escape || ((unsigned char)*from & 0xc0) != 0x80)
            *to++ = escape || (unsigned char)*from >= 0x80 ? '?' : *from;
        from += escape ? escape : 1;
    }
    *to = 0;
    return key;
}

static size_t name_of(struct af_entries *entries, const char *program, size_t size) {
    const uint32_t hash = af_hash(program, size);
    size_t at = 0, name;
    while (af_lookup_next(&entries->by_program, hash, &at, &name))
        if (strncmp(entries->names[name].program, program, size) == 0 && !entries->names[name].program[size])
            return name;
    name = entries->n_names++;
    entries->names = af_room_for_one(entries->names, name, sizeof *entries->names);
    char *own = af_format("%.*s", (int)size, program);
    entries->names[name] = (struct af_name){ .program = own, .key = key_of(own) };
    entries->names[name].hash = af_hash(entries->names[name].key, strlen(entries->names[name].key));
    af_lookup_add(&entries->by_program, hash, name);
    return name;
}

/* ---- counts by name ------------------------------------------------------------------------------------------ */

void af_pairs_add(struct af_pairs *pairs, uint32_t *of, const char *name, size_t name_size, const char *digits,
                  size_t n_digits) {
    const size_t used = pairs->errors + pairs->time_wait_to, more = name_size + 1 + n_digits + 1;
    if (used + more > pairs->room) {
        pairs->room = (uint32_t)(2 * (used + more));
        pairs->text = af_array(pairs->text, pairs->room, 1);
    }
    char *to = mempcpy(pairs->text + used, name, name_size);
    *to++ = 0;
    to = mempcpy(to, digits, n_digits);
    *to = 0;
    *of += (uint32_t)more;
}

void af_pairs_add_json(struct af_pairs *pairs, uint32_t *of, const json_t *object) {
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)object, name, n) {
        char digits[24];
        const int length = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(n));
        af_pairs_add(pairs, of, name, strlen(name), digits, (size_t)length);
    }
}

static void set_pairs(struct af_pairs *pairs, const struct af_pairs *to) {
    const uint32_t size = to->errors + to->time_wait_to;
    if (size > pairs->room) {
        pairs->text = af_array(pairs->text, size, 1);
        pairs->room = size;
    }
    if (size)
        memcpy(pairs->text, to->text, size);
    pairs->errors = to->errors;
    pairs->time_wait_to = to->time_wait_to;
}

/* ---- images -------------------------------------------------------------------------------------------------- */

/* In containers everybody is the same few pids: the time tells them apart. */
static uint32_t hash_of(const struct af_entries *entries, const struct af_entry *e, uint64_t span) {
    return af_hash_more(af_hash_more(entries->names[e->name].hash, (uint64_t)e->pid), span);
}

static void append(struct af_entries *entries, const struct af_entry *told) {
    entries->all = af_room_for_one(entries->all, entries->n, sizeof *entries->all);
    struct af_entry *e = &entries->all[entries->n];
    *e = *told;
    e->pairs = (struct af_pairs){ .text = NULL };
    set_pairs(&e->pairs, &told->pairs);
    af_lookup_add(&entries->images, hash_of(entries, e, e->started / SPAN_NS), entries->n++);
}

static bool is_same(const struct af_entries *entries, const struct af_entry *x, const struct af_entry *y) {
    const uint64_t apart = x->started > y->started ? x->started - y->started : y->started - x->started;
    return x->pid == y->pid && apart <= TOLERANCE_NS &&
           (x->name == y->name || strcmp(entries->names[x->name].key, entries->names[y->name].key) == 0);
}

/* NULL: none of its image was told of before that began in this span. */
static struct af_entry *find_in(const struct af_entries *entries, const struct af_entry *told, uint64_t span) {
    const uint32_t hash = hash_of(entries, told, span);
    size_t at = 0, number;
    while (af_lookup_next(&entries->images, hash, &at, &number))
        if (is_same(entries, &entries->all[number], told))
            return &entries->all[number];
    return NULL;
}

static struct af_entry *find(const struct af_entries *entries, const struct af_entry *told) {
    const uint64_t span = told->started / SPAN_NS, into = told->started % SPAN_NS;
    struct af_entry *found = find_in(entries, told, span);
    if (!found && into <= TOLERANCE_NS && span)
        found = find_in(entries, told, span - 1);
    if (!found && into >= SPAN_NS - TOLERANCE_NS)
        found = find_in(entries, told, span + 1);
    return found;
}

void af_entries_take(struct af_entries *entries, const char *program, size_t size, const struct af_entry *line) {
    struct af_entry told = *line, *e;
    told.name = name_of(entries, program, size);
    told.known = AF_KNOWS_ALL; /* the library wrote it */
    e = find(entries, &told);
    if (!e) {
        append(entries, &told);
    } else if (e->at <= told.at) { /* when the image began stays what it was: no chain of lines leads away from it */
        e->at = told.at;
        e->name = told.name;
        e->known = told.known;
        memcpy(e->count, told.count, sizeof e->count);
        set_pairs(&e->pairs, &told.pairs);
    }
}

/* ---- ledgers ------------------------------------------------------------------------------------------------- */

/* Two ledgers are two images, however close they began. */
void af_entries_add(struct af_entries *entries, const struct af_collection *found, const struct af_strings *only) {
    for (size_t i = 0; i < found->n_rows; i++) {
        const struct af_row *row = &found->rows[i];
        if (only && !af_strings_have(only, found->images[row->image].entry))
            continue;
        const char *name = found->images[row->image].program;
        char *program = af_entry_program(name, strlen(name));
        json_t *errors = json_object(), *time_wait_to = af_json_endpoints(row);
        struct af_entry e = { .name = name_of(entries, program, strlen(program)),
                              .pid = row->seen.pid,
                              .started = row->seen.started,
                              .at = UINT64_MAX,
                              .running = row->fate == AF_FATE_RUNNING,
                              .time_wait_now = row->confirmed,
                              .known = af_seen_knows(&row->seen) };
        memcpy(e.count, row->seen.count, sizeof e.count);
        af_json_add_errors(errors, &row->seen);
        af_pairs_add_json(&e.pairs, &e.pairs.errors, errors);
        af_pairs_add_json(&e.pairs, &e.pairs.time_wait_to, time_wait_to);
        append(entries, &e);
        json_decref(errors);
        json_decref(time_wait_to);
        free(e.pairs.text);
        free(program);
    }
}

void af_entries_free(struct af_entries *entries) {
    for (size_t i = 0; i < entries->n; i++)
        free(entries->all[i].pairs.text);
    for (size_t i = 0; i < entries->n_names; i++) {
        free(entries->names[i].program);
        free(entries->names[i].key);
    }
    free(entries->all);
    free(entries->names);
    af_lookup_free(&entries->images);
    af_lookup_free(&entries->by_program);
}
