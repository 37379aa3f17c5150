/* The parts of orch-harness-explore: runs in processes of their own (program_child.c), tokens, shrinking, and what is printed. */
#ifndef ORCH_EXPLORE_PROGRAM_H
#define ORCH_EXPLORE_PROGRAM_H

#include <sys/types.h>

#include "explore_run.h"
#include "harness.h"

/* A scenario as the harness knows it. */
typedef struct {
    bench_t bench; /* first: a bench is its subject */
    const explore_scenario_t *scenario;
    const char *subject;
} subject_t;

enum { SET_STRATEGY, SET_MODEL, SET_EXECUTIONS, SET_VIOLATIONS, SET_SHRINK, SETTINGS };
extern const char *const strategy_names[EXPLORE_STRATEGIES + 1]; /* end with NULL */
extern const char *const model_names[EXPLORE_MODELS + 1];

/* ---- runs in a process of their own ---- */
enum { TRACE_LINES = 160, TRACE_WIDTH = 260 };
/* What that process shares with this one. */
typedef struct {
    volatile uint64_t executions, steps, pruned, exhausted; /* done */
    volatile uint64_t seed, schedule;                       /* of the run under way */
    volatile bool found;
    explore_finding_t finding;
    uint8_t decisions[EXPLORE_DECISIONS];
    unsigned lines; /* in all: the last TRACE_LINES are there */
    char line[TRACE_LINES][TRACE_WIDTH];
} report_t;
extern report_t *report;
void child_share_report(void); /* before anything else */

/* Forks; the child has `found` cleared, signals as usual, and what the explorer finds goes to the report and ends it. */
pid_t child_fork(void);
/* Waits for it. Whether it found something: what ended without a word is a crash. */
bool child_wait(pid_t pid, const explore_plan_t *plan);
bool child_judge(int status, const explore_plan_t *plan);
/* The plan in up to `schedules` ways, until something is found. With `trace`, the lines go to the report. */
bool child_try(const explore_plan_t *plan, unsigned schedules, bool trace);

/* ---- tokens ---- */
/* One run that can be had again: `build:subject:scenario:strategy:model:seed:dropped:decisions`; `-` where nothing is dropped. */
void token_write(const subject_t *subject, const explore_plan_t *plan, char *text, size_t size);
/* The decisions are kept until the next call. Ends the process with one line and status 2 where it is not a token of this source. */
explore_plan_t token_read(const char *text, const subject_t **subject);

/* ---- shrinking ---- */
typedef struct {
    explore_plan_t plan; /* the decisions are kept until the next call */
    bool replayed;       /* it was found again, by the decisions alone */
    bool weak;           /* no sequentially consistent schedule of the shrunk program was found to do it */
    unsigned replays;
    explore_finding_t before, finding; /* as found, and at last; the trace in the report is the latter's */
} shrunk_t;
/* Of what the report holds: the plan's run, with the report's decisions. */
void shrink(const explore_plan_t *plan, bool whole, shrunk_t *shrunk);

#endif
