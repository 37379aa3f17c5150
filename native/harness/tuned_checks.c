/* The phases that check capabilities. What must be allowed is known for every stride of a list. */
#include "capability_optimized.h"
#include "capability_simd.h"
#include "tuned_world.h"

enum { BURST_LONG = 256, HOT_CHUNK = 2 * TUNED_STRIDE, NEAR_CHUNK = 8 * TUNED_STRIDE };

bool tuned_check(contender_t *contender, cap_id_t id) {
    if (contender->values[TUNING_CACHE] == 0)
        return capability_check(contender->table->table, id, TUNED_RIGHT);
    return capability_cache_check(contender->cache, id, TUNED_RIGHT);
}

/* Takes the next `count` ids of the list, and says where they are and how many of them must be allowed. */
static const cap_id_t *take(contender_t *contender, int phase, const tuned_list_t *list, uint64_t count, uint64_t *expected) {
    uint64_t at = contender->at[phase];
    if (at + count > list->length)
        at = 0;
    contender->at[phase] = at + count;
    *expected = list->allowed[(at + count) / TUNED_STRIDE] - list->allowed[at / TUNED_STRIDE];
    return list->ids + at;
}

static void hold(contender_t *contender, int phase, uint64_t allowed, uint64_t expected) {
    if (allowed != expected)
        run_violation(contender->worker, "C6", "%s, phase %s: %llu checks were allowed in a chunk, %llu had to be",
                      contender->name, tuned_phases[phase].name, (unsigned long long)allowed, (unsigned long long)expected);
}

static uint64_t check_singly(contender_t *contender, const cap_id_t *ids, uint64_t count) {
    const capability_table_t *table = contender->table->table;
    uint64_t allowed = 0;
    if (contender->values[TUNING_CACHE] == 0) {
        for (uint64_t i = 0; i < count; i++)
            allowed += capability_check(table, ids[i], TUNED_RIGHT);
    } else {
        for (uint64_t i = 0; i < count; i++)
            allowed += capability_cache_check(contender->cache, ids[i], TUNED_RIGHT);
    }
    return allowed;
}

/* A working set of some thousand, all over the table. */
uint64_t tuned_chunk_hot(contender_t *contender, double *signature) {
    uint64_t expected = 0;
    const cap_id_t *ids = take(contender, PHASE_HOT, &contender->table->hot, HOT_CHUNK, &expected);
    hold(contender, PHASE_HOT, check_singly(contender, ids, HOT_CHUNK), expected);
    *signature = 0;
    return HOT_CHUNK;
}

/* Any id, hardly ever the same one soon. */
uint64_t tuned_chunk_scattered(contender_t *contender, double *signature) {
    uint64_t expected = 0;
    const cap_id_t *ids = take(contender, PHASE_SCATTERED, &contender->table->everywhere, TUNED_STRIDE, &expected);
    hold(contender, PHASE_SCATTERED, check_singly(contender, ids, TUNED_STRIDE), expected);
    *signature = 0;
    return TUNED_STRIDE;
}

static uint64_t check_scalar(const capability_table_t *table, const cap_id_t *ids, uint64_t count, uint64_t ahead,
                             uint64_t *mask) {
    uint64_t allowed = 0;
    uint64_t fetched = ahead < count ? count - ahead : 0;
    for (uint64_t i = 0; i < count; i++) {
        if (i % 64 == 0)
            mask[i / 64] = 0;
        if (ahead != 0 && i < fetched)
            capability_prefetch(table, ids[i + ahead]);
        uint64_t one = capability_check_inline(table, ids[i], TUNED_RIGHT);
        mask[i / 64] |= one << i % 64;
        allowed += one;
    }
    return allowed;
}

/* What the three settings of batches mean. */
static uint64_t check_burst(contender_t *contender, const cap_id_t *ids, uint64_t count) {
    const capability_table_t *table = contender->table->table;
    uint64_t group = contender->values[TUNING_GROUP];
    uint64_t simd_from = contender->values[TUNING_SIMD];
    uint64_t ahead = contender->values[TUNING_PREFETCH];
    uint64_t mask[BURST_LONG / 64];
    uint64_t allowed = 0;
    for (uint64_t i = 0; i < count; i += group) {
        uint64_t n = count - i < group ? count - i : group;
        if (n >= simd_from)
            allowed += capability_check_simd_ahead(table, ids + i, n, TUNED_RIGHT, (unsigned)ahead, mask);
        else
            allowed += check_scalar(table, ids + i, n, ahead, mask);
    }
    return allowed;
}

static uint64_t check_long(contender_t *contender, int phase, const tuned_list_t *list, uint64_t count, double *signature) {
    uint64_t expected = 0;
    const cap_id_t *ids = take(contender, phase, list, count, &expected);
    uint64_t allowed = 0;
    for (uint64_t i = 0; i < count; i += BURST_LONG)
        allowed += check_burst(contender, ids + i, BURST_LONG);
    hold(contender, phase, allowed, expected);
    *signature = BURST_LONG;
    return count;
}

/* Long bursts, far from any cache. */
uint64_t tuned_chunk_far(contender_t *contender, double *signature) {
    return check_long(contender, PHASE_FAR, &contender->table->everywhere, TUNED_STRIDE, signature);
}

/* Long bursts over few ids. */
uint64_t tuned_chunk_near(contender_t *contender, double *signature) {
    return check_long(contender, PHASE_NEAR, &contender->table->near, NEAR_CHUNK, signature);
}

/* Short bursts, 3 to 12 at a time, near by. */
uint64_t tuned_chunk_small(contender_t *contender, double *signature) {
    static const uint8_t lengths[] = {3, 12, 5, 8, 4, 11, 6, 9, 7, 10, 3, 8, 12, 5, 9, 16};
    uint64_t expected = 0;
    const cap_id_t *ids = take(contender, PHASE_SMALL, &contender->table->hot, HOT_CHUNK, &expected);
    uint64_t allowed = 0;
    uint64_t bursts = 0;
    for (uint64_t i = 0; i < HOT_CHUNK; bursts++) {
        uint64_t n = lengths[bursts % sizeof lengths];
        n = n < HOT_CHUNK - i ? n : HOT_CHUNK - i;
        allowed += check_burst(contender, ids + i, n);
        i += n;
    }
    hold(contender, PHASE_SMALL, allowed, expected);
    *signature = (double)HOT_CHUNK / (double)bursts;
    return HOT_CHUNK;
}
