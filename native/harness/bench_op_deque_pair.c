#include "arms.h"
#include "op_tasks.h"

static const char *const modes[] = {"fenced", "asymmetric", NULL};
static const setting_t settings[] = {
    [OP_DEQUE_MODE] = SETTING_ONE_OF("mode", OP_DEQUE_ASYMMETRIC, modes,
                                     "floor and ours: a fence in each pop, or in who takes by force"),
};

static bench_t bench = ARMS_BENCH("op_deque_pair", "a push and a pop by a deque's owner: floor, baseline, peers, ours",
                                  "one push and one pop", settings, sizeof settings / sizeof settings[0], arms_one_thread);
BENCH_REGISTER(bench)
