// Threads do every operation on shared capabilities for some seconds, and hold every answer against C1 to C5.
//
//     test_stress [seconds [threads [seed [lockfree|kept|kernel|baseline|all]]]]
//
// kept is the lock-free table asked through caches, kernel both of these. Each also from the environment: ORCH_STRESS_SECONDS
// (default 3), _THREADS (4), _SEED (the time), _TABLE (all, the baseline for a fifth of the time). Exit status 0, or 1 with the violation. A round, milliseconds long, that has not ended
// after _STALL seconds (60) is one of C4.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stress_steps.h"

enum { THREADS_MAX = 64, STEPS = 4000 };

static worker_t workers[THREADS_MAX];
static unsigned threads;
static pthread_barrier_t barrier;
static _Atomic(bool) over;
static unsigned stall;

// --- the run --------------------------------------------------------------------------------------------------------

static void step(worker_t *w) {
    int count = atomic_load_explicit(&family_count, memory_order_acquire);
    int newest = count < FAMILIES ? count : FAMILIES;
    int window = newest < WINDOW ? newest : WINDOW;
    family_t *family = window > 0 ? &families[newest - 1 - (int)draw(w, (uint64_t)window)] : NULL;
    int members = family != NULL ? LOAD(&family->count) : 0;
    members = members < MEMBERS ? members : MEMBERS;
    int m = members > 0 ? (int)draw(w, (uint64_t)members) : 0;
    uint64_t kind = draw(w, 100);
    if (kind >= 97) {
        start_family(w);
    } else if (kind >= 92) {
        do_private(w);
    } else if (kind == 91) {
        ask_stats();
    } else if (kind == 90 && ops == &capability_kept_ops) {
        resize_caches(w);
    } else if (kind >= 86) {
        visit_grave(w);
    } else if (family == NULL || members == 0 || LOAD(&family->members[m].id) == CAPABILITY_NONE) {
        return;
    } else if (kind >= 62) {
        do_delegate(w, family, m);
    } else if (kind >= 54) {
        do_attenuate(w, family, m);
    } else if (kind >= 50) {
        do_grant(w, family, draw(w, 3) == 0 ? m : 0);
    } else if (kind >= 48) {
        do_transfer(w, family, m, (int)draw(w, (uint64_t)members + 1) - 1);
    } else if (kind >= 44) {
        do_revoke(w, family, draw(w, 8) == 0 ? 0 : m);
    } else if (kind >= 40) {
        do_delete(w, family, m);
    } else if (kind >= 36) {
        ask_lookup(family, m);
    } else if (kind >= 32) {
        ask_batch(w, family, m);
    } else {
        ask_check(w, family, m);
    }
}

static void *work(void *argument) {
    worker_t *w = argument;
    for (;;) {
        pthread_barrier_wait(&barrier); // a round begins
        if (atomic_load(&over)) {
            return NULL;
        }
        if (ops->thread_join(table, &w->seat) != STATUS_OK) {
            violation("C5", "no seat for one of %u threads", threads);
        }
        for (int i = 0; i < STEPS; i++) {
            step(w);
        }
        w->operations += STEPS;
        ops->thread_leave(w->seat);
        pthread_barrier_wait(&barrier); // all have ended it
    }
}

// C2 and C5 while nothing moves; then everything is revoked, and nothing may be left.
static void settle_round(void *self) {
    uint64_t created = 0;
    for (unsigned i = 0; i < threads; i++) {
        created += workers[i].created;
    }
    for (int pass = 0; pass < 2; pass++) {
        ops->settle(self);
        capability_audit_t audit = ops->audit(table);
        capability_stats_t stats = ops->stats(table);
        if (stats.created != created || stats.created != audit.live + stats.deleted) {
            violation("C5", "%llu made, %llu counted as created, %llu live, %llu deleted", (unsigned long long)created,
                      (unsigned long long)stats.created, (unsigned long long)audit.live,
                      (unsigned long long)stats.deleted);
        }
        if (audit.slots != audit.live + audit.free + audit.linked + audit.worn || audit.retired != 0) {
            violation("C5", "%llu slots, but %llu live, %llu free, %llu linked, %llu retired",
                      (unsigned long long)audit.slots, (unsigned long long)audit.live, (unsigned long long)audit.free,
                      (unsigned long long)audit.linked, (unsigned long long)audit.retired);
        }
        if (audit.orphans != 0 || audit.excesses != 0) {
            violation(audit.orphans != 0 ? "C1" : "C2", "%llu live without a parent, %llu with more rights than it",
                      (unsigned long long)audit.orphans, (unsigned long long)audit.excesses);
        }
        if (pass == 1 && audit.live + audit.linked != 0) {
            violation("C5", "%llu live and %llu linked after all was revoked", (unsigned long long)audit.live,
                      (unsigned long long)audit.linked);
        }
        for (int f = 0; pass == 0 && f < FAMILIES; f++) {
            (void)ops->revoke(self, LOAD(&families[f].members[0].id));
        }
    }
    memset(families, 0, sizeof families);
    atomic_store(&family_count, 0);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void run(const capability_ops_t *of, double seconds) {
    ops = of;
    stress_table = of->name;
    capability_config_t config = {.capacity = 1 << 15};
    void *self = NULL;
    if (ops->table_create(&config, &table) != STATUS_OK || ops->thread_join(table, &self) != STATUS_OK) {
        violation("C5", "no table");
    }
    pthread_t handles[THREADS_MAX] = {0};
    memset(workers, 0, sizeof workers);
    atomic_store(&over, false);
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].random = (stress_seed + i) * 0x9e3779b97f4a7c15u | 1;
        pthread_create(&handles[i], NULL, work, &workers[i]);
    }
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    unsigned rounds = 0;
    do {
        alarm(stall);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        settle_round(self);
        rounds++;
    } while (now_ns() < end);
    atomic_store(&over, true);
    pthread_barrier_wait(&barrier);
    uint64_t operations = 0;
    uint64_t created = 0;
    uint64_t refused = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        operations += workers[i].operations;
        created += workers[i].created;
        refused += workers[i].refused;
    }
    pthread_barrier_destroy(&barrier);
    ops->thread_leave(self);
    ops->table_destroy(table);
    printf("ok %s: %u rounds, %llu steps, %llu created, %llu refused, seed %llu\n", ops->name, rounds,
           (unsigned long long)operations, (unsigned long long)created, (unsigned long long)refused,
           (unsigned long long)stress_seed);
}

static void stalled(int signal_number) {
    (void)signal_number;
    static const char text[] = "violation C4: a round does not end\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static const char *setting(int count, char **arguments, int at, const char *name, const char *standard) {
    const char *value = at < count ? arguments[at] : getenv(name);
    return value != NULL ? value : standard;
}

enum { LOCKFREE = 1, KEPT = 2, BASELINE = 4, KERNEL = LOCKFREE | KEPT, ALL = KERNEL | BASELINE };
static const struct { const char *name; unsigned chosen; } tables[] = {
    {"lockfree", LOCKFREE}, {"kept", KEPT}, {"kernel", KERNEL}, {"baseline", BASELINE}, {"all", ALL}};

int main(int count, char **arguments) {
    double seconds = strtod(setting(count, arguments, 1, "ORCH_STRESS_SECONDS", "3"), NULL);
    threads = (unsigned)strtoul(setting(count, arguments, 2, "ORCH_STRESS_THREADS", "4"), NULL, 10);
    stress_seed = strtoull(setting(count, arguments, 3, "ORCH_STRESS_SEED", "0"), NULL, 10);
    stall = (unsigned)strtoul(setting(count, arguments, count, "ORCH_STRESS_STALL", "60"), NULL, 10);
    signal(SIGALRM, stalled);
    const char *which = setting(count, arguments, 4, "ORCH_STRESS_TABLE", "all");
    unsigned chosen = 0;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        chosen |= strcmp(which, tables[i].name) == 0 ? tables[i].chosen : 0;
    }
    if (threads < 1 || threads > THREADS_MAX || !(seconds > 0) || chosen == 0) {
        fprintf(stderr, "usage: %s [seconds > 0 [threads 1..%d [seed [lockfree|kept|kernel|baseline|all]]]]\n", arguments[0],
                THREADS_MAX);
        return 2;
    }
    if (stress_seed == 0) {
        stress_seed = now_ns();
    }
    double baseline = chosen == ALL ? 0.2 : chosen == BASELINE ? 1 : 0;
    double kernel = (chosen & KERNEL) == KERNEL ? (1 - baseline) / 2 : 1;
    if ((chosen & LOCKFREE) != 0) {
        run(&capability_lockfree_ops, seconds * kernel);
    }
    if ((chosen & KEPT) != 0) {
        run(&capability_kept_ops, seconds * kernel);
    }
    if ((chosen & BASELINE) != 0) {
        run(&capability_baseline_ops, seconds * baseline);
    }
    return 0;
}
