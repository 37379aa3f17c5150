// The stack as it should be: nothing is found.
#include "treiber_scenario.h"

static const explore_scenario_t scenarios[] = {{"treiber", 2, set_up, run, finish}};
EXPLORE_SCENARIOS("treiber", "", scenarios)
