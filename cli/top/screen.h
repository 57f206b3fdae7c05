/* The terminal of the live view: the only file that speaks to ncurses. The terminal is given back as it was at
 * af_screen_close, at exit, and while the command is stopped (SIGTSTP). */
#ifndef AFTERFIN_CLI_TOP_SCREEN_H
#define AFTERFIN_CLI_TOP_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* What af_screen_key returns besides the bytes that are typed. */
enum {
    AF_KEY_NONE = -1,
    AF_KEY_UP = 256,
    AF_KEY_DOWN,
    AF_KEY_PAGE_UP,
    AF_KEY_PAGE_DOWN,
    AF_KEY_HOME,
    AF_KEY_END,
    AF_KEY_BACKSPACE,
    AF_KEY_ENTER,
    AF_KEY_ESCAPE
};

enum af_style { AF_PLAIN, AF_HEADER, AF_SELECTED, AF_WARNING, AF_ALARM };

/* False: it has been said why not, in the name of `command`. */
bool af_screen_open(const char *command);
void af_screen_close(void);

/* Begin a frame, at the size that the terminal has now; lines, cut to its width; show it. */
void af_screen_begin(size_t *height, size_t *width);
void af_screen_put(size_t row, enum af_style style, const char *text);
void af_screen_end(void);

/* The next key, waiting so long for it; AF_KEY_NONE: none, or a signal came, or the size changed. Signals that end
 * the command are taken only in here. */
int af_screen_key(double seconds);
/* The signal that is to end the command (SIGHUP if the terminal is gone), 0: none. */
int af_screen_ended(void);

#endif
