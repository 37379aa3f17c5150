// Guarded tasks: work that runs only while it holds the capabilities it was given.
//
// A guard is a capability and the rights that the task needs of it. The guards of a task are looked at once, by the
// thread that dispatches it, right before its body would run. The body runs if every guard holds; else the refusal
// runs in its place, and the body never does.
//
// Contract. A dispatch begins when guarded_dispatch is entered and decides when the last guard has been looked at.
//   G1  Where a call that ends a guard's capability, or takes a needed right from it or from one above it, has
//       returned before the dispatch begins, the body never runs. So what is enqueued after the revoke has returned
//       never runs, and neither does what waits in any queue, deque or inbox at that moment.
//   G2  Where no such call has begun before the dispatch decides, the body runs.
//   G3  Each dispatch runs either the body or the refusal, once. With S1 of the scheduler: a guarded task that is
//       enqueued once runs exactly one of the two, exactly once.
//
// Beside such a call that has begun and not returned, a dispatch may go either way. A body that began before the
// revoke returned goes on: a long one asks guarded_hold again at points where it can stop.
//
// The table is reached through its check function alone, so the same guards work over every table of
// capability_ops.h. A look is as wait-free as that check: over the lock-free table a dispatch waits for nobody.
// docs/native/guarded.md has the argument.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capability.h"

#define GUARDED_MAX 8u // guards of one task

typedef struct guard {
    cap_id_t id;
    cap_rights_t need; // 0: that it lives
} guard_t;

// A table to ask. Constant while tasks that are guarded by it are under way.
typedef struct guarded_gate {
    bool (*check)(const void *table, cap_id_t id, cap_rights_t need);
    const void *table;
} guarded_gate_t;

// The gate of the lock-free table.
guarded_gate_t guarded_gate_of(const capability_table_t *table);

typedef struct guarded guarded_t;
// `worker` is what the dispatching thread gave to guarded_dispatch.
typedef void guarded_fn_t(guarded_t *task, void *worker);

// Written before it is enqueued, and by nobody until it has run or was refused; then it may be used anew.
struct guarded {
    const guarded_gate_t *gate;
    guarded_fn_t *body;
    guarded_fn_t *refusal; // NULL: nothing runs
    uint32_t count;        // guards in use
    guard_t guards[GUARDED_MAX];
};

// OK; INVALID, and nothing written, where there are more than GUARDED_MAX guards, or no gate or body.
status_t guarded_init(guarded_t *task, const guarded_gate_t *gate, guarded_fn_t *body, guarded_fn_t *refusal,
                      const guard_t *guards, uint32_t count);

// Whether every guard holds now. Looks at them in order, until one does not.
bool guarded_hold(const guarded_t *task);

// Looks at the guards and runs the body or the refusal. Whether it was the body. Both may free the task.
bool guarded_dispatch(guarded_t *task, void *worker);
