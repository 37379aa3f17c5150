/* Private to tuned_*.c. */
#ifndef ORCH_TUNED_RUNS_H
#define ORCH_TUNED_RUNS_H

#include "scheduler.h"
#include "tuned_world.h"

/* A working set: lines in a mixed order. Read by all workers. */
typedef struct {
    _Alignas(64) uint32_t next;
} tuned_line_t;

typedef struct tuned_walk {
    tuned_line_t *lines;
    uint32_t count;
    uint64_t sum; /* of the numbers of all lines */
} tuned_walk_t;

enum { TUNED_WALKS = 4, TUNED_WALK_LINES = 2560 };

typedef struct tuned_runs tuned_runs_t;

bool tuned_walks_make(run_t *run, tuned_walk_t walks[TUNED_WALKS]);
void tuned_walks_free(tuned_walk_t walks[TUNED_WALKS]);

/* `walks`: the phase compute; NULL: service. False where memory is exhausted; free what was made all the same. */
bool tuned_runs_make(contender_t *contender, const tuned_walk_t *walks, tuned_runs_t **made);
void tuned_runs_free(tuned_runs_t *runs);
void tuned_runs_quantum(tuned_runs_t *runs, uint64_t ns);
uint64_t tuned_runs_chunk(tuned_runs_t *runs);
double tuned_runs_tasks(const tuned_runs_t *runs);

#endif
