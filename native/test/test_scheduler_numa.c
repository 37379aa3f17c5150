// The scheduler on nodes: whom a CPU turns to first, by the firmware and as learned; where its queues lie, as asked of the kernel and, on
// this machine, as found; and that it is right where the kernel refuses, and where there is no memory.
#include "scheduler_numa.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/numa_layout.h"
#include "../kernel/scheduler_layout.h"
#include "expect.h"
#include "memory_limits.h"

enum { CPUS = 8, NODES = 4, TASKS = 3000 };

// Four nodes in a ring, two CPUs each, one after the other; the kernel calls them 0, 1, 3 and 7, and the last has no memory.
static numa_topology_t *ring(void) {
    static const uint16_t kernel_nodes[NODES] = {0, 1, 3, 7};
    static uint16_t distances[NODES * NODES] = {10, 16, 22, 16, 16, 10, 16, 22, 22, 16, 10, 16, 16, 22, 16, 10};
    numa_topology_t *topology = calloc(1, sizeof *topology);
    EXPECT(topology != NULL);
    topology->nodes = NODES;
    topology->cpus = CPUS;
    topology->distance = distances;
    for (unsigned node = 0; node < NODES; node++) {
        topology->kernel_node[node] = kernel_nodes[node];
        topology->memory[node] = node != NODES - 1;
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        topology->known[cpu] = true;
        topology->node_of_cpu[cpu] = (uint16_t)(cpu / 2);
    }
    return topology;
}

// --- whom first ---------------------------------------------------------------------------------------------------------

static uint32_t order[CPUS];
static uint32_t ran;

static task_verdict_t note(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    order[ran++] = (uint32_t)task->user;
    return TASK_DONE;
}

// One task is handed in to each CPU, and one CPU runs them all, as it finds them.
static void expect_order(scheduler_lockfree_t *scheduler, uint32_t cpu, const uint32_t *wanted) {
    scheduler_cpu_t *on = NULL;
    task_t *tasks = aligned_alloc(_Alignof(task_t), CPUS * sizeof *tasks);
    EXPECT(tasks != NULL);
    EXPECT_EQ(scheduler_attach(scheduler, cpu, &on), STATUS_OK);
    for (uint32_t i = 0; i < CPUS; i++) {
        task_t *task = &tasks[i];
        task_init(task, note, NULL, TASK_PRIORITY_NORMAL, NULL);
        task->user = i;
        EXPECT_EQ(scheduler_enqueue_wide(scheduler, &task, 1, i), STATUS_OK);
    }
    ran = 0;
    EXPECT_EQ(scheduler_run(on, CPUS), CPUS);
    for (uint32_t i = 0; i < CPUS; i++) {
        EXPECT_EQ(order[i], wanted[i]);
    }
    scheduler_detach(on);
    free(tasks);
}

static scheduler_lockfree_t *make(const scheduler_numa_t *numa) {
    scheduler_config_t config = {.cpus = CPUS, .deque_first = 2};
    scheduler_lockfree_t *scheduler = NULL;
    EXPECT_EQ(scheduler_create_numa(&config, numa, &scheduler), STATUS_OK);
    return scheduler;
}

static void the_nearest_node_is_asked_first(void) {
    numa_topology_t *topology = ring();
    numa_distances_t *distances = NULL;
    EXPECT_EQ(numa_distances_create(topology, &distances), STATUS_OK);
    scheduler_numa_t numa = {.topology = topology};
    // From CPU 2 of node 1: its own node, then nodes 2 and 0, equally far, from its own number on, then node 3.
    static const uint32_t by_firmware[CPUS] = {2, 3, 4, 5, 0, 1, 6, 7};
    scheduler_lockfree_t *scheduler = make(&numa);
    expect_order(scheduler, 2, by_firmware);
    scheduler_destroy(scheduler);
    // Learned: node 3 is nearer than both, and node 0 nearer than 2.
    numa.distances = distances;
    numa_distances_learn(distances, 1, 3, 120000);
    numa_distances_learn(distances, 1, 0, 140000);
    static const uint32_t by_learning[CPUS] = {2, 3, 6, 7, 0, 1, 4, 5};
    scheduler = make(&numa);
    expect_order(scheduler, 2, by_learning);
    scheduler_destroy(scheduler);
    // Nothing is nearer than the own node, whatever was learned.
    numa_distances_learn(distances, 1, 1, 900000);
    numa.queues = SCHEDULER_QUEUES_OWN_NODE;
    scheduler = make(&numa);
    expect_order(scheduler, 2, by_learning);
    scheduler_destroy(scheduler);
    numa_distances_free(distances);
    free(topology);
}

static void threads_may_run_on_other_cpus_than_their_number_says(void) {
    numa_topology_t *topology = ring();
    static const uint32_t machine_cpu[CPUS] = {0, 2, 4, 6, 1, 3, 5, 7}; // node by node across
    scheduler_numa_t numa = {.topology = topology, .machine_cpu = machine_cpu};
    static const uint32_t wanted[CPUS] = {1, 5, 2, 4, 6, 0, 3, 7};
    scheduler_lockfree_t *scheduler = make(&numa);
    expect_order(scheduler, 1, wanted);
    scheduler_destroy(scheduler);
    free(topology);
}

// --- what the kernel is asked for -----------------------------------------------------------------------------------------

static struct {
    uintptr_t from, end;
    int mode;
    unsigned long nodes;
} asked[4 * CPUS];
static unsigned asked_count;

static int note_bind(void *at, size_t bytes, int mode, const numa_node_set_t *nodes) {
    EXPECT(asked_count < sizeof asked / sizeof asked[0]);
    asked[asked_count].from = (uintptr_t)at;
    asked[asked_count].end = (uintptr_t)at + bytes;
    asked[asked_count].mode = mode;
    asked[asked_count++].nodes = nodes != NULL ? nodes->bits[0] : 0;
    return 0;
}
static int refuse_bind(void *at, size_t bytes, int mode, const numa_node_set_t *nodes) {
    (void)at, (void)bytes, (void)mode, (void)nodes;
    return -EPERM;
}

// What was asked last for the page of `at`.
static unsigned last_asked(const void *at) {
    for (unsigned i = asked_count; i > 0; i--) {
        if (asked[i - 1].from <= (uintptr_t)at && (uintptr_t)at < asked[i - 1].end) {
            return i - 1;
        }
    }
    EXPECT(asked_count == UINT32_MAX); // nothing was asked for this page
    return 0;
}

static void each_cpu_s_queues_are_asked_for_on_its_node(void) {
    numa_topology_t *topology = ring();
    numa_calls_t real = numa_calls;
    numa_calls.bind = note_bind;
    scheduler_numa_t numa = {.topology = topology, .queues = SCHEDULER_QUEUES_OWN_NODE};
    scheduler_lockfree_t *scheduler = make(&numa);
    static const unsigned long nodes[NODES] = {1 << 0, 1 << 1, 1 << 3, 1 << 0}; // the last has no memory: the nearest, 0
    for (uint32_t i = 0; i < CPUS; i++) {
        unsigned of_ring = last_asked(scheduler->cpus[i].deques[0].ring);
        EXPECT_EQ(asked[of_ring].mode, NUMA_MODE_BIND);
        EXPECT_EQ(asked[of_ring].nodes, nodes[i / 2]);
        unsigned of_words = last_asked(&scheduler->cpus[i]), of_blocks = last_asked(scheduler->cpus[i].blocks);
        EXPECT_EQ(asked[of_words].mode, NUMA_MODE_BIND);
        EXPECT_EQ(asked[of_blocks].nodes, nodes[i / 2]);
    }
    EXPECT_EQ(asked[last_asked(&scheduler->cpus[CPUS - 1])].nodes, nodes[NODES - 1]);
    scheduler_destroy(scheduler);

    asked_count = 0;
    numa.queues = SCHEDULER_QUEUES_INTERLEAVE;
    scheduler = make(&numa);
    for (uint32_t i = 0; i < CPUS; i++) {
        unsigned of_ring = last_asked(scheduler->cpus[i].deques[0].ring), of_words = last_asked(&scheduler->cpus[i]);
        EXPECT_EQ(asked[of_ring].mode, NUMA_MODE_INTERLEAVE);
        EXPECT_EQ(asked[of_ring].nodes, 1 << 0 | 1 << 1 | 1 << 3);
        EXPECT_EQ(asked[of_words].mode, NUMA_MODE_INTERLEAVE);
    }
    scheduler_destroy(scheduler);

    asked_count = 0;
    numa.queues = SCHEDULER_QUEUES_FIRST_TOUCH;
    scheduler_destroy(make(&numa));
    EXPECT_EQ(asked_count, 0);
    numa_calls = real;
    free(topology);
}

// --- running on it --------------------------------------------------------------------------------------------------------

static uint64_t total;

static task_verdict_t add(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    total += task->user;
    return TASK_DONE;
}

// This thread drives one CPU after the other, and each gets so many tasks that its deques grow several times.
static void run_on_each(scheduler_lockfree_t *scheduler, uint32_t cpus) {
    task_t *tasks = aligned_alloc(_Alignof(task_t), TASKS * sizeof *tasks);
    EXPECT(tasks != NULL);
    for (uint32_t i = 0; i < cpus; i++) {
        scheduler_cpu_t *on = NULL;
        EXPECT_EQ(scheduler_attach(scheduler, i, &on), STATUS_OK);
        for (uint32_t t = 0; t < TASKS; t++) {
            task_init(&tasks[t], add, NULL, (uint8_t)(t % TASK_PRIORITIES), NULL);
            tasks[t].user = t;
            scheduler_spawn(on, &tasks[t]);
        }
        total = 0;
        EXPECT_EQ(scheduler_run(on, 2 * TASKS), TASKS);
        EXPECT_EQ(total, (uint64_t)TASKS * (TASKS - 1) / 2);
        EXPECT(scheduler_cpu_stats(scheduler, i).grown >= 5);
        scheduler_detach(on);
    }
    free(tasks);
}

static void a_kernel_that_refuses_changes_nothing_but_the_place(void) {
    numa_topology_t *topology = ring();
    numa_calls_t real = numa_calls;
    numa_calls.bind = refuse_bind;
    for (int queues = 0; queues < SCHEDULER_QUEUES_COUNT; queues++) {
        scheduler_numa_t numa = {.topology = topology, .queues = (scheduler_queues_t)queues};
        scheduler_lockfree_t *scheduler = make(&numa);
        run_on_each(scheduler, CPUS);
        scheduler_destroy(scheduler);
    }
    numa_calls = real;
    free(topology);
}

// Every queue of this machine, whoever touches it: this thread runs where it likes.
static void queues_are_where_they_were_put(void) {
    const numa_topology_t *topology = numa_system();
    unsigned nodes = numa_nodes(topology);
    uint32_t cpus = numa_cpus(topology) < 64 ? numa_cpus(topology) : 64;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2};
    scheduler_numa_t numa = {.queues = SCHEDULER_QUEUES_OWN_NODE};
    scheduler_lockfree_t *scheduler = NULL;
    bool denied = nodes > 1 && numa_place_thread(topology, (numa_placement_t){.policy = NUMA_FIRST_TOUCH}) != STATUS_OK;
    EXPECT_EQ(scheduler_create_numa(&config, &numa, &scheduler), STATUS_OK);
    run_on_each(scheduler, cpus);
    for (uint32_t i = 0; i < cpus; i++) {
        unsigned wanted = numa_nearest_memory(topology, numa_node_of_cpu(topology, i));
        const deque_t *deque = &scheduler->cpus[i].deques[TASK_PRIORITY_NORMAL];
        unsigned first = numa_node_of_page(topology, scheduler->cpus[i].deques[0].ring);
        unsigned grown = numa_node_of_page(topology, deque->ring), last = numa_node_of_page(topology, &deque->slots[TASKS / 8]);
        EXPECT(denied || ((first == wanted || first == nodes) && (grown == wanted || grown == nodes) && (last == wanted || last == nodes)));
        printf("CPU %u: queues asked for on node %u, found on %u, %u and %u\n", i, wanted, first, grown, last);
    }
    scheduler_destroy(scheduler);
}

static void what_cannot_be_is_refused(void) {
    scheduler_lockfree_t *scheduler = NULL;
    scheduler_numa_t numa = {.queues = SCHEDULER_QUEUES_COUNT};
    EXPECT_EQ(scheduler_create_numa(NULL, &numa, &scheduler), STATUS_INVALID);
    numa.queues = SCHEDULER_QUEUES_OWN_NODE;
    scheduler_config_t config = {.cpus = 0};
    EXPECT_EQ(scheduler_create_numa(&config, &numa, &scheduler), STATUS_INVALID);
    config.cpus = SCHEDULER_MAX_CPUS + 1;
    EXPECT_EQ(scheduler_create_numa(&config, &numa, &scheduler), STATUS_INVALID);
    config = (scheduler_config_t){.cpus = 2, .mode = (scheduler_deque_mode_t)99};
    EXPECT_EQ(scheduler_create_numa(&config, &numa, &scheduler), STATUS_INVALID); // and its memory is given back
    EXPECT_EQ(scheduler_create_numa(NULL, &numa, &scheduler), STATUS_OK);
    EXPECT_EQ(scheduler_cpus(scheduler), 1);
    scheduler_destroy(scheduler);
}

static void without_memory_there_is_no_scheduler(void) {
    if (!memory_limits_hold()) {
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = 48 << 20, .rlim_max = 48 << 20};
        scheduler_config_t config = {.cpus = SCHEDULER_MAX_CPUS};
        scheduler_numa_t numa = {.queues = SCHEDULER_QUEUES_OWN_NODE};
        scheduler_lockfree_t *scheduler = NULL;
        bool held = setrlimit(RLIMIT_AS, &limit) == 0;
        for (int i = 0; i < 3 && held; i++) { // what there was is given back each time
            held = scheduler_create_numa(&config, &numa, &scheduler) == STATUS_NO_MEMORY;
        }
        config.cpus = 4;
        _exit(held && scheduler_create_numa(&config, &numa, &scheduler) == STATUS_OK ? 0 : 1);
    }
    int status = 1;
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT_EQ(status, 0);
}

int main(void) {
    the_nearest_node_is_asked_first();
    threads_may_run_on_other_cpus_than_their_number_says();
    each_cpu_s_queues_are_asked_for_on_its_node();
    a_kernel_that_refuses_changes_nothing_but_the_place();
    queues_are_where_they_were_put();
    what_cannot_be_is_refused();
    without_memory_there_is_no_scheduler();
    puts("ok scheduler on nodes: order, placement, refusals");
    return 0;
}
