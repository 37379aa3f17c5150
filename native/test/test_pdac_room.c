// P2, P3 and P5 over random graphs: what bodies hold together, how classes share, and that everything ends. Bodies and observer keep
// accounts of their own.
#include <stdlib.h>

#include "pdac_bed.h"

enum { CLASSES = 4, DIMENSIONS_USED = 3 };

static model_t model;

// --- P2: what bodies hold together --------------------------------------------------------------------------------

typedef struct account {
    pdac_vector_t system;
    pdac_vector_t needs[MODEL_NODES];
    atomic_int_least64_t used[PDAC_DIMENSIONS];
} account_t;

static account_t account;

static void metered_body(void *context, pdac_node_t node, uint32_t worker) {
    const pdac_vector_t *needs = &account.needs[node];
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        int64_t used = account.used[d] += needs->of[d];
        EXPECT(used <= (int64_t)account.system.of[d]);
    }
    model_body(context, node, worker);
    if (node % 7 == 0) {
        sched_yield(); // so that bodies overlap on one CPU, too
    }
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        account.used[d] -= needs->of[d];
    }
}

// Small needs mostly, some that leave no room beside them.
static void draw_needs(random_t *random) {
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        account.system.of[d] = d < DIMENSIONS_USED ? 100 : PDAC_AMOUNT_MAX;
    }
    for (uint32_t i = 0; i < model.nodes; i++) {
        account.needs[i] = (pdac_vector_t){{0}};
        for (int d = 0; d < DIMENSIONS_USED; d++) {
            account.needs[i].of[d] = random_below(random, 5) ? random_below(random, 40) : random_below(random, 101);
        }
        if (random_below(random, 6) == 0) {
            account.needs[i] = (pdac_vector_t){{0}};
        }
    }
}

static pdac_graph_t *build(pdac_t *engine, pdac_fn_t *body, random_t *random) {
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_graph_create(engine, model.nodes, model.edges, &graph), STATUS_OK);
    for (uint32_t i = 0; i < model.nodes; i++) {
        pdac_task_t task = {.body = body, .context = &model, .needs = &account.needs[i], .class = random_below(random, CLASSES)};
        EXPECT_EQ(pdac_add(graph, &task, &node), STATUS_OK);
    }
    EXPECT_EQ(pdac_connect_many(graph, (const pdac_node_t(*)[2])model.edge, model.edges, NULL), STATUS_OK);
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    return graph;
}

static void run_metered(random_t *random, int threads, uint32_t runs) {
    static const uint32_t tickets[CLASSES] = {5, 3, 2, 1};
    scheduler_lockfree_t *scheduler = bed_scheduler(threads);
    draw_needs(random);
    pdac_config_t config = {
        .scheduler = scheduler, .system = &account.system, .tickets = tickets, .classes = CLASSES, .seed = 5};
    pdac_t *engine = NULL;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    pdac_graph_t *graph = build(engine, metered_body, random);
    for (model.run = 1; model.run <= runs; model.run++) {
        EXPECT(crew_run(scheduler, graph, threads)); // P5: a run ends
        for (uint32_t i = 0; i < model.nodes; i++) {
            EXPECT_EQ(model.runs[i], model.run);
        }
        pdac_vector_t used = pdac_in_use(engine);
        for (int d = 0; d < PDAC_DIMENSIONS; d++) {
            EXPECT_EQ(used.of[d], 0);
        }
    }
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

static void bodies_never_hold_more_than_the_system_has_and_all_of_them_run(void) {
    random_t random = {21};
    for (int round = 0; round < 24; round++) {
        uint32_t nodes = 1 + random_below(&random, round % 4 == 0 ? 2000 : 150);
        model_draw(&model, &random, nodes, random_below(&random, nodes * 2), 1 + random_below(&random, nodes));
        run_metered(&random, 1 + round % 4, 3);
    }
}

static void a_vector_above_the_systems_is_refused_when_it_is_added(void) {
    scheduler_lockfree_t *scheduler = bed_scheduler(1);
    pdac_vector_t system = {{10, 10, 10, 10, 10, 10, 10, 10}};
    pdac_config_t config = {.scheduler = scheduler, .system = &system};
    pdac_t *engine = NULL;
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    for (int d = 0; d < PDAC_DIMENSIONS; d++) {
        pdac_vector_t needs = system;
        pdac_task_t task = {.body = model_body, .needs = &needs};
        EXPECT_EQ(pdac_add(graph, &task, &node), STATUS_OK);
        needs.of[d]++;
        EXPECT_EQ(pdac_add(graph, &task, &node), STATUS_EXCESS);
    }
    EXPECT_EQ(pdac_nodes(graph), PDAC_DIMENSIONS);
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

static atomic_int inside;

// Comes back when another one is inside.
static void meet(void *context, pdac_node_t node, uint32_t worker) {
    int wanted = *(const int *)context;
    (void)node;
    (void)worker;
    inside++;
    while (inside < wanted) {
        sched_yield();
    }
}

// As many bodies as there is room for run at once: each waits for all others to have begun. In a graph's first run nodes count as
// long ones.
static void bodies_that_fit_together_run_together(int wanted, bool metered, uint32_t classes) {
    static const uint32_t tickets[2] = {1, 1};
    scheduler_lockfree_t *scheduler = bed_scheduler(wanted);
    pdac_vector_t system = {{(pdac_amount_t)wanted * PDAC_ONE}};
    pdac_vector_t one = {{PDAC_ONE}};
    pdac_config_t config = {
        .scheduler = scheduler, .system = metered ? &system : NULL, .tickets = tickets, .classes = classes};
    pdac_t *engine = NULL;
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    for (int i = 0; i < wanted; i++) {
        pdac_task_t task = {.body = meet, .context = &wanted, .needs = &one, .class = (uint32_t)i % classes};
        EXPECT_EQ(pdac_add(graph, &task, &node), STATUS_OK);
    }
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    inside = 0;
    EXPECT(crew_run(scheduler, graph, wanted));
    EXPECT_EQ(inside, wanted);
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

// --- P3: shares ---------------------------------------------------------------------------------------------------

static const uint32_t share_tickets[CLASSES] = {8, 4, 3, 1};
enum { SHARE_TOTAL = 16 };

typedef struct stretch {
    uint64_t last;
    int64_t n;
    int64_t had[CLASSES];
    uint64_t longest;
} stretch_t;

static stretch_t stretches[CREW_MOST];

static void judge_shares(void *observer, const pdac_pick_t *pick) {
    stretch_t *stretch = &stretches[pick->worker];
    (void)observer;
    if (!pick->contested || pick->turn != stretch->last + 1) {
        *stretch = (stretch_t){.longest = stretch->longest};
    }
    if (!pick->contested) {
        return;
    }
    stretch->last = pick->turn;
    stretch->n++;
    stretch->had[pick->class]++;
    stretch->longest = (uint64_t)stretch->n > stretch->longest ? (uint64_t)stretch->n : stretch->longest;
    for (int i = 0; i < CLASSES; i++) {
        int64_t stray = stretch->had[i] * SHARE_TOTAL - stretch->n * share_tickets[i];
        EXPECT(stray < 2 * SHARE_TOTAL && stray > -2 * SHARE_TOTAL);
    }
}

static void classes_share_by_their_tickets_while_all_have_work(void) {
    for (int threads = 1; threads <= 3; threads++) {
        scheduler_lockfree_t *scheduler = bed_scheduler(threads);
        pdac_config_t config = {.scheduler = scheduler,
                                .tickets = share_tickets,
                                .classes = CLASSES,
                                .seed = (uint64_t)threads,
                                .observe = judge_shares};
        random_t random = {31};
        pdac_t *engine = NULL;
        EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
        memset(&account, 0, sizeof account);
        model_draw(&model, &random, MODEL_NODES, 0, 1); // nothing waits for anything
        pdac_graph_t *graph = build(engine, model_body, &random);
        for (model.run = 1; model.run <= 3; model.run++) {
            memset(stretches, 0, sizeof stretches);
            EXPECT(crew_run(scheduler, graph, threads));
        }
        EXPECT(threads > 1 || stretches[0].longest > 1000);
        pdac_graph_destroy(graph);
        pdac_destroy(engine);
        scheduler_destroy(scheduler);
    }
}

// --- replay -------------------------------------------------------------------------------------------------------

typedef struct recording {
    uint32_t count;
    pdac_node_t node[MODEL_NODES];
} recording_t;

static void record(void *observer, const pdac_pick_t *pick) {
    recording_t *recording = observer;
    EXPECT(recording->count < MODEL_NODES);
    recording->node[recording->count++] = pick->node;
}

static void record_one(recording_t *recording, uint64_t seed) {
    scheduler_lockfree_t *scheduler = bed_scheduler(1);
    pdac_config_t config = {.scheduler = scheduler,
                            .tickets = share_tickets,
                            .classes = CLASSES,
                            .seed = seed,
                            .observe = record,
                            .observer = recording};
    pdac_t *engine = NULL;
    random_t random = {41};
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    recording->count = 0;
    memset(&account, 0, sizeof account);
    model_draw(&model, &random, 2000, 3000, 300);
    pdac_graph_t *graph = build(engine, model_body, &random);
    model.run = 1;
    EXPECT(crew_run(scheduler, graph, 1));
    EXPECT_EQ(recording->count, 2000);
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

static void one_worker_and_a_seed_replay(void) {
    static recording_t first, second, other;
    record_one(&first, 77);
    record_one(&second, 77);
    record_one(&other, 78);
    EXPECT_EQ(memcmp(&first, &second, sizeof first), 0);
    EXPECT(memcmp(&first, &other, sizeof first) != 0);
}

// --- P5: patience -------------------------------------------------------------------------------------------------

enum { MANY = 3000 };
static atomic_int small_over, small_before_big;

static void small_body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    (void)node;
    (void)worker;
    small_over++;
    sched_yield(); // so that another small one is in use whenever one ends
}

static void big_body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    (void)node;
    (void)worker;
    small_before_big = small_over;
}

// One node that needs all there is, among many that would always leave too little: it is not left to the end.
static void who_needs_everything_is_not_overtaken_for_ever(void) {
    scheduler_lockfree_t *scheduler = bed_scheduler(3);
    pdac_vector_t system = {{0}};
    system.of[PDAC_MEMORY] = 3 * PDAC_ONE;
    pdac_vector_t all = system;
    pdac_vector_t one = {{0}};
    one.of[PDAC_MEMORY] = PDAC_ONE;
    pdac_config_t config = {.scheduler = scheduler, .system = &system};
    pdac_t *engine = NULL;
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    EXPECT_EQ(pdac_add_many(graph, &(pdac_task_t){.body = small_body, .needs = &one}, MANY, &node), STATUS_OK);
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = big_body, .needs = &all}, &node), STATUS_OK);
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    for (int run = 0; run < 10; run++) {
        small_over = 0;
        small_before_big = -1;
        EXPECT(crew_run(scheduler, graph, 3));
        EXPECT_EQ(small_over, MANY);
        EXPECT(small_before_big >= 0);
    }
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

int main(void) {
    a_vector_above_the_systems_is_refused_when_it_is_added();
    bodies_never_hold_more_than_the_system_has_and_all_of_them_run();
    for (int wanted = 2; wanted <= 6; wanted++) {
        bodies_that_fit_together_run_together(wanted, false, 1);
        bodies_that_fit_together_run_together(wanted, true, 1);
        bodies_that_fit_together_run_together(wanted, true, 2);
    }
    classes_share_by_their_tickets_while_all_have_work();
    one_worker_and_a_seed_replay();
    who_needs_everything_is_not_overtaken_for_ever();
    return 0;
}
