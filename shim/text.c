/* Text without stdio; see text.h. */
#include "shim/text.h"

void af_put_char(struct af_text *text, char c) {
    if (text->size < text->room)
        text->to[text->size] = c;
    text->size++;
}

void af_put(struct af_text *text, const char *string) {
    while (*string)
        af_put_char(text, *string++);
}

void af_put_padded(struct af_text *text, uint64_t n, int digits) {
    char reversed[20];
    int i = 0;
    do
        reversed[i++] = (char)('0' + n % 10);
    while ((n /= 10));
    for (int zeros = i; zeros < digits; zeros++)
        af_put_char(text, '0');
    while (i > 0)
        af_put_char(text, reversed[--i]);
}

void af_put_number(struct af_text *text, uint64_t n) {
    af_put_padded(text, n, 1);
}

static void put_hex(struct af_text *text, unsigned char c) {
    af_put_char(text, "0123456789abcdef"[c >> 4]);
    af_put_char(text, "0123456789abcdef"[c & 15]);
}

/* The length of the UTF-8 sequence at s, 0 where there is none (RFC 3629, section 4). */
size_t af_utf8(const char *at, size_t room) {
    const unsigned char *s = (const unsigned char *)at;
    size_t n = s[0] < 0x80                    ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0  ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    if (n == 0 || n > room)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : n;
}

static uint32_t code_point(const char *at, size_t n) {
    uint32_t c = (unsigned char)*at & (n == 1 ? 0x7fu : 0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)at[i] & 0x3f);
    return c;
}

/* The bytes of the next character, or a byte that is none. Is it fit, as af_is_fit of the command has it? A terminal would take
 * the others for commands, or for another order of the text. */
static size_t next_of(const char *at, bool *fit) {
    const unsigned char first = (unsigned char)*at;
    *fit = first >= ' ' && first < 127;
    if (*fit)
        return 1;
    const size_t n = af_utf8(at, 4); /* the end of the string ends it */
    const uint32_t c = code_point(at, n ? n : 1);
    *fit = n && c >= 0xa0 && c != 0x61c && c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) &&
           !(c >= 0x2066 && c <= 0x2069);
    return n ? n : 1;
}

static void put_bytes(struct af_text *text, const char *at, size_t n, bool fit) {
    for (; n > 0; n--, at++)
        if (fit) {
            af_put_char(text, *at);
        } else {
            af_put(text, "\\x");
            put_hex(text, (unsigned char)*at);
        }
}

void af_put_fit(struct af_text *text, const char *string) {
    bool fit;
    for (size_t n; *string; string += n) {
        n = next_of(string, &fit);
        put_bytes(text, string, n, fit);
    }
}

static bool is_plain(const char *string) {
    bool fit = true;
    for (; *string && fit; string += next_of(string, &fit))
        if (*string == ' ' || *string == '"' || *string == '=' || *string == '\\')
            return false;
    return fit;
}

void af_put_logfmt(struct af_text *text, const char *string) {
    bool fit;
    if (is_plain(string)) {
        af_put(text, string);
        return;
    }
    af_put_char(text, '"');
    for (size_t n; *string; string += n) {
        n = next_of(string, &fit);
        if (*string == '"' || *string == '\\')
            af_put_char(text, '\\');
        if (*string == '\n')
            af_put(text, "\\n");
        else
            put_bytes(text, string, n, fit);
    }
    af_put_char(text, '"');
}

void af_put_json(struct af_text *text, const char *string, size_t size) {
    const unsigned char *s = (const unsigned char *)string;
    af_put_char(text, '"');
    for (size_t i = 0; i < size;) {
        size_t n = af_utf8(string + i, size - i);
        bool fit;
        if (n > 1 && (next_of(string + i, &fit), !fit)) {
            const uint32_t c = code_point(string + i, n);
            af_put(text, "\\u");
            put_hex(text, (unsigned char)(c >> 8));
            put_hex(text, (unsigned char)c);
            i += n;
            continue;
        }
        if (n == 0 || s[i] < ' ' || s[i] == 127) {
            af_put(text, "\\u00");
            put_hex(text, s[i++]);
            continue;
        }
        if (s[i] == '"' || s[i] == '\\')
            af_put_char(text, '\\');
        for (; n > 0; n--)
            af_put_char(text, (char)s[i++]);
    }
    af_put_char(text, '"');
}

/* Days since 1970 to year, month, day; the era arithmetic is Howard Hinnant's days_from_civil, inverted. */
static void put_date(struct af_text *text, uint64_t days) {
    uint64_t z = days + 719468, era = z / 146097, of_era = z % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * of_year + 2) / 153; /* March is 0 */
    uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
    af_put_padded(text, era * 400 + year_of_era + (month <= 2), 4);
    af_put_char(text, '-');
    af_put_padded(text, month, 2);
    af_put_char(text, '-');
    af_put_padded(text, of_year - (153 * shifted + 2) / 5 + 1, 2);
}

void af_put_time(struct af_text *text, uint64_t ns) {
    uint64_t s = ns / 1000000000, of_day = s % 86400;
    put_date(text, s / 86400);
    af_put_char(text, 'T');
    af_put_padded(text, of_day / 3600, 2);
    af_put_char(text, ':');
    af_put_padded(text, of_day / 60 % 60, 2);
    af_put_char(text, ':');
    af_put_padded(text, of_day % 60, 2);
    af_put_char(text, '.');
    af_put_padded(text, ns / 1000000 % 1000, 3);
    af_put_char(text, 'Z');
}
