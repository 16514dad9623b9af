/* Loading and storing integers in byte buffers, whatever the alignment and the host's byte order.
 * Network order is the default; `le` marks the exceptions. */
#ifndef NST_BASE_BYTES_H
#define NST_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NST_ARRAY_LEN(a) (sizeof(a) / sizeof(a)[0])

/* The structure whose `member` `ptr` points to. */
#define NST_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline uint16_t nst_load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t nst_load32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void nst_store16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void nst_store32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* Written out, since compilers make one load of that, and eight of a loop. */
static inline uint64_t nst_load_le64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline void nst_store_le64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline size_t nst_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline uint32_t nst_min32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t nst_max32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline size_t nst_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
