/* vfork returns twice on one stack, so no C function can stand round it: this notes that a child is about to
 * run on our memory (af_vfork_next, process.c) and jumps to the next vfork, which returns to our caller. */
    .text
#if defined __x86_64__
    .globl vfork, __vfork
    .type vfork, @function
    .type __vfork, @function
vfork:
__vfork:
    endbr64
    subq $8, %rsp
    call af_vfork_next
    addq $8, %rsp
    jmp *%rax
    .size vfork, . - vfork
    .size __vfork, . - __vfork
#elif defined __aarch64__
    .globl vfork, __vfork
    .type vfork, %function
    .type __vfork, %function
vfork:
__vfork:
    hint 34
    stp x29, x30, [sp, #-16]!
    bl af_vfork_next
    ldp x29, x30, [sp], #16
    br x0
    .size vfork, . - vfork
    .size __vfork, . - __vfork
#endif
    .section .note.GNU-stack, "", %progbits
