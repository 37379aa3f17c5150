/* C4 promises that whoever is stopped, the others go on. So stop one and look.
 *
 * A stall: the others are watched (before) for STILL_NS, and longer, up to BEFORE_MOST_NS, until they have ended
 * BEFORE_LEAST batches. Then one worker is frozen by a signal for freeze_ms. Batches that end are the progress. If at
 * the end of that time the others are still, the freeze goes on until they move, which clears them, or are judged.
 *
 * Not to be fooled by a machine that just does not run us, stillness counts only where the others cannot have
 * been waiting for a CPU, over at least SAMPLES looks in a row and the time in which they ended those batches before:
 *   spinning   they used the CPU time of MANY of their batches, and not less than SPUN_NS, and ended none; or
 *   blocked    in every look every one of them was asleep in the kernel. Who wants to run is not asleep.
 * Anything else is not judged, and counted as such. */
#include "stall.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "asleep.h"
#include "window_state.h"

enum { MS = 1000000, LOOK_NS = MS, STILL_NS = 50 * MS, SPUN_NS = 20 * MS, SAMPLES = 20, MANY = 64, BEFORE_LEAST = 16, LOOKS_MOST = 50 };
static const uint64_t BEFORE_MOST_NS = 400ull * MS; /* slow is slow: a lock under a sanitizer hands over 10,000 a second */
static const uint64_t TAKES_NS = 500ull * MS; /* a signal that was not taken by then is withdrawn */
static const uint64_t LIMIT_NS = 1000ull * MS; /* how much longer a freeze goes on that is not decided */

/* ---- the victim ---- */
static _Atomic uint32_t wanted; /* 0: nobody; else index + 1 of the worker to freeze. A futex; written by main. */
static _Atomic uint32_t frozen; /* written by the victim: `wanted` as it saw it, 0 when it goes on */
static _Thread_local uint32_t me;

/* Nothing here but system calls and two words. A signal that comes late finds that nobody or somebody else is
 * wanted, and does nothing. */
static void freeze(int number) {
    (void)number;
    int kept = errno;
    uint32_t self = me;
    if (self && atomic_load_explicit(&wanted, memory_order_acquire) == self) {
        atomic_store_explicit(&frozen, self, memory_order_release);
        const struct timespec look = {0, 100 * MS};
        for (int looks = 0; looks < LOOKS_MOST && atomic_load_explicit(&wanted, memory_order_acquire) == self; looks++)
            syscall(SYS_futex, &wanted, FUTEX_WAIT_PRIVATE, self, &look, NULL, 0);
        atomic_store_explicit(&frozen, 0, memory_order_release);
    }
    errno = kept;
}

void stall_enroll(run_t *run, int index) {
    me = (uint32_t)index + 1;
    run->window->seats[index].tid = (int)syscall(SYS_gettid);
}

/* ---- what is known of the others; main thread only from here ---- */
typedef enum { WAITING, BEFORE, CALLED, FROZEN } step_t;

typedef struct {
    uint64_t ops, cpu_ns; /* of the others; cpu_ns UINT64_MAX: a clock could not be read */
} effort_t;

static struct {
    step_t step;
    stall_plan_t plan;
    rng_t rng;
    int victim;
    uint64_t due_ns, frozen_ns;
    effort_t before;            /* first the readings at its begin, then the difference */
    uint64_t before_ns;         /* likewise: when it began, then how long it was */
    uint64_t seen[THREADS_MAX]; /* operations of each at the last look */
    uint64_t seen_sum;
    uint64_t moved_ns;          /* the last look at which they had moved */
    int mover;                  /* who had; -1: nobody since the freeze */
    uint64_t still_ns, cpu_ns;  /* at the first look at which they had not; 0: they move */
    uint64_t samples;
    bool asleep;                /* all of them in all samples */
    uint64_t stalls, unjudged;
} the;

/* Operations of the others in batches that have ended; notes who moved. */
static uint64_t others_done(const struct window *window) {
    uint64_t sum = 0;
    for (int i = 0; i < window->threads; i++) {
        uint64_t done = atomic_load_explicit(&window->seats[i].done, memory_order_relaxed);
        if (i == the.victim)
            continue;
        if (done != the.seen[i])
            the.mover = i;
        the.seen[i] = done;
        sum += done;
    }
    return sum;
}

static uint64_t others_cpu(const struct window *window) {
    uint64_t sum = 0;
    for (int i = 0; i < window->threads; i++) {
        clockid_t clock;
        struct timespec used;
        if (i == the.victim)
            continue;
        if (pthread_getcpuclockid(window->seats[i].thread, &clock) != 0 || clock_gettime(clock, &used) != 0)
            return UINT64_MAX;
        sum += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    }
    return sum;
}

static bool others_asleep(const struct window *window) {
    for (int i = 0; i < window->threads; i++)
        if (i != the.victim && !thread_is_asleep(window->seats[i].tid))
            return false;
    return true;
}

/* ---- the steps ---- */
bool stall_planned(const options_t *options) {
    stall_plan_t plan = options->bench->stall ? options->bench->stall(options) : (stall_plan_t){0};
    /* others that stutter stand still by themselves */
    return plan.freeze_ms > 0 && options->stutter_ms <= 0 && options->threads > 1 && options->seconds * 1e3 >= plan.freeze_ms * 4 + 100;
}

/* Between half and one and a half of the pause, so that stalls do not keep step with anything. */
static void rest(uint64_t now) {
    the.step = WAITING;
    the.due_ns = now + (uint64_t)(the.plan.every_ms * MS * (0.5 + 1e-6 * rng_below(&the.rng, 1000000)));
}

void stall_begin(run_t *run) {
    if (!stall_planned(run->options))
        return;
    the.plan = run->options->bench->stall(run->options);
    the.rng = rng_seeded(run->options->seed ^ 0x5741114e5ca1ab1eu);
    struct sigaction action = {.sa_handler = freeze, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR2, &action, NULL);
    rest(clock_ns());
    uint64_t first = clock_ns() + (uint64_t)(the.plan.freeze_ms * MS); /* a short run has one, too */
    the.due_ns = the.due_ns < first ? the.due_ns : first;
}

static void thaw(uint64_t now) {
    atomic_store_explicit(&wanted, 0, memory_order_release);
    syscall(SYS_futex, &wanted, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    rest(now);
}

static void watch(const run_t *run, uint64_t now) {
    the.victim = (int)rng_below(&the.rng, (uint32_t)run->options->threads);
    the.before = (effort_t){others_done(run->window), others_cpu(run->window)};
    the.before_ns = now;
    the.step = BEFORE;
    the.due_ns = now + STILL_NS;
}

/* Others that hardly moved before prove nothing when they stand. */
static void call(const run_t *run, uint64_t now) {
    uint64_t cpu = others_cpu(run->window), ops = others_done(run->window) - the.before.ops;
    bool few = ops < BEFORE_LEAST * BATCH_OPS;
    if (few && now - the.before_ns < BEFORE_MOST_NS) {
        the.due_ns = now + STILL_NS;
        return;
    }
    if (few || cpu == UINT64_MAX) {
        the.unjudged++;
        rest(now);
        return;
    }
    the.before_ns = now - the.before_ns;
    the.before.ops = ops;
    the.before.cpu_ns = cpu - the.before.cpu_ns;
    atomic_store_explicit(&wanted, (uint32_t)the.victim + 1, memory_order_release);
    pthread_kill(run->window->seats[the.victim].thread, SIGUSR2);
    the.step = CALLED;
    the.due_ns = now + TAKES_NS;
}

static void note_frozen(const run_t *run, uint64_t now) {
    the.step = FROZEN;
    the.stalls++;
    the.frozen_ns = the.moved_ns = now;
    the.still_ns = 0;
    the.seen_sum = others_done(run->window);
    the.mover = -1;
    the.due_ns = now + (uint64_t)(the.plan.freeze_ms * MS);
}

static void accuse(run_t *run, uint64_t now, uint64_t cpu, bool blocked) {
    char how[64], last[64];
    if (blocked)
        snprintf(how, sizeof how, "each asleep in all of %llu looks", (unsigned long long)the.samples);
    else
        snprintf(how, sizeof how, "using %.1f ms of CPU", (double)cpu * 1e-6);
    if (the.mover < 0)
        snprintf(last, sizeof last, "nobody has moved since");
    else
        snprintf(last, sizeof last, "worker %d was the last to move", the.mover);
    run_violation(&run->window->seats[the.victim].worker, "C4",
                  "worker %d frozen %.1f ms: for the last %.1f the other %d ended no operation, %s; in the %.1f ms "
                  "before they ended %llu; %s",
                  the.victim, (double)(now - the.frozen_ns) * 1e-6, (double)(now - the.moved_ns) * 1e-6,
                  run->window->threads - 1, how, (double)the.before_ns * 1e-6,
                  (unsigned long long)the.before.ops, last);
}

/* They have not moved since the last look. */
static void look_closer(run_t *run, uint64_t now) {
    uint64_t cpu = others_cpu(run->window);
    if (!the.still_ns) {
        the.still_ns = now;
        the.cpu_ns = cpu;
        the.samples = 0;
        the.asleep = true;
    }
    the.samples++;
    the.asleep = the.asleep && others_asleep(run->window);
    uint64_t used = cpu == UINT64_MAX || the.cpu_ns == UINT64_MAX ? 0 : cpu - the.cpu_ns;
    uint64_t enough = MANY * BATCH_OPS * the.before.cpu_ns / the.before.ops;
    bool spinning = used >= (enough > SPUN_NS ? enough : SPUN_NS);
    bool long_enough = now - the.still_ns >= the.before_ns && the.samples >= SAMPLES;
    /* the last word is theirs: who has moved meanwhile is cleared */
    if (long_enough && (the.asleep || spinning) && others_done(run->window) == the.seen_sum) {
        accuse(run, now, used, the.asleep);
        thaw(now);
    } else if (now >= the.due_ns + LIMIT_NS) {
        the.unjudged++;
        thaw(now);
    }
}

static void look(run_t *run, uint64_t now) {
    bool taken = atomic_load_explicit(&frozen, memory_order_acquire) == (uint32_t)the.victim + 1;
    uint64_t done = others_done(run->window);
    if (!taken || (done != the.seen_sum && now >= the.due_ns)) {
        the.unjudged += !taken; /* it went on by itself: we were not run for seconds */
        thaw(now);
    } else if (done != the.seen_sum) {
        the.seen_sum = done;
        the.moved_ns = now;
        the.still_ns = 0;
    } else {
        look_closer(run, now);
    }
}

uint64_t stall_step(run_t *run, uint64_t now) {
    if (the.plan.freeze_ms <= 0)
        return UINT64_MAX;
    if (the.step == WAITING && now >= the.due_ns)
        watch(run, now);
    else if (the.step == BEFORE && now >= the.due_ns)
        call(run, now);
    else if (the.step == FROZEN)
        look(run, now);
    if (the.step == CALLED && atomic_load_explicit(&frozen, memory_order_acquire)) {
        note_frozen(run, now);
    } else if (the.step == CALLED && now >= the.due_ns) {
        the.unjudged++;
        thaw(now);
    }
    return the.step == CALLED || the.step == FROZEN ? now + LOOK_NS : the.due_ns;
}

void stall_end(run_t *run) {
    (void)run;
    if (the.plan.freeze_ms <= 0)
        return;
    the.unjudged += the.step == BEFORE || the.step == CALLED;
    thaw(clock_ns());
}

void stall_count(run_t *run) {
    if (the.plan.freeze_ms <= 0)
        return;
    run_counter(run, "stalls", (double)the.stalls, "1");
    run_counter(run, "stalls_unjudged", (double)the.unjudged, "1");
}
