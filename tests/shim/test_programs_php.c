/* PHP, whose extensions are opened with RTLD_DEEPBIND, and so bind past what is preloaded: what curl, pgsql and sockets
 * open is counted and treated, in a script and in the workers of php-fpm behind nginx. */
#include "tests/harness/command.h"
#include "tests/harness/counts.h"
#include "tests/harness/programs.h"
#include "tests/harness/shell.h"

#include <glob.h>
#include <signal.h>

enum { N = 100 };

/* HTTP to who speaks it; else of PostgreSQL's protocol what greets a client. The other side ends the connection. */
static const char server[] =
    "import signal, socket, struct, sys, threading\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    "welcome = b'R' + struct.pack('!II', 8, 0) + b'Z' + struct.pack('!I', 5) + b'I'\n"
    "def serve(c):\n"
    "    http = c.recv(1000).startswith(b'GET')\n"
    "    c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nhello' if http else welcome)\n"
    "    while c.recv(1000):\n"
    "        pass\n"
    "    c.close()\n"
    "listener = socket.create_server(('127.0.0.1', 8080))\n"
    "while True:\n"
    "    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()\n";

static const char curl[] = "$c = curl_init('http://127.0.0.1:8080/');"
                           "curl_setopt($c, CURLOPT_RETURNTRANSFER, 1);"
                           "$ok += curl_exec($c) === 'hello';"
                           "curl_close($c);";
static const char pgsql[] = "$c = pg_connect('host=127.0.0.1 port=8080 user=u dbname=d sslmode=disable "
                            "gssencmode=disable', PGSQL_CONNECT_FORCE_NEW);"
                            "$ok += $c && pg_connection_status($c) === PGSQL_CONNECTION_OK;"
                            "pg_close($c);";
static const char sockets[] = "$s = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);"
                              "socket_connect($s, '127.0.0.1', 8080);"
                              "socket_write($s, \"GET / HTTP/1.1\\r\\n\\r\\n\");"
                              "$ok += strpos(socket_read($s, 1000), 'hello') > 0;"
                              "socket_close($s);";

static void need_extension(const char *name) {
    need_program("php");
    struct ended e = run(NULL, "php -n -d extension=%s -r exit((int)!extension_loaded('%s'));", name, name);
    if (e.status != 0)
        cr_skip_test("PHP's extension %s is not installed (`make test-deps` does it)", name);
}

static void check_extension(const char *name, const char *body) {
    need_extension(name);
    const char *script = text("<?php $ok = 0; for ($i = 0; $i < %d; $i++) { %s } echo \"ok $ok\\n\";", N, body);
    const char *directory = program_directory((const char *const[]){ "server.py", server, "client.php", script, NULL });
    const char *client = text("php -n -d extension=%s %%s/client.php", name);
    struct pair pair = { "python3 %s/server.py", client, directory, 8080, SIGTERM };

    for (size_t i = 0; i < SIDES; i++) {
        const struct sides *sides = &all_sides[i];
        if (sides->server)
            continue;
        struct outcome o = run_pair(&pair, sides);
        cr_assert(o.client.status == 0 && strcmp(o.client.out, text("ok %d\n", N)) == 0 && !*o.client.err,
                  "%s, %s: %d %s%s", name, sides->name, o.client.status, o.client.out, o.client.err);
        cr_assert_eq(o.client_tw, sides->ack ? 0 : N, "%s, %s: %ld", name, sides->name, o.client_tw);
        if (!sides->client)
            continue;
        expect_counted(&o, sides, name);
        cr_assert_eq(log_sum(o.client_log, "connects"), N, "%s", o.client_log);
        cr_assert_eq(log_sum(o.client_log, sides->ack ? "avoided" : "time_wait"), N, "%s", o.client_log);
    }
    program_directory_remove(directory);
}

Test(programs, php_with_curl) {
    check_extension("curl", curl);
}

Test(programs, php_with_pgsql) {
    check_extension("pgsql", pgsql);
}

Test(programs, php_with_sockets) {
    check_extension("sockets", sockets);
}

/* ---- php-fpm ---------------------------------------------------------------------------------------------------- */

static const char fpm_conf[] = "[global]\nerror_log = /dev/null\ndaemonize = no\n"
                               "[www]\nuser = root\ngroup = root\nlisten = 127.0.0.1:9000\npm = static\n"
                               "pm.max_children = 2\n";
static const char nginx_conf[] =
    "user root; daemon off; worker_processes 2; error_log stderr; pid nginx.pid;\n"
    "events { worker_connections 512; }\n"
    "http {\n"
    "    access_log off; keepalive_requests 1000000; client_body_temp_path body; proxy_temp_path proxy;\n"
    "    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n"
    "    server { listen 127.0.0.1:8200; location / {\n"
    "        fastcgi_pass 127.0.0.1:9000; fastcgi_param REQUEST_METHOD GET;\n"
    "        fastcgi_param SCRIPT_FILENAME $document_root/index.php; } root .; }\n"
    "}\n";

static const char *fpm_path(void) {
    glob_t found = { 0 };
    if (glob("/usr/sbin/php-fpm*", 0, NULL, &found) != 0)
        cr_skip_test("php-fpm is not installed (`make test-deps` does it)");
    return found.gl_pathv[0];
}

static long sum(const json_t *json, const char *field) {
    long total = 0;
    for (size_t i = 0; i < json_array_size(json_object_get(json, "processes")); i++)
        total += json_number(json, text("processes.%zu.%s", i, field));
    return total;
}

/* Who of worker and nginx closes first is chance; which TIME_WAITs are the workers' the kernel knows by their ports. */
static void check_fpm(const char *fpm, const char *directory, bool ack) {
    const char *json = scratch_path(), *policy = ack ? "linger=ack" : "linger=off";

    ns_enter();
    struct victim hello = victim_start(NULL, "python3 %s/server.py", directory);
    struct victim nginx = victim_start(NULL, "/usr/sbin/nginx -e stderr -c nginx.conf -p %s", directory);
    struct victim run = command_start(NULL, "run", "-p", policy, text("--json=%s", json), "--", fpm, "-n", "-d",
                                      "extension=sockets", "-R", "-F", "-y", text("%s/fpm.conf", directory), NULL);
    ns_wait_listen(8080);
    ns_wait_listen(8200);
    ns_wait_listen(9000);
    struct ended e = shell("curl -sS 'http://127.0.0.1:8200/?[1-%d]' | sort | uniq -c", N);
    cr_assert(strstr(e.out, text("%d ok 1\n", N)), "%s%s%s", e.out, e.err, victim_out(&nginx));
    const long of_clients = books_of("fpm's connections", 8080).to, of_accepted = books_of("fpm's", 9000).from;
    cr_assert_eq(of_clients, ack ? 0 : N, "%ld", of_clients);
    e = victim_kill(&run, SIGQUIT);
    cr_assert_eq(e.status, 0, "%d %s", e.status, e.err);

    json_t *got = json_loads(file_text(json), 0, NULL);
    cr_assert(got, "%s", e.err);
    cr_expect_eq(json_number(got, "totals.connects"), N, "%s", file_text(json));
    cr_expect_eq(json_number(got, "totals.accepts"), N, "%s", file_text(json));
    cr_expect_geq(json_number(got, "totals.avoided"), ack ? N : 0, "%s", file_text(json));
    cr_expect_eq(sum(got, "time_wait_confirmed"), of_clients + of_accepted, "%ld + %ld: %s", of_clients, of_accepted,
                 file_text(json));
    cr_expect_eq(json_number(got, "kernel.attributed"), of_clients + of_accepted, "%s", file_text(json));
    victim_kill(&nginx, SIGQUIT);
    victim_kill(&hello, SIGTERM);
}

Test(programs, php_fpm_behind_nginx) {
    const char *fpm = fpm_path(), *groups = file_text("/proc/self/setgroups");
    need_program("/usr/sbin/nginx");
    need_program("curl");
    need_extension("sockets");
    if (groups && strncmp(groups, "deny", 4) == 0)
        cr_skip_test("php-fpm's workers set groups, which this user may not");
    const char *directory = program_directory((const char *const[]){
        "server.py", server, "fpm.conf", fpm_conf, "nginx.conf", nginx_conf, "index.php",
        text("<?php $ok = 0; %s echo \"ok $ok\\n\";", sockets), NULL });
    for (int ack = 0; ack < 2; ack++)
        check_fpm(fpm, directory, ack);
    program_directory_remove(directory);
}
