// Vector checks by AVX-512 (F, VL, DQ). Only called where cpu_simd_possible says so. test_capability_simd builds it a second time
// over intrinsics in plain C, which run everywhere.
#include "capability_variants.h"

#if defined(__AVX512F__) || defined(ORCH_AVX512_MODEL)
#ifdef ORCH_AVX512_MODEL
#include ORCH_AVX512_MODEL
#else
#include <immintrin.h>
#endif

#define ATOMICS_VECTOR_X8 1
#include "atomics_vector.h"

static __m512i all_of(uint64_t word) { return _mm512_set1_epi64((long long)word); }

static inline __m128i entry_of(const capability_table_t *table, cap_id_t id) {
    /* edge LIFE:A — the capability with its rights of the same moment, or its end; :R is in capability_create */
    return atomic_load_acquire_x2(&simd_entry(table, id)->state);
}

// The entries of ids[0], [2], [4], [6], one behind the other.
static inline __m512i every_second(const capability_table_t *table, const cap_id_t *ids) {
    __m512i entries = _mm512_castsi128_si512(entry_of(table, ids[0]));
    entries = _mm512_inserti64x2(entries, entry_of(table, ids[2]), 1);
    entries = _mm512_inserti64x2(entries, entry_of(table, ids[4]), 2);
    return _mm512_inserti64x2(entries, entry_of(table, ids[6]), 3);
}

static inline uint32_t check_8(const capability_table_t *table, const cap_id_t *ids, __m512i key) {
    __m512i even = every_second(table, ids), odd = every_second(table, ids + 1);
    __m512i states = _mm512_unpacklo_epi64(even, odd), rights = _mm512_unpackhi_epi64(even, odd);
    __mmask8 lives = _mm512_cmpeq_epi64_mask(states, _mm512_loadu_si512(ids));
    return _mm512_mask_cmpeq_epi64_mask(lives, _mm512_and_si512(rights, key), key);
}

static uint32_t mask_4(const capability_table_t *table, const cap_id_t ids[4], cap_rights_t need) {
    const cap_id_t eight[8] = {ids[0], ids[1], ids[2], ids[3], ids[0], ids[1], ids[2], ids[3]};
    return check_8(table, eight, all_of(need)) & 15;
}

static uint32_t mask_8(const capability_table_t *table, const cap_id_t ids[8], cap_rights_t need) {
    return check_8(table, ids, all_of(need));
}

static inline uint64_t check_block(const capability_table_t *table, const cap_id_t *ids, uint64_t left, cap_rights_t need,
                                   unsigned distance) {
    __m512i key = all_of(need);
    uint64_t here = left < 64 ? left : 64, passes = 0, i = 0;
    for (; i + 8 <= here; i += 8) {
        if (distance != 0) {
            simd_fetch_ahead(table, ids + i, left - i, distance, 8);
        }
        passes |= (uint64_t)check_8(table, ids + i, key) << i;
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
    const __m512i key = all_of(need | COLUMN_VALID);
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += COLUMN_BLOCK) {
        const atomic_u64_t *words = &column->words[first + from];
        __m512i all = all_of(UINT64_MAX);
        uint64_t passes = 0;
#pragma GCC unroll 8
        for (unsigned i = 0; i < COLUMN_BLOCK; i += 8) {
            /* relaxed: a word says all of its place, and what it said last is found by whoever comes later */
            __m512i word = atomic_load_relaxed_x8(&words[i]);
            passes |= (uint64_t)_mm512_cmpeq_epi64_mask(_mm512_and_si512(word, key), key) << i;
            all = _mm512_and_si512(all, word);
        }
        bool all_valid = _mm512_movepi64_mask(all) == 255; // VALID is the sign
        passes = column_answers(column, first + from, passes, all_valid, column_inside(count - from), need);
        allowed[from / COLUMN_BLOCK] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

static const capability_simd_ops_t ops = {mask_4, mask_8, check, column_check};
const capability_simd_ops_t *const capability_simd_avx512 = &ops;
#else
const capability_simd_ops_t *const capability_simd_avx512 = NULL;
#endif
