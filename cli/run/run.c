/* afterfin run: CMD under the library, and what came of it. */
#include "cli/run/run.h"
#include "cli/commands.h"
#include "cli/kernel/seccomp.h"
#include "cli/launch/child.h"
#include "cli/launch/preload.h"
#include "cli/launch/reach.h"
#include "cli/launch/result.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/options.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON = AF_NO_LETTER, EXEC };

static const struct af_option_row rows[] = {
    { 'p', NULL, AF_TAKES_VALUE, "KEY=VALUE", "a policy; beats the environment; may be repeated" },
    { 'q', NULL, AF_TAKES_NOTHING, NULL, "no table" },
    { 'f', NULL, AF_TAKES_NOTHING, NULL, "run a CMD that the library cannot reach, with a warning" },
    { 's', NULL, AF_TAKES_NOTHING, NULL, "reach static programs that CMD starts, too, by the supervisor" },
    { JSON, "json", AF_MAY_TAKE, "FILE",
      "write the result as JSON to FILE, or to stdout, where nothing else goes then: what CMD writes there goes to "
      "stderr" },
    { EXEC, "exec", AF_TAKES_NOTHING, NULL, "become CMD: no table, no process between (for entrypoints)" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    struct af_settings settings;
    char **command;
    bool quiet, force, json, exec, supervise;
    const char *json_path;  /* NULL: stdout */
    char ledgers[PATH_MAX]; /* where the supervisor keeps those of a run without a table; empty: nowhere */
};

/* Is there to be a table, or JSON? */
static bool records(const struct request *q) {
    return !q->exec && (!q->quiet || q->json);
}

static int misuse(struct af_options *options, const char *what) {
    af_misuse(options, "%s", what);
    return options->status;
}

static int name_missing(struct af_options *options, const char *word) {
    af_misuse(options, "'%s' is a policy and no CMD: -p %s", word, word);
    return options->status;
}

/* 0, or the status to exit with in *status: false. */
static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "run", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0) {
        if (id == 'p' && !af_option_accepted(&options, af_settings_add(&q->settings, "-p", options.value))) {
            *status = options.status;
            return false;
        }
        q->quiet |= id == 'q';
        q->force |= id == 'f';
        q->exec |= id == EXEC;
        q->supervise |= id == 's';
        if (id == JSON) {
            q->json = true;
            q->json_path = options.value;
        }
    }
    q->command = argv + options.next;
    *status = id < 0                                     ? options.status
              : options.next >= argc                     ? misuse(&options, "which CMD?")
              : q->exec && q->json                       ? misuse(&options, "--json and --exec exclude each other")
              : af_settings_key(argv[options.next]) >= 0 ? name_missing(&options, argv[options.next])
                                                         : -1;
    return *status < 0;
}

/* CMD inherits what we live under. */
static void warn_of_filter(void) {
    char *calls = af_seccomp_kills();
    if (calls)
        af_tell(
            "run: the seccomp filter that is in force here kills for %s, which the library calls: CMD may die of SIGSYS "
            "where it would not otherwise (LIMITS in afterfin(7))",
            calls);
    free(calls);
}

/* `what` needs the supervisor. False: it cannot be had, and that has been said. */
static bool may_supervise(struct request *q, const char *what) {
    const char *why = NULL;
    q->settings.supervised = af_supervisor_way(&why);
    if (q->exec && getpid() == 1)
        why = "with --exec as process 1 the supervisor would be a child of CMD (without it run reaps orphans, too)";
    if (why)
        af_tell("run: %s: %s%s", what, why, q->force ? "" : "; -f runs it all the same");
    if (why)
        q->settings.supervised = AF_NOT_SUPERVISED;
    return !why;
}

static void say_of_supervisor(const struct request *q, enum af_way way, bool counts) {
    const char *why = way == AF_WAY_SUPERVISOR ? ", which is static," : ", which is written in Go,";
    char *what = way == AF_WAY_PRELOAD ? af_format("what is static or written in Go below CMD")
                                       : af_format("%s%s", q->command[0], why);
    af_supervisor_say(what, &q->settings, counts);
    free(what);
}

/* A ledger that the user asked for, of a run that needs none itself: where a program that has the library keeps its own. */
static void find_ledgers(struct request *q) {
    const struct af_policy *policy = &q->settings.policy;
    int error = 0;
    if (policy->ledger == AF_LEDGER_DIRECTORY) {
        snprintf(q->ledgers, sizeof q->ledgers, "%s", policy->ledger_dir);
        error = access(q->ledgers, W_OK | X_OK) == 0 ? 0 : errno;
    } else if (policy->ledger == AF_LEDGER_DEFAULT) {
        const int fd = af_ledger_dir_default(q->ledgers);
        error = fd < 0 ? -fd : 0;
        if (fd >= 0)
            close(fd);
    }
    if (error) {
        af_tell("run: %s: %s; of what is static no ledger is kept", q->ledgers, strerror(error));
        q->ledgers[0] = 0;
    }
}

/* Everything that can be wrong is found before CMD starts. */
static bool prepare(struct request *q) {
    char why[512];
    warn_of_filter();
    if (!af_settings_check(&q->settings) || !af_preload(&q->settings))
        return false;
    if (!af_output_will("run", "JSON", q->json_path))
        return false;
    af_preload_for(&q->settings, q->command[0]);
    const enum af_way way = af_reach_way(q->command[0], getenv("PATH"), why);
    const bool counts = records(q) || q->settings.policy.ledger != AF_LEDGER_OFF;
    const bool supervise = (q->supervise || way == AF_WAY_SUPERVISOR || way == AF_WAY_BOTH) &&
                           af_supervisor_needed(&q->settings, counts);
    if (supervise && !may_supervise(q, way == AF_WAY_SUPERVISOR ? why : "to reach what is static or written in Go"))
        return q->force;
    if (q->settings.supervised && !records(q))
        find_ledgers(q);
    if (q->settings.supervised)
        say_of_supervisor(q, way, counts);
    if (way != AF_WAY_NONE)
        return true;
    af_tell("run: %s%s", why, q->force ? "" : "; -f runs it all the same");
    return q->force;
}

/* ---- the run ------------------------------------------------------------------------------------------------ */

/* NULL where there is none to be; what cannot be has been said: false. */
static bool start_supervisor(struct request *q, struct af_supervisor *room, const struct af_supervisor **out) {
    *out = q->settings.supervised ? room : NULL;
    return !*out || af_supervisor_start(room, "run", &q->settings, *q->ledgers ? q->ledgers : NULL, q->exec);
}

static int run_unrecorded(struct request *q) {
    struct af_child child = { .status = AF_EXIT_RUN };
    struct af_supervisor room = { .line = -1 };
    const struct af_supervisor *supervisor;
    if (start_supervisor(q, &room, &supervisor))
        af_child_run("run", q->command, q->settings.environment, supervisor, &(struct af_periodic){ 0 }, &child);
    if (child.started)
        af_supervisor_tell_lack(&room, "run", q->ledgers);
    return child.status;
}

static int become(struct request *q) {
    struct af_supervisor room = { .line = -1 };
    const struct af_supervisor *supervisor;
    if (!start_supervisor(q, &room, &supervisor))
        return AF_EXIT_RUN;
    return af_child_become(q->command, q->settings.environment, supervisor);
}

/* With --json our stdout is one document: CMD's words go to stderr, from now until its end. Where that cannot be, it keeps
 * the stdout that it has. */
static int lend_stdout(const struct request *q) {
    const int kept = q->json && !q->json_path ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
    if (kept >= 0)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    return kept;
}

static void take_stdout_back(int kept) {
    if (kept < 0)
        return;
    dup2(kept, STDOUT_FILENO);
    close(kept);
}

/* Without a table or JSON nobody asks for counts: then there is no ledger, unless the user wants one. */
static int run_recorded(struct request *q) {
    struct af_result result;
    struct af_child child;
    if (!records(q))
        return run_unrecorded(q);
    const int kept = lend_stdout(q);
    af_run_recorded(&result, "run", q->command, &q->settings);
    take_stdout_back(kept);
    child = result.child;
    if (result.recorded && child.started) {
        if (!q->quiet)
            af_result_print(&result);
        if (q->json)
            af_result_write_json(&result, q->json_path);
        af_memory_leaves(NULL);
    }
    af_result_free(&result);
    return child.status;
}

int af_command_run(int argc, char **argv) {
    struct request q = { .json_path = NULL };
    int status;
    q.quiet = af_hush_on_connection();
    af_memory_exits(AF_EXIT_RUN);
    af_settings_init(&q.settings, environ);
    if (!read_options(&q, argc, argv, &status))
        return status;
    af_memory_leaves(q.json_path);
    if (!prepare(&q))
        return AF_EXIT_RUN;
    af_child_leave_input(!q.json);
    return q.exec ? become(&q) : run_recorded(&q);
}
