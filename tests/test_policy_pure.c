/* policy/ is pure: its objects import next to nothing and hold nothing that can be written to. */
#include "policy_parsed.h"

/* `nm` on the objects as the tests link them, lines like "                 U memcpy", "0000 d name", "". */
static FILE *symbols(void)
{
    FILE *f = popen("nm build/obj/policy/*.o 2>&1", "r");
    cr_assert(f, "nm: %s", strerror(errno));
    return f;
}

Test(policy_pure, its_objects_import_nothing_beyond_a_short_list)
{
    static const char *const allowed[] = {"memcpy", "memset", "memcmp", "memmove", "strlen", "_GLOBAL_OFFSET_TABLE_"};
    char line[256], name[200];
    unsigned seen = 0;
    FILE *f = symbols();
    while (fgets(line, sizeof line, f)) {
        bool good = false;
        if (sscanf(line, " U %199s", name) != 1)
            continue;
        for (size_t i = 0; i < ROWS(allowed); i++)
            good |= strcmp(name, allowed[i]) == 0;
        good |= strncmp(name, "af_", 3) == 0;
        cr_expect(good, "%s", name);
        seen++;
    }
    cr_expect(pclose(f) == 0 && seen > 0, "there are objects to look at");
}

Test(policy_pure, its_objects_hold_no_writable_state)
{
    char line[256], type, name[200];
    unsigned seen = 0;
    FILE *f = symbols();
    while (fgets(line, sizeof line, f)) {
        if (strchr(line, ':') || sscanf(line, "%*x %c %199s", &type, name) != 2) /* "FILE:" */
            continue;
        /* af_keys is const; position-independent code keeps its pointers in .data.rel.ro, a `D` for nm */
        cr_expect(!strchr("BbDdCcGgSs", type) || strcmp(name, "af_keys") == 0, "%c %s", type, name);
        seen++;
    }
    cr_expect(pclose(f) == 0 && seen > 50, "there are objects to look at");
}
