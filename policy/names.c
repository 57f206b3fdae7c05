/* The names that settings and rules go by. Rows hold their text in place: in a shared library each pointer to
 * a string is a relocation, which every program pays for at its start (af_keys: 80, 1,100 instructions). */
#include "inner.h"

enum { NAME_SIZE = 16, VARIABLE_SIZE = 24, FALLBACK_SIZE = 8, VALUES_SIZE = 36, FAR = 2 };

static const struct row {
    char name[NAME_SIZE], variable[VARIABLE_SIZE], fallback[FALLBACK_SIZE], values[VALUES_SIZE];
    uint8_t roles;
} rows[AF_KEYS] = {
#define KEY(id, name, roles, fallback, values, help) [AF_KEY_##id] = { name, "AFTERFIN_" #id, fallback, values, roles },
#include "keys.def"
#undef KEY
};

#define KEY(id, name, roles, fallback, values, help) \
    _Static_assert(sizeof(name) <= NAME_SIZE && sizeof("AFTERFIN_" #id) <= VARIABLE_SIZE && \
                       sizeof(fallback) <= FALLBACK_SIZE && sizeof(values) <= VALUES_SIZE, \
                   #id " fits its row");
#include "keys.def"
#undef KEY

const char *af_key_name(enum af_key key) {
    return rows[key].name;
}

const char *af_key_variable(enum af_key key) {
    return rows[key].variable;
}

const char *af_key_fallback(enum af_key key) {
    return rows[key].fallback;
}

const char *af_key_values(enum af_key key) {
    return rows[key].values;
}

uint32_t af_key_roles(enum af_key key) {
    return rows[key].roles;
}

bool af_key_find(struct af_span name, enum af_key *out) {
    unsigned k = 0;
    while (k < AF_KEYS && !af_is(name, rows[k].name))
        k++;
    *out = (enum af_key)k;
    return k < AF_KEYS;
}

/* Every program that has settings passes here at its start, and all names begin alike: the rest is compared. */
bool af_key_find_variable(struct af_span variable, enum af_key *out) {
    enum { PREFIX = sizeof "AFTERFIN_" - 1 };
    unsigned k = variable.n > PREFIX ? 0 : AF_KEYS;
    while (k < AF_KEYS && !af_is(af_from(variable, PREFIX), rows[k].variable + PREFIX))
        k++;
    *out = (enum af_key)k;
    return k < AF_KEYS;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* Letters of the longer. */
static unsigned most(size_t n, const char *name) {
    unsigned letters = 0;
    while (name[letters])
        letters++;
    return n > letters ? (unsigned)n : letters;
}

/* Levenshtein's, capitals and small letters alike. */
static unsigned distance(struct af_span a, const char *b) {
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

bool af_key_near(struct af_span name, unsigned role, enum af_key *out) {
    unsigned best = FAR + 1;
    for (unsigned k = 0; k < AF_KEYS && name.n < NAME_SIZE + FAR; k++) {
        const unsigned d = distance(name, rows[k].name), letters = most(name.n, rows[k].name);
        if (d < best && d * 3 <= letters && (role == AF_ROLES || rows[k].roles >> role & 1)) {
            best = d;
            *out = (enum af_key)k;
        }
    }
    return best <= FAR;
}
