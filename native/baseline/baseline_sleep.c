// The scheduler as a whole: making, attaching, sleeping, stopping, accounts.
#include "baseline_scheduler_layout.h"

#include <time.h>

// --- life ---------------------------------------------------------------------------------------------------------

static void make_locks(baseline_scheduler_t *scheduler) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scheduler->awake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&scheduler->sleep_lock, NULL);
    pthread_mutex_init(&scheduler->id_lock, NULL);
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        pthread_mutex_init(&scheduler->cpus[cpu].lock, NULL);
        scheduler->cpus[cpu].index = cpu;
        scheduler->cpus[cpu].scheduler = scheduler;
    }
}

status_t baseline_scheduler_create(const scheduler_config_t *config, baseline_scheduler_t **out) {
    uint32_t cpus = config != NULL ? config->cpus : 1;
    if (cpus < 1 || cpus > SCHEDULER_MAX_CPUS) {
        return STATUS_INVALID;
    }
    baseline_scheduler_t *scheduler = shared_alloc_aligned(sizeof *scheduler);
    baseline_cpu_t *memory = shared_alloc_aligned(cpus * sizeof *memory);
    if (scheduler == NULL || memory == NULL) {
        shared_free(scheduler);
        shared_free(memory);
        return STATUS_NO_MEMORY;
    }
    scheduler->cpus = memory;
    scheduler->count = cpus;
    scheduler->first_generation = config != NULL && config->first_generation != 0 ? config->first_generation : 1;
    make_locks(scheduler);
    *out = scheduler;
    return STATUS_OK;
}

void baseline_scheduler_destroy(baseline_scheduler_t *scheduler) {
    for (uint32_t slot = 1; slot < scheduler->slots_made; slot++) {
        shared_free(scheduler->slots[slot].task);
    }
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        pthread_mutex_destroy(&scheduler->cpus[cpu].lock);
    }
    pthread_mutex_destroy(&scheduler->id_lock);
    pthread_mutex_destroy(&scheduler->sleep_lock);
    pthread_cond_destroy(&scheduler->awake);
    shared_free(scheduler->slots);
    shared_free(scheduler->cpus);
    shared_free(scheduler);
}

uint32_t baseline_scheduler_cpus(const baseline_scheduler_t *scheduler) { return scheduler->count; }

status_t baseline_scheduler_attach(baseline_scheduler_t *scheduler, uint32_t cpu, scheduler_cpu_t **on) {
    if (cpu >= scheduler->count) {
        return STATUS_INVALID;
    }
    baseline_cpu_t *wanted = &scheduler->cpus[cpu];
    pthread_mutex_lock(&wanted->lock);
    status_t status = wanted->attached ? STATUS_BUSY : STATUS_OK;
    wanted->attached = true;
    pthread_mutex_unlock(&wanted->lock);
    if (status == STATUS_OK) {
        *on = handle_of(wanted);
    }
    return status;
}

void baseline_scheduler_detach(scheduler_cpu_t *on) {
    pthread_mutex_lock(&cpu_of(on)->lock);
    cpu_of(on)->attached = false;
    pthread_mutex_unlock(&cpu_of(on)->lock);
}

uint32_t baseline_scheduler_cpu_index(const scheduler_cpu_t *on) { return cpu_of(on)->index; }
baseline_scheduler_t *baseline_scheduler_of(const scheduler_cpu_t *on) { return cpu_of(on)->scheduler; }

// --- sleep --------------------------------------------------------------------------------------------------------

// After a push. Who looked into that queue before the push had counted himself as asleep before, and its lock shows us that.
void baseline_wake(baseline_scheduler_t *scheduler) {
    /* relaxed: the lock of the queue orders it, as said above */
    if (atomic_load_relaxed_u32(&scheduler->sleepers) > 0) {
        pthread_mutex_lock(&scheduler->sleep_lock);
        pthread_cond_broadcast(&scheduler->awake);
        pthread_mutex_unlock(&scheduler->sleep_lock);
    }
}

static bool has_work(baseline_cpu_t *at, uint32_t runner) {
    bool found = false;
    pthread_mutex_lock(&at->lock);
    for (uint32_t p = 0; p < TASK_PRIORITIES && !found; p++) {
        for (const task_t *task = at->queues[p].first; task != NULL && !found; task = plain_load_ptr(&task->batch)) {
            found = task->mask == NULL || scheduler_mask_has(task->mask, runner);
        }
    }
    pthread_mutex_unlock(&at->lock);
    return found;
}

static bool work_somewhere(baseline_scheduler_t *scheduler, uint32_t runner) {
    for (uint32_t i = 0; i < scheduler->count; i++) {
        if (has_work(&scheduler->cpus[(runner + i) % scheduler->count], runner)) {
            return true;
        }
    }
    return false;
}

static struct timespec deadline_in(uint64_t nanoseconds) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t sum = (uint64_t)at.tv_nsec + nanoseconds % 1000000000u;
    at.tv_sec += (time_t)(nanoseconds / 1000000000u + sum / 1000000000u);
    at.tv_nsec = (long)(sum % 1000000000u);
    return at;
}

bool baseline_scheduler_park(scheduler_cpu_t *on, uint64_t timeout_ns) {
    baseline_scheduler_t *scheduler = cpu_of(on)->scheduler;
    bool for_ever = timeout_ns > (uint64_t)1 << 60;
    struct timespec deadline = deadline_in(for_ever ? 0 : timeout_ns);
    pthread_mutex_lock(&cpu_of(on)->lock);
    cpu_of(on)->stats.parks++;
    pthread_mutex_unlock(&cpu_of(on)->lock);
    pthread_mutex_lock(&scheduler->sleep_lock);
    uint64_t kicks = scheduler->kicks;
    /* relaxed: the locks of the queues that are looked into next publish it to who pushes there later */
    (void)atomic_fetch_add_relaxed_u32(&scheduler->sleepers, 1);
    bool woken = false, late = false;
    while (!woken && !late) {
        woken = baseline_scheduler_stopped(scheduler) || scheduler->kicks != kicks ||
                work_somewhere(scheduler, cpu_of(on)->index);
        if (!woken && for_ever) {
            pthread_cond_wait(&scheduler->awake, &scheduler->sleep_lock);
        } else if (!woken) {
            late = pthread_cond_timedwait(&scheduler->awake, &scheduler->sleep_lock, &deadline) != 0;
        }
    }
    /* relaxed: we are awake, and need nobody to see it soon */
    (void)atomic_fetch_add_relaxed_u32(&scheduler->sleepers, UINT32_MAX);
    pthread_mutex_unlock(&scheduler->sleep_lock);
    return woken;
}

uint64_t baseline_scheduler_loop(scheduler_cpu_t *on) {
    baseline_scheduler_t *scheduler = cpu_of(on)->scheduler;
    uint64_t ran = 0;
    for (;;) {
        bool stopping = baseline_scheduler_stopped(scheduler); // before the look: what was there before the stop is run
        uint64_t now = baseline_scheduler_run(on, UINT64_MAX);
        ran += now;
        if (now == 0 && stopping) {
            return ran;
        }
        if (now == 0) {
            (void)baseline_scheduler_park(on, SCHEDULER_FOREVER);
        }
    }
}

void baseline_scheduler_stop(baseline_scheduler_t *scheduler) {
    pthread_mutex_lock(&scheduler->sleep_lock);
    /* edge STOP:R — what was enqueued before; :A is in baseline_scheduler_stopped */
    atomic_store_release_u32(&scheduler->stopped, 1);
    pthread_cond_broadcast(&scheduler->awake);
    pthread_mutex_unlock(&scheduler->sleep_lock);
}

bool baseline_scheduler_stopped(const baseline_scheduler_t *scheduler) {
    /* edge STOP:A — what was enqueued before the stop; :R is in baseline_scheduler_stop */
    return atomic_load_acquire_u32(&scheduler->stopped) != 0;
}

void baseline_scheduler_kick(baseline_scheduler_t *scheduler) {
    pthread_mutex_lock(&scheduler->sleep_lock);
    scheduler->kicks++;
    pthread_cond_broadcast(&scheduler->awake);
    pthread_mutex_unlock(&scheduler->sleep_lock);
}

// --- accounts -----------------------------------------------------------------------------------------------------

scheduler_stats_t baseline_scheduler_cpu_stats(const baseline_scheduler_t *scheduler, uint32_t cpu) {
    baseline_cpu_t *at = &scheduler->cpus[cpu];
    pthread_mutex_lock(&at->lock);
    scheduler_stats_t stats = at->stats;
    pthread_mutex_unlock(&at->lock);
    return stats;
}

// What comes last in the life of a task is read first, so that no sum says more finished than started, or started than accepted.
scheduler_stats_t baseline_scheduler_stats(const baseline_scheduler_t *scheduler) {
    scheduler_stats_t sum = {0};
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        scheduler_stats_t one = baseline_scheduler_cpu_stats(scheduler, cpu);
        sum.blocked += one.blocked;
        sum.stolen += one.stolen;
        sum.parks += one.parks;
    }
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        sum.finished += baseline_scheduler_cpu_stats(scheduler, cpu).finished;
    }
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        scheduler_stats_t one = baseline_scheduler_cpu_stats(scheduler, cpu);
        sum.started += one.started;
        sum.steals += one.steals;
        sum.tries += one.tries;
    }
    for (uint32_t cpu = 0; cpu < scheduler->count; cpu++) {
        sum.accepted += baseline_scheduler_cpu_stats(scheduler, cpu).accepted;
    }
    return sum;
}

uint64_t baseline_scheduler_queued(const baseline_scheduler_t *scheduler) {
    scheduler_stats_t stats = baseline_scheduler_stats(scheduler);
    return stats.accepted - stats.started;
}
