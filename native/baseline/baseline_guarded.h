// Guards (guarded.h) that ask the baseline table.
#pragma once

#include "baseline_capability.h"
#include "guarded.h"

guarded_gate_t baseline_guarded_gate_of(const baseline_table_t *table);
