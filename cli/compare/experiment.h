/* What compare runs, measures and tells. */
#ifndef AFTERFIN_CLI_COMPARE_EXPERIMENT_H
#define AFTERFIN_CLI_COMPARE_EXPERIMENT_H

#include "cli/compare/guard.h"
#include "cli/compare/order.h"
#include "cli/compare/progress.h"
#include "cli/compare/stats.h"
#include "cli/launch/settings.h"
#include "ledger/layout.h"

#include <signal.h>
#include <sys/types.h>

enum af_metric {
#define METRIC(name, is_time, title, help) AF_METRIC_##name,
#include "cli/compare/metrics.def"
#undef METRIC
    AF_METRICS
};

struct af_metric_info {
    const char *name, *title, *help;
    bool is_time; /* else a count */
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
    uint64_t tw_before; /* TIME_WAITs that were there when it began */
    uint32_t unknown;   /* bits of enum af_metric: not counted, or not of all its processes */
    bool outside;       /* some process was seen from outside only (launch/supervisor.h) */
    bool reported;      /* some process has told of a TCP socket */
    size_t unkept;      /* processes that could not keep a ledger, and why the first could not */
    char unkept_why[32];
};

struct af_side {
    const char *name; /* "A" */
    struct af_settings settings;
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
    struct af_order order;   /* whose turn it is, and how far they are */
    struct af_measure *runs; /* in that order */
    int interrupted;         /* by this signal; 0: not */
    struct af_difference difference[AF_METRICS];
    size_t varying; /* so many different things */
    struct af_progress progress;
    struct af_guard guard;
    sigset_t mask; /* of signals, and what SIGCHLD did, when we were started: for CMD */
    struct sigaction on_child;
};

/* round.c: run CMD once under a side's policy. `last`: nothing follows that its leftovers could load. False:
 * what is wrong has been said, *status is what to exit with; or e->interrupted is set. */
bool af_compare_run(struct af_experiment *e, const struct af_side *side, bool last, struct af_measure *measure,
                    int *status);

/* One metric of a side's runs, in their order; and how often a call failed so. From malloc, of af_order_made. */
double *af_compare_values(const struct af_experiment *e, int side, enum af_metric metric);
double *af_compare_failures(const struct af_experiment *e, int side, unsigned call, unsigned error);
/* Has every run this metric? What one lacks is compared with nothing. */
bool af_compare_knows(const struct af_experiment *e, enum af_metric metric);
struct af_spread af_compare_spread(const struct af_experiment *e, int side, enum af_metric metric);
/* "linger=ack,port_search=cycle"; "nothing set" where nothing is. From malloc. */
char *af_compare_policy(const struct af_side *side);
/* "10 rounds"; "3 runs of A, 2 of B" where it was interrupted. From malloc. */
char *af_compare_extent(const struct af_experiment *e);

/* verdict.c: all metrics against each other, into e->difference; and what may be believed, in words, from malloc. */
void af_compare_judge(struct af_experiment *e);
char *af_compare_verdict(const struct af_experiment *e);
/* Four digits that count; and `more`, from malloc, behind `text`, with `between` where there is something already. */
char *af_compare_number(double x);
char *af_compare_join(char *text, const char *between, char *more);

/* print.c: on stdout. */
void af_compare_print(const struct af_experiment *e);
/* json.c, plot.c. False: it has been said why. */
bool af_compare_write_json(const struct af_experiment *e);
bool af_compare_can_plot(void);
bool af_compare_plot(const struct af_experiment *e);

#endif
