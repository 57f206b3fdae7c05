/* The table of endings: of each way in which a connection can end, what the library counted at close, what
 * `afterfin run` made of its ledger and what is in the kernel's own table agree exactly. `make endings` does it
 * 1,000 times over. */
#include "tests/harness/command.h"
#include "tests/shim/ending_rows.h"

#include <stdlib.h>
#include <unistd.h>

/* Every process: established splits without rest, and each of its TIME_WAITs leads somewhere. Returns
 * time_wait_confirmed, all of them together. */
static long expect_invariant(const char *name, const json_t *json) {
    const json_t *process, *processes = json_object_get(json, "processes");
    long confirmed = 0;
    size_t i;

    json_array_foreach(processes, i, process) {
        long parts = json_number(process, "time_wait") + json_number(process, "avoided") +
                     json_number(process, "passive") + json_number(process, "aborted") +
                     json_number(process, "passed") + json_number(process, "open");
        cr_assert(json_number(process, "established") == parts, "%s: process %zu: %s", name, i, json_dumps(process, 0));
        cr_assert(json_number(process, "time_wait") == json_endpoints(process), "%s: process %zu: %s", name, i,
                  json_dumps(process, 0));
        confirmed += json_number(process, "time_wait_confirmed");
    }
    return confirmed;
}

static void expect_totals(const struct played *played, const json_t *json) {
    const json_t *totals = json_object_get(json, "totals");
#define X(field) \
    cr_assert(json_number(totals, #field) == played->settled.field, "%s: %s is %ld, not %ld: %s", played->name, \
              #field, json_number(totals, #field), played->settled.field, json_dumps(totals, 0));
    TALLY_FIELDS(X)
#undef X
}

static void expect_row(const struct endings *of, const struct row *row, const char *linger, int times) {
    const char *path = scratch_path();
    struct played played = row_play(of, row, linger, path, times);
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);

    cr_assert(json, "%s: no JSON", played.name);
    long confirmed = expect_invariant(played.name, json), counted = json_number(json, "totals.time_wait");
    long attributed = json_number(json, "kernel.attributed");
    cr_assert(confirmed == played.kernel, "%s: %ld confirmed, the kernel has %ld", played.name, confirmed,
              played.kernel);
    cr_assert(attributed == played.kernel, "%s: %ld attributed, the kernel has %ld", played.name, attributed,
              played.kernel);
    if (row->raced)
        cr_log_info("%s: %ld counted, %ld confirmed", played.name, counted, confirmed);
    else
        expect_totals(&played, json);
    json_decref(json);
    unlink(path);
}

/* As often as is asked, in as many namespaces as that takes. */
static void expect_rows(const struct endings *of, const char *linger) {
    for (size_t i = 0; i < of->n; i++) {
        int most = of->rows[i].most ? of->rows[i].most : row_times();
        for (int left = row_times(); left > 0; left -= most)
            expect_row(of, &of->rows[i], linger, left < most ? left : most);
    }
}

static void expect_endings(const struct endings *of) {
    expect_rows(of, "off");
    expect_rows(of, "ack");
}

static void expect_every_linger(const struct endings *of) {
    expect_endings(of);
    expect_rows(of, "ack-always");
    expect_rows(of, "rst");
    expect_rows(of, "5");
}

/* The rest of the policies takes its time: `make endings` only. */
static void expect_all(const struct endings *of) {
    if (getenv("TIMES"))
        expect_every_linger(of);
    else
        expect_endings(of);
}

Test(endings, by_every_way_to_close) {
    expect_every_linger(&close_ways);
}
Test(endings, by_something_else_in_its_place) {
    expect_every_linger(&replace_ways);
}
Test(endings, by_every_way_to_close_a_stream) {
    expect_every_linger(&stream_ways);
}
Test(endings, by_what_dlsym_finds) {
    expect_every_linger(&dlsym_ways);
}
Test(endings, of_the_last_copy) {
    expect_every_linger(&copy_ways);
}
Test(endings, of_the_last_copy_once_the_peer_has_ended) {
    expect_all(&early_copy_ways);
}
Test(endings, past_what_ends_nothing) {
    expect_all(&harmless_ways);
}
Test(endings, of_what_came_back) {
    expect_all(&return_ways);
}
Test(endings, by_every_way_out_of_the_process) {
    expect_all(&leave_ways);
}
Test(endings, by_a_signal) {
    expect_rows(&kill_ways, "off");
}
Test(endings, over_IPv6) {
    expect_every_linger(&family_ways);
}

Test(endings, however_it_was_opened) {
    expect_all(&open_ways);
}
Test(endings, of_non_blocking_connects) {
    expect_all(&nonblocking_ways);
}
Test(endings, of_TCP_Fast_Open) {
    expect_all(&first_data_ways);
}
Test(endings, of_refused_connects) {
    expect_all(&refused_ways);
}
Test(endings, of_connects_that_nobody_answers) {
    expect_rows(&unanswered_ways, "off");
}
Test(endings, by_connect_to_AF_UNSPEC) {
    expect_all(&unspec_ways);
}

Test(endings, by_whose_FIN_was_first) {
    expect_all(&first_fin);
}
Test(endings, without_an_orderly_close) {
    expect_all(&no_orderly_close);
}
Test(endings, by_a_time_out) {
    expect_all(&timeout_ways);
}
Test(endings, by_the_program_s_own_linger) {
    expect_all(&own_linger);
}
Test(endings, from_both_sides_at_once) {
    expect_all(&both_at_once);
}

Test(endings, of_accepted_connections) {
    expect_all(&accept_ways);
}
Test(endings, of_what_an_inherited_listener_accepted) {
    expect_all(&listener_ways);
}
Test(endings, of_what_was_on_stdin_stdout_and_stderr) {
    expect_all(&stdio_ways);
}
Test(endings, of_MPTCP) {
    if (access("/proc/sys/net/mptcp/enabled", F_OK) != 0)
        cr_skip_test("this kernel has no MPTCP");
    expect_endings(&mptcp_ways);
    expect_endings(&mptcp_accept_ways);
}

Test(endings, after_a_fork) {
    expect_all(&fork_ways);
}
Test(endings, after_every_way_to_fork) {
    expect_all(&birth_ways);
}
Test(endings, of_what_both_left_open) {
    expect_all(&part_ways);
}
Test(endings, of_a_daemon_s) {
    expect_all(&daemon_ways);
}
Test(endings, by_a_child_s_death) {
    expect_all(&killed_ways);
}
Test(endings, past_a_child_on_our_memory) {
    expect_all(&memory_ways);
}
Test(endings, past_a_handler_that_interrupts_vfork) {
    if (victims_are("i386"))
        cr_skip_test("there a handler that comes before vfork has returned is taken for the child (vfork.S)");
    expect_all(&handler_ways);
}
Test(endings, past_a_child_that_becomes_another_image) {
    expect_all(&image_ways);
}
Test(endings, of_a_descriptor_that_was_sent) {
    expect_all(&sent_ways);
}
Test(endings, of_a_descriptor_that_was_sent_and_kept) {
    expect_all(&sent_last_ways);
}
Test(endings, after_exec) {
    expect_all(&exec_ways);
}
Test(endings, by_eight_threads) {
    expect_every_linger(&thread_ways);
}
Test(endings, by_eight_threads_of_one_descriptor) {
    expect_endings(&same_ways);
}
