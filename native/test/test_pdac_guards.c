// P4 over random graphs: what was revoked before a dispatch never runs, what comes after it is skipped, and nothing else is.
#include <stdlib.h>

#include "pdac_bed.h"

enum { CAPABILITIES = 64 };

static model_t model;
static capability_table_t *table;
static capability_thread_t *seat;

static struct {
    cap_id_t id[CAPABILITIES];
    atomic_bool gone[CAPABILITIES]; // its revoke has returned
    uint32_t of[MODEL_NODES];       // which one guards the node; CAPABILITIES: none
    bool was_gone[CREW_MOST];       // when the dispatch that this worker is in began
    atomic_bool ran[MODEL_NODES];
    atomic_uint picks;
} world;

static void look(void *observer, const pdac_pick_t *pick) {
    (void)observer;
    uint32_t guard = world.of[pick->node];
    world.was_gone[pick->worker] = guard < CAPABILITIES && atomic_load(&world.gone[guard]);
    world.picks++;
}

static void guarded_body(void *context, pdac_node_t node, uint32_t worker) {
    (void)context;
    EXPECT(!world.was_gone[worker]);
    for (uint32_t i = model.first_in[node]; i < model.first_in[node + 1]; i++) {
        EXPECT(atomic_load(&world.ran[model.in[i]])); // what comes after a refusal is skipped
    }
    EXPECT(!atomic_exchange(&world.ran[node], true));
}

static void make_capabilities(void) {
    memset(&world, 0, sizeof world);
    for (int i = 0; i < CAPABILITIES; i++) {
        EXPECT_EQ(capability_create(seat, (uint64_t)i, CAPABILITY_RIGHT_READ, &world.id[i]), STATUS_OK);
    }
}

static void revoke(int i) {
    EXPECT_EQ(capability_revoke(seat, world.id[i]), STATUS_OK);
    atomic_store(&world.gone[i], true);
}

static pdac_graph_t *build(pdac_t *engine, random_t *random, uint32_t guarded_in) {
    pdac_graph_t *graph = NULL;
    pdac_node_t node = 0;
    EXPECT_EQ(pdac_graph_create(engine, model.nodes, model.edges, &graph), STATUS_OK);
    for (uint32_t i = 0; i < model.nodes; i++) {
        world.of[i] = random_below(random, guarded_in) ? CAPABILITIES : random_below(random, CAPABILITIES);
        guard_t guards[2] = {{world.of[i] < CAPABILITIES ? world.id[world.of[i]] : 0, CAPABILITY_RIGHT_READ}, {0}};
        guards[1] = guards[0];
        pdac_task_t task = {.body = guarded_body, .guards = guards, .guards_count = world.of[i] < CAPABILITIES ? 1 + i % 2 : 0};
        EXPECT_EQ(pdac_add(graph, &task, &node), STATUS_OK);
    }
    EXPECT_EQ(pdac_connect_many(graph, (const pdac_node_t(*)[2])model.edge, model.edges, NULL), STATUS_OK);
    EXPECT_EQ(pdac_seal(graph), STATUS_OK);
    return graph;
}

typedef struct bed {
    scheduler_lockfree_t *scheduler;
    pdac_t *engine;
    pdac_graph_t *graph;
} bed_t;

static bed_t make_bed(random_t *random, int threads, uint32_t guarded_in) {
    bed_t bed = {.scheduler = bed_scheduler(threads)};
    pdac_config_t config = {.scheduler = bed.scheduler, .gate = guarded_gate_of(table), .observe = look};
    EXPECT_EQ(pdac_create(&config, &bed.engine), STATUS_OK);
    make_capabilities();
    bed.graph = build(bed.engine, random, guarded_in);
    return bed;
}

static void end_bed(bed_t *bed) {
    for (int i = 0; i < CAPABILITIES; i++) {
        (void)capability_delete(seat, world.id[i]);
    }
    pdac_graph_destroy(bed->graph);
    pdac_destroy(bed->engine);
    scheduler_destroy(bed->scheduler);
}

// What must have run, when everything was revoked before the run: by the model, in any order of numbers.
static pdac_outcome_t expected(bool *runs) {
    pdac_outcome_t sum = {0};
    bool after_refusal[MODEL_NODES] = {false};
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t e = 0; e < model.edges; e++) {
            uint32_t from = model.edge[e][0];
            uint32_t to = model.edge[e][1];
            bool refused = world.of[from] < CAPABILITIES && world.gone[world.of[from]];
            if ((refused || after_refusal[from]) && !after_refusal[to]) {
                after_refusal[to] = changed = true;
            }
        }
    }
    for (uint32_t i = 0; i < model.nodes; i++) {
        bool refused = world.of[i] < CAPABILITIES && world.gone[world.of[i]];
        runs[i] = !refused && !after_refusal[i];
        sum.skipped += after_refusal[i];
        sum.refused += refused && !after_refusal[i];
        sum.ran += runs[i];
    }
    return sum;
}

static void what_was_revoked_before_does_not_run_nor_what_comes_after_and_all_else_does(void) {
    random_t random = {51};
    for (int round = 0; round < 30; round++) {
        int threads = 1 + round % 3;
        uint32_t nodes = 1 + random_below(&random, 600);
        model_draw(&model, &random, nodes, random_below(&random, nodes), 1 + random_below(&random, nodes));
        bed_t bed = make_bed(&random, threads, 6);
        bool runs[MODEL_NODES];
        for (int step = 0; step < 3; step++) { // each run sees more of them gone
            for (uint32_t i = 0; i < model.nodes; i++) {
                world.ran[i] = false;
            }
            EXPECT(crew_run(bed.scheduler, bed.graph, threads));
            pdac_outcome_t got = pdac_outcome(bed.graph);
            pdac_outcome_t want = expected(runs);
            EXPECT_EQ(got.ran, want.ran);
            EXPECT_EQ(got.refused, want.refused);
            EXPECT_EQ(got.skipped, want.skipped);
            for (uint32_t i = 0; i < model.nodes; i++) {
                EXPECT_EQ(world.ran[i], runs[i]);
            }
            for (int i = step * 8; i < step * 8 + 8; i++) {
                revoke(i);
            }
        }
        end_bed(&bed);
    }
}

// Revokes from beside, each after some more dispatches have begun, so that they meet the run wherever it is.
static void *revoke_all(void *argument) {
    bed_t *bed = argument;
    for (int i = 0; i < CAPABILITIES; i++) {
        unsigned until = world.picks + model.nodes / 100;
        while (world.picks < until && !pdac_is_over(bed->graph)) {
            sched_yield();
        }
        revoke(i);
    }
    return NULL;
}

static void what_is_revoked_meanwhile_does_not_run_once_the_revoke_has_returned(void) {
    random_t random = {61};
    uint64_t refused = 0;
    for (int round = 0; round < 12; round++) {
        int threads = 1 + round % 3;
        model_draw(&model, &random, 3000, random_below(&random, 1000), 1 + random_below(&random, 500));
        bed_t bed = make_bed(&random, threads, 2);
        pthread_t revoker;
        EXPECT(crew_run(bed.scheduler, bed.graph, threads)); // once untouched
        EXPECT_EQ(pdac_outcome(bed.graph).ran, model.nodes);
        memset(world.ran, 0, sizeof world.ran);
        EXPECT_EQ(pthread_create(&revoker, NULL, revoke_all, &bed), 0);
        EXPECT(crew_run(bed.scheduler, bed.graph, threads));
        pthread_join(revoker, NULL);
        pdac_outcome_t got = pdac_outcome(bed.graph);
        uint64_t ran = 0;
        for (uint32_t i = 0; i < model.nodes; i++) {
            ran += world.ran[i];
        }
        EXPECT_EQ(got.ran, ran);
        EXPECT_EQ(got.ran + got.refused + got.skipped, model.nodes);
        refused += got.refused;
        memset(world.ran, 0, sizeof world.ran);
        EXPECT(crew_run(bed.scheduler, bed.graph, threads)); // all are gone now
        refused += pdac_outcome(bed.graph).refused;
        end_bed(&bed);
    }
    EXPECT(refused > 0);
}

int main(void) {
    EXPECT_EQ(capability_table_create(NULL, &table), STATUS_OK);
    EXPECT_EQ(capability_thread_join(table, &seat), STATUS_OK);
    what_was_revoked_before_does_not_run_nor_what_comes_after_and_all_else_does();
    what_is_revoked_meanwhile_does_not_run_once_the_revoke_has_returned();
    capability_thread_leave(seat);
    capability_table_destroy(table);
    return 0;
}
