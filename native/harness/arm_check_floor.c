/* op_check: the least that such a check can be. Two loads of one 16-byte entry, two comparisons, a real call; no
 * table that grows, no reclamation, nobody who ends anything. */
#include <stdatomic.h>
#include <stdlib.h>

#include "capability.h"

typedef struct {
    _Atomic uint64_t state, rights;
} entry_t;

typedef struct {
    entry_t *entries;
    uint64_t mask;
} check_table_t;

static status_t check_fill(check_table_t **table, uint32_t count, cap_id_t *ids) {
    uint64_t slots = 64;
    while (slots < count)
        slots *= 2;
    check_table_t *made = malloc(sizeof *made);
    entry_t *entries = aligned_alloc(4096, (slots * sizeof *entries + 4095) / 4096 * 4096);
    if (!made || !entries) {
        free(made);
        free(entries);
        return STATUS_NO_MEMORY;
    }
    *made = (check_table_t){entries, slots - 1};
    for (uint64_t i = 0; i < slots; i++) {
        atomic_init(&entries[i].state, (uint64_t)1 << 26 | i);
        atomic_init(&entries[i].rights, CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_WRITE);
        if (i < count)
            ids[i] = (uint64_t)1 << 26 | i;
    }
    *table = made;
    return STATUS_OK;
}

/* Not inlined, nor cloned for its arguments: what a caller in another file gets. */
#ifdef FLOOR_INLINE
#define FLOOR_PIN(X)
#else
#define FLOOR_INLINE __attribute__((noinline))
#define FLOOR_PIN(X) __asm__("" : "+r"(X))
#endif
FLOOR_INLINE static bool check_one(const check_table_t *table, cap_id_t id, cap_rights_t need) {
    FLOOR_PIN(table);
    FLOOR_PIN(need);
    const entry_t *entry = &table->entries[id & table->mask];
    uint64_t rights = atomic_load_explicit(&entry->rights, memory_order_acquire);
    uint64_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    return ((unsigned)(state == id) & (unsigned)((rights & need) == need)) != 0;
}

static void check_clear(check_table_t *table, uint32_t count, const cap_id_t *ids) {
    (void)count;
    (void)ids;
    free(table->entries);
    free(table);
}

typedef const check_table_t check_view_t;
static check_view_t *check_open(const check_table_t *table, uint32_t count) {
    (void)count;
    return table;
}
static void check_close(check_view_t *view) { (void)view; }

#ifndef ARM_BENCH
#define ARM_BENCH "op_check"
#endif
#define ARM_NAME "floor"
#define ARM_KIND ARM_FLOOR
#define ARM_SCALES true
#include "arm_check.h"
