/* A child of vfork that installs a seccomp filter: from then on no system call of ours may come from it, while its parent,
 * on the same memory, is as free as before.
 *
 * Whose turn it is getpid would tell, which the filter may kill for; so it is noted in the thread's memory, and the child
 * takes the note back when it leaves, by exec or _exit. One that a signal ends leaves it behind: its parent's thread then
 * does nothing of ours before its next vfork. */
#include "shim/shim.h"

#include <fcntl.h>

/* Its exec may hand on what it has inherited; by then nothing can be asked any more (af_vfork_child_holds). */
static void note_holder(int fd, struct af_connection *conn, void *child) {
    long flags = AF_SYS2(SYS_fcntl, fd, F_GETFD);
    if (flags >= 0 && !(flags & FD_CLOEXEC))
        atomic_store(&conn->foreign, *(int32_t *)child);
}

static void seal_vfork_child(void) {
    int32_t child = (int32_t)af_pid();
    if (af.ledger)
        af_each(0, ~0u, note_holder, &child);
    af_vforked = AF_VFORK_SEALED;
}

/* A child that came by clone(CLONE_VM) and whose parent does not wait is neither. */
bool af_seal_here(void) {
    if (af_sealed || af_vforked == AF_VFORK_SEALED)
        return false;
    if (!af_in_vfork_child())
        af_seal();
    else if (af_vforked == AF_VFORKED)
        seal_vfork_child();
    return true;
}

void af_unseal_here(void) {
    if (af_vforked == AF_VFORK_SEALED)
        af_vforked = AF_VFORKED;
    else if (!af_in_vfork_child())
        af_unseal();
}
