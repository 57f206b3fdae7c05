/* Every way into the kernel that libc offers for closing, copying and leaving: none escapes the count, and none
 * the policy. Each row is run in a namespace of its own, without a policy and with linger=ack; what the library
 * counted is held against the tables of TIME_WAIT sockets. */
#include "tests/shim/ending_rows.h"

Test(ways, no_way_to_close_a_descriptor_escapes) {
    rows_logged(&close_ways);
}
Test(ways, no_way_to_put_something_else_in_the_place_of_a_descriptor_escapes) {
    rows_logged(&replace_ways);
}
Test(ways, no_way_to_close_a_stream_escapes) {
    rows_logged(&stream_ways);
}
Test(ways, what_dlsym_finds_is_the_same) {
    rows_logged(&dlsym_ways);
}
Test(ways, a_connection_ends_with_the_last_of_its_descriptors_however_they_were_copied) {
    rows_logged(&copy_ways);
}
Test(ways, a_descriptor_that_comes_back_to_its_own_process_is_known_again) {
    rows_logged(&return_ways);
}
Test(ways, a_close_that_is_not_the_last_counts_nothing) {
    rows_logged(&early_copy_ways);
}
Test(ways, what_ends_nothing_counts_nothing) {
    rows_logged(&harmless_ways);
}
Test(ways, no_way_out_of_the_process_escapes) {
    rows_logged(&leave_ways);
}
