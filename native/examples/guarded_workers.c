// Four workers read documents for clients. Each task holds a capability for its document, and nothing else; when a client's
// rights are revoked, what still waits for it is refused, wherever it waits.
#include <pthread.h>
#include <stdio.h>

#include "guarded_task.h"

enum { WORKERS = 4, CLIENTS = 2, DOCUMENTS = 8 };

// A task in our own memory: the guarded task first, then what it works on. What happened is told through `outcome`.
typedef struct reading {
    guarded_task_t task;
    unsigned client, document;
    enum { WAITING, READ_IT, REFUSED } outcome;
} reading_t;

static task_verdict_t read_document(guarded_task_t *task, scheduler_cpu_t *on) {
    (void)on; // here one would spawn more tasks on it: scheduler_spawn(on, &other.task)
    ((reading_t *)task)->outcome = READ_IT;
    return TASK_DONE;
}

static task_verdict_t refuse(guarded_task_t *task, scheduler_cpu_t *on) {
    (void)on;
    ((reading_t *)task)->outcome = REFUSED;
    return TASK_DONE;
}

typedef struct worker {
    pthread_t thread;
    scheduler_lockfree_t *scheduler;
    uint32_t cpu;
} worker_t;

// A thread drives one CPU of the scheduler until scheduler_stop was called and nothing is left to run.
static void *work(void *argument) {
    worker_t *worker = argument;
    scheduler_cpu_t *on = NULL;
    if (scheduler_attach(worker->scheduler, worker->cpu, &on) == STATUS_OK) {
        (void)scheduler_loop(on);
        scheduler_detach(on);
    }
    return NULL;
}

static int fail(const char *what, status_t status) {
    fprintf(stderr, "guarded_workers: %s: %s\n", what, status_name(status));
    return 1;
}

// One capability per document below the client's own, so that revoking the client's ends them all.
static status_t prepare(capability_thread_t *seat, cap_id_t client, const guarded_gate_t *gate, reading_t *reading) {
    guard_t guard = {.need = CAPABILITY_RIGHT_READ};
    status_t status = capability_delegate(seat, client, CAPABILITY_RIGHT_READ, &guard.id);
    return status == STATUS_OK ? guarded_task_init(&reading->task, gate, read_document, refuse, &guard, 1) : status;
}

static int run(capability_thread_t *seat, const guarded_gate_t *gate, scheduler_lockfree_t *scheduler) {
    static reading_t readings[CLIENTS][DOCUMENTS];
    cap_id_t clients[CLIENTS];
    for (unsigned c = 0; c < CLIENTS; c++) {
        status_t status = capability_create(seat, c, CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_DELEGATE, &clients[c]);
        for (unsigned d = 0; d < DOCUMENTS && status == STATUS_OK; d++) {
            readings[c][d].client = c;
            readings[c][d].document = d;
            status = prepare(seat, clients[c], gate, &readings[c][d]);
            task_t *task = &readings[c][d].task.task;
            if (status == STATUS_OK) {
                status = scheduler_enqueue_wide(scheduler, &task, 1, SCHEDULER_ANY_CPU);
            }
        }
        if (status != STATUS_OK) {
            return fail("a client's readings", status);
        }
    }

    // All wait by now. From the moment that this returns, no task of client 1 begins.
    (void)capability_revoke(seat, clients[1]);

    worker_t workers[WORKERS];
    for (uint32_t w = 0; w < WORKERS; w++) {
        workers[w] = (worker_t){.scheduler = scheduler, .cpu = w};
        if (pthread_create(&workers[w].thread, NULL, work, &workers[w]) != 0) {
            return fail("a thread", STATUS_NO_MEMORY);
        }
    }
    scheduler_stop(scheduler); // the loops end when the queues are empty
    for (uint32_t w = 0; w < WORKERS; w++) {
        pthread_join(workers[w].thread, NULL);
    }

    unsigned outcomes[CLIENTS][3] = {{0}};
    for (unsigned c = 0; c < CLIENTS; c++) {
        for (unsigned d = 0; d < DOCUMENTS; d++) {
            outcomes[c][readings[c][d].outcome]++;
        }
        printf("client %u: %u read, %u refused\n", c, outcomes[c][READ_IT], outcomes[c][REFUSED]);
    }
    return outcomes[0][READ_IT] == DOCUMENTS && outcomes[1][REFUSED] == DOCUMENTS ? 0 : 1;
}

int main(void) {
    capability_table_t *table = NULL;
    capability_thread_t *seat = NULL; // of this thread: who changes the table needs one, who checks does not
    scheduler_lockfree_t *scheduler = NULL;
    scheduler_config_t config = {.cpus = WORKERS};
    status_t status = capability_table_create(NULL, &table);
    if (status != STATUS_OK) {
        return fail("the table", status);
    }
    status = capability_thread_join(table, &seat);
    if (status == STATUS_OK) {
        status = scheduler_create(&config, &scheduler);
    }
    if (status != STATUS_OK) {
        return fail("the seat or the scheduler", status);
    }
    guarded_gate_t gate = guarded_gate_of(table);
    int result = run(seat, &gate, scheduler);
    scheduler_destroy(scheduler);
    capability_thread_leave(seat);
    capability_table_destroy(table);
    return result;
}
