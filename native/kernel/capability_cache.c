// Answers kept by one thread. capability_cache.h has the contract.
//
// Why a hit tells no lies. A line holds an id, its rights, and the epoch E that was read before the table was asked. Who ends or
// changes the capability does so first, and raises the epoch then (epoch_raise), before its call returns. A check that
// starts after that call has returned finds a higher epoch than E, unless E was read after it was raised; then the table was asked
// after that, too, and the line holds what it answered. An id's generation keeps a slot's next capability apart.
//
// Epochs are raised only while there are caches. Making one and ending a capability meet as two stores and two loads in seq_cst
// order (edge KEPT): the maker counts the cache, then somebody asks the table; the other one ends the capability, then looks for
// caches. So the table's answer is the one from after the end, or the epoch is raised.
//
// Resizing. The room in use is the owner's. Who resizes offers another one in a word that the owner looks at in each check. An
// exchange takes it: the owner, who then frees the room it had; or the next one who offers, who frees what was never used.
#include "capability_cache.h"

#include "capability_layout.h"

#define NEVER UINT64_MAX // no epoch

typedef struct line {
    _Alignas(32) cap_id_t id;
    cap_rights_t rights;
    uint64_t epoch;
} line_t;

typedef struct room {
    uint64_t entries;
    uint64_t mask;
    _Alignas(CPU_LINE) line_t lines[]; // mask + 1
} room_t;

struct capability_cache {
    // Written by its owner; the counters are read by others.
    _Alignas(CPU_PAIR) line_t *lines;
    uint64_t mask;
    atomic_u64_t *epochs;
    atomic_u64_t hits;
    atomic_u64_t misses;
    room_t *room;
    capability_table_t *table;
    // Written by who resizes, and by the owner when it takes the offer.
    _Alignas(CPU_PAIR) atomic_u64_t offered; // room_t *, or 0
    atomic_u64_t entries;                    // as asked for last
};

static void forget_lines(room_t *room) {
    for (uint64_t i = 0; i <= room->mask; i++) {
        room->lines[i] = (line_t){.id = CAPABILITY_NONE, .epoch = NEVER};
    }
}

// NULL when there is no memory. With 0 entries there is one line all the same, which is never filled.
static room_t *room_make(uint64_t wanted) {
    uint64_t lines = 1;
    while (lines < wanted) {
        lines *= 2;
    }
    room_t *room = shared_alloc_aligned(sizeof *room + lines * sizeof(line_t));
    if (room != NULL) {
        room->entries = wanted == 0 ? 0 : lines;
        room->mask = lines - 1;
        forget_lines(room);
    }
    return room;
}

static void room_use(capability_cache_t *cache, room_t *room) {
    cache->room = room;
    cache->lines = room->lines;
    cache->mask = room->mask;
}

status_t capability_cache_create(capability_table_t *table, uint64_t entries, capability_cache_t **out) {
    if (entries > CAPABILITY_CACHE_MAX) {
        return STATUS_INVALID;
    }
    capability_cache_t *cache = shared_alloc_aligned(sizeof *cache);
    room_t *room = cache != NULL ? room_make(entries) : NULL;
    if (room == NULL) {
        shared_free(cache);
        return STATUS_NO_MEMORY;
    }
    room_use(cache, room);
    cache->table = table;
    cache->epochs = table->view.epochs;
    /* relaxed: who gets the cache gets it from the caller */
    atomic_store_relaxed_u64(&cache->entries, room->entries);
    /* edge FRESHNESS:RA — nothing: the fence below orders it; :RA is in epoch_raise */
    (void)atomic_fetch_add_acq_rel_u64(&table->caches, 1);
    /* edge KEPT:S — that answers are kept, before any is asked for; :S is in epoch_raise */
    atomic_fence_seq_cst();
    *out = cache;
    return STATUS_OK;
}

static room_t *take_offer(capability_cache_t *cache, room_t *instead) {
    /* edge OFFER:RA — the room's lines; :RA is in take_offer */
    return (room_t *)(uintptr_t)atomic_exchange_acq_rel_u64(&cache->offered, (uintptr_t)instead);
}

void capability_cache_destroy(capability_cache_t *cache) {
    shared_free(take_offer(cache, NULL));
    shared_free(cache->room);
    /* edge FRESHNESS:RA — nothing: no answer is kept any more; :RA is in epoch_raise */
    (void)atomic_fetch_add_acq_rel_u64(&cache->table->caches, UINT64_MAX);
    shared_free(cache);
}

static void adopt(capability_cache_t *cache) {
    room_t *room = take_offer(cache, NULL);
    if (room != NULL) {
        shared_free(cache->room);
        room_use(cache, room);
    }
}

static void add_one(atomic_u64_t *counter) {
    /* relaxed: written by the owner alone; others want a sum, not what goes with it */
    uint64_t value = atomic_load_relaxed_u64(counter);
    /* relaxed: as above */
    atomic_store_relaxed_u64(counter, value + 1);
}

static bool ask(capability_cache_t *cache, cap_id_t id, cap_rights_t need) __attribute__((noinline));
// Asks the table, and keeps what it says of a capability that lives.
static bool ask(capability_cache_t *cache, cap_id_t id, cap_rights_t need) {
    const capability_view_t *view = &cache->table->view;
    const cap_entry_t *entry = capability_entry(view, id);
    /* edge FRESHNESS:A — what was changed before; :RA is in epoch_raise */
    uint64_t epoch = atomic_load_acquire_u64(capability_epoch(cache->epochs, id));
    /* edge RIGHTS:A — that the state has left the generation before; :R is in publish_words */
    cap_rights_t rights = atomic_load_acquire_u64(&entry->rights);
    /* edge LIFE:A — the capability, or its end; :R is in capability_create */
    bool live = atomic_load_acquire_u64(&entry->state) == id;
    add_one(&cache->misses);
    if (live && cache->room->entries > 0) {
        cache->lines[id & cache->mask] = (line_t){.id = id, .rights = rights, .epoch = epoch};
    }
    return live && (rights & need) == need;
}

static bool adopt_and_ask(capability_cache_t *cache, cap_id_t id, cap_rights_t need) __attribute__((noinline));
static bool adopt_and_ask(capability_cache_t *cache, cap_id_t id, cap_rights_t need) {
    adopt(cache);
    return ask(cache, id, need);
}

static inline bool check_kept(capability_cache_t *cache, cap_id_t id, cap_rights_t need) {
    /* relaxed: a hint; who takes the offer acquires it */
    if (__builtin_expect(atomic_load_relaxed_u64(&cache->offered) != 0, 0)) {
        return adopt_and_ask(cache, id, need); // the new room is empty
    }
    const line_t *line = &cache->lines[id & cache->mask];
    /* edge FRESHNESS:A — what was changed before; :RA is in epoch_raise */
    uint64_t epoch = atomic_load_acquire_u64(capability_epoch(cache->epochs, id));
    if (__builtin_expect(((line->id ^ id) | (line->epoch ^ epoch)) != 0, 0)) {
        return ask(cache, id, need);
    }
    add_one(&cache->hits);
    return (line->rights & need) == need;
}

bool capability_cache_check(capability_cache_t *cache, cap_id_t id, cap_rights_t need) {
    return check_kept(cache, id, need);
}

uint64_t capability_cache_check_batch(capability_cache_t *cache, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                      uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t here = count - from < 64 ? count - from : 64;
        uint64_t word = 0;
        for (uint64_t i = 0; i < here; i++) {
            word |= (uint64_t)check_kept(cache, ids[from + i], need) << i;
        }
        allowed[from / 64] = word;
        sum += (uint64_t)__builtin_popcountll(word);
    }
    return sum;
}

void capability_cache_forget(capability_cache_t *cache) { forget_lines(cache->room); }

status_t capability_cache_resize(capability_cache_t *cache, uint64_t entries) {
    if (entries > CAPABILITY_CACHE_MAX) {
        return STATUS_INVALID;
    }
    room_t *room = room_make(entries);
    if (room == NULL) {
        return STATUS_NO_MEMORY;
    }
    /* relaxed: the offer may be gone as soon as it is made; what it has is copied before */
    atomic_store_relaxed_u64(&cache->entries, room->entries);
    shared_free(take_offer(cache, room));
    return STATUS_OK;
}

capability_cache_stats_t capability_cache_stats(const capability_cache_t *cache) {
    capability_cache_stats_t stats;
    /* relaxed: sums, each at its own moment */
    stats.hits = atomic_load_relaxed_u64(&cache->hits);
    /* relaxed: as above */
    stats.misses = atomic_load_relaxed_u64(&cache->misses);
    /* relaxed: as above */
    stats.entries = atomic_load_relaxed_u64(&cache->entries);
    return stats;
}
