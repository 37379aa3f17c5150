/* The oracles of pdac_mix. They keep accounts of their own, and trust of the engine only when it calls whom. */
#ifndef ORCH_PDAC_MIX_H
#define ORCH_PDAC_MIX_H

#include "dag.h"

#define MIX_NO_GUARD UINT32_MAX
#define MIX_RIGHT CAPABILITY_RIGHT_EXECUTE

enum { MIX_CLASSES = 4, MIX_DIMENSIONS = 3, MIX_SYSTEM = 150, MIX_TICKETS = 16 };
extern const uint32_t mix_tickets[MIX_CLASSES];

typedef struct {
    uint32_t from, to;
} mix_edge_t;

/* Of one worker; written by it alone. */
typedef struct {
    _Alignas(128) capability_thread_t *seat;
    rng_t rng;
    uint64_t batches, contested;
    uint32_t word; /* of the guard of the node that it dispatches, when the dispatch began */
    uint64_t last_turn;
    int64_t turns, had[MIX_CLASSES]; /* in this stretch of contested turns */
} mix_lane_t;

typedef struct {
    dag_t dag; /* first */
    capability_table_t *table;
    capability_thread_t *seat;
    uint32_t nodes, edges, capabilities, work;
    cap_id_t *ids;
    /* P4: times that the right was given or taken * 4 + one of MIX_GIVEN ..; written by who holds the lock of it */
    _Atomic(uint32_t) *words;
    uint32_t *guard; /* by node */
    pdac_vector_t *needs;
    mix_edge_t *edge;
    uint32_t *first_in, *in;   /* P1: the nodes before each */
    _Atomic(uint32_t) *marks;  /* P1: by node, the last run in which its body ran */
    _Alignas(128) _Atomic(int64_t) used[MIX_DIMENSIONS]; /* P2 */
    _Atomic(uint64_t) bodies;  /* of this run */
    mix_lane_t *lanes;
    uint64_t runs;
    pdac_outcome_t total;
} mix_t;

mix_t *mix_create(run_t *run, uint32_t nodes, uint32_t fan, uint32_t capabilities); /* NULL after run_fail */
bool mix_index(run_t *run, mix_t *mix);
void mix_destroy(mix_t *mix);

void mix_body(void *context, pdac_node_t node, uint32_t worker);
void mix_observe(void *observer, const pdac_pick_t *pick);
void mix_judge(dag_t *dag, worker_t *worker);
/* Takes a right that is given, or gives one that is taken. */
void mix_change(worker_t *worker, mix_t *mix, mix_lane_t *lane);

static inline bool mix_chance(rng_t *rng, double share) { return (double)(rng_next(rng) >> 11) * 0x1p-53 < share; }

#endif
