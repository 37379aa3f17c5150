// Admission of PDAC under the explorer: threads take chunks of one node each, admit them, run a body, and release. What bodies hold
// together stays within the system's vector at every moment (P2), and a node that has to wait is let go on by somebody (P5): who finds
// nothing to run sleeps, and nobody wakes for time. The scheduler is a list here.
#include "explore.h"

#include "../kernel/pdac_room.c"

#include <string.h>

enum { NODES_MOST = 6, AMOUNT_MOST = 4, TRIES_MOST = 40 };

typedef struct node {
    pdac_chunk_t chunk;
    plain_u32_t held;    // whoever has the chunk writes it
    atomic_u32_t handed; // 1: to the list
    uint32_t tries;
    unsigned runs;
} node_t;

static pdac_t *engine;
static pdac_graph_t *graph;
static pdac_vector_t *needs;
static node_t *nodes[NODES_MOST];
static unsigned node_count, over, patience;
static int64_t used[PDAC_DIMENSIONS]; // by bodies
static node_t *list[NODES_MOST];
static unsigned list_count;
static uint32_t changes; // of the list
static atomic_u32_t *busy; // what bodies do

static void tell_all(void) {
    changes++;
    explore_wake(&changes, EXPLORE_THREADS);
}

static node_t *node_of(pdac_chunk_t *chunk) { return (node_t *)(void *)((char *)chunk - offsetof(node_t, chunk)); }

void pdac_chunk_spawn(pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    node_t *node = node_of(chunk);
    (void)on;
    plain_store_u32(&node->held, plain_load_u32(&node->held) + 1);
    atomic_store_release_u32(&node->handed, 1);
    EXPLORE_EXPECT(list_count < node_count, "P1: a chunk is spawned twice");
    list[list_count++] = node;
    tell_all();
}

// NULL: all are over.
static node_t *take_up(void) {
    while (over < node_count) {
        uint32_t seen = changes;
        if (list_count > 0) {
            unsigned at = (unsigned)explore_draw(list_count);
            node_t *node = list[at];
            list[at] = list[--list_count];
            EXPLORE_EXPECT(atomic_exchange_acquire_u32(&node->handed, 0) == 1, "P1: a chunk is taken twice");
            return node;
        }
        explore_wait(&changes, sizeof changes, seen, false);
    }
    return NULL;
}

static void run_body(node_t *node, const pdac_vector_t *vector) {
    EXPLORE_EXPECT(++node->runs == 1, "P1: a node runs twice");
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        used[d] += vector->of[d];
        EXPLORE_EXPECT(used[d] <= (int64_t)engine->system.of[d], "P2: more than there is");
    }
    (void)atomic_fetch_add_relaxed_u32(busy, 1);
    (void)atomic_fetch_add_relaxed_u32(busy, 1);
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        used[d] -= vector->of[d];
    }
}

// As pdac_run_any does it with a chunk of one node.
static void work(node_t *node, pdac_lane_t *lane) {
    pdac_chunk_t *chunk = &node->chunk;
    const pdac_vector_t *vector = &needs[ready_at(chunk->ready[0])];
    uint64_t seen = 0;
    plain_store_u32(&node->held, plain_load_u32(&node->held) + 1);
    EXPLORE_EXPECT(node->tries < TRIES_MOST, "P5: a node is refused for ever");
    if (!chunk->admitted && !pdac_admit(engine, lane, vector, &seen)) {
        bool patient = ++node->tries < patience;
        chunk->woken = false;
        if (patient || !pdac_claim(engine, lane, chunk, NULL)) {
            pdac_block(engine, chunk, seen, NULL);
        }
        return;
    }
    chunk->admitted = false;
    if (chunk->woken) {
        chunk->woken = false;
        pdac_wake(engine, NULL);
    }
    run_body(node, vector);
    pdac_release(engine, lane, vector, NULL);
    if (++over == node_count) {
        tell_all();
    }
}

static void run(unsigned thread) {
    for (node_t *node = take_up(); node != NULL; node = take_up()) {
        work(node, &engine->lanes[thread]);
    }
}

static void draw_needs(void) {
    needs = shared_alloc_aligned(node_count * sizeof *needs);
    graph->cell_needs = needs;
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        engine->system.of[d] = d % 3 == 0 ? 1 + (pdac_amount_t)explore_draw(AMOUNT_MOST) : PDAC_AMOUNT_MAX;
        for (unsigned i = 0; i < node_count; i++) {
            needs[i].of[d] = d % 3 == 0 ? (pdac_amount_t)explore_draw(engine->system.of[d] + 1) : 0;
        }
    }
}

static void set_up(unsigned threads) {
    node_count = threads + (unsigned)explore_draw(NODES_MOST - threads + 1);
    patience = 1 + (unsigned)explore_draw(4);
    over = 0;
    list_count = 0;
    memset(used, 0, sizeof used);
    engine = shared_alloc_aligned(sizeof *engine);
    graph = shared_alloc_aligned(sizeof *graph);
    busy = shared_alloc(sizeof *busy);
    engine->lanes = shared_alloc_aligned(threads * sizeof *engine->lanes);
    engine->rooms = shared_alloc_aligned((threads + 1) * sizeof *engine->rooms);
    for (unsigned i = 0; i < threads; i++) {
        engine->lanes[i].spare = i + 1;
    }
    if (explore_draw(2) == 0) { // about to begin anew with its count
        atomic_store_relaxed_u64(&engine->current, (UINT64_MAX - explore_draw(4)) << ROOM_SHIFT);
    }
    draw_needs();
    for (unsigned i = 0; i < node_count; i++) {
        nodes[i] = shared_alloc_aligned(sizeof **nodes);
        nodes[i]->chunk.graph = graph;
        nodes[i]->chunk.count = 1;
        nodes[i]->chunk.ready[0] = i;
        pdac_chunk_spawn(&nodes[i]->chunk, NULL);
    }
}
static void set_up_two(void) { set_up(2); }
static void set_up_three(void) { set_up(3); }
static void set_up_four(void) { set_up(4); }

static void finish(void) {
    pdac_vector_t left = pdac_in_use(engine);
    for (unsigned d = 0; d < PDAC_DIMENSIONS; d++) {
        EXPLORE_EXPECT(left.of[d] == 0, "P2: something is in use when nothing runs");
    }
    EXPLORE_EXPECT(atomic_load_relaxed_u64(&engine->blocked) == 0, "P5: somebody waits when nothing runs");
    EXPLORE_EXPECT(atomic_load_relaxed_u64(&engine->claimed) == 0, "P5: somebody is next when nothing runs");
    for (unsigned i = 0; i < node_count; i++) {
        EXPLORE_EXPECT(nodes[i]->runs == 1, "P1: a node has not run");
        shared_free(nodes[i]);
    }
    shared_free(needs);
    shared_free(busy);
    shared_free(engine->lanes);
    shared_free(engine->rooms);
    shared_free(graph);
    shared_free(engine);
}

static const explore_scenario_t scenarios[] = {
    {"room_two", 2, set_up_two, run, finish},
    {"room_three", 3, set_up_three, run, finish},
    {"room_four", 4, set_up_four, run, finish},
};
EXPLORE_SCENARIOS("pdac", "P1,P2,P5", scenarios)
