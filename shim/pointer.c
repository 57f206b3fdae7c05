/* Pointers of the program's, which may lead nowhere: the kernel answers EFAULT there, and so must we (law 10).
 *
 * Where the real call comes first, its success says that the memory can be read, and nothing is asked here. */
#include "shim/shim.h"

enum { NO_SUCH_WAY = -1, SET_SIZE = 8, PAGE = 4096 /* the smallest there is */ };

/* rt_sigprocmask fetches the set before it looks at what is to be done with it (Linux, kernel/signal.c): with a way
 * that does not exist it changes nothing and says EINVAL where the 8 bytes can be read. A third of what
 * process_vm_readv costs (90 ns, 330 ns), and allowed wherever there are threads. */
static bool is_there(uintptr_t at) {
    return AF_SYS4(SYS_rt_sigprocmask, NO_SUCH_WAY, at & ~(uintptr_t)(SET_SIZE - 1), NULL, SET_SIZE) == -EINVAL;
}

bool af_can_read_elsewhere(const void *start, size_t size, uintptr_t *known) {
    uintptr_t at = (uintptr_t)start, end = at + size;
    if (end < at)
        return false;
    while (at < end) {
        if (at / PAGE != *known && !is_there(at))
            return false;
        *known = at / PAGE;
        at = (at / PAGE + 1) * PAGE;
        if (!at)
            return false;
    }
    return true;
}
