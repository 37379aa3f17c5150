/* One arm of op_check or its like. Included by files that say what is measured:
 *
 *   ARM_BENCH, ARM_NAME, ARM_KIND, ARM_SCALES
 *   check_table_t                   a table
 *   check_fill(table **, n, ids)    makes it with n capabilities that hold CAPABILITY_RIGHT_READ; status_t
 *   check_open(table, n)            what one worker asks, a check_view_t *; NULL: no memory
 *   check_one(view, id, need)       the operation
 *   check_close(view)
 *   check_clear(table, n, ids)      the end of it
 */
#include <stdlib.h>

#include "arms.h"
#include "op_check.h"

typedef struct {
    check_table_t *table;
    uint32_t count;
    cap_id_t *ids;
} check_shared_t;

typedef struct {
    _Alignas(128) check_view_t *view;
    cap_id_t *list; /* OP_CHECK_LIST ids in a mixed order */
    uint64_t allowed, asked;
} check_state_t;

static bool check_setup(run_t *run, void **shared) {
    check_shared_t *made = calloc(1, sizeof *made);
    uint32_t count = (uint32_t)run_int(run, OP_CHECK_IDS);
    *shared = made;
    if (made) {
        made->count = count;
        made->ids = calloc(count, sizeof *made->ids);
    }
    if (!made || !made->ids) {
        run_fail(run, "memory exhausted: %u ids of %s", count, ARM_NAME);
        return false;
    }
    status_t status = check_fill(&made->table, count, made->ids);
    if (status != STATUS_OK)
        run_fail(run, "%s: the table of %u could not be made: %s", ARM_NAME, count, status_name(status));
    return status == STATUS_OK;
}

static bool check_enter(worker_t *worker, void *shared, void **state) {
    const check_shared_t *of = shared;
    check_state_t *made = aligned_alloc(_Alignof(check_state_t), sizeof *made);
    cap_id_t *list = aligned_alloc(128, OP_CHECK_LIST * sizeof *list);
    *state = made;
    check_view_t *view = check_open(of->table, of->count);
    if (!made || !list || !view) {
        run_fail(worker->run, "memory exhausted: a list of %d ids", OP_CHECK_LIST);
        return false;
    }
    *made = (check_state_t){.view = view, .list = list};
    rng_t rng = rng_seeded(worker->seed);
    for (uint32_t i = 0; i < OP_CHECK_LIST; i++)
        list[i] = of->ids[rng_below(&rng, of->count)];
    return true;
}

static uint64_t check_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker;
    (void)shared;
    check_state_t *mine = state;
    check_view_t *view = mine->view;
    const cap_id_t *list = mine->list;
    uint64_t at = sample->turn * sample->ops, allowed = 0;
    for (uint64_t end = at + sample->ops; at < end; at++)
        allowed += check_one(view, list[at % OP_CHECK_LIST], CAPABILITY_RIGHT_READ);
    mine->allowed += allowed;
    mine->asked += sample->ops;
    return sample->ops;
}

static void check_leave(worker_t *worker, void *shared, void *state) {
    (void)shared;
    check_state_t *mine = state;
    if (mine->allowed != mine->asked)
        run_fail(worker->run, "%s allowed %llu of %llu checks, all had to be", ARM_NAME,
                 (unsigned long long)mine->allowed, (unsigned long long)mine->asked);
    check_close(mine->view);
    free(mine->list);
    free(mine);
}

static void check_finish(run_t *run, void *shared) {
    (void)run;
    check_shared_t *of = shared;
    check_clear(of->table, of->count, of->ids);
    free(of->ids);
    free(of);
}

static arm_t arm = {
    .bench = ARM_BENCH,
    .name = ARM_NAME,
    .kind = ARM_KIND,
    .scales = ARM_SCALES,
    .setup = check_setup,
    .enter = check_enter,
    .sample = check_sample,
    .leave = check_leave,
    .finish = check_finish,
};
ARM_REGISTER(arm)
