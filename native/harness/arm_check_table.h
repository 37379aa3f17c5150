/* op_check for a table with the functions of capability.h: TABLE(f) and CAP(f) name them, as in check.h. */
#include "capability.h"

typedef TABLE(table_t) check_table_t;

static status_t check_fill(check_table_t **table, uint32_t count, cap_id_t *ids) {
    capability_config_t config = {.capacity = (uint64_t)count + 1024};
    TABLE(thread_t) *seat = NULL;
    status_t status = TABLE(table_create)(&config, table);
    if (status == STATUS_OK)
        status = TABLE(thread_join)(*table, &seat);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
        status = CAP(create)(seat, i, CAPABILITY_RIGHT_READ | CAPABILITY_RIGHT_WRITE, &ids[i]);
    if (seat)
        TABLE(thread_leave)(seat);
    return status;
}

static void check_clear(check_table_t *table, uint32_t count, const cap_id_t *ids) {
    (void)count;
    (void)ids;
    TABLE(table_destroy)(table);
}

#ifndef check_one /* else the including file has its own, with what one worker asks */
typedef const check_table_t check_view_t;
static check_view_t *check_open(const check_table_t *table, uint32_t count) {
    (void)count;
    return table;
}
static void check_close(check_view_t *view) { (void)view; }
#define check_one CAP(check)
#endif
#include "arm_check.h"
