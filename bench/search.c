/* port_search=cycle: the median connect as the port range fills with TIME_WAITs (tcp_tw_reuse=0). */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The range of a new namespace; connects measured at each level. */
enum { PORTS = 28232, EACH = 100, LEVELS = 6, PROCESSES = 8, OWN_BOUND = 2, OTHERS_BOUND = 5, SHARED_BOUND = 2 };
static const int levels[LEVELS] = { 0, 25, 50, 75, 90, 99 };

#define CYCLE "PORT_SEARCH=cycle"

/* A full range has EACH ports left to measure. */
static int ports_at(int percent) {
    int ports = PORTS / 100 * percent;
    return ports > PORTS - 2 * EACH ? PORTS - 2 * EACH : ports;
}

/* On a machine that is too busy a fill takes longer than the minute that a TIME_WAIT lasts. The last ones are
 * still on their way there when this is asked. */
static bool is_full(int ports) {
    for (int i = 0; i < 100; i++) {
        if (place_time_waits() >= ports - ports / 20)
            return true;
        usleep(20000);
    }
    fprintf(stderr, "bench: %ld TIME_WAITs where %d were to be: the machine is too busy\n", place_time_waits(), ports);
    return false;
}

/* The kernel's own search, the range filled in its order. */
static bool bare_levels(double out[LEVELS]) {
    bool good = place_enter(true, false);

    for (int i = 0; i < LEVELS && good; i++) {
        char fill[64], measure[64];
        snprintf(fill, sizeof fill, "fill parity %d %d " BENCH_PORT, i ? ports_at(levels[i - 1]) : 0,
                 ports_at(levels[i]));
        snprintf(measure, sizeof measure, "connects %d " BENCH_PORT, EACH);
        good = run_driver(&(struct start){ .arguments = fill }, NULL, 0) &&
               run_driver(&(struct start){ .arguments = measure }, &out[i], 1) && is_full(ports_at(levels[i]));
    }
    place_leave();
    return good;
}

static bool cycle_levels(double out[LEVELS]) {
    char arguments[128];
    int n = snprintf(arguments, sizeof arguments, "levels %d " BENCH_PORT, EACH);

    for (int i = 0; i < LEVELS; i++)
        n += snprintf(arguments + n, sizeof arguments - (size_t)n, " %d", ports_at(levels[i]));
    bool good = place_enter(true, false) &&
                run_driver(&(struct start){ .settings = CYCLE, .arguments = arguments }, out, LEVELS) &&
                is_full(ports_at(99));
    place_leave();
    return good;
}

/* Others have filled the range to 99 %; [0] in the kernel's order, [1] at random. */
static bool late_comer(double out[2]) {
    static const char *const orders[] = { "parity", "random" };
    bool good = true;

    for (int i = 0; i < 2 && good; i++) {
        char fill[64], measure[64];
        snprintf(fill, sizeof fill, "fill %s 0 %d " BENCH_PORT, orders[i], ports_at(99));
        snprintf(measure, sizeof measure, "connects %d " BENCH_PORT, EACH);
        good = place_enter(true, false) && run_driver(&(struct start){ .arguments = fill }, NULL, 0) &&
               run_driver(&(struct start){ .settings = CYCLE, .arguments = measure }, &out[i], 1) &&
               is_full(ports_at(99));
        place_leave();
    }
    return good;
}

/* One, then eight at once, who each fill their share of 90 %; the slowest of them in out[1]. */
static bool eight(double out[2]) {
    char arguments[64];
    struct start starts[PROCESSES];
    double each[PROCESSES];

    snprintf(arguments, sizeof arguments, "connects %d " BENCH_PORT, ports_at(90) / PROCESSES);
    for (int i = 0; i < PROCESSES; i++)
        starts[i] = (struct start){ .settings = CYCLE, .arguments = arguments };
    bool good = place_enter(true, false) && run_driver(&starts[0], &out[0], 1);
    place_leave();
    good = good && place_enter(true, false) && run_drivers(starts, PROCESSES, each) && is_full(ports_at(90));
    place_leave();
    for (int i = 0; i < PROCESSES && good; i++)
        out[1] = i == 0 || each[i] > out[1] ? each[i] : out[1];
    return good;
}

static struct series bare[LEVELS], cycle[LEVELS], late[2], shared[2];

static void print_levels(void) {
    double empty = series_at(&cycle[0], 0.5);

    printf("\nport_search: median connect in us, %d ports filled with TIME_WAITs to\n"
           "  %-30s %8s %8s %7s\n",
           PORTS, "", "bare", "cycle", "to empty");
    for (int i = 0; i < LEVELS; i++) {
        double ratio = series_at(&cycle[i], 0.5) / empty;
        printf("  %3d %%, its own %16s %8.1f %8.1f %7.2f  <= %-4d %s\n", levels[i], "", series_at(&bare[i], 0.5) / 1000,
               series_at(&cycle[i], 0.5) / 1000, ratio, OWN_BOUND, verdict(ratio, ratio, OWN_BOUND));
    }
}

static void print_others(void) {
    static const char *const names[] = { "99 %, others', kernel's order", "99 %, others', at random" };
    double empty = series_at(&cycle[0], 0.5);

    for (int i = 0; i < 2; i++) {
        double figure = series_at(&late[i], 0.5);
        printf("  %-30s %8s %8.1f %7.2f  <= %-4d %s\n", names[i], "", figure / 1000, figure / empty, OTHERS_BOUND,
               verdict(figure / empty, figure / empty, OTHERS_BOUND));
    }
    double alone = series_at(&shared[0], 0.5), slowest = series_at(&shared[1], 0.5);
    printf("  %-30s %8s %8.1f\n", "11 %, one process alone", "", alone / 1000);
    printf("  %-30s %8s %8.1f %7.2f  <= %-4d %s\n", "90 %, the slowest of eight", "", slowest / 1000, slowest / alone,
           SHARED_BOUND, verdict(slowest / alone, slowest / alone, SHARED_BOUND));
}

static void add_all(struct series to[], const double figures[], int n) {
    for (int i = 0; i < n; i++)
        series_add(&to[i], figures[i]);
}

bool bench_search(unsigned rounds) {
    unsigned done = 0;

    for (unsigned r = 0; r < rounds; r++) {
        double own[LEVELS], kernel[LEVELS], others[2], eighth[2];
        if (!bare_levels(kernel) || !cycle_levels(own) || !late_comer(others) || !eight(eighth))
            continue;
        add_all(bare, kernel, LEVELS);
        add_all(cycle, own, LEVELS);
        add_all(late, others, 2);
        add_all(shared, eighth, 2);
        done++;
    }
    if (!done)
        return false;
    print_levels();
    print_others();
    return true;
}
