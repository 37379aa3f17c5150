/* Runs in a process of their own: one that crashes, hangs or leaves pieces behind ends nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arguments.h"
#include "program.h"

report_t *report;

void child_share_report(void) {
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
        usage_error("there is no memory for a report");
    }
}

static void note_finding(const explore_finding_t *finding) {
    report->finding = *finding;
    size_t count = finding->decision_count < EXPLORE_DECISIONS ? finding->decision_count : EXPLORE_DECISIONS;
    report->finding.decision_count = count;
    memcpy(report->decisions, explore_decisions, count);
    report->found = true;
    _exit(EXIT_BAD);
}

static void note_line(const char *line) { snprintf(report->line[report->lines++ % TRACE_LINES], TRACE_WIDTH, "%s", line); }

pid_t child_fork(void) {
    report->found = false;
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
    explore_catch_sleep();
    return 0;
}

bool child_judge(int status, const explore_plan_t *plan) {
    if (!report->found && (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_GOOD)) {
        explore_finding_t crash = {.seed = plan->seed, .strategy = plan->strategy, .model = plan->model, .contract = "crash"};
        snprintf(crash.message, sizeof crash.message, "crash: the run ended its process, %s %d",
                 WIFSIGNALED(status) ? "signal" : "exit status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        report->finding = crash;
        report->found = true;
    }
    return report->found;
}

bool child_wait(pid_t pid, const explore_plan_t *plan) {
    int status = EXIT_BAD << 8;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return child_judge(status, plan);
}

bool child_try(const explore_plan_t *plan, unsigned schedules, bool trace) {
    report->lines = 0;
    pid_t pid = child_fork();
    if (pid == 0) {
        explore_plan_t tried = *plan;
        explore_trace(trace ? note_line : NULL);
        for (unsigned i = 0; i < schedules; i++) {
            report->schedule = tried.schedule;
            (void)explore_run(&tried);
            tried.schedule++;
        }
        _exit(EXIT_GOOD);
    }
    return child_wait(pid, plan);
}
