// The whole system in one shape: a table of capabilities and a scheduler, each lock-free or the baseline. What is written over it
// runs over all four pairs; tests/native and kernel/test_integration.c do.
#pragma once

#include "capability_ops.h"
#include "scheduler_ops.h"

typedef struct system_ops {
    const char *name; // table, then scheduler
    const capability_ops_t *capability;
    const scheduler_ops_t *scheduler;
} system_ops_t;

#define SYSTEM_OPS_COUNT 4u
static const system_ops_t system_ops[SYSTEM_OPS_COUNT] = {
    {"lockfree/lockfree", &capability_lockfree_ops, &scheduler_lockfree_ops},
    {"lockfree/baseline", &capability_lockfree_ops, &scheduler_baseline_ops},
    {"baseline/lockfree", &capability_baseline_ops, &scheduler_lockfree_ops},
    {"baseline/baseline", &capability_baseline_ops, &scheduler_baseline_ops},
};
