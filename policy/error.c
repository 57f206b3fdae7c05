/* One line about one bad setting: VARIABLE="VALUE", at "PLACE": WHY; expected WHAT. */
#include "inner.h"

enum { NAME_ROOM = 48, VALUE_ROOM = 160, PLACE_ROOM = 80 }; /* as shown; the rest of the 512 is for why */

void af_fault_set(struct af_fault *f, struct af_span at, const char *why, const char *expected) {
    f->at = at;
    f->why = why;
    f->expected = expected;
    f->meant = NULL;
}

struct line {
    char *text;
    size_t n, room;
};

static void put(struct line *line, char c) {
    if (line->n + 1 < line->room)
        line->text[line->n++] = c;
}

static void put_text(struct line *line, const char *s) {
    while (s && *s)
        put(line, *s++);
}

static bool is_plain(char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static size_t shown_size(char c) {
    return is_plain(c) ? 1 : c == '"' || c == '\\' ? 2 : 4;
}

static void put_shown(struct line *line, char c) {
    static const char hex[] = "0123456789abcdef";
    if (is_plain(c)) {
        put(line, c);
        return;
    }
    put(line, '\\');
    if (c == '"' || c == '\\') {
        put(line, c);
        return;
    }
    put(line, 'x');
    put(line, hex[(unsigned char)c >> 4]);
    put(line, hex[c & 15]);
}

/* s in at most `room` characters: from `at` on for half of that, then what stood before, then on again. */
static void put_around(struct line *line, struct af_span s, size_t at, size_t room) {
    size_t low = at, high = at, used = 0;
    while (high < s.n && used + shown_size(s.s[high]) <= room / 2)
        used += shown_size(s.s[high++]);
    while (low > 0 && used + shown_size(s.s[low - 1]) <= room)
        used += shown_size(s.s[--low]);
    while (high < s.n && used + shown_size(s.s[high]) <= room)
        used += shown_size(s.s[high++]);
    if (low > 0)
        put_text(line, "...");
    for (size_t i = low; i < high; i++)
        put_shown(line, s.s[i]);
    if (high < s.n)
        put_text(line, "...");
}

static void put_why(struct line *line, const struct af_fault *f) {
    const char *separator = ": ";
    if (f->why) {
        put_text(line, separator);
        put_text(line, f->why);
        separator = "; ";
    }
    if (f->expected) {
        put_text(line, separator);
        put_text(line, "expected ");
        put_text(line, f->expected);
        separator = "; ";
    }
    if (f->meant) {
        put_text(line, separator);
        put_text(line, "did you mean ");
        put_text(line, f->meant);
        put(line, '?');
    }
}

static void put_line_number(struct line *line, struct af_span file, const char *at) {
    char digits[10];
    uint32_t number = 1;
    for (const char *c = file.s; c < at; c++)
        number += *c == '\n';
    const size_t n = af_write_number(number, digits);
    put_text(line, " line ");
    for (size_t i = 0; i < n; i++)
        put(line, digits[i]);
}

static bool is_inside(struct af_span part, struct af_span whole) {
    return whole.s && part.s >= whole.s && part.s <= whole.s + whole.n;
}

void af_error_write(struct af_error *error, struct af_span name, struct af_span value, struct af_span file,
                    const struct af_fault *f) {
    struct line line = { error->text, 0, sizeof error->text };
    const bool of_file = is_inside(f->at, file);
    bool place = of_file || (is_inside(f->at, value) && f->at.n < value.n);
    put_around(&line, name, 0, NAME_ROOM);
    put_text(&line, "=\"");
    put_around(&line, value, place && !of_file ? (size_t)(f->at.s - value.s) : 0, VALUE_ROOM);
    put(&line, '"');
    if (of_file)
        put_line_number(&line, file, f->at.s);
    if (place) {
        put_text(&line, ", at \"");
        put_around(&line, f->at, 0, PLACE_ROOM);
        put(&line, '"');
    }
    put_why(&line, f);
    line.text[line.n] = '\0';
}
