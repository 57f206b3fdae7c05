/* The library's own system calls. They return -errno and never touch errno, are no cancellation points, and
 * reach the kernel without passing through any function that could be intercepted, by us or by another
 * preloaded library. Async-signal-, thread- and fork-safe. */
#ifndef AFTERFIN_SHIM_SYS_H
#define AFTERFIN_SHIM_SYS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined __x86_64__

static inline long af_sys(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined __aarch64__

static inline long af_sys(long n, long a, long b, long c, long d, long e, long f) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}

#elif defined __i386__

/* Under the names of 64-bit kernels. */
#undef SYS_mmap
#undef SYS_geteuid
#undef SYS_fallocate
#define SYS_mmap SYS_mmap2
#define SYS_newfstatat SYS_fstatat64
#define SYS_geteuid SYS_geteuid32
#define SYS_fallocate 324

static inline long af_sys(long n, long a, long b, long c, long d, long e, long f) {
    long result;
    if (n == SYS_mmap)
        f = (long)((unsigned long)f >> 12); /* it counts in pages */
    if (n == SYS_openat)
        c |= 0100000;         /* O_LARGEFILE */
    if (n == SYS_fallocate) { /* both its offsets are 64 bits */
        e = d;
        d = f = 0;
    }
    __asm__ volatile("pushl %7\n\tpushl %%ebp\n\tmovl 4(%%esp), %%ebp\n\tint $128\n\tpopl %%ebp\n\taddl $4, %%esp"
                     : "=a"(result)
                     : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "g"(f)
                     : "memory");
    return result;
}

#else
#error "afterfin knows the system call convention of x86_64, i386 and aarch64; add this architecture's here"
#endif

/* The program has installed a seccomp filter: nothing of ours may reach the kernel any more (law 8). */
extern bool af_sealed __attribute__((visibility("hidden")));

#ifdef __SANITIZE_THREAD__
#include <sys/mman.h>

/* `make tsan`: who watches memory has to see it come and go, or takes new pages for old ones. */
static inline long af_seen_sys(long n, long a, long b, long c, long d, long e, long f) {
    int before = errno;
    long result = n == SYS_munmap ? munmap((void *)a, (size_t)b)
                                  : (long)mmap((void *)a, (size_t)b, (int)c, (int)d, (int)e, f);
    result = result == -1 ? -errno : result;
    errno = before;
    return result;
}
#define af_sys(n, ...) ((n) == SYS_mmap || (n) == SYS_munmap ? af_seen_sys(n, __VA_ARGS__) : af_sys(n, __VA_ARGS__))
#endif

static inline long af_own_sys(long n, long a, long b, long c, long d, long e, long f) {
    return __builtin_expect(af_sealed, 0) ? -EPERM : af_sys(n, a, b, c, d, e, f);
}

#define AF_SYS0(n) af_own_sys(n, 0, 0, 0, 0, 0, 0)
#define AF_SYS1(n, a) af_own_sys(n, (long)(a), 0, 0, 0, 0, 0)
#define AF_SYS2(n, a, b) af_own_sys(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define AF_SYS3(n, a, b, c) af_own_sys(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define AF_SYS4(n, a, b, c, d) af_own_sys(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define AF_SYS5(n, a, b, c, d, e) af_own_sys(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define AF_SYS6(n, a, b, c, d, e, f) af_own_sys(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* poll, for so many ms; one call for one purpose, since a filter may know no other. */
static inline long af_poll(void *asked, unsigned n, int ms) {
#ifdef SYS_poll
    return AF_SYS3(SYS_poll, asked, n, ms);
#else
    struct {
        long s, ns;
    } wait = { ms / 1000, ms % 1000 * 1000000L };
    return AF_SYS5(SYS_ppoll, asked, n, &wait, NULL, 0);
#endif
}

/* mmap's answer: an address, or -errno in the last page. */
static inline int af_sys_failed(long result) {
    return (unsigned long)result > -4096UL;
}

#endif
