// The deque under the explorer: an owner and thieves, in both modes of the fence. Every item is taken once, and whoever takes it sees
// what was written before it was pushed. Places are few, so that it grows, and in one run of four it finds no memory to, most of the time;
// indices begin where the gate's 40 bits wrap, or all 64, or at 0.
#include "deque.h"

#include "explore.h"

static void *scarce_alloc(size_t bytes);
#define shared_alloc_aligned(bytes) scarce_alloc(bytes)
#include "../kernel/deque.c"

#include <string.h>

enum { ITEMS = 40, BATCH = 4, STEAL = 8, SHORT = 5 };

typedef struct item {
    plain_u32_t value;
} item_t;

static deque_t *deque;
static item_t *items[ITEMS];
static unsigned taken[ITEMS], pushed;
static unsigned owner_steps;
static bool begun, scarce;

static void *scarce_alloc(size_t bytes) {
    return begun && scarce && explore_draw(4) != 0 ? NULL : (shared_alloc_aligned)(bytes);
}

static void begin(bool asymmetric) {
    const uint64_t firsts[] = {0, ((uint64_t)1 << 40) - explore_draw(6), ((uint64_t)5 << 40) + 7, UINT64_MAX - explore_draw(6)};
    begun = false;
    scarce = explore_draw(4) == 0;
    deque = shared_alloc_aligned(sizeof *deque);
    EXPLORE_EXPECT(deque_begin(deque, 2, firsts[explore_draw(4)], asymmetric) == STATUS_OK, "S6");
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i] = shared_alloc(sizeof **items);
        taken[i] = 0;
    }
    pushed = 0;
    owner_steps = 2 + (unsigned)explore_draw(explore_draw(3) == 0 ? 16 : 8);
    begun = true;
}
static void set_up_fenced(void) { begin(false); }
static void set_up_asymmetric(void) { begin(true); }

static void take(void *got) {
    item_t *item = got;
    uint32_t i = plain_load_u32(&item->value);
    EXPLORE_EXPECT(i < ITEMS && items[i] == item, "S1");
    EXPLORE_EXPECT(taken[i]++ == 0, "S1");
}

static void push_some(void) {
    void *batch[BATCH];
    uint32_t count = 1 + (uint32_t)explore_draw(BATCH);
    if (pushed + count > ITEMS) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        batch[i] = items[pushed];
        plain_store_u32(&items[pushed]->value, pushed);
        pushed++; // before: a thief may be faster than the return
    }
    bool done = count == 1 ? deque_push(deque, batch[0]) : deque_push_batch(deque, batch, count);
    EXPLORE_EXPECT(done || scarce, "S1");
    pushed -= done ? 0 : count;
}

static void own(void) {
    push_some();
    for (unsigned i = 0; i < owner_steps; i++) {
        uint64_t what = explore_draw(10);
        void *got = NULL;
        if (what < 4) {
            push_some();
        } else if (what < 8) {
            got = deque_pop(deque);
        } else if (what < 9) {
            got = deque_pop_oldest(deque);
        } else {
            deque_expose(deque);
        }
        if (got != NULL) {
            take(got);
        }
    }
}

static void steal(void) {
    for (uint64_t tries = 1 + explore_draw(5); tries > 0; tries--) {
        void *got[STEAL];
        uint64_t queued = 0;
        deque_look_t look = deque_look(deque, &queued);
        // it reads the oldest place before the newest: meanwhile the owner may have moved any number of items from end to end
        EXPLORE_EXPECT(queued >> 32 == 0 && (look != DEQUE_EMPTY || queued == 0), "S5: more than there can be");
        if (look == DEQUE_PRIVATE && deque_ask(deque) && explore_draw(2) == 0) {
            (void)deque_force(deque);
        }
        uint32_t count = deque_steal(deque, got, 1 + (uint32_t)explore_draw(explore_draw(2) == 0 ? STEAL : 3));
        for (uint32_t i = 0; i < count; i++) {
            take(got[i]);
        }
    }
}

static void run(unsigned thread) {
    if (thread == 0) {
        own();
    } else {
        steal();
    }
}

static void finish(void) {
    for (void *got = deque_pop(deque); got != NULL; got = deque_pop(deque)) {
        take(got);
    }
    EXPLORE_EXPECT(deque_size(deque) == 0, "S1");
    for (unsigned i = 0; i < ITEMS; i++) {
        EXPLORE_EXPECT(taken[i] == (i < pushed), "S1");
        shared_free(items[i]);
    }
    deque_end(deque);
    shared_free(deque);
}

// A few operations that may each be left out: small enough for every execution to be made, and for a million in a second.
static void set_up_short(void) {
    begun = scarce = false;
    deque = shared_alloc_aligned(sizeof *deque);
    EXPLORE_EXPECT(deque_begin(deque, 2, explore_draw(2) == 0 ? 0 : ((uint64_t)1 << 40) - 1, explore_draw(2) == 0) == STATUS_OK, "S6");
    item_t *all = shared_alloc(SHORT * sizeof *all);
    for (unsigned i = 0; i < SHORT; i++) {
        items[i] = &all[i];
        taken[i] = 0;
    }
    pushed = 0;
    begun = true;
}
static void run_short(unsigned thread) {
    for (unsigned left = explore_length(1, SHORT - 1); left > 0; left--) {
        void *got[1] = {NULL};
        if (!explore_operation()) {
            continue;
        }
        if (thread != 0) {
            got[0] = deque_steal(deque, got, 1) == 1 ? got[0] : NULL;
        } else if (pushed < SHORT && (pushed == 0 || explore_draw(2) == 0)) {
            plain_store_u32(&items[pushed]->value, pushed);
            pushed++;
            EXPLORE_EXPECT(deque_push(deque, items[pushed - 1]), "S1");
            deque_expose(deque);
        } else {
            got[0] = deque_pop(deque);
        }
        if (got[0] != NULL) {
            take(got[0]);
        }
    }
}
static void finish_short(void) {
    for (void *got = deque_pop(deque); got != NULL; got = deque_pop(deque)) {
        take(got);
    }
    for (unsigned i = 0; i < SHORT; i++) {
        EXPLORE_EXPECT(taken[i] == (i < pushed), "S1");
    }
    shared_free(items[0]);
    deque_end(deque);
    shared_free(deque);
}

// One thread beside a model of the order: pushes go to the new end; a pop answers the newest, or, where all is exposed, the oldest, and up to half of the rest
// goes to the other end, the other way round; whoever takes from the old end has the oldest.
static unsigned model[ITEMS], held; // the oldest first

static void let_go(unsigned from, unsigned count) {
    held -= count;
    memmove(&model[from], &model[from + count], (held - from) * sizeof *model);
}

static void pop_alone(void) {
    item_t *got = deque_pop(deque);
    EXPLORE_EXPECT((got == NULL) == (held == 0), "S1: nothing, or more than there is");
    if (got == NULL) {
        return;
    }
    unsigned value = plain_load_u32(&got->value), back = (held - 1) / 2, moved[ITEMS];
    if (value == model[held - 1]) {
        let_go(held - 1, 1);
        return;
    }
    EXPLORE_EXPECT(value == model[0], "S1: another order: a pop");
    back = back < DEQUE_TAKE_BACK - 1 ? back : DEQUE_TAKE_BACK - 1;
    memcpy(moved, &model[1], back * sizeof *model);
    let_go(0, 1 + back);
    for (unsigned i = 0; i < back; i++) {
        model[held++] = moved[back - 1 - i];
    }
}

static void take_oldest(void) {
    void *got[STEAL];
    uint32_t most = 1 + (uint32_t)explore_draw(STEAL), count = 1;
    if (explore_draw(3) == 0) {
        got[0] = deque_pop_oldest(deque);
        count = got[0] != NULL;
    } else {
        (void)(deque_ask(deque) && explore_draw(2) == 0 && deque_force(deque));
        count = deque_steal(deque, got, most);
    }
    EXPLORE_EXPECT(count <= held, "S1: more than there is");
    for (uint32_t i = 0; i < count; i++) {
        EXPLORE_EXPECT(plain_load_u32(&((item_t *)got[i])->value) == model[i], "S1: another order: the oldest");
    }
    let_go(0, count);
}

static void run_alone(unsigned thread) {
    (void)thread;
    for (unsigned i = 0; i < 3 * owner_steps; i++) {
        unsigned before = pushed;
        switch (explore_draw(5)) {
        case 0:
        case 1: push_some(); break;
        case 2: deque_expose(deque); break;
        case 3: take_oldest(); break;
        default: pop_alone();
        }
        for (; before < pushed; before++) {
            model[held++] = before;
        }
        EXPLORE_EXPECT(deque_size(deque) == held, "S5: another size");
    }
}

static void set_up_alone(void) {
    begin(explore_draw(2) == 0);
    held = 0;
}

static void finish_alone(void) {
    while (held != 0) {
        pop_alone();
    }
    EXPLORE_EXPECT(deque_pop(deque) == NULL, "S1: more than there is");
    for (unsigned i = 0; i < ITEMS; i++) {
        shared_free(items[i]);
    }
    deque_end(deque);
    shared_free(deque);
}

// One item at a time, and two who ask and take by force: the gate comes back to what it was, but for the count of its changes.
static void run_gate(unsigned thread) {
    for (uint64_t left = thread == 0 ? 2 + explore_draw(2) : 1 + explore_draw(2); left > 0; left--) {
        void *got[1] = {NULL};
        if (thread == 0) {
            plain_store_u32(&items[pushed]->value, pushed);
            pushed++;
            EXPLORE_EXPECT(deque_push(deque, items[pushed - 1]), "S1");
            got[0] = explore_draw(4) != 0 ? deque_pop(deque) : NULL;
        } else {
            (void)(deque_ask(deque) && explore_draw(3) != 0 && deque_force(deque));
            got[0] = deque_steal(deque, got, 1) == 1 ? got[0] : NULL;
        }
        if (got[0] != NULL) {
            take(got[0]);
        }
    }
}

static const explore_scenario_t scenarios[] = {
    {"deque_short", 2, set_up_short, run_short, finish_short},
    {"deque_alone", 1, set_up_alone, run_alone, finish_alone},
    {"deque_gate", 3, set_up_short, run_gate, finish_short},
    {"deque_fenced", 2, set_up_fenced, run, finish},
    {"deque_fenced_three", 3, set_up_fenced, run, finish},
    {"deque_asymmetric", 2, set_up_asymmetric, run, finish},
    {"deque_asymmetric_three", 3, set_up_asymmetric, run, finish},
};
EXPLORE_SCENARIOS("deque", "S1,S5,S6", scenarios)
