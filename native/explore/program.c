/* orch-harness-explore: the harness's words over the explorer's scenarios. Runs are made in a process of their own, so that
 * one that crashes, hangs or leaves pieces behind ends nothing else; this one keeps the time, prints, and answers signals. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arguments.h"
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
    [SET_VIOLATIONS] = SETTING_INTEGER("violations", 1, 1, VIOLATIONS_SHOWN, "end after so many"),
};

/* ---- scenarios are benches ---- */
static bool check(const run_t *run, char *why, size_t size) {
    if (run->options->threads != 1) {
        snprintf(why, size, "one process explores with one thread; start several with other seeds");
    }
    if (run->options->settings[SET_STRATEGY].i > EXPLORE_PCT4 || run->options->settings[SET_MODEL].i == EXPLORE_C11) {
        snprintf(why, size, "this version has no strategy pos or exhaustive, and no model c11");
        return false;
    }
    return run->options->threads == 1;
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
static report_t *report;

static void note_finding(const explore_finding_t *finding) {
    report->finding = *finding;
    report->found = true;
    _exit(EXIT_BAD);
}

static void note_line(const char *line) { snprintf(report->line[report->lines++ % TRACE_LINES], TRACE_WIDTH, "%s", line); }

static pid_t fork_runner(void) {
    fflush(NULL);
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    explore_found = note_finding;
    explore_catch_crashes();
    return 0;
}

static void explore_all(const options_t *options, uint64_t first) {
    const subject_t *subject = (const subject_t *)options->bench;
    uint64_t limit = (uint64_t)options->settings[SET_EXECUTIONS].i;
    unsigned strategy = (unsigned)options->settings[SET_STRATEGY].i;
    unsigned model = (unsigned)options->settings[SET_MODEL].i;
    uint64_t steps_before = report->steps;
    for (uint64_t seed = first; limit == 0 || report->executions < limit; seed++) {
        report->seed = seed;
        explore_run(subject->scenario, seed, strategy, model);
        report->executions++;
        report->steps = steps_before + explore_steps;
    }
    _exit(EXIT_GOOD);
}

static void replay_one(const token_t *token) {
    explore_trace(note_line);
    explore_run(token->subject->scenario, token->seed, token->strategy, token->model);
    _exit(EXIT_GOOD);
}

/* What the end of a process says that has written no finding. */
static void judge_end(int status, const token_t *token) {
    if (report->found || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GOOD)) {
        return;
    }
    report->finding = (explore_finding_t){.seed = token->seed, .strategy = token->strategy, .model = token->model};
    strcpy(report->finding.contract, "crash");
    snprintf(report->finding.message, sizeof report->finding.message, "crash: the run ended its process, %s %d",
             WIFSIGNALED(status) ? "signal" : "exit status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    report->found = true;
}

static void replay_in_child(const token_t *token) {
    report->found = false;
    report->lines = 0;
    pid_t pid = fork_runner();
    if (pid == 0) {
        replay_one(token);
    }
    int status = EXIT_BAD << 8;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    judge_end(status, token);
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

static void print_violation(const token_t *token, uint64_t executions, double found_at) {
    const explore_finding_t finding = report->finding;
    char text[512], signature[512];
    token_write(token, text, sizeof text);
    snprintf(signature, sizeof signature, "%s:%s:%s", token->subject->subject, finding.contract, finding.message);
    char *address = strstr(signature, "0x");
    if (address != NULL) {
        *address = 0;
    }
    record_open("violation");
    record_text("contract", finding.contract);
    record_text("evidence", finding.message);
    record_number("t", found_at);
    record_int("thread", finding.thread);
    record_int("step", finding.step);
    record_text("subject", token->subject->subject);
    record_text("scenario", token->subject->scenario->name);
    record_text("strategy", strategy_names[token->strategy]);
    record_text("model", model_names[token->model]);
    record_unsigned("seed", token->seed);
    record_unsigned("executions", executions);
    record_text("signature", signature);
    record_text("token", text);
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

static int print_result(double seconds, unsigned violations) {
    double executions = (double)report->executions;
    print_counter("executions", executions, "1");
    print_counter("steps", (double)report->steps, "1");
    record_open("result");
    record_text("status", violations > 0 ? "violated" : stopped_at > 0 ? "stopped" : "ok");
    record_number("seconds", seconds);
    record_unsigned("ops", report->executions);
    record_unsigned("violations", violations);
    record_list("metrics");
    print_metric("ops_per_second", seconds > 0 ? executions / seconds : 0, "1/s");
    print_metric("steps_per_execution", executions > 0 ? (double)report->steps / executions : 0, "1");
    record_list_end();
    record_close();
    return violations > 0 ? EXIT_BAD : EXIT_GOOD;
}

/* ---- one run ---- */
static void share_report(void) {
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
        usage_error("there is no memory for a report");
    }
}

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

int window_run(const options_t *options) {
    share_report();
    pin(options);
    double begin = clock_since_start(), end = begin + options->seconds;
    unsigned violations = 0, wanted = (unsigned)options->settings[SET_VIOLATIONS].i;
    uint64_t limit = (uint64_t)options->settings[SET_EXECUTIONS].i;
    for (uint64_t first = options->seed; violations < wanted && stopped_at == 0 && clock_since_start() < end;) {
        if (limit > 0 && report->executions >= limit) {
            break;
        }
        report->found = false;
        pid_t pid = fork_runner();
        if (pid == 0) {
            explore_all(options, first);
        }
        int status = EXIT_BAD << 8;
        if (pid < 0 || !watch(pid, options, begin, end, &status)) {
            break;
        }
        token_t token = {(const subject_t *)options->bench, (unsigned)options->settings[SET_STRATEGY].i,
                         (unsigned)options->settings[SET_MODEL].i, report->seed};
        judge_end(status, &token);
        if (report->found) {
            double found_at = clock_since_start();
            report->executions++;
            first = report->seed + 1;
            replay_in_child(&token);
            print_violation(&token, report->executions, found_at);
            violations++;
        }
    }
    return print_result(clock_since_start() - begin, violations);
}

/* ---- replay ---- */
static int replay(int argc, char **argv) {
    if (argc != 1) {
        usage_error("replay needs one token, as a violation shows it");
    }
    window_block_signals();
    token_t token = token_read(argv[0]);
    share_report();
    double begin = clock_since_start();
    replay_in_child(&token);
    report->executions = 1;
    bool found = report->found;
    if (found) {
        print_violation(&token, 1, clock_since_start());
    }
    return print_result(clock_since_start() - begin, found ? 1 : 0);
}

__attribute__((constructor)) static void register_replay(void) {
    command_register("replay", "       orch-harness-explore replay TOKEN\n", replay);
}
