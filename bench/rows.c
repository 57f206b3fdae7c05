/* The ratios: cycles, closes, execs, threads. */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

/* LEDGER stands for LEDGER=directory. */
struct row {
    const char *name, *settings;
    double bound; /* on the median; 0: none */
};

static struct start start_of(const struct row *row, const char *arguments) {
    static char settings[256];
    const char *at = row->settings ? strstr(row->settings, "LEDGER") : NULL;

    if (!at)
        return (struct start){ .settings = row->settings, .arguments = arguments };
    snprintf(settings, sizeof settings, "%.*sLEDGER=%s%s", (int)(at - row->settings), row->settings, place_ledgers(),
             at + 6);
    return (struct start){ .settings = settings, .arguments = arguments };
}

static void print_row(const struct row *row, struct series *figures, struct series *ratios, const char *format) {
    double middle = series_at(ratios, 0.5);

    printf("  %-25s %8.2f", row->name, series_at(figures, 0.5));
    printf(format, middle, series_at(ratios, 0.25), series_at(ratios, 0.75));
    if (row->bound > 0)
        printf("  <= %-4g %s", row->bound, verdict(middle, series_at(ratios, 0.25), row->bound));
    printf("\n");
}

#define RATIO " %7.3f %7.3f %7.3f"
#define NANOSECONDS " %+7.1f %+7.1f %+7.1f"

/* Each row once a round, the first being what the others are compared to. The order turns, so that none has
 * always the same one before it. */
static bool rounds_of(const struct row *rows, size_t n, unsigned rounds, const char *arguments, struct start how,
                      struct series figures[]) {
    bool good = true;

    memset(figures, 0, n * sizeof *figures);
    for (unsigned r = 0; r < rounds && good; r++)
        for (size_t i = 0; i < n && good; i++) {
            size_t k = (i + r) % n;
            struct start start = start_of(&rows[k], arguments);
            double figure = 0;
            start.for_children = how.for_children;
            start.everywhere = how.everywhere;
            good = place_enter() && run_driver(&start, &figure, 1);
            place_leave();
            series_add(&figures[k], figure);
        }
    return good;
}

/* Prints the rows; `unit` divides the figures for display. */
static void print_rows(const struct row *rows, size_t n, struct series figures[], double unit, bool differences) {
    struct series ratios[MOST_FIGURES] = { 0 };

    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < figures[0].n; r++)
            series_add(&ratios[i], differences ? figures[i].value[r] - figures[0].value[r]
                                               : figures[i].value[r] / figures[0].value[r]);
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < figures[i].n; r++)
            figures[i].value[r] /= unit;
        print_row(&rows[i], &figures[i], &ratios[i], differences ? NANOSECONDS : RATIO);
    }
}

static struct series figures[MOST_FIGURES];

static bool measure(const struct row *rows, size_t n, unsigned rounds, const char *arguments, struct start how,
                    double unit, bool differences) {
    if (!rounds_of(rows, n, rounds, arguments, how, figures))
        return false;
    print_rows(rows, n, figures, unit, differences);
    fflush(stdout);
    return true;
}

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))
#define LOG "LOG=/dev/null"

bool bench_cycles(unsigned rounds) {
    static const struct row plain[] = {
        { "bare", NULL, 0 },
        { "bare again (noise)", NULL, 0 },
        { "empty library", "empty", 0 },
        { "watching (nothing set)", "", 0 },
        { "counting (log)", LOG, 1.05 },
        { "counting with ledger", LOG "|LEDGER", 1.05 },
        { "linger=ack", LOG "|LINGER=ack", 1.06 },
        { "linger=rst", LOG "|LINGER=rst", 0 },
        { "port_range", LOG "|PORT_RANGE=32768-60999", 0 },
        { "port_search=cycle", LOG "|PORT_SEARCH=cycle", 0 },
        { "keepalive=60:10:3", LOG "|KEEPALIVE=60:10:3", 0 },
        { "user_timeout=10s", LOG "|USER_TIMEOUT=10s", 0 },
    };
    static const struct row late[] = { { "bare, bind to port 0", NULL, 0 },
                                       { "bind_no_port", LOG "|BIND_NO_PORT=on", 0 } };
    static const struct row early[] = { { "bare, bind to a port", NULL, 0 }, { "reuseaddr", LOG "|REUSEADDR=on", 0 } };
    struct start how = { 0 };

    printf("socket, connect, close of 1,000 connections; policies on top of counting\n"
           "  %-25s %8s %7s %7s %7s\n",
           "", "us", "ratio", "lower", "upper");
    return measure(plain, COUNT(plain), rounds, "cycle plain 1000 " BENCH_PORT, how, 1000, false) &&
           measure(late, COUNT(late), rounds, "cycle bind0 1000 " BENCH_PORT, how, 1000, false) &&
           measure(early, COUNT(early), rounds, "cycle bind 1000 " BENCH_PORT, how, 1000, false);
}

bool bench_closes(unsigned rounds) {
    static const int open_sockets[] = { 0, 100, 10000 };
    static const struct row rows[] = {
        { "bare", NULL, 0 },
        { "bare again (noise)", NULL, 0 },
        { "empty library", "empty", 0 },
        { "watching", "", 5 },
        { "counting", LOG, 5 },
        { "counting with ledger", LOG "|LEDGER", 5 },
    };

    for (size_t i = 0; i < COUNT(open_sockets); i++) {
        char arguments[32];
        snprintf(arguments, sizeof arguments, "close %d", open_sockets[i]);
        printf("\nclose of a file with %d open sockets\n", open_sockets[i]);
        printf("  %-25s %8s %7s %7s %7s\n", "", "ns", "more", "lower", "upper");
        if (!measure(rows, COUNT(rows), rounds, arguments, (struct start){ 0 }, 1, true))
            return false;
    }
    return true;
}

bool bench_execs(unsigned rounds) {
    static const struct row rows[] = {
        { "empty library", "empty", 0 },
        { "empty again (noise)", "empty", 0 },
        { "bare", NULL, 0 },
        { "watching", "", 1.05 },
        { "counting", LOG, 1.05 },
        { "counting with ledger", LOG "|LEDGER", 1.05 },
        { "linger=ack, log=stderr", "LINGER=ack|LOG=stderr", 1.05 },
    };

    printf("\nexec of /bin/true, to its end\n  %-25s %8s %7s %7s %7s\n", "", "us", "ratio", "lower", "upper");
    return measure(rows, COUNT(rows), rounds, "exec 100", (struct start){ .for_children = true }, 1000, false);
}

bool bench_threads(unsigned rounds) {
    static const struct row rows[] = {
        { "bare", NULL, 0 },
        { "bare again (noise)", NULL, 0 },
        { "watching", "", 1.05 },
        { "counting", LOG, 1.05 },
        { "counting with ledger", LOG "|LEDGER", 1.05 },
    };
    static const char head[] = "\n64 threads, %s\n  %-25s %8s %7s %7s %7s\n";
    struct start how = { .everywhere = true };

    printf(head, "socket, connect, close", "", "us", "ratio", "lower", "upper");
    if (!measure(rows, COUNT(rows), rounds, "threads connect 25 " BENCH_PORT, how, 1000, false))
        return false;
    printf(head, "socket, close", "", "us", "ratio", "lower", "upper");
    return measure(rows, COUNT(rows), rounds, "threads socket 1000 " BENCH_PORT, how, 1000, false);
}
