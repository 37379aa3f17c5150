// What the variants of vector checks share. For kernel/capability_simd*.c.
#pragma once

#include "capability_column.h"

// NULL: this build has no code for that instruction set.
extern const capability_simd_ops_t *const capability_simd_portable, *const capability_simd_avx2, *const capability_simd_avx512;

static inline const cap_entry_t *simd_entry(const capability_table_t *table, cap_id_t id) {
    return capability_entry(capability_view(table), id);
}

// The last ids of a list, fewer than a vector takes, one by one: bit i of the answer for ids[i].
static inline uint64_t simd_check_rest(const capability_table_t *table, const cap_id_t *ids, uint64_t count,
                                       cap_rights_t need) {
    uint64_t passes = 0;
    for (uint64_t i = 0; i < count; i++) {
        passes |= (uint64_t)capability_entry_holds(simd_entry(table, ids[i]), ids[i], need) << i;
    }
    return passes;
}

// Asks for the entries of up to `width` ids from `distance` ahead.
static inline void simd_fetch_ahead(const capability_table_t *table, const cap_id_t *ids, uint64_t left, unsigned distance,
                                    unsigned width) {
    for (unsigned i = 0; i < width && distance + i < left; i++) {
        cpu_prefetch(simd_entry(table, ids[distance + i]));
    }
}
