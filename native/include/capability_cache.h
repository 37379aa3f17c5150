// Answers of a capability table, kept by whoever asks the same again: capability_cache_t.
//
// A cache belongs to one thread at a time; a worker that stays on its CPU makes it that CPU's. It keeps up to so many rights
// masks by id, each with the revocation epoch (capability_optimized.h) that was read before the table was asked. A hit reads the
// kept line and that epoch, and writes nothing shared. Its answer is the table's:
//
//   C1  After revoke(x) has returned, no check that starts later succeeds for x or a descendant, through any cache.
//   C2  Likewise for rights, after attenuate and transfer have returned; and a right granted is found after grant has returned.
//   C6  Apart from calls that are under way, the answer is that of capability_check, for any 64 bits as id and any `need`.
//
// While a call that ends or changes a capability is under way, a cache may still give the answer from before, also after
// capability_check has given the one from after. Once the call has returned, neither does.
//
// When to use it: a direct check is two loads of one line and is as fast as a hit. A cache pays where the table's entries are
// far away (another node, or many more capabilities than the processor's cache holds), and few of them are asked for.
#pragma once

#include "capability.h"
#include "capability_optimized.h"

#define CAPABILITY_CACHE_MAX (1u << 20)

typedef struct capability_cache capability_cache_t;

// Sums, which other threads may read while the owner goes on.
typedef struct capability_cache_stats {
    uint64_t hits;
    uint64_t misses;  // every check that asked the table, those with 0 entries too
    uint64_t entries; // in use now: a power of two, or 0
} capability_cache_stats_t;

// `entries` is rounded up to a power of two; 0 keeps nothing, and every check asks the table. At most CAPABILITY_CACHE_MAX.
// OK, INVALID or NO_MEMORY.
status_t capability_cache_create(capability_table_t *table, uint64_t entries, capability_cache_t **cache);
// No other call of this cache runs; before the table is destroyed.
void capability_cache_destroy(capability_cache_t *cache);

// --- the owner's --------------------------------------------------------------------------------------------------

// As capability_check. Wait-free.
bool capability_cache_check(capability_cache_t *cache, cap_id_t id, cap_rights_t need);
// As capability_check_batch, each by capability_cache_check.
uint64_t capability_cache_check_batch(capability_cache_t *cache, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                      uint64_t *allowed);
void capability_cache_forget(capability_cache_t *cache); // keeps nothing of what it had

// --- anybody's ----------------------------------------------------------------------------------------------------

// Other room, from the owner's next check on, beside everything but destroy; what was kept is forgotten. Where several
// threads ask, the last one is heard. OK, INVALID, or NO_MEMORY and nothing has changed.
status_t capability_cache_resize(capability_cache_t *cache, uint64_t entries);
// Each sum at its own moment.
capability_cache_stats_t capability_cache_stats(const capability_cache_t *cache);
