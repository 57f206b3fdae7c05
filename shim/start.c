/* The library's beginning and end in a process: settings, what came with exec, the last word. */
#include "shim/line.h"
#include "shim/shim.h"

#include <link.h>
#include <stdlib.h>

enum { EXIT_CONFIG = 78, TEXT_ROOM = 320, MAX_SETTINGS = 64 };

bool af_sealed;
struct af_fork_page af_no_fork_page;
static struct af_force first;
struct af_state af = {
    .odd = AF_ODD_FIRST, .force = &first, .slot = AF_NO_SLOT, .log_fd = -1, .page = 4096, .fork_page = &af_no_fork_page
};

/* The settings, copied: programs write over their environment (setproctitle), and it goes with putenv. The
 * last setting of a name is the one that counts, so there are never more than names. */
static const char *settings[MAX_SETTINGS + 1];
static char text_room[TEXT_ROOM];
static size_t settings_size;

static bool starts_with(const char *s, const char *prefix) {
    while (*prefix)
        if (*s++ != *prefix++)
            return false;
    return true;
}

const char *af_setting(const char *const *list, int key) {
    const char *found = "";
    for (const char *const *s = list; *s; s++) {
        const char *a = *s, *b = af_key_variable((enum af_key)key);
        while (*b && *a == *b)
            a++, b++;
        if (!*b && *a == '=' && a[1])
            found = a + 1;
    }
    return found;
}

/* What is kept of the settings, where a static room is too small for it: their texts, and what rules and addresses became.
 * Given back where there is nothing for the library to do. */
static struct kept {
    void *room;
    size_t size;
} texts, lists;

static void *keep(struct kept *kept, size_t size) {
    *kept = (struct kept){ af_lasting_room(size), size };
    return kept->room;
}

static void give_all_back(void) {
    af_give_back(texts.room, texts.size);
    af_give_back(lists.room, lists.size);
}

static bool is_setting(const char *s) {
    return starts_with(s, "AFTERFIN_") && !af_policy_is_injected(s);
}

/* How many AFTERFIN_ settings there are, and their size. */
static size_t measure(char **envp, size_t *size) {
    size_t n = 0;
    for (; *envp; envp++)
        if (is_setting(*envp)) {
            n++;
            *size += __builtin_strlen(*envp) + 1;
        }
    return n;
}

static bool copy_settings(char **envp, size_t size) {
    size_t n = 0;
    settings_size = size;
    char *to = size <= sizeof text_room ? text_room : keep(&texts, size);
    for (; to && *envp; envp++) {
        if (!is_setting(*envp))
            continue;
        settings[n++] = to;
        for (const char *from = *envp; (*to++ = *from++);)
            ;
    }
    return to != NULL;
}

/* What the kernel tells at exec stands behind the environment: AT_SECURE (setuid and its like), the path that
 * was exec'd (of a script, the script's own). */
static bool read_auxv(char **envp) {
    while (*envp++)
        ;
    for (ElfW(auxv_t) *aux = (ElfW(auxv_t) *)envp; aux->a_type != AT_NULL; aux++) {
        if (aux->a_type == AT_SECURE && aux->a_un.a_val)
            return false;
        if (aux->a_type == AT_EXECFN)
            af.program = (const char *)aux->a_un.a_val;
        if (aux->a_type == AT_PAGESZ)
            af.page = aux->a_un.a_val;
    }
    return true;
}

static const char *base_name(const char *path) {
    const char *name = path;
    for (const char *c = path; *c; c++)
        if (*c == '/' && c[1])
            name = c + 1;
    return name;
}

/* It lives in the kernel's own strings at the top of the stack, which some programs write over too. One form of it goes
 * into log and ledger: whole characters, as many as fit, and a question mark for each byte that is none. */
static void keep_program(const char *name) {
    static char room[AF_PROGRAM_SIZE];
    size_t size = __builtin_strlen(name), to = 0;
    for (size_t at = 0, n; at < size; at += n, to += n) {
        const size_t whole = af_utf8(name + at, size - at);
        n = whole ? whole : 1;
        if (to + n >= sizeof room)
            break;
        __builtin_memcpy(room + to, whole ? name + at : "?", n);
    }
    af.program = room;
}

/* XDG_RUNTIME_DIR, which says where the default ledger directory is. */
static void keep_runtime_dir(char **envp) {
    static char room[256];
    for (; *envp; envp++) {
        size_t n = __builtin_strlen(*envp);
        if (starts_with(*envp, "XDG_RUNTIME_DIR=/") && n < sizeof room) {
            __builtin_memcpy(room, *envp + 16, n - 15);
            af.runtime_dir = room;
        }
    }
}

/* Rules, which may be in a file, and addresses need room of their own. */
static bool parse_with_lists(void) {
    const char *path = af_policy_rules_file(settings);
    struct af_input given = { .room = NULL };
    char *file = path ? af_room(AF_RULES_FILE_MAX + 1) : NULL;
    if (path) {
        const long size = file ? af_read_rules(path, file) : -ENOMEM;
        given.file = size < 0 ? NULL : file;
        given.file_size = size < 0 ? 0 : (size_t)size;
        given.file_error = size < 0 ? (int)-size : 0;
    }
    given.size = af_policy_room(settings, &given);
    given.room = given.size ? keep(&lists, given.size) : NULL;
    if (!given.room)
        given.size = 0;
    const bool good = af_policy_parse(&af.policy, settings, &given, &af.complaint);
    af_give_back(file, AF_RULES_FILE_MAX + 1);
    return good;
}

static bool parse(char **envp, size_t n_settings, size_t size) {
    static const char too_many[] = "environment: more AFTERFIN_ settings than there are variables",
                      no_memory[] = "environment: no memory for the AFTERFIN_ settings";
    if (n_settings > MAX_SETTINGS) {
        __builtin_memcpy(af.complaint.text, too_many, sizeof too_many);
        return false;
    }
    if (!copy_settings(envp, size)) {
        __builtin_memcpy(af.complaint.text, no_memory, sizeof no_memory);
        return false;
    }
    struct af_input given = { .room = NULL };
    for (size_t i = 0; settings[i]; i++) /* most programs are spared the question */
        if (starts_with(settings[i], "AFTERFIN_RULES=") || starts_with(settings[i], "AFTERFIN_SOURCE="))
            return parse_with_lists();
    return af_policy_parse(&af.policy, settings, &given, &af.complaint);
}

/* The process ends through exit or quick_exit: registered before anything else is, so called after all. */
static void last_word(void *unused) {
    (void)unused;
    af_finish(false);
}

static void begin(char **envp) {
    af.counting = af.policy.log != AF_SINK_OFF || af.policy.ledger != AF_LEDGER_OFF;
    if (af.policy.closed)
        af_mailbox_open(settings[0], settings_size);
    const bool acts = af_policy_acts(&af.policy), waits = af.policy.set & AF_BIT(SET) && !af.policy.closed;
    if ((!af.counting && !acts && !waits) || !af_real.__cxa_atexit || !af_real.clock_gettime) {
        if (!af.policy.closed) /* else the texts are there to be read */
            give_all_back();
        return;
    }
    af.stack_end = (uintptr_t)envp;
    first.policy = &af.policy;
    af_line_policy(&first, settings);
    af_prepare_policy(&first, acts);
    af_log_begin();
    if (af.policy.ledger == AF_LEDGER_DEFAULT)
        keep_runtime_dir(envp);
    if (af.counting) /* by the vDSO: a filter that knows this program's calls knows no clock_gettime */
        af.started = af_now();
    af_mailbox_open(settings[0], settings_size);
    af.on = true;
    af_scan_inherited();
    af_real.__cxa_atexit(last_word, NULL, NULL);
    if (af_is_glibc())
        af_real.__cxa_at_quick_exit(last_word, NULL);
    else
        af_at_quick_exit();
}

static void start(int argc, char **argv, char **envp) {
    size_t size = 0;
    const bool known = af_is_glibc() || af_find_arguments(&argc, &argv, &envp);
    size_t n = envp ? measure(envp, &size) : 0;
    if (n == 0 || !(known ? read_auxv(envp) : af_ask_auxv()))
        return;
    if (argc > 0) {
        af.command = argv[0];
        af.command_size = (size_t)(argv[argc - 1] - argv[0]) + __builtin_strlen(argv[argc - 1]) + 1;
    }
    const char *program = base_name(af.program ? af.program : "?");
    bool good = parse(envp, n, size);
    const bool touched = good && af_policy_touches(&af.policy, program);
    if (!touched)
        give_all_back();
    if (good && !touched)
        return;
    keep_program(program);
    af_log_start();
    if (good) {
        begin(envp);
    } else if (af.policy.strict) {
        af_say((const char *const[]){ af.complaint.text, NULL });
        AF_SYS1(SYS_exit_group, EXIT_CONFIG);
    } else {
        af.on = true; /* for the complaint at the first TCP socket, and nothing else */
    }
}

/* musl calls it without arguments. Where they would lie on the stack that is memory of whoever calls: it is not written. */
#ifdef __i386__
__attribute__((constructor)) static void construct(void) {
    void **frame = __builtin_frame_address(0); /* and above it where it goes back to, and the arguments */
    af_resolve();
    if (af_is_glibc())
        start((int)(intptr_t)frame[2], frame[3], frame[4]);
    else
        start(0, NULL, NULL);
}
#else
__attribute__((constructor)) static void construct(int argc, char **argv, char **envp) {
    af_resolve();
    start(argc, argv, envp);
}
#endif
