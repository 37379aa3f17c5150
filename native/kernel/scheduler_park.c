// Parking and waking, without a lost wakeup.
//
// scheduler.idle counts the CPUs that sleep, and those that were woken and have found nothing yet: while there is one of the
// latter, nobody is woken for more work, for it looks everywhere before it sleeps again.
//
// No wakeup is lost. Who makes work publishes it, then reads idle (edge SLEEP). Who parks counts itself in idle, then looks at all queues (the same edge).
// So either the look finds the work, or who made it sees the sleeper, or sees somebody searching, who has not counted himself
// as asleep then, and looks after he has. A CPU that was woken and finds something wakes the next in its turn, unasked; one that was awake
// does where it has taken over more than it can start at once.
//
// Who sleeps is a bit in `sleepers`. It is set before its CPU is counted asleep, and cleared after it was counted off, by a waker or
// by the CPU that gets up by itself; who clears it is the one. So a waker that has counted one off finds a bit, unless its
// owner got up by itself, who then has been counted off twice, and the waker puts that right.
#include "scheduler_layout.h"

#include <time.h>

#define ONE_ASLEEP ((uint64_t)1)
#define ONE_WAKING ((uint64_t)1 << 32)

static uint64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool is_asleep(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    /* edge SLEEP:S — who sleeps, after work was published; :S is in steal_look */
    return (atomic_load_seq_cst_u64(&scheduler->sleepers[cpu / 64]) >> cpu % 64 & 1) != 0;
}

// Clears the CPU's bit: whether it was set, and the CPU is ours to wake.
static bool take_bit(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    uint64_t bit = (uint64_t)1 << cpu % 64;
    /* edge WOKEN:RA — what the CPU is woken for; :A is in is_woken */
    return (atomic_fetch_and_seq_cst_u64(&scheduler->sleepers[cpu / 64], ~bit) & bit) != 0;
}

static bool is_woken(scheduler_cpu_t *on) {
    /* edge WOKEN:A — what the CPU is woken for; :RA is in take_bit */
    uint64_t bits = atomic_load_acquire_u64(&on->scheduler->sleepers[on->index / 64]);
    return (bits >> on->index % 64 & 1) == 0;
}

static void rouse(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    /* edge ROUSED:R — that the bit is gone, for who takes this 0 without having waited for it; :A is in scheduler_park */
    atomic_store_release_u32(&scheduler->cpus[cpu].park, 0);
    park_wake(&scheduler->cpus[cpu].park);
}

// From asleep to woken, by one, if anybody is asleep and (unless `always`) nobody woken.
static bool claim(scheduler_lockfree_t *scheduler, bool always) {
    /* edge SLEEP:S — who sleeps, after work was published; :S is in steal_look */
    uint64_t idle = atomic_load_seq_cst_u64(&scheduler->idle);
    while (sleeping(idle) > 0 && (always || waking(idle) == 0)) {
        /* edge SLEEP:S — as above; :S is in steal_look */
        if (atomic_cas_seq_cst_u64(&scheduler->idle, &idle, idle - ONE_ASLEEP + ONE_WAKING)) {
            return true;
        }
    }
    return false;
}

static void add_idle(scheduler_lockfree_t *scheduler, uint64_t add) {
    /* relaxed: the compare-and-swap decides */
    uint64_t idle = atomic_load_relaxed_u64(&scheduler->idle);
    /* edge SLEEP:S — that somebody sleeps, or searches no more, before the look around; :S is in scheduler_spawn */
    while (!atomic_cas_seq_cst_u64(&scheduler->idle, &idle, idle + add)) {
    }
}

// The sleeper nearest to `near` gets the wake that was claimed: false if all have got up by themselves.
static bool rouse_nearest(scheduler_lockfree_t *scheduler, uint32_t near) {
    if (is_asleep(scheduler, near) && take_bit(scheduler, near)) {
        rouse(scheduler, near);
        return true;
    }
    const uint16_t *others = scheduler->victims + (size_t)near * (scheduler->cpu_count - 1);
    for (uint32_t i = 0; i + 1 < scheduler->cpu_count; i++) {
        if (is_asleep(scheduler, others[i]) && take_bit(scheduler, others[i])) {
            rouse(scheduler, others[i]);
            return true;
        }
    }
    return false;
}

// A claim that finds nobody is given back: somebody has got up by itself. Whoever relied on it meanwhile has woken nobody, so this looks again.
static bool wake_any(scheduler_lockfree_t *scheduler, uint32_t near, bool always) {
    while (claim(scheduler, always)) {
        if (rouse_nearest(scheduler, near)) {
            return true;
        }
        add_idle(scheduler, ONE_ASLEEP - ONE_WAKING);
        always = true;
    }
    return false;
}

void wake_for_work(scheduler_lockfree_t *scheduler, uint32_t near) { (void)wake_any(scheduler, near, false); }

void wake_one(scheduler_lockfree_t *scheduler, uint32_t near) { (void)wake_any(scheduler, near, true); }

// None counted asleep, and yet it is: then it has not looked around yet, or every one of them is about to be woken by somebody.
bool wake_cpu(scheduler_lockfree_t *scheduler, uint32_t cpu) {
    return is_asleep(scheduler, cpu) && wake_any(scheduler, cpu, true);
}

void stop_waking(scheduler_cpu_t *on) {
    if (on->waking) {
        on->waking = false;
        add_idle(on->scheduler, (uint64_t)0 - ONE_WAKING);
    }
}

static bool has_several(const scheduler_cpu_t *on) {
    bool several = false;
    for (uint32_t level = 0; level < TASK_PRIORITIES; level++) {
        several = several || ((on->levels & LEVEL_DEQUE(level)) != 0 && deque_size(&on->deques[level]) >= WAKE_FROM);
    }
    return several;
}

// What was taken over lay in nobody's queue meanwhile: who lay down just then has seen none of it.
void wake_found(scheduler_cpu_t *on) {
    if (on->waking) {
        stop_waking(on);
        (void)wake_any(on->scheduler, on->index, true);
    } else if (has_several(on)) {
        /* edge SLEEP:S — what was taken over, before the look at who sleeps; :S is in steal_look */
        atomic_fence_light_seq_cst(on->asymmetric);
        /* relaxed: the fence orders it */
        if (sleeping(atomic_load_relaxed_u64(&on->scheduler->idle)) > 0) {
            wake_for_work(on->scheduler, on->index);
        }
    }
}

// Gets up by itself: off the count first, as a waker does.
static void get_up(scheduler_cpu_t *on) {
    add_idle(on->scheduler, (uint64_t)0 - ONE_ASLEEP);
    if (!take_bit(on->scheduler, on->index)) { // somebody has woken it, and counted it off
        add_idle(on->scheduler, ONE_ASLEEP);
        on->waking = true;
    }
}

static void lie_down(scheduler_cpu_t *on) {
    scheduler_lockfree_t *scheduler = on->scheduler;
    /* relaxed: the bit, which is set after it, publishes it to who clears that: his 0 comes later */
    atomic_store_relaxed_u32(&on->park, 1);
    /* edge WOKEN:RA — nothing yet; :A is in is_woken */
    (void)atomic_fetch_or_seq_cst_u64(&scheduler->sleepers[on->index / 64], (uint64_t)1 << on->index % 64);
    add_idle(scheduler, ONE_ASLEEP - (on->waking ? ONE_WAKING : 0));
    on->waking = false;
}

static uint64_t kicks_of(const scheduler_lockfree_t *scheduler) {
    /* edge SLEEP:S — who was kicked, after it has lain down; :S is in scheduler_kick */
    return atomic_load_seq_cst_u64(&scheduler->kicks);
}

bool scheduler_park(scheduler_cpu_t *on, uint64_t timeout_ns) {
    if (steal_asked(on)) { // who sleeps between two looks would be patient for as many relooks
        return true;
    }
    uint64_t now = timeout_ns == SCHEDULER_FOREVER ? 0 : clock_now();
    uint64_t end = timeout_ns >= SCHEDULER_FOREVER - now ? SCHEDULER_FOREVER : now + timeout_ns;
    bool searching = on->waking;
    lie_down(on);
    uint64_t kicks = kicks_of(on->scheduler);
    if (kicks != on->kicks || steal_look(on) || scheduler_stopped(on->scheduler)) {
        on->kicks = kicks;
        get_up(on);
        if (searching) { // the look ends with what it finds first: there may be more, whose makers have seen somebody searching
            wake_one(on->scheduler, on->index);
        }
        return true;
    }
    count_up(&on->counts.parks, 1);
    while (!is_woken(on)) {
        uint64_t left = end;
        if (end != SCHEDULER_FOREVER) {
            now = clock_now();
            if (now >= end) {
                get_up(on);
                return on->waking;
            }
            left = end - now;
        }
        bool relook = steal_others_busy(on);
        park_wait(&on->park, 1, relook && left > SCHEDULER_RELOOK_NS ? SCHEDULER_RELOOK_NS : left);
        if (!is_woken(on) && relook && steal_lone(on)) {
            get_up(on);
            return true;
        }
        /* edge ROUSED:A — that the bit is gone, where it took a 0; where it took none, his comes later, and ends the wait; :R is in rouse */
        (void)atomic_exchange_acquire_u32(&on->park, 1);
    }
    on->waking = true;
    on->kicks = kicks_of(on->scheduler);
    return true;
}

void scheduler_kick(scheduler_lockfree_t *scheduler) {
    /* edge SLEEP:S — the kick, before the look at who sleeps; :S is in kicks_of */
    (void)atomic_fetch_add_seq_cst_u64(&scheduler->kicks, 1);
    for (uint32_t cpu = 0; cpu < scheduler->cpu_count; cpu++) {
        (void)wake_cpu(scheduler, cpu);
    }
}
