#include "status.h"

static const char *const names[STATUS_COUNT] = {
    [STATUS_OK] = "ok",     [STATUS_STALE] = "stale",         [STATUS_DENIED] = "denied",   [STATUS_BUSY] = "busy",
    [STATUS_FULL] = "full", [STATUS_NO_MEMORY] = "no memory", [STATUS_INVALID] = "invalid",
    [STATUS_CYCLE] = "cycle", [STATUS_EXCESS] = "excess",
};

const char *status_name(status_t status) {
    return (unsigned)status < STATUS_COUNT ? names[status] : "unknown";
}
