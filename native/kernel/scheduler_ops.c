// The lock-free scheduler in the shape of scheduler_ops.h.
#include "scheduler_ops.h"

static status_t create(const scheduler_config_t *config, void **scheduler) {
    scheduler_lockfree_t *made = NULL;
    status_t status = scheduler_create(config, &made);
    *scheduler = made;
    return status;
}
static void destroy(void *scheduler) { scheduler_destroy(scheduler); }
static uint32_t cpus(const void *scheduler) { return scheduler_cpus(scheduler); }
static task_state_t state(const void *scheduler, const task_t *task) {
    (void)scheduler;
    return task_state(task);
}
static status_t attach(void *scheduler, uint32_t cpu, scheduler_cpu_t **on) { return scheduler_attach(scheduler, cpu, on); }
static void *of(const scheduler_cpu_t *on) { return scheduler_of(on); }
static void stop(void *scheduler) { scheduler_stop(scheduler); }
static bool stopped(const void *scheduler) { return scheduler_stopped(scheduler); }
static void kick(void *scheduler) { scheduler_kick(scheduler); }
static uint32_t rest(void *scheduler, task_t **tasks, uint32_t max) { return scheduler_rest(scheduler, tasks, max); }
static uint32_t dequeue(void *scheduler, task_t **tasks, uint32_t max, uint32_t cpu) {
    return scheduler_dequeue_wide(scheduler, tasks, max, cpu);
}
static void complete(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    scheduler_complete_wide(scheduler, tasks, count, cpu);
}
static void enqueue_batch(void *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    scheduler_enqueue_batch(scheduler, tasks, count, cpu);
}
static status_t enqueue(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    return scheduler_enqueue_wide(scheduler, tasks, count, cpu);
}
static status_t block(void *scheduler, task_t *task) { return scheduler_block(scheduler, task); }
static status_t unblock(void *scheduler, task_t *task, uint32_t cpu) { return scheduler_unblock(scheduler, task, cpu); }
static status_t terminate(void *scheduler, task_t *task) { return scheduler_terminate(scheduler, task); }
static status_t task_create(void *scheduler, task_run_t *run, void *argument, uint8_t priority, const scheduler_mask_t *mask,
                            task_id_t *id, task_t **task) {
    return scheduler_task_create(scheduler, run, argument, priority, mask, id, task);
}
static status_t task_release(void *scheduler, task_id_t id) { return scheduler_task_release(scheduler, id); }
static status_t block_id(void *scheduler, task_id_t id) { return scheduler_block_id(scheduler, id); }
static status_t unblock_id(void *scheduler, task_id_t id, uint32_t cpu) { return scheduler_unblock_id(scheduler, id, cpu); }
static status_t terminate_id(void *scheduler, task_id_t id) { return scheduler_terminate_id(scheduler, id); }
static status_t state_of(const void *scheduler, task_id_t id, task_state_t *now) { return scheduler_state_of(scheduler, id, now); }
static scheduler_stats_t stats(const void *scheduler) { return scheduler_stats(scheduler); }
static scheduler_stats_t cpu_stats(const void *scheduler, uint32_t cpu) { return scheduler_cpu_stats(scheduler, cpu); }
static uint64_t queued(const void *scheduler) { return scheduler_queued(scheduler); }

const scheduler_ops_t scheduler_lockfree_ops = {
    .name = "lockfree",
    .create = create,
    .destroy = destroy,
    .cpus = cpus,
    .task_state = state,
    .attach = attach,
    .detach = scheduler_detach,
    .cpu_index = scheduler_cpu_index,
    .of = of,
    .run = scheduler_run,
    .park = scheduler_park,
    .loop = scheduler_loop,
    .stop = stop,
    .stopped = stopped,
    .kick = kick,
    .rest = rest,
    .spawn = scheduler_spawn,
    .dequeue = dequeue,
    .complete = complete,
    .give_back = scheduler_give_back,
    .enqueue_batch = enqueue_batch,
    .enqueue = enqueue,
    .block = block,
    .unblock = unblock,
    .terminate = terminate,
    .task_create = task_create,
    .task_release = task_release,
    .block_id = block_id,
    .unblock_id = unblock_id,
    .terminate_id = terminate_id,
    .state_of = state_of,
    .id_of = scheduler_id_of,
    .stats = stats,
    .cpu_stats = cpu_stats,
    .queued = queued,
};
