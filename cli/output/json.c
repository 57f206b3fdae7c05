/* See json.h. */
#include "cli/output/json.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON is UTF-8; a name or an argument need not be. */
json_t *af_json_text(const char *from, size_t size) {
    char *text = af_utf8_text(from, size, &size);
    json_t *value = json_stringn_nocheck(text, size);
    free(text);
    return value;
}

json_t *af_json_address(const struct af_addr *addr) {
    char text[AF_ADDR_TEXT];
    size_t size = af_addr_text(addr, text);
    return json_stringn_nocheck(text, size);
}

void af_json_put(json_t *object, const char *name, uint64_t n) {
    json_object_set_new(object, name, json_integer((json_int_t)n));
}

void af_json_add(json_t *to, json_t *from) {
    const char *name;
    json_t *n;
    json_object_foreach(from, name, n) {
        const json_t *before = json_object_get(to, name);
        af_json_put(to, name, (uint64_t)json_integer_value(before) + (uint64_t)json_integer_value(n));
    }
}

/* One escape of a string, at its backslash, is put to *to. Returns bytes eaten. A reader would turn \u001b back into what
 * a terminal obeys, and may print it. */
static size_t next_escape(const char *at, char **to) {
    const bool unicode = at[1] == 'u';
    unsigned code = at[1] == 'b' ? '\b' : at[1] == 'f' ? '\f' : at[1] == 'r' ? '\r' : ' ';
    if (unicode)
        sscanf(at + 2, "%4x", &code);
    if (code < ' ')
        *to += sprintf(*to, "\\\\x%02x", code);
    else
        *to = mempcpy(*to, at, unicode ? 6 : 2);
    return unicode ? 6 : 2;
}

/* Jansson writes backslashes in strings only, and \uNNNN for what is below U+0020 only. */
char *af_json_dump(const json_t *all, size_t flags) {
    char *dump = json_dumps(all, flags);
    if (!dump)
        return NULL;
    char *out = af_array(NULL, strlen(dump) + 1, 3), *to = out; /* \b becomes \\x08 */
    for (const char *from = dump; *from;) {
        const size_t plain = strcspn(from, "\\");
        to = mempcpy(to, from, plain);
        from += plain;
        if (*from)
            from += next_escape(from, &to);
    }
    free(dump);
    char *text = af_utf8_json(out, (size_t)(to - out));
    free(out);
    return text;
}

bool af_json_write(json_t *all, const char *command, const char *path) {
    char *dump = af_json_dump(all, AF_JSON_LAYOUT), *data = dump ? af_format("%s\n", dump) : NULL;
    bool ok = data && af_output(data, command, "JSON", path);
    if (!data)
        af_tell("%s: cannot write JSON: %s", command, strerror(ENOMEM));
    free(data);
    free(dump);
    json_decref(all);
    return ok;
}
