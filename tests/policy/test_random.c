/* Random settings, and the seeds of the fuzz target: nothing crashes, and what must hold holds. */
#include "tests/policy/parsed.h"
#include "tests/policy/policy_invariants.h"

#include <dirent.h>
#include <stdlib.h>

static const char *shown(const uint8_t *data, size_t n) {
    static char text[4096];
    size_t used = 0;
    for (size_t i = 0; i < n && used + 5 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, data[i] >= ' ' && data[i] <= '~' ? "%c" : "\\x%02x",
                                 data[i]);
    return text;
}

static size_t below(size_t n) {
    return (size_t)random() % n;
}

/* One byte changed, taken out, put in, or a stretch doubled. */
static size_t mutate(uint8_t *s, size_t n, size_t room) {
    static const char odd[] = "0123456789:/-,;=.*[]%+ \t\nabcf\x7f\xff";
    size_t at = below(n + 1), stretch = below(n - at + 1);
    uint8_t byte = (uint8_t)(below(4) ? odd[below(sizeof odd - 1)] : random());
    switch (below(4)) {
    case 0: s[at < n ? at : 0] = byte; return n ? n : 1;
    case 1: memmove(s + at, s + at + (at < n), n - at - (at < n)); return n - (at < n);
    case 2: stretch = 1; break;
    default: break;
    }
    if (n + stretch > room)
        return n;
    memmove(s + at + stretch, s + at, n - at);
    if (stretch == 1)
        s[at] = byte;
    return n + stretch;
}

/* A variable at random with random bytes, or a valid setting with a few mutations. */
static size_t random_setting(uint8_t *out, size_t room) {
    size_t n;
    if (below(4) == 0) {
        n = (size_t)sprintf((char *)out, "%s=", af_keys[below(AF_KEYS)].variable + strlen("AFTERFIN_"));
        for (size_t end = n + below(room - n); n < end; n++)
            out[n] = (uint8_t)random();
        return n;
    }
    const char *valid = policy_examples[below(ROWS(policy_examples))] + strlen("AFTERFIN_");
    n = strlen(valid);
    memcpy(out, valid, n);
    for (size_t times = below(4); times > 0; times--)
        n = mutate(out, n, room);
    return n;
}

Test(policy_random, a_thousand_random_values_break_nothing) {
    unsigned valid = 0;
    srandom(5);
    for (int round = 0; round < 1000; round++) {
        uint8_t data[400];
        bool parsed;
        size_t n = random_setting(data, sizeof data);
        const char *broken = policy_broken(data, n, &parsed);
        cr_assert(!broken, "AFTERFIN_%s: %s", shown(data, n), broken);
        valid += parsed;
    }
    cr_expect(valid > 100 && valid < 900, "%u valid: both kinds were tried", valid);
}

/* Those whose name begins with bad_ are errors, the others are not. */
Test(policy_random, the_seeds_are_what_their_names_say) {
    static const char path[] = "tests/fuzz/corpus/policy";
    unsigned seen = 0;
    DIR *dir = opendir(path);
    cr_assert(dir, "%s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir));) {
        char name[512];
        uint8_t data[4096];
        bool parsed;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        FILE *f = fopen(name, "r");
        cr_assert(f, "%s: %s", name, strerror(errno));
        size_t n = fread(data, 1, sizeof data, f);
        fclose(f);
        const char *broken = policy_broken(data, n, &parsed);
        cr_expect(!broken, "%s: %s", name, broken);
        cr_expect(parsed == (strncmp(entry->d_name, "bad_", 4) != 0), "%s", name);
        seen++;
    }
    closedir(dir);
    cr_expect(seen > 20, "%u seeds", seen);
}
