// The noise back end: time is lost at doors, differently with another seed, and what is right stays right. An owner and two thieves at a
// deque whose doors are all noisy; every item is taken once.
#define ORCH_ATOMICS_BACKEND "atomics_noise.h"
#include "atomics.h"

#include "../kernel/atomics_noise.c"
#include "../kernel/deque.c"

#include <pthread.h>
#include <string.h>

#include "expect.h"

enum { ITEMS = 20000, THIEVES = 2 };

static deque_t deque;
static atomic_u32_t taken[ITEMS], over;

static void take(void *item) {
    uintptr_t i = (uintptr_t)item - 1;
    EXPECT(i < ITEMS);
    EXPECT_EQ((atomic_fetch_add_relaxed_u32)(&taken[i], 1), 0);
}

static void *thief(void *unused) {
    (void)unused;
    while (!(atomic_load_acquire_u32)(&over)) {
        void *got[4];
        uint64_t queued;
        if (deque_look(&deque, &queued) == DEQUE_PRIVATE && deque_ask(&deque)) {
            (void)deque_force(&deque);
        }
        for (uint32_t count = deque_steal(&deque, got, 4), i = 0; i < count; i++) {
            take(got[i]);
        }
    }
    return NULL;
}

static void test_every_item_is_taken_once(bool asymmetric) {
    pthread_t threads[THIEVES];
    memset(taken, 0, sizeof taken);
    (atomic_store_release_u32)(&over, 0);
    EXPECT_EQ(deque_begin(&deque, 2, 0, asymmetric), STATUS_OK);
    for (int i = 0; i < THIEVES; i++) {
        EXPECT_EQ(pthread_create(&threads[i], NULL, thief, NULL), 0);
    }
    for (uintptr_t i = 1; i <= ITEMS; i++) {
        EXPECT(deque_push(&deque, (void *)i));
        void *got = i % 3 ? NULL : deque_pop(&deque);
        if (got != NULL) {
            take(got);
        }
    }
    for (void *got; (got = deque_pop(&deque)) != NULL;) {
        take(got);
    }
    (atomic_store_release_u32)(&over, 1);
    for (int i = 0; i < THIEVES; i++) {
        EXPECT_EQ(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < ITEMS; i++) {
        EXPECT_EQ((atomic_load_relaxed_u32)(&taken[i]), 1);
    }
    deque_end(&deque);
}

// How often a thread loses time in its first so many doors.
static void *count_noise(void *seed) {
    uint64_t before = atomics_noise_count();
    atomics_noise_seed((uint64_t)(uintptr_t)seed);
    for (int i = 0; i < 16 * 512; i++) {
        (void)atomic_load_acquire_u32(&over);
    }
    return (void *)(uintptr_t)(atomics_noise_count() - before);
}

static uint64_t noise_of(uint64_t seed) {
    pthread_t thread;
    void *count;
    EXPECT_EQ(pthread_create(&thread, NULL, count_noise, (void *)(uintptr_t)seed), 0);
    EXPECT_EQ(pthread_join(thread, &count), 0);
    return (uint64_t)(uintptr_t)count;
}

static void test_a_seed_decides(void) {
    uint64_t first = noise_of(7), different = 0;
    EXPECT(first > 0);
    EXPECT_EQ(noise_of(7), first);
    for (uint64_t seed = 8; seed < 16; seed++) {
        different += noise_of(seed) != first;
    }
    EXPECT(different > 0);
}

int main(void) {
    test_a_seed_decides();
    uint64_t before = atomics_noise_count();
    test_every_item_is_taken_once(false);
    if (atomics_have_asymmetric()) {
        test_every_item_is_taken_once(true);
    }
    EXPECT(atomics_noise_count() > before);
    return 0;
}
