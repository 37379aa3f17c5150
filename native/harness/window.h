/* The measured window: workers, phases, time, interval records, SIGTERM. */
#ifndef ORCH_WINDOW_H
#define ORCH_WINDOW_H

#include "harness.h"

/* Carries out one run and prints everything after the hello. Returns the exit status, or ends the
 * process itself where workers cannot be waited for. */
int window_run(const options_t *options);
/* Before any thread exists: the signals that the main thread waits for are blocked everywhere. */
void window_block_signals(void);

#endif
