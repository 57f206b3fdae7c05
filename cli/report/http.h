/* libmicrohttpd, loaded when it is asked for: it brings a dozen libraries along, which no other command is to start with. */
#ifndef AFTERFIN_CLI_REPORT_HTTP_H
#define AFTERFIN_CLI_REPORT_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>

#define AF_HTTP_FUNCTIONS(F) \
    F(start_daemon) \
    F(stop_daemon) \
    F(run_wait) \
    F(get_connection_info) \
    F(create_response_from_buffer) \
    F(add_response_header) \
    F(queue_response) \
    F(destroy_response)

struct af_http {
#define FUNCTION(name) __typeof__(&MHD_##name) name;
    AF_HTTP_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/* False: it has been said why not. */
bool af_http_load(struct af_http *http);

#endif
