/* The names that settings and rules go by. Rows hold their text in place: in a shared library each pointer to
 * a string would be a relocation, paid by every program at its start. */
#include "inner.h"

enum { NAME_SIZE = 16, VALUES_SIZE = 36, FAR = 2 };

static const struct row {
    char name[NAME_SIZE];
    char values[VALUES_SIZE];
    uint8_t roles;
} rows[AF_KEYS] = {
#define KEY(id, name, roles, fallback, values, help) [AF_KEY_##id] = {name, values, roles},
#include "keys.def"
#undef KEY
};

#define KEY(id, name, roles, fallback, values, help) \
    _Static_assert(sizeof(name) <= NAME_SIZE && sizeof(values) <= VALUES_SIZE, #id " fits its row");
#include "keys.def"
#undef KEY

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool af_key_find(struct af_span name, enum af_key *out)
{
    for (unsigned k = 0; k < AF_KEYS; k++)
        if (af_is(name, rows[k].name)) {
            *out = (enum af_key)k;
            return true;
        }
    return false;
}

bool af_key_find_variable(struct af_span name, enum af_key *out)
{
    char key[NAME_SIZE];
    if (name.n >= sizeof key)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (name.s[i] != '_' && (name.s[i] < 'A' || name.s[i] > 'Z'))
            return false;
        key[i] = lower(name.s[i]);
    }
    return af_key_find((struct af_span){key, name.n}, out);
}

const char *af_key_name(enum af_key key)
{
    return rows[key].name;
}

const char *af_key_values(enum af_key key)
{
    return rows[key].values;
}

uint32_t af_key_roles(enum af_key key)
{
    return rows[key].roles;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein's, capitals and small letters alike. */
static unsigned distance(struct af_span a, const char *b)
{
    unsigned row[NAME_SIZE], n = 0;
    for (; b[n]; n++)
        row[n] = n;
    row[n] = n;
    for (size_t i = 0; i < a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (unsigned j = 1; j <= n; j++) {
            unsigned changed = diagonal + (lower(a.s[i]) != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

const char *af_key_near(struct af_span name)
{
    const char *near = NULL;
    unsigned best = FAR + 1;
    if (name.n >= NAME_SIZE + FAR)
        return NULL;
    for (unsigned k = 0; k < AF_KEYS; k++) {
        unsigned d = distance(name, rows[k].name);
        if (d < best) {
            best = d;
            near = rows[k].name;
        }
    }
    return near;
}
