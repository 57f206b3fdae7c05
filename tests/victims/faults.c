/* A library to preload: each system call FAULT_CALL that libafterfin.so itself makes, told by where it comes from, fails
 * with the error FAULT_ERROR. Behind libafterfin.so in LD_PRELOAD, so that it begins first. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

struct range {
    uint64_t low, high;
};

static int find(struct dl_phdr_info *info, size_t size, void *context) {
    struct range *range = context;

    (void)size;
    if (!strstr(info->dlpi_name, "libafterfin"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_flags & PF_X)
            *range = (struct range){ info->dlpi_addr + part->p_vaddr, info->dlpi_addr + part->p_vaddr + part->p_memsz };
    }
    return 1;
}

#define LOAD(what, half) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what) + 4 * (half))

__attribute__((constructor)) static void begin(void) {
    const char *call = getenv("FAULT_CALL"), *error = getenv("FAULT_ERROR");
    struct range range = { 0 };

    if (!call || !error || !dl_iterate_phdr(find, &range))
        return;
    if (range.low >> 32 != range.high >> 32)
        return; /* one process of thousands lies so: the filter compares halves, and the others fail as they should */
    struct sock_filter filter[] = {
        LOAD(nr, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)atoi(call), 0, 6),
        LOAD(instruction_pointer, 1), /* little endian, as both our architectures are */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(range.low >> 32), 0, 4),
        LOAD(instruction_pointer, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)range.low, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)range.high, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)atoi(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        abort();
}
