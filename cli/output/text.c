/* See text.h. */
#include "cli/output/text.h"
#include "cli/output/memory.h"

#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

bool af_is_fit(uint32_t c) {
    if (c < ' ' || (c >= 0x7f && c < 0xa0))
        return false;
    return !(c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
}

size_t af_utf8_length(const char *s, size_t n, uint32_t *to) {
    const unsigned char *u = (const unsigned char *)s;
    uint32_t none, *out = to ? to : &none;
    if (!n)
        return 0;
    *out = u[0];
    if (u[0] < 0x80)
        return 1;
    size_t len = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || len > n)
        return 0;
    uint32_t c = u[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (u[i] & 0x3f);
    }
    *out = c;
    /* Overlong forms, surrogates, beyond Unicode. */
    bool bad = (len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >> 11) == 0x1b;
    return bad ? 0 : len;
}

/* ---- for a terminal ----------------------------------------------------------------------------------------- */

/* One character of text as it is to be shown: bytes in `shown`, columns in *columns. Returns bytes eaten. */
static size_t next_shown(const char *text, size_t n, char shown[8], size_t *columns) {
    wchar_t wide;
    mbstate_t state = { 0 };
    if (*text >= ' ' && *text <= '~') { /* nearly all there is; a long list is printed in no time */
        shown[0] = *text;
        shown[1] = 0;
        *columns = 1;
        return 1;
    }
    size_t eaten = mbrtowc(&wide, text, n, &state);
    int width = eaten && eaten <= n && af_is_fit((uint32_t)wide) ? wcwidth(wide) : -1;
    if (width > 0 && eaten <= 4) {
        memcpy(shown, text, eaten);
        shown[eaten] = 0;
        *columns = (size_t)width;
        return eaten;
    }
    *columns = (size_t)snprintf(shown, 8, "\\x%02x", (unsigned char)*text);
    return 1;
}

/* The length of a text of printable ASCII alone, which is shown as it is: nearly all there are. Else SIZE_MAX. */
static size_t plain_length(const char *text) {
    size_t n = 0;
    while (text[n] >= ' ' && text[n] <= '~')
        n++;
    return text[n] ? SIZE_MAX : n;
}

size_t af_columns(const char *text) {
    char shown[8];
    const size_t plain = plain_length(text);
    if (plain != SIZE_MAX)
        return plain;
    size_t total = 0, n = strlen(text), columns;
    while (n) {
        size_t eaten = next_shown(text, n, shown, &columns);
        total += columns;
        text += eaten;
        n -= eaten;
    }
    return total;
}

size_t af_fit(const char *text, size_t width, char *out) {
    const size_t plain = plain_length(text);
    if (plain <= width) {
        memcpy(out, text, plain + 1);
        return plain;
    }
    bool utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    const char *ellipsis = utf8 ? "\u2026" : "~";
    size_t used = 0, n = strlen(text), columns;
    bool cut = af_columns(text) > width;
    size_t room = cut && width ? width - 1 : width;
    *out = 0;
    while (n) {
        char shown[8];
        size_t eaten = next_shown(text, n, shown, &columns);
        if (used + columns > room)
            break;
        out = stpcpy(out, shown);
        used += columns;
        text += eaten;
        n -= eaten;
    }
    if (cut && width) {
        strcpy(out, ellipsis);
        used++;
    }
    return used;
}

size_t af_show(const char *text, char *out, size_t room) {
    size_t used = 0, n = strlen(text), columns;
    char shown[8];
    while (n) {
        size_t eaten = next_shown(text, n, shown, &columns), size = strlen(shown);
        if (used + size > room)
            break;
        memcpy(out + used, shown, size);
        used += size;
        text += eaten;
        n -= eaten;
    }
    out[used] = 0;
    return used;
}

size_t af_bytes_in(const char *text, size_t columns) {
    size_t used = 0, n = strlen(text), at = 0, its;
    char shown[8];
    while (at < n) {
        size_t eaten = next_shown(text + at, n - at, shown, &its);
        if (at && used + its > columns)
            break;
        used += its;
        at += eaten;
    }
    return at;
}

size_t af_words_in(const char *text, size_t columns) {
    const size_t most = af_bytes_in(text, columns);
    size_t len = most;
    while (text[most] && len > 0 && text[len] != ' ')
        len--;
    return len ? len : most;
}

const char *af_plural(uint64_t n, const char *one, const char *more) {
    return n == 1 ? one : more;
}

/* ---- for machines ------------------------------------------------------------------------------------------- */

static char *make_fit(const char *from, size_t size, const char *backslash, size_t *length) {
    enum { LONGEST = 5 /* \\xNN */ };
    char *clean = af_array(NULL, size + 1, LONGEST), *to = clean;
    while (size) {
        uint32_t c = 0;
        size_t len = af_utf8_length(from, size, &c);
        if (len && (af_is_fit(c) || c == '\n' || c == '\t')) {
            to = mempcpy(to, from, len);
        } else {
            len = 1; /* what follows of a character that is not fit is none by itself */
            to += sprintf(to, "%sx%02x", backslash, (unsigned char)*from);
        }
        from += len;
        size -= len;
    }
    *to = 0;
    if (length)
        *length = (size_t)(to - clean);
    return clean;
}

char *af_utf8_text(const char *from, size_t size, size_t *length) {
    return make_fit(from, size, "\\", length);
}

char *af_utf8_json(const char *from, size_t size) {
    return make_fit(from, size, "\\\\", NULL);
}
