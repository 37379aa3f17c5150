// Who goes on: coroutines, and the strategies that choose among them. Every choice is a rank among those that are possible, 0 the usual
// one (the running thread, and the last store); the ranks of a run are its decisions, and replaying them makes the run again.
#include "explore_state.h"

#include <stdlib.h>
#include <string.h>

#include "explore_among.h"

enum { STACK = 1 << 17, LATE = 3000, STEPS_MAX = 30000, FALLS_MAX = 3, SWITCHES_MAX = 1 << 16 };

typedef enum { READY, WAITING, ENDED } condition_t;
typedef struct coroutine {
    void *stack_pointer;
    condition_t condition;
    const void *waits_for;
    bool may_time_out;
    uint64_t priority;
} coroutine_t;

unsigned running = MAIN_THREAD;
unsigned explore_step;
static unsigned waits_of_main, switches;
static unsigned next_event; // the step at which meet_event has something to do
static bool late;
static const explore_plan_t *plan;
static const explore_scenario_t *scenario;
static coroutine_t coroutines[THREADS]; // the last: main
static unsigned ready;                  // a bit for each thread that is READY
static pending_t pending[EXPLORE_THREADS];
static _Alignas(64) char stacks[EXPLORE_THREADS][STACK];
static explore_finding_t run; // filled in as far as it is known
static uint64_t run_number, random_state;
uint64_t explore_steps, explore_pruned;

static unsigned sticky; // RANDOM: 1: any door may change; n: one in n
static unsigned falls[FALLS_MAX];
static enum { BY_CHANCE, BY_PRIORITY, OTHERWISE } chooser; // OTHERWISE: by a plan, or one after the other
static uint64_t lowest;
uint8_t explore_decisions[EXPLORE_DECISIONS];
static size_t decision_count;
const explore_site_t *explore_site;

// --- chance -----------------------------------------------------------------------------------------------------------

static inline unsigned chance(unsigned below) { // one multiplication from number to number; the high bits are good
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(((random_state >> 32) * below) >> 32);
}
bool schedule_is_late(void) { return late; }

unsigned explore_thread(void) { return running; }

explore_finding_t *schedule_finding(void) {
    run.step = explore_step;
    run.thread = running;
    run.switches = switches;
    run.decision_count = decision_count;
    draw_operations(run.operations);
    return &run;
}

uint64_t schedule_progress(void) { return (run_number << 20) + explore_step + waits_of_main; }

// --- coroutines -------------------------------------------------------------------------------------------------------

#ifndef __x86_64__
#error "the explorer's coroutines are written for x86-64"
#endif
// Changes stacks, and goes on where the other one was: at the label here, or at the begin of its function. A jump and no return, which
// the processor would expect in the stack that is left.
static inline __attribute__((always_inline)) void change_stacks(void **from, void *to) {
    __asm__ volatile("sub $128, %%rsp\n" // below may be something of the function around
                     "push %%rbp\n"
                     "lea 1f(%%rip), %%rax\n"
                     "push %%rax\n"
                     "mov %%rsp, (%%rdi)\n"
                     "mov %%rsi, %%rsp\n"
                     "pop %%rax\n"
                     "jmp *%%rax\n"
                     "1:\n"
                     "pop %%rbp\n"
                     "add $128, %%rsp\n"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

// A function of its own, so that who stays where he is saves no registers.
static __attribute__((noinline)) void change_to(unsigned next) {
    unsigned from = running;
    const explore_site_t *site = explore_site;
    running = next;
    change_stacks(&coroutines[from].stack_pointer, coroutines[next].stack_pointer);
    explore_site = site;
}

static inline void go_to(unsigned next) {
    if (next != running) {
        change_to(next);
    }
}

// --- decisions --------------------------------------------------------------------------------------------------------

static inline void record(unsigned rank) {
    if (decision_count < EXPLORE_DECISIONS) {
        explore_decisions[decision_count] = (uint8_t)rank;
    }
    decision_count++;
}
static inline unsigned replayed(unsigned count) {
    unsigned rank = decision_count < plan->decision_count ? plan->decisions[decision_count] : 0;
    return rank < count ? rank : 0;
}

unsigned schedule_decide(unsigned count, unsigned odds) {
    unsigned rank = 0;
    if (plan->replay) {
        rank = replayed(count);
    } else if (exhaust_on) {
        rank = exhaust_choice(count);
    } else if (chance(odds) == 0) {
        rank = chance(count);
        rank = count == 2 && odds > 2 ? 1 : rank;
    }
    record(rank);
    return rank;
}

static bool races(const pending_t *one, const pending_t *other) {
    return one->at == other->at && one->at != NULL && (one->door != DOOR_READ || other->door != DOOR_READ);
}

static inline uint64_t draw_priority(void) { return (1u << 21) + chance(UINT32_MAX); } // above whoever fell back

// Of POS: `best` goes on, and `behind` does not.
static inline void draw_again(unsigned best, unsigned behind) {
    if (races(&pending[behind], &pending[best])) {
        coroutines[behind].priority = draw_priority();
    }
    coroutines[best].priority = draw_priority(); // of its next step
}

// The first by priority; of POS, whoever races with it draws anew.
static unsigned by_priority(unsigned among) {
    unsigned best = (unsigned)__builtin_ctz(among);
    for (unsigned left = among & (among - 1); left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        best = coroutines[i].priority > coroutines[best].priority ? i : best;
    }
    if (run.strategy == EXPLORE_POS) {
        for (unsigned left = among & ~(1u << best); left != 0; left &= left - 1) {
            unsigned i = (unsigned)__builtin_ctz(left);
            if (races(&pending[i], &pending[best])) {
                coroutines[i].priority = draw_priority();
            }
        }
        coroutines[best].priority = draw_priority(); // of its next step
    }
    return best;
}

static __attribute__((noinline)) unsigned decide_otherwise(unsigned among, unsigned from) {
    if (exhaust_on) {
        unsigned next = exhaust_thread(among, from, pending);
        if ((among & (among - 1)) != 0) {
            record(rank_of(among, from, next));
        }
        return next;
    }
    if ((among & (among - 1)) == 0) {
        return (unsigned)__builtin_ctz(among);
    }
    unsigned rank = plan->replay ? replayed(count_of[among]) : chance(count_of[among]);
    record(rank);
    return thread_of(among, from, rank);
}

static __attribute__((noinline)) unsigned decide_by_priority(unsigned among, unsigned from) {
    unsigned next = by_priority(among);
    record(rank_of(among, from, next));
    return next;
}

// Who of `among`, which are several or one; the usual is the first from `from` on.
static inline unsigned decide_thread(unsigned among, unsigned from) {
    if (chooser == OTHERWISE) {
        return decide_otherwise(among, from);
    }
    if ((among & (among - 1)) == 0) {
        return (unsigned)__builtin_ctz(among);
    }
    if (chooser == BY_PRIORITY) {
        return decide_by_priority(among, from);
    }
    unsigned rank = sticky > 1 && chance(sticky) != 0 ? 0 : chance(count_of[among]);
    record(rank);
    return thread_of(among, from, rank);
}

// The same of two, `self`, who runs, and `other`: most of what there is to decide.
static inline unsigned decide_of_two(unsigned self, unsigned other) {
    unsigned next = self;
    if (chooser == BY_PRIORITY) {
        uint64_t mine = coroutines[self].priority, others = coroutines[other].priority;
        next = others > mine || (others == mine && other < self) ? other : self;
        if (run.strategy == EXPLORE_POS) {
            draw_again(next, self + other - next);
        }
    } else if (sticky <= 1 || chance(sticky) == 0) {
        next = chance(2) == 0 ? self : other;
    }
    record(next != self);
    return next;
}

static void find_next_event(void) {
    next_event = late ? STEPS_MAX + 1 : LATE + 1;
    for (unsigned i = 0; i < FALLS_MAX; i++) {
        next_event = falls[i] > explore_step && falls[i] < next_event ? falls[i] : next_event;
    }
}

// Late in a run the loads return the last store, and everybody gets his turn.
static __attribute__((noinline)) void meet_event(bool at_door) {
    if (explore_step > STEPS_MAX) {
        explore_fail("livelock: the threads do not end");
    }
    if (explore_step > LATE && !late) {
        late = true;
        chooser = OTHERWISE;
    }
    for (unsigned i = 0; at_door && i < FALLS_MAX; i++) {
        if (falls[i] == explore_step) {
            coroutines[running].priority = lowest--;
        }
    }
    find_next_event();
}

static inline void count_step(bool at_door) {
    if (__builtin_expect(++explore_step >= next_event, 0)) {
        meet_event(at_door);
    }
}

// Late the usual is the next one.
static inline unsigned usual(void) { return late ? (running + 1) & 3 : running; }

void schedule_step(door_t door, const void *at, bool seq_cst) {
    count_step(true);
    unsigned self = running, others = ready & ~(1u << self);
    pending[self] = (pending_t){at, door, seq_cst};
    if (others == 0 && chooser != OTHERWISE) {
        return;
    }
    bool two = (others & (others - 1)) == 0 && chooser != OTHERWISE;
    unsigned next = two ? decide_of_two(self, (unsigned)__builtin_ctz(others)) : decide_thread(ready, usual());
    if (next != self) {
        switches++;
        change_to(next);
    }
}

void explore_yield(void) {
    if (running == MAIN_THREAD) {
        if (++waits_of_main > STEPS_MAX) {
            explore_fail("livelock: the end waits for ever");
        }
        return;
    }
    count_step(false);
    pending[running] = (pending_t){NULL, DOOR_BEGIN, false};
    coroutines[running].priority = lowest--;
    unsigned others = ready & ~(1u << running);
    go_to(others != 0 ? decide_thread(others, (running + 1) & 3) : running);
}

// Without a thread that is ready: those that may time out do, or all wait for ever, or all have ended.
static unsigned choose_or_end(void) {
    unsigned sleeper = MAIN_THREAD;
    for (unsigned i = 0; ready == 0 && i < scenario->threads; i++) {
        sleeper = coroutines[i].condition == WAITING ? i : sleeper;
    }
    for (unsigned i = 0; sleeper != MAIN_THREAD && i < scenario->threads; i++) {
        if (coroutines[i].condition == WAITING && coroutines[i].may_time_out) {
            coroutines[i].condition = READY;
            ready |= 1u << i;
        }
    }
    if (sleeper != MAIN_THREAD && ready == 0) {
        explore_fail("deadlock: thread %u waits, and nobody can wake it", sleeper);
    }
    return ready != 0 ? decide_thread(ready, (running + 1) & 3) : MAIN_THREAD;
}

void explore_wait(const void *at, unsigned bytes, uint64_t value, bool may_time_out) {
    schedule_door(DOOR_ANY, at, false);
    uint64_t found = 0;
    memcpy(&found, at, bytes);
    if (found != value || running == MAIN_THREAD) {
        return;
    }
    if (tracing) {
        trace_note(SAID_WAIT, ORDER_RELAXED, at, value, 0, false);
    }
    coroutines[running].condition = WAITING;
    coroutines[running].waits_for = at;
    coroutines[running].may_time_out = may_time_out;
    ready &= ~(1u << running);
    go_to(choose_or_end());
}

void explore_wake(const void *at, unsigned count) {
    schedule_door(DOOR_ANY, at, false);
    if (tracing) {
        trace_note(SAID_WAKE, ORDER_RELAXED, at, 0, 0, false);
    }
    for (unsigned i = 0; i < scenario->threads && count > 0; i++) {
        if (coroutines[i].condition == WAITING && coroutines[i].waits_for == at) {
            coroutines[i].condition = READY;
            ready |= 1u << i;
            count--;
        }
    }
}

static void begin(void) {
    scenario->run(running);
    coroutines[running].condition = ENDED;
    ready &= ~(1u << running);
    go_to(choose_or_end());
    abort(); // nobody goes on with one that has ended
}

// --- one run ----------------------------------------------------------------------------------------------------------

static void draw_strategy(void) {
    static const uint8_t strategies[] = {EXPLORE_RANDOM, EXPLORE_RANDOM, EXPLORE_RANDOM, EXPLORE_POS,
                                         EXPLORE_PCT2,   EXPLORE_PCT3,   EXPLORE_PCT4,   EXPLORE_POS};
    static const uint8_t models[] = {EXPLORE_SC, EXPLORE_C11, EXPLORE_C20, EXPLORE_C20};
    static const uint8_t stickiness[] = {1, 1, 3, 8};
    static const uint16_t lengths[] = {15, 50, 150, 500};
    random_state = plan->seed * 0x2545f4914f6cdd1du + plan->schedule * 0x9e6c63d0876a9a47u;
    random_state = next_random(&random_state);
    unsigned drawn = chance(8 * 4 * 4 * 4);
    run.model = plan->model == EXPLORE_MODEL_ROTATE ? models[drawn % 4] : plan->model;
    run.strategy = plan->strategy == EXPLORE_ROTATE ? strategies[drawn / 4 % 8] : plan->strategy;
    sticky = stickiness[drawn / 32 % 4];
    memset(falls, 0, sizeof falls);
    if (run.strategy >= EXPLORE_PCT2 && run.strategy <= EXPLORE_PCT4) {
        for (unsigned i = 0; i < FALLS_MAX; i++) {
            falls[i] = i <= run.strategy - EXPLORE_PCT2 ? 1 + chance(lengths[drawn / 128]) : 0;
        }
    }
    lowest = 1u << 20;
    exhaust_on = run.strategy == EXPLORE_EXHAUSTIVE && !plan->replay;
    chooser = exhaust_on || plan->replay ? OTHERWISE : run.strategy == EXPLORE_RANDOM ? BY_CHANCE : BY_PRIORITY;
    late = false;
    find_next_event();
}

static void prepare_coroutines(void) {
    for (unsigned i = 0; i < scenario->threads; i++) {
        void **top = (void **)(void *)(stacks[i] + STACK - 64);
        void (*entry)(void) = begin;
        *--top = NULL; // where `begin` would return to
        memcpy(--top, &entry, sizeof entry);
        coroutines[i] = (coroutine_t){.stack_pointer = top, .priority = run.strategy > EXPLORE_RANDOM ? draw_priority() : 0};
        pending[i] = (pending_t){NULL, DOOR_BEGIN, false};
    }
    ready = (1u << scenario->threads) - 1;
}

static void begin_run(const explore_plan_t *planned) {
    plan = planned;
    scenario = plan->scenario;
    run_number++;
    running = MAIN_THREAD;
    explore_step = 0;
    waits_of_main = 0;
    switches = 0;
    decision_count = 0;
    run.seed = plan->seed;
    run.message[0] = 0;
    draw_strategy();
    draw_reset(plan);
    memory_reset();
    model_reset(run.model);
    if (tracing) {
        trace_reset();
    }
}

bool explore_run(const explore_plan_t *planned) {
    begin_run(planned);
    if (exhaust_on) {
        static uint64_t last_seed;
        static const explore_scenario_t *last_scenario;
        exhaust_begin_run(last_scenario != scenario || last_seed != plan->seed);
        last_seed = plan->seed;
        last_scenario = scenario;
    }
    scenario->set_up();
    prepare_coroutines();
    model_begin_threads(scenario->threads);
    go_to(decide_thread(ready, 0));
    model_join_threads(scenario->threads);
    scenario->finish();
    memory_expect_all_freed();
    explore_steps += explore_step;
    return !exhaust_on || exhaust_end_run();
}
