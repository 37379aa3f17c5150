// A scheduler, an engine, and threads that drive a graph to its end; and a model of a graph that its bodies are held against.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "expect.h"
#include "pdac.h"

typedef struct random {
    uint64_t state;
} random_t;

static inline uint32_t random_below(random_t *random, uint32_t below) {
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random->state >> 33) % below);
}

// --- threads ------------------------------------------------------------------------------------------------------

enum { CREW_MOST = 8 };

typedef struct crew {
    scheduler_lockfree_t *scheduler;
    pdac_graph_t *graph;
    int threads;
    atomic_int idle;       // threads that found nothing to run
    atomic_uint_least64_t entries; // times that one began to look
    atomic_bool stuck;
} crew_t;

typedef struct hand {
    crew_t *crew;
    uint32_t cpu;
} crew_hand_t;

// Nobody runs anything, nothing is queued, and the graph is not over: it never will be. No clock is asked.
static inline bool crew_is_stuck(crew_t *crew) {
    uint64_t entries = crew->entries;
    return crew->idle == crew->threads && scheduler_queued(crew->scheduler) == 0 && !pdac_is_over(crew->graph) &&
           crew->idle == crew->threads && crew->entries == entries;
}

static inline void *crew_work(void *argument) {
    crew_hand_t *hand = argument;
    crew_t *crew = hand->crew;
    scheduler_cpu_t *on = NULL;
    EXPECT_EQ(scheduler_attach(crew->scheduler, hand->cpu, &on), STATUS_OK);
    while (!pdac_is_over(crew->graph) && !crew->stuck) {
        crew->entries++;
        if (scheduler_run(on, 1000) == 0) {
            crew->idle++;
            if (crew_is_stuck(crew)) {
                crew->stuck = true;
            }
            sched_yield();
            crew->idle--;
        }
    }
    scheduler_detach(on);
    return NULL;
}

// Starts the graph, and runs it to its end. False where it got stuck.
static inline bool crew_run(scheduler_lockfree_t *scheduler, pdac_graph_t *graph, int threads) {
    crew_t crew = {.scheduler = scheduler, .graph = graph, .threads = threads};
    pthread_t handles[CREW_MOST];
    crew_hand_t hands[CREW_MOST];
    EXPECT_EQ(pdac_start(graph), STATUS_OK);
    for (int i = 1; i < threads; i++) {
        hands[i] = (crew_hand_t){&crew, (uint32_t)i};
        EXPECT_EQ(pthread_create(&handles[i], NULL, crew_work, &hands[i]), 0);
    }
    hands[0] = (crew_hand_t){&crew, 0};
    crew_work(&hands[0]);
    for (int i = 1; i < threads; i++) {
        pthread_join(handles[i], NULL);
    }
    return !crew.stuck;
}

static inline scheduler_lockfree_t *bed_scheduler(int cpus) {
    scheduler_config_t config = {.cpus = (uint32_t)cpus};
    scheduler_lockfree_t *scheduler = NULL;
    EXPECT_EQ(scheduler_create(&config, &scheduler), STATUS_OK);
    return scheduler;
}

// --- the model ----------------------------------------------------------------------------------------------------

enum { MODEL_NODES = 4096, MODEL_EDGES = 16384 };

// P1: every body runs once per run, after those before it.
typedef struct model {
    uint32_t nodes, edges;
    pdac_node_t edge[MODEL_EDGES][2];
    uint32_t first_in[MODEL_NODES + 1]; // edges by their end
    pdac_node_t in[MODEL_EDGES];
    atomic_uint_least32_t runs[MODEL_NODES]; // of the body
    uint32_t run;                            // the number of the run
} model_t;

static inline void model_index(model_t *model) {
    memset(model->first_in, 0, sizeof model->first_in);
    for (uint32_t e = 0; e < model->edges; e++) {
        model->first_in[model->edge[e][1] + 1]++;
    }
    for (uint32_t i = 0; i < model->nodes; i++) {
        model->first_in[i + 1] += model->first_in[i];
    }
    uint32_t at[MODEL_NODES];
    memcpy(at, model->first_in, sizeof at);
    for (uint32_t e = 0; e < model->edges; e++) {
        model->in[at[model->edge[e][1]]++] = model->edge[e][0];
    }
}

static inline void model_body(void *context, pdac_node_t node, uint32_t worker) {
    model_t *model = context;
    (void)worker;
    for (uint32_t i = model->first_in[node]; i < model->first_in[node + 1]; i++) {
        EXPECT_EQ(atomic_load_explicit(&model->runs[model->in[i]], memory_order_relaxed), model->run);
    }
    EXPECT_EQ(atomic_fetch_add_explicit(&model->runs[node], 1, memory_order_relaxed), model->run - 1);
}

// A random graph in a mixed order of numbers: `spread` is how far edges reach at most.
static inline void model_draw(model_t *model, random_t *random, uint32_t nodes, uint32_t edges, uint32_t spread) {
    pdac_node_t order[MODEL_NODES];
    memset(model, 0, sizeof *model);
    model->nodes = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        order[i] = i;
    }
    for (uint32_t i = nodes; i > 1 && random_below(random, 4); i--) {
        uint32_t other = random_below(random, i);
        pdac_node_t kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
    for (uint32_t e = 0; e < edges && nodes > 1; e++) {
        uint32_t from = random_below(random, nodes - 1);
        uint32_t reach = nodes - 1 - from < spread ? nodes - 1 - from : spread;
        uint32_t to = from + 1 + random_below(random, reach);
        model->edge[model->edges][0] = order[from];
        model->edge[model->edges++][1] = order[to];
    }
    model_index(model);
}
