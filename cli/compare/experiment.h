/* What compare runs, measures and tells. */
#ifndef AFTERFIN_CLI_COMPARE_EXPERIMENT_H
#define AFTERFIN_CLI_COMPARE_EXPERIMENT_H

#include "cli/compare/stats.h"
#include "cli/launch/settings.h"
#include "ledger/layout.h"

#include <signal.h>
#include <sys/types.h>

enum af_metric {
#define METRIC(name, title, help) AF_METRIC_##name,
#include "cli/compare/metrics.def"
#undef METRIC
    AF_METRICS
};

struct af_metric_info {
    const char *name, *title, *help;
};
extern const struct af_metric_info af_metrics[AF_METRICS];

enum { AF_ERRNOS = 134 }; /* Linux has none above 133 (EHWPOISON); 0 is `unknown` */

/* One run of CMD. In memory that the round's process shares with ours. */
struct af_measure {
    bool done;  /* the rest is there */
    int status; /* CMD's */
    bool started;
    double value[AF_METRICS];
    uint32_t failed[AF_CALLS][AF_ERRNOS];
    uint64_t tw_before;  /* TIME_WAITs that were there when it began */
    pid_t prepare_group; /* process group of --prepare, which may have left something running; 0: none */
};

struct af_side {
    const char *name; /* "A" */
    struct af_settings settings;
    struct af_measure *runs; /* one a round */
};

enum af_settling { AF_SETTLE_NOT, AF_SETTLE_WAIT, AF_SETTLE_REAP };

struct af_experiment {
    char **command;
    const char *prepare;
    unsigned rounds, warmup;
    bool ignore, netns, json;
    enum af_settling settling;
    const char *json_path, *plot_path;
    struct af_side side[2];
    uint8_t *first;  /* which side went first, one a round */
    unsigned done;   /* rounds that are complete */
    int interrupted; /* by this signal; 0: not */
    struct af_difference difference[AF_METRICS];
    size_t varying; /* metrics that differ in any round: what is corrected for */
    int terminal;   /* for progress; -1: none */
    sigset_t mask;  /* of signals, and what SIGCHLD did, when we were started: for CMD */
    struct sigaction on_child;
};

/* round.c: run CMD once under a side's policy. `last`: nothing follows that its leftovers could load. False:
 * what is wrong has been said, *status is what to exit with; or e->interrupted is set. */
bool af_compare_run(struct af_experiment *e, const struct af_side *side, bool last, struct af_measure *measure,
                    int *status);

/* The rounds' values of one metric, from malloc. */
double *af_compare_values(const struct af_experiment *e, int side, enum af_metric metric);
/* How often a call failed so, the median of the rounds. */
double af_compare_failed(const struct af_experiment *e, int side, unsigned call, unsigned error);
/* "linger=ack,port_search=cycle"; "" where nothing is set. From malloc. */
char *af_compare_policy(const struct af_side *side);

/* Lines of text to a terminal, one in place of the other; "" takes it away. */
void af_compare_progress(const struct af_experiment *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* print.c: on stdout. */
void af_compare_print(const struct af_experiment *e);
/* json.c, plot.c. False: it has been said why. */
bool af_compare_write_json(const struct af_experiment *e);
bool af_compare_can_plot(void);
bool af_compare_plot(const struct af_experiment *e);

#endif
