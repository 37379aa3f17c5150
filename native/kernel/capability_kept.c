// A cache per thread and table, found through one thread-local word; the table's list of caches, which only grows, is for a thread
// that goes back and forth between tables, and for the end of the table.
#include "capability_kept.h"

#include "atomics.h"
#include "capability_cache.h"
#include "capability_ops.h"

typedef struct keeper {
    capability_cache_t *cache;
    uint64_t thread; // whose
    struct keeper *next;
} keeper_t;

struct kept_table {
    capability_table_t *table;
    uint64_t number;      // of all tables ever made
    atomic_u64_t keepers; // keeper_t *; only added to
};

static atomic_u64_t numbers; // given out to threads and tables

static _Thread_local uint64_t thread_number;
static _Thread_local struct {
    uint64_t table; // whose number
    capability_cache_t *cache;
} last;

static uint64_t next_number(void) {
    /* edge KEEPER:RA — nothing but the number; :RA is in next_number */
    return atomic_fetch_add_acq_rel_u64(&numbers, 1) + 1;
}

static keeper_t *first_keeper(const kept_table_t *kept) {
    /* edge KEEPER:A — the keepers; :RA is in add_keeper */
    return (keeper_t *)(uintptr_t)atomic_load_acquire_u64(&kept->keepers);
}

// The list is state that readers add to; the table as such is constant for them.
static keeper_t *add_keeper(const kept_table_t *kept) {
    keeper_t *keeper = shared_alloc(sizeof *keeper);
    if (keeper == NULL || capability_cache_create(kept->table, KEPT_ENTRIES, &keeper->cache) != STATUS_OK) {
        shared_free(keeper);
        return NULL;
    }
    keeper->thread = thread_number;
    atomic_u64_t *word = &((kept_table_t *)(uintptr_t)kept)->keepers;
    uint64_t first = (uintptr_t)first_keeper(kept);
    do {
        keeper->next = (keeper_t *)(uintptr_t)first;
        /* edge KEEPER:RA — the keeper; :A is in first_keeper */
    } while (!atomic_cas_acq_rel_u64(word, &first, (uintptr_t)keeper));
    return keeper;
}

// NULL where there is no memory for one.
static __attribute__((noinline)) capability_cache_t *find_cache(const kept_table_t *kept) {
    if (thread_number == 0) {
        thread_number = next_number();
    }
    keeper_t *keeper = first_keeper(kept);
    while (keeper != NULL && keeper->thread != thread_number) {
        keeper = keeper->next;
    }
    if (keeper == NULL) {
        keeper = add_keeper(kept);
    }
    if (keeper == NULL) {
        return NULL;
    }
    last.table = kept->number;
    last.cache = keeper->cache;
    return keeper->cache;
}

static capability_cache_t *cache_of(const kept_table_t *kept) {
    return last.table == kept->number ? last.cache : find_cache(kept);
}

// --- the table ----------------------------------------------------------------------------------------------------

status_t kept_table_create(const capability_config_t *config, kept_table_t **out) {
    kept_table_t *kept = shared_alloc(sizeof *kept);
    if (kept == NULL) {
        return STATUS_NO_MEMORY;
    }
    status_t status = capability_table_create(config, &kept->table);
    if (status != STATUS_OK) {
        shared_free(kept);
        return status;
    }
    kept->number = next_number();
    *out = kept;
    return STATUS_OK;
}

void kept_table_destroy(kept_table_t *kept) {
    for (keeper_t *keeper = first_keeper(kept); keeper != NULL;) {
        keeper_t *next = keeper->next;
        capability_cache_destroy(keeper->cache);
        shared_free(keeper);
        keeper = next;
    }
    capability_table_destroy(kept->table);
    shared_free(kept);
}

status_t kept_table_resize(const kept_table_t *kept, uint64_t entries) {
    for (const keeper_t *keeper = first_keeper(kept); keeper != NULL; keeper = keeper->next) {
        status_t status = capability_cache_resize(keeper->cache, entries);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

void kept_table_hits(const kept_table_t *kept, uint64_t *hits, uint64_t *misses) {
    *hits = 0;
    *misses = 0;
    for (const keeper_t *keeper = first_keeper(kept); keeper != NULL; keeper = keeper->next) {
        capability_cache_stats_t stats = capability_cache_stats(keeper->cache);
        *hits += stats.hits;
        *misses += stats.misses;
    }
}

status_t kept_thread_join(kept_table_t *kept, kept_thread_t **self) { return capability_thread_join(kept->table, self); }
void kept_thread_leave(kept_thread_t *self) { capability_thread_leave(self); }

// --- operations ---------------------------------------------------------------------------------------------------

bool kept_capability_check(const kept_table_t *kept, cap_id_t id, cap_rights_t need) {
    capability_cache_t *cache = cache_of(kept);
    return cache != NULL ? capability_cache_check(cache, id, need) : capability_check(kept->table, id, need);
}

uint64_t kept_capability_check_batch(const kept_table_t *kept, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                     uint64_t *allowed) {
    capability_cache_t *cache = cache_of(kept);
    return cache != NULL ? capability_cache_check_batch(cache, ids, count, need, allowed)
                         : capability_check_batch(kept->table, ids, count, need, allowed);
}

status_t kept_capability_lookup(const kept_table_t *kept, cap_id_t id, capability_info_t *info) {
    return capability_lookup(kept->table, id, info);
}

#define PASSED_ON(result, name, parameters, arguments)                                                                 \
    result kept_##name parameters { return name arguments; }
PASSED_ON(status_t, capability_create, (kept_thread_t * self, uint64_t object, cap_rights_t rights, cap_id_t *id),
          (self, object, rights, id))
PASSED_ON(status_t, capability_grant, (kept_thread_t * self, cap_id_t id, cap_rights_t add), (self, id, add))
PASSED_ON(status_t, capability_attenuate, (kept_thread_t * self, cap_id_t id, cap_rights_t drop), (self, id, drop))
PASSED_ON(status_t, capability_delegate, (kept_thread_t * self, cap_id_t parent, cap_rights_t rights, cap_id_t *child),
          (self, parent, rights, child))
PASSED_ON(status_t, capability_revoke, (kept_thread_t * self, cap_id_t id), (self, id))
PASSED_ON(status_t, capability_delete, (kept_thread_t * self, cap_id_t id), (self, id))
PASSED_ON(status_t, capability_transfer, (kept_thread_t * self, cap_id_t id, cap_id_t parent, cap_id_t *moved),
          (self, id, parent, moved))
PASSED_ON(uint64_t, capability_grant_batch,
          (kept_thread_t * self, const cap_id_t *ids, uint64_t count, cap_rights_t add, status_t *answers),
          (self, ids, count, add, answers))
PASSED_ON(uint64_t, capability_attenuate_batch,
          (kept_thread_t * self, const cap_id_t *ids, uint64_t count, cap_rights_t drop, status_t *answers),
          (self, ids, count, drop, answers))
PASSED_ON(void, capability_settle, (kept_thread_t * self), (self))
PASSED_ON(capability_stats_t, capability_stats, (const kept_table_t *kept), (kept->table))
PASSED_ON(capability_audit_t, capability_audit, (const kept_table_t *kept), (kept->table))
