/* Where every field of layout.h lies: what a library wrote, a command of another build must find. Whoever has
 * to change a line here has changed the format, and raises AF_LEDGER_VERSION. */
#ifndef AFTERFIN_LEDGER_OFFSETS_H
#define AFTERFIN_LEDGER_OFFSETS_H

#define AT(record, field, offset) \
    _Static_assert(offsetof(struct record, field) == (offset), #record "." #field " has moved")
#define SIZE(record, size) _Static_assert(sizeof(struct record) == (size), #record " has another size")

SIZE(af_addr, 20);

AT(af_error_row, key, 0);
AT(af_error_row, count, 4);
SIZE(af_error_row, 8);

AT(af_process, used, 0);
AT(af_process, ended, 4);
AT(af_process, pid, 8);
AT(af_process, ppid, 12);
AT(af_process, started, 16);
AT(af_process, ended_at, 24);
AT(af_process, start_ticks, 32);
AT(af_process, sealed, 40);
AT(af_process, lost, 44);
AT(af_process, endpoints, 48);
AT(af_process, sharers, 52);
AT(af_process, count, 56);
AT(af_process, errors, 152);
SIZE(af_process, 408);

AT(af_connection, state, 0);
AT(af_connection, flags, 4);
AT(af_connection, cookie, 8);
AT(af_connection, owner, 16);
AT(af_connection, holder, 20);
AT(af_connection, sent, 24);
AT(af_connection, foreign, 28);
AT(af_connection, peer, 32);
AT(af_connection, local_port, 52);
AT(af_connection, ending, 54);
AT(af_connection, hold, 56);
AT(af_connection, next_free, 64);
SIZE(af_connection, 72);

AT(af_endpoint, key, 0);
AT(af_endpoint, ready, 4);
AT(af_endpoint, slot, 8);
AT(af_endpoint, count, 12);
AT(af_endpoint, addr, 16);
AT(af_endpoint, accepted, 36);
AT(af_endpoint, next, 40);
SIZE(af_endpoint, 44);

AT(af_closed, serial, 0);
AT(af_closed, cookie, 8);
AT(af_closed, at, 16);
AT(af_closed, slot, 24);
AT(af_closed, owner, 28);
AT(af_closed, peer, 32);
AT(af_closed, local_port, 52);
AT(af_closed, counted, 54);
AT(af_closed, use, 55);
AT(af_closed, flags, 56);
AT(af_closed, record, 60);
SIZE(af_closed, 64);

AT(af_histogram, max, 0);
AT(af_histogram, count, 8);
SIZE(af_histogram, 8 + 8 * AF_BUCKETS);

AT(af_ledger, magic, 0);
AT(af_ledger, version, 8);
AT(af_ledger, header_size, 12);
AT(af_ledger, size, 16);
AT(af_ledger, processes_at, 24);
AT(af_ledger, connections_at, 32);
AT(af_ledger, endpoints_at, 40);
AT(af_ledger, closed_at, 48);
AT(af_ledger, process_size, 56);
AT(af_ledger, connection_size, 60);
AT(af_ledger, endpoint_size, 64);
AT(af_ledger, closed_size, 68);
AT(af_ledger, max_processes, 72);
AT(af_ledger, max_connections, 76);
AT(af_ledger, max_endpoints, 80);
AT(af_ledger, max_closed, 84);
AT(af_ledger, n_processes, 88);
AT(af_ledger, n_connections, 92);
AT(af_ledger, free_head, 96);
AT(af_ledger, n_closed, 104);
AT(af_ledger, pid, 112);
AT(af_ledger, lost_closed, 116);
AT(af_ledger, started, 120);
AT(af_ledger, net_ns, 128);
AT(af_ledger, pid_ns, 136);
AT(af_ledger, boot_id, 144);
AT(af_ledger, program, 184);
AT(af_ledger, command, 248);
AT(af_ledger, command_size, 760);
AT(af_ledger, histogram_size, 764);
AT(af_ledger, policy, 768);
AT(af_ledger, policy_since, 1280);
AT(af_ledger, connect_times_at, 1288);
SIZE(af_ledger, 1296);

#undef AT
#undef SIZE

#endif
