/* What the library cannot be preloaded into is refused with the reason; everything else is run. */
#include "cli/elf/elf.h"
#include "cli/launch/reach.h"
#include "tests/harness/command.h"
#include "tests/harness/counts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *new_file(const void *bytes, size_t size) {
    const char *path = scratch_path();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    fchmod(fd, 0755);
    close(fd);
    return path;
}

static const char *script(const char *format, const char *interpreter) {
    char text[512];
    snprintf(text, sizeof text, format, interpreter);
    return new_file(text, strlen(text));
}

/* A header and one program header, PT_INTERP (NULL: another kind). */
static const char *elf(unsigned char class, unsigned char data, uint16_t machine, const char *loader) {
    struct {
        Elf64_Ehdr file;
        Elf64_Phdr header;
        char loader[64];
    } image = { .file = { .e_type = ET_DYN,
                          .e_machine = machine,
                          .e_version = 1,
                          .e_entry = sizeof image.file,
                          .e_phoff = sizeof image.file,
                          .e_phentsize = sizeof image.header,
                          .e_phnum = 1,
                          .e_ehsize = sizeof image.file },
                .header = { .p_type = loader ? PT_INTERP : PT_LOAD, .p_offset = offsetof(__typeof__(image), loader) } };
    memcpy(image.file.e_ident, ELFMAG, SELFMAG);
    image.file.e_ident[EI_CLASS] = class;
    image.file.e_ident[EI_DATA] = data;
    image.file.e_ident[EI_VERSION] = EV_CURRENT;
    snprintf(image.loader, sizeof image.loader, "%s", loader ? loader : "");
    image.header.p_filesz = strlen(image.loader) + 1;
    return new_file(&image, sizeof image);
}

/* The same for the kernel's other half. */
static const char *of_i386(const char *loader) {
    struct {
        Elf32_Ehdr file;
        Elf32_Phdr header;
        char loader[64];
    } image = { .file = { .e_type = ET_EXEC,
                          .e_machine = EM_386,
                          .e_version = 1,
                          .e_phoff = sizeof image.file,
                          .e_phentsize = sizeof image.header,
                          .e_phnum = 1,
                          .e_ehsize = sizeof image.file },
                .header = { .p_type = loader ? PT_INTERP : PT_LOAD, .p_offset = offsetof(__typeof__(image), loader) } };
    memcpy(image.file.e_ident, ELFMAG, SELFMAG);
    image.file.e_ident[EI_CLASS] = ELFCLASS32;
    image.file.e_ident[EI_DATA] = ELFDATA2LSB;
    snprintf(image.loader, sizeof image.loader, "%s", loader ? loader : "");
    image.header.p_filesz = (Elf32_Word)strlen(image.loader) + 1;
    return new_file(&image, sizeof image);
}

#if defined __x86_64__
#define NATIVE EM_X86_64
#define OTHER EM_AARCH64
#define OTHER_NAME "64-bit ARM"
#else
#define NATIVE EM_AARCH64
#define OTHER EM_X86_64
#define OTHER_NAME "x86-64"
#endif

static void expect_refused(const char *path, const char *why) {
    struct ended e = command(NULL, "run", path, NULL);
    cr_expect_eq(e.status, 125, "%s: %d", why, e.status);
    cr_expect(strstr(e.err, why) && strstr(e.err, path), "%s: %s", why, e.err);
    cr_expect_str_empty(e.out);
}

Test(reach, refuses_what_is_no_program_for_this_machine_and_its_libc) {
    const char *uclibc = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, "/lib/ld64-uClibc.so.1");
    const char *lone = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, NULL);
    expect_refused(elf(ELFCLASS32, ELFDATA2LSB, EM_ARM, NULL), "32-bit ARM");
#ifdef __x86_64__
    expect_refused(of_i386("/lib/ld-uClibc.so.0"), "is a program for 32-bit x86, and uses another C library");
#endif
    expect_refused(elf(ELFCLASS64, ELFDATA2LSB, OTHER, NULL), OTHER_NAME);
    expect_refused(elf(ELFCLASS64, ELFDATA2MSB, __builtin_bswap16(EM_S390), NULL), "s390");
    expect_refused(uclibc, "another C library");
    char why[512];
#ifdef __x86_64__
    cr_expect_eq(af_reach_way(of_i386(NULL), NULL, why), AF_WAY_SUPERVISOR, "%s", why);
#endif
    cr_expect_not(af_reachable(script("#!%s -x\n", lone), NULL, why));
    cr_expect(strstr(why, "the interpreter of"), "%s", why);
    cr_expect_not(af_reachable(script("#! \t%s\n", script("#!%s\n", lone)), NULL, why), "a script's script");
    cr_expect(af_reachable(script("#!%s\n", "/bin/sh"), NULL, why));
    cr_expect(af_reachable(script("#!/usr/bin/env %s\n", "python3"), NULL, why));
    cr_expect(af_reachable(script("#!%s", ""), NULL, why));
    cr_expect(af_reachable(script("%s", ""), NULL, why));
    const char *self = scratch_path();
    int fd = open(self, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    dprintf(fd, "#!%s\n", self);
    close(fd);
    cr_expect(af_reachable(self, NULL, why), "exec will say ELOOP");
}

/* exec has one errno for a file that is not there and for one that cannot do without another. */
Test(reach, names_what_is_missing_of_a_file_that_is_there) {
    const char *gone = script("#!%s -x\n", "/nonexistent/sh");
    const char *loader = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, "/nonexistent/ld-musl-x86_64.so.1");
    struct ended e = command(NULL, "run", gone, NULL), exec = command(NULL, "run", "--exec", gone, NULL);
    cr_expect_eq(e.status, 127);
    cr_expect(strstr(e.err, text("%s: its interpreter /nonexistent/sh: No such file or directory\n", gone)), "%s",
              e.err);
    cr_expect_str_eq(exec.err, e.err);
    e = command(NULL, "run", loader, NULL);
    cr_expect_eq(e.status, 127);
    cr_expect(strstr(e.err,
                     text("%s: its loader /nonexistent/ld-musl-x86_64.so.1: No such file or directory\n", loader)),
              "%s", e.err);
    e = command(NULL, "run", "/nonexistent/x", NULL);
    cr_expect_str_eq(e.err, "afterfin: run: /nonexistent/x: No such file or directory\n");
    e = command(NULL, "doctor", gone, NULL);
    cr_expect(strstr(e.err, text("%s: its interpreter /nonexistent/sh: No such file", gone)), "%s%s", e.err, e.out);
}

/* A shared object without a loader is not static; with an entry too, as older linkers give it. */
Test(reach, refuses_a_library_and_calls_it_so) {
    size_t size = 0;
    char *image = NULL;
    FILE *file = fopen(library_path(), "re"), *copy = open_memstream(&image, &size);
    for (int c; (c = fgetc(file)) != EOF;)
        fputc(c, copy);
    fclose(copy);
    fclose(file);
    cr_assert_eq(((Elf64_Ehdr *)(void *)image)->e_entry, 0);
    expect_refused(new_file(image, size), "is a library and no program");
    ((Elf64_Ehdr *)(void *)image)->e_entry = 4096;
    expect_refused(new_file(image, size), "is a library and no program");
    expect_refused(script("#!%s\n", new_file(image, size)), "is a library and no program");
}

Test(reach, follows_env_to_what_it_runs) {
    const char *lone = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, NULL);
    const struct {
        const char *format;
        const char *why; /* NULL: reachable, or not to be told */
        size_t files;
        int error;
    } rows[] = {
        { "#!/usr/bin/env %s\n", "statically linked", 3, 0 },
        { "#!/usr/bin/env -S %s -x\n", "statically linked", 3, 0 },
        { "#!/usr/bin/env -S A=1 B=2 %s\n", "statically linked", 3, 0 },
        { "#!/usr/bin/env -S -i %s\n", "clears the environment (-i)", 2, 0 },
        { "#!/usr/bin/env -i %s\n", NULL, 2, 0 }, /* which env itself refuses: one argument */
        { "#!/usr/bin/env -S -u X %s\n", NULL, 2, 0 },
        { "#!/usr/bin/env sh\n", NULL, 3, 0 },
        { "#!/usr/bin/env nonexistent-program\n", NULL, 2, ENOENT },
        { "#!/bin/sh env %s\n", NULL, 2, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct af_reach r;
        af_reach(script(rows[i].format, lone), "/usr/bin:/bin", &r);
        cr_expect_eq(r.reachable, !rows[i].why, "%s: %s", rows[i].format, r.why);
        cr_expect(!rows[i].why || strstr(r.why, rows[i].why), "%s: %s", rows[i].format, r.why);
        cr_expect_eq(r.n_files, rows[i].files, "%s: %zu", rows[i].format, r.n_files);
        cr_expect_eq(r.error, rows[i].error, "%s: %d", rows[i].format, r.error);
        af_reach_free(&r);
    }
}

Test(reach, with_f_warns_and_runs_it_all_the_same) {
    const char *source = scratch_path(), *program = scratch_path();
    struct ended e = run_argv(NULL, (const char *[]){ "sh", "-c",
                                                      "echo 'int main(void){return 4;}' >\"$0.c\" && "
                                                      "gcc -static -o \"$1\" \"$0.c\"",
                                                      source, program, NULL });
    if (e.status)
        cr_skip_test("cannot link a static program: %s", e.err);
    chown(program, 65534, 65534);
    chmod(program, 04755);
    struct stat st;
    if (getuid() != 0 || stat(program, &st) != 0 || !(st.st_mode & S_ISUID))
        cr_skip_test("cannot make a program setuid");
    expect_refused(program, "is setuid");
    e = command(NULL, "run", "-f", program, NULL);
    cr_expect_eq(e.status, 4);
    cr_expect(strstr(e.err, "is setuid"), "%s", e.err);
    e = command(NULL, "run", "--exec", program, NULL);
    cr_expect_eq(e.status, 125);
    e = command(NULL, "run", "-f", "--exec", program, NULL);
    cr_expect_eq(e.status, 4);
}

Test(reach, finds_CMD_as_execvp_does) {
    const char *lone = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, NULL);
    char directory[512], path[1024], why[512];
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(lone, '/') - lone), lone);
    const char *name = strrchr(lone, '/') + 1;
    const struct {
        const char *format;
        bool reachable;
    } rows[] = {
        { "%s", false }, { "/nonexistent:%s", false }, { "/nonexistent:%s:/bin", false }, { "/bin:/usr/bin", true },
        { "", true },
    };
    cr_assert_eq(chdir("/"), 0); /* which an empty PATH means */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(path, sizeof path, rows[i].format, directory);
        cr_expect_eq(af_reachable(name, path, why), rows[i].reachable, "row %zu", i);
    }
    cr_expect(af_reachable("sh", NULL, why));
    chmod(lone, 0644);
    snprintf(path, sizeof path, "%s:/bin", directory);
    cr_expect(af_reachable(name, path, why), "not executable: not found there");
    cr_assert_eq(chdir(directory), 0);
    chmod(lone, 0755);
    cr_expect_not(af_reachable(name, ":/bin", why), "an empty entry is the current directory");
}

Test(reach, lets_the_dynamic_loader_itself_through) {
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct af_elf self;
    cr_assert(af_elf_read(fd, &self));
    cr_assert(af_elf_native(&self));
    cr_assert_eq(command(NULL, "run", self.loader, "/bin/sh", "-c", "exit 3", NULL).status, 3);
}

/* ---- privileges --------------------------------------------------------------------------------------------- */

static const char *copy_of(const char *program) {
    const char *path = scratch_path();
    cr_assert_eq(run_argv(NULL, (const char *[]){ "cp", program, path, NULL }).status, 0);
    chmod(path, 0755);
    return path;
}

Test(reach, refuses_what_is_setuid_or_setgid_where_that_changes_ids) {
    const char *program = copy_of("/bin/true");
    if (geteuid() != 0 || chown(program, 65534, 65534) != 0)
        cr_skip_test("only root can make a program setuid to another user");
    chmod(program, 04755);
    expect_refused(program, "is setuid (to user 65534)");
    chmod(program, 02755);
    expect_refused(program, "is setgid (to group 65534)");
    cr_expect_eq(command(NULL, "run", "-f", program, NULL).status, 0);
    chmod(program, 02745); /* without group execution the bit means something else */
    cr_expect_eq(command(NULL, "run", program, NULL).status, 0);
    cr_assert_eq(chown(program, 0, 0), 0);
    chmod(program, 06755);
    cr_expect_eq(command(NULL, "run", program, NULL).status, 0, "root's own, run by root");
}

Test(reach, refuses_file_capabilities_unless_run_by_root) {
    const struct vfs_cap_data caps = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                       .data[0].permitted = 1 << CAP_NET_BIND_SERVICE };
    const char *program = copy_of("/bin/true");
    build_for_all();
    if (setxattr(program, "security.capability", &caps, XATTR_CAPS_SZ_2, 0) != 0)
        cr_skip_test("cannot give a file capabilities");
    cr_expect_eq(command(NULL, "run", program, NULL).status, 0);
    struct ended e = run_argv(NULL, (const char *[]){ "setpriv", "--reuid=65534", "--clear-groups", command_path(),
                                                      "run", program, NULL });
    if (e.status == 126 || e.status == 127)
        cr_skip_test("no other user: %s", e.err);
    cr_expect_eq(e.status, 125, "%d: %s", e.status, e.err);
    cr_expect(strstr(e.err, "file capabilities"), "%s", e.err);
}

/* ---- broken files ------------------------------------------------------------------------------------------- */

Test(reach, survives_programs_with_random_bytes_in_their_headers) {
    static const char loader[] = "/lib64/ld-linux-x86-64.so.2";
    const char *path = elf(ELFCLASS64, ELFDATA2LSB, NATIVE, loader);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char intact[256];
    ssize_t size = pread(fd, intact, sizeof intact, 0);
    struct af_elf out;
    cr_assert(af_elf_read(fd, &out));
    cr_assert_str_eq(out.loader, loader);
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        unsigned char bytes[sizeof intact];
        memcpy(bytes, intact, (size_t)size);
        for (int n = random() % 4; n >= 0; n--)
            bytes[4 + random() % (size - 4)] = random() % 3 ? (unsigned char)random() : 0xff;
        cr_assert_eq(pwrite(fd, bytes, (size_t)size, 0), size);
        if (af_elf_read(fd, &out))
            cr_assert_lt(strnlen(out.loader, sizeof out.loader), sizeof out.loader);
    }
    for (ssize_t n = size; n >= 0; n--) {
        cr_assert_eq(ftruncate(fd, n), 0);
        af_elf_read(fd, &out);
    }
}

#ifdef __x86_64__
Test(reach, survives_programs_of_32_bits_with_random_bytes_in_their_headers) {
    int fd = open(of_i386("/lib/ld-linux.so.2"), O_RDWR | O_CLOEXEC);
    unsigned char intact[256];
    const ssize_t size = pread(fd, intact, sizeof intact, 0);
    struct af_elf out;
    cr_assert(af_elf_read(fd, &out) && af_elf_is_i386(&out) && !af_elf_native(&out));
    cr_assert_str_eq(out.loader, "/lib/ld-linux.so.2");
    srandom(1);
    for (int i = 0; i < 20000; i++) {
        unsigned char bytes[sizeof intact];
        memcpy(bytes, intact, (size_t)size);
        for (int n = random() % 4; n >= 0; n--)
            bytes[24 + random() % (size - 24)] = random() % 3 ? (unsigned char)random() : 0xff;
        cr_assert_eq(pwrite(fd, bytes, (size_t)size, 0), size);
        if (af_elf_read(fd, &out))
            cr_assert_lt(strnlen(out.loader, sizeof out.loader), sizeof out.loader);
    }
    for (ssize_t n = size; n >= 0; n--) {
        cr_assert_eq(ftruncate(fd, n), 0);
        af_elf_read(fd, &out);
    }
}
#endif
