/* What reap tells: columns, JSON, and the lines of --every. */
#include "cli/launch/result.h"
#include "cli/ledgers/json.h"
#include "cli/ledgers/names.h"
#include "cli/output/json.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/table.h"
#include "cli/output/text.h"
#include "cli/reap/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- columns ------------------------------------------------------------------------------------------------ */

/* Whoever reads a pipe can use whole lines. */
static size_t width(void) {
    return isatty(STDOUT_FILENO) ? af_width_of(STDOUT_FILENO) : 1 << 12;
}

static void say(char *text) {
    af_print_wrapped(stdout, width(), 0, text);
    free(text);
}

/* Whose time had not come yet, has not expired. */
static void say_gone(size_t gone, size_t expired) {
    const char *had = af_plural(gone, "was gone when its turn came", "were gone when their turn came");
    static const char early[] = "ended by somebody else, or the port is in use again";
    if (expired == gone)
        say(af_format("%zu %s: expired", gone, had));
    else if (!expired)
        say(af_format("%zu %s: %s", gone, had, early));
    else
        say(af_format("%zu %s: %zu expired, of the rest each was %s", gone, had, expired, early));
}

static void say_what(const struct af_reap *q, const struct af_reaped *r) {
    const char *would = q->dry_run ? "would end" : "ended";
    const char *matching = q->all ? af_plural(r->matched, "", "s")
                                  : af_plural(r->matched, " that matches", "s that match");
    const size_t n = q->dry_run ? r->chosen : r->done.ended;
    if (!r->matched)
        say(q->all ? af_format("no TIME_WAIT sockets") : af_format("no TIME_WAIT socket matches, of %zu", r->standing));
    else if (!r->chosen)
        say(af_format("%s none of %zu TIME_WAIT socket%s: there are not more than %llu", would, r->matched, matching,
                      (unsigned long long)q->above));
    else if (r->chosen < r->matched)
        say(af_format("%s the %zu oldest of %zu TIME_WAIT socket%s, down to %llu", would, n, r->matched, matching,
                      (unsigned long long)q->above));
    else
        say(af_format("%s %zu of %zu TIME_WAIT socket%s", would, n, r->matched, matching));
    if (r->done.gone)
        say_gone(r->done.gone, r->done.gone - r->early);
}

static void print_where(const struct af_reap *q, const struct af_reaped *r) {
    const struct af_column columns[] = { { q->dry_run ? "WOULD_END" : "ENDED", .rank = 0 },
                                         { "ENDPOINT", .text = true } };
    struct af_table table = { .columns = columns, .n_columns = 2 };
    struct af_row where;
    size_t rest = q->dry_run ? r->chosen : r->done.ended;
    af_reap_endpoints(r, &where);
    for (uint32_t i = 0; i < where.n_top; i++) {
        char **cells = af_table_row(&table), text[AF_ADDR_TEXT];
        af_endpoint_text(&where.top[i], text);
        cells[0] = af_format("%u", where.top[i].count);
        cells[1] = af_format("%s", text);
        rest -= where.top[i].count;
    }
    if (where.n_endpoints > where.n_top) {
        char **cells = af_table_row(&table);
        cells[0] = af_format("%zu", rest);
        cells[1] = af_format("%u other%s", where.n_endpoints - where.n_top,
                             af_plural(where.n_endpoints - where.n_top, "", "s"));
    }
    if (where.n_top)
        af_table_print(&table, stdout, width(), af_colour_on(STDOUT_FILENO));
    af_table_free(&table);
}

static char *nothing(void) {
    return af_format("%s", "");
}

/* The kernel's own count, and why it did not fall by just as many. */
static void say_sockstat(const struct af_reap *q, const struct af_reaped *r) {
    const long more = r->after - (r->before - (long)r->done.ended);
    char *drift = q->dry_run || !more ? nothing()
                  : more > 0          ? af_format("; %ld more came meanwhile", more)
                                      : af_format("; %ld more went meanwhile", -more);
    char *orphans = r->orphans ? af_format("; it counts %zu orphan%s in FIN_WAIT2 too, left alone", r->orphans,
                                           af_plural(r->orphans, "", "s"))
                               : nothing();
    if (r->before < 0 || r->after < 0)
        say(af_format("sockstat: cannot be read"));
    else if (q->dry_run)
        say(af_format("sockstat: %ld TIME_WAIT%s", r->after, orphans));
    else
        say(af_format("sockstat: %ld TIME_WAIT before, %ld now%s%s", r->before, r->after, orphans, drift));
    free(orphans);
    free(drift);
}

/* ---- for machines ------------------------------------------------------------------------------------------- */

struct count {
    const char *name;
    long n; /* -1: not known */
};
enum { COUNTS = 7 };

static void counts_of(const struct af_reaped *r, struct count out[COUNTS]) {
    const struct count counts[COUNTS] = {
        { "matched", (long)r->matched },   { "chosen", (long)r->chosen },     { "ended", (long)r->done.ended },
        { "gone", (long)r->done.gone },    { "time_wait_before", r->before }, { "time_wait_after", r->after },
        { "fin_wait2", (long)r->orphans },
    };
    memcpy(out, counts, sizeof counts);
}

static void time_text(char out[40]) {
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t used = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, 40 - used, ".%03ldZ", now.tv_nsec / 1000000);
}

static json_t *object(const struct af_reap *q, const struct af_reaped *r) {
    json_t *all = json_object();
    struct count counts[COUNTS];
    struct af_row where;
    char time[40];
    time_text(time);
    af_reap_endpoints(r, &where);
    counts_of(r, counts);
    af_json_put(all, "version", 1);
    json_object_set_new(all, "event", json_string("reap"));
    json_object_set_new(all, "time", json_string(time));
    json_object_set_new(all, "dry_run", json_boolean(q->dry_run));
    for (int i = 0; i < COUNTS; i++)
        json_object_set_new(all, counts[i].name, counts[i].n < 0 ? json_null() : json_integer(counts[i].n));
    json_object_set_new(all, "endpoints", af_json_endpoints(&where));
    return all;
}

/* Nothing in it needs quoting but the list of endpoints. */
static char *logfmt(const struct af_reap *q, const struct af_reaped *r) {
    struct count counts[COUNTS];
    struct af_row where;
    char time[40], *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return NULL;
    time_text(time);
    af_reap_endpoints(r, &where);
    counts_of(r, counts);
    fprintf(to, "afterfin version=1 event=reap time=%s%s", time, q->dry_run ? " dry_run=on" : "");
    for (int i = 0; i < COUNTS; i++)
        if (counts[i].n >= 0)
            fprintf(to, " %s=%ld", counts[i].name, counts[i].n);
    for (uint32_t i = 0; i < where.n_top; i++) {
        char endpoint[AF_ADDR_TEXT];
        af_endpoint_text(&where.top[i], endpoint);
        fprintf(to, "%s%s=%u", i ? "," : " endpoints=\"", endpoint, where.top[i].count);
    }
    fputs(where.n_top ? "\"" : "", to);
    fclose(to);
    return text;
}

/* ---- where it goes ------------------------------------------------------------------------------------------ */

bool af_reap_print(const struct af_reap *q, const struct af_reaped *r) {
    if (q->json)
        return af_json_write(object(q, r), "reap", q->json_path);
    say_what(q, r);
    print_where(q, r);
    say_sockstat(q, r);
    return true;
}

/* A file is opened for each line, so that it may be rotated. No stdio, whose buffer would be written again at exit.
 * EINTR is a signal that says to end: then there is nothing to complain of. */
static bool put_line(const char *line, const char *path) {
    const int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : STDOUT_FILENO;
    size_t size = strlen(line);
    ssize_t done;
    while (fd >= 0 && size && (done = write(fd, line, size)) >= 0) {
        line += done;
        size -= (size_t)done;
    }
    const int error = size ? errno : 0;
    if (path && fd >= 0)
        close(fd);
    if (error && error != EINTR)
        af_tell("reap: cannot write to %s: %s", path ? path : "stdout", strerror(error));
    return !error;
}

bool af_reap_print_line(const struct af_reap *q, const struct af_reaped *r) {
    json_t *all = q->json ? object(q, r) : NULL;
    char *text = all ? af_json_dump(all, JSON_COMPACT) : logfmt(q, r), *line = text ? af_format("%s\n", text) : NULL;
    bool ok = line && put_line(line, q->json_path);
    if (!line)
        af_tell("reap: %s", strerror(ENOMEM));
    free(line);
    free(text);
    json_decref(all);
    return ok;
}
