// Many ids in one call. The answers are those of the single calls; what is saved is one stay in the reclamation domain
// for each, and time in which the next entries come from memory.
#include "capability_layout.h"

#define FETCH_AHEAD 16u // ids; their entries are on the way while the ones before are looked at
#define STAY 64u        // ids of one stay: longer ones would hold up grace periods

static uint64_t check_up_to_64(const capability_view_t *view, const cap_id_t *ids, uint64_t count, cap_rights_t need) {
    uint64_t allowed = 0;
    for (uint64_t i = 0; i < count; i++) {
        const cap_entry_t *entry = capability_entry(view, ids[i]);
        allowed |= (uint64_t)capability_entry_holds(entry, ids[i], need) << i;
    }
    return allowed;
}

uint64_t capability_check_batch(const capability_table_t *table, const cap_id_t *ids, uint64_t count, cap_rights_t need,
                                uint64_t *allowed) {
    const capability_view_t *view = &table->view;
    uint64_t sum = 0;
    for (uint64_t from = 0; from < count; from += 64) {
        uint64_t here = count - from < 64 ? count - from : 64;
        uint64_t word = check_up_to_64(view, ids + from, here, need);
        allowed[from / 64] = word;
        sum += (uint64_t)__builtin_popcountll(word);
    }
    return sum;
}

typedef status_t change_t(capability_table_t *table, cap_id_t id, cap_rights_t rights);

static uint64_t change_all(capability_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t rights,
                           status_t *answers, change_t *change) {
    capability_table_t *table = self->table;
    uint64_t good = 0;
    for (uint64_t from = 0; from < count; from += STAY) {
        uint64_t end = count - from < STAY ? count : from + STAY;
        reclaim_enter(self->reclaim);
        for (uint64_t i = from; i < end; i++) {
            cpu_prefetch(capability_entry(&table->view, ids[i + FETCH_AHEAD < count ? i + FETCH_AHEAD : i]));
            status_t answer = change(table, ids[i], rights);
            good += answer == STATUS_OK;
            if (answers != NULL) {
                answers[i] = answer;
            }
        }
        reclaim_leave(self->reclaim);
    }
    return good;
}

uint64_t capability_grant_batch(capability_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t add,
                                status_t *answers) {
    return change_all(self, ids, count, add, answers, grant_inside);
}

uint64_t capability_attenuate_batch(capability_thread_t *self, const cap_id_t *ids, uint64_t count, cap_rights_t drop,
                                    status_t *answers) {
    return change_all(self, ids, count, drop, answers, attenuate_inside);
}
