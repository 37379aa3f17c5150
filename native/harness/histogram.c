#include "histogram.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    COOKIE = 0x1c849313,            /* V2, word size byte as every V2 writer sets it */
    COOKIE_COMPRESSED = 0x1c849314, /* the same, inside zlib */
    HEADER_BYTES = 40,
    OUTER_BYTES = 8,     /* cookie and length before the zlib stream */
    BLOCK_MAX = 65535,   /* of a stored block */
    ZLIB_BYTES = 2 + 5 + 4, /* header, one block's header, checksum: a payload needs one block */
    COUNT_BYTES = 9
};
_Static_assert(HISTOGRAM_PAYLOAD_MAX <= BLOCK_MAX, "one stored block holds the payload");

struct histogram {
    uint64_t highest, total, largest; /* largest: recorded so far */
    int digits;
    int half_bits; /* log2 of half the steps of one bucket */
    size_t length;
    uint64_t counts[];
};

/* ---- where a value lies ---- */
static size_t index_of(const histogram_t *h, uint64_t value) {
    uint64_t mask = ((uint64_t)2 << h->half_bits) - 1;
    int bucket = 63 - h->half_bits - __builtin_clzll(value | mask);
    uint64_t step = value >> bucket;
    return ((size_t)bucket << h->half_bits) + (size_t)step;
}

/* The smallest value at an index, and how many values share it. */
static uint64_t value_at(const histogram_t *h, size_t index, uint64_t *width) {
    size_t halves = index >> h->half_bits;
    size_t bucket = halves > 1 ? halves - 1 : 0;
    *width = (uint64_t)1 << bucket;
    return (uint64_t)(index - (bucket << h->half_bits)) << bucket;
}

histogram_t *histogram_create(uint64_t highest, int digits) {
    uint64_t resolution = 2;
    for (int i = 0; i < digits; i++)
        resolution *= 10;
    int bits = 64 - __builtin_clzll(resolution - 1);
    uint64_t covered = (uint64_t)1 << bits;
    size_t buckets = 1;
    for (; covered <= highest; covered <<= 1)
        buckets++;
    size_t length = (buckets + 1) << (bits - 1);
    histogram_t *h = calloc(1, sizeof *h + length * sizeof h->counts[0]);
    if (!h)
        return NULL;
    h->highest = highest;
    h->digits = digits;
    h->half_bits = bits - 1;
    h->length = length;
    return h;
}

void histogram_free(histogram_t *histogram) { free(histogram); }

void histogram_record(histogram_t *h, uint64_t value, uint64_t count) {
    value = value < h->highest ? value : h->highest;
    h->counts[index_of(h, value)] += count;
    h->total += count;
    h->largest = value > h->largest ? value : h->largest;
}

void histogram_add(histogram_t *h, const histogram_t *from) {
    for (size_t i = 0; i < h->length && i < from->length; i++)
        h->counts[i] += from->counts[i];
    h->total += from->total;
    h->largest = from->largest > h->largest ? from->largest : h->largest;
}

uint64_t histogram_total(const histogram_t *h) { return h->total; }

uint64_t histogram_at(const histogram_t *h, double share) {
    uint64_t wanted = (uint64_t)(share * (double)h->total + 0.5), seen = 0;
    wanted = wanted ? wanted : 1;
    for (size_t i = 0; i < h->length; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            uint64_t width, value = value_at(h, i, &width);
            return value + width - 1;
        }
    }
    return 0;
}

/* ---- the payload ---- */
typedef struct {
    unsigned char *at;
    size_t used, size;
    bool full;
} bytes_t;

static void put_byte(bytes_t *out, unsigned value) {
    if (out->used == out->size) {
        out->full = true;
        return;
    }
    out->at[out->used++] = (unsigned char)value;
}

static void put_big(bytes_t *out, uint64_t value, int bytes) {
    while (bytes-- > 0)
        put_byte(out, (unsigned)(value >> (8 * bytes)) & 0xff);
}

/* ZigZag and 7 bits a byte, lowest first; the ninth byte holds 8. */
static void put_count(bytes_t *out, int64_t value) {
    uint64_t left = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    for (int i = 1; i < COUNT_BYTES && left > 0x7f; i++) {
        put_byte(out, 0x80u | (unsigned)(left & 0x7f));
        left >>= 7;
    }
    put_byte(out, (unsigned)left & 0xff);
}

static void put_payload(bytes_t *out, const histogram_t *h) {
    size_t limit = h->total ? index_of(h, h->largest) + 1 : 0;
    size_t begin = out->used;
    put_big(out, COOKIE, 4);
    put_big(out, 0, 4); /* the length of the counts, below */
    put_big(out, 0, 4); /* normalizing offset */
    put_big(out, (uint64_t)h->digits, 4);
    put_big(out, 1, 8); /* lowest value that is told from 0 */
    put_big(out, h->highest, 8);
    put_big(out, 0x3ff0000000000000u, 8); /* 1.0: integers are not scaled */
    for (size_t i = 0; i < limit;) {
        size_t zeros = 0;
        while (i + zeros < limit && h->counts[i + zeros] == 0)
            zeros++;
        put_count(out, zeros > 1 ? -(int64_t)zeros : (int64_t)h->counts[i]);
        i += zeros > 1 ? zeros : 1;
    }
    bytes_t length = {out->at + begin + 4, 0, 4, false};
    put_big(&length, out->used - begin - HEADER_BYTES, 4);
}

/* ---- zlib without compression, base64 ---- */
static uint32_t adler32(const unsigned char *data, size_t length) {
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < length; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static bool put_compressed(bytes_t *out, const histogram_t *h) {
    size_t data = OUTER_BYTES + 7;
    out->used = data;
    put_payload(out, h);
    size_t length = out->used - data;
    if (out->full)
        return false;
    uint32_t sum = adler32(out->at + data, length);
    out->used = 0;
    put_big(out, COOKIE_COMPRESSED, 4);
    put_big(out, length + ZLIB_BYTES, 4);
    put_big(out, 0x7801, 2); /* deflate, window of 32 KiB, fastest */
    put_byte(out, 1);        /* the last block, stored; lengths are little endian */
    put_byte(out, (unsigned)(length & 0xff));
    put_byte(out, (unsigned)(length >> 8));
    put_byte(out, ~(unsigned)length & 0xff);
    put_byte(out, ~(unsigned)(length >> 8) & 0xff);
    out->used = data + length;
    put_big(out, sum, 4);
    return !out->full;
}

static void base64(const bytes_t *in, char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < in->used; i += 3) {
        uint32_t three = (uint32_t)in->at[i] << 16;
        three |= i + 1 < in->used ? (uint32_t)in->at[i + 1] << 8 : 0;
        three |= i + 2 < in->used ? (uint32_t)in->at[i + 2] : 0;
        *text++ = digits[three >> 18];
        *text++ = digits[(three >> 12) & 63];
        *text++ = i + 1 < in->used ? digits[(three >> 6) & 63] : '=';
        *text++ = i + 2 < in->used ? digits[three & 63] : '=';
    }
    *text = 0;
}

/* The same counts to one digit less. */
static histogram_t *coarser(const histogram_t *h) {
    histogram_t *made = histogram_create(h->highest, h->digits - 1);
    for (size_t i = 0; made && i < h->length; i++) {
        uint64_t width, value = value_at(h, i, &width);
        if (h->counts[i])
            histogram_record(made, value + width / 2, h->counts[i]);
    }
    return made;
}

int histogram_encode(const histogram_t *histogram, char *text) {
    bytes_t out = {malloc(HISTOGRAM_PAYLOAD_MAX), 0, HISTOGRAM_PAYLOAD_MAX, false};
    histogram_t *made = NULL;
    bool good = out.at != NULL;
    /* one digit always fits: 62 buckets of 16 steps, 9 bytes each */
    for (const histogram_t *h = histogram; good && !put_compressed(&out, h); h = made) {
        histogram_t *next = coarser(h);
        histogram_free(made);
        made = next;
        good = made != NULL;
        out.full = false;
    }
    if (good)
        base64(&out, text);
    histogram_free(made);
    free(out.at);
    return good ? 0 : -1;
}
