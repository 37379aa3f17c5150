// What a door returns: C11 with views. A thread's `before` is what happened before it; its `seen` is what its loads must see, which is
// more: fences order what they do not synchronise. A store carries both for who acquires from it.
//
// A load may return a store if no later one must be seen. A later one must, where the store is in the thread's `seen`; where a thread whose
// read of it is in `seen` has read it (coherence); or where it has a place in the order of seq_cst operations, and the load is
// seq_cst itself, or comes after a seq_cst fence that is later in that order. The order is the order of the run.
#include "explore_state.h"

#include <string.h>

enum { STALE_MAX = 8 }; // per thread and run: a loop that waits must get on

thread_state_t model_threads[THREADS];
static view_t fences;      // what is before the last seq_cst fence of all
static uint32_t order_now; // in the order of seq_cst operations
static bool weak;

static bool acquires(explore_order_t order) { return order == ORDER_ACQUIRE || order >= ORDER_ACQ_REL; }
static bool releases(explore_order_t order) { return order >= ORDER_RELEASE; }

void model_take(view_t *into, const view_t *from) {
    for (unsigned i = 0; i < CLOCKS; i++) {
        if (into->clock[i] < from->clock[i]) {
            into->clock[i] = from->clock[i];
        }
    }
}

void model_reset(bool with_stale_reads) {
    memset(model_threads, 0, sizeof model_threads);
    memset(&fences, 0, sizeof fences);
    order_now = 1;
    weak = with_stale_reads;
    model_threads[MAIN_THREAD].before.clock[MAIN_THREAD] = 1;
    model_threads[MAIN_THREAD].seen.clock[MAIN_THREAD] = 1;
}

void model_begin_threads(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        model_threads[i].before = model_threads[MAIN_THREAD].before;
        model_threads[i].seen = model_threads[MAIN_THREAD].seen;
    }
}

void model_join_threads(unsigned count) {
    thread_state_t *main_thread = &model_threads[MAIN_THREAD];
    for (unsigned i = 0; i < count; i++) {
        model_take(&main_thread->before, &model_threads[i].before);
        model_take(&main_thread->seen, &model_threads[i].seen);
    }
}

uint32_t model_tick(void) {
    thread_state_t *self = &model_threads[running];
    uint32_t time = ++self->before.clock[running];
    self->seen.clock[running] = time;
    return time;
}

explore_moment_t explore_now(void) { return (explore_moment_t){.thread = running, .time = model_tick()}; }

bool explore_happened(explore_moment_t moment) {
    return moment.time != 0 && model_threads[running].before.clock[moment.thread] >= moment.time;
}

// --- order of accesses ------------------------------------------------------------------------------------------------

static void look_for_race(const location_t *location, bool write, bool plain) {
    const view_t *before = &model_threads[running].before;
    const block_t *block = location->block;
    if (block != NULL && block->freed) {
        explore_fail("use after free: %p", location->at);
    }
    if (block != NULL && before->clock[block->thread] < block->time) {
        explore_fail("race: access to %p is not ordered after its allocation", location->at);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        uint32_t knows = before->clock[i];
        bool races = location->plain_write[i] > knows || (plain && location->atomic_write[i] > knows) ||
                     (plain && write && location->any[i] > knows);
        if (races) {
            explore_fail("race: %s %s of %p by thread %u, and an access by thread %u that nothing orders",
                         plain ? "plain" : "atomic", write ? "write" : "read", location->at, running, i);
        }
    }
}

static void note_access(location_t *location, bool write, bool plain) {
    uint32_t time = model_tick();
    look_for_race(location, write, plain);
    location->any[running] = time;
    if (write) {
        (plain ? location->plain_write : location->atomic_write)[running] = time;
    }
}

void explore_plain(const void *at, unsigned bytes, bool write) {
    note_access(memory_location(at, bytes), write, true);
    TRACE("plain %s %p", write ? "write" : "read", at);
}

// --- stores and loads -------------------------------------------------------------------------------------------------

static uint64_t value_at(const void *at, unsigned bytes) {
    uint32_t narrow = 0;
    uint64_t wide = 0;
    if (bytes == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static void put_value(void *at, unsigned bytes, uint64_t value) {
    uint32_t narrow = (uint32_t)value;
    if (bytes == sizeof narrow) {
        memcpy(at, &narrow, sizeof narrow);
    } else {
        memcpy(at, &value, sizeof value);
    }
}

// The last store; what is there without one counts as stored by who allocated it.
static store_t *newest(location_t *location, unsigned bytes) {
    store_t *store = &location->last[(location->stores + HISTORY - 1) % HISTORY];
    if (location->stores == 0) {
        store = &location->last[0];
        *store = (store_t){.value = value_at(location->at, bytes), .thread = MAIN_THREAD};
        if (location->block != NULL) {
            store->thread = location->block->thread;
            store->time = location->block->time;
        }
        location->stores = 1;
    }
    return store;
}

static void put(location_t *location, unsigned bytes, uint64_t value, explore_order_t order, const store_t *goes_on) {
    const thread_state_t *self = &model_threads[running];
    store_t store = {.value = value, .time = self->before.clock[running], .thread = running};
    store.in_order = order == ORDER_SEQ_CST ? ++order_now : 0;
    store.before = releases(order) ? self->before : self->fence_before;
    store.seen = releases(order) ? self->seen : self->fence_seen;
    if (goes_on != NULL) { // the release sequence
        model_take(&store.before, &goes_on->before);
        model_take(&store.seen, &goes_on->seen);
    }
    store.read_at[running] = store.time;
    location->last[location->stores++ % HISTORY] = store;
    put_value((void *)(uintptr_t)location->at, bytes, value);
}

static bool must_be_seen(const store_t *store, explore_order_t order) {
    const view_t *seen = &model_threads[running].seen;
    if (seen->clock[store->thread] >= store->time) {
        return true;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        if (store->read_at[i] != 0 && seen->clock[i] >= store->read_at[i]) {
            return true;
        }
    }
    if (store->in_order != 0 && (order == ORDER_SEQ_CST || store->in_order < seen->clock[FENCED])) {
        return true;
    }
    return order == ORDER_SEQ_CST && fences.clock[store->thread] >= store->time;
}

// One of the stores that the load may return; with `but`, one whose value is another.
static store_t *choose(location_t *location, unsigned bytes, explore_order_t order, const uint64_t *but) {
    store_t *last = newest(location, bytes);
    thread_state_t *self = &model_threads[running];
    if (!weak || running == MAIN_THREAD || self->stale >= STALE_MAX || schedule_is_late()) {
        return last;
    }
    store_t *may[HISTORY];
    unsigned count = 0;
    for (uint64_t back = 1; back <= HISTORY && back <= location->stores; back++) {
        store_t *store = &location->last[(location->stores - back) % HISTORY];
        if (but == NULL || store->value != *but || back == 1) {
            may[count++] = store;
        }
        if (must_be_seen(store, order)) {
            break;
        }
    }
    if (count == 1 || schedule_choice(2) == 0) {
        return last;
    }
    store_t *chosen = may[schedule_choice(count)];
    self->stale += chosen != last;
    return chosen;
}

static void take_from(store_t *store, explore_order_t order) {
    thread_state_t *self = &model_threads[running];
    if (store->read_at[running] == 0) {
        store->read_at[running] = self->before.clock[running];
    }
    if (order == ORDER_SEQ_CST && store->in_order == 0) {
        store->in_order = ++order_now;
    }
    model_take(acquires(order) ? &self->before : &self->read_before, &store->before);
    model_take(acquires(order) ? &self->seen : &self->read_seen, &store->seen);
}

uint64_t explore_load(const void *at, unsigned bytes, explore_order_t order) {
    schedule_door();
    location_t *location = memory_location(at, bytes);
    note_access(location, false, false);
    const store_t *last = newest(location, bytes);
    store_t *store = choose(location, bytes, order, NULL);
    take_from(store, order);
    TRACE("load %d %p: %#llx%s", (int)order, at, (unsigned long long)store->value, store != last ? " (stale)" : "");
    return store->value;
}

void explore_store(void *at, unsigned bytes, uint64_t value, explore_order_t order) {
    schedule_door();
    location_t *location = memory_location(at, bytes);
    (void)newest(location, bytes);
    note_access(location, true, false);
    put(location, bytes, value, order, NULL);
    TRACE("store %d %p: %#llx", (int)order, at, (unsigned long long)value);
}

static uint64_t updated(explore_update_t update, uint64_t old, uint64_t value) {
    switch (update) {
    case UPDATE_ADD: return old + value;
    case UPDATE_SUB: return old - value;
    case UPDATE_OR: return old | value;
    case UPDATE_AND: return old & value;
    case UPDATE_XOR: return old ^ value;
    case UPDATE_SET: break;
    }
    return value;
}

uint64_t explore_update(void *at, unsigned bytes, explore_update_t update, uint64_t value, explore_order_t order) {
    schedule_door();
    location_t *location = memory_location(at, bytes);
    note_access(location, true, false);
    store_t from = *newest(location, bytes);
    take_from(newest(location, bytes), order);
    put(location, bytes, updated(update, from.value, value), order, &from);
    uint64_t now = value_at(at, bytes);
    TRACE("update %d %p: %#llx to %#llx", (int)order, at, (unsigned long long)from.value, (unsigned long long)now);
    return from.value;
}

bool explore_cas(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order) {
    schedule_door();
    location_t *location = memory_location(at, bytes);
    store_t *last = newest(location, bytes);
    bool done = last->value == *expected;
    note_access(location, done, false);
    if (done) {
        store_t from = *last;
        take_from(last, order);
        put(location, bytes, desired, order, &from);
    } else { // as a load: acquire, or seq_cst
        explore_order_t on_failure = order == ORDER_ACQ_REL ? ORDER_ACQUIRE : order == ORDER_RELEASE ? ORDER_RELAXED : order;
        store_t *store = choose(location, bytes, on_failure, expected);
        take_from(store, on_failure);
        *expected = store->value;
    }
    TRACE("cas %d %p: %s %#llx", (int)order, at, done ? "puts" : "finds", (unsigned long long)(done ? desired : *expected));
    return done;
}

// --- fences -----------------------------------------------------------------------------------------------------------

static void fence_of(unsigned thread, explore_order_t order) {
    thread_state_t *self = &model_threads[thread];
    if (acquires(order)) {
        model_take(&self->before, &self->read_before);
        model_take(&self->seen, &self->read_seen);
        model_take(&self->seen, &self->before);
    }
    if (order == ORDER_SEQ_CST) {
        self->seen.clock[FENCED] = ++order_now;
        model_take(&self->seen, &fences);
        fences = self->seen;
    }
    if (releases(order)) {
        self->fence_before = self->before;
        self->fence_seen = self->seen;
    }
}

void explore_fence(explore_order_t order) {
    schedule_door();
    (void)model_tick();
    fence_of(running, order);
    TRACE("fence %d", (int)order);
}

void explore_fence_all(void) {
    schedule_door();
    (void)model_tick();
    fence_of(running, ORDER_SEQ_CST);
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        if (i != running) {
            fence_of(i, ORDER_SEQ_CST);
        }
    }
    fence_of(running, ORDER_SEQ_CST);
    TRACE("fence of all");
}
