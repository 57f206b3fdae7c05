/* Says each signal that arrives, and at SIGTERM how many of each came, and ends.
 *
 * signals */
#include "victim.h"

static const int watched[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGTERM };
static const char *const names[] = { "HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "PIPE", "TERM" };
static volatile sig_atomic_t count[65];

static void on_signal(int number) {
    count[number]++;
}

int main(void) {
    sigset_t all, before;
    int said[65] = { 0 };

    sigemptyset(&all);
    for (size_t i = 0; i < sizeof watched / sizeof *watched; i++) {
        sigaddset(&all, watched[i]);
        sigaction(watched[i], &(struct sigaction){ .sa_handler = on_signal }, NULL);
    }
    sigprocmask(SIG_BLOCK, &all, &before);
    say("ready", "");
    for (;;) {
        for (size_t i = 0; i < sizeof watched / sizeof *watched; i++)
            while (said[watched[i]] < count[watched[i]]) {
                said[watched[i]]++;
                say("got", names[i]);
            }
        if (count[SIGTERM])
            break;
        sigsuspend(&before);
    }
    say_number("INT", count[SIGINT]);
    say_number("HUP", count[SIGHUP]);
    return 9;
}
