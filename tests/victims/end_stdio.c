/* A program started by inetd: the connection is on 0, 1 and 2. It says a word and ends it by the way named.
 *
 * end_stdio WAY */
#include "way.h"

static void by_exit(int fd) {
    (void)fd;
}
static void by_closing_all(int fd) {
    (void)fd;
    MUST(close(0) == 0 && close(1) == 0 && close(2) == 0);
}
static void by_streams(int fd) {
    (void)fd;
    MUST(fclose(stdin) == 0 && fclose(stdout) == 0 && fclose(stderr) == 0);
}
static void by_dev_null(int fd) {
    int null = open("/dev/null", O_RDWR);
    for (fd = 0; fd < 3; fd++)
        MUST(dup2(null, fd) == fd);
}
/* The last of the three is kept and used elsewhere first. */
static void by_moving_away(int fd) {
    int moved = fcntl(0, F_DUPFD, 100);
    by_closing_all(fd);
    MUST(send(moved, "x", 1, 0) == 1 && close(moved) == 0);
}

static const struct way ways[] = {
    { "exit", by_exit },         { "closing_all", by_closing_all }, { "streams", by_streams },
    { "dev_null", by_dev_null }, { "moving_away", by_moving_away },
};

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    const struct way *way = WAY_NAMED(ways, argv[1]);
    MUST(write(1, "hello", 5) == 5);
    way->run(-1);
    return 0;
}
