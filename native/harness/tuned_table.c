/* The capabilities of the bench tuned_mix, and the lists in which they are asked for. */
#include <stdlib.h>

#include "tuned_world.h"

enum { LIST_MOST = 1 << 20, HOT_LENGTH = 1 << 16, NEAR = 256 };

static bool make_ids(run_t *run, tuned_table_t *table) {
    capability_thread_t *seat = NULL;
    capability_config_t config = {.capacity = 2 * table->count + (1u << 16)};
    status_t status = capability_table_create(&config, &table->table);
    if (status == STATUS_OK)
        status = capability_thread_join(table->table, &seat);
    rng_t rng = rng_seeded(run->options->seed);
    for (uint64_t i = 0; i < table->count && status == STATUS_OK; i++) {
        table->allowed[i] = rng_below(&rng, 16) != 0;
        cap_rights_t rights = table->allowed[i] ? TUNED_RIGHT : CAPABILITY_RIGHT_WRITE;
        status = capability_create(seat, i, rights, &table->ids[i]);
    }
    if (seat)
        capability_thread_leave(seat);
    if (status != STATUS_OK)
        run_fail(run, "%llu capabilities could not be made: %s", (unsigned long long)table->count, status_name(status));
    return status == STATUS_OK;
}

/* `length` ids, drawn from `choose`, which holds indices, or from all. */
static bool make_list(const tuned_table_t *table, const uint32_t *choose, uint64_t choices, uint64_t length, rng_t *rng,
                      tuned_list_t *list) {
    length = (length + TUNED_STRIDE - 1) / TUNED_STRIDE * TUNED_STRIDE;
    list->length = length;
    list->ids = aligned_alloc(128, length * sizeof *list->ids);
    list->allowed = calloc(length / TUNED_STRIDE + 1, sizeof *list->allowed);
    if (!list->ids || !list->allowed)
        return false;
    uint64_t allowed = 0;
    for (uint64_t i = 0; i < length; i++) {
        uint32_t drawn = rng_below(rng, (uint32_t)choices);
        uint32_t index = choose ? choose[drawn] : drawn;
        list->ids[i] = table->ids[index];
        allowed += table->allowed[index];
        if ((i + 1) % TUNED_STRIDE == 0)
            list->allowed[(i + 1) / TUNED_STRIDE] = allowed;
    }
    return true;
}

bool tuned_table_make(run_t *run, uint64_t count, uint64_t hot, tuned_table_t *table) {
    hot = hot < count ? hot : count;
    *table = (tuned_table_t){.count = count};
    table->ids = calloc(count, sizeof *table->ids);
    table->allowed = calloc(count, sizeof *table->allowed);
    uint32_t *chosen = calloc(hot, sizeof *chosen);
    numa_placement_t placement = tuned_place(run, &table->placement);
    if (placement.policy != NUMA_FIRST_TOUCH) /* a refusal leaves it where it would have been */
        (void)numa_place_thread(numa_system(), placement);
    bool good = table->ids && table->allowed && chosen && make_ids(run, table);
    if (placement.policy != NUMA_FIRST_TOUCH)
        (void)numa_place_thread(numa_system(), (numa_placement_t){.policy = NUMA_FIRST_TOUCH});
    if (good) {
        rng_t rng = rng_seeded(run->options->seed + 1);
        for (uint64_t i = 0; i < hot; i++)
            chosen[i] = rng_below(&rng, (uint32_t)count);
        good = make_list(table, NULL, count, count < LIST_MOST ? count : LIST_MOST, &rng, &table->everywhere) &&
               make_list(table, chosen, hot, HOT_LENGTH, &rng, &table->hot) &&
               make_list(table, chosen, hot < NEAR ? hot : NEAR, HOT_LENGTH, &rng, &table->near);
    }
    free(chosen);
    if (!good)
        run_fail(run, "memory exhausted: %llu ids", (unsigned long long)count); /* keeps an earlier reason */
    return good;
}

void tuned_table_free(tuned_table_t *table) {
    if (table->table)
        capability_table_destroy(table->table);
    free(table->ids);
    free(table->allowed);
    free(table->everywhere.ids);
    free(table->everywhere.allowed);
    free(table->hot.ids);
    free(table->hot.allowed);
    free(table->near.ids);
    free(table->near.allowed);
}

void tuned_revoke_one(contender_t *contender, capability_thread_t *seat) {
    cap_id_t id = CAPABILITY_NONE;
    status_t status = capability_create(seat, 0, TUNED_RIGHT, &id);
    if (status != STATUS_OK)
        return; /* slots wait for a neighbour that is off its CPU */
    bool first = tuned_check(contender, id);
    bool again = tuned_check(contender, id); /* kept by now, where there is a cache */
    status = capability_revoke(seat, id);
    if (!first || !again || status != STATUS_OK)
        run_violation(contender->worker, "C3", "%s: a new capability was not found, or could not be revoked: %s",
                      contender->name, status_name(status));
    if (tuned_check(contender, id))
        run_violation(contender->worker, "C1", "%s: id %#llx was allowed after its revoke had returned", contender->name,
                      (unsigned long long)id);
}
