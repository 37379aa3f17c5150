/* What the arms of op_spawn, op_enqueue, op_queue, op_deque_pair and op_steal have in common. */
#ifndef ORCH_OP_TASKS_H
#define ORCH_OP_TASKS_H

enum { OP_DEQUE_MODE }; /* setting of op_deque_pair */
enum { OP_DEQUE_FENCED, OP_DEQUE_ASYMMETRIC };
enum { OP_STEAL_BATCH }; /* setting of op_steal */

enum {
    OP_BATCH = 32,   /* tasks in a batch */
    OP_SPAWN = 64,   /* ready at a time in op_spawn */
    OP_STEAL = 1024, /* ready at a time in op_steal */
    OP_TASKS = 1024  /* in a sample of op_enqueue */
};

#endif
