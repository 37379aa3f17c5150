// What two threads do with the stack, and what must hold: who pops a node has it alone. It writes to the node without any atomic, so
// that two holders are a race, and it says so in `held`, so that they are wrong even where something orders them.
#include "explore.h"
#include "treiber_stack.h"

static treiber_stack_t *stack;
static plain_u64_t *value;
static bool held[TREIBER_NODES + 1];

static void set_up(void) {
    stack = shared_alloc(sizeof *stack);
    value = shared_alloc((TREIBER_NODES + 1) * sizeof *value);
    for (uint64_t node = 1; node <= TREIBER_NODES; node++) {
        held[node] = false;
        treiber_push(stack, node);
    }
}

static void run(unsigned thread) {
    uint64_t mine[2] = {0, 0};
    for (unsigned left = explore_length(3, 8); left > 0; left--) {
        uint64_t *at = &mine[explore_draw(2)];
        if (!explore_operation()) {
            continue;
        }
        if (*at != 0) { // give it back
            held[*at] = false;
            treiber_push(stack, *at);
            *at = 0;
        } else if ((*at = treiber_pop(stack)) != 0) {
            EXPLORE_EXPECT(!held[*at], "two hold one node");
            held[*at] = true;
            plain_store_u64(&value[*at], thread);
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (mine[i] != 0) {
            held[mine[i]] = false;
            treiber_push(stack, mine[i]);
        }
    }
}

static void finish(void) {
    unsigned count = 0;
    while (count <= TREIBER_NODES && treiber_pop(stack) != 0) {
        count++;
    }
    EXPLORE_EXPECT(count == TREIBER_NODES, "a node is lost, or there twice");
    shared_free(value);
    shared_free(stack);
}
