/* One arm of op_create_delete, for a table with the functions of capability.h: TABLE(f) and CAP(f) name them, as in check.h;
 * ARM_NAME and ARM_KIND say what it is. A sample makes so many capabilities at a time, and ends them. */
#include <stdlib.h>

#include "arms.h"
#include "capability.h"
#include "op_made.h"

static bool made_setup(run_t *run, void **shared) {
    capability_config_t config = {.capacity = (uint64_t)1 << 22};
    TABLE(table_t) *table = NULL;
    status_t status = TABLE(table_create)(&config, &table);
    *shared = table;
    if (status != STATUS_OK)
        run_fail(run, "%s: the table could not be made: %s", ARM_NAME, status_name(status));
    return status == STATUS_OK;
}

static bool made_enter(worker_t *worker, void *shared, void **state) {
    TABLE(thread_t) *seat = NULL;
    status_t status = TABLE(thread_join)(shared, &seat);
    *state = seat;
    if (status != STATUS_OK)
        run_fail(worker->run, "%s: no seat at the table: %s", ARM_NAME, status_name(status));
    return status == STATUS_OK;
}

static uint64_t made_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)shared;
    cap_id_t ids[OP_MADE_AT_ONCE];
    uint64_t done = 0;
    for (; done < sample->ops; done += OP_MADE_AT_ONCE) {
        unsigned made = 0;
        for (; made < OP_MADE_AT_ONCE; made++)
            if (CAP(create)(state, made, CAPABILITY_RIGHTS_ALL, &ids[made]) != STATUS_OK)
                break; /* full, because a neighbour that is off its CPU holds up what was deleted */
        unsigned ended = 0;
        for (unsigned i = 0; i < made; i++)
            ended += CAP(delete)(state, ids[i]) == STATUS_OK;
        if (ended != made)
            run_violation(worker, "C5", "%u of %u capabilities that nobody else knew could be deleted", ended, made);
        if (made < OP_MADE_AT_ONCE)
            return done + made;
    }
    return done;
}

static void made_leave(worker_t *worker, void *shared, void *state) {
    (void)worker, (void)shared;
    TABLE(thread_leave)(state);
}

static void made_finish(run_t *run, void *shared) {
    (void)run;
    TABLE(table_destroy)(shared);
}

static arm_t arm = {
    .bench = "op_create_delete",
    .name = ARM_NAME,
    .kind = ARM_KIND,
    .scales = true,
    .setup = made_setup,
    .enter = made_enter,
    .sample = made_sample,
    .leave = made_leave,
    .finish = made_finish,
};
ARM_REGISTER(arm)
