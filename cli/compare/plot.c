/* compare --plot: every round a point, drawn by gnuplot. */
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

/* Side, value of each metric: rounds of one side lie next to each other, in their order. */
static void put_data(FILE *to, const struct af_experiment *e) {
    fputs("$rounds << END_OF_ROUNDS\n", to);
    for (int s = 0; s < 2; s++)
        for (unsigned r = 0; r < e->done; r++) {
            const double *value = e->side[s].runs[r].value;
            fprintf(to, "%.4f %.9g %.9g %.9g %.9g %.9g\n", 1 + s + 0.5 * ((r + 0.5) / e->done - 0.5),
                    value[AF_METRIC_elapsed_s], value[AF_METRIC_connect_p50_us], value[AF_METRIC_connect_p99_us],
                    value[AF_METRIC_connect_max_us], value[AF_METRIC_time_wait]);
        }
    fputs("END_OF_ROUNDS\n", to);
}

static bool is_ever(const struct af_experiment *e, enum af_metric metric) {
    for (int s = 0; s < 2; s++)
        for (unsigned r = 0; r < e->done; r++)
            if (e->side[s].runs[r].value[metric] > 0)
                return true;
    return false;
}

static void put_latency(FILE *to, const struct af_experiment *e) {
    fputs("set title \"time inside connect, us\"\nset key outside bottom center horizontal\n", to);
    if (is_ever(e, AF_METRIC_connect_max_us))
        fputs("set logscale y\nset yrange [*:*]\n"
              "plot $rounds using 1:3 with points pointtype 7 pointsize 0.5 title \"p50\", "
              "'' using 1:4 with points pointtype 5 pointsize 0.5 title \"p99\", "
              "'' using 1:5 with points pointtype 9 pointsize 0.5 title \"max\"\n"
              "unset logscale y\n",
              to);
    else
        fputs("set label 1 \"no connects\" at graph 0.4,0.5\nset yrange [0:1]\nplot NaN notitle\nunset label 1\n", to);
}

static void put_script(FILE *to, const struct af_experiment *e) {
    char *a = af_compare_policy(&e->side[0]), *b = af_compare_policy(&e->side[1]);
    char *title = af_format("A: %s   B: %s   %u rounds", *a ? a : "nothing set", *b ? b : "nothing set", e->done);
    put_data(to, e);
    fputs("set terminal svg size 900,420 noenhanced background \"white\"\nset multiplot layout 1,3 title ", to);
    put_quoted(to, title);
    fputs("\nset xrange [0.5:2.5]\nset xtics (\"A\" 1, \"B\" 2)\nset grid ytics\nset yrange [0:*]\n"
          "set title \"wall time, s\"\nset key off\n"
          "plot $rounds using 1:2 with points pointtype 7 pointsize 0.5\n",
          to);
    put_latency(to, e);
    fputs("set title \"TIME_WAITs left\"\nset key off\nset offsets 0,0,graph 0.06,0\n", to);
    /* gnuplot warns of a range in which all is 0. */
    fputs(is_ever(e, AF_METRIC_time_wait) ? "set yrange [0:*]\n" : "set yrange [0:1]\n", to);
    fputs("plot $rounds using 1:6 with points pointtype 7 pointsize 0.5\nunset multiplot\n", to);
    free(a);
    free(b);
    free(title);
}

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

static bool draw(const struct af_experiment *e, int output) {
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
