/* The oracle of lock-freedom (C4): a worker is frozen by a signal wherever it happens to be, and the others
 * must go on. Main thread only, but for stall_enroll. */
#ifndef ORCH_STALL_H
#define ORCH_STALL_H

#include "harness.h"

/* Whether a run with these options freezes workers: asked for, others are there to go on, time enough. */
bool stall_planned(const options_t *options);

/* Every worker, of itself, before its first batch. */
void stall_enroll(run_t *run, int index);

/* The measured window begins. */
void stall_begin(run_t *run);
/* What is due now; the time at which it wants to be called again. */
uint64_t stall_step(run_t *run, uint64_t now);
/* Thaws whoever is frozen. From here on no worker is frozen, not by a signal under way either. */
void stall_end(run_t *run);
/* How often it was done. After finish. */
void stall_count(run_t *run);

#endif
