/* What the fuzz targets of the core share: an input that is read like a tape, and an allocator that
 * counts and fails on demand. */
#ifndef NST_TESTS_TAPE_H
#define NST_TESTS_TAPE_H

#include "netstack/netstack.h"

struct tape {
    const uint8_t *p;
    size_t len; /* what is left */
};

/* The next bytes, high first; zeros behind the end. */
uint8_t tape_take8(struct tape *t);
uint16_t tape_take16(struct tape *t);

/* Copies up to `len` bytes, as many as there are left; returns how many. */
size_t tape_take(struct tape *t, uint8_t *out, size_t len);

struct tape_memory {
    size_t live_bytes, live_blocks;
    uint32_t fail_in; /* allocations until one fails; 0: none does */
};

/* It aborts when what is freed was not allocated. */
struct nst_allocator tape_memory_allocator(struct tape_memory *memory);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
