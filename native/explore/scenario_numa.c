// A scheduler on nodes under the explorer: one thread makes it over a machine that the seed draws, now and then without memory for one of the allocations.
// Whom a CPU turns to first is held against what was learned, where its queues lie against what was asked of the kernel, and every task runs.
#include "atomics.h"
#include "explore.h"
#include "numa.h"

static void *scarce_alloc(void *given);
static void *scarce_reserve(size_t bytes);
static bool scarce_commit(void *at, size_t bytes, bool huge);
static status_t note_place(const numa_topology_t *topology, void *at, size_t bytes, numa_placement_t placement);
#define shared_alloc(bytes) scarce_alloc(shared_alloc(bytes))
#define shared_alloc_aligned(bytes) scarce_alloc(shared_alloc_aligned(bytes))
#define shared_reserve scarce_reserve
#define shared_commit scarce_commit
#include "scheduler_sources.h"
#undef NOBODY
#define take_whole take_whole_on_nodes // scheduler.c has one, too
#define numa_place note_place
#include "../kernel/scheduler_numa.c"
#undef shared_reserve
#undef shared_commit

#include <string.h>

#include "../kernel/numa_layout.h"

enum { MACHINE = 3, CPUS_MOST = 4, TASKS = 12, PLACES = 64, REFUSED_BEFORE = 24 };
#define USED_MOST COMMITTED

typedef struct place {
    uintptr_t from, end;
    numa_placement_t asked;
} place_t;

static numa_topology_t *topology;
static uint16_t firmware[MACHINE * MACHINE];
static numa_distances_t *distances; // NULL: nothing was learned
static scheduler_lockfree_t *scheduler;
static uint32_t cpus;
static unsigned memory_left; // allocations until one is refused; 0: none is
static unsigned refused;
static place_t places[PLACES];
static unsigned place_count;
static unsigned runs[TASKS];

static bool is_refused(void) {
    bool now = memory_left != 0 && --memory_left == 0;
    refused += now;
    return now;
}
static void *scarce_alloc(void *given) {
    if (!is_refused()) {
        return given;
    }
    shared_free(given);
    return NULL;
}
// As much of a chunk as is ever used here.
static void *scarce_reserve(size_t bytes) { return is_refused() ? NULL : shared_reserve(bytes < USED_MOST ? bytes : USED_MOST); }
static bool scarce_commit(void *at, size_t bytes, bool huge) { return !is_refused() && shared_commit(at, bytes, huge); }

static status_t note_place(const numa_topology_t *on, void *at, size_t bytes, numa_placement_t placement) {
    EXPLORE_EXPECT(on == topology, "Numa: another machine");
    EXPLORE_EXPECT(place_count < PLACES, "a scenario's limit");
    places[place_count++] = (place_t){(uintptr_t)at, (uintptr_t)at + (bytes < USED_MOST ? bytes : USED_MOST), placement};
    return explore_draw(4) == 0 ? STATUS_DENIED : STATUS_OK; // a wish
}

// --- what is expected ---------------------------------------------------------------------------------------------------

static void expect_order(void) {
    for (uint32_t cpu = 0; cpu < cpus && cpus > 1; cpu++) {
        const uint16_t *victims = scheduler->victims + (size_t)cpu * (cpus - 1);
        uint16_t ranks[NUMA_MAX_NODES];
        unsigned last = 0;
        numa_rank_nodes(topology, distances, topology->node_of_cpu[cpu], ranks);
        for (uint32_t i = 0; i + 1 < cpus; i++) {
            unsigned node = topology->node_of_cpu[victims[i]], own = topology->node_of_cpu[cpu];
            unsigned rank = node == own ? 0 : ranks[node] + 1u;
            EXPLORE_EXPECT(rank >= last, "Numa: who is farther is asked first");
            last = rank;
        }
    }
}

// What was asked last for the page.
static void expect_place(const void *at, scheduler_queues_t queues, unsigned node) {
    for (unsigned i = place_count; i > 0; i--) {
        if (places[i - 1].from <= (uintptr_t)at && (uintptr_t)at < places[i - 1].end) {
            numa_policy_t wanted = queues == SCHEDULER_QUEUES_OWN_NODE ? NUMA_BIND : NUMA_INTERLEAVE;
            EXPLORE_EXPECT(places[i - 1].asked.policy == wanted, "Numa: asked for elsewhere");
            EXPLORE_EXPECT(wanted != NUMA_BIND || places[i - 1].asked.node == numa_nearest_memory(topology, node),
                           "Numa: asked for on another node");
            return;
        }
    }
    explore_fail("Numa: a queue was not placed");
}

static void expect_arrays(scheduler_queues_t queues) {
    const void *arrays[CPUS_MOST * (TASK_PRIORITIES + 1)];
    unsigned count = 0;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
            arrays[count++] = scheduler->cpus[cpu].deques[level].ring;
        }
        arrays[count++] = scheduler->cpus[cpu].blocks;
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = 0; k < i; k++) {
            EXPLORE_EXPECT(arrays[i] != arrays[k], "S1: two queues in one place");
        }
        if (queues != SCHEDULER_QUEUES_FIRST_TOUCH) {
            expect_place(arrays[i], queues, topology->node_of_cpu[i / (TASK_PRIORITIES + 1)]);
        }
    }
    EXPLORE_EXPECT(queues != SCHEDULER_QUEUES_FIRST_TOUCH || place_count == 0, "Numa: placed, and nobody asked");
}

static task_verdict_t count_run(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    runs[task->user]++;
    return TASK_DONE;
}

// On each CPU so many that its deques grow, or cannot.
static void run_some(uint32_t cpu) {
    scheduler_cpu_t *on = NULL;
    task_t *tasks = (shared_alloc_aligned)(TASKS * sizeof *tasks);
    EXPLORE_EXPECT(scheduler_attach(scheduler, cpu, &on) == STATUS_OK, "S3: not mine");
    memset(runs, 0, sizeof runs);
    memory_left = explore_draw(2) == 0 ? 0 : 1 + (unsigned)explore_draw(3);
    for (uint32_t i = 0; i < TASKS; i++) {
        task_init(&tasks[i], count_run, NULL, (uint8_t)(i % 2), NULL);
        tasks[i].user = i;
        scheduler_spawn(on, &tasks[i]);
    }
    EXPLORE_EXPECT(scheduler_run(on, 2 * TASKS) == TASKS, "S1: not all run");
    memory_left = 0;
    for (uint32_t i = 0; i < TASKS; i++) {
        EXPLORE_EXPECT(runs[i] == 1, "S1: not once");
    }
    scheduler_detach(on);
    shared_free(tasks);
}

// --- one run ------------------------------------------------------------------------------------------------------------

static void draw_machine(void) {
    topology = (shared_alloc)(sizeof *topology);
    topology->nodes = 1 + (unsigned)explore_draw(MACHINE);
    topology->cpus = CPUS_MOST;
    topology->distance = firmware;
    for (unsigned n = 0; n < topology->nodes; n++) {
        topology->kernel_node[n] = (uint16_t)(2 * n);
        topology->memory[n] = n == 0 || explore_draw(4) != 0;
        for (unsigned to = 0; to < topology->nodes; to++) {
            firmware[n * topology->nodes + to] = (uint16_t)(n == to ? 10 : 12 + 8 * explore_draw(3));
        }
    }
    for (unsigned cpu = 0; cpu < CPUS_MOST; cpu++) {
        topology->known[cpu] = true;
        topology->node_of_cpu[cpu] = (uint16_t)explore_draw(topology->nodes);
    }
    distances = NULL;
    if (explore_draw(2) == 0) {
        EXPLORE_EXPECT(numa_distances_create(topology, &distances) == STATUS_OK, "Numa: no distances");
        for (uint64_t left = explore_draw(6); left > 0; left--) {
            unsigned from = (unsigned)explore_draw(topology->nodes), to = (unsigned)explore_draw(topology->nodes);
            numa_distances_learn(distances, from, to, 100000 + 40000 * explore_draw(4));
        }
    }
}

static void run(unsigned thread) {
    (void)thread;
    draw_machine();
    cpus = 1 + (uint32_t)explore_draw(CPUS_MOST);
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = SCHEDULER_DEQUE_FENCED};
    scheduler_numa_t numa = {.topology = topology, .distances = distances};
    numa.queues = (scheduler_queues_t)explore_draw(SCHEDULER_QUEUES_COUNT);
    memory_left = explore_draw(2) == 0 ? 0 : 1 + (unsigned)explore_draw(REFUSED_BEFORE);
    refused = 0;
    place_count = 0;
    status_t status = scheduler_create_numa(&config, &numa, &scheduler);
    EXPLORE_EXPECT(status == (refused > 0 ? STATUS_NO_MEMORY : STATUS_OK), "S6: another answer");
    memory_left = 0;
    if (status != STATUS_OK) {
        place_count = 0;
        EXPLORE_EXPECT(scheduler_create_numa(&config, &numa, &scheduler) == STATUS_OK, "S6: none after that");
    }
    expect_order();
    expect_arrays(numa.queues);
    run_some((uint32_t)explore_draw(cpus));
    scheduler_destroy(scheduler);
    numa_distances_free(distances);
    shared_free(topology);
}

static void set_up(void) {}
static void finish(void) {}

static const explore_scenario_t scenarios[] = {{"numa_alone", 1, set_up, run, finish}};
EXPLORE_SCENARIOS("scheduler", "Numa,S1,S6", scenarios)
