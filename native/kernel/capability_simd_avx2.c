// Vector checks by AVX2. Only called where cpu_simd_possible says so.
#include "capability_variants.h"

#ifdef __AVX2__
#include <immintrin.h>

#define ATOMICS_VECTOR_X4 1
#include "atomics_vector.h"

static __m256i all_of(uint64_t word) { return _mm256_set1_epi64x((long long)word); }

// Bit i: whether lane i of both is the same.
static uint32_t same(__m256i a, __m256i b) {
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(a, b)));
}

static __m256i entries_of(const capability_table_t *table, cap_id_t low, cap_id_t high) {
    /* edge LIFE:A — the capability with its rights of the same moment, or its end; :R is in capability_create */
    __m128i first = atomic_load_acquire_x2(&simd_entry(table, low)->state);
    /* edge LIFE:A — as above; :R is in capability_create */
    __m128i second = atomic_load_acquire_x2(&simd_entry(table, high)->state);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
}

static inline uint32_t check_4(const capability_table_t *table, const cap_id_t *ids, __m256i key) {
    __m256i even = entries_of(table, ids[0], ids[2]), odd = entries_of(table, ids[1], ids[3]);
    __m256i states = _mm256_unpacklo_epi64(even, odd), rights = _mm256_unpackhi_epi64(even, odd);
    __m256i wanted = _mm256_loadu_si256((const __m256i *)(const void *)ids);
    __m256i lives = _mm256_cmpeq_epi64(states, wanted);
    __m256i holds = _mm256_cmpeq_epi64(_mm256_and_si256(rights, key), key);
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_and_si256(lives, holds)));
}

static uint32_t mask_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need) {
    return check_4(table, ids, all_of(need));
}

static uint32_t mask_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need) {
    __m256i key = all_of(need);
    return check_4(table, ids, key) | check_4(table, ids + 4, key) << 4;
}

static inline uint64_t check_block(const capability_table_t *table, const cap_id_t *ids, uint64_t left, cap_rights_t need,
                                   unsigned distance) {
    __m256i key = all_of(need);
    uint64_t here = left < 64 ? left : 64, passes = 0, i = 0;
    for (; i + 4 <= here; i += 4) {
        if (distance != 0) {
            simd_fetch_ahead(table, ids + i, left - i, distance, 4);
        }
        passes |= (uint64_t)check_4(table, ids + i, key) << i;
    }
    return i < here ? passes | simd_check_rest(table, ids + i, here - i, need) << i : passes;
}

static uint64_t check(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                      unsigned distance, uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t passes = distance != 0 ? check_block(table, ids + from, count - from, need, distance)
                                        : check_block(table, ids + from, count - from, need, 0);
        allowed[from / 64] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

static uint64_t column_check(const capability_column_t *column, uint64_t first, uint64_t count, cap_rights_t need,
                             uint64_t *allowed) {
    const __m256i key = all_of(need | COLUMN_VALID);
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += COLUMN_BLOCK) {
        const atomic_u64_t *words = &column->words[first + from];
        __m256i all = all_of(UINT64_MAX);
        uint64_t passes = 0;
#pragma GCC unroll 16
        for (unsigned i = 0; i < COLUMN_BLOCK; i += 4) {
            /* relaxed: a word says all of its place, and what it said last is found by whoever comes later */
            __m256i word = atomic_load_relaxed_x4(&words[i]);
            passes |= (uint64_t)same(_mm256_and_si256(word, key), key) << i;
            all = _mm256_and_si256(all, word);
        }
        bool all_valid = _mm256_movemask_pd(_mm256_castsi256_pd(all)) == 15; // VALID is the sign
        passes = column_answers(column, first + from, passes, all_valid, column_inside(count - from), need);
        allowed[from / COLUMN_BLOCK] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

static const capability_simd_ops_t ops = {mask_4, mask_8, check, column_check};
const capability_simd_ops_t *const capability_simd_avx2 = &ops;
#else
const capability_simd_ops_t *const capability_simd_avx2 = NULL;
#endif
