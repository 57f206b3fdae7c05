/* By which way could `afterfin set` reach a process, and what would that change? Nothing is set here. */
#include "cli/doctor/doctor.h"
#include "cli/kernel/mailbox.h"
#include "cli/kernel/pidfd.h"
#include "cli/kernel/ptrace.h"
#include "cli/output/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct look {
    const struct af_held *held;
    struct af_process_seen *process;
    int error;
};

/* A socket that processes share is counted as often as this one has it. */
static void count_socket(void *context, int theirs, uint64_t inode) {
    struct look *look = context;
    struct tcp_info info;
    socklen_t size = sizeof info;
    (void)inode;
    const int fd = look->error ? -1 : af_held_take(look->held, theirs);
    if (fd < 0) {
        look->error = fd == -EBADF || look->error ? look->error : fd;
        return;
    }
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
        *(info.tcpi_state == TCP_LISTEN ? &look->process->listening : &look->process->connections) += 1;
    close(fd);
}

static void look_at_sockets(struct af_process_seen *p) {
    struct af_held held;
    struct look look = { .held = &held, .process = p };
    int error = af_held_open(p->pid, &held);
    if (!error) {
        error = af_held_each_socket(&held, count_socket, &look);
        af_held_close(&held);
    }
    error = error ? error : look.error;
    p->set_way = error ? AF_SET_NOT : AF_SET_OUTSIDE;
    p->set_why = error ? af_refusal(p->pid, error) : NULL;
}

/* "linger=ack-always, keepalive=60": the policies among the settings in force. */
static char *policies_of(const struct af_inside *inside) {
    char *list = af_format("%s", "");
    for (size_t at = 0; at < inside->size; at += strlen(inside->text + at) + 1)
        for (int key = 0; key < AF_KEYS; key++) {
            const char *setting = inside->text + at, *value = strchr(setting, '=');
            const size_t len = strlen(af_keys[key].variable);
            if (!value || (size_t)(value - setting) != len || strncmp(setting, af_keys[key].variable, len) != 0 ||
                (!af_keys[key].roles && key != AF_KEY_RULES && key != AF_KEY_OVERRIDE))
                continue;
            char *longer = af_format("%s%s%s%s", list, *list ? ", " : "", af_keys[key].name, value);
            free(list);
            list = longer;
        }
    return list;
}

/* As at its start: what came by `set` later is policies alone. */
static void take_settings(struct af_process_seen *p, struct af_inside *inside) {
    p->told = inside->text;
    inside->text = NULL;
    p->n_settings = 0;
    for (size_t at = 0; at < inside->size; at += strlen(p->told + at) + 1) {
        p->settings = af_array(p->settings, p->n_settings + 2, sizeof *p->settings);
        p->settings[p->n_settings++] = p->told + at;
    }
    p->settings[p->n_settings] = NULL;
}

/* It knows better than /proc/N/environ, which many a program overwrites to show a title (setproctitle). */
void af_process_ask(struct af_process_seen *p) {
    struct af_inside inside;
    if (af_inside_read(p->pid, &inside) == 0 && inside.at && inside.state != AF_MAILBOX_ASLEEP) {
        p->awake = true;
        p->open = inside.state == AF_MAILBOX_OPEN;
        p->forbids = inside.state == AF_MAILBOX_CLOSED;
        p->in_force = policies_of(&inside);
        p->policy_since = inside.since;
        if (!inside.since && inside.size)
            take_settings(p, &inside);
    }
    af_inside_free(&inside);
}

void af_process_set_way(struct af_process_seen *p) {
    look_at_sockets(p);
    if (p->open)
        p->set_way = AF_SET_LIBRARY;
    if (!p->forbids)
        return;
    free(p->set_why);
    p->set_way = AF_SET_NOT;
    p->set_why = af_format("it forbids it: AFTERFIN_SET=off in its environment");
}
