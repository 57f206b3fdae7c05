/* afterfin doctor: is this machine, and this program, one where afterfin can help? */
#include "cli/doctor/doctor.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output/file.h"
#include "cli/output/say.h"

#include <stdlib.h>
#include <string.h>

enum { PID = AF_NO_LETTER, SYSCTL, JSON };

static const struct af_option_row rows[] = {
    { PID, "pid", AF_TAKES_ONE, "N", "is the library in process N, and with which settings?" },
    { SYSCTL, "sysctl", AF_TAKES_NOTHING, NULL, "print what should change as a sysctl.d fragment, and nothing else" },
    { JSON, "json", AF_MAY_TAKE, "FILE", "write JSON to stdout, or to FILE" },
    { 0, NULL, AF_TAKES_NOTHING, NULL, NULL },
};

struct request {
    const char *program; /* NULL: none */
    pid_t pid;           /* 0: none */
    bool sysctl, json;
    const char *json_path;
};

static bool read_pid(struct request *q, struct af_options *options) {
    char *end = NULL;
    const long pid = strtol(options->value, &end, 10);
    q->pid = (pid_t)pid;
    if (*options->value >= '0' && *options->value <= '9' && !*end && pid > 0 && pid <= INT32_MAX)
        return true;
    af_misuse(options, "--pid needs a process's number, not '%s'", options->value);
    return false;
}

static int check_operands(struct request *q, struct af_options *options) {
    const int n = options->argc - options->next;
    q->program = n > 0 ? options->argv[options->next] : NULL;
    if (!af_options_were_first(options))
        return -1;
    if (n > 1)
        return af_misuse(options, "takes one PROGRAM, but got '%s' too", options->argv[options->next + 1]);
    if (n > 0 && !*q->program)
        return af_misuse(options, "PROGRAM is empty");
    if (q->sysctl && (q->json || q->program || q->pid))
        return af_misuse(options, "--sysctl is about the machine and prints nothing else: it goes with no %s",
                         q->json  ? "--json"
                         : q->pid ? "--pid"
                                  : "PROGRAM");
    return 0;
}

/* False: the status to exit with is in *status. */
static bool read_options(struct request *q, int argc, char **argv, int *status) {
    struct af_options options = { .command = "doctor", .rows = rows, .argc = argc, .argv = argv, .next = 1 };
    int id;
    while ((id = af_next_option(&options)) > 0) {
        if (id == PID && !read_pid(q, &options))
            break;
        q->sysctl |= id == SYSCTL;
        if (id == JSON) {
            q->json = true;
            q->json_path = options.value;
        }
    }
    if (id == 0)
        id = check_operands(q, &options);
    *status = options.status;
    return id == 0;
}

static bool print_sysctl(const struct af_machine *m) {
    char *fragment = af_doctor_sysctl(m);
    const bool ok = af_output(fragment, "doctor", "the settings", NULL);
    free(fragment);
    return ok;
}

/* What is not there, or not ours to look into, is no finding but a failure. */
static bool say_missing(const struct af_doctor *d) {
    const bool program = d->program && !d->program->kind, process = d->process && !d->process->program;
    if (program)
        af_tell("doctor: %s", d->program->why);
    if (process)
        af_tell("doctor: %s", d->process->why);
    return program || process;
}

static int tell(const struct request *q, struct af_doctor *d) {
    bool ok = !say_missing(d);
    if (q->sysctl)
        return print_sysctl(&d->machine) ? 0 : AF_EXIT_FAILURE;
    d->n_policies = af_needs_policies(d->policies);
    d->n_commands = af_needs_commands(d->commands);
    if (q->json)
        ok &= af_doctor_write_json(d, q->json_path);
    else if (ok)
        af_doctor_print(d);
    ok &= !d->program || d->program->reached <= AF_FROM_OUTSIDE;
    ok &= !d->process || d->process->inside || d->process->supervised;
    return ok ? 0 : AF_EXIT_FAILURE;
}

int af_command_doctor(int argc, char **argv) {
    struct request q = { .program = NULL };
    static struct af_doctor d; /* these are too large for a small stack */
    static struct af_program program;
    static struct af_process_seen process;
    int status;
    if (!read_options(&q, argc, argv, &status))
        return status;
    if (q.program) {
        af_program_read(q.program, getenv("PATH"), &program);
        d.program = &program;
    }
    if (q.pid) {
        af_process_read(q.pid, &process);
        d.process = &process;
    }
    af_machine_read(&d.machine);
    status = tell(&q, &d);
    af_machine_free(&d.machine);
    if (q.program)
        af_program_free(&program);
    if (q.pid)
        af_process_free(&process);
    return status;
}
