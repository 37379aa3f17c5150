/* op_spawn: TBB's task_group in an arena of one thread, 64 tasks at a time. */
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "arms.h"
#include "op_tasks.h"

namespace {

struct Arena {
    tbb::task_arena arena{1, 1};
    tbb::task_group group;
};

bool setup(run_t *, void **shared) {
    *shared = new Arena;
    return true;
}

uint64_t spawn_sample(worker_t *, void *shared, void *, const sample_t *sample) {
    auto *of = static_cast<Arena *>(shared);
    uint64_t done = 0;
    of->arena.execute([&] {
        for (; done < sample->ops; done += OP_SPAWN) {
            for (uint64_t i = 0; i < OP_SPAWN; i++)
                of->group.run([i] { KEEP(i); });
            of->group.wait();
        }
    });
    return done;
}

void finish(run_t *, void *shared) { delete static_cast<Arena *>(shared); }

arm_t arm;
__attribute__((constructor)) void register_tbb_spawn() {
    arm.bench = "op_spawn";
    arm.name = "tbb";
    arm.kind = ARM_PEER;
    arm.setup = setup;
    arm.sample = spawn_sample;
    arm.finish = finish;
    arm_register(&arm);
}

} // namespace
