/* vfork returns twice on one stack, so no C function can stand round it, nor can it be followed by anything if it is
 * libc's that is jumped to. So the system call is made here, as libc's own vfork does it: the child returns at once, on
 * our memory (af_vfork_begins, process.c); the parent, which runs again when that child has another image or is gone,
 * says so first (af_vfork_ended). The return address waits in a register: the child overwrites the stack. */
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
    popq %rdi
    movl $58, %eax
    syscall
    pushq %rdi
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
    mov x0, #0x4111 /* CLONE_VM | CLONE_VFORK | SIGCHLD */
    mov x1, #0
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
