/* The parts of orch-harness-explore: the program's runs and its tokens. */
#ifndef ORCH_EXPLORE_PROGRAM_H
#define ORCH_EXPLORE_PROGRAM_H

#include "explore_run.h"
#include "harness.h"

/* A scenario as the harness knows it. */
typedef struct {
    bench_t bench; /* first: a bench is its subject */
    const explore_scenario_t *scenario;
    const char *subject;
} subject_t;

enum { SET_STRATEGY, SET_MODEL, SET_EXECUTIONS, SET_VIOLATIONS, SETTINGS };
extern const char *const strategy_names[EXPLORE_STRATEGIES + 1]; /* end with NULL */
extern const char *const model_names[EXPLORE_MODELS + 1];

/* One run that can be had again: `build:subject:scenario:strategy:model:seed:decisions`. Decisions are `-` where the
 * seed makes them all. */
typedef struct {
    const subject_t *subject;
    unsigned strategy, model;
    uint64_t seed;
} token_t;
void token_write(const token_t *token, char *text, size_t size);
/* Ends the process with one line and status 2 where it is not a token of this source. */
token_t token_read(const char *text);

/* What a process of runs shares with the one that started it. */
enum { TRACE_LINES = 192, TRACE_WIDTH = 200 };
typedef struct {
    volatile uint64_t executions, steps, seed; /* done; of the run under way */
    volatile bool found;
    explore_finding_t finding;
    unsigned lines; /* in all: the last TRACE_LINES are there */
    char line[TRACE_LINES][TRACE_WIDTH];
} report_t;

#endif
