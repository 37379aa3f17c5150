/* op_calibration: what the machine's parts cost: loads from each cache and from memory, a line that goes between two
 * threads, and membarrier. */
#include <linux/membarrier.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arms.h"
#include "cpu.h"

/* ---- a chain of loads, each the address of the next, in a mixed order of lines ---- */
typedef struct link {
    struct link *next;
    char rest[CPU_LINE - sizeof(struct link *)];
} link_t;

typedef struct {
    link_t *links;
    link_t *at;
} chain_t;

static bool chain_setup(run_t *run, void **shared, size_t bytes) {
    size_t count = bytes / sizeof(link_t);
    chain_t *chain = calloc(1, sizeof *chain);
    link_t *links = aligned_alloc(4096, bytes);
    uint32_t *order = malloc(count * sizeof *order);
    *shared = chain;
    if (!chain || !links || !order) {
        run_fail(run, "memory exhausted: %zu bytes to load from", bytes);
        free(links);
        free(order);
        return false;
    }
    rng_t rng = rng_seeded(run->options->seed);
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t j = rng_below(&rng, (uint32_t)i + 1);
        uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    for (size_t i = 0; i < count; i++)
        links[order[i]].next = &links[order[(i + 1) % count]];
    *chain = (chain_t){links, links};
    free(order);
    return true;
}

static uint64_t chain_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)state;
    chain_t *chain = shared;
    link_t *at = chain->at;
    for (uint64_t i = 0; i < sample->ops; i++)
        at = at->next;
    chain->at = at;
    return sample->ops;
}

static void chain_finish(run_t *run, void *shared) {
    (void)run;
    free(((chain_t *)shared)->links);
    free(shared);
}

/* Small ones are gone through whole, so that the rehearsal brings them near. */
#define LOADS(NAME, BYTES, OPS)                                                                                   \
    static bool NAME##_setup(run_t *run, void **shared) { return chain_setup(run, shared, BYTES); }         \
    static arm_t NAME = {.bench = "op_calibration", .name = "cal_" #NAME, .kind = ARM_CALIBRATION, .alone = true, \
                         .fixed_ops = OPS, .setup = NAME##_setup, .sample = chain_sample, .finish = chain_finish};              \
    ARM_REGISTER(NAME)

LOADS(load_16k, (size_t)16 << 10, 256)
LOADS(load_256k, (size_t)256 << 10, 4096)
LOADS(load_4m, (size_t)4 << 20, 4096)
LOADS(load_128m, (size_t)128 << 20, 256)

/* ---- one line, there and back, between the first two workers ---- */
static struct {
    _Alignas(128) _Atomic uint64_t ball;
    _Alignas(128) _Atomic uint64_t spare;
} court;

static bool two_workers(const run_t *run) { return run->options->threads == 2; }

static void pingpong_prepare(worker_t *worker, void *shared, void *state) {
    (void)shared, (void)state;
    if (worker->index == 0)
        atomic_store_explicit(&court.ball, 0, memory_order_relaxed);
}

/* Whoever is off its CPU holds the other one up: so many rounds of waiting, and then the CPU is given away. */
static uint64_t pingpong_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)shared, (void)state;
    uint64_t mine = (uint64_t)worker->index;
    for (uint64_t i = 0; i < sample->ops; i++) {
        for (unsigned round = 0; atomic_load_explicit(&court.ball, memory_order_acquire) != 2 * i + mine;)
            if (++round % 4096 == 0)
                sched_yield();
        atomic_store_explicit(&court.ball, 2 * i + mine + 1, memory_order_release);
    }
    return sample->ops;
}

static arm_t pingpong = {.bench = "op_calibration", .name = "cal_pingpong", .kind = ARM_CALIBRATION, .planned = two_workers,
                         .prepare = pingpong_prepare, .sample = pingpong_sample, .fixed_ops = 256};
ARM_REGISTER(pingpong)

/* ---- every thread of the process passes a barrier, while the other worker runs ---- */
static bool membarrier_can(const run_t *run) {
    (void)run;
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

static uint64_t membarrier_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)shared, (void)state;
    if (worker->index > 0)
        return 0; /* and then it waits on its CPU, and is interrupted there */
    for (uint64_t i = 0; i < sample->ops; i++)
        (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return sample->ops;
}

static arm_t membarrier = {.bench = "op_calibration", .name = "cal_membarrier", .kind = ARM_CALIBRATION,
                           .planned = membarrier_can, .sample = membarrier_sample, .fixed_ops = 4};
ARM_REGISTER(membarrier)
