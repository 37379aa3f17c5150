// Guards alone, over both tables: which of body and refusal runs, after every change to what a guard names.
#include "capability_ops.h"
#include "expect.h"
#include "guarded.h"

#include <string.h>

#define READ CAPABILITY_RIGHT_READ
#define WRITE CAPABILITY_RIGHT_WRITE
#define DELEGATE CAPABILITY_RIGHT_DELEGATE

typedef struct bed {
    const capability_ops_t *ops;
    void *table;
    void *self;
    guarded_gate_t gate;
} bed_t;

// What a dispatch did, counted by the worker that it was given.
typedef struct tally {
    unsigned bodies, refusals;
} tally_t;

static void count_body(guarded_t *task, void *worker) {
    (void)task;
    ((tally_t *)worker)->bodies++;
}

static void count_refusal(guarded_t *task, void *worker) {
    (void)task;
    ((tally_t *)worker)->refusals++;
}

static cap_id_t root_of(bed_t *bed, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->create(bed->self, 1, rights, &id), STATUS_OK);
    return id;
}

static cap_id_t child_of(bed_t *bed, cap_id_t parent, cap_rights_t rights) {
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(bed->ops->delegate(bed->self, parent, rights, &id), STATUS_OK);
    return id;
}

static guarded_t task_with(bed_t *bed, const guard_t *guards, uint32_t count) {
    guarded_t task;
    EXPECT_EQ(guarded_init(&task, &bed->gate, count_body, count_refusal, guards, count), STATUS_OK);
    return task;
}

// One dispatch runs one of the two, and says which.
static bool runs(guarded_t *task) {
    tally_t tally = {0};
    bool ran = guarded_dispatch(task, &tally);
    EXPECT_EQ(tally.bodies, ran ? 1 : 0);
    EXPECT_EQ(tally.refusals, ran ? 0 : 1);
    return ran;
}

static void a_task_without_guards_runs(bed_t *bed) {
    guarded_t task = task_with(bed, NULL, 0);
    EXPECT(runs(&task));
}

static void a_task_runs_while_its_capability_lives_and_never_after(bed_t *bed) {
    cap_id_t id = root_of(bed, READ | DELEGATE);
    guarded_t task = task_with(bed, &(guard_t){id, READ}, 1);
    EXPECT(runs(&task) && runs(&task));
    EXPECT_EQ(bed->ops->revoke(bed->self, id), STATUS_OK);
    EXPECT(!runs(&task));
    cap_id_t other = root_of(bed, READ); // perhaps in the slot of the first
    EXPECT(other != id && !runs(&task));
}

static void the_end_of_an_ancestor_stops_a_task(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | DELEGATE);
    guarded_t task = task_with(bed, &(guard_t){child_of(bed, child, READ), READ}, 1);
    EXPECT(runs(&task));
    EXPECT_EQ(bed->ops->revoke(bed->self, root), STATUS_OK);
    EXPECT(!runs(&task));
}

static void a_right_taken_above_stops_the_tasks_that_need_it_alone(bed_t *bed) {
    cap_id_t root = root_of(bed, READ | WRITE | DELEGATE);
    cap_id_t child = child_of(bed, root, READ | WRITE);
    guarded_t reader = task_with(bed, &(guard_t){child, READ}, 1);
    guarded_t writer = task_with(bed, &(guard_t){child, READ | WRITE}, 1);
    EXPECT(runs(&reader) && runs(&writer));
    EXPECT_EQ(bed->ops->attenuate(bed->self, root, WRITE), STATUS_OK);
    EXPECT(runs(&reader) && !runs(&writer));
}

static void every_guard_must_hold(bed_t *bed) {
    for (uint32_t broken = 0; broken <= GUARDED_MAX; broken++) {
        guard_t guards[GUARDED_MAX];
        for (uint32_t i = 0; i < GUARDED_MAX; i++) {
            guards[i] = (guard_t){root_of(bed, READ), i == broken ? READ | WRITE : READ};
        }
        guarded_t task = task_with(bed, guards, GUARDED_MAX);
        EXPECT_EQ(runs(&task), broken == GUARDED_MAX);
    }
}

static void life_alone_can_be_asked_for_and_no_id_is_never_alive(bed_t *bed) {
    cap_id_t bare = root_of(bed, 0);
    guarded_t task = task_with(bed, &(guard_t){bare, 0}, 1);
    EXPECT(runs(&task));
    EXPECT_EQ(bed->ops->delete_one(bed->self, bare), STATUS_OK);
    EXPECT(!runs(&task));
    guarded_t nobody = task_with(bed, &(guard_t){CAPABILITY_NONE, 0}, 1);
    EXPECT(!runs(&nobody));
}

static void a_refusal_may_be_left_out(bed_t *bed) {
    guarded_t task;
    tally_t tally = {0};
    EXPECT_EQ(guarded_init(&task, &bed->gate, count_body, NULL, &(guard_t){CAPABILITY_NONE, 0}, 1), STATUS_OK);
    EXPECT(!guarded_dispatch(&task, &tally) && tally.bodies == 0);
}

static void what_cannot_be_a_task_is_refused_and_written_nowhere(bed_t *bed) {
    guarded_t task;
    unsigned char before[sizeof task], after[sizeof task];
    memset(&task, 0x5a, sizeof task);
    memcpy(before, &task, sizeof task);
    guard_t guards[GUARDED_MAX + 1] = {{0}};
    EXPECT_EQ(guarded_init(&task, &bed->gate, count_body, NULL, guards, GUARDED_MAX + 1), STATUS_INVALID);
    EXPECT_EQ(guarded_init(&task, NULL, count_body, NULL, guards, 1), STATUS_INVALID);
    EXPECT_EQ(guarded_init(&task, &bed->gate, NULL, NULL, guards, 1), STATUS_INVALID);
    EXPECT_EQ(guarded_init(&task, &bed->gate, count_body, NULL, NULL, 1), STATUS_INVALID);
    memcpy(after, &task, sizeof task);
    EXPECT_EQ(memcmp(before, after, sizeof task), 0);
}

static void over(const capability_ops_t *ops) {
    static void (*const tests[])(bed_t *) = {
        a_task_without_guards_runs,
        a_task_runs_while_its_capability_lives_and_never_after,
        the_end_of_an_ancestor_stops_a_task,
        a_right_taken_above_stops_the_tasks_that_need_it_alone,
        every_guard_must_hold,
        life_alone_can_be_asked_for_and_no_id_is_never_alive,
        a_refusal_may_be_left_out,
        what_cannot_be_a_task_is_refused_and_written_nowhere,
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        bed_t bed = {.ops = ops};
        EXPECT_EQ(ops->table_create(NULL, &bed.table), STATUS_OK);
        EXPECT_EQ(ops->thread_join(bed.table, &bed.self), STATUS_OK);
        bed.gate = (guarded_gate_t){.check = ops->check, .table = bed.table};
        tests[i](&bed);
        ops->thread_leave(bed.self);
        ops->table_destroy(bed.table);
    }
    printf("ok %s: guards\n", ops->name);
}

static void the_gate_of_the_lock_free_table_asks_it(void) {
    capability_table_t *table = NULL;
    capability_thread_t *self = NULL;
    cap_id_t id = CAPABILITY_NONE;
    EXPECT_EQ(capability_table_create(NULL, &table), STATUS_OK);
    EXPECT_EQ(capability_thread_join(table, &self), STATUS_OK);
    EXPECT_EQ(capability_create(self, 1, READ, &id), STATUS_OK);
    guarded_gate_t gate = guarded_gate_of(table);
    guarded_t task;
    EXPECT_EQ(guarded_init(&task, &gate, count_body, count_refusal, &(guard_t){id, READ}, 1), STATUS_OK);
    EXPECT(runs(&task));
    EXPECT_EQ(capability_revoke(self, id), STATUS_OK);
    EXPECT(!runs(&task));
    capability_thread_leave(self);
    capability_table_destroy(table);
}

int main(void) {
    over(&capability_lockfree_ops);
    over(&capability_baseline_ops);
    the_gate_of_the_lock_free_table_asks_it();
    return 0;
}
