/* op_deque_pair and op_steal: the deque of the scheduler. */
#include <stdlib.h>

#include "arms.h"
#include "deque.h"
#include "op_tasks.h"

static bool deque_setup(run_t *run, void **shared, bool asymmetric) {
    deque_t *deque = aligned_alloc(_Alignof(deque_t), sizeof *deque);
    *shared = deque;
    if (deque && deque_begin(deque, 2 * OP_STEAL, 0, asymmetric) == STATUS_OK)
        return true;
    run_fail(run, "memory exhausted: a deque");
    return false;
}

static void deque_finish(run_t *run, void *shared) {
    (void)run;
    deque_end(shared);
    free(shared);
}

/* ---- a task below, one pushed and popped above it ---- */
static bool pair_setup(run_t *run, void **shared) {
    if (!deque_setup(run, shared, run_int(run, OP_DEQUE_MODE) == OP_DEQUE_ASYMMETRIC))
        return false;
    bool good = true;
    for (int i = 0; i < 2; i++)
        good = deque_push(*shared, run) && good;
    return good;
}

static uint64_t pair_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    deque_t *deque = shared;
    uint64_t bad = 0;
    for (uint64_t i = 0; i < sample->ops; i++) {
        (void)deque_push(deque, worker);
        bad += deque_pop(deque) != worker;
    }
    if (bad)
        run_violation(worker, "S1", "%llu of %llu items that were pushed did not come out", (unsigned long long)bad,
                      (unsigned long long)sample->ops);
    return sample->ops;
}

static arm_t pair = {.bench = "op_deque_pair", .name = "ours", .kind = ARM_OURS, .setup = pair_setup, .sample = pair_sample,
                     .finish = deque_finish};
ARM_REGISTER(pair)

/* ---- steals of what is exposed ---- */
static bool steal_setup(run_t *run, void **shared) { return deque_setup(run, shared, false); }

static void steal_prepare(worker_t *worker, void *shared, void *state) {
    (void)state;
    if (worker->index > 0)
        return;
    while (deque_pop(shared)) /* what a sample that was cut short has left */
        ;
    for (unsigned i = 0; i < OP_STEAL; i++)
        (void)deque_push(shared, shared);
    deque_expose(shared);
}

static uint64_t steal_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state, (void)sample;
    void *items[OP_BATCH];
    if (worker->run->options->threads > 1 && worker->index != 1)
        return 0;
    uint32_t most = (uint32_t)run_int(worker->run, OP_STEAL_BATCH);
    uint64_t got = 0;
    for (uint32_t more = 1; more > 0; got += more)
        more = deque_steal(shared, items, most);
    if (got != OP_STEAL)
        run_violation(worker, "S1", "%llu of %d exposed items were stolen", (unsigned long long)got, OP_STEAL);
    return got;
}

static arm_t steal = {.bench = "op_steal", .name = "ours", .kind = ARM_OURS, .fixed_ops = OP_STEAL, .setup = steal_setup,
                      .prepare = steal_prepare, .sample = steal_sample, .finish = deque_finish};
ARM_REGISTER(steal)
