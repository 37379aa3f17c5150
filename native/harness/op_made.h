/* What the arms of op_create_delete have in common. */
#ifndef ORCH_OP_MADE_H
#define ORCH_OP_MADE_H

enum { OP_MADE_AT_ONCE = 16 };

#endif
