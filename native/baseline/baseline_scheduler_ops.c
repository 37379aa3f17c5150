// The baseline scheduler in the shape of scheduler_ops.h.
#include "scheduler_ops.h"

#include "baseline_scheduler.h"

static status_t create(const scheduler_config_t *config, void **scheduler) {
    baseline_scheduler_t *made = NULL;
    status_t status = baseline_scheduler_create(config, &made);
    *scheduler = made;
    return status;
}
static void destroy(void *scheduler) { baseline_scheduler_destroy(scheduler); }
static uint32_t cpus(const void *scheduler) { return baseline_scheduler_cpus(scheduler); }
static task_state_t state(const void *scheduler, const task_t *task) { return baseline_task_state(scheduler, task); }
static status_t attach(void *scheduler, uint32_t cpu, scheduler_cpu_t **on) { return baseline_scheduler_attach(scheduler, cpu, on); }
static void *of(const scheduler_cpu_t *on) { return baseline_scheduler_of(on); }
static void stop(void *scheduler) { baseline_scheduler_stop(scheduler); }
static bool stopped(const void *scheduler) { return baseline_scheduler_stopped(scheduler); }
static void kick(void *scheduler) { baseline_scheduler_kick(scheduler); }
static uint32_t rest(void *scheduler, task_t **tasks, uint32_t max) { return baseline_scheduler_rest(scheduler, tasks, max); }
static uint32_t dequeue(void *scheduler, task_t **tasks, uint32_t max, uint32_t cpu) {
    return baseline_scheduler_dequeue_wide(scheduler, tasks, max, cpu);
}
static void complete(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    baseline_scheduler_complete_wide(scheduler, tasks, count, cpu);
}
static void enqueue_batch(void *scheduler, task_t **tasks, uint32_t count, uint8_t cpu) {
    baseline_scheduler_enqueue_batch(scheduler, tasks, count, cpu);
}
static status_t enqueue(void *scheduler, task_t **tasks, uint32_t count, uint32_t cpu) {
    return baseline_scheduler_enqueue_wide(scheduler, tasks, count, cpu);
}
static status_t block(void *scheduler, task_t *task) { return baseline_scheduler_block(scheduler, task); }
static status_t unblock(void *scheduler, task_t *task, uint32_t cpu) { return baseline_scheduler_unblock(scheduler, task, cpu); }
static status_t terminate(void *scheduler, task_t *task) { return baseline_scheduler_terminate(scheduler, task); }
static status_t task_create(void *scheduler, task_run_t *run, void *argument, uint8_t priority, const scheduler_mask_t *mask,
                            task_id_t *id, task_t **task) {
    return baseline_scheduler_task_create(scheduler, run, argument, priority, mask, id, task);
}
static status_t task_release(void *scheduler, task_id_t id) { return baseline_scheduler_task_release(scheduler, id); }
static status_t block_id(void *scheduler, task_id_t id) { return baseline_scheduler_block_id(scheduler, id); }
static status_t unblock_id(void *scheduler, task_id_t id, uint32_t cpu) { return baseline_scheduler_unblock_id(scheduler, id, cpu); }
static status_t terminate_id(void *scheduler, task_id_t id) { return baseline_scheduler_terminate_id(scheduler, id); }
static status_t state_of(const void *scheduler, task_id_t id, task_state_t *now) { return baseline_scheduler_state_of(scheduler, id, now); }
static scheduler_stats_t stats(const void *scheduler) { return baseline_scheduler_stats(scheduler); }
static scheduler_stats_t cpu_stats(const void *scheduler, uint32_t cpu) { return baseline_scheduler_cpu_stats(scheduler, cpu); }
static uint64_t queued(const void *scheduler) { return baseline_scheduler_queued(scheduler); }

const scheduler_ops_t scheduler_baseline_ops = {
    .name = "baseline",
    .create = create,
    .destroy = destroy,
    .cpus = cpus,
    .task_state = state,
    .attach = attach,
    .detach = baseline_scheduler_detach,
    .cpu_index = baseline_scheduler_cpu_index,
    .of = of,
    .run = baseline_scheduler_run,
    .park = baseline_scheduler_park,
    .loop = baseline_scheduler_loop,
    .stop = stop,
    .stopped = stopped,
    .kick = kick,
    .rest = rest,
    .spawn = baseline_scheduler_spawn,
    .dequeue = dequeue,
    .complete = complete,
    .give_back = baseline_scheduler_give_back,
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
    .id_of = baseline_scheduler_id_of,
    .stats = stats,
    .cpu_stats = cpu_stats,
    .queued = queued,
};
