/* compare --plot: every run a point, medians with their intervals, and the verdict; drawn by gnuplot. */
#include "cli/compare/experiment.h"
#include "cli/output/file.h"
#include "cli/output/memory.h"
#include "cli/output/say.h"
#include "cli/output/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

bool af_compare_can_plot(void) {
    const char *path = getenv("PATH");
    char *directories = af_format("%s", path ? path : "/bin:/usr/bin"), *rest = NULL;
    bool found = false;
    for (char *d = strtok_r(directories, ":", &rest); d && !found; d = strtok_r(NULL, ":", &rest)) {
        char *file = af_format("%s/gnuplot", d);
        found = access(file, X_OK) == 0;
        free(file);
    }
    free(directories);
    if (!found)
        af_tell("compare: --plot needs gnuplot, which is not in PATH (Debian: gnuplot-nox)");
    return found;
}

/* Between double quotes gnuplot reads escapes and, unless told not to, markup. */
static void put_quoted(FILE *to, const char *text) {
    char *clean = af_utf8_text(text, strlen(text), NULL);
    fputc('"', to);
    for (const char *c = clean; *c; c++)
        if ((unsigned char)*c >= ' ')
            fprintf(to, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    fputc('"', to);
    free(clean);
}

/* ---- panels ------------------------------------------------------------------------------------------------- */

/* A metric's A and B stand side by side, at `at` and `at` + 1; a metric without a name is alone in its panel. */
struct column {
    enum af_metric metric;
    double at;
    const char *name;
};

struct panel {
    const char *title;
    double left, right; /* on the screen */
    bool log;
    struct column column[3];
    size_t n;
};

static const struct panel panels[] = {
    { "wall time, s", 0.065, 0.215, .column = { { AF_METRIC_elapsed_s, 1, NULL } }, .n = 1 },
    { "time inside connect, us", 0.280, 0.610, .log = true,
      .column = { { AF_METRIC_connect_p50_us, 1, "p50" },
                  { AF_METRIC_connect_p99_us, 3.5, "p99" },
                  { AF_METRIC_connect_max_us, 6, "max" } },
      .n = 3 },
    { "TIME_WAITs left", 0.675, 0.805, .column = { { AF_METRIC_time_wait, 1, NULL } }, .n = 1 },
    { "ports in use", 0.865, 0.990, .column = { { AF_METRIC_ports, 1, NULL } }, .n = 1 },
};
enum { PANELS = sizeof panels / sizeof *panels };

/* A is a circle, B a square that is filled: told apart without their colours. */
static const char *const points[] = { "pointtype 6 pointsize 0.65 linewidth 2 linecolor rgb \"#1f5fa8\"",
                                      "pointtype 5 pointsize 0.55 linecolor rgb \"#c2540a\"" };

/* Of a metric's side: its runs in their order, x and y; then, after a gap, median and interval as arrows, x y dx dy. */
static void put_side(FILE *to, const struct af_experiment *e, const struct panel *panel, const struct column *column,
                     int side) {
    const struct af_spread spread = af_compare_spread(e, side, column->metric);
    const size_t n = af_order_made(&e->order, side);
    const double centre = column->at + side;
    double *values = af_compare_values(e, side, column->metric);
    fprintf(to, "$%s_%d << END_OF_RUNS\n", af_metrics[column->metric].name, side);
    for (size_t i = 0; i < n; i++)
        if (!panel->log || values[i] > 0)
            fprintf(to, "%.4f %.9g 0 0\n", centre + 0.6 * (((double)i + 0.5) / (double)n - 0.5), values[i]);
    fputs("\n\n", to);
    if (!panel->log || spread.low > 0)
        fprintf(to, "%.4f %.9g 0.8 0\n\n\n%.4f %.9g 0 %.9g\n", centre - 0.4, spread.median, centre, spread.low,
                spread.high - spread.low);
    fputs("END_OF_RUNS\n", to);
    free(values);
}

static double most_of(const struct af_experiment *e, const struct panel *panel) {
    double most = 0;
    for (size_t c = 0; c < panel->n; c++)
        for (size_t r = 0; r < e->order.done; r++)
            most = e->runs[r].value[panel->column[c].metric] > most ? e->runs[r].value[panel->column[c].metric] : most;
    return most;
}

/* Below each side its letter and its median; above each metric of several its name. */
static void put_labels(FILE *to, const struct af_experiment *e, const struct panel *panel) {
    const char *between = "";
    fputs("set xtics (", to);
    for (size_t c = 0; c < panel->n; c++)
        for (int s = 0; s < 2; s++) {
            char *median = af_compare_number(af_compare_spread(e, s, panel->column[c].metric).median);
            fprintf(to, "%s\"%c\\n%s\" %g", between, "AB"[s], median, panel -> column[c].at + s);
            between = ", ";
            free(median);
        }
    fputs(")\n", to);
    for (size_t c = 0; c < panel->n; c++)
        if (panel->column[c].name)
            fprintf(to, "set label \"%s\" at %g, graph 0.95 center\n", panel->column[c].name,
                    panel->column[c].at + 0.5);
}

static void put_panel(FILE *to, const struct af_experiment *e, const struct panel *panel) {
    const double most = most_of(e, panel), last = panel->column[panel->n - 1].at + 1;
    fprintf(to, "set lmargin at screen %g\nset rmargin at screen %g\nset title \"%s\"\nset xrange [0.2:%g]\n",
            panel->left, panel->right, panel->title, last + 0.8);
    const bool known = af_compare_knows(e, panel->column[0].metric);
    if (!known || (!most && panel->log)) {
        fprintf(to,
                "unset xtics\nunset ytics\nset yrange [0:1]\nset label \"%s\" at graph 0.5,0.5 center\n"
                "plot NaN notitle\nset xtics nomirror\nset ytics nomirror\nunset label\n",
                known ? "no connects" : "not known");
        return;
    }
    put_labels(to, e, panel);
    if (panel->log)
        fputs("set logscale y\nset yrange [*:*]\nset offsets 0,0,graph 0.12,graph 0.03\n", to);
    else
        fprintf(to, "set yrange [%g:%g]\n", most ? -0.03 * most : -0.03, most ? 1.06 * most : 1.06);
    const char *between = "plot ";
    for (size_t c = 0; c < panel->n; c++)
        for (int s = 0; s < 2; s++) {
            const char *name = af_metrics[panel->column[c].metric].name;
            fprintf(to, "%s$%s_%d index 0 using 1:2 with points %s", between, name, s, points[s]);
            between = ", \\\n    ";
            fprintf(to, "%s$%s_%d index 1 using 1:2:3:4 with vectors nohead linewidth 3 linecolor rgb \"black\"",
                    between, name, s);
            fprintf(
                to,
                "%s$%s_%d index 2 using 1:2:3:4 with vectors heads size 0.12,90 linewidth 1.5 linecolor rgb \"black\"",
                between, name, s);
        }
    fputs("\nunset logscale y\nset offsets 0,0,0,0\nunset label\n", to);
}

/* ---- words -------------------------------------------------------------------------------------------------- */

enum {
    LINE = 128,
    TITLE = 100,
    SIDE = 98,
    VERDICT_LINES = 3
}; /* characters of 12, 15 and 13 points in 900 pixels,
                                                                 * of a side beside the number of rounds */

/* As many lines of so many characters as there is room for, wrapped at blanks; what is too long ends in an ellipsis. */
static char *wrapped(char *text, size_t lines, size_t most) {
    char *clean = af_utf8_text(text, strlen(text), NULL), *at = clean;
    free(text);
    for (size_t line = 1; strlen(at) > most; line++) {
        char *end = at + most;
        while (end > at && *end != ' ')
            end--;
        if (line == lines || end == at) {
            for (end = at + most - 3; end > at && ((unsigned char)*end & 0xc0) == 0x80; end--)
                ;
            strcpy(end, "...");
            break;
        }
        *end = '\n';
        at = end + 1;
    }
    return clean;
}

struct place {
    double x, y;
    int points; /* of the font */
    const char *how;
    size_t lines, most; /* characters of each */
};

static void put_words(FILE *to, const struct place *place, char *text) {
    char *shown = wrapped(text, place->lines, place->most);
    double y = place->y;
    for (char *rest = NULL, *line = strtok_r(shown, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        fputs("set label ", to);
        put_quoted(to, line);
        fprintf(to, " at screen %g,%g font \",%d\" %s\n", place->x, y, place->points, place->how);
        y -= 0.045;
    }
    free(shown);
}

static char *command_line(const struct af_experiment *e) {
    char *text = af_format("%s", "");
    for (char **word = e->command; *word; word++)
        text = af_compare_join(text, " ", af_format("%s", *word));
    return text;
}

/* Labels go with the panel that is drawn next, wherever they are. */
static void put_title(FILE *to, const struct af_experiment *e) {
    put_words(to, &(struct place){ 0.02, 0.955, 15, "", 1, TITLE }, command_line(e));
    for (int s = 0; s < 2; s++) {
        char *policy = af_compare_policy(&e->side[s]);
        char *how = af_format("point %s offset 1.3,-0.35", points[s]);
        put_words(to, &(struct place){ 0.02, 0.9 - 0.05 * s, 13, how, 1, SIDE },
                  af_format("%s: %s", e->side[s].name, policy));
        free(policy);
        free(how);
    }
    put_words(to, &(struct place){ 0.98, 0.9, 13, "right", 1, LINE }, af_compare_extent(e));
    put_words(to, &(struct place){ 0.02, 0.125, 12, "", VERDICT_LINES, LINE }, af_compare_verdict(e));
}

static void put_script(FILE *to, const struct af_experiment *e) {
    for (size_t p = 0; p < PANELS; p++)
        for (size_t c = 0; c < panels[p].n; c++)
            for (int s = 0; s < 2; s++)
                put_side(to, e, &panels[p], &panels[p].column[c], s);
    fputs(
        "set terminal svg size 900,470 noenhanced font \",12\" background \"white\"\nset multiplot\nset key off\n"
        "set grid ytics\nset tics nomirror\nset ytics format \"%.6g\"\nset border 3\nset tmargin at screen 0.72\nset bmargin at screen 0.27\n",
        to);
    put_title(to, e);
    for (size_t p = 0; p < PANELS; p++)
        put_panel(to, e, &panels[p]);
    fputs("unset multiplot\n", to);
}

/* ---- gnuplot ------------------------------------------------------------------------------------------------ */

static int start(FILE **script, int output) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        dup2(ends[0], STDIN_FILENO);
        dup2(output, STDOUT_FILENO);
        execlp("gnuplot", "gnuplot", "-", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    *script = fdopen(ends[1], "w");
    return pid;
}

static bool run_gnuplot(const struct af_experiment *e, int output) {
    FILE *script = NULL;
    int status = 0;
    pid_t pid = start(&script, output);
    if (script) {
        put_script(script, e);
        fclose(script);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    errno = 0;
    return false;
}

static bool copy(int from, int to) {
    char some[1 << 16];
    ssize_t n = 0;
    bool ok = lseek(from, 0, SEEK_SET) == 0;
    while (ok && (n = read(from, some, sizeof some)) > 0)
        ok = af_write_all(to, some, (size_t)n);
    return ok && n == 0;
}

/* gnuplot does not notice a disk that is full: so it draws into memory. */
static bool draw(const struct af_experiment *e, int output) {
    const int picture = memfd_create("picture", MFD_CLOEXEC);
    const bool drawn = picture >= 0 && run_gnuplot(e, picture) && copy(picture, output);
    const int error = errno;
    if (picture >= 0)
        close(picture);
    errno = error;
    return drawn;
}

/* Whoever looks at a file sees the old picture, or the whole new one. */
bool af_compare_plot(const struct af_experiment *e) {
    struct af_output_file file;
    signal(SIGPIPE, SIG_IGN);
    const bool drawn = af_output_open(&file, e->plot_path) >= 0 && draw(e, file.fd);
    const bool ok = af_output_close(&file, drawn);
    if (!ok)
        af_tell("compare: cannot draw %s: %s", e->plot_path, errno ? strerror(errno) : "gnuplot failed");
    return ok;
}
