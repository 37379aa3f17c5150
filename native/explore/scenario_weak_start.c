// A graph that two threads start in turn, under the explorer: the second asks for nothing but the start, again and again, so that what it knows of the run before it
// has from that alone (P4). In the first run a guard lets the first node not run, and so the second one neither; in the second run both do.
#include "pdac_sources.h"

enum { WORKER, FIRST, SECOND, RUNS = 2, NODES = 2, TASKS = 8 };

static pdac_t *engine;
static pdac_graph_t *graph;
static unsigned over, ran;
static task_t *list[TASKS];
static uint32_t list_count, changes;
static struct scheduler_cpu { uint32_t index; } cpu;

static uint64_t drawn_ticks(void) {
    static uint64_t now;
    return ++now;
}

static void tell_all(void) {
    changes++;
    explore_wake(&changes, EXPLORE_THREADS);
}

static void hand_in(task_t *task) {
    atomic_store_release_u64(&task->link, TASK_STATE_READY);
    EXPLORE_EXPECT(list_count < TASKS, "P5: too many chunks");
    list[list_count++] = task;
    tell_all();
}

uint32_t scheduler_cpus(const scheduler_lockfree_t *scheduler) {
    (void)scheduler;
    return 1;
}
uint64_t scheduler_room(const scheduler_cpu_t *on) {
    (void)on;
    return NODES;
}
#include "scheduler_list.h"

static bool check(const void *table, cap_id_t id, cap_rights_t need) {
    (void)table;
    (void)id;
    (void)need;
    return over > 0;
}

static void body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    (void)node;
    (void)worker;
    ran++;
}

static void end_of_run(void *context, pdac_graph_t *which) {
    (void)context;
    (void)which;
    EXPLORE_EXPECT(ran == over * NODES, "P4: it runs, or does not, against the order");
    over++;
    tell_all();
}

static void set_up(void) {
    static const guard_t guard = {.id = 1};
    over = ran = list_count = 0;
    cpu.index = 0;
    pdac_config_t config = {.scheduler = (scheduler_lockfree_t *)(void *)&cpu, .gate = {.table = &cpu, .check = check}};
    EXPLORE_EXPECT(pdac_create(&config, &engine) == STATUS_OK, "P1: no engine");
    EXPLORE_EXPECT(pdac_graph_create(engine, NODES, 1, &graph) == STATUS_OK, "P1: no graph");
    for (pdac_node_t i = 0; i < NODES; i++) {
        pdac_node_t made = 0;
        pdac_task_t task = {.body = body, .guards = &guard, .guards_count = i == 0};
        EXPLORE_EXPECT(pdac_add(graph, &task, &made) == STATUS_OK && made == i, "P1: no node");
    }
    EXPLORE_EXPECT(pdac_connect(graph, 0, 1) == STATUS_OK && pdac_seal(graph) == STATUS_OK, "P1: no edge");
    pdac_set_over(graph, end_of_run, NULL);
}

static void work(void) {
    while (over < RUNS) {
        uint32_t seen = changes;
        if (list_count == 0) {
            explore_wait(&changes, sizeof changes, seen, false);
            continue;
        }
        task_t *task = list[--list_count];
        (void)atomic_exchange_acquire_u64(&task->link, TASK_STATE_RUNNING);
        if (task->run(task, &cpu) == TASK_AGAIN) {
            hand_in(task);
        }
    }
}

static void run(unsigned thread) {
    if (thread == WORKER) {
        work();
        return;
    }
    while (thread == SECOND && over == 0) {
        explore_wait(&changes, sizeof changes, changes, false);
    }
    for (unsigned round = 0; pdac_start(graph) != STATUS_OK; round++) {
        spin_hint(round);
    }
}

static void finish(void) {
    EXPLORE_EXPECT(over == RUNS && list_count == 0, "P5: something is left");
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
}

static const explore_scenario_t scenarios[] = {{"weak_start", 3, set_up, run, finish}};
EXPLORE_SCENARIOS("pdac", "P1,P4,P5", scenarios)
