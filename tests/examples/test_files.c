/* The README lists every example; each says in its first lines what it is for and what to type, and names only what is
 * there. */
#include "tests/examples/examples.h"

#include <unistd.h>

static const char path_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";

/* Paths below examples/ that a text speaks of; build/examples/ is another matter. */
static unsigned expect_paths(const char *text, const char *where) {
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, "examples/")); at++) {
        char path[256];
        size_t size = strspn(at, path_characters);
        if (at > text && at[-1] == '/')
            continue;
        while (size && at[size - 1] == '.')
            size--;
        snprintf(path, sizeof path, "%.*s", (int)size, at);
        cr_expect(access(path, R_OK) == 0, "%s speaks of %s", where, path);
        n++;
    }
    return n;
}

/* Of a folder in which one file says what to type for all of them. */
static bool is_part(const char *path) {
    static const struct {
        const char *folder, *says;
    } wholes[] = { { "examples/kubernetes/", "kustomization.yaml" }, { "examples/container/", "Dockerfile" } };
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        if (strncmp(path, wholes[i].folder, strlen(wholes[i].folder)) == 0)
            return strcmp(path + strlen(wholes[i].folder), wholes[i].says) != 0;
    return false;
}

/* Those that are for the machinery of others. */
static bool is_deployed(const char *path) {
    return strcspn(path + strlen("examples/"), "/") < strlen(path) - strlen("examples/");
}

Test(examples_files, the_readme_lists_each_and_each_says_what_it_is_for) {
    char *rest = NULL, *list = strdup(shell("find examples -type f").out);
    const char *readme = text_of("README.md");
    unsigned n = 0;
    for (char *path = strtok_r(list, "\n", &rest); path; path = strtok_r(NULL, "\n", &rest)) {
        char link[256];
        const char *text = text_of(path), *top = strncmp(text, "#!", 2) == 0 ? strchr(text, '\n') + 1 : text;
        snprintf(link, sizeof link, "](%s)", path);
        const bool json = strstr(path, ".json"); /* which has no comments */
        cr_expect(strncmp(top, "# ", 2) == 0 || strncmp(top, "/* ", 3) == 0 || strncmp(top, "// ", 3) == 0 || json,
                  "%s does not say what it is for", path);
        if (is_part(path))
            continue;
        n++;
        cr_expect(strstr(readme, link), "the README has no link to %s", path);
        unsigned named = expect_paths(text, path);
        cr_expect(!is_deployed(path) || named || strstr(text, "\n#   ") || strstr(text, "is said there") || json,
                  "%s does not say what to type", path);
    }
    cr_expect_gt(n, 8);
    cr_expect_gt(expect_paths(readme, "the README"), n - 1);
}
