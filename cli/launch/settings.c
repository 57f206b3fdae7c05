/* Makes CMD's environment out of ours and the -p options, and checks it with the library's own parser. */
#include "cli/launch/settings.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void af_settings_init(struct af_settings *settings, char *const *environment) {
    size_t n = 0;
    while (environment[n])
        n++;
    memset(settings, 0, sizeof *settings);
    settings->environment = af_array(NULL, n + 1, sizeof *settings->environment);
    memcpy(settings->environment, environment, (n + 1) * sizeof *environment);
}

static bool is_named(const char *setting, const char *name, size_t len) {
    return strncmp(setting, name, len) == 0 && setting[len] == '=';
}

const char *af_settings_get(const struct af_settings *settings, const char *name) {
    size_t len = strlen(name);
    for (char **e = settings->environment; *e; e++)
        if (is_named(*e, name, len))
            return *e + len + 1;
    return NULL;
}

void af_settings_set(struct af_settings *settings, const char *name, const char *value) {
    size_t kept = 0, len = strlen(name);
    for (size_t i = 0; settings->environment[i]; i++)
        if (!is_named(settings->environment[i], name, len))
            settings->environment[kept++] = settings->environment[i];
    settings->environment[kept] = NULL;
    if (!value)
        return;
    settings->environment = af_array(settings->environment, kept + 2, sizeof *settings->environment);
    settings->environment[kept] = af_format("%s=%s", name, value);
    settings->environment[kept + 1] = NULL;
}

static const char *after_prefix(const char *variable) {
    return variable + strlen("AFTERFIN_");
}

int af_settings_key(const char *key_value) {
    size_t len = strcspn(key_value, "=");
    for (int i = 0; key_value[len] && i < AF_KEYS; i++)
        if (is_named(key_value, af_keys[i].name, strlen(af_keys[i].name)) ||
            is_named(key_value, af_keys[i].variable, strlen(af_keys[i].variable)) ||
            is_named(key_value, after_prefix(af_keys[i].variable), strlen(after_prefix(af_keys[i].variable))))
            return i;
    return -1;
}

char *af_settings_add(struct af_settings *settings, const char *shown, const char *key_value) {
    const char *equals = strchr(key_value, '='), *before = shown ? shown : "", *space = shown ? " " : "";
    if (!equals)
        return af_format("%s%s%s: expected KEY=VALUE", before, space, key_value);
    const int key = af_settings_key(key_value);
    if (key >= 0) {
        af_settings_set(settings, af_keys[key].variable, equals + 1);
        settings->given[key] = shown ? shown[1] : '=';
        return NULL;
    }
    char *name = af_format("%.*s", (int)(equals - key_value), key_value);
    const char *meant = af_closest(name, af_keys, AF_KEYS, sizeof *af_keys);
    free(name);
    return af_format("%s%s%s: no policy key has this name%s%s%s", before, space, key_value,
                     meant ? ", did you mean " : "", meant ? meant : "", meant ? "?" : "");
}

/* As the library does it (shim/rules_file.c). */
static int open_own(const char *path) {
    struct stat st;
    const int fd = stat(path, &st) != 0   ? -errno
                   : !S_ISREG(st.st_mode) ? -EISDIR
                                          : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    return fd == -1 ? -errno : fd;
}

static void read_rules(struct af_settings *settings, const char *path, struct af_input *given) {
    const int fd = settings->rights ? af_open_with_rights(settings->rights, path) : open_own(path);
    char *text = fd < 0 ? NULL : af_array(NULL, AF_RULES_FILE_MAX + 1, 1);
    ssize_t now = 1;
    while (fd >= 0 && now > 0 && given->file_size <= AF_RULES_FILE_MAX) {
        now = read(fd, text + given->file_size, AF_RULES_FILE_MAX + 1 - given->file_size);
        given->file_size += now > 0 ? (size_t)now : 0;
    }
    given->file_error = fd < 0 ? -fd : now < 0 ? errno : given->file_size > AF_RULES_FILE_MAX ? EFBIG : 0;
    given->file = given->file_error ? NULL : text;
    settings->file = text;
    settings->file_size = given->file_size;
    if (fd >= 0)
        close(fd);
}

/* -p linger=ack,bind_no_port=on: in rules a comma parts the policies. */
static const char *hint_of(const struct af_settings *settings, int key) {
    const size_t length = strlen(af_keys[key].variable);
    for (char **setting = settings->environment; *setting; setting++) {
        if (strncmp(*setting, af_keys[key].variable, length) != 0 || (*setting)[length] != '=')
            continue;
        for (const char *comma = strchr(*setting, ','); comma; comma = strchr(comma + 1, ','))
            if (comma[strcspn(comma, "=")] && af_settings_key(comma + 1) >= 0)
                return settings->given[key] == '=' ? "; each policy is a word of its own"
                                                   : "; each policy has a -p of its own";
    }
    return "";
}

/* AFTERFIN_LINGER="x" becomes -p linger="x" where that is what was typed. */
static void name_option(const struct af_settings *settings, struct af_error *error) {
    const int key = af_settings_key(error->text);
    if (key < 0 || !settings->given[key])
        return;
    const char option[] = { '-', settings->given[key], ' ', 0 };
    char *text = af_format("%s%s%s%s", settings->given[key] == '=' ? "" : option, af_keys[key].name,
                           strchr(error->text, '='), key == AF_KEY_RULES ? "" : hint_of(settings, key));
    snprintf(error->text, sizeof error->text, "%s", text);
    free(text);
}

bool af_settings_parse(struct af_settings *settings, struct af_error *error) {
    const char *const *environment = (const char *const *)settings->environment;
    const char *path = af_policy_rules_file(environment);
    struct af_input given = { .room = NULL };
    free(settings->file);
    settings->file = NULL;
    if (path)
        read_rules(settings, path, &given);
    given.size = af_policy_room(environment, &given);
    settings->room = af_array(settings->room, given.size, 1);
    given.room = settings->room;
    const bool good = af_policy_parse(&settings->policy, environment, &given, error);
    if (!good)
        name_option(settings, error);
    return good;
}

bool af_settings_check(struct af_settings *settings) {
    struct af_error error;
    if (af_settings_parse(settings, &error))
        return true;
    af_tell("%s", error.text);
    return false;
}
