/* The phases in which tasks share a CPU, by quantum.
 *
 * service   Requests go to a device that serves one after the other, and wait there; tasks that compute are always ready. As long as
 *           the device has requests it works beside the CPU. A request that was answered must run to send the next one, and waits for
 *           the quantum of a computing task: with a long one the device stands still.
 * compute   Tasks with a working set each that fills a good part of the second-level cache: whoever has its turn must fetch its own again.
 *
 * Nothing ends; a chunk is a stretch of time, and what was done in it counts. The device's clock goes on only while the phase has its
 * turn, and stands while somebody else has the CPU. */
#include <stdlib.h>

#include "tuned_runs.h"

enum { REQUESTS = 8, DEVICE_NS = 20000, ANSWER_UNITS = 5, CRUNCHERS = 2, CRUNCH_STEPS = 1300 };
enum { WALKERS = 4, WALK_STEPS = 320 };
enum { CHUNK_NS = 400000, GAP_NS = 60000 };

typedef enum { REQUEST_READY, REQUEST_SENT, REQUEST_ANSWERED } request_state_t;

typedef struct {
    task_t task;
    struct tuned_runs *runs;
    request_state_t state;
    uint64_t done_at; /* by the device, if sent */
} request_t;

typedef struct {
    task_t task;
    struct tuned_runs *runs;
    const tuned_walk_t *walk; /* NULL: computes without memory */
    uint32_t at;
    uint64_t steps, sum; /* of this pass */
} cruncher_t;

struct tuned_runs {
    scheduler_lockfree_t *scheduler;
    scheduler_cpu_t *on;
    contender_t *contender;
    uint64_t clock, last; /* its own; the machine's when that was read */
    uint64_t until;
    uint64_t units, answers;
    uint64_t crunched; /* what CRUNCH_STEPS give */
    uint64_t device_free;
    int requests, sent_first, sent_count;
    request_t *sent[REQUESTS]; /* a ring */
    request_t request[REQUESTS];
    cruncher_t cruncher[WALKERS];
};

/* ---- time ---- */
static uint64_t runs_now(tuned_runs_t *runs) {
    uint64_t now = clock_ns();
    uint64_t took = now - runs->last;
    runs->last = now;
    return runs->clock += took < GAP_NS ? took : GAP_NS;
}

/* ---- the tasks ---- */
static uint64_t crunch(void) {
    uint64_t x = 1;
    for (int i = 0; i < CRUNCH_STEPS; i++)
        x = rng_mix(x + 1);
    return x;
}

static void walk(cruncher_t *self) {
    const tuned_walk_t *walk = self->walk;
    uint32_t at = self->at;
    uint64_t sum = self->sum;
    for (int i = 0; i < WALK_STEPS; i++) {
        sum += at;
        at = walk->lines[at].next;
    }
    self->at = at;
    self->sum = sum;
    self->steps += WALK_STEPS;
    if (self->steps < walk->count)
        return;
    if (self->sum != walk->sum || at != 0)
        run_violation(self->runs->contender->worker, "S1", "%s, phase compute: a pass over %u lines gave %llu instead of %llu",
                      self->runs->contender->name, walk->count, (unsigned long long)self->sum, (unsigned long long)walk->sum);
    self->steps = self->sum = 0;
}

static task_verdict_t run_cruncher(task_t *task, scheduler_cpu_t *on) {
    cruncher_t *self = task->argument;
    tuned_runs_t *runs = self->runs;
    do {
        if (self->walk)
            walk(self);
        else if (crunch() != runs->crunched)
            run_violation(runs->contender->worker, "S1", "%s, phase service: a computation was disturbed", runs->contender->name);
        runs->units++;
        (void)runs_now(runs);
    } while (!scheduler_quantum_over(on));
    return TASK_AGAIN;
}

static task_verdict_t run_request(task_t *task, scheduler_cpu_t *on) {
    (void)on;
    request_t *self = task->argument;
    tuned_runs_t *runs = self->runs;
    if (self->state == REQUEST_SENT)
        run_violation(runs->contender->worker, "S2", "%s, phase service: a task ran while it was blocked", runs->contender->name);
    if (self->state == REQUEST_ANSWERED) {
        runs->answers++;
        runs->units += ANSWER_UNITS;
    }
    uint64_t now = runs_now(runs);
    uint64_t begins = runs->device_free > now ? runs->device_free : now;
    runs->device_free = self->done_at = begins + DEVICE_NS;
    self->state = REQUEST_SENT;
    runs->sent[(runs->sent_first + runs->sent_count++) % REQUESTS] = self;
    return TASK_BLOCK;
}

/* What the device has answered meanwhile. */
static void poll_device(tuned_runs_t *runs, uint64_t now) {
    while (runs->sent_count > 0 && runs->sent[runs->sent_first]->done_at <= now) {
        request_t *request = runs->sent[runs->sent_first];
        runs->sent_first = (runs->sent_first + 1) % REQUESTS;
        runs->sent_count--;
        request->state = REQUEST_ANSWERED;
        status_t status = scheduler_unblock(runs->scheduler, &request->task, 0);
        if (status != STATUS_OK)
            run_violation(runs->contender->worker, "S1", "%s, phase service: a blocked task could not be unblocked: %s",
                          runs->contender->name, status_name(status));
    }
}

uint64_t tuned_runs_chunk(tuned_runs_t *runs) {
    runs->last = clock_ns();
    runs->units = 0;
    uint64_t now = runs->clock;
    uint64_t until = now + CHUNK_NS;
    while (now < until) {
        if (scheduler_run(runs->on, 1) == 0) {
            run_violation(runs->contender->worker, "S3", "%s: nothing was found to run, with %d tasks ready", runs->contender->name,
                          CRUNCHERS);
            break;
        }
        now = runs_now(runs);
        poll_device(runs, now);
    }
    return runs->units;
}

void tuned_runs_quantum(tuned_runs_t *runs, uint64_t ns) {
    (void)scheduler_set(runs->scheduler, SCHEDULER_QUANTUM_NS, ns);
}

/* ---- making ---- */
bool tuned_walks_make(run_t *run, tuned_walk_t walks[TUNED_WALKS]) {
    rng_t rng = rng_seeded(run->options->seed + 2);
    for (int w = 0; w < TUNED_WALKS; w++) {
        uint32_t count = TUNED_WALK_LINES;
        uint32_t *order = calloc(count, sizeof *order);
        walks[w] = (tuned_walk_t){.lines = aligned_alloc(128, count * sizeof(tuned_line_t)), .count = count};
        if (!order || !walks[w].lines) {
            free(order);
            run_fail(run, "memory exhausted: working sets of tasks");
            return false;
        }
        for (uint32_t i = 0; i < count; i++)
            order[i] = i;
        for (uint32_t i = count - 1; i > 1; i--) { /* 0 stays first */
            uint32_t j = 1 + rng_below(&rng, i);
            uint32_t swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        for (uint32_t i = 0; i < count; i++) {
            walks[w].lines[order[i]].next = order[(i + 1) % count];
            walks[w].sum += i;
        }
        free(order);
    }
    return true;
}

void tuned_walks_free(tuned_walk_t walks[TUNED_WALKS]) {
    for (int w = 0; w < TUNED_WALKS; w++)
        free(walks[w].lines);
}

static void enqueue(tuned_runs_t *runs, task_t *task) {
    scheduler_enqueue_batch(runs->scheduler, &task, 1, 0);
}

bool tuned_runs_make(contender_t *contender, const tuned_walk_t *walks, tuned_runs_t **made) {
    tuned_runs_t *runs = aligned_alloc(_Alignof(tuned_runs_t), sizeof *runs);
    *made = runs;
    if (!runs)
        return false;
    *runs = (tuned_runs_t){.contender = contender, .clock = 1, .crunched = crunch(), .requests = walks ? 0 : REQUESTS};
    if (scheduler_create(NULL, &runs->scheduler) != STATUS_OK || scheduler_attach(runs->scheduler, 0, &runs->on) != STATUS_OK)
        return false;
    int crunchers = walks ? WALKERS : CRUNCHERS;
    for (int i = 0; i < crunchers; i++) {
        cruncher_t *one = &runs->cruncher[i];
        *one = (cruncher_t){.runs = runs, .walk = walks ? &walks[i] : NULL};
        task_init(&one->task, run_cruncher, one, TASK_PRIORITY_NORMAL, NULL);
        enqueue(runs, &one->task);
    }
    for (int i = 0; i < runs->requests; i++) {
        request_t *one = &runs->request[i];
        *one = (request_t){.runs = runs};
        task_init(&one->task, run_request, one, TASK_PRIORITY_HIGH, NULL);
        enqueue(runs, &one->task);
    }
    return true;
}

double tuned_runs_tasks(const tuned_runs_t *runs) { return runs->requests ? REQUESTS + CRUNCHERS : WALKERS; }

/* Blocked tasks are in no queue: they are ended, and the rest handed out. */
void tuned_runs_free(tuned_runs_t *runs) {
    if (!runs)
        return;
    if (runs->on)
        scheduler_detach(runs->on);
    if (runs->scheduler) {
        task_t *rest[16];
        for (int i = 0; i < runs->requests; i++)
            (void)scheduler_terminate(runs->scheduler, &runs->request[i].task);
        while (scheduler_rest(runs->scheduler, rest, 16) != 0)
            ;
        scheduler_destroy(runs->scheduler);
    }
    free(runs);
}
