/* top's arithmetic on made-up looks: rates, shares, what is shown, in which order. */
#include "cli/output/memory.h"
#include "cli/top/view.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* ---- made-up looks ----------------------------------------------------------------------------------------- */

enum { LOW = 40000, HIGH = 40099, SECOND = 1000000000 };

/* One process of ten programs' worth, its connections 10.0.0.1 -> 10.0.0.2:PEER from port LOW on. */
struct made {
    int32_t pid;
    const char *program;
    uint64_t established, avoided;
    enum af_fate fate;
    unsigned time_wait, others; /* sockets of its own, of nobody's, towards the same peer */
    uint16_t peer;
    const char *policy;
};

static struct af_kernel_socket towards(uint16_t peer, unsigned port, uint64_t cookie) {
    return (struct af_kernel_socket){ .cookie = cookie,
                                      .state = AF_IN_TIME_WAIT,
                                      .local = { .ip = { 10, 0, 0, 1 }, .port = (uint16_t)port },
                                      .peer = { .ip = { 10, 0, 0, 2 }, .port = peer } };
}

static void add_socket(struct af_snapshot *look, struct af_kernel_socket socket) {
    struct af_kernel_sockets *kernel = &look->namespaces[0].kernel;
    kernel->all = af_room_for_one(kernel->all, kernel->n, sizeof *kernel->all);
    kernel->all[kernel->n++] = socket;
}

static void add_process(struct af_snapshot *look, const struct made *made) {
    struct af_collection *c = &look->found;
    const size_t row = c->n_rows;
    unsigned port = LOW;
    c->images = af_room_for_one(c->images, c->n_images, sizeof *c->images);
    c->rows = af_room_for_one(c->rows, c->n_rows, sizeof *c->rows);
    struct af_image *image = &c->images[c->n_images++];
    *image = (struct af_image){ .pid = made->pid, .started = (uint64_t)made->pid };
    strcpy(image->program, made->program);
    strcpy(image->policy, made->policy ? made->policy : "linger=off");
    c->rows[c->n_rows++] = (struct af_row){ .image = row, .fate = made->fate, .seen = { .pid = made->pid } };
    c->rows[row].seen.count[AF_COUNT_established] = made->established;
    c->rows[row].seen.count[AF_COUNT_avoided] = made->avoided;
    for (size_t i = 0; i < look->namespaces[0].kernel.n; i++) /* the ports that others before it have */
        port += look->namespaces[0].kernel.all[i].peer.port == made->peer;
    for (unsigned i = 0; i < made->time_wait + made->others; i++) {
        const uint64_t cookie = i < made->time_wait ? 1000 * (uint64_t)made->pid + i + 1 : 0;
        add_socket(look, towards(made->peer, port++, cookie));
        if (!cookie)
            continue;
        c->closings = af_room_for_one(c->closings, c->n_closings, sizeof *c->closings);
        c->closings[c->n_closings++] = (struct af_closing){
            .cookie = cookie, .row = row, .owner = row, .counted = AF_END_TIME_WAIT
        };
    }
}

static struct af_snapshot new_look(double at_s) {
    struct af_snapshot look = { .ledgers = true,
                                .at = (uint64_t)(at_s * SECOND),
                                .at_real = (uint64_t)(at_s * SECOND) };
    look.namespaces = calloc(1, sizeof *look.namespaces);
    look.n_namespaces = 1;
    af_ephemeral_parse(&look.namespaces[0].ports, "40000 40099", "");
    return look;
}

static struct af_top_sample sample_of(struct af_snapshot *look, uint64_t since) {
    struct af_top_sample sample;
    af_settle_records(&look->found);
    af_top_sample(&sample, look, since);
    return sample;
}

static const struct af_top_row *row_of(const struct af_top_rows *rows, const char *program) {
    for (size_t i = 0; i < rows->n; i++)
        if (strcmp(rows->all[i].program, program) == 0)
            return &rows->all[i];
    return NULL;
}

/* ---- rates ------------------------------------------------------------------------------------------------- */

Test(top_rows, tells_the_growth_between_two_looks_and_how_soon_ports_run_out) {
    static const struct {
        const char *name;
        double seconds;
        struct {
            uint64_t established;
            unsigned time_wait, others;
        } before, now;
        double new_per_s, full_in_s;
    } rows[] = {
        { "grows", 2, { 10, 10, 0 }, { 30, 30, 0 }, 10, 7 },
        { "by fractions of a second", 0.5, { 0, 0, 0 }, { 1, 1, 0 }, 2, 49.5 },
        { "stands still", 2, { 30, 30, 0 }, { 30, 30, 0 }, 0, -1 },
        { "as many expire as come", 2, { 30, 30, 0 }, { 50, 30, 0 }, 10, -1 },
        { "more expire than come", 2, { 30, 30, 0 }, { 40, 20, 0 }, 5, -1 },
        { "others use the ports up", 2, { 5, 5, 0 }, { 5, 5, 45 }, 0, 50 / 22.5 },
        { "full", 2, { 50, 50, 0 }, { 100, 100, 0 }, 25, 0 },
        { "full for long", 2, { 100, 100, 0 }, { 100, 100, 0 }, 0, 0 },
        { "a counter that went back", 2, { 30, 10, 0 }, { 20, 10, 0 }, 0, -1 },
        { "an hour later", 3600, { 0, 10, 0 }, { 36, 20, 0 }, 0.01, 80 * 360 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot first = new_look(100), second = new_look(100 + rows[i].seconds);
        add_process(&first, &(struct made){ 7, "made", rows[i].before.established, 0, AF_FATE_RUNNING,
                                            rows[i].before.time_wait, rows[i].before.others, 443, NULL });
        add_process(&second, &(struct made){ 7, "made", rows[i].now.established, 0, AF_FATE_RUNNING,
                                             rows[i].now.time_wait, rows[i].now.others, 443, NULL });
        struct af_top_sample before = sample_of(&first, 0), now = sample_of(&second, first.at_real);
        for (enum af_top_by by = AF_BY_PROCESS; by <= AF_BY_PROGRAM; by++) {
            struct af_top_rows all;
            af_top_rows(&all, &before, &now, by);
            const struct af_top_row *row = row_of(&all, "made");
            cr_assert(row, "%s", rows[i].name);
            cr_expect_float_eq(row->new_per_s, rows[i].new_per_s, 1e-9, "%s: %f", rows[i].name, row->new_per_s);
            cr_expect_eq(row->time_wait, rows[i].now.time_wait, "%s", rows[i].name);
            cr_expect_eq(row->busiest.used, rows[i].now.time_wait + rows[i].now.others, "%s", rows[i].name);
            cr_expect_eq(row->busiest.of, 100, "%s", rows[i].name);
            cr_expect_float_eq(row->busiest.full_in_s, rows[i].full_in_s, 1e-9, "%s: %f", rows[i].name,
                               row->busiest.full_in_s);
            af_top_rows_free(&all);
        }
    }
}

/* From 60 to 80 TIME_WAITs of 100 ports in two seconds, which the next connect may take over, or not. */
Test(top_rows, counts_no_TIME_WAIT_that_a_connect_takes_over_as_in_the_way) {
    static const struct {
        const char *name;
        int taken_over;
        uint8_t local, peer; /* the first byte of each */
        uint64_t binds;
        bool over;
    } rows[] = {
        { "tcp_tw_reuse 0, or no timestamps", 0, 127, 127, 0, false },
        { "2 over loopback", 2, 127, 127, 0, true },
        { "2 to loopback's address", 2, 10, 127, 0, true },
        { "2 elsewhere", 2, 10, 10, 0, false },
        { "1 elsewhere", 1, 10, 10, 0, true },
        { "1, and it binds", 1, 10, 10, 3, false },
        { "2 over loopback, and it binds", 2, 127, 127, 3, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot looks[] = { new_look(100), new_look(102) };
        for (int k = 0; k < 2; k++) {
            struct af_kernel_sockets *kernel = &looks[k].namespaces[0].kernel;
            add_process(&looks[k], &(struct made){ 7, "made", 80, 0, AF_FATE_RUNNING, 60 + 20 * k, 0, 443, NULL });
            looks[k].namespaces[0].taken_over = rows[i].taken_over;
            looks[k].found.rows[0].seen.count[AF_COUNT_binds] = rows[i].binds;
            for (size_t at = 0; at < kernel->n; at++) {
                kernel->all[at].local.ip[0] = rows[i].local;
                kernel->all[at].peer.ip[0] = rows[i].peer;
            }
        }
        struct af_top_sample before = sample_of(&looks[0], 0), now = sample_of(&looks[1], looks[0].at_real);
        struct af_top_rows all;
        af_top_rows(&all, &before, &now, AF_BY_PROCESS);
        const struct af_top_share *share = &row_of(&all, "made")->busiest;
        cr_expect_eq(share->used, 80, "%s: %u", rows[i].name, share->used);
        cr_expect_eq(share->taken_over, rows[i].over ? 80 : 0, "%s: %u", rows[i].name, share->taken_over);
        cr_expect_float_eq(share->full_in_s, rows[i].over ? -1 : 2, 1e-9, "%s: %f", rows[i].name, share->full_in_s);
        af_top_rows_free(&all);
    }
}

Test(top_rows, has_no_rate_where_there_was_only_one_look_or_no_ledgers_at_one) {
    struct af_snapshot first = new_look(100), second = new_look(102);
    const struct made made = { 7, "made", 50, 0, AF_FATE_RUNNING, 10, 0, 443, NULL };
    add_process(&second, &made);
    first.ledgers = false;
    struct af_top_sample before = sample_of(&first, 0), now = sample_of(&second, first.at_real);
    struct af_top_rows all;
    af_top_rows(&all, NULL, &now, AF_BY_PROCESS);
    cr_expect_lt(row_of(&all, "made")->new_per_s, 0);
    cr_expect_lt(row_of(&all, "made")->busiest.full_in_s, 0);
    cr_expect_eq(row_of(&all, "made")->busiest.used, 10);
    af_top_rows(&all, &before, &now, AF_BY_PROCESS);
    cr_expect_lt(row_of(&all, "made")->new_per_s, 0, "its ledger may have been there all the time");
}

/* The parent accepts, a child ends: the child has it as established too, and has opened nothing. */
Test(top_rows, counts_a_connection_that_changed_hands_once) {
    static const struct {
        const char *name;
        uint64_t at;       /* of the ends */
        uint64_t child[2]; /* its established at the two looks */
        double parent, children;
    } rows[] = {
        { "ended between the looks", 101ull * SECOND, { 0, 4 }, 4, 0 },
        { "ended before", 99ull * SECOND, { 4, 4 }, 4, 0 },
        { "of its own besides", 101ull * SECOND, { 0, 6 }, 4, 2 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot look[2] = { new_look(100), new_look(101) };
        for (int k = 0; k < 2; k++) {
            add_process(&look[k], &(struct made){ 7, "parent", k ? 8 : 4, 0, AF_FATE_RUNNING, 0, 0, 443, NULL });
            add_process(&look[k], &(struct made){ 8, "child", rows[i].child[k], 0, AF_FATE_RUNNING, 0, 0, 443, NULL });
        }
        for (uint64_t cookie = 1; cookie <= 4; cookie++) {
            struct af_collection *c = &look[1].found;
            c->closings = af_room_for_one(c->closings, c->n_closings, sizeof *c->closings);
            c->closings[c->n_closings++] = (struct af_closing){
                .cookie = cookie, .row = 1, .owner = 0, .counted = AF_END_TIME_WAIT, .at = rows[i].at
            };
        }
        struct af_top_sample before = sample_of(&look[0], 0), now = sample_of(&look[1], look[0].at_real);
        struct af_top_rows all;
        af_top_rows(&all, &before, &now, AF_BY_PROCESS);
        cr_expect_float_eq(row_of(&all, "parent")->new_per_s, rows[i].parent, 1e-9, "%s", rows[i].name);
        cr_expect_float_eq(row_of(&all, "child")->new_per_s, rows[i].children, 1e-9, "%s: %f", rows[i].name,
                           row_of(&all, "child")->new_per_s);
    }
}

/* Both programs have a record of the connection: the first opened it, the second came by it through exec or a
 * message. */
Test(top_rows, gives_what_is_open_to_one_holder) {
    static const struct {
        const char *name;
        enum af_fate older, younger;
        uint64_t has_older, has_younger;
    } rows[] = {
        { "both run", AF_FATE_RUNNING, AF_FATE_RUNNING, 1, 0 },
        { "its opener is gone", AF_FATE_SIGNAL, AF_FATE_RUNNING, 0, 1 },
        { "its heir is gone", AF_FATE_RUNNING, AF_FATE_SIGNAL, 1, 0 },
        { "both are gone", AF_FATE_SIGNAL, AF_FATE_SIGNAL, 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot look = new_look(100);
        add_process(&look, &(struct made){ 7, "older", 1, 0, rows[i].older, 0, 0, 443, NULL });
        add_process(&look, &(struct made){ 8, "younger", 0, 0, rows[i].younger, 0, 0, 443, NULL });
        look.found.live = calloc(2, sizeof *look.found.live);
        look.found.n_live = 2;
        for (size_t k = 0; k < 2; k++) {
            look.found.images[k].runs = look.found.rows[k].fate == AF_FATE_RUNNING;
            look.found.live[k] = (struct af_live){ .cookie = 5,
                                                   .image = k,
                                                   .holder = k,
                                                   .owner = 0,
                                                   .state = k ? AF_CONN_INHERITED : AF_CONN_OPEN,
                                                   .peer = towards(443, LOW, 0).peer };
        }
        add_socket(&look, towards(443, LOW, 5));
        look.namespaces[0].kernel.all[0].state = AF_IN_ESTABLISHED;
        struct af_top_sample now = sample_of(&look, 0);
        cr_expect_eq(now.processes[0].open, rows[i].has_older, "%s", rows[i].name);
        cr_expect_eq(now.processes[1].open, rows[i].has_younger, "%s", rows[i].name);
    }
}

/* ---- which rows -------------------------------------------------------------------------------------------- */

/* clang-format off */
#define MADE(n, ended, left) { 7, "made", n, 0, ended, left, 0, 443, NULL }
/* clang-format on */

Test(top_rows, shows_who_runs_or_left_something_or_did_something_lately) {
    static const struct {
        const char *name;
        struct made before, now; /* pid 0: not there */
        bool shown;
    } rows[] = {
        { "runs", MADE(0, AF_FATE_RUNNING, 0), MADE(0, AF_FATE_RUNNING, 0), true },
        { "gone, and nothing is left", MADE(9, AF_FATE_EXIT, 0), MADE(9, AF_FATE_EXIT, 0), false },
        { "gone, with TIME_WAITs", MADE(9, AF_FATE_EXIT, 3), MADE(9, AF_FATE_EXIT, 3), true },
        { "ended between the looks", MADE(9, AF_FATE_RUNNING, 0), MADE(9, AF_FATE_EXIT, 0), true },
        { "came and went between the looks", { 0 }, MADE(4, AF_FATE_EXIT, 0), true },
        { "its ledger is gone", MADE(9, AF_FATE_RUNNING, 0), { 0 }, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot first = new_look(100), second = new_look(101);
        if (rows[i].before.pid)
            add_process(&first, &rows[i].before);
        if (rows[i].now.pid)
            add_process(&second, &rows[i].now);
        struct af_top_sample before = sample_of(&first, 0), now = sample_of(&second, first.at_real);
        for (enum af_top_by by = AF_BY_PROCESS; by <= AF_BY_PROGRAM; by++) {
            struct af_top_rows all;
            af_top_rows(&all, &before, &now, by);
            cr_expect_eq(row_of(&all, "made") != NULL, rows[i].shown, "%s", rows[i].name);
            af_top_rows_free(&all);
        }
    }
}

Test(top_rows, adds_up_a_program_and_keeps_apart_what_nobody_owns) {
    static const struct made made[] = {
        { 7, "twin", 20, 3, AF_FATE_RUNNING, 5, 0, 443, NULL },
        { 8, "twin", 10, 4, AF_FATE_EXIT, 2, 0, 443, NULL },
        { 9, "twin", 90, 40, AF_FATE_EXIT, 0, 0, 443, NULL }, /* long gone: of the program still */
        { 10, "other", 1, 0, AF_FATE_RUNNING, 1, 6, 80, NULL },
    };
    struct af_snapshot first = new_look(100), second = new_look(102);
    for (size_t i = 0; i < 4; i++) {
        struct made earlier = made[i];
        earlier.established -= i < 2 ? 10 : 0;
        add_process(&first, &earlier);
        add_process(&second, &made[i]);
    }
    struct af_top_sample before = sample_of(&first, 0), now = sample_of(&second, first.at_real);
    struct af_top_rows all;
    af_top_rows(&all, &before, &now, AF_BY_PROGRAM);
    cr_assert_eq(all.n, 3);
    const struct af_top_row *twin = row_of(&all, "twin"), *unknown = row_of(&all, "unknown");
    cr_expect(twin->processes == 3 && twin->running == 1 && twin->time_wait == 7 && twin->avoided == 47);
    cr_expect_float_eq(twin->new_per_s, 10, 1e-9, "%f", twin->new_per_s);
    cr_expect(twin->busiest.own == 7 && twin->busiest.used == 7, "%u %u", twin->busiest.own, twin->busiest.used);
    cr_expect(unknown->unknown && unknown->time_wait == 6 && !unknown->busiest.at);
    cr_expect_eq(row_of(&all, "other")->busiest.used, 7, "a port is used whoever uses it");
    af_top_rows(&all, &before, &now, AF_BY_PROCESS);
    cr_expect_eq(all.n, 4, "7, 8, 10, and nobody's: %zu", all.n);
}

/* ---- shares ------------------------------------------------------------------------------------------------ */

Test(top_rows, counts_only_ports_that_a_connect_could_have_taken) {
    static const struct {
        const char *name, *policy;
        unsigned listens, seen_twice;
        uint32_t used, of;
    } rows[] = {
        { "plain", NULL, 0, 0, 30, 100 },
        { "a listener holds a port", NULL, HIGH, 0, 31, 100 },
        { "a listener on one that is used anyway", NULL, LOW, 0, 30, 100 },
        { "a listener outside the range", NULL, 80, 0, 30, 100 },
        { "listed twice by the kernel", NULL, 0, LOW, 30, 100 },
        { "a narrower range of its own", "linger=off,port_range=40020-40059", 0, 0, 10, 40 },
        { "one that sticks out", "linger=off,port_range=40090-50000", HIGH, 0, 1, 10 },
        { "one outside, which the kernel ignores", "linger=off,port_range=1024-2047", 0, 0, 30, 100 },
        { "one of a rule", "linger=off,rules=connect * port_range=40000-40001", 0, 0, 30, 100 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_snapshot look = new_look(100);
        add_process(&look, &(struct made){ 7, "made", 30, 0, AF_FATE_RUNNING, 20, 10, 443, rows[i].policy });
        add_process(&look, &(struct made){ 8, "elsewhere", 9, 0, AF_FATE_RUNNING, 9, 0, 444, NULL });
        if (rows[i].listens)
            add_socket(&look, (struct af_kernel_socket){
                                  .state = AF_IN_LISTENING, .inode = 1, .local.port = (uint16_t)rows[i].listens });
        if (rows[i].seen_twice)
            add_socket(&look, towards(443, rows[i].seen_twice, 0));
        struct af_top_sample now = sample_of(&look, 0);
        struct af_top_rows all;
        af_top_rows(&all, NULL, &now, AF_BY_PROCESS);
        const struct af_top_share *share = &row_of(&all, "made")->busiest;
        cr_expect(share->used == rows[i].used && share->of == rows[i].of, "%s: %u of %u", rows[i].name, share->used,
                  share->of);
    }
}

Test(top_rows, takes_the_destination_with_most_of_its_own_sockets_for_the_busiest) {
    struct af_snapshot look = new_look(100);
    add_process(&look, &(struct made){ 7, "made", 5, 0, AF_FATE_RUNNING, 5, 0, 443, NULL });
    add_process(&look, &(struct made){ 8, "made", 3, 0, AF_FATE_RUNNING, 3, 50, 444, NULL });
    struct af_top_sample now = sample_of(&look, 0);
    struct af_top_rows all;
    af_top_rows(&all, NULL, &now, AF_BY_PROGRAM);
    const struct af_top_row *row = row_of(&all, "made");
    cr_expect_eq(row->busiest.at->peer.port, 443);
    cr_expect(row->busiest.own == 5 && row->busiest.used == 5);
    cr_assert_eq(row->n_endpoints, 2);
    cr_expect(row->endpoints[0].addr.port == 443 && row->endpoints[0].share.used == 5);
    cr_expect(row->endpoints[1].addr.port == 444 && row->endpoints[1].share.used == 53, "%u",
              row->endpoints[1].share.used);
}

Test(top_rows, has_no_share_where_the_range_is_not_known) {
    struct af_snapshot look = new_look(100);
    add_process(&look, &(struct made){ 7, "made", 5, 0, AF_FATE_RUNNING, 5, 0, 443, NULL });
    af_ephemeral_parse(&look.namespaces[0].ports, "", "");
    struct af_top_sample now = sample_of(&look, 0);
    struct af_top_rows all;
    af_top_rows(&all, NULL, &now, AF_BY_PROCESS);
    cr_expect_not(row_of(&all, "made")->busiest.at);
    cr_expect_eq(row_of(&all, "made")->time_wait, 5);
}

/* ---- order and choice -------------------------------------------------------------------------------------- */

static const char *shown(const struct af_top_sample *before, const struct af_top_sample *now, const char *sort,
                         bool reversed, const char *filter) {
    static char text[256];
    struct af_top_ask ask = { .sort = af_top_column_named(sort), .reversed = reversed, .filter = filter };
    struct af_top_rows all;
    struct af_top_view view;
    cr_assert_neq(ask.sort, AF_SHOW_COLUMNS, "%s", sort);
    af_top_rows(&all, before, now, AF_BY_PROCESS);
    af_top_view(&view, &all, &ask);
    *text = 0;
    for (size_t i = 0; i < view.n; i++)
        strcat(strcat(text, i ? " " : ""), view.rows[i]->program);
    af_top_view_free(&view);
    af_top_rows_free(&all);
    return text;
}

Test(top_rows, sorts_by_any_column_and_filters_by_name_pid_and_endpoint) {
    static const struct {
        const char *sort;
        bool reversed;
        const char *filter, *shown;
    } rows[] = {
        { "time_wait", false, "", "b unknown c a" },
        { "time_wait", true, NULL, "a c unknown b" },
        { "program", false, "", "a b c unknown" },
        { "program", true, "", "unknown c b a" },
        { "pid", false, "", "unknown a b c" },
        { "new", false, "", "c b a unknown" },
        { "avoided", false, "", "a b c unknown" },
        { "share", false, "", "b c a unknown" },
        { "full_in", false, "", "c a b unknown" },
        { "open", false, "", "a b c unknown" },
        { "program", false, "C", "c" },
        { "program", false, "71", "a" },
        { "program", false, "10.0.0.2:443", "b unknown" },
        { "program", false, ":44", "b c unknown" },
        { "program", false, "nothing like it", "" },
        { "program", false, "unk", "unknown" },
    };
    static const struct made made[] = {
        { 71, "a", 1, 9, AF_FATE_RUNNING, 0, 0, 80, NULL },
        { 72, "b", 12, 0, AF_FATE_RUNNING, 30, 10, 443, NULL },
        { 73, "c", 30, 0, AF_FATE_RUNNING, 5, 0, 444, NULL },
    };
    struct af_snapshot first = new_look(100), second = new_look(101);
    for (size_t i = 0; i < 3; i++) {
        struct made earlier = made[i];
        earlier.established = i == 0 ? 1 : 10;
        earlier.time_wait = i == 1 ? 30 : 0;
        add_process(&first, &earlier);
        add_process(&second, &made[i]);
    }
    struct af_top_sample before = sample_of(&first, 0), now = sample_of(&second, first.at_real);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(shown(&before, &now, rows[i].sort, rows[i].reversed, rows[i].filter), rows[i].shown,
                         "by %s, with '%s': %s", rows[i].sort, rows[i].filter ? rows[i].filter : "",
                         shown(&before, &now, rows[i].sort, rows[i].reversed, rows[i].filter));
}
