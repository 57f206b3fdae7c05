/* See reader_invariants.h. */
#include "tests/ledger/reader_invariants.h"
#include "cli/ledgers/settle.h"
#include "ledger/writer.h"

#include <stdlib.h>
#include <string.h>

enum { PROCESSES = 4, COOKIES = 16 };

static bool always(struct af_ledger_map *map, enum af_section_of section, uint32_t index) {
    return af_section_reached(map, section, index);
}

static void write_process(struct af_ledger_map *ledger, unsigned i) {
    const struct af_addr peer = { .ip = { 10, 0, 0, (uint8_t)i }, .port = 443 };
    bool shared;
    const uint32_t slot = af_ledger_claim_process(ledger, &shared);
    struct af_process *p = af_ledger_process(ledger, slot);
    af_ledger_prepare_process(p);
    p->pid = 1000 + (int32_t)i;
    p->started = 1000 + i;
    p->ended = i % 3;
    p->count[AF_COUNT_established] = 5;
    p->count[AF_COUNT_time_wait] = 3;
    p->count[AF_COUNT_passed] = 1;
    p->used = 2;
    af_ledger_count_error(p, AF_CALL_connect, 99);
    af_ledger_count_endpoint(ledger, slot, &peer, i & 1, 1);
    const uint32_t index = af_ledger_take_block(ledger);
    if (index != AF_NO_SLOT) {
        struct af_connection *conn = af_ledger_connection(ledger, index);
        conn->cookie = i + 1;
        conn->owner = slot;
        conn->holder = slot;
        conn->state = 1 + i % AF_CONN_INHERITED;
    }
    for (uint64_t n = 0; n < 3; n++) {
        const struct af_closed closed = { .cookie = i + 2 + n,
                                          .at = n,
                                          .slot = slot,
                                          .owner = n ? slot : AF_NO_SLOT,
                                          .counted = (uint8_t)(1 + n + i) % (AF_END_PASSED + 1) };
        af_ledger_append(ledger, &closed);
    }
}

size_t reader_seed(unsigned which, void *out) {
    const struct af_ledger_room room = { PROCESSES, PROCESSES * AF_BLOCK, 8, 8, 0 };
    const size_t size = af_ledger_size(&room);
    struct af_ledger *ledger = aligned_alloc(AF_WINDOW, (size + AF_WINDOW - 1) & ~(AF_WINDOW - 1));
    memset(ledger, 0, size);
    struct af_ledger_map map = { .reach = always };
    af_ledger_layout(ledger, &room);
    af_ledger_place_whole(&map, ledger, &room);
    memcpy(ledger->magic, AF_LEDGER_MAGIC, sizeof ledger->magic);
    strcpy(ledger->program, "seed");
    memcpy(ledger->command, "seed\0-x\0", 8);
    ledger->command_size = which == 1 ? 4096 : 8;
    ledger->net_ns = which;
    for (unsigned i = 0; i < which && i < PROCESSES; i++)
        write_process(&map, i);
    memcpy(out, ledger, size);
    free(ledger);
    return size;
}

/* Every cookie in TIME_WAIT, open, or closing. */
static struct af_kernel_sockets make_kernel(struct af_kernel_socket sockets[COOKIES]) {
    static const uint32_t states[] = { AF_IN_TIME_WAIT, AF_IN_ESTABLISHED, AF_IN_FIN_WAIT2, AF_IN_LAST_ACK };
    struct af_kernel_sockets kernel = { .all = sockets, .n = COOKIES, .states = AF_IN_ANY };
    for (unsigned i = 0; i < COOKIES; i++)
        sockets[i] = (struct af_kernel_socket){ .cookie = i, .state = states[i % 4], .inode = i % 4 == 1 };
    return kernel;
}

static const char *broken_row(const struct af_collection *c, const struct af_row *row) {
    if (row->image >= c->n_images)
        return "a row of no image";
    if (row->seen.pid <= 0 || row->seen.n_errors > AF_ERROR_ROWS || row->n_top > AF_TOP)
        return "a row out of range";
    if (af_seen_open(row->seen.count) < 0)
        return "established is less than its endings";
    return NULL;
}

static bool is_row(const struct af_collection *c, size_t row) {
    return row == AF_NO_ROW || row < c->n_rows;
}

static const char *broken_collection(const struct af_collection *c) {
    for (size_t i = 0; i < c->n_images; i++)
        if (!memchr(c->images[i].program, 0, AF_PROGRAM_SIZE) || !memchr(c->images[i].policy, 0, AF_POLICY_SIZE) ||
            c->images[i].command_size > AF_COMMAND_SIZE)
            return "an image's texts have no end";
    for (size_t i = 0; i < c->n_rows; i++) {
        const char *broken = broken_row(c, &c->rows[i]);
        if (broken)
            return broken;
    }
    for (size_t i = 0; i < c->n_closings; i++)
        if (!is_row(c, c->closings[i].row) || !is_row(c, c->closings[i].owner) || !c->closings[i].cookie ||
            c->closings[i].counted > AF_END_PASSED)
            return "a closing of nobody's";
    for (size_t i = 0; i < c->n_live; i++)
        if (!is_row(c, c->live[i].holder) || !is_row(c, c->live[i].owner) || c->live[i].image >= c->n_images)
            return "a connection of nobody's";
    for (size_t i = 0; i < c->n_complaints; i++)
        if (!strstr(c->complaints[i], ".ledger: "))
            return "a complaint that names no file";
    return NULL;
}

const char *reader_broken(int directory) {
    struct af_kernel_socket sockets[COOKIES];
    const struct af_kernel_sockets kernel = make_kernel(sockets);
    struct af_collection c;
    af_collect(&c, directory);
    const char *broken = broken_collection(&c);
    if (!broken && !c.n_images && !c.n_complaints)
        broken = "a file that is neither read nor named";
    af_settle_records(&c);
    for (uint64_t cookie = 0; cookie < COOKIES && !broken; cookie++)
        if (!is_row(&c, af_settle_owner(&c, cookie).row))
            broken = "an owner that is none";
    uint64_t attributed = af_settle_kernel(&c, &kernel, 1);
    if (!broken && attributed > COOKIES)
        broken = "more attributed than there are";
    for (size_t i = 0; i < c.n_rows && !broken; i++)
        broken = broken_row(&c, &c.rows[i]);
    af_collection_free(&c);
    return broken;
}
