/* op_deque_pair: concurrencykit's ring with one producer and many consumers, which is what a deque with thieves does in the
 * other order. */
#include <ck_ring.h>
#include <stdlib.h>

#include "arms.h"
#include "op_tasks.h"

typedef struct {
    ck_ring_t ring;
    ck_ring_buffer_t places[2 * OP_TASKS];
} ring_t;

static bool setup(run_t *run, void **shared) {
    ring_t *made = calloc(1, sizeof *made);
    *shared = made;
    if (!made) {
        run_fail(run, "memory exhausted: a ring");
        return false;
    }
    ck_ring_init(&made->ring, 2 * OP_TASKS);
    return true;
}

static uint64_t pair_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)state;
    ring_t *of = shared;
    void *item = worker;
    for (uint64_t i = 0; i < sample->ops; i++) {
        bool good = ck_ring_enqueue_spmc(&of->ring, of->places, item);
        if (!good || !ck_ring_trydequeue_spmc(&of->ring, of->places, &item))
            run_fail(worker->run, "an item did not come out");
        KEEP(item);
    }
    return sample->ops;
}

static void finish(run_t *run, void *shared) {
    (void)run;
    free(shared);
}

static arm_t pair = {.bench = "op_deque_pair", .name = "ck", .kind = ARM_PEER, .setup = setup, .sample = pair_sample,
                     .finish = finish};
ARM_REGISTER(pair)
