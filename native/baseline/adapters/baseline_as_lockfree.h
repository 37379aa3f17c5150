// The baseline behind the lock-free system's interface: for code that calls capability_* and scheduler_*, to measure it, or to look for a
// fault, over locks. Put before everything else
//
//     cc -include adapters/baseline_as_lockfree.h … new_code.c
//
// Knobs, kept answers and columns have no counterpart there: code that uses those stays with the lock-free system. So does
// task_state, which is not told the scheduler; scheduler_state_of is there. PDAC runs over the baseline where its own sources (kernel/pdac*.c) are
// compiled like this, too: its graphs over locked queues, and over a locked table that its guards are looked up in.
#pragma once

#include "baseline_capability.h"
#include "baseline_guarded.h"
#include "baseline_scheduler.h"

#define capability_table_t baseline_table_t
#define capability_thread_t baseline_thread_t
#define scheduler_lockfree_t baseline_scheduler_t
#define capability_attenuate baseline_capability_attenuate
#define capability_attenuate_batch baseline_capability_attenuate_batch
#define capability_audit baseline_capability_audit
#define capability_check baseline_capability_check
#define capability_check_batch baseline_capability_check_batch
#define capability_create baseline_capability_create
#define capability_delegate baseline_capability_delegate
#define capability_delete baseline_capability_delete
#define capability_grant baseline_capability_grant
#define capability_grant_batch baseline_capability_grant_batch
#define capability_lookup baseline_capability_lookup
#define capability_revoke baseline_capability_revoke
#define capability_settle baseline_capability_settle
#define capability_stats baseline_capability_stats
#define capability_transfer baseline_capability_transfer
#define scheduler_attach baseline_scheduler_attach
#define scheduler_block baseline_scheduler_block
#define scheduler_block_id baseline_scheduler_block_id
#define scheduler_charge baseline_scheduler_charge
#define scheduler_complete_batch baseline_scheduler_complete_batch
#define scheduler_complete_wide baseline_scheduler_complete_wide
#define scheduler_cpu_index baseline_scheduler_cpu_index
#define scheduler_cpu_stats baseline_scheduler_cpu_stats
#define scheduler_cpus baseline_scheduler_cpus
#define scheduler_create baseline_scheduler_create
#define scheduler_dequeue_batch baseline_scheduler_dequeue_batch
#define scheduler_dequeue_wide baseline_scheduler_dequeue_wide
#define scheduler_destroy baseline_scheduler_destroy
#define scheduler_detach baseline_scheduler_detach
#define scheduler_enqueue_batch baseline_scheduler_enqueue_batch
#define scheduler_enqueue_wide baseline_scheduler_enqueue_wide
#define scheduler_give_back baseline_scheduler_give_back
#define scheduler_id_of baseline_scheduler_id_of
#define scheduler_kick baseline_scheduler_kick
#define scheduler_loop baseline_scheduler_loop
#define scheduler_of baseline_scheduler_of
#define scheduler_park baseline_scheduler_park
#define scheduler_queued baseline_scheduler_queued
#define scheduler_rest baseline_scheduler_rest
#define scheduler_room baseline_scheduler_room
#define scheduler_run baseline_scheduler_run
#define scheduler_spawn baseline_scheduler_spawn
#define scheduler_state_of baseline_scheduler_state_of
#define scheduler_stats baseline_scheduler_stats
#define scheduler_stop baseline_scheduler_stop
#define scheduler_stopped baseline_scheduler_stopped
#define scheduler_task_create baseline_scheduler_task_create
#define scheduler_task_release baseline_scheduler_task_release
#define scheduler_terminate baseline_scheduler_terminate
#define scheduler_terminate_id baseline_scheduler_terminate_id
#define scheduler_unblock baseline_scheduler_unblock
#define scheduler_unblock_id baseline_scheduler_unblock_id
#define capability_table_create baseline_table_create
#define capability_table_destroy baseline_table_destroy
#define capability_thread_join baseline_thread_join
#define capability_thread_leave baseline_thread_leave

#define guarded_gate_of baseline_guarded_gate_of
