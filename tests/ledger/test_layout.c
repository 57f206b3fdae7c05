/* Where the parts of a ledger lie: the library maps each by itself, which the kernel does from whole pages on. */
#include "ledger/writer.h"

#include <criterion/criterion.h>

Test(layout, every_section_begins_where_a_page_does_however_large_pages_are) {
    static const struct af_ledger_room rooms[] = {
        AF_LARGE_ROOM, AF_SMALL_ROOM, { 1, 8, 1, 1, 0 }, { 300, 3000, 5, 0, 0 }
    };
    static const uint32_t pages[] = { 1 << 12, 1 << 14, 1 << 16 }; /* the last: some of ARM and POWER */

    for (size_t p = 0; p < sizeof pages / sizeof *pages; p++)
        for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
            struct af_ledger_room room = rooms[i];
            struct af_ledger_map map = { 0 };
            room.page = pages[p];
            af_ledger_place(&map, &room);
            for (int s = 0; s < AF_SECTIONS; s++)
                cr_expect_eq(map.section[s].at % pages[p], 0, "pages of %u, room %zu, section %d: at %llu", pages[p], i,
                             s, (unsigned long long)map.section[s].at);
        }
}
