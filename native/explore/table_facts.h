// What is known of a small tree of capabilities that threads change, under watched.h: of a node's end and of rights taken, once as it
// went (what the observer sees), and once as moments (what a thread may be asked about that need not have heard of it).
#pragma once

#include "../kernel/capability_layout.h"
#include "explore.h"

enum { NODES = 32, ROOT = -1, RIGHTS_TAKEN_MAX = 4 };
#define REGRANTED ((cap_rights_t)3)
#define FOR_GOOD ((cap_rights_t)12)

typedef struct node {
    cap_id_t id;
    int parent; // ROOT: none
    cap_rights_t rights;
    explore_moment_t born;
    bool ending, ended;                  // before the call, and after it
    bool revoking;                       // ending all below, too
    explore_moment_t over, over_all;     // of a call that ended it; and all below
    cap_rights_t taking, taken;          // before the call, and after it
    explore_moment_t took[RIGHTS_TAKEN_MAX]; // when each of the lower rights was taken for the last time
    int delegating;                      // calls in progress
} node_t;

static node_t nodes[NODES];
static int node_count;
static uint64_t created;

static int add_node(cap_id_t id, int parent, cap_rights_t rights) {
    EXPLORE_EXPECT(node_count < NODES, "a scenario's limit");
    nodes[node_count] = (node_t){.id = id, .parent = parent, .rights = rights, .born = explore_now()};
    created++;
    return node_count++;
}

static bool ended_above(int n) {
    for (; n != ROOT; n = nodes[n].parent) {
        if (nodes[n].ended) {
            return true;
        }
    }
    return false;
}
static bool known_to_have_ended(int n) { // by the running thread
    bool known = n != ROOT && explore_happened(nodes[n].over);
    for (; n != ROOT; n = nodes[n].parent) {
        known |= explore_happened(nodes[n].over_all);
    }
    return known;
}
static bool ending_above(int n) { // a delete ends nobody but its own
    bool ending = n != ROOT && nodes[n].ending;
    for (; n != ROOT; n = nodes[n].parent) {
        ending |= nodes[n].revoking;
    }
    return ending;
}
static cap_rights_t taken_above(int n) {
    cap_rights_t taken = nodes[n].parent == ROOT ? nodes[n].taken & ~REGRANTED : nodes[n].taken;
    for (int above = nodes[n].parent; above != ROOT; above = nodes[above].parent) {
        taken |= nodes[above].taken & ~REGRANTED;
    }
    return taken;
}
static cap_rights_t known_to_be_taken(int n) { // by the running thread, and by calls that began after n was born
    cap_rights_t known = 0;
    for (unsigned right = 0; right < RIGHTS_TAKEN_MAX; right++) {
        known |= explore_happened(nodes[n].took[right]) ? (cap_rights_t)1 << right : 0;
    }
    return nodes[n].parent == ROOT ? known & ~REGRANTED : known;
}
static cap_rights_t taking_above(int n) {
    cap_rights_t taking = 0;
    for (; n != ROOT; n = nodes[n].parent) {
        taking |= nodes[n].taking;
    }
    return taking;
}
static cap_rights_t bound_of(int n) { return nodes[n].rights | (nodes[n].parent == ROOT ? REGRANTED : 0); }
static bool is_below(int n, int above) {
    while (n != ROOT && n != above) {
        n = nodes[n].parent;
    }
    return n != ROOT;
}

// An attenuate of `n` has returned that began when there were `known` nodes.
static void note_taken(int n, unsigned right, int known) {
    for (int below = 0; below < known; below++) {
        if (is_below(below, n)) {
            nodes[below].taken |= (cap_rights_t)1 << right;
            nodes[below].took[right] = explore_now();
        }
    }
}

// A node whose birth the running thread knows of: the first is everybody's.
static int pick_known(void) {
    int n = (int)explore_draw((uint64_t)node_count);
    while (!explore_happened(nodes[n].born)) {
        n--;
    }
    return n;
}

// What may pass, and what must: of the node alone.
static bool may_pass(int n, cap_rights_t need) {
    return n != ROOT && !ended_above(n) && (need & (taken_above(n) | ~bound_of(n))) == 0;
}
static bool must_pass(int n, cap_rights_t need) {
    return n != ROOT && !ending_above(n) && (need & (taking_above(n) | ~nodes[n].rights)) == 0;
}
