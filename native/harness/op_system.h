/* What the arms of op_system have in common. */
#ifndef ORCH_OP_SYSTEM_H
#define ORCH_OP_SYSTEM_H

enum { OP_SYSTEM_IDS, OP_SYSTEM_CHECKS }; /* settings */
enum { OP_SYSTEM_BATCH = 32 };

#endif
