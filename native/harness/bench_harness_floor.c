/* The harness measuring itself: what the loop around every bench costs, and what drawing an id costs. */
#include <stdlib.h>

#include "harness.h"

enum { WORK };
enum { WORK_NOTHING, WORK_DRAW };
static const char *const works[] = {"nothing", "draw", NULL};

static const setting_t settings[] = {
    [WORK] = SETTING_ONE_OF("work", WORK_DRAW, works,
                            "one operation is: nothing, one dependent addition; draw, one random id"),
};

typedef struct {
    _Alignas(128) rng_t rng;
    uint64_t sum;
} state_t;

static bool setup(run_t *run) {
    (void)run;
    return true;
}

static bool enter(worker_t *worker) {
    state_t *state = aligned_alloc(_Alignof(state_t), sizeof *state);
    if (!state) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *state = (state_t){.rng = rng_seeded(worker->seed)};
    worker->state = state;
    return true;
}

static uint64_t batch(worker_t *worker) {
    state_t *state = worker->state;
    rng_t rng = state->rng;
    uint64_t sum = state->sum;
    if (run_int(worker->run, WORK) == WORK_DRAW) {
        for (int i = 0; i < BATCH_OPS; i++)
            sum += rng_below(&rng, 32768);
    } else {
        for (int i = 0; i < BATCH_OPS; i++) {
            sum++;
            __asm__ volatile("" : "+r"(sum)); /* one addition per operation, not one per batch */
        }
    }
    state->rng = rng;
    state->sum = sum;
    return BATCH_OPS;
}

static void leave(worker_t *worker) { free(worker->state); }
static void finish(worker_t *worker) { (void)worker; }

static bench_t bench = {
    .name = "harness_floor",
    .summary = "the harness's own cost per operation, to hold other figures against",
    .unit_of_work = "one turn of an otherwise empty loop",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
