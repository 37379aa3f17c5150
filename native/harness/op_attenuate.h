/* The operation of op_attenuate; part of an arm, see arm_change.h. */
static bool change_once(change_state_t *mine) {
    bool good = true;
    for (int i = 0; i < CHANGE_IDS; i++)
        good &= CAP(attenuate)(mine->seat, mine->ids[i], CAPABILITY_RIGHT_WRITE) == STATUS_OK;
    return good;
}
