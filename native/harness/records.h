/* Records: one JSON object per line on standard output, built in one static buffer by the main thread. */
#ifndef ORCH_RECORDS_H
#define ORCH_RECORDS_H

#include "harness.h"

void record_open(const char *type); /* {"type":... ; NULL: an object without a type */
void record_text(const char *key, const char *value);
void record_int(const char *key, int64_t value);
void record_unsigned(const char *key, uint64_t value);
void record_number(const char *key, double value); /* finite, or it is written as 0 */
void record_flag(const char *key, bool value);
void record_null(const char *key);
/* key NULL inside a list */
void record_list(const char *key);
void record_list_end(void);
void record_object(const char *key);
void record_object_end(void);
/* Ends the line and writes it. Where standard output takes no more: one line on stderr, exit 1. */
void record_close(void);

#endif
