/* See rows.h; and the tables that need no more than it: closes, execs, threads. */
#include "bench/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct start row_start(const struct row *row, struct start how) {
    static char settings[256], arguments[64];
    const char *at = row->settings ? strstr(row->settings, "LEDGER") : NULL;

    how.settings = row->settings;
    if (at) {
        snprintf(settings, sizeof settings, "%.*sLEDGER=%s%s", (int)(at - row->settings), row->settings,
                 place_ledgers(), at + 6);
        how.settings = settings;
    }
    if (row->kind) {
        snprintf(arguments, sizeof arguments, how.arguments, row->kind);
        how.arguments = arguments;
    }
    return how;
}

static void shuffle(size_t order[], size_t n) {
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)rand() % i, other = order[k];
        order[k] = order[i - 1];
        order[i - 1] = other;
    }
}

bool rows_run(const struct row *rows, size_t n, unsigned rounds, struct start how, struct series figures[]) {
    size_t order[MOST_FIGURES];
    bool good = place_enter(false, how.awake);

    memset(figures, 0, n * sizeof *figures);
    for (unsigned r = 0; r < rounds && good; r++) {
        shuffle(order, n);
        for (size_t i = 0; i < n && good; i++) {
            struct start start = row_start(&rows[order[i]], how);
            double figure = 0;
            good = run_driver(&start, &figure, 1);
            series_add(&figures[order[i]], figure);
        }
    }
    place_leave();
    return good;
}

struct series series_to(const struct series *figures, const struct series *base, bool differences) {
    struct series to = { .n = 0 };

    for (size_t r = 0; r < figures->n; r++)
        series_add(&to, differences ? figures->value[r] - base->value[r] : figures->value[r] / base->value[r]);
    return to;
}

void print_bound(const struct row *row, struct series *ratios) {
    if (row->bound > 0)
        printf("  <= %-4g %s", row->bound, verdict(series_at(ratios, 0.5), series_at(ratios, 0.25), row->bound));
    printf("\n");
}

/* ---- tables of ratios (or differences) to their first row --------------------------------------------------- */

#define RATIO " %7.3f %7.3f %7.3f"
#define NANOSECONDS " %+7.1f %+7.1f %+7.1f"

/* `unit` divides the figures for display. */
static bool table(const struct row *rows, size_t n, unsigned rounds, struct start how, double unit, bool differences) {
    static struct series figures[MOST_FIGURES], ratios[MOST_FIGURES];

    if (!rows_run(rows, n, rounds, how, figures))
        return false;
    for (size_t i = 0; i < n; i++) /* before any is sorted */
        ratios[i] = series_to(&figures[i], &figures[0], differences);
    for (size_t i = 0; i < n; i++) {
        printf("  %-25s %8.2f", rows[i].name, series_at(&figures[i], 0.5) / unit);
        printf(differences ? NANOSECONDS : RATIO, series_at(&ratios[i], 0.5), series_at(&ratios[i], 0.25),
               series_at(&ratios[i], 0.75));
        print_bound(&rows[i], &ratios[i]);
    }
    fflush(stdout);
    return true;
}

bool bench_closes(unsigned rounds) {
    static const int open_sockets[] = { 0, 100, 10000 };
    static const struct row rows[] = {
        { .name = "bare" },
        { .name = "bare again (noise)" },
        { .name = "empty library", .settings = "empty" },
        { .name = "floor", .settings = "floor" },
        { .name = "watching", .settings = "", .bound = 5 },
        { .name = "counting", .settings = LOG, .bound = 5 },
        { .name = "counting with ledger", .settings = LOG "|LEDGER", .bound = 5 },
    };

    for (size_t i = 0; i < COUNT(open_sockets); i++) {
        char arguments[32];
        snprintf(arguments, sizeof arguments, "close %d", open_sockets[i]);
        printf("\nclose of a file with %d open sockets\n", open_sockets[i]);
        printf("  %-25s %8s %7s %7s %7s\n", "", "ns", "more", "lower", "upper");
        if (!table(rows, COUNT(rows), rounds, (struct start){ .arguments = arguments }, 1, true))
            return false;
    }
    return true;
}

bool bench_execs(unsigned rounds) {
    static const struct row rows[] = {
        { .name = "empty library", .settings = "empty" },
        { .name = "empty again (noise)", .settings = "empty" },
        { .name = "bare" },
        { .name = "watching", .settings = "", .bound = 1.05 },
        { .name = "counting", .settings = LOG, .bound = 1.05 },
        { .name = "counting with ledger", .settings = LOG "|LEDGER", .bound = 1.05 },
        { .name = "linger=ack, log=stderr", .settings = "LINGER=ack|LOG=stderr", .bound = 1.05 },
    };
    struct start how = { .arguments = "exec 100", .for_children = true };

    printf("\nexec of /bin/true, to its end\n  %-25s %8s %7s %7s %7s\n", "", "us", "ratio", "lower", "upper");
    return table(rows, COUNT(rows), rounds, how, 1000, false);
}

bool bench_forks(unsigned rounds) {
    static const struct kind {
        const char *what, *arguments;
        double bound;
    } kinds[] = {
        { "fork with no socket", "fork 0 200", 0 },
        { "fork with 9,000 open sockets", "fork 9000 200", 1.1 },
        { "posix_spawn with 9,000 open sockets", "spawn 9000 50", 1.1 },
    };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        const struct row rows[] = {
            { .name = "bare" },
            { .name = "bare again (noise)" },
            { .name = "empty library", .settings = "empty" },
            { .name = "counting", .settings = LOG, .bound = kinds[i].bound },
            { .name = "linger=ack", .settings = "LINGER=ack", .bound = kinds[i].bound },
        };
        printf("\n%s\n  %-25s %8s %7s %7s %7s\n", kinds[i].what, "", "us", "ratio", "lower", "upper");
        if (!table(rows, COUNT(rows), rounds, (struct start){ .arguments = kinds[i].arguments }, 1000, false))
            return false;
    }
    return true;
}

bool bench_threads(unsigned rounds) {
    static const struct row rows[] = {
        { .name = "bare" },
        { .name = "bare again (noise)" },
        { .name = "floor", .settings = "floor" },
        { .name = "floor, and which it was", .settings = "floor cookie" },
        { .name = "watching", .settings = "", .bound = 1.05 },
        { .name = "counting", .settings = LOG, .bound = 1.05 },
        { .name = "counting with ledger", .settings = LOG "|LEDGER", .bound = 1.05 },
    };
    static const char head[] = "\n64 threads, %s: time of the processor\n  %-25s %8s %7s %7s %7s\n";
    struct start how = { .arguments = "threads connect 60 " BENCH_PORT, .everywhere = true };

    printf(head, "socket, connect, close", "", "us", "ratio", "lower", "upper");
    if (!table(rows, COUNT(rows), rounds, how, 1000, false))
        return false;
    printf(head, "socket, close", "", "us", "ratio", "lower", "upper");
    how.arguments = "threads socket 1000 " BENCH_PORT;
    return table(rows, COUNT(rows), rounds, how, 1000, false);
}

static const struct kind {
    const char *what, *arguments;
    bool awake, connects;
    double bound, unit;
} kinds[] = {
    { "socket, connect, close", "cycle plain 2000 " BENCH_PORT, false, true, 2, 1000 },
    { "the same, towards a server that does not sleep", "cycle plain 2000 " BENCH_PORT, true, true, 2, 1000 },
    { "the first in 64 threads", "walls connect 25 " BENCH_PORT, false, true, 2, 1000 },
    { "the second in 64 threads", "walls connect 25 " BENCH_PORT, true, true, 2, 1000 },
    { "socket, close in 64 threads", "walls socket 1000 " BENCH_PORT, false, false, 1.05, 1000 },
    { "close of a file", "close 0", false, false, 1.02, 1 },
};

/* What run's supervisor costs a static program, beside what any does. */
bool bench_static(unsigned rounds) {
    for (size_t i = 0; i < COUNT(kinds); i++) {
        const struct kind *kind = &kinds[i];
        const struct row with_connects[] = {
            { .name = "bare", .settings = "static" },
            { .name = "bare again (noise)", .settings = "static" },
            { .name = "floor: seen, let go", .settings = "static look" },
            { .name = "floor: copied, one option", .settings = "static copy" },
            { .name = "linger=ack, from outside", .settings = "static linger=ack", .bound = kind->bound },
        };
        const struct row without[] = {
            with_connects[0],
            with_connects[1],
            { .name = "floor: a filter of 1", .settings = "static filter" },
            with_connects[4],
        };
        const struct start how = { .arguments = kind->arguments, .everywhere = true, .awake = kind->awake };
        printf("\na static program: %s\n  %-25s %8s %7s %7s %7s\n", kind->what, "", kind->unit > 1 ? "us" : "ns",
               "ratio", "lower", "upper");
        if (!table(kind->connects ? with_connects : without, kind->connects ? COUNT(with_connects) : COUNT(without),
                   rounds, how, kind->unit, false))
            return false;
    }
    return true;
}
