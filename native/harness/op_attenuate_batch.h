/* The operation of op_attenuate; part of an arm, see arm_change.h. */
static bool change_once(change_state_t *mine) {
    return CAP(attenuate_batch)(mine->seat, mine->ids, CHANGE_IDS, CAPABILITY_RIGHT_WRITE, NULL) == CHANGE_IDS;
}
