/* op_cached_check: the least that a kept answer with a revocation epoch can be. One line of this worker's, one word of
 * everybody's, three comparisons, a plain count of hits, a real call. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "capability.h"

typedef struct {
    _Alignas(128) _Atomic uint64_t epoch;
    uint64_t slots;
} check_table_t;

typedef struct {
    cap_id_t id;
    cap_rights_t rights;
    uint64_t epoch, spare;
} kept_t;

typedef struct {
    _Alignas(128) const check_table_t *table;
    uint64_t mask, hits;
    kept_t *kept;
} check_view_t;

static status_t check_fill(check_table_t **table, uint32_t count, cap_id_t *ids) {
    check_table_t *made = aligned_alloc(_Alignof(check_table_t), sizeof *made);
    if (!made)
        return STATUS_NO_MEMORY;
    atomic_init(&made->epoch, 1);
    made->slots = 64;
    while (made->slots < count)
        made->slots *= 2;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (uint64_t)1 << 26 | i;
    *table = made;
    return STATUS_OK;
}

static void check_clear(check_table_t *table, uint32_t count, const cap_id_t *ids) {
    (void)count;
    (void)ids;
    free(table);
}

static check_view_t *check_open(const check_table_t *table, uint32_t count) {
    check_view_t *view = aligned_alloc(_Alignof(check_view_t), sizeof *view);
    kept_t *kept = aligned_alloc(4096, (table->slots * sizeof *kept + 4095) / 4096 * 4096);
    if (!view || !kept) {
        free(view);
        free(kept);
        return NULL;
    }
    memset(kept, 0, table->slots * sizeof *kept);
    for (uint32_t i = 0; i < count; i++)
        kept[i] = (kept_t){(uint64_t)1 << 26 | i, CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_WRITE, 1, 0};
    *view = (check_view_t){.table = table, .mask = table->slots - 1, .kept = kept};
    return view;
}

static void check_close(check_view_t *view) {
    free(view->kept);
    free(view);
}

__attribute__((noinline)) static bool check_one(check_view_t *view, cap_id_t id, cap_rights_t need) {
    __asm__("" : "+r"(view), "+r"(need));
    const kept_t *kept = &view->kept[id & view->mask];
    uint64_t epoch = atomic_load_explicit(&view->table->epoch, memory_order_acquire);
    unsigned same = (unsigned)(kept->id == id) & (unsigned)(kept->epoch == epoch);
    bool hit = (same & (unsigned)((kept->rights & need) == need)) != 0;
    view->hits += hit;
    return hit;
}

#define ARM_BENCH "op_cached_check"
#define ARM_NAME "floor"
#define ARM_KIND ARM_FLOOR
#define ARM_SCALES true
#include "arm_check.h"
