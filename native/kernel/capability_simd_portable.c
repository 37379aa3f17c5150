// Vector checks without vectors: what every processor can run, and what the others are held against.
#include "capability_variants.h"

static uint32_t mask_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need) {
    return (uint32_t)simd_check_rest(table, ids, 4, need);
}

static uint32_t mask_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need) {
    return (uint32_t)simd_check_rest(table, ids, 8, need);
}

static uint64_t check(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                      unsigned distance, uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t left = count - from, here = left < 64 ? left : 64, passes = 0;
        for (uint64_t i = 0; i < here; i++) {
            if (distance != 0) {
                simd_fetch_ahead(table, ids + from + i, left - i, distance, 1);
            }
            cap_id_t id = ids[from + i];
            passes |= (uint64_t)capability_entry_holds(simd_entry(table, id), id, need) << i;
        }
        allowed[from / 64] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

static uint64_t column_check(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                             uint64_t *allowed) {
    const cap_rights_t key = need | COLUMN_VALID;
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += COLUMN_BLOCK) {
        const atomic_u64_t *words = &column->words[first + from];
        uint64_t passes = 0, all = UINT64_MAX;
        for (unsigned i = 0; i < COLUMN_BLOCK; i++) {
            /* relaxed: a word says all of its place, and what it said last is found by whoever comes later */
            uint64_t word = atomic_load_relaxed_u64(&words[i]);
            passes |= (uint64_t)((word & key) == key) << i;
            all &= word;
        }
        passes = column_answers(column, first + from, passes, (all & COLUMN_VALID) != 0, column_inside(count - from), need);
        allowed[from / COLUMN_BLOCK] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

static const capability_simd_ops_t ops = {mask_4, mask_8, check, column_check};
const capability_simd_ops_t *const capability_simd_portable = &ops;
