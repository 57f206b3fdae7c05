/* vfork returns twice on one stack, so no C function can stand round it, nor can it be followed by anything if it is
 * libc's that is jumped to. So the system call is made here: the child returns at once, on our memory (af_vfork_begins,
 * process.c); the parent, which runs again when that child has another image or is gone, says so first (af_vfork_ended).
 * The return address waits in a register: the child overwrites the stack.
 *
 * A handler may come before that, in the parent, and is no child. So the kernel itself writes who runs: the word that
 * af_vfork_begins returns is the child's pid from its birth (CLONE_PARENT_SETTID) until it has another image or is gone
 * (CLONE_CHILD_CLEARTID, which mm_release() of Linux sees to before it wakes the parent). NULL: as libc's vfork does it. On
 * i386 clone leaves too few registers to keep what is to be kept, and it is always so. */
    .text
    .globl vfork, __vfork
#if defined __x86_64__
    .type vfork, @function
    .type __vfork, @function
vfork:
__vfork:
    endbr64
    subq $8, %rsp
    call af_vfork_begins
    addq $8, %rsp
    popq %r9
    testq %rax, %rax
    jz 2f
    movl $0x304111, %edi /* CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | CLONE_VFORK | CLONE_VM | SIGCHLD */
    xorl %esi, %esi
    movq %rax, %rdx
    movq %rax, %r10
    xorl %r8d, %r8d
    movl $56, %eax /* clone */
    syscall
    testl %eax, %eax
    jns 3f
    movl $1, (%rdx) /* a filter may let vfork pass */
2:
    movl $58, %eax
    syscall
3:
    pushq %r9
    testl %eax, %eax
    jz 1f
    pushq %rax
    movslq %eax, %rdi
    call af_vfork_ended
    popq %rdx
1:
    ret
    .size vfork, . - vfork
    .size __vfork, . - __vfork
#elif defined __i386__
    .type vfork, @function
    .type __vfork, @function
vfork:
__vfork:
    subl $12, %esp
    call af_vfork_begins
    addl $12, %esp
    popl %ecx
    movl $190, %eax
    int $0x80
    pushl %ecx
    testl %eax, %eax
    jz 1f
    subl $8, %esp
    pushl %eax
    call af_vfork_ended
    addl $12, %esp
1:
    ret
    .size vfork, . - vfork
    .size __vfork, . - __vfork
#elif defined __aarch64__
    .type vfork, %function
    .type __vfork, %function
vfork:
__vfork:
    hint 34
    stp x29, x30, [sp, #-16]!
    bl af_vfork_begins
    ldp x29, x30, [sp], #16
    mov x2, x0
    mov x4, x0
    mov x9, #0x4111 /* CLONE_VFORK | CLONE_VM | SIGCHLD */
    mov x10, #0x4111
    movk x10, #0x30, lsl #16 /* and CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID */
    cmp x0, #0
    csel x0, x9, x10, eq
    mov x1, #0
    mov x3, #0
    mov x8, #220 /* clone */
    svc #0
    cbz x0, 1f
    stp x29, x30, [sp, #-16]!
    bl af_vfork_ended
    ldp x29, x30, [sp], #16
1:
    ret
    .size vfork, . - vfork
    .size __vfork, . - __vfork
#endif
    .section .note.GNU-stack, "", %progbits
