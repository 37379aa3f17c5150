// Graphs that are built, and run by one worker or several: order, cycles, refusals, memory. test_pdac_room.c and test_pdac_guards.c
// have admission, shares and guards.
#include <stdlib.h>

#include "pdac_bed.h"

static model_t model;

// --- building -----------------------------------------------------------------------------------------------------

static void no_body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    (void)node;
    (void)worker;
}

static pdac_t *engine_of(scheduler_lockfree_t *scheduler) {
    pdac_config_t config = {.scheduler = scheduler};
    pdac_t *engine = NULL;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    return engine;
}

static pdac_graph_t *graph_of(pdac_t *engine, uint32_t nodes) {
    pdac_graph_t *graph = NULL;
    pdac_node_t first = 1;
    pdac_task_t task = {.body = no_body};
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    EXPECT_EQ(pdac_add_many(graph, &task, nodes, &first), STATUS_OK);
    EXPECT_EQ(first, 0);
    return graph;
}

enum { SMALL = 24 };

// Random edges in any direction: refused exactly where a way back is there.
static void an_edge_is_refused_exactly_where_it_would_close_a_cycle(pdac_t *engine) {
    random_t random = {1};
    for (int round = 0; round < 300; round++) {
        bool way[SMALL][SMALL] = {{false}};
        pdac_graph_t *graph = graph_of(engine, SMALL);
        for (int e = 0; e < 80; e++) {
            uint32_t from = random_below(&random, SMALL);
            uint32_t to = random_below(&random, SMALL);
            bool cycle = from == to || way[to][from];
            EXPECT_EQ(pdac_connect(graph, from, to), cycle ? STATUS_CYCLE : STATUS_OK);
            for (int a = 0; a < SMALL && !cycle; a++) {
                for (int b = 0; b < SMALL; b++) {
                    bool before = a == (int)from || way[a][from];
                    bool after = b == (int)to || way[to][b];
                    way[a][b] = way[a][b] || (before && after);
                }
            }
        }
        pdac_graph_destroy(graph);
    }
}

static void what_is_wrong_is_refused_and_changes_nothing(pdac_t *engine) {
    pdac_graph_t *graph = graph_of(engine, 3);
    pdac_node_t node = 77;
    guard_t guard = {0};
    size_t done = 9;
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = NULL}, &node), STATUS_INVALID);
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body, .class = 1}, &node), STATUS_INVALID);
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body, .guards = &guard, .guards_count = 1}, &node), STATUS_INVALID);
    EXPECT_EQ(pdac_connect(graph, 0, 3), STATUS_INVALID);
    EXPECT_EQ(pdac_connect(graph, 3, 0), STATUS_INVALID);
    EXPECT_EQ(pdac_start(graph), STATUS_INVALID);
    const pdac_node_t edges[4][2] = {{0, 1}, {1, 2}, {2, 0}, {0, 2}};
    EXPECT_EQ(pdac_connect_many(graph, edges, 4, &done), STATUS_CYCLE);
    EXPECT_EQ(done, 2);
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    EXPECT_EQ(pdac_seal(graph), STATUS_INVALID);
    EXPECT_EQ(pdac_connect(graph, 0, 2), STATUS_INVALID);
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body}, &node), STATUS_INVALID);
    EXPECT_EQ(node, 77);
    EXPECT_EQ(pdac_nodes(graph), 3);
    pdac_graph_destroy(graph);
    pdac_t *none = NULL;
    EXPECT_EQ(pdac_create(&(pdac_config_t){.scheduler = NULL}, &none), STATUS_INVALID);
    EXPECT(none == NULL);
}

static void bodies_and_contexts_are_limited_and_shared(pdac_t *engine) {
    static int contexts[PDAC_BODIES_MAX + 1];
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PDAC_BODIES_MAX; i++) {
            EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body, .context = &contexts[i]}, &node), STATUS_OK);
        }
    }
    EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body, .context = &contexts[PDAC_BODIES_MAX]}, &node), STATUS_FULL);
    EXPECT_EQ(pdac_nodes(graph), 2 * PDAC_BODIES_MAX);
    pdac_graph_destroy(graph);
}

static void vectors_are_composed_along_paths(pdac_t *engine) {
    // 0 -> 1 -> 3, 0 -> 2 -> 3: the greater of two ways, dimension by dimension
    static const pdac_amount_t cpu[4] = {1, 10, 2, 1};
    static const pdac_amount_t memory[4] = {5, 1, 100, 0};
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_graph_create(engine, 0, 0, &graph), STATUS_OK);
    for (int i = 0; i < 4; i++) {
        pdac_vector_t needs = {{0}};
        needs.of[PDAC_CPU] = cpu[i];
        needs.of[PDAC_MEMORY] = memory[i];
        EXPECT_EQ(pdac_add(graph, &(pdac_task_t){.body = no_body, .needs = &needs}, &node), STATUS_OK);
    }
    const pdac_node_t edges[4][2] = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};
    EXPECT_EQ(pdac_connect_many(graph, edges, 4, NULL), STATUS_OK);
    pdac_vector_t each[4];
    pdac_vector_t whole;
    EXPECT_EQ(pdac_compose(graph, PDAC_SUM, each, &whole), STATUS_OK);
    EXPECT_EQ(each[3].of[PDAC_CPU], 1 + 10 + 1);
    EXPECT_EQ(each[3].of[PDAC_MEMORY], 5 + 100);
    EXPECT_EQ(each[1].of[PDAC_MEMORY], 6);
    EXPECT_EQ(whole.of[PDAC_CPU], 12);
    EXPECT_EQ(pdac_compose(graph, PDAC_PEAK, NULL, &whole), STATUS_OK);
    EXPECT_EQ(whole.of[PDAC_CPU], 10);
    EXPECT_EQ(whole.of[PDAC_MEMORY], 100);
    pdac_graph_destroy(graph);
}

// --- running ------------------------------------------------------------------------------------------------------

static void watch(void *observer, const pdac_pick_t *pick) {
    (void)observer;
    (void)pick;
}

// The model's graph, built, run `runs` times by that many threads, and held against the model. `any`: not by the plain dispatch.
static void run_model(int threads, uint32_t runs, bool any) {
    scheduler_lockfree_t *scheduler = bed_scheduler(threads);
    pdac_config_t config = {.scheduler = scheduler, .observe = any ? watch : NULL, .seed = 3};
    pdac_t *engine = NULL;
    pdac_graph_t *graph = NULL;
    pdac_node_t first = 0;
    EXPECT_EQ(pdac_create(&config, &engine), STATUS_OK);
    EXPECT_EQ(pdac_graph_create(engine, model.nodes, model.edges, &graph), STATUS_OK);
    EXPECT_EQ(pdac_add_many(graph, &(pdac_task_t){.body = model_body, .context = &model}, model.nodes, &first), STATUS_OK);
    EXPECT_EQ(pdac_connect_many(graph, (const pdac_node_t(*)[2])model.edge, model.edges, NULL), STATUS_OK);
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    for (uint32_t i = 0; i < model.nodes; i++) {
        model.runs[i] = 0;
    }
    for (model.run = 1; model.run <= runs; model.run++) {
        EXPECT(crew_run(scheduler, graph, threads));
        EXPECT_EQ(pdac_outcome(graph).ran, model.nodes);
        for (uint32_t i = 0; i < model.nodes; i++) {
            EXPECT_EQ(model.runs[i], model.run);
        }
    }
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

static void every_node_runs_once_after_those_before_it(void) {
    random_t random = {11};
    for (int round = 0; round < 40; round++) {
        uint32_t nodes = 1 + random_below(&random, round % 4 == 0 ? MODEL_NODES : 200);
        uint32_t edges = random_below(&random, nodes * 4);
        model_draw(&model, &random, nodes, edges, 1 + random_below(&random, round % 2 ? 8 : nodes));
        run_model(1 + round % 3, 4, round % 5 == 4);
    }
}

static void add_edge(uint32_t from, uint32_t to) {
    model.edge[model.edges][0] = from;
    model.edge[model.edges++][1] = to;
}

static void known_shapes_run_in_order(void) {
    for (int any = 0; any < 2; any++) {
        for (int shape = 0; shape < 6; shape++) {
            memset(&model, 0, sizeof model);
            model.nodes = shape == 5 ? 0 : 4000;
            for (uint32_t i = 1; i < model.nodes; i++) {
                switch (shape) {
                case 0: add_edge(i - 1, i); break;                   // a chain
                case 1: add_edge((i - 1) / 2, i); break;             // a tree
                case 2: add_edge(i, (i - 1) / 2); break;             // a tree that joins
                case 3: add_edge(0, i); break;                       // a fan
                default:                                             // a fan that joins
                    if (i < 3999) {
                        add_edge(0, i);
                        add_edge(i, 3999);
                    }
                }
            }
            model_index(&model);
            run_model(1 + shape % 3, 3, any);
        }
    }
}

// Rows of nodes, each of which waits for three of the row before: many joins become ready at once, more than a hand holds.
static void wide_rows_spill_and_lose_nothing(void) {
    enum { WIDE = 1300 };
    for (int any = 0; any < 2; any++) {
        memset(&model, 0, sizeof model);
        model.nodes = 3 * WIDE + 1;
        for (uint32_t i = 0; i < WIDE; i++) {
            add_edge(3 * WIDE, i);
            for (uint32_t row = 1; row < 3; row++) {
                for (uint32_t from = 0; from < 3; from++) {
                    add_edge((row - 1) * WIDE + (i + from * 7) % WIDE, row * WIDE + i);
                }
            }
        }
        model_index(&model);
        run_model(1, 3, any);
        run_model(3, 3, any);
    }
}

static void a_pair_connected_twice_counts_twice(void) {
    memset(&model, 0, sizeof model);
    model.nodes = 3;
    add_edge(0, 2);
    add_edge(0, 2);
    add_edge(1, 2);
    model_index(&model);
    run_model(2, 5, false);
    run_model(1, 5, true);
}

// --- runs that start others, and ends -----------------------------------------------------------------------------

typedef struct relay {
    pdac_graph_t *graph;
    int left;
} relay_t;

static void start_again(void *context, pdac_graph_t *graph) {
    relay_t *relay = context;
    EXPECT(pdac_is_over(graph));
    if (--relay->left > 0) {
        EXPECT_EQ(pdac_start(graph), STATUS_OK);
    }
}

static void the_end_of_a_run_may_start_the_next(void) {
    scheduler_lockfree_t *scheduler = bed_scheduler(1);
    scheduler_cpu_t *on = NULL;
    pdac_t *engine = engine_of(scheduler);
    pdac_graph_t *graph = graph_of(engine, 1000);
    relay_t relay = {graph, 20};
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    pdac_set_over(graph, start_again, &relay);
    EXPECT_EQ(scheduler_attach(scheduler, 0, &on), STATUS_OK);
    EXPECT(pdac_is_over(graph));
    EXPECT_EQ(pdac_start(graph), STATUS_OK);
    EXPECT(!pdac_is_over(graph));
    EXPECT_EQ(pdac_start(graph), STATUS_BUSY);
    while (scheduler_run(on, 100) > 0) {
    }
    EXPECT_EQ(relay.left, 0);
    EXPECT(pdac_is_over(graph));
    scheduler_detach(on);
    pdac_graph_destroy(graph);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
}

int main(void) {
    scheduler_lockfree_t *scheduler = bed_scheduler(1);
    pdac_t *engine = engine_of(scheduler);
    an_edge_is_refused_exactly_where_it_would_close_a_cycle(engine);
    what_is_wrong_is_refused_and_changes_nothing(engine);
    bodies_and_contexts_are_limited_and_shared(engine);
    vectors_are_composed_along_paths(engine);
    pdac_destroy(engine);
    scheduler_destroy(scheduler);
    every_node_runs_once_after_those_before_it();
    known_shapes_run_in_order();
    wide_rows_spill_and_lose_nothing();
    a_pair_connected_twice_counts_twice();
    the_end_of_a_run_may_start_the_next();
    return 0;
}
