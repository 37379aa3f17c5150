// What an operation answers. One enumeration for the whole native subsystem.
#pragma once

typedef enum status {
    STATUS_OK = 0,
    STATUS_STALE,     // the id names nothing that lives: never did, or was deleted or revoked
    STATUS_DENIED,    // the capability lives, but does not carry what was asked for
    STATUS_BUSY,      // the capability has living children
    STATUS_FULL,      // no slot or thread record is free
    STATUS_NO_MEMORY, // the system refused memory
    STATUS_INVALID,   // an argument outside what the function's comment allows
    STATUS_CYCLE,     // the edge would close a circle
    STATUS_EXCESS,    // more is needed than there is in all
    STATUS_COUNT
} status_t;

// A lower-case word for the status, such as "stale"; "unknown" for a value outside the enumeration.
const char *status_name(status_t status);
