// The noise of atomics_noise.h. Compiled in the variant noise alone, and below the doors: a name in parentheses is the door without noise.
#include "atomics.h"

#ifdef ATOMICS_NOISE

#include <sched.h>
#include <time.h>

enum {
    PATCH = 512,         // doors between two changes of how often
    SPIN_MOST = 1024,    // rounds
    SLEEP_MOST_NS = 50000
};

// Of 1024 doors, so many lose time; a patch each.
static const uint32_t levels[] = {0, 2, 16, 16, 64, 512};

static atomic_u64_t seeds; // of the next thread
static atomic_u64_t counted;

typedef struct noise {
    uint64_t state; // 0: not begun
    uint32_t level, left;
} noise_t;
static _Thread_local noise_t mine;

static uint32_t draw(uint32_t below) {
    mine.state += 0x9e3779b97f4a7c15u;
    uint64_t x = mine.state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((((x ^ (x >> 31)) >> 32) * below) >> 32);
}

static void lose_time(void) {
    (atomic_fetch_add_relaxed_u64)(&counted, 1); /* relaxed: a number to look at */
    uint32_t how = draw(16);
    if (how < 8) {
        for (uint32_t rounds = draw(SPIN_MOST); rounds > 0; rounds--) {
            cpu_relax();
        }
    } else if (how < 15) {
        sched_yield();
    } else {
        struct timespec nap = {.tv_nsec = 1 + (long)draw(SLEEP_MOST_NS)};
        (void)nanosleep(&nap, NULL);
    }
}

void atomics_noise(void) {
    if (mine.left == 0) {
        if (mine.state == 0) {
            /* relaxed: each thread gets another one */
            mine.state = (atomic_fetch_add_relaxed_u64)(&seeds, 0x632be59bd9b4e019u) | 1;
        }
        mine.level = levels[draw(sizeof levels / sizeof levels[0])];
        mine.left = PATCH;
    }
    mine.left--;
    if (mine.level > 0 && draw(1024) < mine.level) {
        lose_time();
    }
}

/* relaxed: threads that begin later see it by their creation */
void atomics_noise_seed(uint64_t seed) { (atomic_store_relaxed_u64)(&seeds, seed); }

/* relaxed: a number to look at */
uint64_t atomics_noise_count(void) { return (atomic_load_relaxed_u64)(&counted); }

#endif
