#include "stutter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "window_state.h"

enum { LENGTHS = 8 }; /* the shortest is half of a 128th of the longest */

static _Atomic uint64_t length_ns; /* of the next one; written by main */

static struct {
    rng_t rng;
    uint64_t due_ns, count;
} the;

/* A wait that the signal cut short goes on by itself (SA_RESTART), or is one that may end early anyway. */
static void stand_still(int number) {
    (void)number;
    int kept = errno;
    uint64_t ns = atomic_load_explicit(&length_ns, memory_order_relaxed);
    const struct timespec nap = {.tv_nsec = (long)ns};
    nanosleep(&nap, NULL);
    errno = kept;
}

void stutter_begin(run_t *run) {
    if (run->options->stutter_ms <= 0)
        return;
    the.rng = rng_seeded(run->options->seed ^ 0x57a77e12u);
    struct sigaction action = {.sa_handler = stand_still, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGURG, &action, NULL);
    the.due_ns = 0;
}

/* Each power of two as often as the next: a fault may need any. */
static uint64_t draw_ns(const run_t *run) {
    uint64_t longest = (uint64_t)(run->options->stutter_ms * 1e6) >> rng_below(&the.rng, LENGTHS);
    return longest / 2 + rng_below(&the.rng, (uint32_t)longest / 2 + 1);
}

uint64_t stutter_step(run_t *run, uint64_t now) {
    if (run->options->stutter_ms <= 0)
        return UINT64_MAX;
    if (now >= the.due_ns) {
        uint32_t victim = rng_below(&the.rng, (uint32_t)run->options->threads);
        uint64_t ns = draw_ns(run);
        atomic_store_explicit(&length_ns, ns, memory_order_relaxed);
        pthread_kill(run->window->seats[victim].thread, SIGURG);
        the.count++;
        the.due_ns = now + draw_ns(run);
    }
    return the.due_ns;
}

void stutter_count(run_t *run) {
    if (run->options->stutter_ms > 0)
        run_counter(run, "stutters", (double)the.count, "1");
}
