/* Everything at once: a random graph with guards, vectors and classes, while rights are taken and given back. P1 to P5 are held by the
 * bodies and the observer, with accounts of their own. */
#include "dag.h"

#include <string.h>

#include "pdac_mix.h"

enum { NODES, FAN, CAPABILITIES, GUARDED, METERED, WORK, CHANGE_EVERY };

static const setting_t settings[] = {
    [NODES] = SETTING_INTEGER("nodes", 4096, 16, 1 << 20, "nodes of the graph"),
    [FAN] = SETTING_INTEGER("fan", 2, 0, 16, "edges for each node"),
    [CAPABILITIES] = SETTING_INTEGER("capabilities", 64, 1, 1 << 16, "capabilities that guard nodes"),
    [GUARDED] = SETTING_NUMBER("guarded", 0.25, 0, 1, "share of the nodes that have a guard"),
    [METERED] = SETTING_NUMBER("metered", 0.5, 0, 1, "share of the nodes that need resources"),
    [WORK] = SETTING_INTEGER("work", 50, 0, 1 << 20, "turns of a loop in each body"),
    [CHANGE_EVERY] = SETTING_INTEGER("change_every", 4, 1, 1 << 20, "batches of a worker between two changes of a right"),
};

static bool make_capabilities(run_t *run, mix_t *mix) {
    capability_config_t config = {.capacity = 2u * (uint64_t)mix->capabilities + (1u << 16)};
    bool good = dag_good(run, capability_table_create(&config, &mix->table), "the table") &&
                dag_good(run, capability_thread_join(mix->table, &mix->seat), "a seat at the table");
    for (uint32_t i = 0; i < mix->capabilities && good; i++)
        good = dag_good(run, capability_create(mix->seat, i, MIX_RIGHT, &mix->ids[i]), "a capability");
    return good;
}

static pdac_vector_t draw_needs(const run_t *run, rng_t *rng) {
    pdac_vector_t needs = {{0}};
    if (mix_chance(rng, run_float(run, METERED)))
        for (int d = 0; d < MIX_DIMENSIONS; d++)
            needs.of[d] = rng_below(rng, 8) ? rng_below(rng, 60) : rng_below(rng, MIX_SYSTEM + 1);
    return needs;
}

/* Edges go to higher numbers, and not too far, so that many nodes are ready at once. */
static bool make_graph(run_t *run, mix_t *mix, rng_t *rng) {
    dag_t *dag = &mix->dag;
    status_t status = pdac_graph_create(dag->engine, mix->nodes, mix->nodes * (uint32_t)run_int(run, FAN), &dag->graph);
    for (uint32_t i = 0; i < mix->nodes && status == STATUS_OK; i++) {
        pdac_node_t node = 0;
        mix->needs[i] = draw_needs(run, rng);
        mix->guard[i] = mix_chance(rng, run_float(run, GUARDED)) ? rng_below(rng, mix->capabilities) : MIX_NO_GUARD;
        guard_t guard = {mix->guard[i] == MIX_NO_GUARD ? CAPABILITY_NONE : mix->ids[mix->guard[i]], MIX_RIGHT};
        pdac_task_t task = {.body = mix_body,
                            .context = mix,
                            .needs = &mix->needs[i],
                            .guards = &guard,
                            .guards_count = mix->guard[i] != MIX_NO_GUARD,
                            .class = rng_below(rng, MIX_CLASSES)};
        status = pdac_add(dag->graph, &task, &node);
    }
    for (uint32_t i = 0; i < mix->edges && status == STATUS_OK; i++) {
        uint32_t to = 1 + rng_below(rng, mix->nodes - 1);
        uint32_t reach = to < 512 ? to : 512;
        mix->edge[i] = (mix_edge_t){to - 1 - rng_below(rng, reach), to};
        status = pdac_connect(dag->graph, mix->edge[i].from, to);
    }
    return dag_good(run, status, "the graph") && mix_index(run, mix);
}

static bool setup(run_t *run) {
    static const pdac_vector_t system = {{MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM, MIX_SYSTEM}};
    mix_t *mix = mix_create(run, (uint32_t)run_int(run, NODES), (uint32_t)run_int(run, FAN), (uint32_t)run_int(run, CAPABILITIES));
    run->shared = mix;
    if (!mix || !make_capabilities(run, mix))
        return false;
    mix->work = (uint32_t)run_int(run, WORK);
    rng_t rng = rng_seeded(run->options->seed);
    pdac_config_t config = {.gate = guarded_gate_of(mix->table),
                            .system = &system,
                            .tickets = mix_tickets,
                            .classes = MIX_CLASSES,
                            .seed = run->options->seed,
                            .observe = mix_observe,
                            .observer = mix};
    mix->dag.judge = mix_judge;
    return dag_create(run, &mix->dag, &config) && make_graph(run, mix, &rng) && dag_begin(run, &mix->dag);
}

static bool enter(worker_t *worker) {
    mix_t *mix = worker->run->shared;
    mix_lane_t *lane = &mix->lanes[worker->index];
    lane->rng = rng_seeded(worker->seed);
    return dag_good(worker->run, capability_thread_join(mix->table, &lane->seat), "a seat at the table") &&
           dag_enter(worker, &mix->dag);
}

static uint64_t batch(worker_t *worker) {
    mix_t *mix = worker->run->shared;
    mix_lane_t *lane = &mix->lanes[worker->index];
    dag_start_once(worker, &mix->dag);
    if (lane->batches++ % (uint64_t)run_int(worker->run, CHANGE_EVERY) == 0)
        mix_change(worker, mix, lane);
    return dag_batch(worker, &mix->dag);
}

static void leave(worker_t *worker) {
    mix_t *mix = worker->run->shared;
    dag_leave(worker, &mix->dag);
    capability_thread_leave(mix->lanes[worker->index].seat);
}

static void finish(worker_t *worker) {
    run_t *run = worker->run;
    mix_t *mix = run->shared;
    uint64_t contested = 0;
    for (int i = 0; i < mix->dag.threads; i++)
        contested += mix->lanes[i].contested;
    pdac_vector_t used = pdac_in_use(mix->dag.engine);
    for (int d = 0; d < PDAC_DIMENSIONS && !atomic_load(&mix->dag.stuck); d++)
        if (used.of[d] != 0)
            run_violation(worker, "P2", "%u of dimension %d are in use at the end", used.of[d], d);
    run_counter(run, "runs", (double)mix->runs, "1");
    run_counter(run, "ran", (double)mix->total.ran, "1");
    run_counter(run, "refused", (double)mix->total.refused, "1");
    run_counter(run, "skipped", (double)mix->total.skipped, "1");
    run_counter(run, "contested", (double)contested, "1");
    dag_destroy(&mix->dag);
    mix_destroy(mix);
}

static bench_t bench = {
    .name = "pdac_mix",
    .summary = "Random graphs with guards, vectors and classes, while rights change: every contract of PDAC, held by its oracle.",
    .unit_of_work = "one node, with its oracles",
    .contracts = "P1,P2,P3,P4,P5",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .check = account_threads_fit,
    .setup = setup,
    .enter = enter,
    .batch = batch,
    .leave = leave,
    .finish = finish,
};
BENCH_REGISTER(bench)
