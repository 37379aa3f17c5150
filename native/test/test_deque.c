// The deque: one owner, several thieves; growth, indices that wrap, the last item, asking and taking by force. In both modes.
#include "deque.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"

static void *item(uint64_t i) { return (void *)(uintptr_t)(i + 1); }
static uint64_t number(const void *p) { return (uint64_t)(uintptr_t)p - 1; }

static bool asymmetric;

static void test_empty(void) {
    deque_t deque;
    EXPECT_EQ(deque_begin(&deque, 2, 0, asymmetric), STATUS_OK);
    for (int i = 0; i < 5; i++) { // an empty pop changes nothing
        EXPECT(deque_pop(&deque) == NULL);
        EXPECT(deque_pop_oldest(&deque) == NULL);
    }
    EXPECT(!deque_ask(&deque));
    EXPECT(!deque_force(&deque));
    void *out[4];
    EXPECT_EQ(deque_steal(&deque, out, 4), 0);
    EXPECT(deque_push(&deque, item(1)));
    EXPECT_EQ(number(deque_pop(&deque)), 1);
    EXPECT(deque_pop(&deque) == NULL);
    deque_end(&deque);
}

static void test_order_and_growth(uint64_t first) {
    deque_t deque;
    EXPECT_EQ(deque_begin(&deque, 2, first, asymmetric), STATUS_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        EXPECT(deque_push(&deque, item(i)));
    }
    EXPECT_EQ(deque_size(&deque), 1000);
    EXPECT_EQ(number(deque_pop_oldest(&deque)), 0);
    for (uint64_t i = 999; i > 0; i--) {
        EXPECT_EQ(number(deque_pop(&deque)), i);
    }
    EXPECT(deque_pop(&deque) == NULL);
    EXPECT_EQ(deque_size(&deque), 0);
    deque_end(&deque);
}

static void test_ask(uint64_t first) {
    deque_t deque;
    void *out[64];
    EXPECT_EQ(deque_begin(&deque, 4, first, asymmetric), STATUS_OK);
    for (uint64_t i = 0; i < 9; i++) {
        EXPECT(deque_push(&deque, item(i)));
    }
    EXPECT_EQ(deque_steal(&deque, out, 64), 0); // all private
    EXPECT(deque_ask(&deque));
    EXPECT_EQ(number(deque_pop(&deque)), 8); // the owner answers: half of eight
    EXPECT_EQ(deque_steal(&deque, out, 3), 3);
    EXPECT_EQ(number(out[0]), 0);
    EXPECT_EQ(number(out[2]), 2);
    EXPECT_EQ(deque_steal(&deque, out, 64), 1);
    EXPECT_EQ(number(out[0]), 3);
    EXPECT(deque_ask(&deque));
    EXPECT(deque_force(&deque)); // nobody answers: half of four, by force
    EXPECT(!deque_force(&deque));
    EXPECT_EQ(deque_size(&deque), 4);
    EXPECT_EQ(number(deque_pop(&deque)), 7);
    EXPECT_EQ(number(deque_pop(&deque)), 6);
    EXPECT_EQ(number(deque_pop(&deque)), 4); // from the exposed part, oldest first
    EXPECT_EQ(number(deque_pop(&deque)), 5);
    EXPECT(deque_pop(&deque) == NULL);
    // the last one, private, by force
    EXPECT(deque_push(&deque, item(20)));
    EXPECT(deque_ask(&deque));
    EXPECT(deque_force(&deque));
    EXPECT_EQ(deque_steal(&deque, out, 64), 1);
    EXPECT_EQ(number(out[0]), 20);
    EXPECT(deque_pop(&deque) == NULL);
    // asked while empty by the time the owner looks
    EXPECT(deque_push(&deque, item(21)));
    EXPECT(deque_ask(&deque));
    EXPECT_EQ(number(deque_pop(&deque)), 21);
    EXPECT(!deque_force(&deque));
    EXPECT(deque_push(&deque, item(22)));
    deque_expose(&deque);
    EXPECT_EQ(number(deque_pop_oldest(&deque)), 22);
    EXPECT(deque_pop(&deque) == NULL);
    deque_end(&deque);
}

// --- stress: every item exactly once --------------------------------------------------------------------------------

enum { ITEMS = 60000, THIEVES = 3 };
static deque_t shared;
static unsigned char taken[ITEMS]; // each item has one taker, so no two threads write to one of these: a race report is a violation
static atomic_u32_t over;
static atomic_u64_t gone;

static void take(const void *p) {
    EXPECT(number(p) < ITEMS);
    EXPECT_EQ(taken[number(p)], 0);
    taken[number(p)] = 1;
    (void)atomic_fetch_add_seq_cst_u64(&gone, 1);
}

static void *thief(void *seed) {
    uint64_t random = (uint64_t)(uintptr_t)seed;
    void *out[16];
    for (unsigned round = 0; atomic_load_acquire_u32(&over) == 0; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint32_t count = deque_steal(&shared, out, 1 + (uint32_t)(random >> 40) % 16);
        for (uint32_t i = 0; i < count; i++) {
            take(out[i]);
        }
        if (count == 0 && deque_ask(&shared) && (random >> 60) < 2) {
            (void)deque_force(&shared);
        }
        if (count == 0) {
            spin_hint(round);
        }
    }
    return NULL;
}

static void test_stress(uint64_t first) {
    memset(taken, 0, sizeof taken);
    atomic_store_relaxed_u64(&gone, 0);
    atomic_store_relaxed_u32(&over, 0);
    EXPECT_EQ(deque_begin(&shared, 2, first, asymmetric), STATUS_OK);
    pthread_t thieves[THIEVES];
    for (uintptr_t i = 0; i < THIEVES; i++) {
        EXPECT_EQ(pthread_create(&thieves[i], NULL, thief, (void *)(i + 1)), 0);
    }
    uint64_t random = 7;
    for (uint64_t next = 0; next < ITEMS;) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t burst = random >> 60 == 0 ? 200 : random >> 62;
        for (uint64_t i = 0; i < burst && next < ITEMS; i++) {
            EXPECT(deque_push(&shared, item(next++)));
        }
        burst = random >> 50 & 3;
        for (uint64_t i = 0; i < burst; i++) {
            const void *p = (random >> 40 & 31) == 0 ? deque_pop_oldest(&shared) : deque_pop(&shared);
            if (p != NULL) {
                take(p);
            }
        }
    }
    for (void *p = deque_pop(&shared); p != NULL; p = deque_pop(&shared)) {
        take(p);
    }
    atomic_store_release_u32(&over, 1);
    for (uintptr_t i = 0; i < THIEVES; i++) {
        EXPECT_EQ(pthread_join(thieves[i], NULL), 0);
    }
    EXPECT_EQ(atomic_load_relaxed_u64(&gone), ITEMS);
    EXPECT_EQ(deque_size(&shared), 0);
    deque_end(&shared);
}

int main(void) {
    static const uint64_t firsts[] = {0, UINT64_MAX - 5, ((uint64_t)1 << 40) - 5};
    for (int mode = 0; mode < 2; mode++) {
        asymmetric = mode == 1 && atomics_have_asymmetric();
        test_empty();
        for (unsigned i = 0; i < sizeof firsts / sizeof *firsts; i++) {
            test_order_and_growth(firsts[i]);
            test_ask(firsts[i]);
            test_stress(firsts[i]);
        }
    }
    printf("ok deque\n");
    return 0;
}
