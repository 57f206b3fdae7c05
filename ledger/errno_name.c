/* See errno_name.h. strerrorname_np is glibc's alone, and new: names are one list, the same in every process. */
#include "ledger/errno_name.h"

#include <errno.h>

/* Text in place: pointers would be relocations, which every program pays for that the library is preloaded into. */
static const char names[][16] = {
#define ERRNO(name) [name] = #name,
#include "ledger/errno_names.def"
#undef ERRNO
};

const char *af_errno_name(uint32_t error) {
    return error < sizeof names / sizeof *names && names[error][0] ? names[error] : "unknown";
}
