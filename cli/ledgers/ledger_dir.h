/* Directories in which ledgers are kept. */
#ifndef AFTERFIN_CLI_LEDGERS_LEDGER_DIR_H
#define AFTERFIN_CLI_LEDGERS_LEDGER_DIR_H

#include "cli/ledgers/collect.h"
#include "policy/policy.h"

#include <limits.h>

/* The directory of one run: run-PID-RANDOM in a base directory, locked (flock) for as long as that run lives, which is
 * how another one tells a directory that was left behind. It is 0700; root's is a drop box, 01733, since a program that
 * root starts may become another user before it opens its first socket: whoever knows its name, which 128 random bits
 * are in, may put a ledger there, nobody can list it, and none can take away what another has put there. Its name is
 * known to the programs of the run (AFTERFIN_LEDGER), and so to whoever may look into them. What the ledgers of other
 * users say is believed as far as settle.h goes. */
struct af_run_dir {
    int base, directory; /* descriptors */
    char path[PATH_MAX]; /* of the directory: what AFTERFIN_LEDGER is to say */
    char name[64];
    char temporary[32]; /* the base, where it had to be made for this run; else empty */
    bool keep;          /* the user asked for a ledger: the files outlive the run */
    bool closed;        /* it is root's, and others cannot reach it: the way there is not searchable for them */
};

/* The default ledger directory of a user, `runtime` being his XDG_RUNTIME_DIR or NULL. */
void af_ledger_dir_name(unsigned uid, const char *runtime, char path[PATH_MAX]);

/* Open (and make) the default ledger directory: /run/afterfin for root, else $XDG_RUNTIME_DIR/afterfin, else, or where
 * that is not ours to use, /tmp/afterfin-UID; and remove what is over in it (expire.h). A descriptor, or -errno: EPERM
 * where it is there and not private to us. */
int af_ledger_dir_default(char path[PATH_MAX]);

/* Open the directory that was named, to read ledgers in it; the default one where none was (NULL). 0, or -errno: it
 * has been said why, in the name of `command`. *directory is a descriptor, or -1; with 0 that is where the default one
 * is not there and cannot be made, as on a /run that may only be read: nobody has a ledger in it. */
int af_ledger_dir_open(const char *command, const char *named, int *directory);

/* af_collect of what af_ledger_dir_open has opened. Where that is root's default directory those of all other users are
 * collected too: /run/user/UID/afterfin and /tmp/afterfin-UID, as far as they are that user's and nobody else can
 * write there. Nothing is removed in them. Another user's own /tmp/afterfin-UID is collected, and cleaned, with his
 * default directory. */
void af_ledger_dir_collect(struct af_collection *collection, int directory);

/* Remove all ledgers in this directory whose processes have been gone for so long, and what runs that are gone have
 * left there. Returns how many. */
size_t af_ledger_dir_clean(int directory, unsigned after_s);

/* Make the directory of this run, in the directory that the user named for ledgers, else in the default one,
 * else anywhere in /tmp, where it is gone with the run, whatever was asked for; and remove what runs that were killed
 * have left there. False: it has been said why, in the name of the subcommand `who`. */
bool af_run_dir_make(struct af_run_dir *dir, const char *who, const struct af_policy *policy);

/* The run is over. Where processes still write there, or are yet to, all is left as it is, for a later run
 * to remove. Else the files go to the base directory where the user asked for them, and the directory goes. */
void af_run_dir_leave(struct af_run_dir *dir, const struct af_collection *collection);

#endif
