/* System calls of programs of 32 bits. */
#ifndef AFTERFIN_TESTS_FAULT_NUMBERS_H
#define AFTERFIN_TESTS_FAULT_NUMBERS_H

/* -1: fault_calls.def has it not, or as one that is left. */
long number_in_i386(const char *name);
/* As strace shows what 64-bit kernels call so. */
const char *name_in_i386(const char *name);

#endif
