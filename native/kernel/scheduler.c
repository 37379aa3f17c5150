// Making and ending a scheduler, who drives which CPU, the knobs, and the accounts.
#include "scheduler_layout.h"

#include <assert.h>

#define NOBODY UINT32_MAX
#define DISTANCES 257u

static const struct {
    const char *name;
    uint64_t least, most, standard;
} knobs[SCHEDULER_KNOBS] = {
    [SCHEDULER_QUANTUM_NS] = {"quantum_ns", 1000, 10000000000u, 10000000},
    [SCHEDULER_LOOK] = {"look", 1, 65536, 64},
    [SCHEDULER_VICTIMS] = {"victims", 0, SCHEDULER_VICTIMS_COUNT - 1, SCHEDULER_VICTIMS_NEAREST},
    [SCHEDULER_STEAL_MAX] = {"steal_max", 1, SCHEDULER_BATCH_MAX, 32},
    [SCHEDULER_SPIN] = {"spin", 0, 65536, 16},
    [SCHEDULER_PATIENCE] = {"patience", 0, 65536, 8},
};

const char *task_state_name(task_state_t state) {
    static const char *const names[TASK_STATE_COUNT] = {"new", "ready", "running", "blocked", "completed", "terminated"};
    return state < TASK_STATE_COUNT ? names[state] : "unknown";
}

// --- making one ---------------------------------------------------------------------------------------------------------

static bool is_valid(const scheduler_config_t *config) {
    bool valid = config->cpus >= 1 && config->cpus <= SCHEDULER_MAX_CPUS && config->deque_first <= (uint32_t)1 << 30 &&
                 config->mode <= SCHEDULER_DEQUE_ASYMMETRIC && config->first_generation <= TASK_GENERATION_MAX &&
                 (config->node_distance == NULL || config->node_of != NULL);
    for (uint32_t i = 0; valid && config->node_of != NULL && config->node_distance != NULL && i < config->cpus; i++) {
        valid = config->node_of[i] < config->nodes;
    }
    return valid;
}

static unsigned distance(const scheduler_config_t *config, uint32_t a, uint32_t b) {
    if (config->node_of == NULL || config->node_of[a] == config->node_of[b]) {
        return 0;
    }
    if (config->node_distance == NULL) {
        return 1;
    }
    return config->node_distance[(size_t)config->node_of[a] * config->nodes + config->node_of[b]] + 1u;
}

// The others, nearest first; equals from the CPU's own number on.
static void order_victims(const scheduler_config_t *config, uint32_t cpu, uint16_t *victims) {
    uint32_t starts[DISTANCES + 1] = {0};
    for (uint32_t i = 1; i < config->cpus; i++) {
        starts[distance(config, cpu, (cpu + i) % config->cpus) + 1]++;
    }
    for (uint32_t d = 0; d < DISTANCES; d++) {
        starts[d + 1] += starts[d];
    }
    for (uint32_t i = 1; i < config->cpus; i++) {
        uint32_t other = (cpu + i) % config->cpus;
        victims[starts[distance(config, cpu, other)]++] = (uint16_t)other;
    }
}

static status_t begin_cpu(scheduler_lockfree_t *scheduler, uint32_t index, const scheduler_config_t *config) {
    scheduler_cpu_t *on = &scheduler->cpus[index];
    on->scheduler = scheduler;
    on->index = index;
    on->look_left = knobs[SCHEDULER_LOOK].standard;
    on->random = index * 0x9e3779b97f4a7c15u + 1;
    on->victim = NOBODY;
    on->lone_victim = NOBODY;
    on->asymmetric = scheduler->asymmetric;
    on->idle = scheduler->asymmetric ? &scheduler->idle : &scheduler->suspected;
    set_levels(on, 0);
    deque_memory_t *rings = config->memory == NULL ? NULL : config->memory->rings(config->memory, index);
    uint64_t places = config->deque_first != 0 ? config->deque_first : config->cpus > 64 ? 32 : 256;
    uint32_t blocks = config->cpus > MANY_CPUS ? BLOCKS_OF_MANY : BLOCKS;
    status_t status = STATUS_OK;
    for (uint32_t level = 0; status == STATUS_OK && level < TASK_PRIORITIES; level++) {
        status = deque_begin_in(&on->deques[level], places, config->first_index, scheduler->asymmetric, rings);
    }
    size_t bytes = blocks * sizeof on->blocks[0];
    on->blocks = rings == NULL ? shared_alloc_aligned(bytes) : rings->take(rings, bytes);
    status = status == STATUS_OK && on->blocks == NULL ? STATUS_NO_MEMORY : status;
    /* relaxed: nobody else knows the scheduler yet */
    atomic_store_relaxed_u64(&on->free, UINT64_MAX >> (64 - blocks));
    if (config->cpus > 1) {
        order_victims(config, index, scheduler->victims + (size_t)index * (config->cpus - 1));
    }
    return status;
}

static scheduler_lockfree_t *take_whole(const scheduler_config_t *config) {
    size_t bytes = sizeof(scheduler_lockfree_t) + config->cpus * sizeof(scheduler_cpu_t);
    if (config->memory == NULL) {
        return shared_alloc_aligned(bytes);
    }
    scheduler_lockfree_t *scheduler = config->memory->whole(config->memory, bytes);
    for (uint32_t i = 0; scheduler != NULL && i < config->cpus; i++) {
        config->memory->settle(config->memory, i, &scheduler->cpus[i], sizeof scheduler->cpus[i]);
    }
    return scheduler;
}

// All but the end of its memory.
static void give_back(scheduler_lockfree_t *scheduler) {
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) {
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            deque_end(&scheduler->cpus[i].deques[level]);
        }
        if (scheduler->memory == NULL) {
            shared_free(scheduler->cpus[i].blocks);
        }
    }
    /* relaxed: nobody else is here any more */
    shared_release((void *)(uintptr_t)atomic_load_relaxed_u64(&scheduler->slots), SLOT_BYTES);
    shared_free(scheduler->victims);
    if (scheduler->memory == NULL) {
        shared_free(scheduler);
    }
}

status_t scheduler_create(const scheduler_config_t *config, scheduler_lockfree_t **out) {
    static const scheduler_config_t one = {.cpus = 1};
    config = config != NULL ? config : &one;
    if (!is_valid(config)) {
        return STATUS_INVALID;
    }
    bool asymmetric = config->mode != SCHEDULER_DEQUE_FENCED && atomics_have_asymmetric();
    if (config->mode == SCHEDULER_DEQUE_ASYMMETRIC && !asymmetric) {
        return STATUS_INVALID;
    }
    scheduler_lockfree_t *scheduler = take_whole(config);
    if (scheduler == NULL) {
        return STATUS_NO_MEMORY;
    }
    scheduler->cpu_count = config->cpus;
    scheduler->memory = config->memory;
    scheduler->asymmetric = asymmetric;
    scheduler->first_generation = config->first_generation != 0 ? config->first_generation : 1;
    scheduler->victims = shared_alloc((size_t)config->cpus * config->cpus * sizeof scheduler->victims[0]);
    status_t status = scheduler->victims != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t knob = 0; knob < SCHEDULER_KNOBS; knob++) {
        /* relaxed: nobody else knows the scheduler yet */
        atomic_store_relaxed_u64(&scheduler->knobs[knob], knobs[knob].standard);
    }
    /* relaxed: as above */
    atomic_store_relaxed_u64(&scheduler->fresh, 1);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&scheduler->suspected, 1);
    for (uint32_t i = 0; status == STATUS_OK && i < config->cpus; i++) {
        status = begin_cpu(scheduler, i, config);
    }
    if (status != STATUS_OK) {
        give_back(scheduler);
        return status;
    }
    *out = scheduler;
    return STATUS_OK;
}

void scheduler_destroy(scheduler_lockfree_t *scheduler) {
    scheduler_memory_t *memory = scheduler->memory;
    give_back(scheduler);
    if (memory != NULL) {
        memory->end(memory);
    }
}

uint32_t scheduler_cpus(const scheduler_lockfree_t *scheduler) { return scheduler->cpu_count; }

// --- who drives -----------------------------------------------------------------------------------------------------

status_t scheduler_attach(scheduler_lockfree_t *scheduler, uint32_t cpu, scheduler_cpu_t **on) {
    if (cpu >= scheduler->cpu_count) {
        return STATUS_INVALID;
    }
    uint32_t free = 0;
    /* edge DRIVER:RA — what the thread before left there; :R is in scheduler_detach */
    if (!atomic_cas_acq_rel_u32(&scheduler->cpus[cpu].attached, &free, 1)) {
        return STATUS_BUSY;
    }
    /* edge SLEEP:S — one more that may be busy, before somebody is woken to know it; :S is in claim */
    (void)atomic_fetch_add_seq_cst_u64(&scheduler->driven, 1);
    *on = &scheduler->cpus[cpu];
    (*on)->look_left = knob_of(scheduler, SCHEDULER_LOOK);
    wake_one(scheduler, cpu); // who sleeps must know that somebody is busy
    return STATUS_OK;
}

void scheduler_detach(scheduler_cpu_t *on) {
    scheduler_lockfree_t *scheduler = on->scheduler;
    for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
        for (task_t *task = on->lists[level].first; task != NULL; task = on->lists[level].first) {
            (void)list_pop(&on->lists[level]);
            count_up(&on->counts.accepted, (uint64_t)0 - 1); // who takes it over counts it
            queue_one(scheduler, task, on->index);
        }
        deque_expose(&on->deques[level]);
    }
    on->victim = NOBODY;
    stop_waking(on);
    /* edge SLEEP:S — one less; :S is in claim */
    (void)atomic_fetch_add_seq_cst_u64(&scheduler->driven, UINT64_MAX);
    /* edge DRIVER:R — what is left there, for the next; :RA is in scheduler_attach */
    atomic_store_release_u32(&on->attached, 0);
    wake_one(scheduler, on->index);
}

uint32_t scheduler_cpu_index(const scheduler_cpu_t *on) { return on->index; }
scheduler_lockfree_t *scheduler_of(const scheduler_cpu_t *on) { return on->scheduler; }

void scheduler_stop(scheduler_lockfree_t *scheduler) {
    /* edge STOP:R — what was done before; :A is in scheduler_stopped */
    atomic_store_release_u32(&scheduler->stopped, 1);
    scheduler_kick(scheduler);
}

bool scheduler_stopped(const scheduler_lockfree_t *scheduler) {
    /* edge STOP:A — what was done before; :R is in scheduler_stop */
    return atomic_load_acquire_u32(&scheduler->stopped) != 0;
}

uint32_t scheduler_rest(scheduler_lockfree_t *scheduler, task_t **tasks, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) { // all before the first: what has a mask may go on to any of them
        (void)queue_take_inbox(&scheduler->cpus[i], &scheduler->cpus[i]);
    }
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) {
        scheduler_cpu_t *on = &scheduler->cpus[i];
        (void)queue_take_bound(on, on);
        for (task_t *task = NULL; count < max && (task = own_next(on, on->asymmetric)) != NULL;) {
            set_state(task, TASK_STATE_NEW);
            count_up(&on->counts.accepted, (uint64_t)0 - 1); // it never was in a queue
            tasks[count++] = task;
        }
    }
    return count;
}

// --- knobs ------------------------------------------------------------------------------------------------------------

status_t scheduler_set(scheduler_lockfree_t *scheduler, scheduler_knob_t knob, uint64_t value) {
    if (knob >= SCHEDULER_KNOBS || value < knobs[knob].least || value > knobs[knob].most) {
        return STATUS_INVALID;
    }
    /* relaxed: a number; nothing hangs on when it is seen */
    atomic_store_relaxed_u64(&scheduler->knobs[knob], value);
    return STATUS_OK;
}

uint64_t scheduler_get(const scheduler_lockfree_t *scheduler, scheduler_knob_t knob) {
    return knob < SCHEDULER_KNOBS ? knob_of(scheduler, knob) : 0;
}

const char *scheduler_knob_name(scheduler_knob_t knob) { return knob < SCHEDULER_KNOBS ? knobs[knob].name : "unknown"; }

void scheduler_knob_bounds(scheduler_knob_t knob, uint64_t *least, uint64_t *most, uint64_t *standard) {
    bool known = knob < SCHEDULER_KNOBS;
    *least = known ? knobs[knob].least : 0;
    *most = known ? knobs[knob].most : 0;
    *standard = known ? knobs[knob].standard : 0;
}

// --- accounts -----------------------------------------------------------------------------------------------------------

static uint64_t counter_read(const atomic_u64_t *counter) {
    /* edge COUNT:A — what was counted before; :R is in count_up */
    return atomic_load_acquire_u64(counter);
}

// From the last step to the first: what was finished was started, and so on.
static scheduler_stats_t sum_of(const scheduler_lockfree_t *scheduler, uint32_t first, uint32_t end) {
    scheduler_stats_t sum = {0};
    for (uint32_t i = first; i < end; i++) {
        const cpu_counts_t *counts = &scheduler->cpus[i].counts;
        sum.blocked += counter_read(&counts->blocked);
        sum.stolen += counter_read(&counts->stolen);
        sum.steals += counter_read(&counts->steals);
        sum.tries += counter_read(&counts->tries);
        sum.forced += counter_read(&counts->forced);
        sum.parks += counter_read(&counts->parks);
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            sum.grown += counter_read(&scheduler->cpus[i].deques[level].grown);
        }
    }
    for (uint32_t i = first; i < end; i++) {
        sum.finished += counter_read(&scheduler->cpus[i].counts.finished);
    }
    for (uint32_t i = first; i < end; i++) {
        sum.started += counter_read(&scheduler->cpus[i].counts.started);
    }
    for (uint32_t i = first; i < end; i++) {
        sum.accepted += counter_read(&scheduler->cpus[i].counts.accepted);
    }
    return sum;
}

scheduler_stats_t scheduler_stats(const scheduler_lockfree_t *scheduler) {
    return sum_of(scheduler, 0, scheduler->cpu_count);
}

scheduler_stats_t scheduler_cpu_stats(const scheduler_lockfree_t *scheduler, uint32_t cpu) {
    return cpu < scheduler->cpu_count ? sum_of(scheduler, cpu, cpu + 1) : (scheduler_stats_t){0};
}

static uint64_t chained(const atomic_u64_t *stack) {
    uint64_t count = 0;
    /* edge HANDED:A — the tasks; :RA is in push_chain */
    const task_t *batch = (const task_t *)(uintptr_t)atomic_load_acquire_u64(stack);
    for (; batch != NULL; batch = plain_load_ptr(&batch->batch)) {
        /* relaxed: acquired with the stack */
        for (const task_t *task = batch; task != NULL; task = task_next(atomic_load_relaxed_u64(&task->link))) {
            count++;
        }
    }
    return count;
}

uint64_t scheduler_queued(const scheduler_lockfree_t *scheduler) {
    uint64_t count = 0;
    for (uint32_t i = 0; i < scheduler->cpu_count; i++) {
        const scheduler_cpu_t *on = &scheduler->cpus[i];
        count += chained(&on->inbox) + chained(&on->bound) + blocks_queued(on);
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            count += deque_size(&on->deques[level]);
            for (const task_t *task = on->lists[level].first; task != NULL;) {
                count++;
                /* relaxed: nothing runs */
                task = task_next(atomic_load_relaxed_u64(&task->link));
            }
        }
    }
    return count;
}
