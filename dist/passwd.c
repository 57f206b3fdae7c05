/* getpwuid of the static command: out of /etc/passwd alone. glibc's own would load libraries of the machine that it runs on,
 * which need not be those that it was linked with; who is not in the file is shown as a number. */
#include <pwd.h>
#include <stdio.h>

struct passwd *getpwuid(uid_t uid) {
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *user = NULL;
    while (file && (user = fgetpwent(file)) && user->pw_uid != uid)
        ;
    if (file)
        fclose(file);
    return user;
}
