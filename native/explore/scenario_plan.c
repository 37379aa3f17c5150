// Building a graph, and what one worker makes of it, under the explorer: one thread and a model beside it. Edges come in any order and against each other,
// now and then there is no memory for one of the allocations, and the call that needed it has changed nothing (P1). The run that
// follows is held against the model: order, refusals and what they spoil (P4), room (P2), and the shares of classes (P3).
#include "atomics.h"

static void *scarce_alloc(void *given);
#define shared_alloc(bytes) scarce_alloc(shared_alloc(bytes))
#define shared_alloc_aligned(bytes) scarce_alloc(shared_alloc_aligned(bytes))
#include "pdac_sources.h"

enum { NODES = 48, EDGES = 40, CLASSES = 3, GUARDS = 3, TASKS = 64, ROUNDS = 2, TICKETS = 5, REFUSED_BEFORE = 48, EXCESS_ODDS = 8 };

static pdac_t *engine;
static pdac_graph_t *graph;
static uint32_t nodes, classes, tickets[PDAC_CLASSES];
static uint64_t before[NODES];      // bits of all that come before a node
static uint64_t predecessors[NODES]; // of those with an edge to it
static bool refused[NODES], spoilt[NODES], ran[NODES];
static pdac_vector_t system_vector, needs[NODES];
static guard_t guards[NODES][GUARDS];
static unsigned guard_count[NODES];
static uint64_t held;        // bits of capabilities that are there
static unsigned memory_left; // allocations until one is refused; 0: none is
static task_t *list[TASKS];
static uint32_t list_count;
static struct scheduler_cpu { uint32_t index; } cpu;
static int64_t had[CLASSES], stretch;
static uint64_t last_turn;

static uint64_t drawn_ticks(void) {
    static uint64_t now;
    return now += explore_draw(2) == 0 ? 1 : LOOK_LONG + 1;
}

static void *scarce_alloc(void *given) {
    if (memory_left == 0 || --memory_left > 0) {
        return given;
    }
    shared_free(given);
    return NULL;
}

// --- a scheduler of one CPU ---------------------------------------------------------------------------------------------

static void hand_in(task_t *task) {
    EXPLORE_EXPECT(list_count < TASKS, "P5: too many chunks");
    list[list_count++] = task;
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

static void run_all(void) {
    while (list_count > 0) {
        uint32_t at = (uint32_t)explore_draw(list_count);
        task_t *task = list[at];
        list[at] = list[--list_count];
        if (task->run(task, &cpu) == TASK_AGAIN) {
            hand_in(task);
        }
    }
}

// --- what is asked of the engine ----------------------------------------------------------------------------------------

static bool check(const void *table, cap_id_t id, cap_rights_t need) {
    (void)table;
    (void)need;
    return (held >> id & 1) != 0;
}

static void note_dispatch(void *observer, const pdac_pick_t *pick) {
    (void)observer;
    int64_t total = 0;
    if (!pick->contested || pick->turn != last_turn + 1) {
        memset(had, 0, sizeof had);
        stretch = 0;
    }
    last_turn = pick->turn;
    if (!pick->contested) {
        return;
    }
    stretch++;
    had[pick->class]++;
    for (uint32_t i = 0; i < classes; i++) {
        total += tickets[i];
    }
    for (uint32_t i = 0; i < classes; i++) {
        int64_t stray = had[i] * total - stretch * tickets[i];
        EXPLORE_EXPECT(stray < 2 * total && stray > -2 * total, "P3: a class strays from its share");
    }
}

static void body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    EXPLORE_EXPECT(worker == 0, "P1: a worker that is none");
    EXPLORE_EXPECT(!ran[node], "P1: it runs twice");
    EXPLORE_EXPECT(!refused[node] && !spoilt[node], "P4: it runs, and is not to");
    for (uint32_t i = 0; i < nodes; i++) {
        EXPLORE_EXPECT((predecessors[node] >> i & 1) == 0 || ran[i], "P1: it runs before its predecessor");
    }
    if (engine->metered) {
        pdac_vector_t used = pdac_in_use(engine);
        EXPLORE_EXPECT(memcmp(&used, &needs[node], sizeof used) == 0, "P2: in use is another than it needs");
    }
    ran[node] = true;
}

// --- building -----------------------------------------------------------------------------------------------------------

// Of a call: where there is no memory, once more.
#define CALL(wanted, call)                                                                                             \
    do {                                                                                                               \
        status_t said = (call);                                                                                        \
        said = said == STATUS_NO_MEMORY ? (call) : said;                                                               \
        EXPLORE_EXPECT(said == (wanted), "P1: another answer");                                                        \
    } while (0)

static void make_engine(void) {
    pdac_config_t config = {.scheduler = (scheduler_lockfree_t *)(void *)&cpu, .gate = {.table = &cpu, .check = check},
                            .seed = explore_draw(100), .classes = classes, .tickets = tickets, .observe = note_dispatch};
    config.system = explore_draw(3) == 0 ? NULL : &system_vector;
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        system_vector.of[d] = 1 + (pdac_amount_t)explore_draw(3);
    }
    for (uint32_t i = 0; i < classes; i++) {
        tickets[i] = 1 + (uint32_t)explore_draw(TICKETS);
    }
    CALL(STATUS_OK, pdac_create(&config, &engine));
    CALL(STATUS_OK, pdac_graph_create(engine, 2, 2, &graph)); // grows often
}

static void add_node(pdac_node_t i) {
    pdac_node_t made = UINT32_MAX;
    bool excess = false, hungry = explore_draw(3) == 0;
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        needs[i].of[d] = hungry ? (pdac_amount_t)explore_draw(system_vector.of[d] + 1) : 0;
    }
    if (engine->metered && explore_draw(EXCESS_ODDS) == 0) {
        unsigned d = (unsigned)explore_draw(PDAC_DIMENSIONS);
        needs[i].of[d] = system_vector.of[d] + 1;
        excess = true;
    }
    guard_count[i] = explore_draw(4) == 0 ? 1 + (unsigned)explore_draw(GUARDS) : 0;
    refused[i] = false;
    for (unsigned g = 0; g < guard_count[i]; g++) {
        guards[i][g] = (guard_t){.id = explore_draw(64), .need = 1};
        refused[i] |= (held >> guards[i][g].id & 1) == 0;
    }
    pdac_task_t task = {.body = body, .needs = &needs[i], .guards = guards[i], .guards_count = guard_count[i]};
    task.class = (uint32_t)explore_draw(classes);
    if (excess) {
        CALL(STATUS_EXCESS, pdac_add(graph, &task, &made));
        needs[i] = (pdac_vector_t){{0}};
    }
    CALL(STATUS_OK, pdac_add(graph, &task, &made));
    EXPLORE_EXPECT(made == i, "P1: another number");
}

static void connect(pdac_node_t from, pdac_node_t to) {
    bool cycle = from == to || (before[from] >> to & 1) != 0;
    CALL(cycle ? STATUS_CYCLE : STATUS_OK, pdac_connect(graph, from, to));
    if (cycle) {
        return;
    }
    predecessors[to] |= (uint64_t)1 << from;
    uint64_t more = before[from] | (uint64_t)1 << from;
    for (uint32_t i = 0; i < nodes; i++) {
        before[i] |= i == to || (before[i] >> to & 1) != 0 ? more : 0;
    }
}

static void build(void) {
    memset(before, 0, sizeof before);
    memset(predecessors, 0, sizeof predecessors);
    nodes = 1 + (uint32_t)explore_draw(explore_draw(2) == 0 ? 8 : NODES);
    held = explore_draw(UINT64_MAX);
    held |= explore_draw(3) == 0 ? UINT64_MAX : explore_draw(UINT64_MAX);
    for (pdac_node_t i = 0; i < nodes; i++) {
        add_node(i);
    }
    for (uint64_t left = explore_draw(2) * explore_draw(EDGES); left > 0; left--) {
        connect((pdac_node_t)explore_draw(nodes), (pdac_node_t)explore_draw(nodes));
    }
    CALL(STATUS_OK, pdac_seal(graph));
}

// --- a run ----------------------------------------------------------------------------------------------------------------

static void run_once(void) {
    pdac_outcome_t wanted = {0};
    memset(ran, 0, sizeof ran);
    for (uint32_t i = 0; i < nodes; i++) {
        spoilt[i] = false;
        for (uint32_t j = 0; j < nodes; j++) {
            spoilt[i] |= (before[i] >> j & 1) != 0 && refused[j];
        }
        *(spoilt[i] ? &wanted.skipped : refused[i] ? &wanted.refused : &wanted.ran) += 1;
    }
    EXPLORE_EXPECT(pdac_start(graph) == STATUS_OK, "P1: it does not start");
    run_all();
    EXPLORE_EXPECT(pdac_is_over(graph), "P5: it does not end");
    for (uint32_t i = 0; i < nodes; i++) {
        EXPLORE_EXPECT(ran[i] == (!refused[i] && !spoilt[i]), "P4: it runs, or does not, against the order");
    }
    pdac_outcome_t outcome = pdac_outcome(graph);
    EXPLORE_EXPECT(outcome.ran == wanted.ran && outcome.refused == wanted.refused && outcome.skipped == wanted.skipped, "P4: outcome");
}

// In every stretch of turns each class has its share, within fewer than 2, or 1 from the first on; and in whole periods to the turn.
static void look_at_lottery(void) {
    pdac_lottery_t *lottery = NULL;
    int64_t total = 0, turns[PDAC_CLASSES] = {0};
    uint32_t count = 1 + (uint32_t)explore_draw(6);
    for (uint32_t i = 0; i < count; i++) {
        tickets[i] = 1 + (uint32_t)explore_draw(9);
        total += tickets[i];
    }
    CALL(STATUS_OK, pdac_lottery_create(tickets, count, explore_draw(1000), &lottery));
    int64_t period = pdac_lottery_period(lottery);
    bool first = explore_draw(2) == 0; // from the first turn that was dealt out
    uint64_t from = first ? (uint64_t)period - lottery->start : explore_draw(100);
    for (int64_t n = 1; n <= 2 * period; n++) {
        uint32_t class = pdac_lottery_class(lottery, from + (uint64_t)n - 1);
        EXPLORE_EXPECT(class < count, "P3: a class that is none");
        turns[class]++;
        for (uint32_t i = 0; i < count; i++) {
            int64_t stray = turns[i] * total - n * tickets[i], most = first ? total : 2 * total;
            EXPLORE_EXPECT(stray < most && stray > -most && (n % period != 0 || stray == 0), "P3: turns are not spread");
        }
    }
    pdac_lottery_destroy(lottery);
}

static void run(unsigned thread) {
    (void)thread;
    memory_left = explore_draw(2) == 0 ? 0 : 1 + (unsigned)explore_draw(REFUSED_BEFORE);
    list_count = 0;
    last_turn = 0;
    classes = 1 + (uint32_t)explore_draw(CLASSES);
    if (explore_draw(6) == 0) {
        look_at_lottery();
        return;
    }
    make_engine();
    build();
    memory_left = 0; // a run takes no memory
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_once();
    }
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
}

static void set_up(void) {}
static void finish(void) {}

static const explore_scenario_t scenarios[] = {{"plan_alone", 1, set_up, run, finish}};
EXPLORE_SCENARIOS("pdac", "P1,P2,P3,P4,P5", scenarios)
