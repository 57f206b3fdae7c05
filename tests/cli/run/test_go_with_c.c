/* A dynamic program in Go with C in it: what the C code does comes by libc, all else by instructions of Go's own. The library
 * sees the one, the supervisor both, and run tells each connect once. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/shell.h"

/* Go's linker leaves this note. */
static const char *const source =
    "#include <netinet/in.h>\n#include <stdlib.h>\n#include <sys/socket.h>\n#include <unistd.h>\n"
    "#include \"instruction.h\"\n"
    "__asm__(\".pushsection .note.go.buildid, \\\"a\\\", @note\\n.long 4, 4, 4\\n.asciz \\\"Go\\\\0\\\"\\n.long 7\\n.popsection\");\n"
    "int main(int argc, char **argv) {\n"
    "    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) };\n"
    "    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);\n"
    "    for (int i = 0; i < 3; i++) {\n"
    "        int fd = socket(AF_INET, SOCK_STREAM, 0);\n"
    "        if (connect(fd, (struct sockaddr *)&to, sizeof to) || close(fd)) return 1;\n"
    "    }\n"
    "    for (int i = 0; i < 4; i++) {\n"
    "        long fd = instruction(SYS_socket, AF_INET, SOCK_STREAM, 0);\n"
    "        if (instruction(SYS_connect, fd, (long)&to, sizeof to) || instruction(SYS_close, fd, 0, 0)) return 2;\n"
    "    }\n"
    "    return 0;\n}\n";

Test(run_result, tells_each_connect_of_a_program_in_go_with_c_once) {
    const char *path = scratch_path();
    struct ended e = shell("cat >%s.c <<'END'\n%s\nEND\ngcc -w -Itests/victims -o %s %s.c", path, source, path, path);
    if (e.status != 0)
        cr_skip_test("gcc is not there: %s", e.err);
    for (int treated = 0; treated < 2; treated++) {
        ns_enter();
        struct peer peer = script_start("ec", 0);
        json_t *json = run_json(NULL, 0, "-p", treated ? "linger=ack-always" : "linger=off", path,
                                text("%u", peer.port), NULL);
        cr_expect_eq(json_number(json, "totals.connects"), 3 + 4, "%s", json_dumps(json, 0));
        cr_expect_eq(json_array_size(json_find(json, "processes")), 2);
        cr_expect_eq(json_number(json, "totals.time_wait"), treated ? 0 : 3 + 4);
        cr_expect_eq((long)books_of("go", peer.port).to, treated ? 0 : 3 + 4);
        peer_stop(&peer);
    }
}
