/* op_cached_check: a cache of the lock-free table per worker, with room for every id. */
#include "capability_cache.h"

#define ARM_BENCH "op_cached_check"
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define ARM_SCALES true
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
typedef capability_cache_t check_view_t;
static check_view_t *check_open(capability_table_t *table, unsigned count) {
    check_view_t *cache = NULL;
    (void)capability_cache_create(table, 4 * (uint64_t)count, &cache);
    return cache;
}
static void check_close(check_view_t *view) { capability_cache_destroy(view); }
#define check_one capability_cache_check
#include "arm_check_table.h"
