/* op_check_inline: the lock-free table, checked inline. */
#include "capability_optimized.h"

#define ARM_BENCH "op_check_inline"
#define ARM_NAME "ours"
#define ARM_KIND ARM_OURS
#define ARM_SCALES false
#define TABLE(F) capability_##F
#define CAP(F) capability_##F
typedef const capability_table_t check_view_t;
static check_view_t *check_open(const capability_table_t *table, unsigned count) {
    (void)count;
    return table;
}
static void check_close(check_view_t *view) { (void)view; }
#define check_one capability_check_inline
#include "arm_check_table.h"
