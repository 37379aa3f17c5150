// Engines, and the beginning and end of runs.
#include "pdac_layout.h"

#include <string.h>

// --- the engine ---------------------------------------------------------------------------------------------------

static bool make_lanes(pdac_t *engine, uint64_t seed) {
    uint32_t count = engine->lanes_count;
    engine->lanes = shared_alloc_aligned(count * sizeof *engine->lanes);
    engine->rooms = shared_alloc_aligned((count + 1) * sizeof *engine->rooms);
    if (engine->lanes == NULL || engine->rooms == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        engine->lanes[i].spare = i + 1;
        // each worker begins elsewhere in the period, so that together they do not bunch
        uint32_t period = pdac_lottery_period(engine->lottery);
        uint32_t first = (uint32_t)(((uint64_t)i * period) / count + seed % period) % period;
        engine->lanes[i].place = (engine->lottery->start + first) % period;
    }
    return true;
}

status_t pdac_create(const pdac_config_t *config, pdac_t **engine) {
    static const uint32_t one[1] = {1};
    if (config->scheduler == NULL || (config->classes > 1 && config->tickets == NULL)) {
        return STATUS_INVALID;
    }
    pdac_t *made = shared_alloc_aligned(sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->scheduler = config->scheduler;
    made->gate = config->gate;
    made->metered = config->system != NULL;
    if (made->metered) {
        made->system = *config->system;
    }
    made->classes = config->classes == 0 ? 1 : config->classes;
    made->observe = config->observe;
    made->observer = config->observer;
    made->lanes_count = scheduler_cpus(config->scheduler);
    const uint32_t *tickets = config->tickets == NULL ? one : config->tickets;
    status_t status = pdac_lottery_create(tickets, made->classes, config->seed, &made->lottery);
    if (status == STATUS_OK && !make_lanes(made, config->seed)) {
        status = STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        pdac_destroy(made);
        return status;
    }
    *engine = made;
    return STATUS_OK;
}

void pdac_destroy(pdac_t *engine) {
    shared_free(engine->lanes);
    shared_free(engine->rooms);
    pdac_lottery_destroy(engine->lottery);
    shared_free(engine);
}

// --- runs ---------------------------------------------------------------------------------------------------------

static task_verdict_t run_chunk(task_t *task, scheduler_cpu_t *on) {
    pdac_chunk_t *chunk = task->argument;
    return chunk->graph->plain ? pdac_run_plain(chunk, on) : pdac_run_any(chunk, on);
}

void pdac_chunk_spawn(pdac_chunk_t *chunk, scheduler_cpu_t *on) {
    task_init(&chunk->task, run_chunk, chunk, TASK_PRIORITY_NORMAL, NULL);
    scheduler_spawn(on, &chunk->task);
}

status_t pdac_start(pdac_graph_t *graph) {
    uint32_t idle = 0;
    if (!graph->sealed) {
        return STATUS_INVALID;
    }
    /* edge RUN:RA — what the run before did, and wrote to its outcome; :R is in end_run */
    if (!atomic_cas_acq_rel_u32(&graph->running, &idle, 1)) {
        return STATUS_BUSY;
    }
    /* relaxed: the run is ours, and the scheduler publishes it with the chunk */
    atomic_store_relaxed_u64(&graph->left, graph->nodes);
    /* relaxed: as above */
    atomic_store_relaxed_u32(&graph->run, atomic_load_relaxed_u32(&graph->run) + 1);
    if (graph->nodes == 0) {
        pdac_account(graph, 0);
        return STATUS_OK;
    }
    pdac_chunk_t *chunk = pdac_pool_take(&graph->spare); // all are free
    chunk->count = graph->roots_count;
    memcpy(chunk->ready, graph->roots, sizeof graph->roots);
    memset(chunk->tries, 0, sizeof chunk->tries);
    chunk->woken = chunk->admitted = false;
    task_t *task = &chunk->task;
    task_init(task, run_chunk, chunk, TASK_PRIORITY_NORMAL, NULL);
    (void)scheduler_enqueue_wide(graph->engine->scheduler, &task, 1, SCHEDULER_ANY_CPU);
    return STATUS_OK;
}

static void end_run(pdac_graph_t *graph) {
    pdac_over_fn_t *over = graph->over;
    void *context = graph->over_context;
    /* relaxed: the counter of what is left orders them */
    uint64_t refused = atomic_load_relaxed_u64(&graph->refused);
    /* relaxed: as above */
    uint64_t skipped = atomic_load_relaxed_u64(&graph->skipped);
    graph->outcome =
        (pdac_outcome_t){.ran = graph->nodes - refused - skipped, .refused = refused, .skipped = skipped};
    /* relaxed: published with the end of the run */
    atomic_store_relaxed_u64(&graph->refused, 0);
    /* relaxed: as above */
    atomic_store_relaxed_u64(&graph->skipped, 0);
    /* edge RUN:R — all that the run did; :A is in pdac_is_over */
    atomic_store_release_u32(&graph->running, 0);
    if (over != NULL) {
        over(context, graph);
    }
}

void pdac_account(pdac_graph_t *graph, uint64_t over) {
    /* edge LEFT:RA — what this worker did, for the one that ends the run; :RA is in pdac_account */
    if (atomic_fetch_sub_acq_rel_u64(&graph->left, over) == over) {
        end_run(graph);
    }
}

bool pdac_is_over(const pdac_graph_t *graph) {
    /* edge RUN:A — all that the run did; :R is in end_run */
    return atomic_load_acquire_u32(&graph->running) == 0;
}

pdac_outcome_t pdac_outcome(const pdac_graph_t *graph) { return graph->outcome; }

void pdac_set_over(pdac_graph_t *graph, pdac_over_fn_t *over, void *context) {
    graph->over = over;
    graph->over_context = context;
}
