// Random schedules of small scripts: two to four coroutines change one small tree, and may be interrupted at every atomic
// operation of the kernel (atomics_steps.h). An observer looks at the table between any two steps.
//
//     test_schedules [seconds [seed]]     default: 4 seconds, from seed 1
//
// A schedule is a function of its seed, so a violation comes again with `test_schedules 0 SEED`. It explores sequential
// consistency, and the kernel's batches are made small here, so that slots come back, lists are swept and threads are frozen
// half-way within a few steps.
#define ORCH_ATOMICS_BACKEND "atomics_steps.h"
#include "capability.h"
#include "reclaim.h"

#undef CAPABILITY_MAX_THREADS
#define CAPABILITY_MAX_THREADS 6u
#undef RECLAIM_MAX_THREADS
#define RECLAIM_MAX_THREADS 6u
#include "../kernel/capability_column.h"
#undef SLOT_BATCH
#define SLOT_BATCH 1u
#undef SWEEP_AT_LEAST
#define SWEEP_AT_LEAST 1u

// The order of inclusion is the order of their uses.
#include "../kernel/reclaim.c"

#include "../kernel/capability_slots.c"
#include "../kernel/capability_tree.c"
#include "../kernel/capability.c"
#include "../kernel/capability_column.c"
#include "../kernel/capability_table.c"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if ATOMICS_MODEL_FENCES
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

enum { PLACES = 2, ACTORS = 4, NODES = 24, SCRIPT = 6, STACK = 1 << 18, STEPS_MAX = 40000, WATCHED = 64, LOG = 4096 };

typedef enum { DELEGATE, REVOKE, DELETE, ATTENUATE, GRANT, CREATE, POLL, REJOIN, CHECK, LOOKUP, PLACE, KINDS } kind_t;
static const char *const kind_names[KINDS] = {"delegate", "revoke", "delete", "attenuate", "grant",
                                              "create",   "poll",   "rejoin", "check",     "lookup", "place"};
// What a schedule is about: everything; long lists and who sweeps them; slots that come back; seats that change hands; columns.
static const unsigned profiles[][KINDS] = {
    {5, 4, 4, 2, 1, 3, 4, 1, 2, 1, 0}, {8, 3, 8, 1, 0, 0, 1, 0, 1, 0, 0}, {2, 6, 2, 1, 0, 6, 9, 0, 4, 2, 0},
    {2, 5, 1, 0, 0, 3, 5, 7, 0, 0, 0}, {1, 3, 1, 5, 2, 0, 1, 0, 0, 0, 9}};
enum { SWEEPS = 1, COLUMNS = 4 };

#define REGRANTED ((cap_rights_t)3)
#define FOR_GOOD ((cap_rights_t)12)

// What is known of a capability; as in stress_model.h: ending and taking before the call, ended and taken after it.
typedef struct node {
    cap_id_t id;
    int parent; // -1: a root
    cap_rights_t rights;
    bool ending, ended;
    bool revoking; // ending all below, too
    cap_rights_t taking, taken;
    int delegating; // calls in progress
} node_t;

typedef struct actor {
    ucontext_t context;
    void *fiber;
    char *stack;
    capability_thread_t *seat;
    int operations;
    bool done;
    int deleting; // the node that it deletes now, or -1
    bool had_child;
    capability_column_t *column; // its own, of PLACES; NULL: none in this schedule
    int placed[PLACES];          // the node in each place; -1: none
    int placing[PLACES];         // the node that is being put there instead, or the same
    unsigned priority;
    uint64_t stay; // counts its stays inside; odd: inside
} actor_t;

static actor_t actors[ACTORS];
static int actor_count;
static node_t nodes[NODES];
static int node_count;
static capability_table_t *table;
static uint64_t random_state, seed;
static uint64_t created;
static ucontext_t scheduler;
static void *scheduler_fiber;
static actor_t *running; // NULL: no scheduling points, as in the observer and between schedules
static unsigned steps;
static struct { uint64_t state, stays[ACTORS]; } watched[WATCHED]; // a slot, and who was inside when it was retired
static struct { int actor, kind, node, status; } history[LOG];
static unsigned events;

static uint64_t draw(uint64_t below) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state * 0x2545f4914f6cdd1du >> 32) % below;
}

static void violation(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void violation(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fprintf(stderr, "violation ");
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, " (seed %llu)\n", (unsigned long long)seed);
    for (unsigned i = 0; i < events && i < LOG; i++) {
        fprintf(stderr, "  actor %d %s %d: %s\n", history[i].actor, kind_names[history[i].kind], history[i].node,
                history[i].status < 0 ? "begins" : status_name((status_t)history[i].status));
    }
    fflush(NULL);
    _Exit(1);
}

static void note(const actor_t *actor, kind_t kind, int n, int status) {
    if (events < LOG) {
        history[events].actor = (int)(actor - actors);
        history[events].kind = (int)kind;
        history[events].node = n;
        history[events++].status = status;
    }
}

// --- facts ----------------------------------------------------------------------------------------------------------

static bool ended_above(int n) {
    for (; n >= 0; n = nodes[n].parent) {
        if (nodes[n].ended) {
            return true;
        }
    }
    return false;
}
static bool ending_above(int n) { // a delete ends nobody but its own
    bool ending = nodes[n].ending;
    for (; n >= 0; n = nodes[n].parent) {
        ending |= nodes[n].revoking;
    }
    return ending;
}
static cap_rights_t taken_above(int n) {
    cap_rights_t taken = nodes[n].parent < 0 ? nodes[n].taken & ~REGRANTED : nodes[n].taken;
    for (int above = nodes[n].parent; above >= 0; above = nodes[above].parent) {
        taken |= nodes[above].taken & ~REGRANTED;
    }
    return taken;
}
static cap_rights_t taking_above(int n) {
    cap_rights_t taking = 0;
    for (; n >= 0; n = nodes[n].parent) {
        taking |= nodes[n].taking;
    }
    return taking;
}
static cap_rights_t bound_of(int n) { return nodes[n].rights | (nodes[n].parent < 0 ? REGRANTED : 0); }
static bool is_below(int n, int above) {
    while (n >= 0 && n != above) {
        n = nodes[n].parent;
    }
    return n >= 0;
}

// --- the observer ---------------------------------------------------------------------------------------------------

// C3: who was inside when a slot was retired has left before the slot is used again.
static void watch_slots(void) {
    for (int a = 0; a < actor_count; a++) {
        bool inside = actors[a].seat != NULL && (atomic_load_relaxed_u64(&actors[a].seat->reclaim->announced) & 1) != 0;
        actors[a].stay += inside != ((actors[a].stay & 1) != 0);
    }
    for (uint64_t i = 1; i < WATCHED; i++) {
        uint64_t state = atomic_load_relaxed_u64(&table->view.entries[i].state);
        uint64_t before = watched[i].state;
        if (state == before) {
            continue;
        }
        watched[i].state = state;
        if (state != 0 && phase_of(state, i) == PHASE_RETIRED) {
            for (int a = 0; a < actor_count; a++) {
                // A child whose parent was closed was in no list: nobody can hold it.
                bool linked = phase_of(before, i) == PHASE_DEAD;
                watched[i].stays[a] = linked && (actors[a].stay & 1) != 0 ? actors[a].stay : 0;
            }
        } else if (generation_of(state) != generation_of(before)) {
            for (int a = 0; a < actor_count; a++) {
                if (watched[i].stays[a] != 0 && watched[i].stays[a] == actors[a].stay) {
                    violation("C3: slot %d is used again while actor %d is inside since its retirement", (int)i, a);
                }
            }
        }
    }
}

static void watch_nodes(void) {
    bool busy[NODES] = {false};
    for (int n = 0; n < node_count; n++) {
        bool lives = capability_check(table, nodes[n].id, 0);
        bool ended = ended_above(n);
        if (lives && ended) {
            violation("C1: node %d lives after its end", n);
        }
        if (!lives && !ending_above(n)) {
            violation("C3: node %d is gone, and nobody ended it", n);
        }
        if (nodes[n].parent >= 0 && lives) {
            busy[nodes[n].parent] = true;
        }
        busy[n] |= nodes[n].delegating > 0;
        capability_info_t info;
        if (capability_lookup(table, nodes[n].id, &info) != STATUS_OK) {
            continue;
        }
        cap_rights_t lacks = ~info.rights & nodes[n].rights & ~taking_above(n);
        if ((info.rights & (taken_above(n) | ~bound_of(n))) != 0 || lacks != 0) {
            violation("C2: node %d has rights %#llx, of %#llx", n, (unsigned long long)info.rights,
                      (unsigned long long)nodes[n].rights);
        }
    }
    for (int a = 0; a < actor_count; a++) {
        actors[a].had_child |= actors[a].deleting >= 0 && busy[actors[a].deleting];
    }
    capability_stats_t stats = capability_stats(table);
    if (stats.created < stats.deleted) {
        violation("C5: %d created, %d deleted", (int)stats.created, (int)stats.deleted);
    }
}

// What may pass, and what must: of the node alone.
static bool may_pass(int n, cap_rights_t need) {
    return n >= 0 && !ended_above(n) && (need & (taken_above(n) | ~bound_of(n))) == 0;
}
static bool must_pass(int n, cap_rights_t need) {
    return n >= 0 && !ending_above(n) && (need & (taking_above(n) | ~nodes[n].rights)) == 0;
}

// A column says of a place what the facts say of its node, at every moment; while it changes, of one of the two.
static void watch_column(const actor_t *actor) {
    for (unsigned place = 0; place < PLACES; place++) {
        int from = actor->placed[place], to = actor->placing[place];
        for (cap_rights_t need = 0; need <= 8; need = need == 0 ? 1 : need * 2) {
            bool passes = column_ask(actor->column, 0, (uint64_t)1 << place, need) != 0;
            if (passes && !may_pass(from, need) && !may_pass(to, need)) {
                violation("%s: a column lets node %d pass for %#llx", ended_above(from) ? "C1" : "C2", from,
                          (unsigned long long)need);
            }
            if (!passes && must_pass(from, need) && must_pass(to, need)) {
                violation("C6: a column does not let node %d pass for %#llx", from, (unsigned long long)need);
            }
        }
    }
}

static void observe(void) {
    actor_t *self = running;
    running = NULL;
    watch_slots();
    watch_nodes();
    for (int a = 0; a < actor_count; a++) {
        if (actors[a].column != NULL) {
            watch_column(&actors[a]);
        }
    }
    running = self;
}

// --- the schedule ---------------------------------------------------------------------------------------------------

static unsigned eagerness; // 0: by priorities; else one step in so many changes the actor
static int frozen;         // an actor that is stopped at `freeze_at` until the others have ended; -1: none
static unsigned freeze_at;
static unsigned profile;

static void switch_to(ucontext_t *from, ucontext_t *to, void *fiber) {
#if ATOMICS_MODEL_FENCES
    __tsan_switch_to_fiber(fiber, 0);
#endif
    (void)fiber;
    swapcontext(from, to);
}

void schedule_point(void) {
    actor_t *self = running;
    if (self == NULL) {
        return;
    }
    observe();
    if (++steps > STEPS_MAX) {
        violation("C4: the scripts do not end");
    }
    if (eagerness == 0 ? draw(24) == 0 : draw(eagerness) == 0) {
        self->priority = (unsigned)draw(1000);
        switch_to(&self->context, &scheduler, scheduler_fiber);
    }
}

void schedule_wait(void) {
    actor_t *self = running;
    if (self != NULL) {
        self->priority = 0;
        schedule_point();
        switch_to(&self->context, &scheduler, scheduler_fiber);
    }
}

static actor_t *choose(void) {
    actor_t *best = NULL;
    uint64_t ties = 0;
    for (int a = 0; a < actor_count; a++) {
        if (actors[a].done || (a == frozen && steps >= freeze_at)) {
            continue;
        }
        bool better = best == NULL || (eagerness == 0 && actors[a].priority > best->priority);
        if (better || (eagerness != 0 && draw(++ties + 1) == 0)) {
            best = &actors[a];
        }
    }
    if (best == NULL && frozen >= 0) {
        frozen = -1;
        return choose();
    }
    return best;
}

// --- the operations -------------------------------------------------------------------------------------------------

static int add_node(cap_id_t id, int parent, cap_rights_t rights) {
    nodes[node_count] = (node_t){.id = id, .parent = parent, .rights = rights};
    created++;
    return node_count++;
}

static void do_create(actor_t *self) {
    cap_rights_t rights = FOR_GOOD | REGRANTED | CAPABILITY_RIGHT_DELEGATE;
    cap_id_t id = CAPABILITY_NONE;
    if (capability_create(self->seat, 1, rights, &id) != STATUS_OK || node_count == NODES) {
        violation("C5: a create fails, or scripts are too long");
    }
    (void)add_node(id, -1, rights);
}

static void do_delegate(actor_t *self, int parent) {
    cap_rights_t rights = (nodes[parent].rights & draw(16)) | CAPABILITY_RIGHT_DELEGATE;
    cap_id_t id = CAPABILITY_NONE;
    bool ended = ended_above(parent);
    cap_rights_t taken = taken_above(parent);
    nodes[parent].delegating++;
    observe(); // so that a delete that begins or goes on now knows
    status_t status = capability_delegate(self->seat, nodes[parent].id, rights, &id);
    nodes[parent].delegating--;
    if (status == STATUS_OK && (ended || (rights & taken) != 0 || node_count == NODES)) {
        violation("%s: delegate from node %d succeeds", ended ? "C1" : "C2", parent);
    }
    if (status == STATUS_STALE ? !ending_above(parent)
                               : status == STATUS_DENIED && (rights & (taking_above(parent) | ~nodes[parent].rights)) == 0) {
        violation("C3: delegate from node %d is %s", parent, status_name(status));
    }
    note(self, DELEGATE, parent, (int)status);
    if (status == STATUS_OK) {
        (void)add_node(id, parent, rights);
    }
}

static void do_attenuate(actor_t *self, int n) {
    cap_rights_t drop = (cap_rights_t)1 << draw(4);
    int known = node_count;
    bool ended = ended_above(n);
    nodes[n].taking |= drop;
    status_t status = capability_attenuate(self->seat, nodes[n].id, drop);
    if (status == STATUS_OK ? ended : !ending_above(n)) {
        violation("C3: attenuate of node %d is %s", n, status_name(status));
    }
    for (int d = 0; status == STATUS_OK && d < known; d++) {
        nodes[d].taken |= is_below(d, n) ? drop : 0;
    }
    note(self, ATTENUATE, n, (int)status);
}

static void do_end(actor_t *self, kind_t kind, int n) {
    bool ended = ended_above(n);
    nodes[n].ending = true;
    nodes[n].revoking |= kind == REVOKE;
    self->deleting = n;
    self->had_child = false;
    status_t status = kind == REVOKE ? capability_revoke(self->seat, nodes[n].id) : capability_delete(self->seat, nodes[n].id);
    observe();
    self->deleting = -1;
    if ((status == STATUS_OK && ended) || (status == STATUS_BUSY && (kind == REVOKE || !self->had_child))) {
        violation("C1: %s of node %d is %s", kind_names[kind], n, status_name(status));
    }
    nodes[n].ended |= kind == REVOKE || status == STATUS_OK;
    note(self, kind, n, (int)status);
}

static void do_ask(actor_t *self, kind_t kind, int n) {
    bool ended = ended_above(n);
    cap_rights_t taken = taken_above(n);
    capability_info_t info = {.object = 1, .parent = nodes[n].parent < 0 ? 0 : nodes[nodes[n].parent].id};
    cap_id_t parent = info.parent;
    cap_rights_t need = (cap_rights_t)1 << draw(4);
    bool found = kind == CHECK ? capability_check(table, nodes[n].id, need)
                               : capability_lookup(table, nodes[n].id, &info) == STATUS_OK;
    if (found && (ended || (kind == CHECK && (need & (taken | ~bound_of(n))) != 0) || info.parent != parent || info.object != 1)) {
        violation("C3: %s of node %d answers for another", kind_names[kind], n);
    }
    cap_rights_t may_lack = kind == LOOKUP ? 0 : taking_above(n) | ~nodes[n].rights;
    if (!found && !ending_above(n) && (kind == LOOKUP || (need & may_lack) == 0)) {
        violation("C3: %s of node %d fails", kind_names[kind], n);
    }
    note(self, kind, n, found ? STATUS_OK : STATUS_STALE);
}

static void do_place(actor_t *self, int n) {
    unsigned place = (unsigned)draw(PLACES);
    bool ended = ended_above(n);
    n = draw(5) == 0 ? -1 : n;
    self->placing[place] = n;
    cap_id_t id = n < 0 ? CAPABILITY_NONE : nodes[n].id;
    status_t status = capability_column_set(self->seat, self->column, place, id);
    self->placed[place] = n;
    if (n >= 0 && (status == STATUS_STALE ? !ending_above(n) : ended)) {
        violation("C6: placing node %d is %s", n, status_name(status));
    }
    observe();
}

static void do_one(actor_t *self) {
    uint64_t total = 0;
    for (int k = 0; k < KINDS; k++) {
        total += profiles[profile][k];
    }
    uint64_t pick = draw(total);
    kind_t kind = DELEGATE;
    while (pick >= profiles[profile][kind]) {
        pick -= profiles[profile][kind++];
    }
    int n = (int)draw((uint64_t)node_count);
    if (profile == SWEEPS && (kind == DELEGATE || n == 0)) { // children of the first root
        n = kind == DELEGATE ? 0 : node_count - 1;
    }
    if (profile == COLUMNS && draw(4) != 0) { // all at one
        n = 0;
    }
    note(self, kind, n, -1);
    switch (kind) {
    case DELEGATE: do_delegate(self, n); break;
    case REVOKE:
    case DELETE: do_end(self, kind, n); break;
    case ATTENUATE: do_attenuate(self, n); break;
    case GRANT: {
        bool ended = ended_above(n);
        status_t status = capability_grant(self->seat, nodes[n].id, REGRANTED);
        if (status == STATUS_OK && (ended || nodes[n].parent >= 0)) {
            violation("C2: grant to node %d succeeds", n);
        }
        break;
    }
    case CREATE: do_create(self); break;
    case POLL: reclaim_poll(self->seat->reclaim); break;
    case REJOIN: {
        capability_thread_t *seat = self->seat;
        capability_thread_leave(seat);
        if (capability_thread_join(table, &self->seat) != STATUS_OK) {
            violation("C5: no seat");
        }
        break;
    }
    case CHECK:
    case LOOKUP: do_ask(self, kind, n); break;
    case PLACE: do_place(self, n); break;
    case KINDS: break;
    }
}

static void act(void) {
    actor_t *self = running;
    for (int i = 0; i < self->operations; i++) {
        do_one(self);
        observe();
    }
    self->done = true;
    switch_to(&self->context, &scheduler, scheduler_fiber);
}

// --- one schedule ---------------------------------------------------------------------------------------------------

// When all is quiet, the list of a capability that lives holds its own children, and none that was taken out of use.
static void look_at_lists(void) {
    for (int n = 0; n < node_count; n++) {
        if (!capability_check(table, nodes[n].id, 0)) {
            continue;
        }
        uint64_t at = atomic_load_relaxed_u64(&table->slots[index_of(nodes[n].id)].children);
        for (; at != 0; at = atomic_load_relaxed_u32(&table->slots[at].next)) {
            bool own = atomic_load_relaxed_u64(&table->slots[at].parent) == nodes[n].id;
            if (!own || phase_of(atomic_load_relaxed_u64(&table->view.entries[at].state), at) == PHASE_RETIRED) {
                violation("C3: slot %d is in the list of node %d, and out of use", (int)at, n);
            }
        }
    }
}

// C2 and C5 when all is quiet; then all is revoked, and nothing may be left.
static void settle(capability_thread_t *self) {
    look_at_lists();
    for (int pass = 0; pass < 2; pass++) {
        capability_settle(self);
        capability_audit_t audit = capability_audit(table);
        capability_stats_t stats = capability_stats(table);
        bool balanced = stats.created == created && created == audit.live + stats.deleted;
        bool whole = audit.slots == audit.live + audit.free + audit.linked + audit.worn && audit.retired == 0;
        if (!balanced || !whole || audit.orphans + audit.excesses != 0 || (pass == 1 && audit.live + audit.linked != 0)) {
            violation("C5: pass %d: %d made, %d created, %d deleted, %d live, %d slots, %d free, %d linked, %d retired, %d orphans, "
                      "%d excesses", pass, (int)created, (int)stats.created, (int)stats.deleted, (int)audit.live,
                      (int)audit.slots, (int)audit.free, (int)audit.linked, (int)audit.retired, (int)audit.orphans,
                      (int)audit.excesses);
        }
        for (int n = 0; pass == 0 && n < node_count; n++) {
            if (nodes[n].parent < 0) {
                (void)capability_revoke(self, nodes[n].id);
            }
        }
    }
}

static void prepare(void) {
    memset(nodes, 0, sizeof nodes);
    memset(watched, 0, sizeof watched);
    node_count = 0;
    created = 0;
    steps = 0;
    events = 0;
    capability_config_t config = {.capacity = 1024, .first_generation = draw(8) == 0 ? GENERATION_MAX - draw(3) : 0};
    if (capability_table_create(&config, &table) != STATUS_OK) {
        violation("C5: no table");
    }
    actor_count = 2 + (int)draw(ACTORS - 1);
    static const unsigned eager[] = {0, 0, 2, 6, 20};
    eagerness = eager[draw(5)];
    profile = (unsigned)draw(sizeof profiles / sizeof *profiles);
    frozen = draw(3) == 0 ? (int)draw((uint64_t)actor_count) : -1;
    freeze_at = (unsigned)draw(150);
    for (int a = 0; a < actor_count; a++) {
        actor_t *actor = &actors[a];
        actor->done = false;
        actor->deleting = -1;
        actor->stay = 0;
        actor->operations = 1 + (int)draw(actor_count == 2 ? SCRIPT : SCRIPT - 2);
        actor->priority = (unsigned)draw(1000);
        (void)capability_thread_join(table, &actor->seat);
        actor->column = NULL;
        for (int place = 0; place < PLACES; place++) {
            actor->placed[place] = actor->placing[place] = -1;
        }
        if (profile == COLUMNS && capability_column_create(table, PLACES, &actor->column) != STATUS_OK) {
            violation("C5: no column");
        }
        getcontext(&actor->context);
#if ATOMICS_MODEL_FENCES
        actor->fiber = __tsan_create_fiber(0);
        scheduler_fiber = __tsan_get_current_fiber();
#endif
        actor->context.uc_stack.ss_sp = actor->stack;
        actor->context.uc_stack.ss_size = STACK;
        makecontext(&actor->context, act, 0);
    }
    do_create(&actors[0]);
    for (uint64_t i = draw(5); i > 0; i--) {
        do_delegate(&actors[draw((uint64_t)actor_count)], profile == SWEEPS ? 0 : (int)draw((uint64_t)node_count));
    }
}

static void stalled(int signal_number) {
    (void)signal_number;
    violation("C4: a schedule does not end");
}

static void run_schedule(void) {
    alarm(5);
    random_state = seed * 0x9e3779b97f4a7c15u | 1;
    (void)draw(2);
    prepare();
    for (actor_t *next = choose(); next != NULL; next = choose()) {
        running = next;
        switch_to(&scheduler, &next->context, next->fiber);
        running = NULL;
    }
    for (int a = 0; a < actor_count; a++) {
#if ATOMICS_MODEL_FENCES
        __tsan_destroy_fiber(actors[a].fiber);
#endif
        if (actors[a].column != NULL) {
            capability_column_destroy(actors[a].seat, actors[a].column);
            actors[a].column = NULL;
        }
        if (a > 0) {
            capability_thread_leave(actors[a].seat);
        }
    }
    settle(actors[0].seat);
    capability_thread_leave(actors[0].seat);
    capability_table_destroy(table);
}

int main(int count, char **arguments) {
    double seconds = count > 1 ? strtod(arguments[1], NULL) : 4;
    seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    for (int a = 0; a < ACTORS; a++) {
        actors[a].stack = malloc(STACK);
    }
    signal(SIGALRM, stalled);
    struct timespec now, begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    uint64_t first = seed;
    do {
        run_schedule();
        seed++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9 < seconds);
    for (int a = 0; a < ACTORS; a++) {
        free(actors[a].stack);
    }
    printf("ok schedules: %llu from seed %llu\n", (unsigned long long)(seed - first), (unsigned long long)first);
    return 0;
}
