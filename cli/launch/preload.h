/* Where the library is, and how CMD comes to load it. */
#ifndef AFTERFIN_CLI_LAUNCH_PRELOAD_H
#define AFTERFIN_CLI_LAUNCH_PRELOAD_H

#include "cli/launch/settings.h"

/* Put the library in front of LD_PRELOAD. What is there stays, in its order; an entry that is the library
 * already stays where it is. False: it was not found or cannot be preloaded, which has been said. */
bool af_preload(struct af_settings *settings);

/* The library that is for programs of this machine, or for those of 32 bits that it runs (i386): where it is, or NULL. */
const char *af_preload_library(bool i386);

/* What is to be added for the program that `command` comes to.
 *
 * For one of 32 bits with musl, a second entry: see preload.c.
 *
 * AddressSanitizer's runtime, as a library (gcc), ends a program in which another library comes first, unless ASAN_OPTIONS
 * says otherwise: so that does, where the program that `command` comes to needs it. To preload the runtime itself would
 * bring it into every child. */
void af_preload_for(struct af_settings *settings, const char *command);

/* The new value of LD_PRELOAD, for `library` and a former value (or NULL). */
char *af_preload_value(const char *library, const char *former);

#endif
