// Who goes on: coroutines, the strategies that choose among them, and the program that runs one seed after the other.
//
// Strategies, drawn per run: at random at every door; at random at one door in so many; and by priorities with a few points
// where the first falls back (probabilistic concurrency testing, depth 2 to 4). Three runs of four have stale reads, the fourth is
// sequentially consistent.
#include "explore_run.h"
#include "explore_state.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { STACK = 1 << 17, LATE = 3000, STEPS_MAX = 40000, FALLS_MAX = 3 };

typedef enum { READY, WAITING, ENDED } condition_t;
typedef struct coroutine {
    void *stack_pointer;
    condition_t condition;
    const void *waits_for;
    bool may_time_out;
    uint64_t priority;
} coroutine_t;

unsigned running = MAIN_THREAD;
bool tracing;
static explore_line_t trace_line;
static const explore_scenario_t *scenario;
static coroutine_t coroutines[THREADS]; // the last: main
static _Alignas(64) char stacks[EXPLORE_THREADS][STACK];
static uint64_t random_state;
static explore_finding_t run; // filled in as far as it is known
explore_found_t explore_found;
uint64_t explore_steps;
static unsigned steps, waits_of_main;
static unsigned sticky;  // 1: any door may change; n: one in n; 0: by priorities
static unsigned falls[FALLS_MAX];
static uint64_t lowest;
static uint64_t run_number;

// --- chance -----------------------------------------------------------------------------------------------------------

static uint64_t next_random(void) { // splitmix64
    uint64_t x = (random_state += 0x9e3779b97f4a7c15u);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
uint64_t schedule_choice(uint64_t below) { return (next_random() >> 32) % below; }
uint64_t explore_draw(uint64_t below) { return schedule_choice(below); }
bool schedule_is_late(void) { return steps > LATE; }

static _Noreturn void tell(void) {
    run.step = steps;
    run.thread = running;
    size_t length = strcspn(run.message, ":");
    snprintf(run.contract, sizeof run.contract, "%.*s", (int)length, run.message);
    explore_found(&run);
    _Exit(1);
}

void explore_fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(run.message, sizeof run.message, format, values);
    va_end(values);
    tell();
}

static void crashed(int signal_number) {
    snprintf(run.message, sizeof run.message, "crash: signal %d", signal_number);
    tell();
}

// Each second of processor time: whether there has been a door since, or a new run.
static void look_for_progress(int signal_number) {
    (void)signal_number;
    static uint64_t last_run;
    static unsigned last_step, same;
    same = last_run == run_number && last_step == steps + waits_of_main ? same + 1 : 0;
    last_run = run_number;
    last_step = steps + waits_of_main;
    if (same == 3) {
        snprintf(run.message, sizeof run.message, "endless: thread %u runs on and comes to no door", running);
        tell();
    }
}

void explore_catch_crashes(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char alternate[1 << 16];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    (void)sigaltstack(&stack, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
        (void)sigaction(signals[i], &action, NULL);
    }
    struct sigaction tick = {.sa_handler = look_for_progress, .sa_flags = SA_ONSTACK | SA_RESTART};
    (void)sigaction(SIGPROF, &tick, NULL);
    struct itimerval second = {{1, 0}, {1, 0}};
    (void)setitimer(ITIMER_PROF, &second, NULL);
}

void schedule_trace(const char *format, ...) {
    char line[200];
    int length = snprintf(line, sizeof line, "%6u  %*s%u ", steps, (int)(4 * running), "", running);
    va_list values;
    va_start(values, format);
    vsnprintf(line + length, sizeof line - (size_t)length, format, values);
    va_end(values);
    trace_line(line);
}

// --- coroutines -------------------------------------------------------------------------------------------------------

#ifndef __x86_64__
#error "the explorer's coroutines are written for x86-64"
#endif
// Saves what a call keeps, changes stacks, and goes on where the other one was.
void explore_switch(void **from, void *to);
__asm__(".text\n"
        ".globl explore_switch\n"
        ".type explore_switch, @function\n"
        "explore_switch:\n"
        "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
        "  mov %rsp, (%rdi)\n"
        "  mov %rsi, %rsp\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"
        "  ret\n"
        ".size explore_switch, .-explore_switch\n");

static void go_to(unsigned next) {
    unsigned from = running;
    if (next != from) {
        running = next;
        explore_switch(&coroutines[from].stack_pointer, coroutines[next].stack_pointer);
    }
}

static unsigned choose(bool gives_way) {
    unsigned ready[EXPLORE_THREADS];
    unsigned count = 0;
    for (unsigned i = 0; i < scenario->threads; i++) {
        if (coroutines[i].condition == READY && !(gives_way && i == running)) {
            ready[count++] = i;
        }
    }
    if (count == 0) {
        return gives_way && coroutines[running].condition == READY ? running : MAIN_THREAD;
    }
    if (sticky != 0 || schedule_is_late()) {
        return ready[schedule_choice(count)];
    }
    unsigned best = ready[0];
    for (unsigned i = 1; i < count; i++) {
        best = coroutines[ready[i]].priority > coroutines[best].priority ? ready[i] : best;
    }
    return best;
}

// Without a thread that is ready: those that may time out do, or all wait for ever, or all have ended.
static unsigned choose_or_end(void) {
    unsigned next = choose(false);
    unsigned sleeper = MAIN_THREAD;
    for (unsigned i = 0; next == MAIN_THREAD && i < scenario->threads; i++) {
        sleeper = coroutines[i].condition == WAITING ? i : sleeper;
    }
    for (unsigned i = 0; sleeper != MAIN_THREAD && i < scenario->threads; i++) {
        if (coroutines[i].condition == WAITING && coroutines[i].may_time_out) {
            coroutines[i].condition = READY;
            next = i;
        }
    }
    if (sleeper != MAIN_THREAD && next == MAIN_THREAD) {
        explore_fail("deadlock: thread %u waits, and nobody can wake it", sleeper);
    }
    return next;
}

static void count_step(void) {
    if (++steps > STEPS_MAX) {
        explore_fail("livelock: the threads do not end");
    }
}

void schedule_door(void) {
    if (running == MAIN_THREAD) {
        return;
    }
    count_step();
    for (unsigned i = 0; i < FALLS_MAX && sticky == 0; i++) {
        if (falls[i] == steps) {
            coroutines[running].priority = lowest--;
        }
    }
    if (sticky <= 1 || schedule_is_late() || schedule_choice(sticky) == 0) {
        go_to(choose(false));
    }
}

void explore_yield(void) {
    if (running == MAIN_THREAD) {
        if (++waits_of_main > STEPS_MAX) {
            explore_fail("livelock: the end waits for ever");
        }
        return;
    }
    count_step();
    coroutines[running].priority = lowest--;
    go_to(choose(true));
}

void explore_wait(const void *at, unsigned bytes, uint64_t value, bool may_time_out) {
    schedule_door();
    uint64_t now = 0;
    memcpy(&now, at, bytes);
    if (now != value || running == MAIN_THREAD) {
        return;
    }
    TRACE("wait %p", at);
    coroutines[running].condition = WAITING;
    coroutines[running].waits_for = at;
    coroutines[running].may_time_out = may_time_out;
    go_to(choose_or_end());
}

void explore_wake(const void *at, unsigned count) {
    schedule_door();
    TRACE("wake %p", at);
    for (unsigned i = 0; i < scenario->threads && count > 0; i++) {
        if (coroutines[i].condition == WAITING && coroutines[i].waits_for == at) {
            coroutines[i].condition = READY;
            count--;
        }
    }
}

static void begin(void) {
    scenario->run(running);
    coroutines[running].condition = ENDED;
    go_to(choose_or_end());
    abort(); // nobody goes on with one that has ended
}

// --- one run ----------------------------------------------------------------------------------------------------------

static void draw_strategy(void) {
    static const unsigned stickiness[] = {1, 1, 3, 8};
    static const unsigned lengths[] = {15, 50, 150, 500};
    if (run.strategy == EXPLORE_ROTATE) {
        run.strategy = schedule_choice(7) < 4 ? EXPLORE_RANDOM : EXPLORE_PCT2 + (unsigned)schedule_choice(FALLS_MAX);
    }
    sticky = run.strategy == EXPLORE_RANDOM ? stickiness[schedule_choice(4)] : 0;
    unsigned length = lengths[schedule_choice(sizeof lengths / sizeof *lengths)];
    unsigned depth = sticky == 0 ? run.strategy - EXPLORE_PCT2 + 1 : 0;
    for (unsigned i = 0; i < FALLS_MAX; i++) {
        falls[i] = i < depth ? 1 + (unsigned)schedule_choice(length) : 0;
    }
    lowest = 1u << 20;
}

static void prepare_coroutines(void) {
    for (unsigned i = 0; i < scenario->threads; i++) {
        void **top = (void **)(void *)(stacks[i] + STACK - 64);
        void (*entry)(void) = begin;
        *--top = NULL; // where `begin` would return to
        memcpy(--top, &entry, sizeof entry);
        for (int saved = 0; saved < 6; saved++) {
            *--top = NULL;
        }
        coroutines[i] = (coroutine_t){.stack_pointer = top, .priority = (1u << 21) + schedule_choice(1u << 20)};
    }
}

void explore_run(const explore_scenario_t *which, uint64_t seed, unsigned strategy, unsigned model) {
    scenario = which;
    run_number++;
    random_state = seed * 0x2545f4914f6cdd1du;
    running = MAIN_THREAD;
    steps = 0;
    waits_of_main = 0;
    run = (explore_finding_t){.seed = seed, .strategy = strategy, .model = model};
    if (model == EXPLORE_MODEL_ROTATE) {
        run.model = schedule_choice(4) != 0 ? EXPLORE_C20 : EXPLORE_SC;
    }
    memory_reset();
    model_reset(run.model != EXPLORE_SC);
    draw_strategy();
    scenario->set_up();
    prepare_coroutines();
    model_begin_threads(scenario->threads);
    go_to(choose(false));
    model_join_threads(scenario->threads);
    scenario->finish();
    memory_expect_all_freed();
    explore_steps += steps;
}

void explore_trace(explore_line_t line) {
    trace_line = line;
    tracing = line != NULL;
}
