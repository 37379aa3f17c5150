// Programs that are wrong, each in one way: what the explorer finds of them, replays and shrinks (tests/native/test_explorer.py). Between
// them and around them are operations that have nothing to do with it, so that there is something to leave out.
#include "atomics.h"
#include "explore.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum { OPERATIONS = 5 };

typedef struct node {
    plain_ptr_t next;
} node_t;

static atomic_u64_t *x, *y, *flag;
static atomic_u32_t *asleep;
static plain_u32_t *data;
static uint64_t got[EXPLORE_THREADS];
static node_t *nodes[3];
static unsigned popped[3], fault_operation;

static void set_up(void) {
    x = shared_alloc(sizeof *x);
    y = shared_alloc(sizeof *y);
    flag = shared_alloc(sizeof *flag);
    asleep = shared_alloc(sizeof *asleep);
    data = shared_alloc(sizeof *data);
    fault_operation = (unsigned)explore_draw(OPERATIONS);
}

static void clear(void) {
    shared_free(x);
    shared_free(y);
    shared_free(flag);
    shared_free(asleep);
    shared_free(data);
}

// Some operations, of which one is the fault.
static void among_others(unsigned i, void (*fault)(unsigned)) {
    for (unsigned n = 0; n < OPERATIONS; n++) {
        if (!explore_operation()) {
            continue;
        }
        if (n == fault_operation) {
            fault(i);
        } else {
            (void)atomic_fetch_add_relaxed_u64(y, explore_draw(9));
        }
    }
}

// --- each fault -----------------------------------------------------------------------------------------------------------

static void publish(unsigned i) { // a flag that orders nothing
    if (i == 0) {
        plain_store_u32(data, 1);
        atomic_store_relaxed_u64(flag, 1);
    } else if (atomic_load_acquire_u64(flag) == 1) {
        (void)plain_load_u32(data);
    }
}
static void enter(unsigned i) { // store and load that need a fence between them
    atomic_store_release_u64(i == 0 ? x : flag, 1);
    got[i] = atomic_load_acquire_u64(i == 0 ? flag : x);
}
static void both_enter(void) {
    EXPLORE_EXPECT(got[0] != 0 || got[1] != 0, "S1");
    clear();
}
static void sleep_on(unsigned i) { // looks at the flag, then sleeps, and is woken in between
    if (i == 0) {
        atomic_store_seq_cst_u64(flag, 1);
        park_wake(asleep);
    } else if (atomic_load_seq_cst_u64(flag) == 0) {
        park_wait(asleep, 0, UINT64_MAX);
    }
}
static void count(unsigned i) { // a load and a store where an update is needed
    (void)i;
    uint64_t old = atomic_load_relaxed_u64(x);
    atomic_store_relaxed_u64(x, old + 1);
}
static void two_counted(void) {
    EXPLORE_EXPECT(atomic_load_relaxed_u64(x) == 2, "S5");
    clear();
}
static void spin(unsigned i) {
    while (atomic_load_relaxed_u64(flag) == i) {
        spin_hint(0);
    }
}
static void run_on(unsigned i) { // no door
    static volatile unsigned counter;
    while (i == 1) { // NOLINT(bugprone-infinite-loop): it is the fault
        counter = counter + 1;
    }
}
static void crash(unsigned i) {
    if (i == 1 && atomic_load_relaxed_u64(x) == 0) {
        raise(SIGSEGV); // as a stray pointer would
    }
}
static void leave_behind(unsigned i) {
    if (i == 1) {
        (void)shared_alloc(32);
    }
}
static void free_twice(unsigned i) {
    if (i == 1) {
        void *memory = shared_alloc(32);
        shared_free(memory);
        shared_free(memory);
    }
}
static void reach_beyond(unsigned i) { atomic_store_relaxed_u64(x + i, 1); }
static void sleep_in_system(unsigned i) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    if (i == 1) { // threads are coroutines of one process: who locks twice waits for itself
        (void)pthread_mutex_lock(&lock);
        (void)pthread_mutex_lock(&lock);
    }
}
static void end_process(unsigned i) {
    if (i == 1) {
        _Exit(3);
    }
}

// --- a stack whose top is compared and swapped: who was out of the processor swaps in a next that is none any more ------------------

static void set_up_stack(void) {
    set_up();
    for (unsigned i = 0; i < 3; i++) {
        nodes[i] = shared_alloc(sizeof *nodes[i]);
        plain_store_ptr(&nodes[i]->next, i > 0 ? nodes[i - 1] : NULL);
        popped[i] = 0;
    }
    atomic_store_release_u64(x, (uint64_t)(uintptr_t)nodes[2]);
}
static node_t *pop(void) {
    uint64_t top = atomic_load_acquire_u64(x);
    while (top != 0) {
        uint64_t next = (uint64_t)(uintptr_t)plain_load_ptr(&((node_t *)(uintptr_t)top)->next);
        if (atomic_cas_weak_acq_rel_u64(x, &top, next)) {
            return (node_t *)(uintptr_t)top;
        }
    }
    return NULL;
}
static void push(node_t *node) {
    uint64_t top = atomic_load_acquire_u64(x);
    do {
        plain_store_ptr(&node->next, (void *)(uintptr_t)top);
    } while (!atomic_cas_weak_acq_rel_u64(x, &top, (uint64_t)(uintptr_t)node));
}
static void own(const node_t *node) {
    for (unsigned i = 0; node != NULL && i < 3; i++) {
        if (nodes[i] == node) {
            EXPLORE_EXPECT(popped[i]++ == 0, "S2");
        }
    }
}
static void use_stack(unsigned i) {
    node_t *first = pop();
    if (i == 0) {
        own(first);
        return;
    }
    own(pop());
    if (first != NULL) {
        push(first);
    }
}
static void empty_stack(void) {
    for (unsigned i = 0; i < 3; i++) {
        own(pop());
    }
    for (unsigned i = 0; i < 3; i++) {
        shared_free(nodes[i]);
    }
    clear();
}

#define AMONG_OTHERS(fault)                                                                                            \
    static void run_##fault(unsigned i) { among_others(i, fault); }
AMONG_OTHERS(publish)
AMONG_OTHERS(sleep_on)
AMONG_OTHERS(spin)
AMONG_OTHERS(run_on)
AMONG_OTHERS(crash)
AMONG_OTHERS(leave_behind)
AMONG_OTHERS(free_twice)
AMONG_OTHERS(reach_beyond)
AMONG_OTHERS(sleep_in_system)
AMONG_OTHERS(end_process)

static const explore_scenario_t scenarios[] = {
    {"race", 2, set_up, run_publish, clear},
    {"weak", 2, set_up, enter, both_enter},
    {"lost_wakeup", 2, set_up, run_sleep_on, clear},
    {"lost_update", 2, set_up, count, two_counted},
    {"livelock", 2, set_up, run_spin, clear},
    {"endless", 2, set_up, run_run_on, clear},
    {"crash", 2, set_up, run_crash, clear},
    {"leak", 2, set_up, run_leave_behind, clear},
    {"double_free", 2, set_up, run_free_twice, clear},
    {"beyond", 2, set_up, run_reach_beyond, clear},
    {"asleep", 2, set_up, run_sleep_in_system, clear},
    {"exits", 2, set_up, run_end_process, clear},
    {"aba", 2, set_up_stack, use_stack, empty_stack},
};
EXPLORE_SCENARIOS("faults", "S1,S2,S5", scenarios)
