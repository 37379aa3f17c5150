// Looking for work at other CPUs: what was handed in to them, then their deques, then tasks with masks. What a busy CPU keeps private is asked
// for (deque.h), and taken by force where it does not answer for SCHEDULER_PATIENCE looks.
//
// A CPU's only task, private: its owner is about to come to it. It is asked for only when that CPU has started nothing for LONE_ROUNDS
// looks, or from one look of a parked CPU to the next.
#include "scheduler_layout.h"

#ifndef LONE_ROUNDS
#define LONE_ROUNDS 64u
#endif
#define NOBODY UINT32_MAX

static const uint16_t *victims_of(const scheduler_cpu_t *on) {
    return on->scheduler->victims + (size_t)on->index * (on->scheduler->cpu_count - 1);
}

static uint64_t random_next(scheduler_cpu_t *on) {
    on->random ^= on->random << 13;
    on->random ^= on->random >> 7;
    on->random ^= on->random << 17;
    return on->random;
}

static uint32_t first_victim(scheduler_cpu_t *on, uint32_t others) {
    switch ((scheduler_victims_t)knob_of(on->scheduler, SCHEDULER_VICTIMS)) {
    case SCHEDULER_VICTIMS_RANDOM: return (uint32_t)(random_next(on) % others);
    case SCHEDULER_VICTIMS_LAST: return on->last_victim % others;
    case SCHEDULER_VICTIMS_NEAREST:
    case SCHEDULER_VICTIMS_COUNT: break;
    }
    return 0;
}

static uint64_t started_of(const scheduler_cpu_t *from) {
    /* relaxed: only whether it moves matters */
    return atomic_load_relaxed_u64(&from->counts.started);
}

// Whether the only task of `from` has waited for long: see the top.
static bool is_stuck(scheduler_cpu_t *on, const scheduler_cpu_t *from, uint32_t step) {
    uint64_t started = started_of(from);
    if (on->lone_victim != from->index || on->lone_started != started) {
        on->lone_victim = from->index;
        on->lone_started = started;
        on->lone_rounds = 0;
    }
    on->lone_rounds += step;
    return on->lone_rounds > LONE_ROUNDS;
}

// Whether it is `from` whose only task is watched, or it may be from now on: one at a time, or, where several wait, none would ever be
// found to have waited for long.
static bool may_watch(const scheduler_cpu_t *on, const scheduler_cpu_t *from) {
    if (on->lone_victim == NOBODY || on->lone_victim == from->index) {
        return true;
    }
    const scheduler_cpu_t *watched = &on->scheduler->cpus[on->lone_victim];
    bool waits = false;
    for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
        uint64_t queued = 0;
        waits = waits || deque_look(&watched->deques[level], &queued) != DEQUE_EMPTY;
    }
    return !waits || started_of(watched) != on->lone_started;
}

// The first of the stolen tasks; the others to the own deque, so that the oldest is the next.
static task_t *keep(scheduler_cpu_t *on, void **items, uint32_t count) {
    count_up(&on->counts.stolen, count);
    count_up(&on->counts.steals, 1);
    for (uint32_t i = count; i > 1; i--) {
        queue_own(on, items[i - 1]);
    }
    return items[0];
}

static task_t *steal_level(scheduler_cpu_t *on, scheduler_cpu_t *from, uint32_t level) {
    void *items[SCHEDULER_BATCH_MAX];
    uint32_t count = deque_steal(&from->deques[level], items, (uint32_t)knob_of(on->scheduler, SCHEDULER_STEAL_MAX));
    return count == 0 ? NULL : keep(on, items, count);
}

static task_t *steal_from(scheduler_cpu_t *on, scheduler_cpu_t *from) {
    for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
        uint64_t queued = 0;
        deque_look_t look = deque_look(&from->deques[level], &queued);
        if (look == DEQUE_EXPOSED) {
            task_t *task = steal_level(on, from, level);
            if (task != NULL) {
                return task;
            }
        } else if (look == DEQUE_PRIVATE && on->victim == NOBODY && (queued > 1 || (may_watch(on, from) && is_stuck(on, from, 1))) &&
                   deque_ask(&from->deques[level])) {
            on->victim = from->index;
            on->victim_level = level;
            on->victim_looks = 0;
        }
    }
    return NULL;
}

// Somebody has been asked.
static task_t *insist(scheduler_cpu_t *on) {
    scheduler_cpu_t *from = &on->scheduler->cpus[on->victim];
    deque_t *deque = &from->deques[on->victim_level];
    if (on->victim_looks++ < knob_of(on->scheduler, SCHEDULER_PATIENCE)) {
        return NULL;
    }
    uint32_t level = on->victim_level;
    on->victim = NOBODY;
    if (!deque_force(deque)) {
        return NULL;
    }
    count_up(&on->counts.forced, 1);
    return steal_level(on, from, level);
}

task_t *steal_round(scheduler_cpu_t *on) {
    uint32_t others = on->scheduler->cpu_count - 1;
    if (others == 0) {
        return NULL;
    }
    const uint16_t *victims = victims_of(on);
    uint32_t first = first_victim(on, others);
    for (uint32_t i = 0; i < others; i++) {
        uint32_t at = first + i < others ? first + i : first + i - others;
        scheduler_cpu_t *from = &on->scheduler->cpus[victims[at]];
        count_up(&on->counts.tries, 1);
        task_t *task = NULL;
        if (queue_take_inbox(on, from) || queue_take_bound(on, from)) {
            task = own_next(on, on->asymmetric); // unless all have masks, and have gone on to the CPUs of these
            count_up(&on->counts.steals, task != NULL ? 1 : 0);
        }
        task = task != NULL ? task : steal_from(on, from);
        if (task != NULL) {
            on->last_victim = at;
            on->victim = NOBODY;
            on->lone_rounds = 0;
            return task;
        }
    }
    return on->victim == NOBODY ? NULL : insist(on);
}

static bool has_own(const scheduler_cpu_t *on) {
    for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
        if (on->lists[level].first != NULL || deque_size(&on->deques[level]) != 0) {
            return true;
        }
    }
    return false;
}

bool steal_look(scheduler_cpu_t *on) {
    /* edge SLEEP:S — that this CPU lies down, before the look around; :S is in scheduler_spawn */
    atomic_fence_heavy_seq_cst(on->asymmetric);
    if (has_own(on)) {
        return true;
    }
    for (uint32_t i = 0; i < on->scheduler->cpu_count; i++) {
        scheduler_cpu_t *from = &on->scheduler->cpus[i];
        /* edge SLEEP:S — what was handed in; :S is in push_chain */
        if (atomic_load_seq_cst_u64(&from->inbox) != 0 || queue_take_bound(on, from)) {
            return true;
        }
        /* edge SLEEP:S — as above; :S is in blocks_hand_in */
        if (atomic_load_seq_cst_u64(&from->full) != 0) {
            return true;
        }
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            uint64_t queued = 0;
            if (deque_look(&from->deques[level], &queued) == DEQUE_EXPOSED || queued >= WAKE_FROM) {
                return true;
            }
        }
    }
    return false;
}

bool steal_asked(const scheduler_cpu_t *on) { return on->victim != NOBODY; }

bool steal_others_busy(const scheduler_cpu_t *on) {
    /* relaxed: a look; who attaches wakes somebody */
    uint64_t driven = atomic_load_relaxed_u64(&on->scheduler->driven);
    /* relaxed: as above */
    return (int64_t)driven > sleeping(atomic_load_relaxed_u64(&on->scheduler->idle));
}

bool steal_lone(scheduler_cpu_t *on) {
    for (uint32_t i = 0; i < on->scheduler->cpu_count; i++) {
        scheduler_cpu_t *from = &on->scheduler->cpus[i];
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            uint64_t queued = 0;
            deque_look_t look = deque_look(&from->deques[level], &queued);
            if (look == DEQUE_EXPOSED || queued >= WAKE_FROM) {
                return true; // its owner was taking it back when this CPU looked around and lay down
            }
            if (look != DEQUE_EMPTY) {
                return is_stuck(on, from, LONE_ROUNDS) && queued > 0;
            }
        }
    }
    return false;
}
