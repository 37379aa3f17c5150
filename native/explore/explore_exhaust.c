// Every execution of a seed's program, one after the other: depth first over the decisions, with sleep sets, so that of executions that
// differ only in the order of steps that do not depend on each other one is made. (A run that turns out to be like one before is
// brought to its end without further choices, and counted as pruned.) What an observer of every step sees is not covered by this.
#include "explore_state.h"

enum { NODES = 1 << 15 };

typedef struct node {
    uint8_t value, count;          // a choice of the model: rank and number; a thread: the thread, and 0
    uint8_t ready, asleep, explored; // of a thread
} node_t;

bool exhaust_on;
static node_t nodes[NODES];
static unsigned node_count, depth;
static unsigned asleep; // threads whose next step has been explored from an equal state
static bool pruned;

void exhaust_begin_run(bool anew) {
    node_count = anew ? 0 : node_count;
    depth = 0;
    asleep = 0;
    pruned = false;
}

static bool depends(const pending_t *one, const pending_t *other) {
    if (one->door == DOOR_BEGIN || other->door == DOOR_BEGIN) {
        return false;
    }
    if (one->door == DOOR_ANY || other->door == DOOR_ANY) {
        return true;
    }
    if (one->door == DOOR_FENCE || other->door == DOOR_FENCE) {
        return one->seq_cst && other->seq_cst;
    }
    return one->at == other->at && (one->door == DOOR_WRITE || other->door == DOOR_WRITE);
}

static unsigned first_of(unsigned among, unsigned from) {
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        unsigned thread = (from + i) % EXPLORE_THREADS;
        if ((among >> thread & 1) != 0) {
            return thread;
        }
    }
    return 0;
}

static node_t *node_here(void) {
    if (depth == NODES) {
        explore_fail("limit: an execution has too many decisions for the exhaustive strategy");
    }
    return &nodes[depth++];
}

unsigned exhaust_thread(unsigned ready, unsigned from, const pending_t *pending) {
    if (pruned) {
        return first_of(ready, from);
    }
    unsigned next = 0;
    if ((ready & (ready - 1)) == 0) {
        next = first_of(ready, from);
        pruned = (asleep >> next & 1) != 0;
    } else {
        bool known = depth < node_count;
        node_t *node = node_here();
        if (!known) {
            unsigned left = ready & ~asleep;
            if (left == 0) {
                depth--;
                pruned = true;
                return first_of(ready, from);
            }
            *node = (node_t){.value = (uint8_t)first_of(left, from), .ready = (uint8_t)ready, .asleep = (uint8_t)asleep};
            node_count = depth;
        }
        next = node->value;
        asleep = node->asleep | node->explored;
    }
    unsigned still = 0;
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        if ((asleep >> i & 1) != 0 && i != next && !depends(&pending[i], &pending[next])) {
            still |= 1u << i;
        }
    }
    asleep = still;
    return next;
}

unsigned exhaust_choice(unsigned count) {
    if (pruned) {
        return 0;
    }
    bool known = depth < node_count;
    node_t *node = node_here();
    if (!known) {
        *node = (node_t){.count = (uint8_t)count};
        node_count = depth;
    }
    return node->value;
}

bool exhaust_end_run(void) {
    explore_pruned += pruned;
    for (; node_count > 0; node_count--) {
        node_t *node = &nodes[node_count - 1];
        if (node->count != 0) {
            if (++node->value < node->count) {
                return false;
            }
            continue;
        }
        node->explored |= (uint8_t)(1u << node->value);
        unsigned left = node->ready & ~(unsigned)(node->asleep | node->explored);
        if (left != 0) {
            node->value = (uint8_t)first_of(left, node->value);
            return false;
        }
    }
    return true;
}
