// What scenarios draw: a function of the seed, the thread and its operation, whatever the schedule. An operation may be left out.
#include "explore_state.h"

#include <string.h>

static const explore_plan_t *plan;
static uint64_t draw_state[THREADS];
static unsigned operations[THREADS];

static void begin_draws(unsigned thread, unsigned operation) {
    draw_state[thread] = (plan->seed * 0x2545f4914f6cdd1du) ^ ((uint64_t)thread + 1) << 48 ^ (uint64_t)operation << 40;
    (void)next_random(&draw_state[thread]);
}
uint64_t explore_draw(uint64_t below) {
    uint64_t drawn = next_random(&draw_state[running]);
    return below <= UINT32_MAX ? ((drawn >> 32) * below) >> 32 : drawn % below; // a division is as long as a step
}

bool explore_operation(void) {
    unsigned number = operations[running]++;
    begin_draws(running, operations[running]);
    return running == MAIN_THREAD || number >= EXPLORE_OPERATIONS || (plan->dropped[running] >> number & 1) == 0;
}

unsigned explore_length(unsigned least, unsigned most) {
    unsigned range = plan->strategy == EXPLORE_EXHAUSTIVE ? 2 : 3 + (unsigned)explore_draw(4);
    while (plan->strategy != EXPLORE_EXHAUSTIVE && range < most && explore_draw(4) == 0) {
        range *= 3; // few are long
    }
    unsigned length = least + (unsigned)explore_draw(range);
    return length < most ? length : most;
}

void draw_reset(const explore_plan_t *planned) {
    plan = planned;
    for (unsigned i = 0; i < THREADS; i++) {
        operations[i] = 0;
        begin_draws(i, 0);
    }
}

void draw_operations(unsigned done[EXPLORE_THREADS]) { memcpy(done, operations, EXPLORE_THREADS * sizeof *done); }
