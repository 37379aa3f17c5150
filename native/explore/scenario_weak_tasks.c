// Tasks with ids under the explorer, by several at once: slots go from hand to hand by the stack of free ones, and others ask things of tasks whose
// ids they know by hearsay, so that nothing but the words of the scheduler orders what they see. What a task was given, its run has; what a
// run did, who sees it end or block has (S1); and no state is told of a task that was never in it (S2).
#include "atomics.h"
#include "scheduler.h"

#undef SCHEDULER_MAX_TASKS
#define SCHEDULER_MAX_TASKS 7u
#include "scheduler_sources.h"

enum { TAGS = 24, MAKERS_MAX = 3, ASKS = 3 };

// Of a slot: whoever has it writes here, and nothing else orders the writes.
typedef struct note {
    plain_u32_t given, result;
} note_t;
// What has happened, in the order of the run; looked at through no door.
typedef struct life {
    task_id_t id; // TASK_NONE: not made yet
    uint32_t tag, runs, done;
    bool asked_block, asked_end;
    explore_moment_t blocked; // its first run that ended so
} life_t;

static scheduler_lockfree_t *scheduler;
static note_t *notes; // per slot
static life_t lives[TAGS];
static uint32_t born, cpus, makers, left;

static task_verdict_t live(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    life_t *life = task->argument;
    note_t *note = &notes[task->slot];
    EXPLORE_EXPECT(plain_load_u32(&note->given) == life->tag, "S1: another's");
    EXPLORE_EXPECT(life->done == 0, "S1: it runs after its end");
    life->runs++;
    plain_store_u32(&note->result, life->runs);
    switch (life->runs < 4 ? explore_draw(4) : 3) {
    case 0: return TASK_AGAIN;
    case 1: life->blocked = life->blocked.time == 0 ? explore_now() : life->blocked; return TASK_BLOCK;
    default: life->done = life->runs; return TASK_DONE;
    }
}

// One of any maker's, with no more known of it than its id.
static life_t *by_hearsay(void) { return born == 0 ? NULL : &lives[explore_draw(born)]; }

static void expect_possible(const life_t *life, task_state_t state) {
    EXPLORE_EXPECT(state != TASK_STATE_COMPLETED || life->done != 0, "S2: completed before its end");
    EXPLORE_EXPECT(state != TASK_STATE_TERMINATED || life->asked_end, "S2: ended, and nobody asked for it");
    EXPLORE_EXPECT(state != TASK_STATE_BLOCKED || life->asked_block || explore_happened(life->blocked), "S2: blocked before it asked for it");
}

static void expect_account(void) {
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted >= stats.started && stats.started >= stats.finished, "S5: finished before it was started");
}

static void ask(void) {
    life_t *life = by_hearsay();
    if (life == NULL || life->id == TASK_NONE) {
        return;
    }
    task_state_t state = TASK_STATE_NEW;
    switch (explore_draw(5)) {
    case 0:
        life->asked_block = true;
        (void)scheduler_block_id(scheduler, life->id);
        break;
    case 1:
        life->asked_end = true;
        (void)scheduler_terminate_id(scheduler, life->id);
        break;
    case 2: expect_account(); break;
    default:
        if (scheduler_state_of(scheduler, life->id, &state) == STATUS_OK) {
            expect_possible(life, state);
        }
    }
}

// Its maker alone unblocks it.
static void see_to_the_end(life_t *life, uint32_t slot) {
    for (;;) {
        task_state_t state = TASK_STATE_NEW;
        EXPLORE_EXPECT(scheduler_state_of(scheduler, life->id, &state) == STATUS_OK, "S2: its id is gone");
        expect_possible(life, state);
        if (state == TASK_STATE_COMPLETED || state == TASK_STATE_TERMINATED) {
            EXPLORE_EXPECT(life->runs == 0 || plain_load_u32(&notes[slot].result) == life->runs, "S1: what its run did");
            return;
        }
        if (state == TASK_STATE_BLOCKED || explore_draw(4) == 0) {
            (void)scheduler_unblock_id(scheduler, life->id, (uint32_t)explore_draw(cpus));
        }
        spin_hint(0);
    }
}

static void make_one(void) {
    task_id_t id = TASK_NONE;
    task_t *task = NULL;
    if (born == TAGS) {
        return;
    }
    life_t *life = &lives[born];
    *life = (life_t){.id = TASK_NONE, .tag = ++born};
    EXPLORE_EXPECT(scheduler_task_create(scheduler, live, life, (uint8_t)explore_draw(2), NULL, &id, &task) == STATUS_OK, "S6");
    life->id = id;
    uint32_t slot = task->slot;
    plain_store_u32(&notes[slot].given, life->tag);
    if (explore_draw(3) != 0) {
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, &task, 1, (uint32_t)explore_draw(cpus)) == STATUS_OK, "S1");
        see_to_the_end(life, slot);
    }
    EXPLORE_EXPECT(scheduler_task_release(scheduler, id) == STATUS_OK, "S2: its end");
    task_state_t state = TASK_STATE_NEW;
    EXPLORE_EXPECT(scheduler_state_of(scheduler, id, &state) == STATUS_STALE, "S2: it is told after its end");
}

static void prepare(uint32_t driven, uint32_t making) {
    cpus = driven;
    makers = left = making;
    born = 0;
    scheduler_deque_mode_t mode = explore_draw(2) == 0 ? SCHEDULER_DEQUE_FENCED : SCHEDULER_DEQUE_ASYMMETRIC;
    scheduler_config_t config = {.cpus = cpus, .deque_first = 2, .mode = mode};
    EXPLORE_EXPECT(scheduler_create(&config, &scheduler) == STATUS_OK, "S6");
    (void)scheduler_set(scheduler, SCHEDULER_SPIN, explore_draw(2));
    notes = shared_alloc_aligned((SCHEDULER_MAX_TASKS + 1) * sizeof *notes);
}
static void set_up_one(void) { prepare(1, 2); }
static void set_up_two(void) { prepare(2, 2); }

static void run(unsigned thread) {
    if (thread < cpus) {
        scheduler_cpu_t *on = NULL;
        EXPLORE_EXPECT(scheduler_attach(scheduler, thread, &on) == STATUS_OK, "S1");
        (void)scheduler_loop(on);
        scheduler_detach(on);
        return;
    }
    for (unsigned length = explore_length(1, 4); length > 0; length--) {
        if (explore_operation()) {
            make_one();
        }
        for (uint64_t asks = explore_draw(ASKS); asks > 0; asks--) {
            ask();
        }
    }
    if (--left == 0) {
        scheduler_stop(scheduler);
    }
}

// One that only asks, and so has seen nothing of the slots before.
static void set_up_asked(void) { prepare(1, 1); }
static void run_asked(unsigned thread) {
    if (thread < 2) {
        run(thread);
        return;
    }
    for (uint64_t asks = 1 + explore_draw(12); asks > 0; asks--) {
        ask();
    }
}

static void finish(void) {
    EXPLORE_EXPECT(scheduler_queued(scheduler) == 0, "S5");
    scheduler_stats_t stats = scheduler_stats(scheduler);
    EXPLORE_EXPECT(stats.accepted == stats.started && stats.started == stats.finished, "S5");
    shared_free(notes);
    scheduler_destroy(scheduler);
}

// Slots alone: nobody runs anything.
static void set_up_slots(void) { prepare(1, MAKERS_MAX); }
static void run_slots(unsigned thread) {
    (void)thread;
    for (unsigned length = explore_length(1, 6); length > 0; length--) {
        task_id_t id = TASK_NONE;
        task_t *task = NULL;
        if (explore_operation() && scheduler_task_create(scheduler, live, NULL, 0, NULL, &id, &task) == STATUS_OK) {
            uint32_t slot = task->slot, tag = (uint32_t)id;
            plain_store_u32(&notes[slot].given, tag);
            EXPLORE_EXPECT(scheduler_id_of(task) == id && plain_load_u32(&notes[slot].given) == tag, "S2: two have it");
            EXPLORE_EXPECT(scheduler_task_release(scheduler, id) == STATUS_OK, "S2: its end");
        }
    }
}

// One CPU, driven by one after the other; a third hands in.
enum { TURNS = 6 };
static task_t *handed[TAGS];
static unsigned handed_count, run_count;

static task_verdict_t count_one(task_t *task, scheduler_cpu_t *on) {
    (void)task;
    (void)on;
    run_count++;
    return TASK_DONE;
}

static void set_up_turns(void) {
    prepare(1, 1);
    handed_count = run_count = 0;
    for (uint64_t count = 1 + explore_draw(8); count > 0; count--) {
        task_t *task = handed[handed_count++] = shared_alloc_aligned(sizeof *task);
        task_init(task, count_one, NULL, (uint8_t)explore_draw(2), NULL);
    }
}

static void hand_in_all(void) {
    for (unsigned i = 0; i < handed_count;) {
        uint32_t count = 1 + (uint32_t)explore_draw(3);
        count = count < handed_count - i ? count : handed_count - i;
        EXPLORE_EXPECT(scheduler_enqueue_wide(scheduler, handed + i, count, 0) == STATUS_OK, "S1");
        i += count;
    }
}

static void run_turns(unsigned thread) {
    if (thread == 2) {
        hand_in_all();
        return;
    }
    for (unsigned turn = 0; turn < TURNS; turn++) {
        scheduler_cpu_t *on = NULL;
        if (scheduler_attach(scheduler, 0, &on) == STATUS_OK) {
            (void)scheduler_run(on, 1 + explore_draw(3));
            scheduler_detach(on);
        }
        spin_hint(turn);
    }
}

static void finish_turns(void) {
    scheduler_cpu_t *on = NULL;
    EXPLORE_EXPECT(scheduler_attach(scheduler, 0, &on) == STATUS_OK, "S1");
    (void)scheduler_run(on, UINT32_MAX);
    scheduler_detach(on);
    EXPLORE_EXPECT(run_count == handed_count, "S1: as often as it was handed in");
    for (unsigned i = 0; i < handed_count; i++) {
        EXPLORE_EXPECT(task_state(handed[i]) == TASK_STATE_COMPLETED, "S1: each of them");
        shared_free(handed[i]);
    }
    finish();
}

static const explore_scenario_t scenarios[] = {
    {"weak_tasks_asked", 3, set_up_asked, run_asked, finish},
    {"weak_turns", 3, set_up_turns, run_turns, finish_turns},
    {"weak_tasks_slots", 3, set_up_slots, run_slots, finish},
    {"weak_tasks_one", 3, set_up_one, run, finish},
    {"weak_tasks_two", 4, set_up_two, run, finish},
};
EXPLORE_SCENARIOS("scheduler", "S1,S2,S5,S6", scenarios)
