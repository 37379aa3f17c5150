// Which code vector checks run: chosen once, before main, from what cpu_features.h says.
#include "capability_variants.h"

// Entries that a core's second-level cache holds with ease; with more, entries are asked for ahead.
#define NEAR_ENTRIES ((uint64_t)1 << 14)
#define AHEAD 32u // ids

static const capability_simd_ops_t *chosen; // constant from before main

const capability_simd_ops_t *capability_simd_ops(cpu_simd_t simd) {
    switch (simd) {
    case CPU_SIMD_PORTABLE: return capability_simd_portable;
    case CPU_SIMD_AVX2: return capability_simd_avx2;
    case CPU_SIMD_AVX512: return capability_simd_avx512;
    case CPU_SIMD_COUNT: break;
    }
    return NULL;
}

__attribute__((constructor(102))) static void choose(void) { // cpu_features.c has 101
    cpu_simd_t simd = cpu_simd_chosen();
    while (capability_simd_ops(simd) == NULL) {
        simd--; // the compiler did not know these instructions
    }
    chosen = capability_simd_ops(simd);
}

uint32_t capability_mask_simd_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need) {
    return chosen->mask_4(table, ids, need);
}

uint32_t capability_mask_simd_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need) {
    return chosen->mask_8(table, ids, need);
}

bool capability_check_simd_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need) {
    return chosen->mask_4(table, ids, need) == 0xf;
}

bool capability_check_simd_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need) {
    return chosen->mask_8(table, ids, need) == 0xff;
}

uint64_t capability_check_simd_ahead(const capability_table_t *table, const cap_id_t *ids, uint64_t count,
                                     cap_rights_t need, unsigned distance, uint64_t *allowed) {
    return chosen->check(table, ids, count, need, distance, allowed);
}

uint64_t capability_check_simd(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                               uint64_t *allowed) {
    /* relaxed: it decides about speed alone */
    uint64_t used = atomic_load_relaxed_u64(&table->fresh);
    return chosen->check(table, ids, count, need, used > NEAR_ENTRIES ? AHEAD : 0, allowed);
}

// Asks the table for every place: for a right that the column has no bit for.
static uint64_t ask_all(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                        uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += COLUMN_BLOCK) {
        uint64_t passes = column_ask(column, first + from, column_inside(count - from), need);
        allowed[from / COLUMN_BLOCK] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

uint64_t capability_column_check_by(const capability_simd_ops_t *by, const capability_column_t *column, uint64_t first,
                         uint64_t count, cap_rights_t need, uint64_t *allowed) {
    uint64_t left = first < column->size ? column->size - first : 0;
    uint64_t inside = count < left ? count : left;
    uint64_t words = (inside + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
    for (uint64_t word = words; word < (count + COLUMN_BLOCK - 1) / COLUMN_BLOCK; word++) {
        allowed[word] = 0;
    }
    if (__builtin_expect((need & COLUMN_VALID) != 0, 0)) {
        return ask_all(column, first, inside, need, allowed);
    }
    return by->column_check(column, first, inside, need, allowed);
}

uint64_t capability_column_check(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                                 uint64_t *allowed) {
    return capability_column_check_by(chosen, column, first, count, need, allowed);
}
