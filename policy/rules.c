/* AFTERFIN_RULES: "ROLE TARGET key=value[,key=value...]", separated by ; or a newline, in the variable or in a file. */
#include "inner.h"

/* Takes the text up to the next ; or newline, or in a file #, trimmed; false at the end. */
static bool next_rule(struct af_span text, bool file, size_t *pos, struct af_span *rule) {
    if (*pos > text.n)
        return false;
    size_t end = *pos;
    while (end < text.n && text.s[end] != ';' && text.s[end] != '\n' && !(file && text.s[end] == '#'))
        end++;
    *rule = af_trim(af_cut(text, *pos, end));
    if (end < text.n && text.s[end] == '#')
        while (end < text.n && text.s[end] != '\n')
            end++;
    *pos = end + 1;
    return true;
}

size_t af_rules_room(struct af_span text, bool file) {
    size_t n = 0, pos = 0;
    struct af_span rule;
    while (next_rule(text, file, &pos, &rule))
        n += rule.n > 0;
    return n;
}

static struct af_span take_word(struct af_span *rest) {
    size_t end = 0;
    while (end < rest->n && !af_is_space(rest->s[end]))
        end++;
    struct af_span word = af_cut(*rest, 0, end);
    *rest = af_trim(af_from(*rest, end));
    return word;
}

static bool read_role(struct af_span s, uint8_t *out, struct af_fault *f) {
    if (af_is(s, "bind"))
        *out = AF_ROLE_BIND;
    else if (af_is(s, "connect"))
        *out = AF_ROLE_CONNECT;
    else if (af_is(s, "listen"))
        *out = AF_ROLE_LISTEN;
    else
        return af_fail(f, s, "unknown role", "bind, connect or listen");
    return true;
}

/* "linger, keepalive, user_timeout", into the fault's own room. */
static const char *keys_of_role(unsigned role, struct af_fault *f) {
    size_t n = 0;
    for (unsigned k = 0; k < AF_KEYS; k++) {
        const char *name = af_key_name((enum af_key)k);
        if (!(af_key_roles((enum af_key)k) >> role & 1))
            continue;
        if (n && n + 2 < sizeof f->room) {
            f->room[n++] = ',';
            f->room[n++] = ' ';
        }
        while (*name && n + 1 < sizeof f->room)
            f->room[n++] = *name++;
    }
    f->room[n] = '\0';
    return f->room;
}

static bool read_key(struct af_span item, struct af_span name, const struct af_rule *rule, enum af_key *key,
                     struct af_fault *f) {
    if (!af_key_find(name, key)) {
        enum af_key near;
        af_fail(f, name, "unknown key", keys_of_role(rule->role, f));
        f->meant = af_key_near(name, rule->role, &near) ? af_key_name(near) : NULL;
        return false;
    }
    if (!af_key_roles(*key))
        return af_fail(f, item, "no rule may carry this key", keys_of_role(rule->role, f));
    if (!(af_key_roles(*key) >> rule->role & 1))
        return af_fail(f, item, "this key does not belong to this role", keys_of_role(rule->role, f));
    if (rule->named >> *key & 1)
        return af_fail(f, item, "the same key twice in one rule", "each key once");
    return true;
}

/* key=value */
static bool read_item(struct af_span item, struct af_rule *rule, struct af_lists *lists, struct af_fault *f) {
    size_t equals = af_index(item, '=');
    struct af_span value;
    enum af_key key;
    if (equals == item.n || equals == 0)
        return af_fail(f, item, NULL, "KEY=VALUE");
    if (!read_key(item, af_cut(item, 0, equals), rule, &key, f))
        return false;
    value = af_from(item, equals + 1);
    if (af_index(value, ' ') < value.n || af_index(value, '\t') < value.n)
        return af_fail(f, item, "a space inside", "KEY=VALUE[,KEY=VALUE...]");
    if (!af_value_read(key, value, &rule->values, lists, f)) {
        if (f->at.n == value.n)
            f->at = item; /* "linger=0" says more than "0" */
        return false;
    }
    rule->named |= 1u << key;
    return true;
}

static bool read_rule(struct af_span text, struct af_rule *rule, struct af_lists *lists, struct af_fault *f) {
    static const char form[] = "ROLE TARGET KEY=VALUE[,KEY=VALUE...]";
    struct af_span rest = text, item, target, role = take_word(&rest);
    uint8_t role_number;
    size_t pos = 0;
    if (!read_role(role, &role_number, f))
        return false;
    target = take_word(&rest);
    if (!target.n || af_index(target, '=') < target.n)
        return af_fail(f, text, "the TARGET is missing", form);
    if (!af_target_read(target, rule, f))
        return false;
    rule->role = role_number;
    if (!rest.n)
        return af_fail(f, text, "the policies are missing", form);
    while (af_next_item(rest, &pos, &item)) {
        if (!item.n)
            return af_fail(f, af_round_item(rest, item), "nothing between commas", "KEY=VALUE[,KEY=VALUE...]");
        if (!read_item(item, rule, lists, f))
            return false;
    }
    return true;
}

bool af_rules_read(struct af_span text, bool file, struct af_lists *lists, struct af_fault *f) {
    size_t pos = 0;
    struct af_span rule;
    while (next_rule(text, file, &pos, &rule)) {
        if (!rule.n)
            continue;
        if (lists->n_rules == lists->room_rules)
            return af_fail(f, rule, "no room for this many rules", NULL);
        if (!read_rule(rule, &lists->rules[lists->n_rules], lists, f))
            return false;
        lists->n_rules++;
    }
    return true;
}
