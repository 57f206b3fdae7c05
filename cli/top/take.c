/* One sample for a frame of top: a snapshot, and what was missing from it. */
#include "cli/ledgers/ledger_dir.h"
#include "cli/output/say.h"
#include "cli/top/top.h"

#include <string.h>
#include <unistd.h>

bool af_top_take(const char *directory, struct af_top_sample *sample, uint64_t since, bool tell) {
    struct af_snapshot snapshot;
    int fd;
    const bool ledgers = af_ledger_dir_open("top", directory, &fd) == 0;
    const int error = af_snapshot_take(&snapshot, ledgers ? &fd : NULL);
    if (fd >= 0)
        close(fd);
    if (error) {
        af_tell("top: the kernel's table cannot be read: %s", strerror(-error));
        return false;
    }
    if (tell) {
        af_collection_tell(&snapshot.found, "top");
        af_elsewhere_tell(&snapshot.elsewhere, "top");
    }
    af_top_sample(sample, &snapshot, since);
    af_snapshot_free(&snapshot);
    return true;
}
