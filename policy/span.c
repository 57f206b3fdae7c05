/* Slices of text: trimming, lists, numbers. */
#include "inner.h"

struct af_span af_trim(struct af_span s) {
    while (s.n && af_is_space(s.s[0]))
        s = af_from(s, 1);
    while (s.n && af_is_space(s.s[s.n - 1]))
        s.n--;
    return s;
}

bool af_next_item(struct af_span list, size_t *pos, struct af_span *item) {
    if (*pos > list.n)
        return false;
    struct af_span rest = af_from(list, *pos);
    size_t comma = af_index(rest, ',');
    *item = af_trim(af_cut(rest, 0, comma));
    *pos += comma + 1;
    return true;
}

struct af_span af_round_item(struct af_span list, struct af_span item) {
    size_t from = (size_t)(item.s - list.s); /* trimmed: at the next comma or the end */
    size_t to = from < list.n ? from + 1 : from;
    while (from > 0 && af_is_space(list.s[from - 1]))
        from--;
    return af_cut(list, from > 0 ? from - 1 : 0, to);
}

bool af_read_number(struct af_span s, uint32_t *out) {
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint32_t digit = (uint32_t)(s.s[i] - '0');
        if (s.s[i] < '0' || s.s[i] > '9')
            return false;
        n = n > (UINT32_MAX - digit) / 10 ? UINT32_MAX : n * 10 + digit;
    }
    *out = n;
    return s.n > 0;
}

size_t af_write_number(uint32_t n, char *out) {
    size_t digits = 1;
    for (uint32_t rest = n; rest >= 10; rest /= 10)
        digits++;
    for (size_t i = digits; i-- > 0; n /= 10)
        out[i] = (char)('0' + n % 10);
    return digits;
}
