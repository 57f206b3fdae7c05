/* What make install puts where, and what the shell completes once it is there. */
#include "tests/harness/shell.h"

#include <unistd.h>

static const char *const installed[] = {
    "lib/libafterfin.so",        "bin/afterfin",
    "share/man/man1/afterfin.1", "share/man/man5/afterfin.5",
    "share/man/man7/afterfin.7", "share/bash-completion/completions/afterfin",
};

Test(install, make_install_puts_everything_there_and_uninstall_takes_it_away) {
    const char *stage = scratch_path();
    char path[512];

    struct ended e = shell("make -s install DESTDIR=%s PREFIX=/opt/x", stage);
    cr_assert_eq(e.status, 0, "%s", e.err);
    for (size_t i = 0; i < ROWS(installed); i++) {
        snprintf(path, sizeof path, "%s/opt/x/%s", stage, installed[i]);
        cr_expect(access(path, R_OK) == 0, "%s", path);
    }
    const int other = strchr(preload_path(), '$') != NULL; /* the library of 32 bits, and what leads to either */
    e = shell("find %s -type f | wc -l; grep -rl %s %s", stage, stage, stage);
    cr_expect_eq(atoi(e.out), (int)ROWS(installed) + other, "%s", e.out);
    e = shell("cd %s/opt/x/lib && for l in libafterfin/*; do head -c 5 $l/libafterfin.so; done | tr -d '\\177ELF' | "
              "od -An -tu1 | tr -d ' \n'",
              stage);
    cr_expect_str_eq(e.out, other ? "212111122" : "", "%s%s", e.out, e.err);
    cr_expect(!strchr(e.out, '/'), "DESTDIR is in a file: %s", e.out);
    shell("make -s uninstall DESTDIR=%s PREFIX=/opt/x", stage);
    cr_expect_str_empty(shell("find %s ! -type d", stage).out);
}

Test(install, the_installed_command_runs_programs_under_the_installed_library) {
    const char *prefix = scratch_path();
    char library[512];

    struct ended e = shell("make -s install PREFIX=%s", prefix);
    cr_assert_eq(e.status, 0, "%s", e.err);
    snprintf(library, sizeof library, "%s/lib/libafterfin.so", prefix);
    e = shell("cd / && PATH=%s/bin:$PATH afterfin run -q -- grep -o '/.*libafterfin.so' /proc/self/maps", prefix);
    cr_expect_eq(e.status, 0, "%s", e.err);
    cr_expect(strncmp(e.out, library, strlen(library)) == 0, "%s", e.out);
    e = shell("%s/bin/afterfin env", prefix);
    snprintf(library, sizeof library, "%s/lib/libafterfin", prefix);
    cr_expect(strstr(e.out, library), "%s", e.out);
}

/* As Debian's packages lay it: in the directory of the architecture, before one that lies in lib. */
Test(install, the_command_finds_the_library_of_its_architecture) {
    const char *prefix = scratch_path();
    char library[512];
    struct ended e = shell(
        "t=$(${CC:-gcc} -print-multiarch) && [ \"$t\" ] && make -s install PREFIX=%s LIBDIR=%s/lib/$t >/dev/null && "
        "cp %s/lib/$t/libafterfin.so %s/lib/ && printf $t",
        prefix, prefix, prefix, prefix);
    if (!*e.out)
        cr_skip_test("this compiler knows no such directories");
    cr_assert_eq(e.status, 0, "%s", e.err);
    snprintf(library, sizeof library, "%s/lib/%s/libafterfin", prefix, e.out);
    e = shell("%s/bin/afterfin env", prefix);
    cr_expect(strstr(e.out, library), "%s", e.out);
}

/* ---- completion ------------------------------------------------------------------------------------------- */

Test(install, bash_completes_subcommands_options_keys_values_and_commands) {
    static const char all[] =
#define COMMAND(name, status, synopsis, help) #name " "
#include "cli/commands.def"
#undef COMMAND
        "help version -h --help -V --version";
    static const struct {
        const char *words, *expected; /* as readline cuts them; the last is completed */
    } rows[] = {
        { "''", all },
        { "ru", "run" },
        { "who --p", "--pid --peer" },
        { "who -d /et", "/etc" },
        { "report --pro", "--prometheus" },
        { "reap --a", "--all --above" },
        { "reap --pid 5 -d /et", "/etc" },
        { "top --o", "--once" },
        { "top --by pro", "process program" },
        { "top --once --sort s", "share" },
        { "who --sort e", "expires" },
        { "report --clean /etc/passw", "/etc/passwd" },
        { "doctor --s", "--sysctl" },
        { "doctor ./README.m", "./README.md" },
        { "doctor --pid ''", "" },
        { "run --", "--json --exec --help --version" },
        { "env -", "-p --format -h --help -V --version" },
        { "env --format = sy", "systemd" },
        { "env --format sh", "shell" },
        { "help rep", "report" },
        { "run -p li", "linger=" },
        { "run -p log", "log= log_format= log_interval=" },
        { "run -p linger =", "off ack ack-always rst" },
        { "run -p linger = a", "ack ack-always" },
        { "set --pid 5 --t", "--tree" },
        { "set --pid 5 li", "linger=" },
        { "set --pid 5 linger = ack-", "ack-always" },
        { "run -p linger=r", "linger=rst" },
        { "run -p bind_no_port = o", "off on" },
        { "env -p port_search = ''", "kernel cycle" },
        { "run -p log = /etc/passw", "/etc/passwd" },
        { "run --json = /etc/passw", "/etc/passwd" },
        { "run -p linger = ack ./README.m", "./README.md" },
        { "run -p keepalive = 60 : 5 : 3 -- ./README.m", "./README.md" },
        { "run -q -- cat /etc/passw", "/etc/passwd" },
        { "run -q -- cat -", "" },
        { "env x", "" },
    };
    if (shell("command -v bash").status != 0)
        cr_skip_test("no bash");
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct ended e = shell("exec bash --norc -c '. build/man/afterfin.bash; COMP_WORDS=(build/afterfin \"$@\"); "
                               "COMP_CWORD=$#; _afterfin; echo \"${COMPREPLY[*]}\"' bash %s",
                               rows[i].words);
        char *first = strtok(strdup(*e.out ? e.out : "\n"), "\n");
        bool files = strstr(rows[i].words, "/etc/passw"); /* passwd- may be there too */
        cr_expect(files ? first && strstr(first, rows[i].expected) : strcmp(first ? first : "", rows[i].expected) == 0,
                  "%s: %s%s", rows[i].words, e.out, e.err);
    }
    cr_expect(strstr(shell("bash --norc -c '. build/man/afterfin.bash; COMP_WORDS=(build/afterfin run -- env); "
                           "COMP_CWORD=3; _afterfin; echo \"${COMPREPLY[*]}\"'")
                         .out,
                     "env"));
}
