/* What the arms of op_check have in common: settings, and the length of the lists. */
#ifndef ORCH_OP_CHECK_H
#define ORCH_OP_CHECK_H

#include "capability.h"

enum { OP_CHECK_IDS };
enum { OP_CHECK_LIST = 1 << 15 }; /* a power of two */

#endif
