// What a door returns: C11 with views. A thread's `before` is what happened before it; its `seen` is what its loads must see, which is
// more: fences order what they do not synchronise. A store carries both for who acquires from it.
//
// A load may return a store if no later one must be seen. A later one must, where the store is in the thread's `seen`; where a thread whose
// read of it is in `seen` has read it (coherence); or where it has a place in the order of seq_cst operations, and the load is
// seq_cst itself, or comes after a seq_cst fence that is later in that order. The order is the order of the run.
//
// While there is one thread, before the others begin and after they have ended, a door is what it is in memory.
#include "explore_state.h"

#include <string.h>

enum { STALE_MAX = 8, REFUSED_MAX = 4 }; // per thread and run: a loop that waits must get on

thread_state_t model_threads[THREADS];
static view_t fences;    // what is before the last seq_cst fence of all
static int16_t order_now; // in the order of seq_cst operations
static bool weak, heads;

// Compiled anew for each order that a door has.
#define EVERY_ORDER static inline __attribute__((always_inline))

EVERY_ORDER bool acquires(explore_order_t order) { return order == ORDER_ACQUIRE || order >= ORDER_ACQ_REL; }
EVERY_ORDER bool releases(explore_order_t order) { return order >= ORDER_RELEASE; }

void model_reset(unsigned model) {
    __m128i *state = (__m128i *)(void *)model_threads;
    for (size_t i = 0; i < sizeof model_threads / (sizeof *state); i++) { // a loop is quicker than what the compiler makes of a memset
        state[i] = _mm_setzero_si128();
    }
    fences.all = _mm_setzero_si128();
    order_now = 1;
    weak = model != EXPLORE_SC;
    heads = model == EXPLORE_C11;
    model_threads[MAIN_THREAD].before.clock[MAIN_THREAD] = 1;
    model_threads[MAIN_THREAD].seen.clock[MAIN_THREAD] = 1;
}

void model_begin_threads(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        model_threads[i].before = model_threads[i].seen = model_threads[MAIN_THREAD].before;
        model_threads[i].before.clock[i] = model_threads[i].seen.clock[i] = 1;
    }
}

void model_join_threads(unsigned count) {
    thread_state_t *main_thread = &model_threads[MAIN_THREAD];
    for (unsigned i = 0; i < count; i++) {
        model_take(&main_thread->before, &model_threads[i].before);
        model_take(&main_thread->seen, &model_threads[i].seen);
    }
}

void model_released(unsigned thread) {
    thread_state_t *self = &model_threads[thread];
    int16_t time = ++self->before.clock[thread];
    self->seen.clock[thread] = time;
    if (time >= TIME_MAX) {
        explore_fail("limit: too many releases for the explorer");
    }
}

explore_moment_t explore_now(void) { return (explore_moment_t){.thread = running, .time = (uint32_t)model_time()}; }

bool explore_happened(explore_moment_t moment) {
    return moment.time != 0 && (uint32_t)model_threads[running].before.clock[moment.thread] >= moment.time;
}

// --- order of accesses ------------------------------------------------------------------------------------------------

static __attribute__((noinline, cold)) void tell_freed(const location_t *location) {
    trace_race_at = location->at;
    explore_fail("use after free: %p", location->at);
}

static __attribute__((noinline, cold)) void tell_race(const location_t *location, bool write, bool plain, unsigned lanes) {
    const block_t *block = location->block;
    if (block != NULL && model_threads[running].before.clock[block->thread] < block->time) {
        trace_race_at = location->at;
        explore_fail("race: access to %p is not ordered after its allocation", location->at);
    }
    trace_race_thread = __builtin_ctz(lanes) / 2;
    trace_race_at = location->at;
    explore_fail("race: %s %s of %p by thread %u, and an access by thread %d that nothing orders", plain ? "plain" : "atomic",
                 write ? "write" : "read", location->at, running, trace_race_thread);
}

EVERY_ORDER void look_for_race(const location_t *location, const view_t *before, bool write, bool plain) {
    const block_t *block = location->block;
    if (block != NULL && __builtin_expect(block->freed, 0)) {
        tell_freed(location);
    }
    __m128i other = location->plain_write.all;
    if (plain) {
        other = _mm_max_epi16(other, write ? location->any.all : location->atomic_write.all);
    }
    unsigned later = (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi16(other, before->all));
    if (__builtin_expect(later != 0, 0)) {
        tell_race(location, write, plain, later);
    }
}

EVERY_ORDER void note_access(location_t *location, bool write, bool plain) {
    unsigned thread = running;
    const view_t *before = &model_threads[thread].before;
    int16_t time = before->clock[thread];
    look_for_race(location, before, write, plain);
    location->any.clock[thread] = time;
    if (write) {
        (plain ? &location->plain_write : &location->atomic_write)->clock[thread] = time;
    }
}

void explore_plain(const void *at, unsigned bytes, bool write) {
    if (running == MAIN_THREAD) {
        memory_check_main(at);
        return;
    }
    TRACE(write ? SAID_PLAIN_WRITE : SAID_PLAIN_READ, ORDER_RELAXED, at, 0, 0, false);
    note_access(memory_location(at, bytes), write, true);
}

// --- stores and loads -------------------------------------------------------------------------------------------------

static inline uint64_t value_at(const void *at, unsigned bytes) {
    uint32_t narrow = 0;
    uint64_t wide = 0;
    if (bytes == sizeof narrow) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return wide;
}

static inline uint64_t put_value(void *at, unsigned bytes, uint64_t value) {
    uint32_t narrow = (uint32_t)value;
    if (bytes == sizeof narrow) {
        memcpy(at, &narrow, sizeof narrow);
        return narrow;
    }
    memcpy(at, &value, sizeof value);
    return value;
}

// The last store; what is there without one counts as stored by who allocated it.
static inline store_t *newest(location_t *location, unsigned bytes) {
    if (location->stores == 0) {
        store_t *store = &location->last[0];
        *store = (store_t){.value = value_at(location->at, bytes), .thread = MAIN_THREAD};
        if (location->block != NULL) {
            store->thread = (uint16_t)location->block->thread;
            store->time = location->block->time;
        }
        location->stores = 1;
    }
    return &location->last[(location->stores - 1) % HISTORY];
}

// C11's release sequence goes on with later stores of the thread that heads it, unless another thread stores in between.
static void go_on_with_heads(location_t *location, store_t *store, bool release, bool update) {
    location->heads &= update ? ~0u : 1u << running;
    if ((location->heads >> running & 1) != 0 && !release) {
        model_take(&store->before, &location->head_before[running]);
        model_take(&store->seen, &location->head_seen[running]);
    }
    if (release) {
        location->heads |= 1u << running;
        location->head_before[running] = store->before;
        location->head_seen[running] = store->seen;
    }
}

EVERY_ORDER void put(location_t *location, unsigned bytes, uint64_t value, explore_order_t order, const store_t *goes_on) {
    unsigned thread = running;
    const thread_state_t *self = &model_threads[thread];
    bool release = releases(order);
    view_t before = *(release ? &self->before : &self->fence_before);
    view_t seen = *(release ? &self->seen : &self->fence_seen);
    if (goes_on != NULL) { // the release sequence
        model_take(&before, &goes_on->before);
        model_take(&seen, &goes_on->seen);
    }
    store_t *store = &location->last[location->stores++ % HISTORY];
    store->value = put_value((void *)(uintptr_t)location->at, bytes, value);
    store->time = self->before.clock[thread];
    store->thread = (uint16_t)thread;
    store->step = (uint16_t)explore_step;
    store->in_order = order == ORDER_SEQ_CST ? ++order_now : 0;
    store->before = before;
    store->seen = seen;
    store->read_at.all = _mm_setzero_si128();
    store->read_at.clock[thread] = store->time;
    if (heads) {
        go_on_with_heads(location, store, release, goes_on != NULL);
    }
    if (release) {
        model_released(thread);
    }
}

// Without branches: what is true differs from load to load, and a branch that is guessed wrong costs more than all of it.
EVERY_ORDER bool must_be_seen(const store_t *store, const view_t *seen, explore_order_t order) {
    bool seq_cst = order == ORDER_SEQ_CST;
    bool known = seen->clock[store->thread] >= store->time;
    // a read by thread i counts where it is in `seen`: read_at != 0 and seen >= read_at
    __m128i not_read = _mm_cmpeq_epi16(store->read_at.all, _mm_setzero_si128());
    __m128i unseen = _mm_or_si128(_mm_cmpgt_epi16(store->read_at.all, seen->all), not_read);
    bool read = _mm_movemask_epi8(unseen) != 0xffff;
    bool ordered = (store->in_order != 0) & (seq_cst | (store->in_order < seen->clock[FENCED]));
    bool fenced = seq_cst & (fences.clock[store->thread] >= store->time);
    return known | read | ordered | fenced;
}

static __attribute__((noinline)) store_t *choose_among(location_t *location, store_t *last, explore_order_t order, const uint64_t *but) {
    store_t *may[HISTORY] = {last};
    unsigned count = 1;
    for (uint32_t back = 2; back <= HISTORY && back <= location->stores; back++) {
        store_t *store = &location->last[(location->stores - back) % HISTORY];
        if (but == NULL || store->value != *but) {
            may[count++] = store;
        }
        if (must_be_seen(store, &model_threads[running].seen, order)) {
            break;
        }
    }
    unsigned chosen = count > 1 ? schedule_decide(count, 2) : 0;
    model_threads[running].stale += chosen != 0;
    return may[chosen];
}

// One of the stores that the load may return; with `but`, one whose value is another.
EVERY_ORDER store_t *choose(location_t *location, store_t *last, explore_order_t order, const uint64_t *but) {
    const thread_state_t *self = &model_threads[running];
    if (!weak || location->stores == 1 || must_be_seen(last, &self->seen, order) || self->stale >= STALE_MAX || schedule_is_late()) {
        return last;
    }
    return choose_among(location, last, order, but);
}

EVERY_ORDER void take_from(store_t *store, explore_order_t order) {
    unsigned thread = running;
    thread_state_t *self = &model_threads[thread];
    int16_t read_at = store->read_at.clock[thread];
    store->read_at.clock[thread] = read_at != 0 ? read_at : self->before.clock[thread];
    if (order == ORDER_SEQ_CST && store->in_order == 0) {
        store->in_order = ++order_now;
    }
    bool acquire = acquires(order);
    model_take(acquire ? &self->before : &self->read_before, &store->before);
    model_take(acquire ? &self->seen : &self->read_seen, &store->seen);
}

EVERY_ORDER uint64_t load(const void *at, unsigned bytes, explore_order_t order) {
    if (running == MAIN_THREAD) {
        memory_check_main(at);
        return value_at(at, bytes);
    }
    schedule_step(DOOR_READ, at, order == ORDER_SEQ_CST);
    location_t *location = memory_location(at, bytes);
    store_t *last = newest(location, bytes);
    store_t *store = choose(location, last, order, NULL);
    TRACE(SAID_LOAD, order, at, store->value, last->value, store != last);
    note_access(location, false, false);
    take_from(store, order);
    return store->value;
}
uint64_t explore_load_relaxed(const void *at, unsigned bytes) { return load(at, bytes, ORDER_RELAXED); }
uint64_t explore_load_acquire(const void *at, unsigned bytes) { return load(at, bytes, ORDER_ACQUIRE); }
uint64_t explore_load_seq_cst(const void *at, unsigned bytes) { return load(at, bytes, ORDER_SEQ_CST); }

EVERY_ORDER void store(void *at, unsigned bytes, uint64_t value, explore_order_t order) {
    if (running == MAIN_THREAD) {
        memory_check_main(at);
        (void)put_value(at, bytes, value);
        return;
    }
    schedule_step(DOOR_WRITE, at, order == ORDER_SEQ_CST);
    location_t *location = memory_location(at, bytes);
    TRACE(SAID_STORE, order, at, value, 0, false);
    (void)newest(location, bytes);
    note_access(location, true, false);
    put(location, bytes, value, order, NULL);
}
void explore_store_relaxed(void *at, unsigned bytes, uint64_t value) { store(at, bytes, value, ORDER_RELAXED); }
void explore_store_release(void *at, unsigned bytes, uint64_t value) { store(at, bytes, value, ORDER_RELEASE); }
void explore_store_seq_cst(void *at, unsigned bytes, uint64_t value) { store(at, bytes, value, ORDER_SEQ_CST); }

static inline uint64_t updated(explore_update_t update, uint64_t old, uint64_t value) {
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
    if (running == MAIN_THREAD) {
        memory_check_main(at);
        uint64_t old = value_at(at, bytes);
        (void)put_value(at, bytes, updated(update, old, value));
        return old;
    }
    schedule_step(DOOR_WRITE, at, order == ORDER_SEQ_CST);
    location_t *location = memory_location(at, bytes);
    store_t *last = newest(location, bytes);
    uint64_t old = last->value, new = updated(update, old, value);
    TRACE(SAID_UPDATE, order, at, bytes == sizeof(uint32_t) ? (uint32_t)new : new, old, false);
    note_access(location, true, false);
    take_from(last, order);
    put(location, bytes, new, order, last);
    return old;
}

static bool cas(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order, bool may_refuse) {
    if (running == MAIN_THREAD) {
        memory_check_main(at);
        uint64_t found = value_at(at, bytes);
        bool same = found == *expected;
        *expected = found;
        if (same) {
            (void)put_value(at, bytes, desired);
        }
        return same;
    }
    schedule_step(DOOR_WRITE, at, order == ORDER_SEQ_CST);
    location_t *location = memory_location(at, bytes);
    store_t *last = newest(location, bytes);
    bool done = last->value == *expected;
    if (done && may_refuse && model_threads[running].refused < REFUSED_MAX && !schedule_is_late() && schedule_decide(2, 8) != 0) {
        model_threads[running].refused++;
        TRACE(SAID_REFUSED, order, at, *expected, 0, false);
        note_access(location, false, false);
        take_from(last, order == ORDER_SEQ_CST || order == ORDER_ACQ_REL ? ORDER_ACQUIRE : ORDER_RELAXED);
        return false;
    }
    if (done) {
        TRACE(SAID_UPDATE, order, at, desired, last->value, false);
        note_access(location, true, false);
        take_from(last, order);
        put(location, bytes, desired, order, last);
        return true;
    }
    // as a load: acquire, or seq_cst
    explore_order_t on_failure = order == ORDER_ACQ_REL ? ORDER_ACQUIRE : order == ORDER_RELEASE ? ORDER_RELAXED : order;
    store_t *store = choose(location, last, on_failure, expected);
    TRACE(SAID_CAS, on_failure, at, store->value, last->value, store != last);
    note_access(location, false, false);
    take_from(store, on_failure);
    *expected = store->value;
    return false;
}

bool explore_cas(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order) {
    return cas(at, bytes, expected, desired, order, false);
}

bool explore_cas_weak(void *at, unsigned bytes, uint64_t *expected, uint64_t desired, explore_order_t order) {
    return cas(at, bytes, expected, desired, order, true);
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
        model_released(thread);
    }
}

void explore_fence(explore_order_t order) {
    if (running == MAIN_THREAD) {
        return;
    }
    schedule_step(order == ORDER_SEQ_CST ? DOOR_FENCE : DOOR_BEGIN, NULL, order == ORDER_SEQ_CST);
    TRACE(SAID_FENCE, order, NULL, 0, 0, false);
    fence_of(running, order);
}

void explore_fence_all(void) {
    if (running == MAIN_THREAD) {
        return;
    }
    schedule_step(DOOR_ANY, NULL, true);
    TRACE(SAID_FENCE, ORDER_SEQ_CST, NULL, 1, 0, false);
    fence_of(running, ORDER_SEQ_CST);
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        if (i != running) {
            fence_of(i, ORDER_SEQ_CST);
        }
    }
    fence_of(running, ORDER_SEQ_CST);
}
