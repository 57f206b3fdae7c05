/* Connects, and then is where nobody can interrupt it, or half gone; what it does after that is as ever.
 *
 * stuck vfork ADDRESS PORT     waits for its vfork child, which says its pid and sleeps until it is killed; then connects
 *                              once more, and closes that
 * stuck leader ADDRESS PORT    its first thread ends; another one connects, and connects once more after a SIGUSR1
 * stuck fault ADDRESS PORT     reads into memory that is never there (userfaultfd), after "open" */
#include "victim.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static const char *address, *port;

static int connect_once(void) {
    struct sockaddr_storage to;
    const socklen_t len = address_of(address, port, &to);
    const int fd = socket(to.ss_family, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, len) != 0)
        exit(1);
    return fd;
}

static void sleep_in_child(void) {
    const pid_t child = vfork();
    if (child == 0) {
        dprintf(1, "child %d\n", (int)getpid());
        for (;;)
            pause();
    }
    say_number("killed", child);
    close(connect_once());
}

static void *on_thread(void *set) {
    int signal;
    connect_once();
    say("open", "1");
    sigwait(set, &signal);
    close(connect_once());
    say("closed", "1");
    exit(0);
}

static void end_leader(void) {
    static sigset_t set;
    pthread_t thread;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, on_thread, &set);
    pthread_exit(NULL);
}

static void read_into_nowhere(void) {
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int fault = (int)syscall(SYS_userfaultfd, O_CLOEXEC), zero = open("/dev/zero", O_RDONLY);
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register all = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (fault < 0 || ioctl(fault, UFFDIO_API, &api) != 0 || ioctl(fault, UFFDIO_REGISTER, &all) != 0) {
        say("open", "0");
        exit(0);
    }
    say("open", "1");
    if (read(zero, page, 1) != 1)
        exit(1);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    address = argv[2];
    port = argv[3];
    if (strcmp(argv[1], "leader") == 0)
        end_leader();
    connect_once();
    if (strcmp(argv[1], "vfork") == 0)
        sleep_in_child();
    else
        read_into_nowhere();
    return 0;
}
