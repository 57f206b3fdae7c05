/* The version of the library, the command and the man pages. Formats (log line, JSON, ledger) carry numbers of
 * their own. */
#ifndef AFTERFIN_CLI_VERSION_H
#define AFTERFIN_CLI_VERSION_H

#define AF_VERSION "0.2.0"

#endif
