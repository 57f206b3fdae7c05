/* See top_screen.h. */
#include "cli/top/screen.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/table.h"
#include "cli/output/text.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

enum { WARNING_PAIR = 1, ALARM_PAIR, ESCAPE_MS = 25 };

static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
static volatile sig_atomic_t ended, continued;
static sigset_t before; /* the signals that were blocked when we came */
static SCREEN *screen;
static bool colours;

/* ---- signals ----------------------------------------------------------------------------------------------- */

static void end(int signal) {
    ended = signal;
}

static void go_on(int signal) {
    (void)signal;
    continued = 1;
}

/* All are blocked but for the time that a key is waited for: a frame is drawn whole, and none comes too early to be
 * noticed. What was ignored stays so (nohup). ncurses takes SIGTSTP and SIGWINCH itself. */
static void take_signals(void) {
    struct sigaction action = { .sa_handler = end }, old;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        sigaddset(&set, ending[i]);
        if (sigaction(ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
    action.sa_handler = go_on;
    sigaction(SIGCONT, &action, NULL);
    sigaddset(&set, SIGCONT);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, &before);
}

int af_screen_ended(void) {
    return ended;
}

/* ---- open and close ---------------------------------------------------------------------------------------- */

static bool can_show(const char *command) {
    const char *terminal = getenv("TERM");
    int error = 0;
    if (setupterm(NULL, STDOUT_FILENO, &error) == OK) {
        const char *place_cursor = tigetstr("cup");
        const bool can = place_cursor && place_cursor != (char *)-1;
        del_curterm(cur_term);
        if (can)
            return true;
    }
    if (!terminal || !*terminal)
        af_tell("%s: TERM is not set; --once needs no terminal", command);
    else if (error == 1)
        af_tell("%s: a terminal of type '%s' (TERM) cannot place its cursor; --once needs no terminal", command,
                terminal);
    else
        af_tell("%s: terminals of type '%s' (TERM) are not known here; --once needs no terminal", command, terminal);
    return false;
}

static void prepare(void) {
    colours = af_colour_on(STDOUT_FILENO) && has_colors();
    if (colours) {
        start_color();
        use_default_colors();
        init_pair(WARNING_PAIR, COLOR_YELLOW, -1);
        init_pair(ALARM_PAIR, COLOR_RED, -1);
    }
    cbreak();
    noecho();
    nonl();
    curs_set(0);
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_MS);
}

bool af_screen_open(const char *command) {
    if (!can_show(command))
        return false;
    take_signals();
    screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        af_tell("%s: the terminal cannot be used; --once needs none", command);
        return false;
    }
    atexit(af_screen_close);
    prepare();
    return true;
}

void af_screen_close(void) {
    if (!screen)
        return;
    endwin();
    screen = NULL;
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ---- a frame ----------------------------------------------------------------------------------------------- */

/* Whoever was stopped by SIGSTOP had no time to leave the terminal, and a shell has used it since. */
void af_screen_begin(size_t *height, size_t *width) {
    struct winsize size;
    if (continued) {
        continued = 0;
        reset_prog_mode();
        clearok(curscr, TRUE);
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col &&
        (size.ws_row != LINES || size.ws_col != COLS))
        resizeterm(size.ws_row, size.ws_col);
    *height = (size_t)LINES;
    *width = (size_t)COLS;
    erase();
}

static attr_t attributes(enum af_style style) {
    switch (style) {
    case AF_HEADER: return A_BOLD;
    case AF_SELECTED: return A_REVERSE;
    case AF_WARNING: return colours ? COLOR_PAIR(WARNING_PAIR) : A_NORMAL;
    case AF_ALARM: return colours ? COLOR_PAIR(ALARM_PAIR) | A_BOLD : A_BOLD;
    default: return A_NORMAL;
    }
}

void af_screen_put(size_t row, enum af_style style, const char *text) {
    const size_t width = (size_t)COLS;
    char *shown = af_array(NULL, width + 3, 4);
    size_t used = af_fit(text, width, shown);
    attrset(attributes(style));
    mvaddstr((int)row, 0, shown);
    for (; style == AF_SELECTED && used < width; used++)
        addch(' ');
    attrset(A_NORMAL);
    free(shown);
}

void af_screen_end(void) {
    refresh();
}

/* ---- keys -------------------------------------------------------------------------------------------------- */

static int translate(int c) {
    switch (c) {
    case KEY_UP: return AF_KEY_UP;
    case KEY_DOWN: return AF_KEY_DOWN;
    case KEY_PPAGE: return AF_KEY_PAGE_UP;
    case KEY_NPAGE: return AF_KEY_PAGE_DOWN;
    case KEY_HOME: return AF_KEY_HOME;
    case KEY_END: return AF_KEY_END;
    case KEY_BACKSPACE:
    case 127:
    case 8: return AF_KEY_BACKSPACE;
    case KEY_ENTER:
    case '\r':
    case '\n': return AF_KEY_ENTER;
    case 27: return AF_KEY_ESCAPE;
    default: return c >= 0 && c < 256 ? c : AF_KEY_NONE;
    }
}

int af_screen_key(double seconds) {
    const struct timespec patience = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    int c = getch(); /* one that ncurses has read already */
    if (c == ERR) {
        if (ppoll(&input, 1, &patience, &before) > 0 && input.revents & (POLLHUP | POLLERR | POLLNVAL))
            ended = SIGHUP;
        c = getch();
    }
    return translate(c);
}
