/* A library that is preloaded and has a function of libc's that ours leaves alone. Built as interposes.so. */
#include <unistd.h>

int getdtablesize(void) {
    return 4711;
}
