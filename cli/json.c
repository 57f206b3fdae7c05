/* See json.h. */
#include "cli/json.h"
#include "cli/cli.h"
#include "cli/memory.h"
#include "cli/text.h"
#include "ledger/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAGS = JSON_INDENT(2) | JSON_REAL_PRECISION(12) };

/* JSON is UTF-8; a name or an argument need not be. */
json_t *af_json_text(const char *from, size_t size) {
    static const char replacement[] = "\xef\xbf\xbd";
    char *clean = af_array(NULL, size, sizeof replacement - 1), *to = clean;
    while (size) {
        size_t len = af_utf8_length(from, size);
        const char *piece = len ? from : replacement;
        size_t piece_len = len ? len : sizeof replacement - 1;
        memcpy(to, piece, piece_len);
        to += piece_len;
        from += len ? len : 1;
        size -= len ? len : 1;
    }
    json_t *value = json_stringn(clean, (size_t)(to - clean));
    free(clean);
    return value;
}

void af_json_put(json_t *object, const char *name, uint64_t n) {
    json_object_set_new(object, name, json_integer((json_int_t)n));
}

void af_json_put_counts(json_t *object, const uint64_t count[AF_COUNTERS]) {
#define COUNTER(field, help) af_json_put(object, #field, count[AF_COUNT_##field]);
#define DERIVED(field, help) af_json_put(object, #field, (uint64_t)af_seen_##field(count));
#include "ledger/counters.def"
#undef COUNTER
#undef DERIVED
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

/* What is no regular file (/dev/fd/3, a FIFO) is written to as it is. */
static bool write_file(const char *path, const char *data, size_t size) {
    struct stat st;
    char *name = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? NULL : af_format("%s.%d", path, (int)getpid());
    int fd = open(name ? name : path, O_WRONLY | O_CLOEXEC | (name ? O_CREAT | O_EXCL : 0), 0666);
    bool ok = fd >= 0 && write_all(fd, data, size);
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (ok && name)
        ok = rename(name, path) == 0;
    int error = errno;
    if (!ok && name && fd >= 0)
        unlink(name);
    free(name);
    errno = error;
    return ok;
}

bool af_json_write(json_t *all, const char *command, const char *path) {
    char *dump = json_dumps(all, FLAGS), *data = dump ? af_format("%s\n", dump) : NULL;
    bool ok = data && (path ? write_file(path, data, strlen(data)) : write_all(STDOUT_FILENO, data, strlen(data)));
    if (!ok)
        af_tell("%s: cannot write JSON to %s: %s", command, path ? path : "stdout", strerror(data ? errno : ENOMEM));
    free(data);
    free(dump);
    json_decref(all);
    return ok;
}
