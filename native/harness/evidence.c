/* What a run found: violations, failures, extra figures. Nothing here allocates, and only the main
 * thread prints. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "records.h"
#include "window_state.h"

void window_wake_main(struct window *window) { pthread_kill(window->main, SIGUSR1); }

void run_fail(run_t *run, const char *format, ...) {
    struct window *window = run->window;
    pthread_mutex_lock(&window->failure_lock);
    if (!atomic_load_explicit(&window->failed, memory_order_relaxed)) {
        va_list args;
        va_start(args, format);
        vsnprintf(window->failure, sizeof window->failure, format, args);
        va_end(args);
        atomic_store_explicit(&window->failed, true, memory_order_release);
    }
    pthread_mutex_unlock(&window->failure_lock);
    window_wake_main(window);
}

void run_violation(worker_t *worker, const char *contract, const char *format, ...) {
    struct window *window = worker->run->window;
    uint64_t number = atomic_fetch_add_explicit(&window->violations, 1, memory_order_relaxed);
    if (number >= VIOLATIONS_SHOWN)
        return;
    violation_t *v = &window->shown[number]; /* ours alone: the number is */
    va_list args;
    va_start(args, format);
    vsnprintf(v->evidence, sizeof v->evidence, format, args);
    va_end(args);
    snprintf(v->contract, sizeof v->contract, "%s", contract);
    v->t = clock_since_start();
    v->thread = worker->index;
    atomic_store_explicit(&v->ready, true, memory_order_release);
}

void evidence_print(struct window *window) {
    while (window->printed < VIOLATIONS_SHOWN &&
           atomic_load_explicit(&window->shown[window->printed].ready, memory_order_acquire)) {
        const violation_t *v = &window->shown[window->printed++];
        record_open("violation");
        record_text("contract", v->contract);
        record_text("evidence", v->evidence);
        record_number("t", v->t);
        record_int("thread", v->thread);
        record_close();
    }
}

static void add_figure(run_t *run, figure_t *figures, int *count, figure_t figure) {
    if (*count == METRICS_MAX) {
        run_fail(run, "more than %d figures; '%s' has no place", METRICS_MAX, figure.name);
        return;
    }
    figures[(*count)++] = figure;
}

void run_metric(run_t *run, const char *name, double value, const char *unit) {
    add_figure(run, run->window->metrics, &run->window->metrics_count, (figure_t){name, unit, value});
}

void run_counter(run_t *run, const char *name, double value, const char *unit) {
    add_figure(run, run->window->counters, &run->window->counters_count, (figure_t){name, unit, value});
}

void run_histogram(run_t *run, const char *metric, const char *unit, struct histogram *histogram) {
    struct window *window = run->window;
    if (!histogram)
        run_fail(run, "memory exhausted: the histogram of %s", metric);
    else if (window->histograms_count == METRICS_MAX)
        run_fail(run, "more than %d histograms; '%s' has no place", METRICS_MAX, metric);
    else
        window->histograms[window->histograms_count++] = (distribution_t){metric, unit, histogram};
}

void run_decision(run_t *run, const decision_line_t *decision) {
    struct window *window = run->window;
    if (window->decisions_count < DECISIONS_SHOWN)
        window->decisions[window->decisions_count++] = *decision;
}

void evidence_print_decisions(const struct window *window) {
    for (int i = 0; i < window->decisions_count; i++) {
        const decision_line_t *d = &window->decisions[i];
        record_open("decision");
        record_number("own_t", d->own_t);
        record_text("knob", d->knob);
        record_text("action", d->action);
        record_text("reason", d->reason);
        record_number("from", d->from);
        record_number("to", d->to);
        record_number("cost_from", d->cost_from);
        record_number("cost_to", d->cost_to);
        record_unsigned("samples", d->samples);
        record_int("thread", d->thread);
        record_close();
    }
}
