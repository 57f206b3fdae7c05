/* How long connects take: the histogram's arithmetic, and that it has what happened. */
#include "ledger/histogram.h"
#include "ledger/reader.h"
#include "tests/harness/command.h"
#include "tests/harness/fabricate.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

Test(histogram, has_a_bucket_for_every_time_and_none_is_wide) {
    for (unsigned b = 0; b + 1 < AF_BUCKETS; b++) {
        const uint64_t from = af_bucket_from(b), next = af_bucket_from(b + 1);
        cr_assert_lt(from, next, "bucket %u", b);
        cr_assert_eq(af_bucket_of(from), b);
        cr_assert_eq(af_bucket_of(next - 1), b);
        cr_assert_leq(next - from, 1 + from / 16, "bucket %u is %llu wide", b, (unsigned long long)(next - from));
    }
    cr_assert_eq(af_bucket_of(UINT64_MAX), AF_BUCKETS - 1);
}

Test(histogram, gives_quantiles_within_a_sixteenth) {
    static const struct {
        const char *name;
        uint64_t times[8];
        size_t n;
        double share, wanted;
    } rows[] = {
        { "one", { 20000 }, 1, 0.5, 20000 },
        { "one, all of it", { 20000 }, 1, 1, 20000 },
        { "the larger of two", { 10000, 90000 }, 2, 0.99, 90000 },
        { "the middle", { 1000, 2000, 40000, 50000, 60000 }, 5, 0.5, 40000 },
        { "never above the largest", { 1000001, 1000001, 1000001 }, 3, 1, 1000001 },
        { "small ones are exact", { 3, 3, 3, 3 }, 4, 0.5, 3 },
        { "of nothing", { 0 }, 0, 0.5, 0 },
        { "beyond the last bucket", { UINT64_MAX / 2 }, 1, 0.99, (double)(UINT64_MAX / 2) },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_ledger *ledger = make_ledger(new_directory(), "a.ledger");
        for (size_t t = 0; t < rows[i].n; t++)
            af_ledger_count_time(made_map(ledger), rows[i].times[t]);
        const struct af_histogram *times = (void *)((char *)ledger + ledger->connect_times_at);
        struct af_histogram twice = { 0 };
        af_histogram_add(&twice, times);
        af_histogram_add(&twice, times);
        double got = af_histogram_quantile(times, rows[i].share);
        cr_expect_leq(got, rows[i].wanted * 17 / 16, "%s: %f", rows[i].name, got);
        cr_expect_geq(got, rows[i].wanted * 15 / 16, "%s: %f", rows[i].name, got);
        cr_expect_eq(af_histogram_total(&twice), 2 * rows[i].n, "%s", rows[i].name);
        cr_expect_eq(twice.max, times->max, "%s", rows[i].name);
    }
}

/* Of the only ledger in a directory. */
static struct af_histogram read_times(const char *directory) {
    struct af_histogram times = { 0 };
    struct af_reader reader;
    struct af_reader_error error;
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fdopendir(at);
    for (struct dirent *e; (e = readdir(list));)
        if (e->d_name[0] != '.') {
            cr_assert(af_reader_open(&reader, at, e->d_name, NULL, &error), "%s", error.text);
            cr_assert(af_reader_times(&reader, &times, &error), "%s", error.text);
            af_reader_close(&reader);
        }
    closedir(list);
    return times;
}

Test(histogram, has_every_connect_and_how_long_it_took) {
    static const struct {
        const char *name, *arguments;
        bool cut; /* the peer's answer does not come: the kernel sends a second SYN after a second (RFC 6298) */
        uint64_t connects, at_least;
    } rows[] = {
        { "answered", "-n 25", false, 25, 1000 },
        { "nobody answers", "-n 1", true, 1, 1000000000 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char settings[256];
        ns_enter();
        ns_sysctl("tcp_syn_retries", "1");
        struct peer peer = peer_start(&(struct peer_options){ 0 });
        const char *directory = new_directory();
        if (rows[i].cut)
            ns_cut(peer.port);
        snprintf(settings, sizeof settings, "LEDGER=%s", directory);
        run(settings, "connect_close 127.0.0.1 %u %s", peer.port, rows[i].arguments);
        struct af_histogram times = read_times(directory);
        cr_expect_eq(af_histogram_total(&times), rows[i].connects, "%s", rows[i].name);
        cr_expect_geq(times.max, rows[i].at_least, "%s: %llu", rows[i].name, (unsigned long long)times.max);
        cr_expect_geq(af_histogram_quantile(&times, 0.5) * 17 / 16, (double)rows[i].at_least, "%s", rows[i].name);
        peer_stop(&peer);
    }
}
