/* What compilers call without being asked. Imported from libc, each of these would cost every program that
 * starts, for they are indirect functions there, and could pass through another preloaded library. */
#include <stddef.h>

#ifdef __clang__
#define PLAIN
#else
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns"))) /* no calls to themselves */
#endif

PLAIN size_t strlen(const char *s);
PLAIN int strcmp(const char *a, const char *b);
PLAIN int strncmp(const char *a, const char *b, size_t n);
PLAIN int memcmp(const void *a, const void *b, size_t n);
PLAIN void *memcpy(void *to, const void *from, size_t n);
PLAIN void *memmove(void *to, const void *from, size_t n);
PLAIN void *memset(void *to, int byte, size_t n);

size_t strlen(const char *s) {
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b) {
    return strncmp(a, b, (size_t)-1);
}

int strncmp(const char *a, const char *b, size_t n) {
    for (; n > 0 && *a && *a == *b; n--)
        a++, b++;
    return n > 0 ? (unsigned char)*a - (unsigned char)*b : 0;
}

int memcmp(const void *a, const void *b, size_t n) {
    const unsigned char *x = a, *y = b;
    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

void *memcpy(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    for (const unsigned char *f = from; n > 0; n--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t n) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t <= f)
        return memcpy(to, from, n);
    while (n-- > 0)
        t[n] = f[n];
    return to;
}

void *memset(void *to, int byte, size_t n) {
    for (unsigned char *t = to; n > 0; n--)
        *t++ = (unsigned char)byte;
    return to;
}
