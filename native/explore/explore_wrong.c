// The end of a run that is wrong: what was expected and is not, a crash, or a thread that runs on, or sleeps in the system, for ever. It is told to
// explore_found, and the process ends: what was running is in pieces.
#include "explore_state.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

explore_found_t explore_found;

// The message of the finding is there already.
static _Noreturn void tell(explore_finding_t *found) {
    found->stale = 0;
    for (unsigned i = 0; i < EXPLORE_THREADS; i++) {
        found->stale += model_threads[i].stale;
    }
    size_t length = strcspn(found->message, ":");
    snprintf(found->contract, sizeof found->contract, "%.*s", (int)length, found->message);
    if (tracing) {
        trace_tell(found);
    }
    explore_found(found);
    _Exit(1);
}

void explore_fail(const char *format, ...) {
    explore_finding_t *found = schedule_finding();
    va_list values;
    va_start(values, format);
    vsnprintf(found->message, sizeof found->message, format, values);
    va_end(values);
    tell(found);
}

static void crashed(int signal_number) { explore_fail("crash: signal %d", signal_number); }

// Each fifth of a second of processor time: whether there has been a door since, or a new run.
static void look_for_progress(int signal_number) {
    (void)signal_number;
    static uint64_t last;
    static unsigned same;
    uint64_t progress = schedule_progress();
    same = progress == last ? same + 1 : 0;
    last = progress;
    if (same == 2) {
        explore_fail("endless: thread %u runs on and comes to no door", running);
    }
}

// Each tenth of a second: whether there has been no door since, nor a new run, because the process has gone to sleep, and does so whenever it is
// woken. That it gets no processor is no reason: then it is put aside, and does not go by itself.
static void look_for_sleep(int signal_number) {
    (void)signal_number;
    static uint64_t last;
    static long slept;
    static unsigned same;
    struct rusage used;
    (void)getrusage(RUSAGE_SELF, &used);
    uint64_t progress = schedule_progress();
    same = progress == last && used.ru_nvcsw > slept ? same + 1 : 0;
    last = progress;
    slept = used.ru_nvcsw;
    if (same == 5) {
        explore_fail("endless: thread %u sleeps in the system and comes to no door", running);
    }
}

static void look_each(int signal_number, void (*look)(int), __itimer_which_t clock, long microseconds) {
    struct sigaction action = {.sa_handler = look, .sa_flags = SA_ONSTACK | SA_RESTART};
    (void)sigaction(signal_number, &action, NULL);
    struct itimerval each = {{0, microseconds}, {0, microseconds}};
    (void)setitimer(clock, &each, NULL);
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
    look_each(SIGPROF, look_for_progress, ITIMER_PROF, 200000);
}

void explore_catch_sleep(void) { look_each(SIGALRM, look_for_sleep, ITIMER_REAL, 100000); }
