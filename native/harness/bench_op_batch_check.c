/* Lists of ids in mixed order, checked with their generations. The floor is the two loads and comparisons of each, in line, over
 * entries of the same size: without a bit for each, and without a table behind them. */
#include "baseline_capability.h"
#include "op_many.h"

enum { IDS, DENIED, AHEAD };

static const setting_t settings[] = {
    [IDS] = SETTING_INTEGER("ids", 1024, 1, 1 << 24, "capabilities in the table; 16 bytes each are read of them"),
    [DENIED] = SETTING_NUMBER("denied", 0, 0, 1, "share of the capabilities that lack the right asked for"),
    [AHEAD] = SETTING_INTEGER("ahead", 32, 0, 4096, "arm `ahead`: ids from whose check on an entry is asked for"),
};

enum { LIST = 1 << 18 };

typedef struct {
    _Alignas(16) uint64_t state, rights;
} entry_t;

static many_t many;
static baseline_table_t *baseline;
static baseline_thread_t *baseline_seat;
static cap_id_t *baseline_ids;
static entry_t *entries; /* of the floor: in the places of ours */
static uint64_t entries_mask;
static unsigned distance;

static bool floor_setup(run_t *run) {
    uint64_t places = 1;
    while (places < 2 * (uint64_t)run_int(run, IDS) + 128)
        places *= 2;
    entries = aligned_alloc(4096, (places * sizeof *entries + 4095) / 4096 * 4096);
    entries_mask = places - 1;
    if (entries == NULL)
        return many_fail(run, "the floor", STATUS_NO_MEMORY);
    for (uint64_t i = 0; i < many.count; i++)
        entries[many.ids[i] & entries_mask] =
            (entry_t){many.ids[i], capability_check(many.table, many.ids[i], MANY_NEED) ? MANY_NEED | 2 : 2};
    return true;
}

/* The same list for the baseline: a capability for each that the list names, in the same order. */
static bool baseline_setup(run_t *run) {
    cap_id_t *of = calloc(entries_mask + 1, sizeof *of);
    baseline_ids = calloc(many.count, sizeof *baseline_ids);
    status_t status = of != NULL && baseline_ids != NULL ? baseline_table_create(NULL, &baseline) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = baseline_thread_join(baseline, &baseline_seat);
    for (uint64_t i = 0; i < many.count && status == STATUS_OK; i++) {
        cap_id_t *mine = &of[many.ids[i] & entries_mask];
        if (*mine == CAPABILITY_NONE)
            status = baseline_capability_create(baseline_seat, i, entries[many.ids[i] & entries_mask].rights, mine);
        baseline_ids[i] = *mine;
    }
    free(of);
    return status == STATUS_OK || many_fail(run, "the baseline", status);
}

static bool all_setup(run_t *run, void **shared) {
    (void)shared;
    distance = (unsigned)run_int(run, AHEAD);
    return many_setup(run, &many, (uint64_t)run_int(run, IDS), LIST) &&
           many_fill(run, &many, (uint64_t)run_int(run, IDS), run_float(run, DENIED), true) && floor_setup(run) &&
           baseline_setup(run);
}

static void all_finish(run_t *run, void *shared) {
    (void)run, (void)shared;
    many_finish(&many);
    baseline_thread_leave(baseline_seat);
    baseline_table_destroy(baseline);
    free(baseline_ids);
    free(entries);
}

static uint64_t floor_check(const cap_id_t *ids, uint64_t count) {
    uint64_t passing = 0;
    for (uint64_t i = 0; i < count; i++) {
        const entry_t *entry = &entries[ids[i] & entries_mask];
        passing += (unsigned)(entry->state == ids[i]) & (unsigned)((entry->rights & MANY_NEED) == MANY_NEED);
    }
    return passing;
}

static uint64_t scalar_check(const cap_id_t *ids, uint64_t count) {
    uint64_t passing = 0;
    for (uint64_t i = 0; i < count; i++)
        passing += capability_check(many.table, ids[i], MANY_NEED);
    return passing;
}

static uint64_t fours_check(const cap_id_t *ids, uint64_t count) {
    uint64_t passing = 0;
    for (uint64_t i = 0; i < count; i += 4)
        passing += (uint64_t)__builtin_popcount(capability_mask_simd_4(many.table, ids + i, MANY_NEED));
    return passing;
}

static uint64_t eights_check(const cap_id_t *ids, uint64_t count) {
    uint64_t passing = 0;
    for (uint64_t i = 0; i < count; i += 8)
        passing += (uint64_t)__builtin_popcount(capability_mask_simd_8(many.table, ids + i, MANY_NEED));
    return passing;
}

#define BY(SIMD) capability_simd_ops(SIMD)->check(many.table, ids, chunk, MANY_NEED, 0, allowed)
MANY_SAMPLE(floor, floor_check(ids, chunk))
MANY_SAMPLE(baseline, baseline_capability_check_batch(baseline, baseline_ids + first, chunk, MANY_NEED, allowed))
MANY_SAMPLE(scalar, scalar_check(ids, chunk))
MANY_SAMPLE(batch, capability_check_batch(many.table, ids, chunk, MANY_NEED, allowed))
MANY_SAMPLE(ours, capability_check_simd(many.table, ids, chunk, MANY_NEED, allowed))
MANY_SAMPLE(ahead, capability_check_simd_ahead(many.table, ids, chunk, MANY_NEED, distance, allowed))
MANY_SAMPLE(simd_4, fours_check(ids, chunk))
MANY_SAMPLE(simd_8, eights_check(ids, chunk))
MANY_SAMPLE(portable, BY(CPU_SIMD_PORTABLE))
MANY_SAMPLE(avx2, BY(CPU_SIMD_AVX2))
MANY_SAMPLE(avx512, BY(CPU_SIMD_AVX512))

#define BENCH "op_batch_check"
MANY_ARM(BENCH, baseline, ARM_BASELINE, NULL);
MANY_ARM(BENCH, scalar, ARM_OURS, NULL);
MANY_ARM(BENCH, batch, ARM_OURS, NULL);
MANY_ARM(BENCH, ours, ARM_OURS, NULL);
MANY_ARM(BENCH, ahead, ARM_OURS, NULL);
MANY_ARM(BENCH, simd_4, ARM_OURS, NULL);
MANY_ARM(BENCH, simd_8, ARM_OURS, NULL);
MANY_ARM(BENCH, portable, ARM_OURS, NULL);
MANY_ARM(BENCH, avx2, ARM_OURS, many_can_avx2);
MANY_ARM(BENCH, avx512, ARM_OURS, many_can_avx512);
/* The first of all arms in order makes what they share. */
static arm_t arm_floor = {.bench = BENCH, .name = "floor", .kind = ARM_FLOOR, .setup = all_setup, .sample = floor_sample,
                          .finish = all_finish};
ARM_REGISTER(arm_floor)

static bench_t bench = ARMS_BENCH(BENCH, "lists of ids in mixed order, checked with generation: floor, baseline, ours in several forms",
                                  "one id checked for one right", settings, sizeof settings / sizeof settings[0],
                                  arms_one_thread);
BENCH_REGISTER(bench)
