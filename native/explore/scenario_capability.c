// The capability table under the explorer: threads change one small tree and ask about it. What was done is expected of who knows it: where
// the end of a revoke happened before a check, the check fails; where a capability's birth did, and nobody has begun to end it, it succeeds.
#include "atomics.h"
#include "capability_sources.h"
#include "explore.h"

enum { NODES = 24, ROOT = -1 };
#define RIGHTS ((cap_rights_t)15)

typedef struct node {
    cap_id_t id;
    int parent;
    cap_rights_t rights;
    explore_moment_t born, ended; // ended: with all below it, where `whole`
    bool whole, ending, ending_all;
    cap_rights_t taking;
    struct { explore_moment_t when; cap_rights_t rights; } taken; // the last
} node_t;

static capability_table_t *table;
static atomic_u64_t *mail; // what threads tell one another goes through here
static node_t nodes[NODES];
static int node_count;
static uint64_t created;

static int add_node(cap_id_t id, int parent, cap_rights_t rights) {
    EXPLORE_EXPECT(node_count < NODES, "a scenario's limit");
    nodes[node_count] = (node_t){.id = id, .parent = parent, .rights = rights, .born = explore_now()};
    created++;
    return node_count++;
}

static bool is_known_to_have_ended(int n) {
    bool ended = explore_happened(nodes[n].ended);
    for (int above = nodes[n].parent; above != ROOT; above = nodes[above].parent) {
        ended |= nodes[above].whole && explore_happened(nodes[above].ended);
    }
    return ended;
}
static bool is_ending(int n) {
    bool ending = nodes[n].ending;
    for (int above = nodes[n].parent; above != ROOT; above = nodes[above].parent) {
        ending |= nodes[above].ending_all;
    }
    return ending;
}
static cap_rights_t known_to_be_taken(int n) { // what was taken above after n was born, or from n itself
    cap_rights_t taken = 0;
    for (int above = n; above != ROOT; above = nodes[above].parent) {
        taken |= explore_happened(nodes[above].taken.when) ? nodes[above].taken.rights : 0;
    }
    return taken;
}
static cap_rights_t being_taken(int n) {
    cap_rights_t taking = 0;
    for (int above = n; above != ROOT; above = nodes[above].parent) {
        taking |= nodes[above].taking;
    }
    return taking;
}

// A node whose birth the running thread knows of.
static int pick(void) {
    int n = (int)explore_draw((uint64_t)node_count);
    while (!explore_happened(nodes[n].born)) {
        n--; // the first is everybody's
    }
    return n;
}

static void do_check(int n) {
    cap_rights_t need = explore_draw(3) == 0 ? 0 : (cap_rights_t)1 << explore_draw(4);
    bool ended = is_known_to_have_ended(n);
    cap_rights_t lacks = known_to_be_taken(n) | ~nodes[n].rights;
    bool found = capability_check(table, nodes[n].id, need);
    EXPLORE_EXPECT(!(found && ended), "C1");
    EXPLORE_EXPECT(!(found && (need & lacks) != 0), "C2");
    EXPLORE_EXPECT(found || is_ending(n) || (need & (being_taken(n) | ~nodes[n].rights)) != 0, "C3");
}

static void do_lookup(int n) {
    capability_info_t info = {0};
    bool ended = is_known_to_have_ended(n);
    bool found = capability_lookup(table, nodes[n].id, &info) == STATUS_OK;
    cap_id_t parent = nodes[n].parent == ROOT ? CAPABILITY_NONE : nodes[nodes[n].parent].id;
    EXPLORE_EXPECT(!(found && ended), "C1");
    EXPLORE_EXPECT(found || is_ending(n), "C3");
    EXPLORE_EXPECT(!found || (info.object == 7 && info.parent == parent), "C3");
    EXPLORE_EXPECT(!found || (info.rights & ~nodes[n].rights) == 0, "C2");
}

static void do_delegate(capability_thread_t *self, int parent) {
    cap_rights_t rights = (nodes[parent].rights & explore_draw(16)) | CAPABILITY_RIGHT_DELEGATE;
    bool ended = is_known_to_have_ended(parent);
    cap_rights_t taken = known_to_be_taken(parent);
    cap_id_t id = CAPABILITY_NONE;
    if (node_count > NODES - (int)EXPLORE_THREADS || capability_delegate(self, nodes[parent].id, rights, &id) != STATUS_OK) {
        return;
    }
    EXPLORE_EXPECT(!ended, "C1");
    EXPLORE_EXPECT((rights & taken) == 0, "C2");
    (void)add_node(id, parent, rights);
}

static void do_end(capability_thread_t *self, int n, bool all) {
    bool ended = is_known_to_have_ended(n);
    nodes[n].ending = true;
    nodes[n].ending_all |= all;
    status_t status = all ? capability_revoke(self, nodes[n].id) : capability_delete(self, nodes[n].id);
    EXPLORE_EXPECT(!(status == STATUS_OK && ended), "C1");
    if (status == STATUS_OK) {
        nodes[n].ended = explore_now();
        nodes[n].whole = all;
    }
}

static void do_attenuate(capability_thread_t *self, int n) {
    cap_rights_t drop = (cap_rights_t)1 << explore_draw(4);
    nodes[n].taking |= drop;
    if (capability_attenuate(self, nodes[n].id, drop) == STATUS_OK) {
        nodes[n].taken.rights = drop;
        nodes[n].taken.when = explore_now();
    }
}

static void set_up(void) {
    node_count = 0;
    created = 0;
    mail = shared_alloc(sizeof *mail);
    capability_config_t config = {.capacity = 1024, .first_generation = explore_draw(8) == 0 ? GENERATION_MAX - explore_draw(3) : 0};
    EXPLORE_EXPECT(capability_table_create(&config, &table) == STATUS_OK, "C5");
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    cap_rights_t rights = RIGHTS | CAPABILITY_RIGHT_DELEGATE;
    cap_id_t id = CAPABILITY_NONE;
    EXPLORE_EXPECT(capability_create(self, 7, rights, &id) == STATUS_OK, "C5");
    (void)add_node(id, ROOT, rights);
    for (uint64_t left = explore_draw(4); left > 0; left--) {
        do_delegate(self, (int)explore_draw((uint64_t)node_count));
    }
    capability_thread_leave(self);
}

static void run(unsigned thread) {
    (void)thread;
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    for (uint64_t left = 1 + explore_draw(5); left > 0; left--) {
        if (explore_draw(2) == 0) { // hears what others have told
            (void)atomic_load_acquire_u64(mail);
        }
        switch (explore_draw(16)) {
        case 0:
        case 1:
        case 2: do_delegate(self, pick()); break;
        case 3:
        case 4: do_end(self, pick(), true); break;
        case 5: do_end(self, pick(), false); break;
        case 6: do_attenuate(self, pick()); break;
        case 7: do_lookup(pick()); break;
        case 8:
        case 9: reclaim_poll(self->reclaim); break;
        case 10: {
            cap_id_t id = CAPABILITY_NONE;
            if (node_count <= NODES - (int)EXPLORE_THREADS) {
                EXPLORE_EXPECT(capability_create(self, 7, RIGHTS, &id) == STATUS_OK, "C5");
                (void)add_node(id, ROOT, RIGHTS);
            }
            break;
        }
        default: do_check(pick()); break;
        }
        if (explore_draw(2) == 0) { // tells
            (void)atomic_fetch_add_acq_rel_u64(mail, 1);
        }
    }
    capability_thread_leave(self);
}

static void finish(void) {
    capability_thread_t *self = NULL;
    EXPLORE_EXPECT(capability_thread_join(table, &self) == STATUS_OK, "C5");
    for (int n = 0; n < node_count; n++) {
        do_check(n);
    }
    for (int pass = 0; pass < 2; pass++) {
        capability_settle(self);
        capability_audit_t audit = capability_audit(table);
        capability_stats_t stats = capability_stats(table);
        EXPLORE_EXPECT(stats.created == created && created == audit.live + stats.deleted, "C5");
        EXPLORE_EXPECT(audit.slots == audit.live + audit.free + audit.linked + audit.worn && audit.retired == 0, "C5");
        EXPLORE_EXPECT(audit.orphans == 0, "C1");
        EXPLORE_EXPECT(audit.excesses == 0, "C2");
        EXPLORE_EXPECT(pass == 0 || audit.live + audit.linked == 0, "C5");
        for (int n = 0; n < node_count; n++) {
            (void)capability_revoke(self, nodes[n].id);
        }
    }
    capability_thread_leave(self);
    capability_table_destroy(table);
    shared_free(mail);
}

static const explore_scenario_t scenarios[] = {
    {"capability_two", 2, set_up, run, finish},
    {"capability_three", 3, set_up, run, finish},
};
EXPLORE_SCENARIOS("capability", "C1,C2,C3,C5", scenarios)
