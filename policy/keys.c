/* keys.def as a table, for whoever shows it: help, man pages, completion. The parser has a smaller one of its
 * own (names.c), so that the library need not link this. */
#include "policy.h"

const struct af_key_info af_keys[AF_KEYS] = {
#define KEY(id, name, roles, fallback, values, help) \
    [AF_KEY_##id] = { name, "AFTERFIN_" #id, roles, fallback, values, help },
#include "keys.def"
#undef KEY
};
