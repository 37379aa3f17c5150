/* One arm of a bench of changing operations, for any table with the functions of capability.h. Included by arm_*.c, which say
 * what is measured:
 *
 *   ARM_BENCH, ARM_NAME, ARM_KIND
 *   TABLE(f), CAP(f)     as in check.h
 *   CHANGE_OPS           operations that one change_once does
 *   CHANGE_BODY          the file with bool change_once(change_state_t *mine): does them; whether all were OK
 */
#include <stdlib.h>

#include "arms.h"
#include "capability.h"

enum { CHANGE_IDS = 64, CHANGE_CAPACITY = 1 << 24 };

typedef struct {
    _Alignas(128) TABLE(thread_t) *seat;
    cap_id_t root, homes[2]; /* hold everything; the homes are below the root */
    cap_id_t at;             /* below homes[0] at first */
    cap_id_t ids[CHANGE_IDS]; /* roots */
    uint64_t turn, failed;
} change_state_t;

#include CHANGE_BODY

static bool change_setup(run_t *run, void **shared) {
    TABLE(table_t) *table = NULL;
    capability_config_t config = {.capacity = CHANGE_CAPACITY};
    status_t status = TABLE(table_create)(&config, &table);
    *shared = table;
    if (status != STATUS_OK)
        run_fail(run, "%s: the table could not be made: %s", ARM_NAME, status_name(status));
    return status == STATUS_OK;
}

static bool change_enter(worker_t *worker, void *shared, void **state) {
    change_state_t *mine = aligned_alloc(_Alignof(change_state_t), sizeof *mine);
    *state = mine;
    if (!mine) {
        run_fail(worker->run, "memory exhausted: worker %d", worker->index);
        return false;
    }
    *mine = (change_state_t){.turn = 0};
    status_t status = TABLE(thread_join)(shared, &mine->seat);
    if (status == STATUS_OK)
        status = CAP(create)(mine->seat, 1, CAPABILITY_RIGHTS_ALL, &mine->root);
    for (int i = 0; i < 2 && status == STATUS_OK; i++)
        status = CAP(delegate)(mine->seat, mine->root, CAPABILITY_RIGHTS_ALL, &mine->homes[i]);
    if (status == STATUS_OK)
        status = CAP(delegate)(mine->seat, mine->homes[0], CAPABILITY_RIGHT_READ, &mine->at);
    for (int i = 0; i < CHANGE_IDS && status == STATUS_OK; i++)
        status = CAP(create)(mine->seat, 1, CAPABILITY_RIGHT_READ, &mine->ids[i]);
    if (status != STATUS_OK)
        run_fail(worker->run, "%s: worker %d found no room: %s", ARM_NAME, worker->index, status_name(status));
    return status == STATUS_OK;
}

static uint64_t change_sample(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker;
    (void)shared;
    change_state_t *mine = state;
    uint64_t times = (sample->ops + CHANGE_OPS - 1) / CHANGE_OPS;
    for (uint64_t i = 0; i < times; i++)
        mine->failed += !change_once(mine);
    return times * CHANGE_OPS;
}

static void change_leave(worker_t *worker, void *shared, void *state) {
    (void)shared;
    change_state_t *mine = state;
    if (mine->failed)
        run_fail(worker->run, "%s: %llu operations were not ok", ARM_NAME, (unsigned long long)mine->failed);
    TABLE(thread_leave)(mine->seat);
    free(mine);
}

static void change_finish(run_t *run, void *shared) {
    (void)run;
    TABLE(table_destroy)(shared);
}

static arm_t arm = {
    .bench = ARM_BENCH,
    .name = ARM_NAME,
    .kind = ARM_KIND,
    .scales = true,
    .setup = change_setup,
    .enter = change_enter,
    .sample = change_sample,
    .leave = change_leave,
    .finish = change_finish,
};
ARM_REGISTER(arm)
