/* Between the files of policy/, nobody else's business: slices of text, what went wrong where, and the
 * readers of one kind of text each. */
#ifndef AFTERFIN_POLICY_INNER_H
#define AFTERFIN_POLICY_INNER_H

#include "policy.h"

struct af_span {
    const char *s;
    size_t n;
};

/* What is wrong with a value. Shown as "WHY; expected EXPECTED; did you mean MEANT?", each of them NULL where
 * there is nothing to say. Not to be copied: `expected` may point into `room`. */
struct af_fault {
    struct af_span at;
    const char *why, *expected, *meant;
    char room[112];
};

static inline bool af_is(struct af_span s, const char *word) {
    size_t i = 0;
    while (i < s.n && word[i] && word[i] == s.s[i]) /* a file may hold a NUL, which is not the end of its text */
        i++;
    return i == s.n && !word[i];
}

/* Where `c` first stands in s; s.n where it does not. */
static inline size_t af_index(struct af_span s, char c) {
    size_t i = 0;
    while (i < s.n && s.s[i] != c)
        i++;
    return i;
}

static inline struct af_span af_cut(struct af_span s, size_t from, size_t to) {
    return (struct af_span){ from ? s.s + from : s.s, to - from }; /* an unset value is NULL, and stays so */
}

static inline struct af_span af_from(struct af_span s, size_t from) {
    return af_cut(s, from, s.n);
}

static inline bool af_is_space(char c) {
    return c == ' ' || c == '\t';
}

/* span.c */
struct af_span af_trim(struct af_span s);
/* Takes the next item off a comma-separated list, trimmed; false at its end, which an empty item is not. Start
 * with *pos = 0. */
bool af_next_item(struct af_span list, size_t *pos, struct af_span *item);
/* What to show for an empty item: the commas round it. */
struct af_span af_round_item(struct af_span list, struct af_span item);
/* Decimal digits and nothing else; what is too large for *out comes back as UINT32_MAX. */
bool af_read_number(struct af_span s, uint32_t *out);
/* Writes n in decimal, no NUL; returns the digits written, at most 10. */
size_t af_write_number(uint32_t n, char *out);

/* names.c */
bool af_key_find(struct af_span name, enum af_key *out);
/* By its variable, which is known to begin with AFTERFIN_. */
bool af_key_find_variable(struct af_span variable, enum af_key *out);
const char *af_key_values(enum af_key key);
uint32_t af_key_roles(enum af_key key);
/* The key, of that role (AF_ROLES: any), whose name is at most two edits away, and a third of the letters. */
bool af_key_near(struct af_span name, unsigned role, enum af_key *out);

/* The room that the parser was given, as lists. */
struct af_lists {
    struct af_rule *rules;
    struct af_source *sources;
    struct af_match4 *v4;
    struct af_match6 *v6;
    size_t n_rules, room_rules;
    uint32_t n_sources, room_sources;
};

/* values.c: the value of a key that acts on a socket. */
bool af_value_read(enum af_key key, struct af_span s, struct af_values *out, struct af_lists *lists,
                   struct af_fault *f);
/* on/off and its synonyms. */
bool af_flag_read(struct af_span s, bool *out);

/* source.c */
bool af_source_read(struct af_span s, struct af_values *out, struct af_lists *lists, struct af_fault *f);
/* How many ranges a text can hold at most that holds `values` values of the key. */
size_t af_source_room(struct af_span text, size_t values);

/* rules.c, target.c */
/* file: a # begins a comment. */
bool af_rules_read(struct af_span text, bool file, struct af_lists *lists, struct af_fault *f);
/* How many rules the text can hold at most. */
size_t af_rules_room(struct af_span text, bool file);
bool af_target_read(struct af_span text, struct af_rule *rule, struct af_fault *f);

/* match.c: what of an address a rule asks for, in the order of the rules; `any` stands in both lists. */
struct af_match4 {
    uint32_t net, mask;
    uint16_t low, width; /* of the ports */
    uint32_t rule;
};
struct af_match6 {
    uint64_t net[2], mask[2];
    uint16_t low, width;
    uint32_t rule;
};
void af_index_rules(struct af_policy *p, const struct af_lists *lists);
/* The first rule from the *at-th on of its list that matches, NULL: none; *at is then behind it. */
const struct af_rule *af_next_match(const struct af_policy *p, enum af_role role, const struct af_addr *addr,
                                    uint32_t *at);

/* address.c: NULL, or what is wrong. */
const char *af_ip4_read(struct af_span s, uint8_t out[4]);
const char *af_ip6_read(struct af_span s, uint8_t out[16]);
/* "10.0.0.5" or "2001:db8::1", no NUL; returns its length, at most 45. */
size_t af_ip_text(const uint8_t *ip, bool v6, char *out);
bool af_ip_is_mapped(const uint8_t ip[16]);

/* error.c */
void af_fault_set(struct af_fault *f, struct af_span at, const char *why, const char *expected);
/* `name` is the whole variable's, f->at a part of `value`, or of the `file` that the value names. */
void af_error_write(struct af_error *error, struct af_span name, struct af_span value, struct af_span file,
                    const struct af_fault *f);

/* For `return af_fail(...)`: inline, so that the compiler sees that it is false. */
static inline bool af_fail(struct af_fault *f, struct af_span at, const char *why, const char *expected) {
    af_fault_set(f, at, why, expected);
    return false;
}

#endif
