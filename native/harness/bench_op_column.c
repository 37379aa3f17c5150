/* A column of rights: the same capabilities, checked together. The floor compares bare words, with no table behind them. */
#include <stdio.h>

#include "op_many.h"

enum { SIZE, DENIED };

static const setting_t settings[] = {
    [SIZE] = SETTING_INTEGER("ids", 1024, 64, 1 << 24, "places of the column, a power of two: 1024 fit the first cache, "
                                                       "32768 the second, 1048576 the third"),
    [DENIED] = SETTING_NUMBER("denied", 0, 0, 1, "share of the capabilities that lack the right asked for"),
};

static many_t many;
static uint64_t *words; /* of the floor: the rights alone */

static bool check(const run_t *run, char *why, size_t size) {
    int64_t ids = run_int(run, SIZE);
    if ((ids & (ids - 1)) != 0)
        snprintf(why, size, "ids: %lld is not a power of two", (long long)ids);
    return (ids & (ids - 1)) == 0 && arms_one_thread(run, why, size);
}

static bool all_setup(run_t *run, void **shared) {
    (void)shared;
    uint64_t size = (uint64_t)run_int(run, SIZE);
    if (!many_setup(run, &many, size, size) || !many_fill(run, &many, size, run_float(run, DENIED), false))
        return false;
    words = aligned_alloc(128, size * sizeof *words);
    status_t status = capability_column_create(many.table, size, &many.column);
    for (uint64_t i = 0; i < size && status == STATUS_OK; i++)
        status = capability_column_set(many.seat, many.column, i, many.ids[i]);
    if (status != STATUS_OK || words == NULL)
        return many_fail(run, "the column", words == NULL ? STATUS_NO_MEMORY : status);
    for (uint64_t i = 0; i < size; i++)
        words[i] = capability_check(many.table, many.ids[i], MANY_NEED) ? MANY_NEED | 2 : 2;
    return true;
}

static void all_finish(run_t *run, void *shared) {
    (void)run, (void)shared;
    many_finish(&many);
    free(words);
}

/* ---- the floor: as wide as the processor ---- */
static uint64_t floor_portable(const uint64_t *at, uint64_t count, uint64_t need, uint64_t *allowed) {
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t passes = 0;
        for (unsigned i = 0; i < 64; i++)
            passes |= (uint64_t)((at[from + i] & need) == need) << i;
        allowed[from / 64] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}

#if defined(__x86_64__)
#include <immintrin.h>
__attribute__((target("avx2"))) static uint64_t floor_avx2(const uint64_t *at, uint64_t count, uint64_t need,
                                                           uint64_t *allowed) {
    const __m256i key = _mm256_set1_epi64x((long long)need);
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t passes = 0;
#pragma GCC unroll 16
        for (unsigned i = 0; i < 64; i += 4) {
            __m256i word = _mm256_load_si256((const __m256i *)(const void *)(at + from + i));
            __m256i same = _mm256_cmpeq_epi64(_mm256_and_si256(word, key), key);
            passes |= (uint64_t)(unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(same)) << i;
        }
        allowed[from / 64] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}
__attribute__((target("avx512f"))) static uint64_t floor_avx512(const uint64_t *at, uint64_t count, uint64_t need,
                                                                uint64_t *allowed) {
    const __m512i key = _mm512_set1_epi64((long long)need);
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t passes = 0;
#pragma GCC unroll 8
        for (unsigned i = 0; i < 64; i += 8) {
            __m512i word = _mm512_load_si512(at + from + i);
            passes |= (uint64_t)_mm512_cmpeq_epi64_mask(_mm512_and_si512(word, key), key) << i;
        }
        allowed[from / 64] = passes;
        sum += (uint64_t)__builtin_popcountll(passes);
    }
    return sum;
}
#endif

static uint64_t floor_check(uint64_t first, uint64_t count, uint64_t *allowed) {
#if defined(__x86_64__)
    if (cpu_simd_chosen() == CPU_SIMD_AVX512)
        return floor_avx512(words + first, count, MANY_NEED, allowed);
    if (cpu_simd_chosen() == CPU_SIMD_AVX2)
        return floor_avx2(words + first, count, MANY_NEED, allowed);
#endif
    return floor_portable(words + first, count, MANY_NEED, allowed);
}

static uint64_t scalar_check(const cap_id_t *ids, uint64_t count) {
    uint64_t passing = 0;
    for (uint64_t i = 0; i < count; i++)
        passing += capability_check(many.table, ids[i], MANY_NEED);
    return passing;
}

#define BY(SIMD) capability_column_check_by(capability_simd_ops(SIMD), many.column, first, chunk, MANY_NEED, allowed)
MANY_SAMPLE(floor, floor_check(first, chunk, allowed))
MANY_SAMPLE(scalar, scalar_check(ids, chunk))
MANY_SAMPLE(ours, capability_column_check(many.column, first, chunk, MANY_NEED, allowed))
MANY_SAMPLE(portable, BY(CPU_SIMD_PORTABLE))
MANY_SAMPLE(avx2, BY(CPU_SIMD_AVX2))
MANY_SAMPLE(avx512, BY(CPU_SIMD_AVX512))

#define BENCH "op_column"
MANY_ARM(BENCH, scalar, ARM_OURS, NULL);
MANY_ARM(BENCH, ours, ARM_OURS, NULL);
MANY_ARM(BENCH, portable, ARM_OURS, NULL);
MANY_ARM(BENCH, avx2, ARM_OURS, many_can_avx2);
MANY_ARM(BENCH, avx512, ARM_OURS, many_can_avx512);
/* The first of all arms in order makes what they share. */
static arm_t arm_floor = {.bench = BENCH, .name = "floor", .kind = ARM_FLOOR, .setup = all_setup, .sample = floor_sample,
                          .finish = all_finish};
ARM_REGISTER(arm_floor)

static bench_t bench = ARMS_BENCH(BENCH, "the rights of a column of capabilities: floor, one by one, and by vectors",
                                  "one capability checked for one right", settings,
                                  sizeof settings / sizeof settings[0], check);
BENCH_REGISTER(bench)
