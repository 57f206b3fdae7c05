/* Where the parts of a ledger lie: the library maps each by itself, which the kernel does from whole pages on. */
#include "ledger/writer.h"

#include <criterion/criterion.h>

Test(layout, every_section_begins_where_a_page_does_however_large_pages_are) {
    static const struct af_ledger_room rooms[] = { AF_LARGE_ROOM, AF_SMALL_ROOM, { 1, 8, 1, 1 }, { 300, 3000, 5, 0 } };
    enum { LARGEST = 1 << 16 }; /* of all processors: ARM, POWER */

    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        struct af_ledger_map map = { 0 };
        af_ledger_place(&map, &rooms[i]);
        for (int s = 0; s < AF_SECTIONS; s++)
            cr_expect_eq(map.section[s].at % LARGEST, 0, "room %zu, section %d: at %llu", i, s,
                         (unsigned long long)map.section[s].at);
    }
}
