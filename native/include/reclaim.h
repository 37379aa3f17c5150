// Epoch-based reclamation: what was taken out of a shared structure is used again only when no thread can hold it.
//
// A thread is inside between enter and leave. What is retired, after it was made unreachable, has its callback called
// once, when every thread that was inside at that time has left. Until then memory waits: a thread that stays inside
// holds up all callbacks, and nobody else.
//
// enter, leave, retire and poll are wait-free but for the callbacks they run; none waits for another thread.
// The argument that a grace period never ends early stands at the top of kernel/reclaim.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomics.h"
#include "status.h"

#define RECLAIM_MAX_THREADS 1024u

typedef struct reclaim reclaim_t;               // a domain: threads, and what they retire
typedef struct reclaim_thread reclaim_thread_t; // one thread's seat in it

typedef struct reclaim_node reclaim_node_t; // lives inside the object that is retired
// `owner` is what the thread that runs the callback gave to reclaim_join; NULL from reclaim_destroy. Callbacks may
// retire, and may not enter, poll or drain.
typedef void reclaim_fn_t(reclaim_node_t *node, void *owner);
struct reclaim_node {
    plain_ptr_t next;
    reclaim_fn_t *run;
};

// NULL when there is no memory.
reclaim_t *reclaim_create(void);
// All threads have left. Runs every callback that still waits.
void reclaim_destroy(reclaim_t *domain);

// A seat for the calling thread: OK, or FULL when RECLAIM_MAX_THREADS are taken. Seats are used again. `index` of a seat
// is less than RECLAIM_MAX_THREADS, and no other seat that is taken has it.
status_t reclaim_join(reclaim_t *domain, void *owner, reclaim_thread_t **self);
// Outside. What the thread retired and still waits goes to whoever polls next.
void reclaim_leave_domain(reclaim_thread_t *self);
uint32_t reclaim_index(const reclaim_thread_t *self);
void reclaim_set_owner(reclaim_thread_t *self, void *owner);

// Nest freely. leave polls after every 64 retired objects.
void reclaim_enter(reclaim_thread_t *self);
void reclaim_leave(reclaim_thread_t *self);

// `node` is unreachable for every thread that enters from now on. Each object is retired once.
void reclaim_retire(reclaim_thread_t *self, reclaim_node_t *node, reclaim_fn_t *run);

// Moves the epoch on by one if every thread inside has seen it. Whether it did.
bool reclaim_advance(reclaim_t *domain);
// Outside. advance, then runs the callbacks whose grace period is over: one's own, and those of threads that left.
void reclaim_poll(reclaim_thread_t *self);

// Outside. Wait for others: until every thread that is inside now has left; and, drain, until all callbacks have run that wait in
// this seat, or in one that is free because its thread has left. What a thread left behind in a seat that another has taken
// since is that one's: it runs it in its polls, and a drain elsewhere does not wait for it.
void reclaim_synchronize(reclaim_thread_t *self);
void reclaim_drain(reclaim_thread_t *self);

// Objects whose callback has not run yet. Exact when nobody retires or polls.
uint64_t reclaim_waiting(const reclaim_t *domain);
