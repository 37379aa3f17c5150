/* op_spawn: libgomp, a team of one. With one thread it runs a task where it is made, and queues nothing. */
#include <omp.h>

#include "arms.h"

static void nothing(uint64_t i) { KEEP(i); }

static uint64_t spawn_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    uint64_t ops = sample->ops;
#pragma omp parallel num_threads(1)
#pragma omp single
    for (uint64_t i = 0; i < ops; i++) {
#pragma omp task firstprivate(i)
        nothing(i);
    }
    return ops;
}

static arm_t spawn = {.bench = "op_spawn", .name = "gomp", .kind = ARM_PEER, .sample = spawn_sample};
ARM_REGISTER(spawn)
