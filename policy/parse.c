/* Settings ("AFTERFIN_NAME=VALUE") into a struct af_policy. */
#include "inner.h"

#include <errno.h>

static const char prefix[] = "AFTERFIN_";
enum { PREFIX = sizeof prefix - 1, LOG_INTERVAL_MAX = INT32_MAX, LOG_INTERVAL = 60 };

/* The settings as found, before any is looked into: the last of a name decides, and an empty one unsets. */
struct found {
    const char *setting[AF_KEYS];
    const char *unknown; /* the first */
};

static void clear(struct af_policy *p) {
    *p = (struct af_policy){ .log_interval_s = LOG_INTERVAL };
}

static struct af_span whole(const char *s) {
    struct af_span span = { s, 0 };
    while (s[span.n])
        span.n++;
    return span;
}

/* Hot: every string of every program's environment passes here. */
static bool is_ours(const char *s) {
    for (size_t i = 0; i < PREFIX; i++)
        if (s[i] != prefix[i])
            return false;
    return true;
}

static struct af_span name_of(const char *setting) {
    struct af_span name = { setting, 0 };
    while (setting[name.n] && setting[name.n] != '=') /* the value may be long */
        name.n++;
    return name;
}

static struct af_span value_of(const char *setting) {
    return whole(setting + name_of(setting).n + 1);
}

static bool begins_with(struct af_span s, const char *prefix_of) {
    size_t i = 0;
    while (i < s.n && prefix_of[i] && s.s[i] == prefix_of[i])
        i++;
    return !prefix_of[i];
}

bool af_policy_is_injected(const char *setting) {
    struct af_span name = af_from(name_of(setting), PREFIX);
    size_t digits = sizeof "PORT_" - 1;
    if (af_is(name, "PORT") || af_is(name, "NAME") || begins_with(name, "SERVICE_") || begins_with(name, "ENV_"))
        return true;
    if (!begins_with(name, "PORT_"))
        return false;
    while (digits < name.n && name.s[digits] >= '0' && name.s[digits] <= '9')
        digits++;
    return digits > sizeof "PORT_" - 1 && digits < name.n && name.s[digits] == '_';
}

static void note(const char *setting, struct found *found) {
    struct af_span name = name_of(setting);
    enum af_key key;
    if (!setting[name.n] || af_policy_is_injected(setting))
        return; /* no `=`, no setting */
    bool empty = !setting[name.n + 1];
    if (af_key_find_variable(name, &key))
        found->setting[key] = empty ? NULL : setting;
    else if (!empty && !found->unknown)
        found->unknown = setting;
}

static bool read_names(struct af_span list, struct af_fault *f) {
    struct af_span item;
    for (size_t pos = 0; af_next_item(list, &pos, &item);) {
        if (!item.n)
            return af_fail(f, af_round_item(list, item), "an empty name", "NAME[,NAME...]");
        if (af_index(item, '/') < item.n)
            return af_fail(f, item, "a path would never match", "a program's name without its directory");
    }
    return true;
}

static bool read_log_path(struct af_span s, struct af_fault *f) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] != '%')
            continue;
        char c = i + 1 < s.n ? s.s[i + 1] : '\0';
        if (c != 'p' && c != 'n' && c != '%')
            return af_fail(f, af_cut(s, i, i + 1 + (c != '\0')), NULL, "%p, %n or %%");
        i++;
    }
    return true;
}

static bool read_log(struct af_span s, struct af_policy *p, struct af_fault *f) {
    if (af_is(s, "stderr") || af_is(s, "/dev/stderr")) /* a link, which a file of ours may not be */
        p->log = AF_SINK_STDERR;
    else if (af_is(s, "stdout") || af_is(s, "/dev/stdout"))
        p->log = AF_SINK_STDOUT;
    if (p->log != AF_SINK_OFF || af_is(s, "off"))
        return true;
    if (s.s[0] != '/')
        return af_fail(f, s, "neither a word nor an absolute path", af_key_values(AF_KEY_LOG));
    p->log = AF_SINK_FILE;
    p->log_path = s.s;
    return read_log_path(s, f);
}

static bool read_log_interval(struct af_span s, uint32_t *out, struct af_fault *f) {
    *out = 0;
    if (af_is(s, "off"))
        return true;
    if (!af_read_number(s, out))
        return af_fail(f, s, NULL, af_key_values(AF_KEY_LOG_INTERVAL));
    if (*out < 1 || *out > LOG_INTERVAL_MAX)
        return af_fail(f, s, "seconds out of range", "1 to 2147483647, or off");
    return true;
}

static bool read_ledger(struct af_span s, struct af_policy *p, struct af_fault *f) {
    bool on;
    if (af_flag_read(s, &on)) {
        p->ledger = on ? AF_LEDGER_DEFAULT : AF_LEDGER_OFF;
        return true;
    }
    if (s.s[0] != '/')
        return af_fail(f, s, "neither a word nor an absolute path", af_key_values(AF_KEY_LEDGER));
    p->ledger = AF_LEDGER_DIRECTORY;
    p->ledger_dir = s.s;
    return true;
}

/* The text of the rules: the value itself, or what the file holds that it names. */
static struct af_span rules_text(struct af_span value, const struct af_input *given, bool *file) {
    *file = value.n && value.s[0] == '/';
    return *file ? (struct af_span){ given->file, given->file ? given->file_size : 0 } : value;
}

/* No table: each of its pointers would be a relocation. */
static const char *why_unreadable(int error) {
    if (error == EISDIR)
        return "not a regular file";
    if (error == EFBIG)
        return "larger than 1 MB";
    if (error == ENOENT || error == ENOTDIR)
        return "there is no such file";
    if (error == EACCES || error == EPERM)
        return "the file may not be read";
    return "the file cannot be read";
}

static bool read_rules(struct af_span value, const struct af_input *given, struct af_lists *lists, struct af_fault *f) {
    bool file;
    const struct af_span text = rules_text(value, given, &file);
    if (file && !text.s)
        return af_fail(f, value, why_unreadable(given->file_error), NULL);
    return af_rules_read(text, file, lists, f);
}

static bool read_setting(struct af_policy *p, enum af_key key, struct af_span s, const struct af_input *given,
                         struct af_lists *lists, struct af_fault *f) {
    bool on;
    switch (key) {
    case AF_KEY_OVERRIDE: return af_flag_read(s, &p->override) || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_STRICT: return af_flag_read(s, &p->strict) || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_SET:
        if (af_flag_read(s, &on)) {
            p->closed = !on;
            return true;
        }
        return af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_RULES: p->rules_text = s.s; return read_rules(s, given, lists, f);
    case AF_KEY_ONLY: p->only = s.s; return read_names(s, f);
    case AF_KEY_SKIP: p->skip = s.s; return read_names(s, f);
    case AF_KEY_LOG: return read_log(s, p, f);
    case AF_KEY_LOG_FORMAT:
        p->json = af_is(s, "json");
        return p->json || af_is(s, "logfmt") || af_fail(f, s, NULL, af_key_values(key));
    case AF_KEY_LOG_INTERVAL: return read_log_interval(s, &p->log_interval_s, f);
    case AF_KEY_LEDGER: return read_ledger(s, p, f);
    default: return af_value_read(key, s, &p->values, lists, f);
    }
}

static bool fail_unknown(struct af_span name, struct af_fault *f) {
    enum af_key near;
    bool found = af_key_near(af_from(name, PREFIX), AF_ROLES, &near);
    af_fail(f, name, "unknown variable", found ? NULL : "one that afterfin(7) lists");
    f->meant = found ? af_key_variable(near) : NULL;
    return false;
}

/* On failure *culprit is the setting to blame. */
static bool read_all(const struct found *found, const struct af_input *given, struct af_policy *p,
                     struct af_lists *lists, const char **culprit, struct af_fault *f) {
    *culprit = found->unknown;
    if (*culprit)
        return fail_unknown(name_of(*culprit), f);
    for (unsigned k = 0; k < AF_KEYS; k++) {
        *culprit = found->setting[k];
        if (!*culprit)
            continue;
        p->set |= 1u << k;
        if (!read_setting(p, (enum af_key)k, value_of(*culprit), given, lists, f))
            return false;
    }
    return true;
}

static void find(const char *const *settings, struct found *found) {
    for (; *settings; settings++)
        if (is_ours(*settings))
            note(*settings, found);
}

/* What is to be kept while the settings are read. It lies in the room where there is one for lists: a caller's stack may be
 * small, and what reads lists goes deepest. */
struct work {
    struct found found;
    struct af_lists lists;
    struct af_fault fault;
};
_Static_assert(sizeof(struct work) % _Alignof(struct af_match6) == 0, "lists lie behind it");

/* What the lists need at most, and where they then lie in the room, those with the largest numbers first; returns its size.
 * Where it is too small they have none: that is for their readers to say. */
static size_t divide(const struct found *found, const struct af_input *given, struct af_lists *lists) {
    const char *rules = found->setting[AF_KEY_RULES], *source = found->setting[AF_KEY_SOURCE];
    bool file = false;
    *lists = (struct af_lists){ .rules = NULL };
    if (!rules && !source)
        return 0;
    const struct af_span text = rules ? rules_text(value_of(rules), given, &file) : (struct af_span){ NULL, 0 };
    const size_t n = af_rules_room(text, file);
    const size_t n_sources = (n ? af_source_room(text, n) : 0) + (source ? af_source_room(value_of(source), 1) : 0);
    const size_t of_v6 = n * sizeof *lists->v6, of_rules = n * sizeof *lists->rules, of_v4 = n * sizeof *lists->v4,
                 of_lists = of_v6 + of_rules + of_v4 + n_sources * sizeof *lists->sources;
    const size_t size = of_lists ? sizeof(struct work) + of_lists : 0;
    if (size && given->size >= size) {
        char *at = (char *)given->room + sizeof(struct work);
        lists->v6 = (struct af_match6 *)at;
        lists->rules = (struct af_rule *)(at + of_v6);
        lists->v4 = (struct af_match4 *)(at + of_v6 + of_rules);
        lists->sources = (struct af_source *)(at + of_v6 + of_rules + of_v4);
        lists->room_rules = n;
        lists->room_sources = (uint32_t)n_sources;
    }
    return size;
}

const char *af_policy_rules_file(const char *const *settings) {
    struct found found = { { NULL }, NULL };
    find(settings, &found);
    const char *rules = found.setting[AF_KEY_RULES];
    const char *value = rules ? value_of(rules).s : "";
    return *value == '/' ? value : NULL;
}

size_t af_policy_room(const char *const *settings, const struct af_input *given) {
    struct found found = { { NULL }, NULL };
    struct af_input no_room = *given;
    struct af_lists lists;
    no_room.size = 0;
    find(settings, &found);
    return divide(&found, &no_room, &lists);
}

static bool parse_in(struct work *work, struct af_policy *p, const char *const *settings, const struct af_input *given,
                     struct af_error *error) {
    const char *culprit;
    *work = (struct work){ .found = { .unknown = NULL } };
    clear(p);
    find(settings, &work->found);
    divide(&work->found, given, &work->lists);
    if (read_all(&work->found, given, p, &work->lists, &culprit, &work->fault)) {
        p->rules = work->lists.rules;
        p->n_rules = work->lists.n_rules;
        p->sources = work->lists.sources;
        af_index_rules(p, &work->lists);
        return true;
    }
    const char *strict = work->found.setting[AF_KEY_STRICT];
    clear(p);
    if (strict)
        af_flag_read(value_of(strict), &p->strict); /* stays off where it is bad itself */
    af_error_write(error, name_of(culprit), value_of(culprit),
                   culprit == work->found.setting[AF_KEY_RULES] ? (struct af_span){ given->file, given->file_size }
                                                                : (struct af_span){ NULL, 0 },
                   &work->fault);
    return false;
}

static __attribute__((noinline)) bool parse_on_stack(struct af_policy *p, const char *const *settings,
                                                     const struct af_input *given, struct af_error *error) {
    struct work work;
    return parse_in(&work, p, settings, given, error);
}

bool af_policy_parse(struct af_policy *p, const char *const *settings, const struct af_input *given,
                     struct af_error *error) {
    return given->size >= sizeof(struct work) ? parse_in(given->room, p, settings, given, error)
                                              : parse_on_stack(p, settings, given, error);
}
