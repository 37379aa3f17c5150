/* The operation of op_transfer; part of an arm, see arm_change.h. */
static bool change_once(change_state_t *mine) {
    return CAP(transfer)(mine->seat, mine->at, mine->homes[++mine->turn % 2], &mine->at) == STATUS_OK;
}
