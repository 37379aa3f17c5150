/* Stutter: now and then a worker, picked at random, stands still for a moment, wherever it happens to be. It finds what is wrong only where a
 * thread is late by more than a few instructions. Nothing is judged here: who stands still long enough to judge the others is stall.h's. Main
 * thread only. */
#ifndef ORCH_STUTTER_H
#define ORCH_STUTTER_H

#include "harness.h"

/* The measured window begins. */
void stutter_begin(run_t *run);
/* Stops whom it is the turn of; the time at which it wants to be called again, UINT64_MAX: never. */
uint64_t stutter_step(run_t *run, uint64_t now);
/* How often it was done. After finish. */
void stutter_count(run_t *run);

#endif
