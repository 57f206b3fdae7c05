/* The cycle of a connection: its time, bare and above the floor (floor.c), and its instructions. */
#include "bench/rows.h"

#include <stdio.h>
#include <string.h>

enum { CONNECTIONS = 100 };
#define PLAIN .kind = "plain"
#define HEARD .kind = "heard"

/* The first of a kind is bare, and what the others are compared to; so is the first that is a floor. */
static const struct row rows[] = {
    { .name = "bare", PLAIN },
    { .name = "bare again (noise)", PLAIN },
    { .name = "floor of a tool that knows", .settings = "floor", PLAIN },
    { .name = "floor again (noise)", .settings = "floor", PLAIN },
    { .name = "floor, and which it was", .settings = "floor cookie", PLAIN },
    { .name = "floor, ack set", .settings = "floor ack", PLAIN },
    { .name = "floor, ack set and back", .settings = "floor back", PLAIN },
    { .name = "empty library", .settings = "empty", PLAIN },
    { .name = "watching (nothing set)", .settings = "", PLAIN },
    { .name = "counting (log)", .settings = LOG, .bound = 1.00, PLAIN },
    { .name = "counting with ledger", .settings = LOG "|LEDGER", .bound = 1.04, PLAIN },
    { .name = "linger=ack, not heard", .settings = LOG "|LINGER=ack", PLAIN },
    { .name = "linger=ack-always", .settings = LOG "|LINGER=ack-always", .bound = 1.04, PLAIN },
    { .name = "not heard nor counted", .settings = "LINGER=ack", PLAIN },
    { .name = "linger=rst", .settings = LOG "|LINGER=rst", PLAIN },
    { .name = "port_range", .settings = LOG "|PORT_RANGE=32768-60999", PLAIN },
    { .name = "port_search=cycle", .settings = LOG "|PORT_SEARCH=cycle", PLAIN },
    { .name = "keepalive=60:10:3", .settings = LOG "|KEEPALIVE=60:10:3", PLAIN },
    { .name = "user_timeout=10s", .settings = LOG "|USER_TIMEOUT=10s", PLAIN },
    { .name = "source, 8 addresses", .settings = LOG "|SOURCE=127.0.0.2-127.0.0.9", PLAIN },
    { .name = "syn_retries=3", .settings = LOG "|SYN_RETRIES=3", PLAIN },
    { .name = "bare, peer is heard", HEARD },
    { .name = "floor, peer is heard", .settings = "floor", HEARD },
    { .name = "floor, heard, ack set", .settings = "floor ack", HEARD },
    { .name = "counting, heard", .settings = LOG, .bound = 1.00, HEARD },
    { .name = "linger=ack, heard", .settings = LOG "|LINGER=ack", .bound = 1.04, HEARD },
    { .name = "bare, bind to port 0", .kind = "bind0" },
    { .name = "bind_no_port", .settings = LOG "|BIND_NO_PORT=on", .kind = "bind0" },
    { .name = "bare, bind to a port", .kind = "bind" },
    { .name = "reuseaddr", .settings = LOG "|REUSEADDR=on", .kind = "bind" },
};

static size_t bare_of(size_t i) {
    size_t bare = 0;
    while (strcmp(rows[bare].kind, rows[i].kind) != 0)
        bare++;
    return bare;
}

/* COUNT(rows): there is none. */
static size_t floor_of(size_t i) {
    size_t floor = bare_of(i);
    while (floor < COUNT(rows) && (!rows[floor].settings || strcmp(rows[floor].settings, "floor") != 0 ||
                                   strcmp(rows[floor].kind, rows[i].kind) != 0))
        floor++;
    return floor;
}

/* Of one cycle: what twice as many take more. -1: unknown. */
static double instructions(const struct row *row) {
    char arguments[64];
    double collected[2];

    for (int i = 0; i < 2; i++) {
        snprintf(arguments, sizeof arguments, "untimed %s %d " BENCH_PORT, row->kind, (i + 1) * CONNECTIONS);
        struct start start = row_start(&(struct row){ .settings = row->settings },
                                       (struct start){ .arguments = arguments });
        collected[i] = count_driver(&start);
    }
    return collected[0] < 0 || collected[1] < 0 ? -1 : (collected[1] - collected[0]) / CONNECTIONS;
}

static void print_row(size_t i, struct series *figures, struct series *to_bare, struct series *to_floor,
                      double counted) {
    printf("  %-27s %6.2f %6.3f", rows[i].name, series_at(figures, 0.5) / 1000, series_at(to_bare, 0.5));
    if (floor_of(i) < COUNT(rows))
        printf("  %5.3f (%5.3f-%5.3f)", series_at(to_floor, 0.5), series_at(to_floor, 0.25), series_at(to_floor, 0.75));
    else
        printf("  %5s %13s", "", "");
    if (counted < 0)
        printf(" %8s", "-");
    else
        printf(" %8.0f", counted);
    print_bound(&rows[i], to_floor);
}

/* Once for all rows: exact, and the same in every round. */
static bool count_all(double counted[]) {
    bool good = place_enter(false, false);

    for (size_t i = 0; i < COUNT(rows) && good; i++)
        counted[i] = instructions(&rows[i]);
    place_leave();
    return good;
}

bool bench_cycles(unsigned rounds) {
    static struct series figures[COUNT(rows)], to_bare[COUNT(rows)], to_floor[COUNT(rows)];
    double counted[COUNT(rows)];
    struct start how = { .arguments = "cycle %s 1000 " BENCH_PORT };

    if (!rows_run(rows, COUNT(rows), rounds, how, figures) || !count_all(counted))
        return false;
    for (size_t i = 0; i < COUNT(rows); i++) { /* before any is sorted */
        to_bare[i] = series_to(&figures[i], &figures[bare_of(i)], false);
        to_floor[i] = series_to(&figures[i], &figures[floor_of(i) < COUNT(rows) ? floor_of(i) : i], false);
    }
    printf(
        "socket, connect, close; policies on top of counting. The floor: a table and one TCP_INFO at the close. Other\n"
        "floors make the system calls besides that a ledger (SO_COOKIE) or linger=ack (TCP_LINGER2) cannot do without\n"
        "  %-27s %6s %6s  %5s (%-11s) %8s\n",
        "", "us", "/bare", "/floor", "lower-upper", "instr.");
    for (size_t i = 0; i < COUNT(rows); i++)
        print_row(i, &figures[i], &to_bare[i], &to_floor[i], counted[i]);
    fflush(stdout);
    return true;
}
