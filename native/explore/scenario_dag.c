// The dispatch of PDAC under the explorer: two or three workers run a small random graph, once or twice, plain or with guards, needs and
// classes, while somebody ends the capability that guards ask for. Bodies write, and read what their predecessors wrote (P1); what bodies hold
// together stays within the system's vector (P2); a guard that was known to be gone lets no body run (P4); and every run ends (P5).
//
// The scheduler is a list here: what it promises between a spawn and a run is a release and an acquire of the task's link. A chunk's words
// are no doors, so its hand-overs are marked: who has it writes its count.
#define PDAC_MARKED
#include "pdac_sources.h"

enum { NODES = 12, EDGES = 24, TASKS = 128, GUARDS = 2, RUNS = 2 };

typedef struct fact {
    plain_u32_t result; // the number of the run in which the body ran
    unsigned ran, refused;
    bool known;         // at the begin of the dispatch: that the capability is gone
} fact_t;

static pdac_t *engine;
static pdac_graph_t *graph;
static fact_t *facts;
static pdac_node_t edges[EDGES][2];
static guard_t guards[NODES];
static bool is_guarded[NODES];
static uint32_t nodes, edge_count, workers;
static unsigned run_number, runs_wanted, over;
static bool by_hand; // who waits for the end starts the next run
static atomic_u64_t *held[GUARDS];
static explore_moment_t gone[GUARDS];
static pdac_node_t dispatched[EXPLORE_THREADS]; // per worker
static int64_t used[PDAC_DIMENSIONS];
static pdac_vector_t needs[NODES];
static task_t *list[TASKS];
static uint32_t list_count, changes;
static struct scheduler_cpu { uint32_t index; } cpus[EXPLORE_THREADS];

static uint64_t drawn_ticks(void) {
    static uint64_t now;
    return now += explore_draw(2) == 0 ? 1 : LOOK_LONG + 1;
}

// --- a scheduler ------------------------------------------------------------------------------------------------------

static void mark(const pdac_chunk_t *chunk) { explore_plain(&chunk->count, sizeof chunk->count, true); }

static pdac_chunk_t *marked_take(pdac_pool_t *pool) {
    pdac_chunk_t *chunk = pdac_pool_take(pool);
    if (chunk != NULL) {
        mark(chunk);
    }
    return chunk;
}
static void marked_give(pdac_chunk_t *chunk) {
    mark(chunk);
    pdac_pool_give(chunk);
}

static void tell_all(void) {
    changes++;
    explore_wake(&changes, EXPLORE_THREADS);
}

static void hand_in(task_t *task) {
    mark(task->argument);
    atomic_store_release_u64(&task->link, TASK_STATE_READY);
    EXPLORE_EXPECT(list_count < TASKS, "P5: too many chunks");
    list[list_count++] = task;
    tell_all();
}

uint32_t scheduler_cpus(const scheduler_lockfree_t *scheduler) {
    (void)scheduler;
    return workers;
}
uint64_t scheduler_room(const scheduler_cpu_t *on) {
    (void)on;
    return explore_draw(6);
}
#include "scheduler_list.h"

static void work(uint32_t cpu) {
    while (over < runs_wanted) {
        uint32_t seen = changes;
        if (list_count == 0) {
            explore_wait(&changes, sizeof changes, seen, false);
            continue;
        }
        uint32_t at = (uint32_t)explore_draw(list_count);
        task_t *task = list[at];
        list[at] = list[--list_count];
        uint64_t state = atomic_exchange_acquire_u64(&task->link, TASK_STATE_RUNNING);
        EXPLORE_EXPECT(state == TASK_STATE_READY, "P1: a chunk is taken twice");
        mark(task->argument);
        if (task->run(task, &cpus[cpu]) == TASK_AGAIN) {
            hand_in(task);
        }
    }
}

// --- bodies and guards ------------------------------------------------------------------------------------------------

static bool is_held(const void *table, cap_id_t id, cap_rights_t need) {
    (void)table;
    (void)need;
    return atomic_load_acquire_u64(held[id]) != 0;
}
// What the engine asks, of the node that it is about to run: the number of the guard, and in `need` the node.
static bool check(const void *table, cap_id_t id, cap_rights_t need) {
    bool holds = is_held(table, id, need);
    facts[need].refused += !holds;
    return holds;
}

static void note_dispatch(void *observer, const pdac_pick_t *pick) {
    (void)observer;
    dispatched[pick->worker] = pick->node;
    facts[pick->node].known = is_guarded[pick->node] && explore_happened(gone[guards[pick->node].id]);
}

static void hold_needs(pdac_node_t node, int64_t sign) {
    for (unsigned d = 0; d < PDAC_DIMENSIONS && engine->metered; d++) {
        used[d] += sign * (int64_t)needs[node].of[d];
        EXPLORE_EXPECT(used[d] <= (int64_t)engine->system.of[d], "P2: more than there is");
    }
}

static void body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    EXPLORE_EXPECT(worker < workers, "P1: a worker that is none");
    EXPLORE_EXPECT(!facts[node].known, "P4: it runs, and its guard is gone");
    EXPLORE_EXPECT(++facts[node].ran == 1, "P1: it runs twice");
    hold_needs(node, 1);
    for (uint32_t e = 0; e < edge_count; e++) {
        if (edges[e][1] == node) {
            EXPLORE_EXPECT(plain_load_u32(&facts[edges[e][0]].result) == run_number, "P1: it runs before its predecessor");
        }
    }
    plain_store_u32(&facts[node].result, run_number);
    hold_needs(node, -1);
}

// What became of the run that is over: the same of each node as of the model.
static void look_at_outcome(void) {
    bool ran[NODES];
    pdac_outcome_t outcome = pdac_outcome(graph), expected = {0};
    for (pdac_node_t i = 0; i < nodes; i++) { // edges lead to higher numbers
        bool spoilt = false;
        for (uint32_t e = 0; e < edge_count; e++) {
            spoilt |= edges[e][1] == i && !ran[edges[e][0]];
        }
        ran[i] = !spoilt && facts[i].refused == 0;
        EXPLORE_EXPECT(facts[i].ran == ran[i], "P4: it runs, or does not, against the order");
        *(spoilt ? &expected.skipped : ran[i] ? &expected.ran : &expected.refused) += 1;
        EXPLORE_EXPECT(!ran[i] || plain_load_u32(&facts[i].result) == run_number, "P1: what it did is not seen");
        facts[i].ran = facts[i].refused = 0;
    }
    EXPLORE_EXPECT(outcome.ran == expected.ran, "P4: ran");
    EXPLORE_EXPECT(outcome.refused == expected.refused && outcome.skipped == expected.skipped, "P4: refused and skipped");
}

static void go_on(void) {
    look_at_outcome();
    run_number++;
    if (++over < runs_wanted) {
        EXPLORE_EXPECT(pdac_start(graph) == STATUS_OK, "P1: the next run does not start");
    }
    tell_all();
}

static void end_of_run(void *context, pdac_graph_t *which) {
    (void)context;
    if (!by_hand) { // else the next run may have begun
        EXPLORE_EXPECT(pdac_is_over(which), "P1: the end is told before it is there");
        go_on();
    }
}

// --- threads ----------------------------------------------------------------------------------------------------------

static void end_a_guard(void) {
    unsigned which = (unsigned)explore_draw(GUARDS);
    atomic_store_release_u64(held[which], 0);
    gone[which] = explore_now();
}

// From outside: ends what guards ask for, and waits for the end of a run.
static void interfere(void) {
    if (explore_draw(2) == 0) {
        end_a_guard();
    }
    while (by_hand && over < runs_wanted) {
        if (pdac_is_over(graph)) {
            go_on();
        } else {
            explore_yield();
        }
    }
}

static void run(unsigned thread) {
    if (thread < workers) {
        work(thread);
    } else {
        interfere();
    }
}

// --- one run ----------------------------------------------------------------------------------------------------------

static void draw_graph(bool plain) {
    nodes = 1 + (uint32_t)explore_draw(NODES);
    edge_count = 0;
    facts = shared_alloc(NODES * sizeof *facts);
    EXPLORE_EXPECT(pdac_graph_create(engine, nodes, EDGES, &graph) == STATUS_OK, "P1");
    for (uint32_t i = 0; i < nodes; i++) {
        pdac_node_t made = 0;
        pdac_task_t task = {.body = body, .class = plain ? 0 : (uint32_t)explore_draw(engine->classes)};
        needs[i] = (pdac_vector_t){{0}};
        needs[i].of[PDAC_GPU] = (pdac_amount_t)explore_draw(4);
        task.needs = explore_draw(4) == 0 ? NULL : &needs[i];
        if (task.needs == NULL || plain) {
            needs[i].of[PDAC_GPU] = 0;
        }
        is_guarded[i] = !plain && explore_draw(3) == 0;
        guards[i] = (guard_t){.id = explore_draw(GUARDS), .need = i};
        task.guards = &guards[i];
        task.guards_count = is_guarded[i];
        EXPLORE_EXPECT(pdac_add(graph, &task, &made) == STATUS_OK && made == i, "P1");
    }
    for (uint64_t left = explore_draw(EDGES); left > 0 && nodes > 1; left--) {
        pdac_node_t from = (pdac_node_t)explore_draw(nodes - 1);
        edges[edge_count][0] = from;
        edges[edge_count][1] = from + 1 + (pdac_node_t)explore_draw(nodes - 1 - from);
        EXPLORE_EXPECT(pdac_connect(graph, edges[edge_count][0], edges[edge_count][1]) == STATUS_OK, "P1");
        edge_count++;
    }
    EXPLORE_EXPECT(pdac_seal(graph) == STATUS_OK, "P1");
    pdac_set_over(graph, end_of_run, NULL);
}

static void set_up(uint32_t worker_count, bool plain) {
    static const uint32_t tickets[] = {2, 1};
    static pdac_vector_t system;
    workers = worker_count;
    list_count = 0;
    over = 0;
    run_number = 1;
    runs_wanted = 1 + (unsigned)explore_draw(RUNS);
    by_hand = explore_draw(2) == 0;
    memset(used, 0, sizeof used);
    memset(gone, 0, sizeof gone);
    for (uint32_t i = 0; i < EXPLORE_THREADS; i++) {
        cpus[i].index = i;
    }
    for (unsigned i = 0; i < GUARDS; i++) {
        held[i] = shared_alloc(sizeof *held[i]);
        atomic_store_relaxed_u64(held[i], 1);
    }
    memset(&system, 0xff, sizeof system);
    system.of[PDAC_GPU] = 3 + (pdac_amount_t)explore_draw(3);
    pdac_config_t config = {.scheduler = (scheduler_lockfree_t *)(void *)&system, .gate = {.table = &system, .check = check}};
    if (!plain) {
        config.system = &system;
        config.classes = 2;
        config.tickets = tickets;
        config.observe = note_dispatch;
    }
    EXPLORE_EXPECT(pdac_create(&config, &engine) == STATUS_OK, "P1");
    draw_graph(plain);
    EXPLORE_EXPECT(pdac_start(graph) == STATUS_OK, "P1");
}
static void set_up_plain(void) { set_up(2, true); }
static void set_up_plain_three(void) { set_up(3, true); }
static void set_up_any(void) { set_up(2, false); }
static void set_up_any_three(void) { set_up(3, false); }

static void finish(void) {
    EXPLORE_EXPECT(over == runs_wanted && list_count == 0, "P5: something is left");
    pdac_vector_t left = pdac_in_use(engine);
    EXPLORE_EXPECT(left.of[PDAC_GPU] == 0, "P2: something is in use when nothing runs");
    for (unsigned i = 0; i < GUARDS; i++) {
        shared_free(held[i]);
    }
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    shared_free(facts);
}

static const explore_scenario_t scenarios[] = {
    {"dag_plain", 3, set_up_plain, run, finish},
    {"dag_plain_three", 4, set_up_plain_three, run, finish},
    {"dag_any", 3, set_up_any, run, finish},
    {"dag_any_three", 4, set_up_any_three, run, finish},
};
EXPLORE_SCENARIOS("pdac", "P1,P2,P4,P5", scenarios)
