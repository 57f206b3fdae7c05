/* The quick way through a log (cli/report/plain.c) against the thorough one (cli/report/line.c): it takes what the library
 * writes, and means the same by it. */
#include "cli/report/log.h"
#include "tests/cli/who/who.h"
#include "tests/harness/shell.h"

enum { AGAINST = 1 << 10 };

/* The line is kept: the thorough way writes over its own. */
static const char *thorough(const char *line, struct af_log_line *out) {
    char *copy = strdup(line);
    const char *why = af_log_any(copy, strlen(copy), out);
    free(copy);
    return why;
}

static void expect_same(const char *line, const struct af_log_line *a, const struct af_log_line *b) {
    const struct af_entry *x = &a->image, *y = &b->image;
    const struct af_pairs *p = &x->pairs, *q = &y->pairs;
    cr_expect(a->program_size == b->program_size && memcmp(a->program, b->program, a->program_size) == 0, "%s", line);
    cr_expect(x->pid == y->pid && x->at == y->at && x->started == y->started, "%s", line);
    cr_expect_eq(memcmp(x->count, y->count, sizeof x->count), 0, "%s", line);
    cr_expect(p->errors == q->errors && p->time_wait_to == q->time_wait_to, "%s", line);
    cr_expect(!p->errors || memcmp(p->text, q->text, p->errors + p->time_wait_to) == 0, "%s", line);
}

/* Does the quick way take it? Then the thorough one does, and to the same effect. */
static bool is_plain(const char *line) {
    static struct af_log_line quick, slow;
    if (!af_log_plain(line, strlen(line), &quick))
        return false;
    const char *why = thorough(line, &slow);
    cr_assert(!why, "%s: %s", line, why);
    expect_same(line, &quick, &slow);
    free((char *)slow.program);
    return true;
}

Test(plain, what_the_library_writes_is_taken) {
    static const char *const policies[] = { "", "|LINGER=ack", "|LINGER=5|KEEPALIVE=9:3:2|PORT_RANGE=20000-60000",
                                            "|RULES=connect 127.0.0.0/8 linger=ack; connect * keepalive=60" };
    ns_enter();
    struct peer peer = peer_start(&(struct peer_options){ 0 });
    for (size_t i = 0; i < ROWS(policies); i++)
        for (int json = 0; json < 2; json++) {
            const char *log = scratch_path();
            char *settings;
            cr_assert_gt(asprintf(&settings, "LOG=%s%s%s", log, json ? "|LOG_FORMAT=json" : "", policies[i]), 0);
            run(settings, "connect_close 127.0.0.1 %u -n 3", peer.port);
            run(settings, "open_by refused 127.0.0.1 9 3");
            run(settings, "server_close 127.0.0.1 0 0 -n 0");
            char *text = strdup(file_text(log)), *rest = NULL;
            size_t lines = 0;
            for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), lines++)
                cr_expect(is_plain(line), "%s", line);
            cr_expect_geq(lines, 2);
        }
}

static const char *const lines[] = {
    "afterfin version=1 event=exit time=2026-02-28T23:59:59.999Z pid=7 ppid=1 program=legacy elapsed_s=10.001 sockets=9 "
    "binds=0 bind_errors=0 connects=9 connect_errors=2 accepts=0 established=7 time_wait=3 avoided=1 passive=1 aborted=1 "
    "passed=0 open=1 errors=\"connect:ECONNREFUSED=2\" time_wait_to=\"10.0.0.5:443=2,[2001:db8::1]:80=1\" "
    "policy=\"linger=off,rules=connect * linger=ack\"",
    "{\"version\":1,\"event\":\"interval\",\"time\":\"2028-02-29T00:00:00.000Z\",\"pid\":7,\"ppid\":1,\"program\":"
    "\"a legacy\",\"elapsed_s\":0.500,\"sockets\":9,\"binds\":0,\"bind_errors\":0,\"connects\":9,\"connect_errors\":2,"
    "\"accepts\":0,\"established\":7,\"time_wait\":3,\"avoided\":1,\"passive\":1,\"aborted\":1,\"passed\":0,\"open\":1,"
    "\"errors\":{\"connect:ECONNREFUSED\":2},\"time_wait_to\":{\"10.0.0.5:443\":2,\":8080\":1},"
    "\"policy\":{\"linger\":\"off\",\"keepalive\":\"60\"}}",
    "afterfin version=1 event=exec time=2100-03-01T12:30:00.123Z pid=7 ppid=1 program=\"a legacy\" elapsed_s=0.000 "
    "sockets=1 binds=0 bind_errors=0 connects=1 connect_errors=0 accepts=0 established=1 time_wait=0 avoided=1 passive=0 "
    "aborted=0 passed=0 open=0 errors= time_wait_to= policy=\"linger=ack\" policy_since=2100-03-01T12:29:59.000Z sealed=1 "
    "lost=3",
};

Test(plain, every_time_is_the_same) {
    for (unsigned year = 1970; year <= 2106; year += year < 1973 ? 1 : 17)
        for (unsigned month = 1; month <= 12; month++)
            for (unsigned day = 1; day <= 31; day += day == 1 ? 26 : 1) {
                char *line = strdup(lines[0]), time[32];
                snprintf(time, sizeof time, "%04u-%02u-%02u", year, month, day);
                memcpy(strstr(line, "2026-02-28"), time, 10);
                cr_expect(is_plain(line), "%s", line);
                free(line);
            }
}

/* A byte changed, taken out, put in, or a piece that stands twice. */
static void damage(char *line, uint32_t random) {
    static const char bytes[] = "0123456789 =,\"\\{}:xZ-\x01\xc3\xa9";
    const size_t size = strlen(line), at = random % size, more = 1 + (random >> 8) % 24;
    switch (random >> 16 & 3) {
    case 0: line[at] = bytes[(random >> 18) % (sizeof bytes - 1)]; break;
    case 1: memmove(line + at, line + at + 1, size - at); break;
    case 2:
        memmove(line + at + 1, line + at, size - at + 1);
        line[at] = bytes[(random >> 18) % (sizeof bytes - 1)];
        break;
    default: memmove(line + at + (more < size - at ? more : 1), line + at, size - at + 1); break;
    }
}

Test(plain, what_is_damaged_means_what_it_says_or_is_left_to_the_thorough_way) {
    enum { TIMES = 60000 };
    unsigned taken = 0;
    uint32_t random = 1;
    for (unsigned i = 0; i < TIMES; i++) {
        char line[2 * AGAINST];
        strcpy(line, lines[i % ROWS(lines)]);
        for (unsigned times = i % 2; times < 2; times++) {
            random = random * 1664525 + 1013904223;
            damage(line, random ^ random >> 13);
        }
        taken += is_plain(line);
    }
    cr_expect(taken > TIMES / 100 && taken < TIMES / 2, "%u of %u", taken, TIMES);
}

/* What means one thing in JSON and another in logfmt, or overflows, or is no time. */
Test(plain, leaves_these_to_the_thorough_way) {
    static const struct {
        int line;
        const char *piece, *by;
    } rows[] = {
        { 0, "errors=\"connect:ECONNREFUSED=2\"", "errors=\"a=1,a=1\"" },
        { 1, "\"errors\":{\"connect:ECONNREFUSED\":2}", "\"errors\":{\"a\":1,\"a\":1}" },
        { 1, "\"keepalive\"", "\"linger\"" },
        { 1, "\"pid\":7", "\"pid\":07" },
        { 0, "pid=7", "pid=0" },
        { 0, "accepts=0", "accepts=999999999999999999" },
        { 0, "open=1", "open=2" },
        { 0, "elapsed_s=10.001", "elapsed_s=9999999999.001" },
        { 0, "elapsed_s=10.001", "elapsed_s=10.01" },
        { 0, "program=legacy", "program=\"le\\x01gacy\"" },
        { 0, "program=legacy", "program=a-name-of-sixty-three-bytes-is-as-much-as-a-ledger-can-hold-of-it" },
        { 0, "2026-02-28", "2026-13-28" },
        { 0, "23:59:59", "24:00:00" },
        { 0, "ppid=1 ", "" },
        { 0, "version=1", "version=2" },
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        char *line, *at = strstr(lines[rows[i].line], rows[i].piece);
        cr_assert(at, "%s", rows[i].piece);
        cr_assert_gt(asprintf(&line, "%.*s%s%s", (int)(at - lines[rows[i].line]), lines[rows[i].line], rows[i].by,
                              at + strlen(rows[i].piece)),
                     0);
        cr_expect(!is_plain(line), "%s", rows[i].by);
        free(line);
    }
    for (size_t i = 0; i < ROWS(lines); i++)
        cr_expect(is_plain(lines[i]), "%s", lines[i]);
}
