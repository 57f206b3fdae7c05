/* A system call that no library sees. */
#ifndef INSTRUCTION_H
#define INSTRUCTION_H

#include <sys/syscall.h>

static inline long instruction(long number, long a, long b, long c) {
#ifdef __x86_64__
    long result = number;
    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#elif defined(__i386__)
    long result = number;
    __asm__ volatile("int $128" : "+a"(result) : "b"(a), "c"(b), "d"(c) : "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
#error "this architecture's system call instruction is missing here"
#endif
}

#endif
