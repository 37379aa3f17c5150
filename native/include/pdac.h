// PDAC, a probabilistic DAG algebra with capabilities: tasks with an order, resource vectors, guards and classes, run by
// the scheduler.
//
// A graph is written once (add, connect), sealed, and then run as often as one likes; nothing is built again between runs.
// A node is ready when all its predecessors are over. A ready node is dispatched: its guards are looked at, its resources are
// admitted, its body runs, and it is over. Which of the ready nodes a worker dispatches next is drawn by class.
//
// Contract (docs/native/pdac.md has the arguments)
//   P1  Order. In each run every node is over exactly once, and a body begins after the bodies of all predecessors have
//       returned, and sees what they did. Cycles are refused when the edge is added.
//   P2  Admission. At no moment do the vectors of the bodies that run in one engine, added up, exceed the system vector in any dimension.
//   P3  Shares. While a worker holds ready nodes of every class and room is refused to none, any stretch of n dispatches by it has
//       n * tickets / total of a class, within fewer than 2. A class with nothing ready leaves its turn to the next; nobody is owed for
//       turns he left.
//   P4  Guards. Where a call that ends a guard's capability, or takes a needed right from it, has returned before a dispatch begins, the
//       body never runs. The node is refused; what comes after it in the order is skipped, all of it, and nothing else.
//   P5  No deadlock, no starvation. A vector above the system's is refused when the node is added, so a run whose bodies
//       return, ends. A node that was refused room PDAC_PATIENCE times is next: nothing else is admitted before it.
//   With one worker, the same graph, tickets and seed give the same order of dispatches.
//
// Who may call what: building (add, connect, seal, compose) by one thread per graph, and not while it runs. Different graphs beside
// each other. start from any worker of the scheduler, or from outside; is_over and outcome from anywhere.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capability.h"
#include "guarded.h"
#include "scheduler.h"
#include "status.h"

// --- resource vectors ---------------------------------------------------------------------------------------------

enum pdac_dimension {
    PDAC_CPU,
    PDAC_MEMORY,
    PDAC_IO,
    PDAC_NETWORK,
    PDAC_GPU,
    PDAC_DISK,
    PDAC_IRQ,
    PDAC_CAPABILITIES, // a budget
    PDAC_DIMENSIONS
};

// Fixed point, 16 bits before and 16 behind the point. A vector is half a cache line, and one vector register.
typedef uint32_t pdac_amount_t;
#define PDAC_ONE ((pdac_amount_t)1 << 16)
#define PDAC_AMOUNT_MAX UINT32_MAX

typedef struct pdac_vector {
    _Alignas(32) pdac_amount_t of[PDAC_DIMENSIONS];
} pdac_vector_t;

_Static_assert(sizeof(pdac_vector_t) == 32, "one vector register");

// Sums stop at PDAC_AMOUNT_MAX; a difference that would be negative is 0.
pdac_vector_t pdac_vector_sum(const pdac_vector_t *a, const pdac_vector_t *b);
pdac_vector_t pdac_vector_difference(const pdac_vector_t *a, const pdac_vector_t *b);
pdac_vector_t pdac_vector_max(const pdac_vector_t *a, const pdac_vector_t *b);
// Whether a <= b in every dimension.
bool pdac_vector_fits(const pdac_vector_t *a, const pdac_vector_t *b);
// Which of `count` vectors fit into `room`: bit i % 64 of word i / 64; bits behind the last are 0. How many do. Portable, AVX2 and
// AVX-512 forms with the same answers, chosen once (cpu_features.h).
size_t pdac_vectors_fit(const pdac_vector_t *vectors, size_t count, const pdac_vector_t *room, uint64_t *mask);

// --- the lottery --------------------------------------------------------------------------------------------------
// Tickets are dealt out to the turns of a period in advance: the k-th turn of a class lies between the Beatty numbers
// floor((k - 1) * total / tickets) and ceil(k * total / tickets) - 1, earliest end first, equals in an order that the seed gives; and
// the seed says where in the period one begins. So a period holds exactly `tickets` turns of each class, and no stretch
// strays: fewer than 1 from the start, fewer than 2 anywhere.

#define PDAC_CLASSES 16u
#define PDAC_TICKETS_MAX 4096u // all classes together, after division by their greatest common divisor

typedef struct pdac_lottery pdac_lottery_t;

// `tickets[0 .. classes-1]`, each at least 1. OK, INVALID or NO_MEMORY.
status_t pdac_lottery_create(const uint32_t *tickets, uint32_t classes, uint64_t seed, pdac_lottery_t **lottery);
void pdac_lottery_destroy(pdac_lottery_t *lottery);
uint32_t pdac_lottery_period(const pdac_lottery_t *lottery);
// The class whose turn it is, for any turn.
uint32_t pdac_lottery_class(const pdac_lottery_t *lottery, uint64_t turn);

// --- an engine ----------------------------------------------------------------------------------------------------

typedef struct pdac pdac_t;

// What is told to an observer, at the beginning of every dispatch, by the worker that dispatches.
typedef struct pdac_pick {
    uint32_t node;
    uint32_t worker;
    uint32_t class;
    bool contested; // the worker held ready nodes of every class
    uint64_t turn;  // of the worker's lottery; turns that follow each other, all contested, are a stretch of P3
} pdac_pick_t;

typedef struct pdac_config {
    scheduler_lockfree_t *scheduler;   // what runs the nodes
    guarded_gate_t gate;               // whom guards are asked of; a NULL table: no node has guards
    const pdac_vector_t *system;       // NULL: everything fits
    const uint32_t *tickets;           // per class; NULL: one class
    uint32_t classes;                  // 0: 1
    uint64_t seed;
    void (*observe)(void *observer, const pdac_pick_t *pick); // NULL: nobody looks, which is faster
    void *observer;
} pdac_config_t;

// OK, INVALID or NO_MEMORY.
status_t pdac_create(const pdac_config_t *config, pdac_t **engine);
// Its graphs are destroyed.
void pdac_destroy(pdac_t *engine);
// What bodies that run now have admitted. Exact when nothing starts or ends.
pdac_vector_t pdac_in_use(const pdac_t *engine);

// --- graphs -------------------------------------------------------------------------------------------------------

#define PDAC_NODES_MAX ((uint32_t)1 << 30)
#define PDAC_BODIES_MAX 256u // different bodies in one graph
#define PDAC_PATIENCE 64u

typedef uint32_t pdac_node_t; // 0, 1, 2 … in the order of add
typedef struct pdac_graph pdac_graph_t;

// `worker` is the number of the scheduler's CPU that runs it: less than the number of CPUs, and nobody else's meanwhile. A body runs to
// its end; it may start other graphs, and must not wait for them, or for other nodes.
typedef void pdac_fn_t(void *context, pdac_node_t node, uint32_t worker);

typedef struct pdac_task {
    pdac_fn_t *body;
    void *context;              // the same pair of body and context may serve any number of nodes
    const pdac_vector_t *needs; // NULL: nothing
    const guard_t *guards;      // all must hold
    uint32_t guards_count;      // at most GUARDED_MAX
    uint32_t class;
} pdac_task_t;

// How vectors are composed along a path: what all its nodes need together, or the most that one of them needs.
typedef enum pdac_composition { PDAC_SUM, PDAC_PEAK } pdac_composition_t;

typedef struct pdac_outcome {
    uint64_t ran, refused, skipped; // of the last run that is over; the sum is the number of nodes
} pdac_outcome_t;

// Memory for `nodes` and `edges` is taken at once; more may come, and is taken then. OK or NO_MEMORY.
status_t pdac_graph_create(pdac_t *engine, uint32_t nodes, uint32_t edges, pdac_graph_t **graph);
// It does not run.
void pdac_graph_destroy(pdac_graph_t *graph);

// OK; EXCESS where it needs more than the system has; FULL at PDAC_NODES_MAX or PDAC_BODIES_MAX; INVALID for an unknown
// class, too many guards or guards without a gate, no body, or a sealed graph; NO_MEMORY.
status_t pdac_add(pdac_graph_t *graph, const pdac_task_t *task, pdac_node_t *node);
// `count` nodes that are all alike; `first` is the first one's number.
status_t pdac_add_many(pdac_graph_t *graph, const pdac_task_t *task, uint32_t count, pdac_node_t *first);
// `before` is over before `after` begins. CYCLE where `after` already comes before `before`, or is the same; INVALID, FULL, NO_MEMORY. In
// any order of calls; an edge from a lower to a higher number takes constant time as long as all do so.
status_t pdac_connect(pdac_graph_t *graph, pdac_node_t before, pdac_node_t after);
// Many edges, {before, after} each, in order; stops at the first that is refused. `done` may be NULL.
status_t pdac_connect_many(pdac_graph_t *graph, const pdac_node_t (*edges)[2], size_t count, size_t *done);

// The greatest composition along any path that ends in each node (`each`, by number, may be NULL), and of all (`whole`, may be NULL),
// per dimension. OK or NO_MEMORY.
status_t pdac_compose(const pdac_graph_t *graph, pdac_composition_t how, pdac_vector_t *each, pdac_vector_t *whole);

// Lays the nodes out as they will run. No node or edge is added after it. OK, INVALID where it is sealed, NO_MEMORY.
status_t pdac_seal(pdac_graph_t *graph);
uint32_t pdac_nodes(const pdac_graph_t *graph);

// --- runs ---------------------------------------------------------------------------------------------------------
// A run goes through the scheduler's workers as tasks that carry ready nodes; a worker goes on with what it made ready itself, and
// gives half of the rest away whenever what it gave before has been taken. It looks at that about once a microsecond. Where nodes take longer
// than that, it keeps the next one and gives all others away, each by itself; so it is at first, and after each long node. What a worker
// still held when it met the first long node after many short ones waits for that node's end.

// Makes the graph's first nodes ready. OK; BUSY while it runs; INVALID where it is not sealed.
status_t pdac_start(pdac_graph_t *graph);
// Whether the last run that was started is over; then what its bodies did is visible. True before the first.
bool pdac_is_over(const pdac_graph_t *graph);
pdac_outcome_t pdac_outcome(const pdac_graph_t *graph);
// Called by the worker that ends a run, when pdac_is_over already says so: it may start the graph again, or kick the scheduler. Set
// while it does not run; NULL: nobody.
typedef void pdac_over_fn_t(void *context, pdac_graph_t *graph);
void pdac_set_over(pdac_graph_t *graph, pdac_over_fn_t *over, void *context);
