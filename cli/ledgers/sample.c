/* See sample.h. */
#include "cli/ledgers/sample.h"
#include "cli/ledgers/settle_inner.h"
#include "cli/output/memory.h"

#include <stdlib.h>
#include <string.h>

enum { INTERVAL_S = 20 /* a third of a TIME_WAIT's life */ };

unsigned af_sample_interval(unsigned fin_timeout_s) {
    unsigned half = fin_timeout_s / 2;
    return half >= INTERVAL_S || !fin_timeout_s ? INTERVAL_S : half ? half : 1;
}

static int by_cookie(const void *a, const void *b) {
    const struct af_standing *x = a, *y = b;
    return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

int af_sample_key_compare(const struct af_sample_key *x, const struct af_sample_key *y) {
    if (x->image_started != y->image_started)
        return x->image_started < y->image_started ? -1 : 1;
    if (x->image_pid != y->image_pid)
        return x->image_pid < y->image_pid ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_key(const void *a, const void *b) {
    const struct af_expired *x = a, *y = b;
    return af_sample_key_compare(&x->key, &y->key);
}

static const struct af_standing *find(const struct af_samples *s, uint64_t cookie) {
    const struct af_standing key = { .cookie = cookie };
    return s->n_standing ? bsearch(&key, s->standing, s->n_standing, sizeof key, by_cookie) : NULL;
}

bool af_sample_has_new(const struct af_samples *s, const struct af_kernel_sockets *kernel) {
    for (size_t i = 0; i < kernel->n; i++)
        if (af_is_time_wait(&kernel->all[i]) && kernel->all[i].cookie && !find(s, kernel->all[i].cookie))
            return true;
    return false;
}

/* ---- what is over ------------------------------------------------------------------------------------------- */

static void retire(struct af_samples *s, const struct af_standing *standing) {
    if (standing->has_no_end) {
        s->gone = af_room_for_one(s->gone, s->n_gone, sizeof *s->gone);
        s->gone[s->n_gone++] = standing->cookie;
    } else if (standing->key.slot != AF_NO_SLOT) {
        s->expired = af_room_for_one(s->expired, s->n_expired, sizeof *s->expired);
        s->expired[s->n_expired++] = (struct af_expired){ standing->key, 1 };
    }
}

/* One entry a process. */
static void sum_up(struct af_samples *s) {
    size_t kept = 0;
    if (s->n_expired)
        qsort(s->expired, s->n_expired, sizeof *s->expired, by_key);
    for (size_t i = 0; i < s->n_expired; i++) {
        if (kept && by_key(&s->expired[kept - 1], &s->expired[i]) == 0)
            s->expired[kept - 1].n += s->expired[i].n;
        else
            s->expired[kept++] = s->expired[i];
    }
    s->n_expired = kept;
}

/* Both are in the order of cookies. */
static void retire_missing(struct af_samples *s, const struct af_standing *now, size_t n) {
    for (size_t i = 0, at = 0; i < s->n_standing; i++) {
        while (at < n && now[at].cookie < s->standing[i].cookie)
            at++;
        if (at == n || now[at].cookie != s->standing[i].cookie)
            retire(s, &s->standing[i]);
    }
    sum_up(s);
}

/* ---- what is there ------------------------------------------------------------------------------------------ */

struct af_sample_key af_sample_key_of(const struct af_collection *c, size_t row) {
    if (row == AF_NO_ROW)
        return (struct af_sample_key){ .slot = AF_NO_SLOT };
    const struct af_image *image = &c->images[c->rows[row].image];
    return (struct af_sample_key){ image->started, image->pid, c->rows[row].seen.slot };
}

static struct af_standing identify(const struct af_samples *s, const struct af_collection *c, uint64_t cookie) {
    const struct af_standing *known = find(s, cookie);
    struct af_standing standing = { .cookie = cookie, .key.slot = AF_NO_SLOT };
    if (known)
        return *known;
    const struct af_closing *end = c ? af_find_end(c, cookie) : NULL;
    if (end)
        standing.key = af_sample_key_of(c, end->row);
    else
        standing.has_no_end = c && af_has_no_end_yet(c, cookie);
    return standing;
}

static struct af_standing *now_standing(const struct af_samples *s, const struct af_kernel_sockets *kernel,
                                        const struct af_collection *c, size_t *n) {
    struct af_standing *now = af_array(NULL, kernel->n, sizeof *now);
    *n = 0;
    for (size_t i = 0; i < kernel->n; i++)
        if (af_is_time_wait(&kernel->all[i]) && kernel->all[i].cookie)
            now[(*n)++] = identify(s, c, kernel->all[i].cookie);
    if (*n)
        qsort(now, *n, sizeof *now, by_cookie);
    return now;
}

void af_sample_add(struct af_samples *s, const struct af_kernel_sockets *kernel, const struct af_collection *c) {
    size_t n;
    struct af_standing *now = now_standing(s, kernel, c, &n);
    retire_missing(s, now, n);
    free(s->standing);
    s->standing = now;
    s->n_standing = n;
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

/* As if the kernel still showed them. */
static uint64_t settle_gone(const struct af_samples *s, struct af_collection *c, uint64_t net_ns) {
    struct af_kernel_sockets seen = { .n = s->n_gone, .states = AF_IN_TIME_WAIT };
    seen.all = af_array(NULL, s->n_gone, sizeof *seen.all);
    for (size_t i = 0; i < s->n_gone; i++)
        seen.all[i] = (struct af_kernel_socket){ .cookie = s->gone[i], .state = AF_IN_TIME_WAIT };
    uint64_t n = af_settle_kernel(c, &seen, net_ns);
    free(seen.all);
    return n;
}

uint64_t af_sample_settle(struct af_samples *s, struct af_collection *c, const struct af_kernel_sockets *kernel,
                          uint64_t net_ns) {
    uint64_t all = 0;
    af_sample_add(s, kernel, NULL);
    for (size_t i = 0; i < c->n_rows && s->n_expired; i++) {
        const struct af_expired wanted = { .key = af_sample_key_of(c, i) };
        const struct af_expired *found = bsearch(&wanted, s->expired, s->n_expired, sizeof wanted, by_key);
        c->rows[i].confirmed += found ? found->n : 0;
        all += found ? found->n : 0;
    }
    return all + (s->n_gone ? settle_gone(s, c, net_ns) : 0);
}

void af_samples_free(struct af_samples *s) {
    free(s->standing);
    free(s->expired);
    free(s->gone);
    memset(s, 0, sizeof *s);
}
