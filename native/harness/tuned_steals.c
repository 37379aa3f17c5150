/* The phase steal: few tasks at a time are handed to one CPU, now and then to another, of which none is driven, and one CPU
 * steals them all. Where they are, it must find out: whom it asks first, and how many it is handed and takes at once, make the difference.
 * The contenders take turns on one scheduler: two that are set alike may differ by a quarter by where their memory came to lie. */
#include <stdlib.h>

#include "tuned_steals.h"

enum { CPUS = 64, WAVE = 32, WAVES = 32, STAY = 16 };

struct tuned_steals {
    scheduler_lockfree_t *scheduler;
    scheduler_cpu_t *on;
    contender_t *contender;
    uint64_t bundle, wave;
    uint8_t busy; /* the CPU that is handed tasks, STAY waves in a row */
    task_t tasks[WAVE];
};

static task_verdict_t run_once(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    tuned_steals_t *steals = task->argument;
    if (task->user != steals->wave)
        run_violation(steals->contender->worker, "S1", "%s, phase steal: a task of wave %llu ran in wave %llu",
                      steals->contender->name, (unsigned long long)task->user, (unsigned long long)steals->wave);
    task->user = steals->wave + 1;
    return TASK_DONE;
}

static void hand_out(tuned_steals_t *steals, uint8_t cpu) {
    task_t *list[WAVE];
    uint64_t bundle = steals->bundle < WAVE ? steals->bundle : WAVE;
    for (uint64_t i = 0; i < WAVE; i += bundle) {
        uint64_t n = WAVE - i < bundle ? WAVE - i : bundle;
        for (uint64_t j = 0; j < n; j++)
            list[j] = &steals->tasks[i + j];
        scheduler_enqueue_batch(steals->scheduler, list, (uint32_t)n, cpu);
    }
}

uint64_t tuned_steals_chunk(contender_t *contender) {
    tuned_steals_t *steals = contender->steals;
    rng_t rng = rng_seeded(contender->worker->seed + contender->at[PHASE_STEAL]++); /* the same for all contenders */
    for (int w = 0; w < WAVES; w++) {
        if (w % STAY == 0)
            steals->busy = (uint8_t)(1 + rng_below(&rng, CPUS - 1));
        hand_out(steals, steals->busy);
        uint64_t ran = scheduler_run(steals->on, WAVE);
        if (ran != WAVE) {
            run_violation(steals->contender->worker, "S3", "%s, phase steal: %llu of %d tasks were found", steals->contender->name,
                          (unsigned long long)ran, WAVE);
            while (ran < WAVE && scheduler_run(steals->on, 1) != 0)
                ran++;
        }
        steals->wave++;
    }
    return WAVE * WAVES;
}

void tuned_steals_set(contender_t *contender) {
    static const uint64_t policies[TUNING_VICTIMS] = {
        [TUNING_VICTIM_NEAREST] = SCHEDULER_VICTIMS_NEAREST,
        [TUNING_VICTIM_RANDOM] = SCHEDULER_VICTIMS_RANDOM,
        [TUNING_VICTIM_LAST] = SCHEDULER_VICTIMS_LAST,
    };
    tuned_steals_t *steals = contender->steals;
    uint64_t bundle = contender->values[TUNING_BUNDLE];
    steals->contender = contender;
    steals->bundle = bundle;
    (void)scheduler_set(steals->scheduler, SCHEDULER_VICTIMS, policies[contender->values[TUNING_VICTIM]]);
    (void)scheduler_set(steals->scheduler, SCHEDULER_STEAL_MAX, bundle < SCHEDULER_BATCH_MAX ? bundle : SCHEDULER_BATCH_MAX);
}

bool tuned_steals_make(tuned_steals_t **made) {
    tuned_steals_t *steals = aligned_alloc(_Alignof(tuned_steals_t), sizeof *steals);
    *made = steals;
    if (!steals)
        return false;
    *steals = (tuned_steals_t){.wave = 0};
    scheduler_config_t config = {.cpus = CPUS};
    if (scheduler_create(&config, &steals->scheduler) != STATUS_OK ||
        scheduler_attach(steals->scheduler, 0, &steals->on) != STATUS_OK)
        return false;
    for (int i = 0; i < WAVE; i++)
        task_init(&steals->tasks[i], run_once, steals, TASK_PRIORITY_NORMAL, NULL);
    return true;
}

void tuned_steals_free(tuned_steals_t *steals) {
    if (!steals)
        return;
    if (steals->on)
        scheduler_detach(steals->on);
    if (steals->scheduler) {
        task_t *rest[16];
        while (scheduler_rest(steals->scheduler, rest, 16) != 0)
            ;
        scheduler_destroy(steals->scheduler);
    }
    free(steals);
}
