/* set, on servers of runtimes that make their system calls themselves, or from threads of their own: not one TIME_WAIT from
 * that moment on, no connection fails while policies come and go, and `off` brings them back. */
#include "tests/cli/set/set.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/programs.h"
#include "tests/harness/shell.h"

#include <signal.h>

enum { PORT = 8081, N = 40, CHANGES = 10 };

/* Each reads a byte and closes; Java shuts down just before. (node's http shuts down, and waits for the client.) */
static const char go[] =
    "package main\nimport \"net\"\nfunc main() {\n\tl, _ := net.Listen(\"tcp\", \"127.0.0.1:8081\")\n"
    "\tfor {\n\t\tc, err := l.Accept()\n\t\tif err != nil { return }\n"
    "\t\tgo func() { c.Read(make([]byte, 1)); c.Close() }()\n\t}\n}\n";
static const char java[] =
    "import java.net.*;\npublic class Server {\n  public static void main(String[] a) throws Exception {\n"
    "    ServerSocket s = new ServerSocket(8081, 128, InetAddress.getByName(\"127.0.0.1\"));\n"
    "    for (;;) { Socket c = s.accept();\n"
    "      new Thread(() -> { try { c.getInputStream().read(); c.close(); } catch (Exception e) { } }).start(); }\n  }\n}\n";
static const char node[] = "require('net').createServer(c => {\n  c.on('error', () => 0);\n"
                           "  c.once('data', () => c.destroy());\n}).listen(8081, '127.0.0.1');\n";

static const char *file_with(const char *directory, const char *name, const char *content) {
    const char *path = text("%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    cr_assert(file && fputs(content, file) >= 0 && fclose(file) == 0, "%s", path);
    return path;
}

static unsigned serve(unsigned n) {
    return client_run(&(struct client_options){ .port = PORT, .n = n, .send = 1 }).clean;
}

static long left(void) {
    return left_by_silent_clients(PORT, N, "x", 0);
}

static void check(const char *name, struct victim v) {
    ns_wait_listen(PORT);
    cr_expect_eq(left(), N, "%s", name);
    set_json(0, v.pid, "linger=ack-always", NULL);
    const long none = left();
    cr_expect_eq(none, 0, "%s: %ld", name, none);
    for (unsigned i = 0; i < CHANGES; i++) {
        struct victim set = victim_start_argv(NULL, (const char *const[]){
                                                        command_path(), "set", "--pid", text("%d", (int)v.pid),
                                                        i % 2 ? "linger=ack-always" : "linger=off", NULL });
        unsigned clean = 0, all = 0;
        for (; victim_runs(&set) || !all; all++)
            clean += serve(1);
        cr_expect_eq(clean, all, "%s: %u clean of %u", name, clean, all);
        cr_expect_eq(victim_wait(&set).status, 0, "%s", name);
    }
    set_json(0, v.pid, "linger=off", NULL);
    cr_expect_eq(left(), N, "%s, off", name);
    victim_kill(&v, SIGKILL);
}

Test(set_runtimes, a_go_server_leaves_none_and_some_again) {
    need_program("go");
    ns_enter();
    own_default();
    const char *directory = directory_made(), *source = file_with(directory, "server.go", go);
    struct ended e = shell("cd %s && HOME=%s CGO_ENABLED=0 go build -o server %s", directory, directory, source);
    cr_assert_eq(e.status, 0, "%s", e.err);
    check("go", victim_start(NULL, "%s/server", directory));
    shell("chmod -R u+w %s; rm -rf %s", directory, directory);
}

Test(set_runtimes, a_java_server_leaves_none_and_some_again) {
    need_program("java");
    ns_enter();
    own_default();
    const char *directory = directory_made(), *source = file_with(directory, "Server.java", java);
    check("java", victim_start(NULL, "java %s", source));
    shell("rm -rf %s", directory);
}

Test(set_runtimes, a_node_server_leaves_none_and_some_again) {
    need_program("node");
    ns_enter();
    own_default();
    const char *directory = directory_made(), *source = file_with(directory, "server.js", node);
    check("node", victim_start(NULL, "node %s", source));
    shell("rm -rf %s", directory);
}
