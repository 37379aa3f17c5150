/* The operation of op_delegate_delete; part of an arm, see arm_change.h. */
static bool change_once(change_state_t *mine) {
    cap_id_t id = CAPABILITY_NONE;
    return CAP(delegate)(mine->seat, mine->root, CAPABILITY_RIGHT_READ, &id) == STATUS_OK &&
           CAP(delete)(mine->seat, id) == STATUS_OK;
}
