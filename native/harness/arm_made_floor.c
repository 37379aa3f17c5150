/* op_create_delete: memory from the allocator, the words of a capability written, and memory given back. What a table must
 * do beyond that: be found by id, be ended once by whoever comes first, and not be used again too early. */
#include <stdlib.h>

#include "arms.h"
#include "op_made.h"

typedef struct {
    uint64_t id, rights, object, parent, children;
} made_t;

static uint64_t sample_of(worker_t *worker, void *shared, void *state, const sample_t *sample) {
    (void)worker, (void)shared, (void)state;
    made_t *made[OP_MADE_AT_ONCE];
    uint64_t done = 0;
    for (; done < sample->ops; done += OP_MADE_AT_ONCE) {
        for (unsigned i = 0; i < OP_MADE_AT_ONCE; i++) {
            made[i] = malloc(sizeof *made[i]);
            if (!made[i])
                abort(); /* forty bytes */
            *made[i] = (made_t){done + i, ~(uint64_t)0, i, 0, 0};
            KEEP(made[i]);
        }
        for (unsigned i = 0; i < OP_MADE_AT_ONCE; i++)
            free(made[i]);
    }
    return done;
}

static arm_t arm = {.bench = "op_create_delete", .name = "floor", .kind = ARM_FLOOR, .scales = true, .sample = sample_of};
ARM_REGISTER(arm)
