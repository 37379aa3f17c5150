// For scenarios that look at everything between any two steps: the doors with an observer in front. Include it before anything
// of the kernel, and define
//
//     watch       looks. Its loads return the newest store, decide nothing and order nothing, so what it sees is the run as it went: expect
//                 of it only what holds of that order, as what read-modify-writes and seq_cst operations decide.
//
// between watch_begin, at the end of set_up, and watch_end, at the begin of finish. One thread may be frozen: it stops at a step of its
// own until the others have ended or wait, as one that lost its processor for good. Who waits for it is then a livelock.
#pragma once

#include <string.h>

#include "explore.h"

static void watch(void);

enum { WATCH_NOBODY = -1, WATCH_FREEZE_LATEST = 60 };

static bool watch_on, watch_looks;
static int watch_frozen; // a thread, or nobody
static unsigned watch_left; // steps until it freezes
static unsigned watch_fences[EXPLORE_THREADS]; // seq_cst fences that each thread has passed
static const uint32_t watch_ice = 0;           // what the frozen one waits for

static inline void watch_begin(unsigned threads) {
    watch_on = true;
    watch_looks = false;
    watch_frozen = explore_draw(3) == 0 ? (int)explore_draw(threads) : WATCH_NOBODY;
    watch_left = (unsigned)explore_draw(WATCH_FREEZE_LATEST);
    memset(watch_fences, 0, sizeof watch_fences);
}
static inline void watch_end(void) { watch_on = false; }
// For who may wait for the frozen one by right.
static inline void watch_thaw(void) {
    watch_frozen = WATCH_NOBODY;
    explore_wake(&watch_ice, 1);
}

// Before a step. True where it is none: the observer's own.
static inline bool watch_step(void) {
    if (!watch_on || watch_looks) {
        return watch_looks;
    }
    const explore_site_t *site = explore_site;
    watch_looks = true;
    watch();
    watch_looks = false;
    explore_site = site;
    if (watch_frozen != WATCH_NOBODY && (unsigned)watch_frozen == explore_thread() && watch_left-- == 0) {
        watch_frozen = WATCH_NOBODY;
        explore_wait(&watch_ice, sizeof watch_ice, 0, true);
    }
    return false;
}

static inline uint64_t watch_newest(const void *at, unsigned bytes) {
    uint32_t narrow = 0;
    uint64_t wide = 0;
    memcpy(bytes == sizeof narrow ? (void *)&narrow : (void *)&wide, at, bytes);
    return bytes == sizeof narrow ? narrow : wide;
}
static inline uint64_t watched_load(const void *at, unsigned bytes, explore_order_t order) {
    return watch_step() ? watch_newest(at, bytes) : explore_load(at, bytes, order);
}
static inline void watched_store(void *at, unsigned bytes, uint64_t value, explore_order_t order) {
    (void)watch_step();
    explore_store(at, bytes, value, order);
}
static inline uint64_t watched_update(void *at, unsigned bytes, explore_update_t update, uint64_t value, explore_order_t order) {
    (void)watch_step();
    return explore_update(at, bytes, update, value, order);
}
static inline bool watched_cas(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order) {
    (void)watch_step();
    return explore_cas(at, bytes, expected, desired, order);
}
static inline void watched_fence(explore_order_t order) {
    if (!watch_step()) {
        explore_fence(order);
        if (watch_on && order == ORDER_SEQ_CST) {
            watch_fences[explore_thread()]++;
        }
    }
}
static inline void watched_plain(const void *at, unsigned bytes, bool write) {
    if (!watch_step()) {
        explore_plain(at, bytes, write);
    }
}

#define explore_load watched_load
#define explore_store watched_store
#define explore_update watched_update
#define explore_cas watched_cas
#define explore_fence watched_fence
#define explore_plain watched_plain
