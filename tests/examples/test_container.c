/* examples/container/Dockerfile without Docker: its instructions carried out in a directory for each stage (what asks a
 * package server for something is only looked at), and its entrypoints run with its variables and no others: on this
 * machine, or in that directory as root, where what is in an image is all there is. */
#include "tests/examples/examples.h"

#include <unistd.h>

static const char dockerfile[] = "examples/container/Dockerfile";

enum { MOST = 8 };

struct stage {
    const char *name, *root;
    char env[1024];      /* NAME=VALUE..., as in the file */
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

/* The tarball is made of the sources here, as the tests of dist make it too, which are those that COPY takes. */
static const char *made_here(const char *text) {
    char *line;
    cr_assert_gt(asprintf(&line, "make() { command make ARM_CC= SOURCE_DATE_EPOCH=1700000000 \"$@\"; }; %s",
                          moved(moved(text, "/src", "."), "/build", "build")),
                 0);
    return line;
}

static void do_run(struct image *image, char *rest) {
    static const char install[] = "apt-get update && apt-get install -y --no-install-recommends ",
                      make[] = "make -C /src ", go[] = "CGO_ENABLED=0 go ";
    struct stage *stage = last(image);
    if (strncmp(rest, install, strlen(install)) == 0) {
        snprintf(stage->packages, sizeof stage->packages, " %s ", rest + strlen(install));
        return;
    }
    if (strncmp(rest, go, strlen(go)) == 0 && shell("command -v go").status != 0) {
        shell("touch %s/client", stage->root);
        return;
    }
    bool makes = strncmp(rest, make, strlen(make)) == 0;
    struct ended e = shell("GOCACHE=$PWD/build/go; export GOCACHE; %s", in(stage, makes ? made_here(rest) : rest));
    if (strstr(e.err, "dist: for "))
        cr_skip_test("%s", e.err);
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
                          : shell("mkdir -p %s && if [ -f %s ]; then exec cp %s %s; fi; "
                                  "tar c --exclude=./build --exclude=./.git %s | tar x --no-same-owner -C %s",
                                  to, source, source, to, source, to);
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
        snprintf(last(image)->env, sizeof last(image)->env, "%s", rest);
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

static const char *entrypoint(const struct stage *stage) {
    char *line = strdup("");
    json_t *word;
    size_t i;
    json_array_foreach(stage->entrypoint, i, word)
        cr_assert_gt(asprintf(&line, "%s '%s'", line, json_string_value(word)), 0);
    return line;
}

/* `docker run IMAGE COMMAND`, on this machine: this environment, and nothing else. */
static const char *docker_run(const struct stage *stage, const char *command) {
    char *line;
    cr_assert_gt(asprintf(&line, "exec env -i PATH=%s/usr/local/bin:/usr/bin:/bin %s %s %s", stage->root,
                          in(stage, stage->env), in(stage, entrypoint(stage)), command),
                 0);
    return line;
}

/* The same in the image alone: as process 1, with the /proc and the /dev that a container has. */
static const char *docker_run_inside(const struct stage *stage, const char *begins, const char *command) {
    char *line;
    cr_assert_gt(
        asprintf(&line,
                 "root=%s; mkdir -p $root/proc $root/dev; export root; exec unshare -mpf --kill-child sh -c '"
                 "mount -t proc proc $root/proc && mount --rbind /dev $root/dev && "
                 "exec env -i PATH=/usr/local/bin:/usr/bin:/bin %s $(command -v chroot) $root \"$@\"' sh %s %s",
                 stage->root, stage->env, begins, command),
        0);
    return line;
}

static void need_containers(void) {
    struct ended e =
        shell("exec unshare -mpf --kill-child sh -c 'mount -t proc proc /proc && mount --rbind /dev /mnt'");
    if (e.status != 0)
        cr_skip_test("what a container has cannot be mounted here: %s", e.err);
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
    list = strdup(shell("sed -n 's/^CLI_LIBRARIES = //p' Makefile | tr ' ' '\\n' | sed -n 's/^-l\\(.*\\)/lib\\1.so/p'; "
                        "sed -n 's/^LACKS = .*foreach a,\\([^,]*\\),.*/\\1/p' dist/rules.mk | tr ' ' '\\n' | "
                        "sed 's/.*/lib&.a/'")
                      .out);
    cr_assert(strstr(list, "libmnl.so\n") && strstr(list, "libmicrohttpd.a\n"), "what the command is linked with: %s",
              list);
    for (char *name = strtok_r(list, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
        expect_package(find(image, "dist", 4), name);
}

Test(examples_container, the_dockerfile_makes_images_that_leave_no_time_wait) {
    ns_enter();
    const char *program = typed(dockerfile, "docker run --rm legacy ");
    if (shell("%s", program).status != 0)
        cr_skip_test("no perl");
    cr_assert_eq(ns_tw(), 1, "the test itself: bare, it leaves one");
    struct image image = build();
    ns_enter();
    cr_expect_str_empty(last(&image)->name, "the last stage is what docker build makes");
    expect_avoided(docker_run(last(&image), program), 1, "by variables");
    expect_avoided(docker_run(find(&image, "entrypoint", 10), program), 1, "by its entrypoint");
    struct ended e = shell("%s", docker_run(find(&image, "afterfin", 8), "--version"));
    cr_expect(strncmp(e.out, "afterfin ", 9) == 0, "%s%s", e.out, e.err);
    expect_packages(&image);
}

/* ---- images that have next to nothing --------------------------------------------------------------------------- */

enum { CONNECTIONS = 100 };

/* `program` in the image's entrypoint; bare it leaves them all. What run says of it stands on stderr. */
static void expect_static_avoided(const struct stage *stage, const char *command) {
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    char line[256];
    snprintf(line, sizeof line, command, peer.port);
    struct ended e = shell("%s", docker_run_inside(stage, "", line));
    cr_assert_eq(e.status, 0, "%s: %s", line, e.err);
    cr_assert_eq(ns_tw(), CONNECTIONS, "the test itself: bare, each leaves one");
    ns_enter();
    peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    snprintf(line, sizeof line, command, peer.port);
    e = shell("%s", docker_run_inside(stage, entrypoint(stage), line));
    cr_assert_eq(e.status, 0, "%s: %s", line, e.err);
    ns_settle();
    cr_expect_eq(ns_tw(), 0, "%s: %s", line, e.err);
}

Test(examples_container, run_reaches_a_static_program_in_an_image_from_scratch) {
    need_containers();
    struct image image = build();
    struct stage *stage = find(&image, "static", 6);
    cr_expect_str_eq(shell("cd %s && find * -type f | grep -v client | sort", stage->root).out,
                     "bin/afterfin\nlib/libafterfin.so\n");
    cr_assert_eq(shell("cp build/tests/victims/static/connect_close %s/bin/", stage->root).status, 0);
    char command[64];
    snprintf(command, sizeof command, "/bin/connect_close 127.0.0.1 %%u -n %d -b 1 -r 1", CONNECTIONS);
    expect_static_avoided(stage, command);
    if (shell("command -v go").status == 0)
        expect_static_avoided(stage, "/bin/client");
}

/* A program of this machine, and of its libraries those that it needs: no shell, no tool. */
Test(examples_container, an_image_without_a_shell_takes_variables_and_entrypoint) {
    need_containers();
    struct image image = build();
    const struct stage *const stages[] = { last(&image), find(&image, "entrypoint", 10) };
    for (size_t i = 0; i < ROWS(stages); i++) {
        char command[128];
        struct ended e = shell("mkdir -p %s/bin && cp %s %s/bin/legacy && ldd %s | grep -o '/[^ ]*' | "
                               "xargs -I{} cp -L --parents {} %s && [ ! -e %s/bin/sh ]",
                               stages[i]->root, victim_path("connect_close"), stages[i]->root,
                               victim_path("connect_close"), stages[i]->root, stages[i]->root);
        cr_assert_eq(e.status, 0, "%s", e.err);
        ns_enter();
        struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
        snprintf(command, sizeof command, "/bin/legacy 127.0.0.1 %u -n 5 -b 1 -r 1", peer.port);
        expect_avoided(docker_run_inside(stages[i], entrypoint(stages[i]), command), 5, i ? "entrypoint" : "variables");
    }
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

Test(examples_container, an_image_of_musl_takes_the_entrypoint) {
    char command[128];
    if (shell("command -v musl-gcc && readelf --version").status != 0)
        cr_skip_test("no musl-gcc (make test-deps) or readelf");
    need_containers();
    struct image image = build();
    struct stage *stage = find(&image, "entrypoint", 10);
    cr_assert_eq(shell("mv %s/usr/local %s/kept", stage->root, stage->root).status, 0);
    struct ended e = shell(make_alpine, stage->root);
    cr_assert_eq(e.status, 0, "%s", e.err);
    cr_assert_eq(shell("cd %s && rm -r usr/local && mv kept usr/local", stage->root).status, 0);
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ .answer = 1, .answer_after = 1 });
    snprintf(command, sizeof command, "legacy 127.0.0.1 %u -n 5 -b 1 -r 1", peer.port);
    expect_avoided(docker_run_inside(stage, entrypoint(stage), command), 5, "by its entrypoint");
}

/* ---- Docker itself ----------------------------------------------------------------------------------------------- */

Test(examples_container, docker_makes_the_image_from_scratch_and_runs_it) {
    if (shell("docker info").status != 0)
        cr_skip_test("no Docker at work here");
    struct ended e = shell("docker build -q -f %s --target static -t afterfin-test-static .", dockerfile);
    cr_assert_eq(e.status, 0, "%s", e.err);
    e = shell("docker run --rm afterfin-test-static; docker rmi -f afterfin-test-static >/dev/null");
    cr_expect_str_eq(e.out, "100 connections\n", "%s", e.err);
}
