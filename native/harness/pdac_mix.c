#include "pdac_mix.h"

#include <string.h>

const uint32_t mix_tickets[MIX_CLASSES] = {8, 4, 3, 1};

enum { MIX_GIVEN, MIX_TAKING, MIX_TAKEN, MIX_GIVING, MIX_STEP = 4 };

mix_t *mix_create(run_t *run, uint32_t nodes, uint32_t fan, uint32_t capabilities) {
    mix_t *mix = aligned_alloc(_Alignof(mix_t), sizeof *mix);
    size_t threads = (size_t)run->options->threads;
    if (mix) {
        memset(mix, 0, sizeof *mix);
        mix->nodes = nodes;
        mix->edges = nodes * fan;
        mix->capabilities = capabilities;
        mix->ids = calloc(capabilities, sizeof *mix->ids);
        mix->words = calloc(capabilities, sizeof *mix->words);
        mix->guard = calloc(nodes, sizeof *mix->guard);
        mix->needs = aligned_alloc(_Alignof(pdac_vector_t), nodes * sizeof *mix->needs);
        mix->edge = calloc(mix->edges + 1, sizeof *mix->edge);
        mix->first_in = calloc((size_t)nodes + 2, sizeof *mix->first_in);
        mix->in = calloc(mix->edges + 1, sizeof *mix->in);
        mix->marks = calloc(nodes, sizeof *mix->marks);
        mix->lanes = aligned_alloc(_Alignof(mix_lane_t), threads * sizeof *mix->lanes);
    }
    if (!mix || !mix->ids || !mix->words || !mix->guard || !mix->needs || !mix->edge || !mix->first_in || !mix->in ||
        !mix->marks || !mix->lanes) {
        run_fail(run, "memory exhausted: %u nodes with %u edges", nodes, nodes * fan);
        return NULL;
    }
    memset(mix->lanes, 0, threads * sizeof *mix->lanes);
    return mix;
}

bool mix_index(run_t *run, mix_t *mix) {
    uint32_t *at = calloc((size_t)mix->nodes + 1, sizeof *at);
    if (!at) {
        run_fail(run, "memory exhausted: %u nodes", mix->nodes);
        return false;
    }
    for (uint32_t e = 0; e < mix->edges; e++)
        mix->first_in[mix->edge[e].to + 1]++;
    for (uint32_t i = 0; i < mix->nodes; i++)
        mix->first_in[i + 1] += mix->first_in[i];
    memcpy(at, mix->first_in, mix->nodes * sizeof *at);
    for (uint32_t e = 0; e < mix->edges; e++)
        mix->in[at[mix->edge[e].to]++] = mix->edge[e].from;
    free(at);
    return true;
}

void mix_destroy(mix_t *mix) {
    capability_thread_leave(mix->seat);
    capability_table_destroy(mix->table);
    free(mix->ids);
    free((void *)mix->words);
    free(mix->guard);
    free(mix->needs);
    free(mix->edge);
    free(mix->first_in);
    free(mix->in);
    free((void *)mix->marks);
    free(mix->lanes);
    free(mix);
}

/* ---- P4 ---- */
static uint32_t guard_word(mix_t *mix, uint32_t node) {
    uint32_t guard = mix->guard[node];
    return guard == MIX_NO_GUARD ? MIX_GIVEN : atomic_load(&mix->words[guard]);
}

/* The right was taken when the dispatch began, and is not even being given back: it was taken all the time. */
static void judge_guard(mix_t *mix, const mix_lane_t *lane, pdac_node_t node, worker_t *worker) {
    uint32_t word = guard_word(mix, node);
    if (word == lane->word && word % MIX_STEP == MIX_TAKEN)
        run_violation(worker, "P4", "node %u ran although its right was taken before its dispatch began", node);
}

void mix_change(worker_t *worker, mix_t *mix, mix_lane_t *lane) {
    uint32_t which = rng_below(&lane->rng, mix->capabilities);
    uint32_t word = atomic_load(&mix->words[which]);
    bool take = word % MIX_STEP == MIX_GIVEN;
    if (!take && word % MIX_STEP != MIX_TAKEN)
        return; /* another worker is at it */
    if (take && rng_below(&lane->rng, 8) != 0)
        return; /* so that most are given, and most nodes run */
    if (!atomic_compare_exchange_strong(&mix->words[which], &word, word + 1))
        return;
    status_t status = take ? capability_attenuate(lane->seat, mix->ids[which], MIX_RIGHT)
                           : capability_grant(lane->seat, mix->ids[which], MIX_RIGHT);
    if (status != STATUS_OK)
        run_fail(worker->run, "a right could not be changed: %s", status_name(status));
    atomic_store(&mix->words[which], word + 2);
}

/* ---- P3 ---- */
static void judge_share(mix_t *mix, mix_lane_t *lane, const pdac_pick_t *pick) {
    if (!pick->contested || pick->turn != lane->last_turn + 1) {
        lane->turns = 0;
        memset(lane->had, 0, sizeof lane->had);
    }
    if (!pick->contested)
        return;
    lane->contested++;
    lane->last_turn = pick->turn;
    lane->turns++;
    lane->had[pick->class]++;
    for (int i = 0; i < MIX_CLASSES; i++) {
        int64_t stray = lane->had[i] * MIX_TICKETS - lane->turns * (int64_t)mix_tickets[i];
        if (stray >= 2 * MIX_TICKETS || stray <= -2 * MIX_TICKETS)
            run_violation(mix->dag.workers[pick->worker], "P3", "class %d had %lld of %lld dispatches with %u of %d tickets", i,
                          (long long)lane->had[i], (long long)lane->turns, mix_tickets[i], MIX_TICKETS);
    }
}

void mix_observe(void *observer, const pdac_pick_t *pick) {
    mix_t *mix = observer;
    mix_lane_t *lane = &mix->lanes[pick->worker];
    lane->word = guard_word(mix, pick->node);
    judge_share(mix, lane, pick);
}

/* ---- P2 ---- */
static void hold(mix_t *mix, const pdac_vector_t *needs, worker_t *worker) {
    for (int d = 0; d < MIX_DIMENSIONS; d++) {
        int64_t used = atomic_fetch_add(&mix->used[d], (int64_t)needs->of[d]) + (int64_t)needs->of[d];
        if (used > MIX_SYSTEM)
            run_violation(worker, "P2", "bodies held %lld of dimension %d together, the system has %d", (long long)used, d, MIX_SYSTEM);
    }
}

static void give_back(mix_t *mix, const pdac_vector_t *needs) {
    for (int d = 0; d < MIX_DIMENSIONS; d++)
        atomic_fetch_sub(&mix->used[d], (int64_t)needs->of[d]);
}

/* ---- P1 ---- */
static void judge_order(mix_t *mix, pdac_node_t node, worker_t *worker) {
    uint32_t run = atomic_load_explicit(&mix->dag.run, memory_order_relaxed);
    for (uint32_t i = mix->first_in[node]; i < mix->first_in[node + 1]; i++)
        if (atomic_load_explicit(&mix->marks[mix->in[i]], memory_order_relaxed) != run)
            run_violation(worker, "P1", "node %u ran in run %u, and %u before it had not", node, run, mix->in[i]);
    if (atomic_exchange_explicit(&mix->marks[node], run, memory_order_relaxed) == run)
        run_violation(worker, "P1", "node %u ran twice in run %u", node, run);
}

void mix_body(void *context, pdac_node_t node, uint32_t worker) {
    mix_t *mix = context;
    worker_t *self = mix->dag.workers[worker];
    judge_guard(mix, &mix->lanes[worker], node, self);
    hold(mix, &mix->needs[node], self);
    judge_order(mix, node, self);
    for (uint32_t i = 0; i < mix->work; i++)
        __asm__ volatile("" : : "r"(i));
    atomic_fetch_add_explicit(&mix->bodies, 1, memory_order_relaxed);
    give_back(mix, &mix->needs[node]);
}

void mix_judge(dag_t *dag, worker_t *worker) {
    mix_t *mix = (mix_t *)dag;
    pdac_outcome_t outcome = pdac_outcome(dag->graph);
    uint64_t bodies = atomic_exchange(&mix->bodies, 0);
    if (outcome.ran != bodies || outcome.ran + outcome.refused + outcome.skipped != mix->nodes)
        run_violation(worker, "P1", "%llu bodies ran; the outcome says %llu, and %llu refused and %llu skipped of %u",
                      (unsigned long long)bodies, (unsigned long long)outcome.ran, (unsigned long long)outcome.refused,
                      (unsigned long long)outcome.skipped, mix->nodes);
    mix->runs++;
    mix->total.ran += outcome.ran;
    mix->total.refused += outcome.refused;
    mix->total.skipped += outcome.skipped;
}
