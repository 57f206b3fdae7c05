/* See set.h. A letter is all policies that are to be in force: what was, and what is asked for on top of it. */
#include "cli/kernel/ptrace.h"
#include "cli/output/memory.h"
#include "cli/set/set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does a policy key begin this setting, one that a letter is about? */
static bool is_policy(const char *setting) {
    const size_t len = strcspn(setting, "=");
    for (int key = 0; key < AF_KEYS; key++)
        if (strlen(af_keys[key].variable) == len && strncmp(af_keys[key].variable, setting, len) == 0)
            return af_keys[key].roles || key == AF_KEY_RULES || key == AF_KEY_OVERRIDE;
    return false;
}

/* The text of a process, which may be anything, as settings. */
static void take_apart(const struct af_inside *inside, struct af_settings *out) {
    static char *const nothing[] = { NULL };
    af_settings_init(out, nothing);
    for (size_t at = 0; at < inside->size; at += strlen(inside->text + at) + 1) {
        char *name = af_format("%.*s", (int)strcspn(inside->text + at, "="), inside->text + at);
        if (is_policy(inside->text + at) && strchr(inside->text + at, '='))
            af_settings_set(out, name, strchr(inside->text + at, '=') + 1);
        free(name);
    }
}

/* The rules in a file as one value: comments out, lines joined; from malloc. What was parsed, not what lies there by now:
 * that may be something else, and it is for the other process to read. */
static char *rules_in(const struct af_settings *settings) {
    char *value = af_format("%s", ""), *text = af_format("%.*s", (int)settings->file_size, settings->file),
         *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, "#\r")] = 0;
        char *longer = line[strspn(line, " \t")] ? af_format("%s%s%s", value, *value ? ";" : "", line) : NULL;
        if (longer) {
            free(value);
            value = longer;
        }
    }
    free(text);
    return value;
}

/* From malloc; *size as it is to be sent. */
static char *write_letter(const struct af_set *set, const struct af_settings *old, size_t *size) {
    char *letter = NULL;
    *size = 0;
    for (int key = 0; key < AF_KEYS; key++) {
        const char *asked = af_settings_get(&set->settings, af_keys[key].variable);
        const char *value = asked ? asked : af_settings_get(old, af_keys[key].variable);
        if (!value || !*value)
            continue;
        const struct af_settings *from = asked ? &set->settings : old;
        char *rules = key == AF_KEY_RULES && *value == '/' && from->file ? rules_in(from) : NULL;
        char *setting = af_format("%s=%s", af_keys[key].variable, rules ? rules : value);
        free(rules);
        letter = af_array(letter, *size + strlen(setting) + 1, 1);
        memcpy(letter + *size, setting, strlen(setting) + 1);
        *size += strlen(setting) + 1;
        free(setting);
    }
    return letter;
}

static const char *obstacle(const struct af_inside *inside) {
    if (!inside->at)
        return "the library in it is of another version or word size";
    if (inside->state == AF_MAILBOX_ASLEEP)
        return "the library in it sleeps: no setting at its start asked it for anything (off does not), or it was told to "
               "leave this program alone; AFTERFIN_SET=on at its start is enough";
    if (inside->state == AF_MAILBOX_SEALED)
        return "the library in it does nothing more: the program has installed a seccomp filter";
    return NULL;
}

void af_set_letter(struct af_set *set, struct af_set_process *p) {
    struct af_error error;
    size_t size;
    if (p->asked)
        af_inside_free(&p->inside);
    p->asked = true;
    p->note = NULL;
    const int gone = af_rights_of(p->thread, &p->rights); /* before what it says is read */
    const int unread = gone ? gone : af_inside_read(p->thread, &p->inside);
    if (unread || !p->inside.there) { /* who may not read it may not take its descriptors: that will say why */
        if (unread != -ESRCH && unread != -EACCES && unread != -EPERM && p->inside.there)
            p->note = "the library in it could not be read";
        return;
    }
    if (p->inside.state == AF_MAILBOX_CLOSED) {
        p->error = af_format("it forbids it: AFTERFIN_SET=off in its environment");
        return;
    }
    p->note = obstacle(&p->inside);
    if (p->note)
        return;
    take_apart(&p->inside, &p->old);
    p->old.rights = &p->rights;
    if (!af_settings_parse(&p->old, &error)) {
        p->note = "its own settings cannot be read (the file of its rules: as it is now, and by its user)";
        return;
    }
    char *letter = write_letter(set, &p->old, &size);
    if (size > AF_LETTER_ROOM)
        p->note = "its policies are too long for the library in it: over 8,000 bytes";
    else if (af_inside_post(&p->inside, letter, (uint32_t)size, &p->serial) == 0)
        p->posted = true;
    free(letter);
}

void af_set_letter_read(struct af_set_process *p) {
    if (!p->posted || af_inside_look_again(&p->inside) != 0)
        return;
    p->in_force = p->inside.taken == p->serial;
    if (p->inside.state == AF_MAILBOX_SEALED || p->inside.refused == p->serial) {
        p->posted = false;
        p->note = p->inside.state == AF_MAILBOX_SEALED ? obstacle(&p->inside) : "the library in it refused it";
    }
}
