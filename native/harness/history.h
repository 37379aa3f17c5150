/* Histories: what every call of a window was given and answered, and when it began and ended, for a checker that asks whether the calls can
 * have taken effect one after the other (docs/native/histories.md).
 *
 * A run is a row of windows. In each, all workers make their calls at the same time; then worker 0 alone empties the structure, which
 * is recorded as well. So a window begins and ends at a quiescent point, with nothing in it, and can be judged by itself.
 *
 *     batch:  if (!history_enter(log)) return 0;         all workers are here
 *             ... history_call, history_begin, the call, history_end, history_answer ...
 *             history_settle(log);                       no call is running
 *             worker 0: empties the structure; history_close(log)
 *
 * All memory is taken in setup. A window that would not fit into what is left is run and not recorded.
 */
#ifndef ORCH_HISTORY_H
#define ORCH_HISTORY_H

#include <stdatomic.h>

#include "atomics.h"
#include "cpu.h"
#include "harness.h"

typedef enum { HISTORY_NONE, HISTORY_NUMBER, HISTORY_LIST, HISTORY_FLAG, HISTORY_TEXT } history_shape_t;

typedef struct {
    uint64_t inv, res; /* clock_ns; res 0: it has not returned */
    uint64_t object;
    const char *op, *text; /* literals; text is the answer of HISTORY_TEXT */
    uint32_t window;
    uint32_t first;           /* of its values: what it was given, then what it answered */
    uint16_t given, answered; /* how many of each */
    uint8_t given_shape, answer_shape;
} history_call_t;

typedef struct history history_t;

/* One worker's. */
typedef struct {
    _Alignas(CPU_PAIR) history_t *history;
    history_call_t *calls;
    uint64_t *values;
    size_t count, values_count;       /* used so far */
    size_t kept_count, kept_values;   /* of them, of windows before this one */
    uint64_t meetings;
    bool recording; /* this window is */
    int worker;
} history_log_t;

struct history {
    run_t *run;
    const char *spec; /* what the checker takes it for */
    int threads;
    uint32_t windows_max;
    size_t calls_each, values_each; /* the most that one worker needs for a window, worker 0 with the emptying */
    uint32_t windows; /* recorded; written by worker 0 between two windows */
    bool recording;   /* likewise: this window is */
    _Alignas(CPU_PAIR) _Atomic uint64_t arrived;
    _Atomic bool gone; /* a worker has left: nobody waits any more */
    history_log_t *logs;
};

/* From setup; NULL after run_fail. */
history_t *history_make(run_t *run, const char *spec, uint32_t windows, size_t calls_each, size_t values_each);
void history_free(history_t *history);
/* From finish: printed as `history` records after the run, and freed. */
void run_history(run_t *run, history_t *history);
/* What was handed to run_history; `print` false: no more than freed. Main thread. */
struct window;
void history_print_all(struct window *window, bool print);

/* A window begins, when all workers have come. false: one has left, the batch is over. */
bool history_enter(history_log_t *log);
/* Until all have made their calls. */
void history_settle(history_log_t *log);
/* Worker 0, when the structure is empty again. */
void history_close(history_log_t *log);
/* From leave. */
void history_leave(history_log_t *log);

/* A call that is about to be made. In a window that is not recorded, too: it is overwritten by the next. */
history_call_t *history_call(history_log_t *log, const char *op, uint64_t object);
void history_give(history_log_t *log, history_call_t *call, history_shape_t shape, const uint64_t *values, size_t count);
void history_answer(history_log_t *log, history_call_t *call, history_shape_t shape, const uint64_t *values, size_t count);
static inline void history_answer_text(history_call_t *call, const char *text) {
    call->text = text;
    call->answer_shape = HISTORY_TEXT;
}
static inline void history_give_one(history_log_t *log, history_call_t *call, uint64_t value) {
    history_give(log, call, HISTORY_NUMBER, &value, 1);
}
static inline void history_answer_one(history_log_t *log, history_call_t *call, uint64_t value) {
    history_answer(log, call, HISTORY_NUMBER, &value, 1);
}
/* As if it had never been made; the last call only. For what asks nothing of the order. */
void history_forget(history_log_t *log, history_call_t *call);

/* The clock is read before anything of the call is done, and after all that it stored can be seen. Without the fences a load could be
 * done before `inv` was read, or a store be seen after `res`, and a right program would look wrong. */
static inline void history_settle_clock(void) {
    (atomic_fence_seq_cst)(); /* in parentheses: without the noise of that variant */
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

static inline void history_begin(history_call_t *call) {
    call->inv = clock_ns();
    history_settle_clock();
}

static inline void history_end(history_call_t *call) {
    history_settle_clock();
    call->res = clock_ns();
}

#endif
