#include "history.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "records.h"
#include "window_state.h"

/* A record holds so many calls: with 32 values of 64 bits in each it stays below 64 KiB. */
enum { SPINS = 512, RECORD_CALLS = 64 };

history_t *history_make(run_t *run, const char *spec, uint32_t windows, size_t calls_each, size_t values_each) {
    size_t threads = (size_t)run->options->threads;
    history_t *history = aligned_alloc(_Alignof(history_t), sizeof *history);
    history_log_t *logs = aligned_alloc(_Alignof(history_log_t), threads * sizeof *logs);
    if (!history || !logs) {
        free(history);
        free(logs);
        run_fail(run, "memory exhausted: a history");
        return NULL;
    }
    memset(logs, 0, threads * sizeof *logs);
    memset(history, 0, sizeof *history);
    history->run = run;
    history->spec = spec;
    history->threads = (int)threads;
    history->windows_max = windows;
    history->calls_each = calls_each;
    history->values_each = values_each;
    history->logs = logs;
    bool whole = true;
    for (size_t i = 0; i < threads; i++) {
        logs[i].history = history;
        logs[i].worker = (int)i;
        logs[i].calls = calloc(((size_t)windows + 1) * calls_each, sizeof *logs[i].calls);
        logs[i].values = calloc(((size_t)windows + 1) * values_each, sizeof *logs[i].values);
        whole = whole && logs[i].calls && logs[i].values;
    }
    if (!whole) {
        run_fail(run, "memory exhausted: %u windows of %zu calls", windows, calls_each);
        history_free(history);
        return NULL;
    }
    return history;
}

void history_free(history_t *history) {
    for (int i = 0; i < history->threads; i++) {
        free(history->logs[i].calls);
        free(history->logs[i].values);
    }
    free(history->logs);
    free(history);
}

/* Until all workers have come; false where one has left. */
static bool meet(history_log_t *log) {
    history_t *history = log->history;
    uint64_t all = ++log->meetings * (uint64_t)history->threads;
    atomic_fetch_add_explicit(&history->arrived, 1, memory_order_acq_rel);
    do {
        for (unsigned spin = 0; spin < SPINS; spin++) {
            if (atomic_load_explicit(&history->arrived, memory_order_acquire) >= all)
                return true;
            cpu_relax();
        }
        sched_yield();
    } while (!atomic_load_explicit(&history->gone, memory_order_relaxed));
    return atomic_load_explicit(&history->arrived, memory_order_acquire) >= all;
}

bool history_enter(history_log_t *log) {
    history_t *history = log->history;
    if (!log->recording) {
        log->count = log->kept_count;
        log->values_count = log->kept_values;
    }
    log->kept_count = log->count;
    log->kept_values = log->values_count;
    if (log->worker == 0)
        history->recording = history->windows < history->windows_max && run_measuring(history->run);
    bool all = meet(log);
    log->recording = all && history->recording;
    return all;
}

/* Who has entered comes here before it leaves, so all do. */
void history_settle(history_log_t *log) { (void)meet(log); }

void history_close(history_log_t *log) { log->history->windows += log->history->recording; }

void history_leave(history_log_t *log) { atomic_store_explicit(&log->history->gone, true, memory_order_relaxed); }

/* ---- calls ---- */
history_call_t *history_call(history_log_t *log, const char *op, uint64_t object) {
    if (log->count - log->kept_count == log->history->calls_each) {
        run_fail(log->history->run, "a window of more than %zu calls of one worker: more comes out than was put in", log->history->calls_each);
        log->count--;
    }
    history_call_t *call = &log->calls[log->count++];
    *call = (history_call_t){.op = op, .object = object, .window = log->history->windows, .first = (uint32_t)log->values_count};
    return call;
}

static void put_values(history_log_t *log, const uint64_t *values, size_t count) {
    if (log->values_count - log->kept_values + count > log->history->values_each) {
        run_fail(log->history->run, "a window of more than %zu values of one worker: more comes out than was put in", log->history->values_each);
        log->values_count = log->kept_values;
    }
    memcpy(&log->values[log->values_count], values, count * sizeof *values);
    log->values_count += count;
}

void history_give(history_log_t *log, history_call_t *call, history_shape_t shape, const uint64_t *values, size_t count) {
    put_values(log, values, count);
    call->given = (uint16_t)count;
    call->given_shape = (uint8_t)shape;
}

void history_answer(history_log_t *log, history_call_t *call, history_shape_t shape, const uint64_t *values, size_t count) {
    put_values(log, values, count);
    call->answered = (uint16_t)count;
    call->answer_shape = (uint8_t)shape;
}

void history_forget(history_log_t *log, history_call_t *call) {
    log->values_count = call->first;
    log->count--;
}

/* ---- records ---- */
static void print_values(const char *key, uint8_t shape, const uint64_t *values, size_t count, const char *text) {
    switch ((history_shape_t)shape) {
    case HISTORY_NUMBER: record_unsigned(key, values[0]); return;
    case HISTORY_FLAG: record_flag(key, values[0] != 0); return;
    case HISTORY_TEXT: record_text(key, text); return;
    case HISTORY_LIST:
        record_list(key);
        for (size_t i = 0; i < count; i++)
            record_unsigned(NULL, values[i]);
        record_list_end();
        return;
    case HISTORY_NONE: break;
    }
    record_null(key);
}

static void print_call(const history_log_t *log, const history_call_t *call, uint64_t base) {
    const uint64_t *values = &log->values[call->first];
    record_object(NULL);
    record_int("t", log->worker);
    record_text("op", call->op);
    record_unsigned("obj", call->object);
    print_values("arg", call->given_shape, values, call->given, NULL);
    print_values("ret", call->answer_shape, values + call->given, call->answered, call->text);
    record_unsigned("inv", call->inv - base);
    if (call->res)
        record_unsigned("res", call->res - base);
    else
        record_null("res");
    record_object_end();
}

static void open_record(const history_t *history, uint32_t window) {
    record_open("history");
    record_text("spec", history->spec);
    record_unsigned("window", window);
    record_list("ops");
}

static void close_record(bool last) {
    record_list_end();
    record_flag("last", last);
    record_close();
}

/* `at`: per worker, the first call that is not printed yet. */
static void print_window(const history_t *history, uint32_t window, size_t *at) {
    uint64_t base = UINT64_MAX;
    for (int i = 0; i < history->threads; i++) {
        const history_log_t *log = &history->logs[i];
        if (at[i] < log->count && log->calls[at[i]].window == window && log->calls[at[i]].inv < base)
            base = log->calls[at[i]].inv;
    }
    int in_record = 0;
    open_record(history, window);
    for (int i = 0; i < history->threads; i++) {
        const history_log_t *log = &history->logs[i];
        for (; at[i] < log->count && log->calls[at[i]].window == window; at[i]++) {
            if (in_record++ == RECORD_CALLS) {
                close_record(false);
                open_record(history, window);
                in_record = 1;
            }
            print_call(log, &log->calls[at[i]], base);
        }
    }
    close_record(true);
}

static void print_windows(const history_t *history) {
    size_t *at = calloc((size_t)history->threads, sizeof *at);
    if (!at) {
        run_fail(history->run, "memory exhausted: printing a history");
        return;
    }
    for (uint32_t window = 0; window < history->windows; window++)
        print_window(history, window, at);
    free(at);
}

void run_history(run_t *run, history_t *history) { run->window->history = history; }

/* It takes its time: who was asked to stop goes without. */
void history_print_all(struct window *window, bool print) {
    if (!window->history)
        return;
    if (print)
        print_windows(window->history);
    history_free(window->history);
    window->history = NULL;
}
