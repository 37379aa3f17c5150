/* orch-harness-explore: the harness's words over the explorer's scenarios. Runs are made in a process of their own; this one
 * keeps the time, prints, and answers signals. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
#include "build_id.h"
#include "placement.h"
#include "program.h"
#include "records.h"
#include "stall.h"
#include "window.h"

enum { SUBJECTS_MAX = 256 };

const char *const strategy_names[] = {"rotate", "random", "pct2", "pct3", "pct4", "pos", "exhaustive", NULL};
const char *const model_names[] = {"rotate", "sc", "c11", "c20", NULL};

static const setting_t settings[] = {
    [SET_STRATEGY] = SETTING_ONE_OF("strategy", EXPLORE_ROTATE, strategy_names, "how threads are chosen; rotate: the seed says"),
    [SET_MODEL] = SETTING_ONE_OF("model", EXPLORE_MODEL_ROTATE, model_names, "what loads may return; rotate: the seed says"),
    [SET_EXECUTIONS] = SETTING_INTEGER("executions", 0, 0, INT64_MAX, "end after so many; 0: when the time is over"),
    [SET_SHRINK] = SETTING_FLAG("shrink", 1, "make what was found small before it is shown"),
    [SET_VIOLATIONS] = SETTING_INTEGER("violations", 1, 1, VIOLATIONS_SHOWN, "end after so many"),
};

/* ---- scenarios are benches ---- */
static bool check(const run_t *run, char *why, size_t size) {
    unsigned threads = ((const subject_t *)run->options->bench)->scenario->threads;
    bool fits = threads >= 1 && threads <= EXPLORE_THREADS;
    if (!fits) {
        snprintf(why, size, "a scenario has 1 to %u threads; this one says %u", EXPLORE_THREADS, threads);
    } else if (run->options->threads != 1) {
        snprintf(why, size, "one process explores with one thread; start several with other seeds");
    }
    return fits && run->options->threads == 1;
}

void explore_register(const char *subject, const char *contracts, const explore_scenario_t *scenarios, size_t count) {
    static subject_t subjects[SUBJECTS_MAX];
    static size_t used;
    for (size_t i = 0; i < count; i++) {
        if (used == SUBJECTS_MAX) {
            abort();
        }
        subject_t *made = &subjects[used++];
        made->scenario = &scenarios[i];
        made->subject = subject;
        made->bench = (bench_t){.name = scenarios[i].name,
                                .subject = subject,
                                .summary = scenarios[i].name,
                                .unit_of_work = "one execution",
                                .contracts = contracts,
                                .settings = settings,
                                .settings_count = SETTINGS,
                                .check = check};
        bench_register(&made->bench);
    }
}

bool stall_planned(const options_t *options) {
    (void)options;
    return false;
}

/* ---- clocks and signals, as the harness has them ---- */
static uint64_t process_start;
static double stopped_at; /* 0: nobody asked */

uint64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
__attribute__((constructor)) static void note_process_start(void) { process_start = clock_ns(); }
double clock_since_start(void) { return (double)(clock_ns() - process_start) * 1e-9; }

void end_at_once(int status) {
    for (;;) {
        (void)syscall(SYS_exit_group, status);
    }
}

static sigset_t signals_of_main(void) {
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        sigaddset(&set, taken[i]);
    }
    return set;
}

void window_block_signals(void) {
    sigset_t set = signals_of_main();
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void wait_for(double seconds) {
    sigset_t set = signals_of_main();
    double left = seconds > 0 ? seconds : 0;
    struct timespec timeout = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    int got = sigtimedwait(&set, NULL, &timeout);
    if (got > 0 && got != SIGCHLD && stopped_at == 0) {
        stopped_at = clock_since_start();
    }
}

/* ---- the process that runs ---- */
static void explore_all(const options_t *options, uint64_t first) {
    uint64_t limit = (uint64_t)options->settings[SET_EXECUTIONS].i;
    uint64_t steps_before = report->steps, pruned_before = report->pruned;
    explore_plan_t plan = {.scenario = ((const subject_t *)options->bench)->scenario,
                           .seed = first,
                           .strategy = (unsigned)options->settings[SET_STRATEGY].i,
                           .model = (unsigned)options->settings[SET_MODEL].i};
    while (limit == 0 || report->executions < limit) {
        report->seed = plan.seed;
        bool done = explore_run(&plan);
        report->executions++;
        report->steps = steps_before + explore_steps;
        report->pruned = pruned_before + explore_pruned;
        report->exhausted += done && plan.strategy == EXPLORE_EXHAUSTIVE;
        plan.seed += done;
    }
    _exit(EXIT_GOOD);
}

/* ---- what is printed ---- */
static void print_trace(void) {
    unsigned first = report->lines > TRACE_LINES ? report->lines - TRACE_LINES : 0;
    record_list("trace");
    for (unsigned i = first; i < report->lines; i++) {
        record_text(NULL, report->line[i % TRACE_LINES]);
    }
    record_list_end();
}

static const char *function_of(const char *where) { /* file:function */
    const char *colon = strchr(where, ':');
    return colon != NULL ? colon + 1 : where;
}

/* What it is by, whoever finds it: the functions of the two accesses of a race, in the order of their names; of anything else
 * what was expected. */
static void write_signature(const subject_t *subject, const explore_finding_t *finding, char *text, size_t size) {
    const char *first = function_of(finding->where[0]), *second = function_of(finding->where[1]);
    bool turned = strcmp(first, second) > 0;
    if (finding->where[0][0] != 0 && strcmp(finding->contract, "race") == 0) {
        snprintf(text, size, "%s:race:%s:%s", subject->subject, turned ? second : first, turned ? first : second);
        return;
    }
    char what[sizeof finding->message];
    size_t used = 0;
    for (const char *at = finding->message; *at != 0; at++) { /* numbers differ from run to run */
        if (*at < '0' || *at > '9' || (used > 0 && what[used - 1] >= 'A' && what[used - 1] <= 'Z')) {
            what[used++] = *at;
        } else {
            while (strchr("0123456789abcdefx", at[1]) != NULL && at[1] != 0) {
                at++;
            }
            what[used++] = 'N';
        }
    }
    what[used] = 0;
    snprintf(text, size, "%s:%s", subject->subject, what);
}

static void print_violation(const subject_t *subject, const shrunk_t *shrunk, uint64_t executions, double found_at) {
    static char token[48 * 1024];
    char signature[512];
    const explore_finding_t *finding = &shrunk->finding;
    token_write(subject, &shrunk->plan, token, sizeof token);
    write_signature(subject, finding, signature, sizeof signature);
    bool fits = strlen(token) < 16 * 1024;
    record_open("violation");
    record_text("contract", finding->contract);
    record_text("evidence", finding->message);
    record_number("t", found_at);
    record_int("thread", finding->thread);
    record_int("step", finding->step);
    record_text("subject", subject->subject);
    record_text("scenario", subject->scenario->name);
    record_text("strategy", strategy_names[shrunk->plan.strategy]);
    record_text("model", model_names[shrunk->plan.model]);
    record_unsigned("seed", shrunk->plan.seed);
    record_unsigned("executions", executions);
    record_flag("replayed", shrunk->replayed);
    record_flag("weak", shrunk->weak);
    record_int("stale_reads", finding->stale);
    record_int("switches", finding->switches);
    record_int("switches_found", shrunk->before.switches);
    record_int("steps_found", shrunk->before.step);
    record_int("replays", shrunk->replays);
    record_text("signature", signature);
    record_text("token", fits ? token : "");
    print_trace();
    record_close();
}

static void print_counter(const char *name, double value, const char *unit) {
    record_open("counter");
    record_text("name", name);
    record_number("value", value);
    record_text("unit", unit);
    record_close();
}

static void print_metric(const char *name, double value, const char *unit) {
    record_object(NULL);
    record_text("metric", name);
    record_number("value", value);
    record_text("unit", unit);
    record_object_end();
}

/* Of the processes of runs that have ended: they may share a processor with others. */
static double processor_seconds(void) {
    struct rusage used;
    (void)getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int print_result(double seconds, unsigned violations) {
    double executions = (double)report->executions;
    print_counter("executions", executions, "1");
    print_counter("steps", (double)report->steps, "1");
    if (report->exhausted > 0 || report->pruned > 0) {
        print_counter("exhausted", (double)report->exhausted, "1"); /* programs of which every execution was made */
        print_counter("pruned", (double)report->pruned, "1");
    }
    record_open("result");
    record_text("status", violations > 0 ? "violated" : stopped_at > 0 ? "stopped" : "ok");
    record_number("seconds", seconds);
    record_unsigned("ops", report->executions);
    record_unsigned("violations", violations);
    record_list("metrics");
    print_metric("ops_per_second", seconds > 0 ? executions / seconds : 0, "1/s");
    double used = processor_seconds();
    print_metric("executions_per_core_second", used > 0 ? executions / used : 0, "1/s");
    print_metric("steps_per_execution", executions > 0 ? (double)report->steps / executions : 0, "1");
    record_list_end();
    record_close();
    return violations > 0 ? EXIT_BAD : EXIT_GOOD;
}

/* ---- one run ---- */
static void print_interval(double begin, double *before, uint64_t *ops_before) {
    double now = clock_since_start();
    uint64_t ops = report->executions;
    record_open("interval");
    record_text("phase", "measure");
    record_number("t", now - begin);
    record_number("dt", now - *before);
    record_unsigned("ops", ops - *ops_before);
    record_close();
    *before = now;
    *ops_before = ops;
}

/* Until the process of runs has ended, by itself or because the time is over. false: the latter. */
static bool watch(pid_t pid, const options_t *options, double begin, double end, int *status) {
    static double before;
    static uint64_t ops_before;
    before = before > 0 ? before : begin;
    for (;;) {
        double now = clock_since_start();
        if (waitpid(pid, status, WNOHANG) == pid) {
            return true;
        }
        if (now >= end || stopped_at > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, status, 0);
            return report->found;
        }
        double tick = options->interval_s > 0 ? before + options->interval_s : end;
        if (now >= tick) {
            print_interval(begin, &before, &ops_before);
            continue;
        }
        wait_for((tick < end ? tick : end) - now);
    }
}

static void pin(const options_t *options) {
    if (options->cpus_count > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)options->cpus[0], &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}

/* Whether there is another violation; then it is printed, and *first is where to go on. */
static bool explore_until_found(const options_t *options, uint64_t *first, double begin, double end) {
    const subject_t *subject = (const subject_t *)options->bench;
    pid_t pid = child_fork();
    if (pid == 0) {
        explore_all(options, *first);
    }
    int status = EXIT_BAD << 8;
    explore_plan_t plan = {.scenario = subject->scenario,
                           .strategy = (unsigned)options->settings[SET_STRATEGY].i,
                           .model = (unsigned)options->settings[SET_MODEL].i};
    if (pid > 0 && !watch(pid, options, begin, end, &status)) {
        return false;
    }
    plan.seed = report->seed;
    if (!child_judge(status, &plan)) {
        return false;
    }
    static shrunk_t shrunk;
    double found_at = clock_since_start() - begin;
    report->executions++;
    *first = plan.seed + 1;
    shrink(&plan, options->settings[SET_SHRINK].i != 0, &shrunk);
    print_violation(subject, &shrunk, report->executions, found_at);
    return true;
}

int window_run(const options_t *options) {
    child_share_report();
    pin(options);
    double begin = clock_since_start(), end = begin + options->seconds;
    unsigned violations = 0, wanted = (unsigned)options->settings[SET_VIOLATIONS].i;
    uint64_t limit = (uint64_t)options->settings[SET_EXECUTIONS].i;
    uint64_t first = options->seed;
    while (violations < wanted && stopped_at == 0 && (limit == 0 || report->executions < limit) && clock_since_start() < end &&
           explore_until_found(options, &first, begin, end)) {
        violations++;
    }
    return print_result(clock_since_start() - begin, violations);
}

/* ---- replay ---- */
static void print_replay(const subject_t *subject, const explore_plan_t *plan) {
    record_open("hello");
    record_int("protocol", HARNESS_PROTOCOL);
    record_text("build", ORCH_BUILD_ID);
    record_text("variant", "explore");
    record_text("bench", subject->bench.name);
    record_text("subject", subject->subject);
    record_unsigned("seed", plan->seed);
    record_close();
}

static int replay(int argc, char **argv) {
    if (argc != 1) {
        usage_error("replay needs one token, as a violation shows it");
    }
    window_block_signals();
    static shrunk_t shrunk;
    const subject_t *subject = NULL;
    shrunk.plan = token_read(argv[0], &subject);
    print_replay(subject, &shrunk.plan);
    child_share_report();
    double begin = clock_since_start();
    shrunk.replayed = child_try(&shrunk.plan, 1, true);
    report->executions = 1;
    if (shrunk.replayed) {
        shrunk.finding = shrunk.before = report->finding;
        shrunk.weak = report->finding.stale > 0;
        print_violation(subject, &shrunk, 1, clock_since_start() - begin);
    }
    return print_result(clock_since_start() - begin, shrunk.replayed ? 1 : 0);
}

__attribute__((constructor)) static void register_replay(void) {
    command_register("replay", "       orch-harness-explore replay TOKEN\n", replay);
}
