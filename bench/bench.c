/* `make bench`: what the library costs, and what port_search gains, against the bounds.
 *
 * bench BUILD ROUNDS [SECTION]...   sections: cycles close exec fork threads search static */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct section {
    const char *name;
    bool (*run)(unsigned rounds);
    unsigned share; /* of the rounds */
} sections[] = {
    { "cycles", bench_cycles, 1 }, { "close", bench_closes, 1 },    { "exec", bench_execs, 1 },
    { "fork", bench_forks, 2 },    { "threads", bench_threads, 1 }, { "search", bench_search, 4 },
    { "static", bench_static, 4 },
};

static bool is_wanted(const char *name, int argc, char **argv) {
    bool found = argc <= 3;

    for (int i = 3; i < argc; i++)
        found |= strcmp(argv[i], name) == 0;
    return found;
}

int main(int argc, char **argv) {
    struct utsname machine;
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    bool good = true;

    if (argc < 3 || rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "usage: bench BUILD ROUNDS [cycles] [close] [exec] [fork] [threads] [search] [static]\n");
        return 2;
    }
    uname(&machine);
    place_init(argv[1]);
    printf("Linux %s, %ld processors\n"
           "Medians of %u interleaved rounds, lower and upper quartiles.\n"
           "Below some 3 %% believe counts (`make check`), not times.\n\n",
           machine.release, sysconf(_SC_NPROCESSORS_ONLN), rounds);
    for (size_t i = 0; i < sizeof sections / sizeof *sections && good; i++)
        if (is_wanted(sections[i].name, argc, argv))
            good = sections[i].run(rounds > sections[i].share ? rounds / sections[i].share : 1);
    place_end();
    if (good)
        printf("\nbounds: %u met, %u unclear (the lower quartile is within), %u missed\n", bounds_met, bounds_unclear,
               bounds_missed);
    return good ? 0 : 1;
}
