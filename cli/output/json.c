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

enum { FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(12) };

/* JSON is UTF-8; a name or an argument need not be. */
json_t *af_json_text(const char *from, size_t size) {
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

bool af_json_write(json_t *all, const char *command, const char *path) {
    char *dump = json_dumps(all, FLAGS), *data = dump ? af_format("%s\n", dump) : NULL;
    bool ok = data && af_output(data, command, "JSON", path);
    if (!data)
        af_tell("%s: cannot write JSON: %s", command, strerror(ENOMEM));
    free(data);
    free(dump);
    json_decref(all);
    return ok;
}
