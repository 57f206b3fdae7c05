/* afterfin report: totals by program, from ledgers and log files. */
#include "cli/report/report.h"
#include "cli/commands.h"
#include "cli/ledgers/ledger_dir.h"
#include "cli/ledgers/metrics_history.h"
#include "cli/ledgers/settle.h"
#include "cli/options.h"
#include "cli/output/busy.h"
#include "cli/output/say.h"
#include "cli/output/text.h"
#include "cli/report/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLEAN = AF_NO_LETTER, JSON, PROMETHEUS, LISTEN };
enum { MOST_SECONDS = 366 * 86400 };

static const struct af_option_row rows[] = {
    { 'd', NULL, AF_TAKES_VALUE, "DIR", "read the ledgers in DIR, not in the default directory" },
    { CLEAN, "clean", AF_MAY_TAKE, "SECONDS",
      "then remove the ledgers whose processes are gone, for so long: of DIR or the default directory, with LOG too, when "
      "they are not read" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE" },
    { PROMETHEUS, "prometheus", AF_MAY_TAKE, "FILE", "write metrics for Prometheus to stdout, or to FILE" },
    { LISTEN, "listen", AF_TAKES_ONE, "[ADDR]:PORT",
      "with --prometheus: serve them as http://ADDR:PORT/metrics until SIGTERM; ADDR is 127.0.0.1 unless given" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    const char *directory; /* NULL: the default one */
    char **logs;
    int n_logs;
    bool clean;
    unsigned clean_after_s;
    int format; /* 0: columns */
    const char *path;
    bool serves;
    struct af_listen listen;
};

static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "report", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0) {
        if (id == 'd')
            q->directory = options.value;
        if (id == CLEAN && options.value && !af_option_number(&options, "--clean", 0, MOST_SECONDS, &q->clean_after_s))
            break;
        q->clean |= id == CLEAN;
        if (id == LISTEN && !(q->serves = af_listen_parse(options.value, &q->listen))) {
            id = af_misuse(&options, "--listen needs ADDR:PORT or :PORT, ADDR in numbers, not '%s'", options.value);
            break;
        }
        if (id != JSON && id != PROMETHEUS)
            continue;
        if (q->format && q->format != id) {
            id = af_misuse(&options, "--json and --prometheus exclude each other");
            break;
        }
        q->format = id;
        q->path = options.value;
    }
    q->logs = argv + options.next;
    q->n_logs = argc - options.next;
    if (id == 0 && q->serves && (q->format != PROMETHEUS || q->path || q->clean || q->n_logs))
        id = af_misuse(&options, "--listen goes with --prometheus, and with no FILE, LOG or --clean");
    if (id == 0 && !af_options_were_first(&options))
        id = -1;
    *status = options.status;
    return id == 0;
}

/* A report may come long after the end, when a TIME_WAIT is over too. */
static void tell_guessed(const struct af_collection *found) {
    unsigned long long guessed = 0;
    for (size_t i = 0; i < found->n_rows; i++)
        guessed += found->rows[i].guessed;
    if (guessed)
        af_tell("report: %llu connection%s open when their process was killed, and the kernel has them no more: "
                "counted as passive, though some may have been reset, or have left a TIME_WAIT that is over",
                guessed, af_plural(guessed, " was", "s were"));
}

static void tell_contested(const struct af_collection *found, const struct af_kernel_sockets *kernel) {
    size_t contested = 0, first;
    for (size_t i = 0; i < kernel->n && found->n_claims; i++)
        contested += af_is_time_wait(&kernel->all[i]) && af_find_claims(found, kernel->all[i].cookie, &first);
    if (contested)
        af_tell("report: %zu TIME_WAIT socket%s claimed by ledgers of several users, and counted as nobody's; "
                "afterfin who tells whose",
                contested, af_plural(contested, " is", "s are"));
}

static void read_ledgers(const struct request *q, struct af_report *r, int directory,
                         const struct af_metrics_history *history) {
    struct af_collection found;
    struct af_kernel_sockets kernel;
    if (q->format == PROMETHEUS && !q->n_logs) /* what is kept of removed ledgers is of this directory's */
        af_collect_except(&found, directory, &history->gone);
    else
        af_ledger_dir_collect(&found, directory);
    af_settle_now(&found, &kernel);
    af_entries_add(&r->totals.entries, &found, NULL);
    r->ledgers = found.n_images;
    r->has_ports = kernel.states != 0;
    if (r->has_ports)
        af_ports_read(&r->ports, &kernel);
    af_collection_tell(&found, "report");
    tell_guessed(&found);
    tell_contested(&found, &kernel);
    free(kernel.all);
    af_collection_free(&found);
}

static bool write_report(const struct af_report *r, const struct request *q) {
    if (q->format == JSON)
        return af_report_write_json(r, q->path);
    if (q->format == PROMETHEUS)
        return af_report_write_prometheus(r, q->path);
    af_report_print(r);
    return true;
}

/* Logs may tell of processes whose ledgers are gone, and nothing would show which: then there is no history. */
static bool open_history(const struct request *q, int directory, struct af_metrics_history *history) {
    int error = 0;
    if (q->format == PROMETHEUS && !q->n_logs && directory >= 0)
        error = af_metrics_history_open(history, directory);
    else if (q->format == PROMETHEUS && faccessat(directory, AF_METRICS_HISTORY_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        af_tell("report: with logs, counts of ledgers that are gone are left out: the logs may have them too");
    if (error)
        af_tell("report: " AF_METRICS_HISTORY_FILE " in the ledgers' directory: %s",
                error == -EAGAIN ? "locked by another process" : strerror(-error));
    return !error;
}

static bool keep_history(struct af_metrics_history *history, struct af_report *r) {
    int error = history->lock >= 0 ? af_metrics_history_record(history, &r->totals) : 0;
    if (error)
        af_tell("report: " AF_METRICS_HISTORY_FILE " in the ledgers' directory: %s", strerror(-error));
    return !error;
}

static bool report(const struct request *q, bool reads, int directory) {
    struct af_report r = { .ledgers = 0 };
    struct af_metrics_history history = { .lock = -1 };
    bool ok = true;
    af_busy_begin("report");
    if (reads) {
        if (!open_history(q, directory, &history))
            return false;
        read_ledgers(q, &r, directory, &history);
    }
    for (int i = 0; i < q->n_logs; i++)
        ok &= af_report_read_log(&r.totals.entries, q->logs[i]);
    af_totals_sum(&r.totals);
    af_busy_end();
    ok &= keep_history(&history, &r);
    ok &= write_report(&r, q);
    af_totals_free(&r.totals);
    af_metrics_history_close(&history);
    return ok;
}

/* Opened anew each time: what is over in a default directory goes when it is opened. */
static char *metrics_now(void *context) {
    const struct request *q = context;
    struct af_report r = { .ledgers = 0 };
    struct af_metrics_history history = { .lock = -1 };
    char *text = NULL;
    int directory;
    if (af_ledger_dir_open("report", q->directory, &directory) == 0 && open_history(q, directory, &history)) {
        read_ledgers(q, &r, directory, &history);
        af_totals_sum(&r.totals);
        if (keep_history(&history, &r))
            text = af_report_metrics(&r);
        af_totals_free(&r.totals);
        af_metrics_history_close(&history);
    }
    if (directory >= 0)
        close(directory);
    return text;
}

static int serve(struct request *q) {
    q->listen.metrics = metrics_now;
    q->listen.context = q;
    return af_listen(&q->listen) ? 0 : AF_EXIT_FAILURE;
}

/* Whoever names only logs asks for no ledger. */
int af_command_report(int argc, char **argv) {
    struct request q = { .directory = NULL };
    int status, directory = -1;
    if (!read_options(&q, argc, argv, &status))
        return status;
    if (q.serves)
        return serve(&q);
    const bool reads = q.directory || q.n_logs == 0;
    if ((reads || q.clean) && af_ledger_dir_open("report", q.directory, &directory) != 0)
        return AF_EXIT_FAILURE;
    bool ok = report(&q, reads, directory);
    if (q.clean && ok) {
        size_t removed = af_ledger_dir_clean(directory, q.clean_after_s);
        af_tell("report: removed %zu ledger%s", removed, af_plural(removed, "", "s"));
    }
    if (directory >= 0)
        close(directory);
    return ok ? 0 : AF_EXIT_FAILURE;
}
