/* examples/container/Dockerfile without Docker: its instructions carried out in a directory for each stage (what asks a
 * package server for something is only looked at), and its entrypoints run with its variables and no others. */
#include "tests/examples/examples.h"

#include <unistd.h>

static const char dockerfile[] = "examples/container/Dockerfile";

enum { MOST = 8 };

struct stage {
    const char *name, *root;
    char env[1024];      /* NAME=VALUE..., as in the file, paths moved */
    char packages[1024]; /* that it installs */
    json_t *entrypoint;
};

struct image {
    struct stage stages[MOST];
    size_t n;
};

static struct stage *last(struct image *image) {
    cr_assert_gt(image->n, 0, "an instruction before FROM");
    return &image->stages[image->n - 1];
}

static struct stage *find(struct image *image, const char *name, size_t size) {
    for (size_t i = 0; i < image->n; i++)
        if (strlen(image->stages[i].name) == size && strncmp(image->stages[i].name, name, size) == 0)
            return &image->stages[i];
    give_up("no stage %.*s", (int)size, name);
    return NULL;
}

static const char *in(const struct stage *stage, const char *text) {
    char *root;
    cr_assert_gt(asprintf(&root, "%s/", stage->root), 0);
    return moved(text, "/", root);
}

static void do_from(struct image *image, char *rest) {
    char *as = strstr(rest, " AS ");
    cr_assert_lt(image->n, MOST);
    image->stages[image->n++] = (struct stage){ .name = as ? strdup(as + 4) : "", .root = new_directory() };
}

static void do_run(struct image *image, char *rest) {
    static const char install[] = "apt-get update && apt-get install -y --no-install-recommends ";
    struct stage *stage = last(image);
    if (strncmp(rest, install, strlen(install)) == 0) {
        snprintf(stage->packages, sizeof stage->packages, " %s ", rest + strlen(install));
        return;
    }
    struct ended e = shell("CFLAGS=-O0 MAKEFLAGS=-j2 %s", in(stage, rest));
    cr_assert_eq(e.status, 0, "RUN %s: %s", rest, e.err);
}

/* Of a directory its content is copied. */
static void do_copy(struct image *image, char *rest) {
    struct stage *stage = last(image), *from = NULL;
    char source[256], target[256];
    if (strncmp(rest, "--from=", 7) == 0) {
        size_t size = strcspn(rest += 7, " ");
        from = find(image, rest, size);
        rest += size;
    }
    cr_assert_eq(sscanf(rest, " %255s %255s", source, target), 2, "COPY %s", rest);
    const char *to = in(stage, target);
    struct ended e = from ? shell("mkdir -p %s && f=%s && if [ -d $f ]; then f=$f/.; fi && cp -a $f %s", to,
                                  in(from, source), to)
                          : shell("mkdir -p %s && tar c --exclude=./build --exclude=./.git %s | "
                                  "tar x --no-same-owner -C %s",
                                  to, source, to);
    cr_assert_eq(e.status, 0, "COPY %s: %s", rest, e.err);
}

static void do_one(struct image *image, char *line) {
    char *rest = line + strcspn(line, " ");
    cr_assert_eq(*rest, ' ', "%s", line);
    *rest++ = 0;
    rest += strspn(rest, " ");
    if (strcmp(line, "FROM") == 0)
        do_from(image, rest);
    else if (strcmp(line, "RUN") == 0)
        do_run(image, rest);
    else if (strcmp(line, "COPY") == 0)
        do_copy(image, rest);
    else if (strcmp(line, "ENV") == 0)
        snprintf(last(image)->env, sizeof last(image)->env, "%s", in(last(image), rest));
    else if (strcmp(line, "ENTRYPOINT") == 0)
        cr_assert((last(image)->entrypoint = json_loads(rest, 0, NULL)), "%s", rest);
    else if (strcmp(line, "CMD") == 0)
        cr_assert(json_loads(rest, 0, NULL), "%s", rest);
    else
        cr_assert_str_eq(line, "ARG");
}

/* Comments go, continued lines are joined. */
static struct image build(void) {
    struct image image = { .n = 0 };
    char *rest = NULL, whole[2048] = "";
    for (char *line = strtok_r(text_of(dockerfile), "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t used = strlen(whole), size = strlen(line);
        bool goes_on = size && line[size - 1] == '\\';
        if (*line == '#')
            continue;
        line[size - goes_on] = 0;
        snprintf(whole + used, sizeof whole - used, "%s", line + (used ? strspn(line, " ") : 0));
        if (goes_on)
            continue;
        do_one(&image, whole);
        whole[0] = 0;
    }
    return image;
}

/* `docker run IMAGE COMMAND`: this environment, and nothing else. */
static const char *docker_run(const struct stage *stage, const char *command) {
    char *line;
    json_t *word;
    size_t i;
    cr_assert_gt(asprintf(&line, "exec env -i PATH=%s/usr/local/bin:/usr/bin:/bin %s", stage->root, stage->env), 0);
    json_array_foreach(stage->entrypoint, i, word)
        cr_assert_gt(asprintf(&line, "%s '%s'", line, json_string_value(word)), 0);
    cr_assert_gt(asprintf(&line, "%s %s", line, command), 0);
    return line;
}

/* `library` (a file's name) is in a package that is installed there, or in one that comes with it. */
static void expect_package(const struct stage *stage, const char *library) {
    struct ended e = shell("p=$(dpkg -S '*/%s' | sed 's/:.*//' | sort -u); for q in $p; do case '%s' in *\" $q \"*) "
                           "exit 0; esac; dpkg-query -W -f='${Depends}\\n' %s | grep -qw \"$q\" && exit 0; done; "
                           "echo $p; exit 1",
                           library, stage->packages, stage->packages);
    cr_expect_eq(e.status, 0, "stage %s has no package with %s: %s", stage->name, library, e.out);
}

static void expect_packages(struct image *image) {
    char *rest = NULL, *list;
    if (shell("command -v dpkg-query").status != 0)
        return;
    list = strdup(shell("readelf -d build/afterfin | sed -n 's/.*NEEDED.*\\[\\(.*\\)\\]/\\1/p' | grep -v libc.so").out);
    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
        expect_package(find(image, "afterfin", 8), name);
        expect_package(find(image, "entrypoint", 10), name);
    }
    list = strdup(shell("sed -n 's/^CLI_LIBRARIES = //p' Makefile | tr ' ' '\\n' | sed -n 's/^-l\\(.*\\)/lib\\1.so/p'")
                      .out);
    cr_assert(*list, "what the command is linked with");
    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
        expect_package(find(image, "build", 5), name);
}

Test(examples_container, the_dockerfile_makes_images_that_leave_no_time_wait) {
    ns_enter();
    const char *program = typed(dockerfile, "docker run --rm legacy ");
    if (shell("%s", program).status != 0)
        cr_skip_test("no perl");
    cr_assert_eq(ns_tw(), 1, "the test itself: bare, it leaves one");
    ns_enter();
    struct image image = build();
    cr_expect_str_empty(last(&image)->name, "the last stage is what docker build makes");
    expect_avoided(docker_run(last(&image), program), 1, "by variables");
    expect_avoided(docker_run(find(&image, "entrypoint", 10), program), 1, "by its entrypoint");
    struct ended e = shell("%s", docker_run(find(&image, "afterfin", 8), "--version"));
    cr_expect(strncmp(e.out, "afterfin ", 9) == 0, "%s%s", e.out, e.err);
    expect_packages(&image);
}

/* ---- an image of Alpine's layout --------------------------------------------------------------------------------- */

/* musl's loader, which is its libc, under both names, and nothing of glibc; programs are one file with several names,
 * as busybox is. That file is a victim that musl-gcc builds, needing libc by the name by which Alpine's programs do. */
static const char make_alpine[] =
    "set -e; root=%s; loader=$(ls /lib/ld-musl-*.so.1); name=libc.musl-${loader#/lib/ld-musl-}; to=$root/usr/local/lib\n"
    "mkdir -p $root/lib $root/bin $root/usr/bin $to; make -s build/kernel\n"
    "cp -L $loader $root/lib/; ln -s ${loader##*/} $root/lib/$name\n"
    "cp -L $loader $to/$name; echo \"INPUT(-l:$name)\" >$to/libc.so\n"
    "musl-gcc -std=gnu11 -D_GNU_SOURCE -I. -idirafter build/kernel -L$to -o $root/bin/busybox "
    "tests/victims/connect_close.c\n"
    "rm $to/*; ln -s /bin/busybox $root/usr/bin/legacy; readelf -d $root/bin/busybox | grep -q \"NEEDED.*[[]$name\"";

/* The image's variables, as the file has them. */
static const char *variables_of_image(void) {
    const char *env = NULL;
    char *rest = NULL, *text = strdup(shell("sed '/^#/d; :a; /\\\\$/ { N; s/\\\\\\n *//; ta }' %s", dockerfile).out);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        env = strncmp(line, "ENV ", 4) == 0 ? line + 4 : env;
    cr_assert(env, "no ENV");
    return env;
}

static const char *below(const char *root, const char *variables, const char *command) {
    char *line;
    cr_assert_gt(asprintf(&line,
                          "exec perl -e 'chroot shift and chdir \"/\" or die; %%ENV = map { split /=/, $_, 2 } "
                          "split \" \", shift; exec @ARGV' %s 'PATH=/usr/bin:/bin %s' %s",
                          root, variables, command),
                 0);
    return line;
}

Test(examples_container, an_image_of_musl_takes_the_same_file_and_variables) {
    const char *root = new_directory(), *variables = variables_of_image();
    char command[128];
    if (shell("command -v musl-gcc && command -v perl && readelf --version").status != 0)
        cr_skip_test("no musl-gcc (make test-deps), perl or readelf");
    struct ended e = shell(make_alpine, root);
    cr_assert_eq(e.status, 0, "%s", e.err);
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    snprintf(command, sizeof command, "legacy 127.0.0.1 %u -n 5 -b 1 -r 1", peer.port);
    e = shell("%s", below(root, "", command));
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert_eq(ns_tw(), 5, "the test itself: bare, each leaves one");
    ns_enter();
    peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    snprintf(command, sizeof command, "legacy 127.0.0.1 %u -n 5 -b 1 -r 1", peer.port);
    cr_assert_eq(shell("cp %s %s/usr/local/lib/", library_path(), root).status, 0);
    expect_avoided(below(root, variables, command), 5, "by variables");
}
