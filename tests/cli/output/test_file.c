/* Where JSON, metrics and pictures go: files are replaced as a whole, links are followed, descriptors are written to. */
#include "tests/harness/fabricate.h"
#include "tests/harness/shell.h"

/* None of these may ever take the place of /dev/stdout. */
Test(output_file, a_link_to_a_descriptor_of_ours_is_written_through_and_stays) {
    static const char *const commands[] = { "report -d $d --json=%s", "report -d $d --prometheus=%s",
                                            "run -q --json=%s true" };
    static const char *const links[] = { "/proc/self/fd/1", "/dev/fd/1", "/dev/stdout" };
    for (size_t c = 0; c < ROWS(commands); c++)
        for (size_t i = 0; i < ROWS(links); i++) {
            char command[128];
            snprintf(command, sizeof command, commands[c], "$d/link");
            struct ended e = shell("d=%s; ln -s %s $d/link; echo before >$d/out; build/afterfin %s >>$d/out; "
                                   "readlink $d/link; ls $d | grep -c link; head -1 $d/out; wc -l <$d/out",
                                   new_directory(), links[i], command);
            char link[64];
            long files = 0, lines = 0;
            cr_expect(sscanf(e.out, "%63s %ld before %ld", link, &files, &lines) == 3 && strcmp(link, links[i]) == 0 &&
                          files == 1 && lines > 2,
                      "%s, %s: %s%s", commands[c], links[i], e.out, e.err);
        }
}

Test(output_file, a_descriptor_by_its_name_is_written_to) {
    struct ended e = shell("d=%s; build/afterfin report -d $d --json=/dev/fd/3 3>$d/three && wc -l <$d/three",
                           new_directory());
    cr_expect(e.status == 0 && atoi(e.out) > 2, "%d %s%s", e.status, e.out, e.err);
}

Test(output_file, a_link_to_a_file_stays_and_the_file_is_replaced) {
    struct ended e = shell("d=%s; echo old >$d/file; ln -s file $d/link; build/afterfin report -d $d --json=$d/link && "
                           "readlink $d/link && grep -c old $d/file; wc -l <$d/file; ls $d | wc -l",
                           new_directory());
    long old = -1, lines = 0, files = 0;
    cr_expect(sscanf(e.out, "file %ld %ld %ld", &old, &lines, &files) == 3 && old == 0 && lines > 2 && files == 2,
              "%s%s", e.out, e.err);
}
