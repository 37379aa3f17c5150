/* Whether a thread of this process sleeps in the kernel: what an oracle may hold against it. */
#ifndef ORCH_ASLEEP_H
#define ORCH_ASLEEP_H

#include <stdbool.h>

/* Neither running, nor waiting for a CPU or a page, nor stopped. false, too, where that cannot be known. `tid`: the kernel's
 * number of the thread. A few microseconds; no memory. */
bool thread_is_asleep(int tid);

#endif
