/* See http.h. A static command has dist/http.c in place of this. */
#include "cli/report/http.h"
#include "cli/output/say.h"

#include <dlfcn.h>
#include <string.h>

bool af_http_load(struct af_http *http) {
    void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL), *symbol;
    bool found = library != NULL;
#define FUNCTION(name) \
    symbol = library ? dlsym(library, "MHD_" #name) : NULL; \
    memcpy(&http->name, &symbol, sizeof symbol); \
    found &= symbol != NULL;
    AF_HTTP_FUNCTIONS(FUNCTION)
#undef FUNCTION
    if (!found)
        af_tell("report: --listen needs libmicrohttpd (Debian: libmicrohttpd12): %s", dlerror());
    return found;
}
