/* Histograms as HdrHistogram keeps them: counts over values whose steps grow with the value, so that each is
 * known to so many significant decimal digits. Written as its V2 encoding, compressed format, base64.
 *
 * A histogram belongs to one thread at a time. Recording allocates nothing and cannot fail. */
#ifndef ORCH_HISTOGRAM_H
#define ORCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

typedef struct histogram histogram_t;

#define HISTOGRAM_DIGITS 3
/* What fits into one record: payload bytes, and their base64 with its end. */
#define HISTOGRAM_PAYLOAD_MAX 44000
#define HISTOGRAM_TEXT_MAX (((HISTOGRAM_PAYLOAD_MAX + 2) / 3) * 4 + 1)

/* Values 0 .. highest (2 .. 2^62), to 1 .. 4 digits. NULL: no memory. */
histogram_t *histogram_create(uint64_t highest, int digits);
void histogram_free(histogram_t *histogram); /* NULL is allowed */
/* A value above the highest counts as the highest. */
void histogram_record(histogram_t *histogram, uint64_t value, uint64_t count);
/* All that `from` has, too. The two were created alike. */
void histogram_add(histogram_t *histogram, const histogram_t *from);
uint64_t histogram_total(const histogram_t *histogram);
/* The largest value that cannot be told from the one at this share (0 .. 1) of all; 0 where there is none. */
uint64_t histogram_at(const histogram_t *histogram, double share);
/* `text` has HISTOGRAM_TEXT_MAX bytes. Gives up digits until it fits. 0, or -1: no memory. */
int histogram_encode(const histogram_t *histogram, char *text);

#endif
