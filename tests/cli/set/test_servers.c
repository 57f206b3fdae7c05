/* set, on servers that many people run, while requests come: none fails, every TIME_WAIT that ack can avoid is avoided from
 * that moment on, and `off` brings them back. */
#include "tests/cli/set/set.h"
#include "tests/harness/counts.h"
#include "tests/harness/fabricate.h"
#include "tests/harness/programs.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 8081, N = 12, REQUESTS = 500 };

/* `afterfin set --tree --json --pid PID POLICY`: how many processes have something that was set. */
static long set_tree(pid_t pid, const char *policy) {
    struct ended e = command(NULL, "set", "--tree", "--json", "--pid", text("%d", (int)pid), policy, NULL);
    json_t *json = json_loads(e.out, 0, NULL);
    long reached = 0;
    cr_assert_eq(e.status, 0, "%s", e.err);
    for (size_t i = 0; i < json_array_size(json_find(json, "processes")); i++)
        reached += json_number(json_array_get(json_find(json, "processes"), i), "set") > 0;
    return reached;
}

/* TIME_WAITs that N requests leave on the server's side, one after the other; each is answered whole. */
static long left_by_requests(void) {
    const long before = ns_netstat("TW");
    struct ended e = run(NULL, "curl -sS -H Connection:close http://127.0.0.1:%d/file?[1-%d]", PORT, N);
    cr_expect_eq(e.status, 0, "%s", e.err);
    ns_wait_ended();
    return ns_netstat("TW") - before;
}

/* Requests all the while: the policy comes and goes ten times. */
static void expect_no_request_fails(pid_t pid) {
    struct victim client = victim_start(NULL,
                                        "curl -sS -w %%{http_code}. -H Connection:close "
                                        "http://127.0.0.1:%d/file?[1-%d]",
                                        PORT, REQUESTS);
    unsigned changes = 0, good = 0;
    for (; victim_runs(&client) || changes < 2; changes++)
        set_tree(pid, changes % 2 ? "linger=off" : "linger=ack");
    struct ended e = victim_wait(&client);
    for (const char *at = e.out; (at = strstr(at, "200.")); at += 4)
        good++;
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect_eq(good, REQUESTS, "%u in %u changes", good, changes);
    set_tree(pid, "linger=off");
}

/* ---- nginx ------------------------------------------------------------------------------------------------------ */

static const char nginx_conf[] = "user root; daemon off; worker_processes 2; error_log stderr; pid nginx.pid;\n"
                                 "events { worker_connections 512; }\n"
                                 "http { access_log off; lingering_close off; client_body_temp_path body;\n"
                                 "    proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;\n"
                                 "    scgi_temp_path scgi; chunked_transfer_encoding off; gzip on; gzip_types *;\n"
                                 "    gzip_min_length 1; server { listen 127.0.0.1:8081;\n"
                                 "    location / { return 200 \"hello\\n\"; } } }\n";

/* Without a length its answer is over when it has closed: so it is first. */
static long left_by_nginx(void) {
    const long before = ns_netstat("TW");
    struct ended e = run(NULL, "curl -sS --compressed http://127.0.0.1:%d/?[1-%d]", PORT, N);
    cr_expect_eq(e.status, 0, "%s", e.err);
    ns_wait_ended();
    return ns_netstat("TW") - before;
}

Test(set_servers, nginx_leaves_no_time_wait_from_then_on_and_no_request_fails) {
    need_program("/usr/sbin/nginx");
    need_program("curl");
    if (geteuid() != 0)
        cr_skip("nginx's master wants to be root");
    ns_enter();
    own_default();
    const char *directory = program_directory((const char *const[]){ "nginx.conf", nginx_conf, NULL });
    struct victim v = victim_start(NULL, "/usr/sbin/nginx -e stderr -c nginx.conf -p %s", directory);
    ns_wait_listen(PORT);
    cr_expect_eq(left_by_nginx(), N);
    cr_expect_geq(set_tree(v.pid, "linger=ack"), 1);
    cr_expect_eq(left_by_nginx(), 0);
    set_tree(v.pid, "linger=off");
    cr_expect_eq(left_by_nginx(), N);
    expect_no_request_fails(v.pid);
    cr_expect_eq(left_by_nginx(), N);
    victim_kill(&v, SIGQUIT);
    program_directory_remove(directory);
}

/* ---- Apache ----------------------------------------------------------------------------------------------------- */

static const char apache_conf[] =
    "ServerName x\nLoadModule mpm_%s_module /usr/lib/apache2/modules/mod_mpm_%s.so\n"
    "LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n"
    "Listen 127.0.0.1:8081\nPidFile %s/pid\nErrorLog /dev/stderr\nUser nobody\nGroup nogroup\n"
    "DocumentRoot %s\nDefaultRuntimeDir %s\nKeepAlive On\nStartServers %s\n"
    "<Directory %s>\nRequire all granted\n</Directory>\n";

/* `closes_soon`: its workers wait two seconds for a client that is silent, not thirty. */
static void check_apache(const char *mpm, const char *processes, bool closes_soon) {
    ns_enter();
    own_default();
    const char *directory = program_directory((const char *const[]){ "file", "0123456789\n", NULL });
    FILE *conf = fopen(text("%s/conf", directory), "we");
    fprintf(conf, apache_conf, mpm, mpm, directory, directory, directory, processes, directory);
    fclose(conf);
    run(NULL, "chmod -R a+rX %s", directory);
    struct victim v = victim_start(NULL, "setsid /usr/sbin/apache2 -d %s -f conf -D FOREGROUND", directory);
    ns_wait_listen(PORT);
    /* It ends by shutdown, and waits for the other side's FIN: there ack has nothing to avoid. Where both FINs are on their
     * way at once each side has one. */
    for (int ack = 0; ack < 2; ack++) {
        const long kept = left_by_requests();
        cr_expect_geq(kept, N, "%s, ack %d: %ld of a lingering close", mpm, ack, kept);
        if (closes_soon)
            cr_expect_eq(left_by_silent_clients(PORT, N, "GET /file HTTP/1.0\r\n\r\n", 100), ack ? 0 : N, "%s, ack %d",
                         mpm, ack);
        cr_expect_geq(set_tree(v.pid, ack ? "linger=off" : "linger=ack"), 1, "%s", mpm);
    }
    if (closes_soon)
        cr_expect_eq(left_by_silent_clients(PORT, N, "GET /file HTTP/1.0\r\n\r\n", 100), N, "%s, off", mpm);
    expect_no_request_fails(v.pid);
    victim_kill(&v, SIGTERM);
    program_directory_remove(directory);
}

Test(set_servers, apache_leaves_none_where_it_closes_first_all_where_it_lingers_and_no_request_fails) {
    need_program("/usr/sbin/apache2");
    need_program("curl");
    if (geteuid() != 0)
        cr_skip("Apache's master wants to be root");
    check_apache("event", "2", false);
    check_apache("prefork", "12\nMinSpareServers 12\nMaxSpareServers 20", true);
}
