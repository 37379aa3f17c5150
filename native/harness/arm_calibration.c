/* What a few instructions cost on this core at this moment: part of every bench of arms, so that its figures can be
 * told in these units, on whatever machine and under whatever load they were taken. */
#include <stdatomic.h>

#include "arms.h"
#include "atomics.h"

enum { UNROLLED = 8 };

typedef struct {
    _Alignas(128) _Atomic uint64_t word;
} line_t;

static line_t line; /* used on worker 0 alone */

static uint64_t add_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    uint64_t x = 1, rounds = sample->ops / UNROLLED;
    for (uint64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 8
        for (int j = 0; j < UNROLLED; j++) {
            x++;
            __asm__ volatile("" : "+r"(x)); /* one addition after the other */
        }
    }
    KEEP(x);
    return rounds * UNROLLED;
}

/* Additions that need not wait for each other: four or more in the time of one. Where the core's other thread is busy, it takes up to twice
 * as long, and so does whatever counts instructions; `add`, which waits, takes the same. So the two together tell whose core it is. */
static uint64_t adds_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    enum { CHAINS = 4 };
    uint64_t a = 1, b = 1, c = 1, d = 1, rounds = sample->ops / (UNROLLED * CHAINS);
    for (uint64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 8
        for (int j = 0; j < UNROLLED; j++) {
            a++, b++, c++, d++;
            __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
        }
    }
    KEEP(a + b + c + d);
    return rounds * UNROLLED * CHAINS;
}

static uint64_t cas_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    uint64_t seen = atomic_load_explicit(&line.word, memory_order_relaxed);
    for (uint64_t i = 0; i < sample->ops; i++)
        if (atomic_compare_exchange_strong_explicit(&line.word, &seen, seen + 1, memory_order_acq_rel,
                                                    memory_order_acquire))
            seen++;
    return sample->ops;
}

static uint64_t fetch_add_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    for (uint64_t i = 0; i < sample->ops; i++)
        KEEP(atomic_fetch_add_explicit(&line.word, 1, memory_order_acq_rel));
    return sample->ops;
}

static uint64_t fence_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    for (uint64_t i = 0; i < sample->ops; i++)
        atomic_fence_seq_cst();
    return sample->ops;
}

static void nothing(void) { __asm__ volatile(""); }
static void (*called)(void) = nothing;

static uint64_t call_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    for (uint64_t i = 0; i < sample->ops; i++) {
        __asm__ volatile("" : "+m"(called));
        called();
    }
    return sample->ops;
}

#define CALIBRATION(NAME)                                                                                    \
    static arm_t cal_##NAME = {.name = "cal_" #NAME, .kind = ARM_CALIBRATION, .alone = true, .sample = NAME##_sample};      \
    ARM_REGISTER(cal_##NAME)

CALIBRATION(add)
CALIBRATION(adds)
CALIBRATION(cas)
CALIBRATION(fetch_add)
CALIBRATION(fence)
CALIBRATION(call)
