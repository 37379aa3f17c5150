// The capability table under the explorer, with an observer between any two steps: two to four threads change one small tree. What the
// table shows is held against the facts at every moment; what a thread is told, against what it may know.
//
// The kernel's batches are made small here, so that slots come back, lists are swept and threads stop half-way within a few steps.
#include "watched.h"

#define SEATS_MOST 6u
#include "capability_sources.h"

#include "table_facts.h"

enum { PLACES = 2, WATCHED = 64, SEATS = EXPLORE_THREADS, SCRIPT_LONGEST = 6, NOBODY_ENDS = -1 };

typedef enum { DELEGATE, REVOKE, DELETE, ATTENUATE, GRANT, CREATE, POLL, REJOIN, CHECK, LOOKUP, PLACE, KINDS } kind_t;
static const unsigned mixes[][KINDS] = {
    [0] = {5, 4, 4, 2, 1, 3, 4, 1, 2, 1, 0}, // everything
    [1] = {8, 3, 8, 1, 0, 0, 1, 0, 1, 0, 0}, // long lists, and who sweeps them
    [2] = {2, 6, 2, 1, 0, 6, 9, 0, 4, 2, 0}, // slots that come back
    [3] = {2, 5, 1, 0, 0, 3, 5, 7, 0, 0, 0}, // seats that change hands
    [4] = {1, 3, 1, 5, 2, 0, 1, 0, 0, 0, 9}, // columns
};
enum { EVERYTHING, SWEEPS, SLOTS, HANDS, COLUMNS };

typedef struct actor {
    capability_thread_t *seat;
    int ends; // the node that it ends now, or nobody
    bool had_child;
    capability_column_t *column; // its own, of PLACES; NULL: none in this scenario
    int placed[PLACES];          // the node in each place; ROOT: none
    int placing[PLACES];         // the node that is being put there instead, or the same
    uint64_t stay;               // counts its stays inside; odd: inside, and announced to everybody
    unsigned fences_before;      // of it, when it announced itself
    bool announced;
} actor_t;

static actor_t actors[SEATS];
static unsigned actor_count;
static unsigned mix;
static capability_table_t *table;
static atomic_u64_t *mail; // what threads tell one another goes through here
static struct { uint64_t state, stays[SEATS]; } watched[WATCHED]; // a slot, and who was inside when it was retired

// --- the observer ---------------------------------------------------------------------------------------------------

static void watch_stay(unsigned a) {
    actor_t *actor = &actors[a];
    bool announced = actor->seat != NULL && (atomic_load_relaxed_u64(&actor->seat->reclaim->announced) & 1) != 0;
    if (announced && !actor->announced) {
        actor->fences_before = watch_fences[a];
    }
    actor->announced = announced;
    bool inside = announced && watch_fences[a] != actor->fences_before;
    actor->stay += inside != ((actor->stay & 1) != 0);
}

// C3: who was inside when a slot was retired has left before the slot is used again.
static void watch_slots(void) {
    for (uint64_t i = 1; i < WATCHED; i++) {
        uint64_t state = atomic_load_relaxed_u64(&table->view.entries[i].state), before = watched[i].state;
        if (state == before) {
            continue;
        }
        watched[i].state = state;
        bool reused = generation_of(state) != generation_of(before);
        for (unsigned a = 0; a < actor_count; a++) {
            if (state != 0 && phase_of(state, i) == PHASE_RETIRED) {
                // A child whose parent was closed was in no list: nobody can hold it.
                bool linked = phase_of(before, i) == PHASE_DEAD;
                watched[i].stays[a] = linked && (actors[a].stay & 1) != 0 ? actors[a].stay : 0;
            } else if (reused) {
                EXPLORE_EXPECT(watched[i].stays[a] == 0 || watched[i].stays[a] != actors[a].stay, "C3: used again too early");
            }
        }
    }
}

static void watch_nodes(void) {
    bool busy[NODES] = {false};
    for (int n = 0; n < node_count; n++) {
        capability_info_t info = {0};
        bool lives = capability_lookup(table, nodes[n].id, &info) == STATUS_OK;
        EXPLORE_EXPECT(!(lives && ended_above(n)), "C1: it lives after its end");
        EXPLORE_EXPECT(lives || ending_above(n), "C3: it is gone, and nobody ended it");
        if (nodes[n].parent != ROOT && lives) {
            busy[nodes[n].parent] = true;
        }
        busy[n] |= nodes[n].delegating > 0;
        if (lives) {
            EXPLORE_EXPECT((info.rights & (taken_above(n) | ~bound_of(n))) == 0, "C2: it has too many rights");
            EXPLORE_EXPECT((nodes[n].rights & ~info.rights & ~taking_above(n)) == 0, "C2: it lacks rights");
        }
    }
    for (unsigned a = 0; a < actor_count; a++) {
        actors[a].had_child |= actors[a].ends != NOBODY_ENDS && busy[actors[a].ends];
    }
    capability_stats_t stats = capability_stats(table);
    EXPLORE_EXPECT(stats.created >= stats.deleted, "C5");
}

// A column says of a place what the facts say of its node, at every moment; while it changes, of one of the two.
static void watch_column(const actor_t *actor) {
    for (unsigned place = 0; place < PLACES; place++) {
        int from = actor->placed[place], to = actor->placing[place];
        for (cap_rights_t need = 0; need <= 8; need = need == 0 ? 1 : need * 2) {
            bool passes = column_ask(actor->column, 0, (uint64_t)1 << place, need) != 0;
            EXPLORE_EXPECT(!passes || may_pass(from, need) || may_pass(to, need), "C1, C2: a column lets it pass");
            EXPLORE_EXPECT(passes || !must_pass(from, need) || !must_pass(to, need), "C6: a column does not let it pass");
        }
    }
}

static void watch(void) {
    for (unsigned a = 0; a < actor_count; a++) {
        watch_stay(a);
    }
    watch_slots();
    watch_nodes();
    for (unsigned a = 0; a < actor_count; a++) {
        if (actors[a].column != NULL) {
            watch_column(&actors[a]);
        }
    }
}

// --- the operations -------------------------------------------------------------------------------------------------

static void do_create(const actor_t *self) {
    cap_rights_t rights = FOR_GOOD | REGRANTED | CAPABILITY_RIGHT_DELEGATE;
    cap_id_t id = CAPABILITY_NONE;
    EXPLORE_EXPECT(capability_create(self->seat, 7, rights, &id) == STATUS_OK, "C5");
    (void)add_node(id, ROOT, rights);
}

// Who is told that it has ended finds it ended.
static void expect_stale(int n) { EXPLORE_EXPECT(!capability_check(table, nodes[n].id, 0), "C1: it is told to have ended, and has not"); }

static void do_delegate(const actor_t *self, int parent) {
    cap_rights_t rights = (nodes[parent].rights & explore_draw(16)) | CAPABILITY_RIGHT_DELEGATE;
    cap_id_t id = CAPABILITY_NONE;
    bool ended = ended_above(parent);
    cap_rights_t taken = taken_above(parent);
    nodes[parent].delegating++;
    for (unsigned a = 0; a < actor_count; a++) { // a delete that goes on now may find it
        actors[a].had_child |= actors[a].ends == parent;
    }
    status_t status = capability_delegate(self->seat, nodes[parent].id, rights, &id);
    nodes[parent].delegating--;
    EXPLORE_EXPECT(status != STATUS_OK || !ended, "C1: it delegates after its end");
    EXPLORE_EXPECT(status != STATUS_OK || (rights & taken) == 0, "C2: it delegates what was taken");
    EXPLORE_EXPECT(status != STATUS_STALE || ending_above(parent), "C3: it does not delegate");
    bool may_lack = (rights & (taking_above(parent) | ~nodes[parent].rights)) != 0;
    EXPLORE_EXPECT(status != STATUS_DENIED || may_lack, "C3: it does not delegate what it has");
    if (status == STATUS_OK) {
        (void)add_node(id, parent, rights);
    } else if (status == STATUS_STALE) {
        expect_stale(parent);
    }
}

static void do_attenuate(const actor_t *self, int n) {
    unsigned right = (unsigned)explore_draw(RIGHTS_TAKEN_MAX);
    int known = node_count;
    bool ended = known_to_have_ended(n);
    nodes[n].taking |= (cap_rights_t)1 << right;
    status_t status = capability_attenuate(self->seat, nodes[n].id, (cap_rights_t)1 << right);
    EXPLORE_EXPECT(status == STATUS_OK ? !ended : ending_above(n), "C3: attenuate");
    if (status == STATUS_OK) {
        note_taken(n, right, known);
    } else {
        expect_stale(n);
    }
}

static void do_grant(const actor_t *self, int n) {
    bool ended = known_to_have_ended(n);
    status_t status = capability_grant(self->seat, nodes[n].id, REGRANTED);
    EXPLORE_EXPECT(status != STATUS_OK || (!ended && nodes[n].parent == ROOT), "C2: grant");
}

// Whether a child may still look alive to the running thread.
static bool may_find_a_child(int n) {
    for (int child = 0; child < node_count; child++) {
        if (nodes[child].parent == n && !known_to_have_ended(child)) {
            return true;
        }
    }
    return nodes[n].delegating > 0;
}

static void do_end(actor_t *self, bool all, int n) {
    bool ended = ended_above(n);
    nodes[n].ending = true;
    nodes[n].revoking |= all;
    self->had_child = may_find_a_child(n);
    self->ends = n;
    status_t status = all ? capability_revoke(self->seat, nodes[n].id) : capability_delete(self->seat, nodes[n].id);
    self->ends = NOBODY_ENDS;
    EXPLORE_EXPECT(status != STATUS_OK || !ended, "C1: it ends twice");
    EXPLORE_EXPECT(status != STATUS_BUSY || (!all && self->had_child), "C1: it does not end");
    if (all || status != STATUS_BUSY) {
        expect_stale(n);
    }
    if (all || status == STATUS_OK) {
        nodes[n].ended = true;
        nodes[n].over = explore_now();
        nodes[n].over_all = explore_now();
    }
}

static void do_ask(bool check, int n) {
    bool ended = known_to_have_ended(n);
    cap_rights_t need = (cap_rights_t)1 << explore_draw(RIGHTS_TAKEN_MAX), taken = known_to_be_taken(n);
    cap_id_t parent = nodes[n].parent == ROOT ? CAPABILITY_NONE : nodes[nodes[n].parent].id;
    capability_info_t info = {.object = 7, .parent = parent};
    bool found = check ? capability_check(table, nodes[n].id, need) : capability_lookup(table, nodes[n].id, &info) == STATUS_OK;
    EXPLORE_EXPECT(!found || !ended, "C1: an answer after the end");
    EXPLORE_EXPECT(!found || !check || (need & (taken | ~bound_of(n))) == 0, "C2: a right that it has not");
    EXPLORE_EXPECT(!found || (info.parent == parent && info.object == 7), "C3: an answer for another");
    cap_rights_t may_lack = check ? taking_above(n) | ~nodes[n].rights : 0;
    EXPLORE_EXPECT(found || ending_above(n) || (check && (need & may_lack) != 0), "C3: no answer");
}

// What the own column says, by the thread itself; and the accounts.
static void do_ask_else(const actor_t *self) {
    capability_stats_t stats = capability_stats(table);
    EXPLORE_EXPECT(stats.created >= stats.deleted, "C5: deleted before it was created");
    for (unsigned place = 0; self->column != NULL && place < PLACES; place++) {
        int n = self->placed[place];
        cap_rights_t need = (cap_rights_t)1 << explore_draw(RIGHTS_TAKEN_MAX);
        bool over = known_to_have_ended(n), lacks = n != ROOT && (need & (known_to_be_taken(n) | ~bound_of(n))) != 0;
        bool passes = column_ask(self->column, 0, (uint64_t)1 << place, need) != 0;
        EXPLORE_EXPECT(!passes || (n != ROOT && !over && !lacks), "C1, C2: a column lets it pass");
    }
}

static void do_place(actor_t *self, int n) {
    unsigned place = (unsigned)explore_draw(PLACES);
    bool ended = ended_above(n);
    n = explore_draw(5) == 0 ? ROOT : n;
    self->placing[place] = n;
    status_t status = capability_column_set(self->seat, self->column, place, n == ROOT ? CAPABILITY_NONE : nodes[n].id);
    self->placed[place] = n;
    EXPLORE_EXPECT(n == ROOT || (status == STATUS_STALE ? ending_above(n) : !ended), "C6: a place is taken");
}

static int pick_node(kind_t kind) {
    int n = pick_known();
    if (mix == SWEEPS && kind == DELEGATE) { // children of the first root
        return 0;
    }
    if (mix == SWEEPS && n == 0 && explore_happened(nodes[node_count - 1].born)) {
        return node_count - 1;
    }
    return mix == COLUMNS && explore_draw(4) != 0 ? 0 : n; // all at one
}

static void do_one(actor_t *self) {
    unsigned total = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        total += mixes[mix][kind];
    }
    uint64_t left = explore_draw(total);
    kind_t kind = DELEGATE;
    while (left >= mixes[mix][kind]) {
        left -= mixes[mix][kind++];
    }
    int n = pick_node(kind);
    switch (kind) {
    case DELEGATE: do_delegate(self, n); break;
    case REVOKE:
    case DELETE: do_end(self, kind == REVOKE, n); break;
    case ATTENUATE: do_attenuate(self, n); break;
    case GRANT: do_grant(self, n); break;
    case CREATE: do_create(self); break;
    case POLL: reclaim_poll(self->seat->reclaim); break;
    case REJOIN: {
        capability_thread_t *seat = self->seat;
        self->seat = NULL;
        capability_thread_leave(seat);
        EXPLORE_EXPECT(capability_thread_join(table, &self->seat) == STATUS_OK, "C5");
        break;
    }
    case CHECK:
    case LOOKUP: do_ask(kind == CHECK, n); break;
    case PLACE: do_place(self, n); break;
    case KINDS: break;
    }
}

// --- one run --------------------------------------------------------------------------------------------------------

static void set_up(unsigned threads, unsigned which) {
    capability_config_t config = {.capacity = 1024, .first_generation = explore_draw(8) == 0 ? GENERATION_MAX - explore_draw(3) : 0};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5");
    mail = shared_alloc(sizeof *mail);
    memset(watched, 0, sizeof watched);
    node_count = 0;
    created = 0;
    actor_count = threads;
    mix = which;
    for (unsigned a = 0; a < actor_count; a++) {
        actors[a] = (actor_t){.ends = NOBODY_ENDS, .placed = {ROOT, ROOT}, .placing = {ROOT, ROOT}};
        EXPLORE_EXPECT(capability_thread_join(table, &actors[a].seat) == STATUS_OK, "C5");
    }
    do_create(&actors[0]);
    for (uint64_t left = explore_draw(5); left > 0; left--) {
        do_delegate(&actors[explore_draw(actor_count)], mix == SWEEPS ? 0 : (int)explore_draw((uint64_t)node_count));
    }
    watch_begin(threads);
}
static void set_up_everything(void) { set_up(2, EVERYTHING); }
static void set_up_everything_four(void) { set_up(4, EVERYTHING); }
static void set_up_sweeps(void) { set_up(3, SWEEPS); }
static void set_up_slots(void) { set_up(3, SLOTS); }
static void set_up_hands(void) { set_up(3, HANDS); }
static void set_up_columns(void) { set_up(3, COLUMNS); }

static void run(unsigned thread) {
    actor_t *self = &actors[thread];
    uint64_t longest = actor_count == 2 ? SCRIPT_LONGEST : SCRIPT_LONGEST - 2;
    capability_column_t *column = NULL;
    if (mix == COLUMNS) {
        EXPLORE_EXPECT(capability_column_create(table, PLACES, &column) == STATUS_OK, "C5");
        self->column = column;
    }
    for (uint64_t left = 1 + explore_draw(longest); left > 0; left--) {
        if (explore_draw(2) == 0) { // hears what others have told
            (void)atomic_load_acquire_u64(mail);
        }
        do_one(self);
        if (explore_draw(4) == 0) {
            do_ask_else(self);
        }
        if (explore_draw(2) == 0) { // tells
            (void)atomic_fetch_add_acq_rel_u64(mail, 1);
        }
    }
    self->column = NULL;
    if (column != NULL) {
        capability_column_destroy(self->seat, column);
    }
}

// When all is quiet, the list of a capability that lives holds its own children, and none that was taken out of use.
static void look_at_lists(void) {
    for (int n = 0; n < node_count; n++) {
        if (!capability_check(table, nodes[n].id, 0)) {
            continue;
        }
        uint64_t at = atomic_load_relaxed_u64(&table->slots[index_of(nodes[n].id)].children);
        for (; at != 0; at = atomic_load_relaxed_u32(&table->slots[at].next)) {
            EXPLORE_EXPECT(atomic_load_relaxed_u64(&table->slots[at].parent) == nodes[n].id, "C3: another's child");
            uint64_t state = atomic_load_relaxed_u64(&table->view.entries[at].state);
            EXPLORE_EXPECT(phase_of(state, at) != PHASE_RETIRED, "C3: out of use, and in a list");
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
        EXPLORE_EXPECT(stats.created == created && created == audit.live + stats.deleted, "C5: counts");
        EXPLORE_EXPECT(audit.slots == audit.live + audit.free + audit.linked + audit.worn && audit.retired == 0, "C5: slots");
        EXPLORE_EXPECT(audit.orphans == 0, "C1");
        EXPLORE_EXPECT(audit.excesses == 0, "C2");
        EXPLORE_EXPECT(pass == 0 || audit.live + audit.linked == 0, "C5: something is left");
        for (int n = 0; pass == 0 && n < node_count; n++) {
            (void)capability_revoke(self, nodes[n].id);
        }
    }
}

static void finish(void) {
    watch_end();
    for (unsigned a = actor_count; a-- > 1;) {
        capability_thread_leave(actors[a].seat);
    }
    settle(actors[0].seat);
    capability_thread_leave(actors[0].seat);
    capability_table_destroy(table);
    shared_free(mail);
}

static const explore_scenario_t scenarios[] = {
    {"table_two", 2, set_up_everything, run, finish},   {"table_four", 4, set_up_everything_four, run, finish},
    {"table_sweeps", 3, set_up_sweeps, run, finish},    {"table_slots", 3, set_up_slots, run, finish},
    {"table_hands", 3, set_up_hands, run, finish},      {"table_columns", 3, set_up_columns, run, finish},
};
EXPLORE_SCENARIOS("capability", "C1,C2,C3,C5,C6", scenarios)
