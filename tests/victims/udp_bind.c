/* Binds two UDP sockets to one port and says how each went. udp_bind ADDRESS PORT */
#include "victim.h"

int main(int argc, char **argv) {
    struct sockaddr_storage at;

    if (argc != 3)
        return 2;
    socklen_t len = address_of(argv[1], argv[2], &at);
    for (int i = 0; i < 2; i++)
        say_result("bind", bind(socket(at.ss_family, SOCK_DGRAM, 0), (struct sockaddr *)&at, len));
    return 0;
}
