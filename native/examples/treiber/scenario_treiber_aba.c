// The stack without the count in its head: a node ends up with two holders, or is lost.
#define TREIBER_ABA
#include "treiber_scenario.h"

static const explore_scenario_t scenarios[] = {{"treiber_aba", 2, set_up, run, finish}};
EXPLORE_SCENARIOS("treiber_aba", "", scenarios)
