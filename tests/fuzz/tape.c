#include "tape.h"

#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"

uint8_t tape_take8(struct tape *t)
{
    if (t->len == 0)
        return 0;
    t->len--;
    return *t->p++;
}

uint16_t tape_take16(struct tape *t)
{
    uint8_t high = tape_take8(t);

    return (uint16_t)(high << 8 | tape_take8(t));
}

size_t tape_take(struct tape *t, uint8_t *out, size_t len)
{
    size_t n = nst_min(len, t->len);

    memcpy(out, t->p, n);
    t->p += n;
    t->len -= n;
    return n;
}

static void *memory_alloc(void *ctx, size_t size)
{
    struct tape_memory *memory = ctx;
    void *p = memory->fail_in > 0 && --memory->fail_in == 0 ? NULL : malloc(size);

    if (p) {
        memory->live_bytes += size;
        memory->live_blocks++;
    }
    return p;
}

static void memory_free(void *ctx, void *p, size_t size)
{
    struct tape_memory *memory = ctx;

    assert(memory->live_blocks > 0 && memory->live_bytes >= size);
    memory->live_bytes -= size;
    memory->live_blocks--;
    free(p);
}

struct nst_allocator tape_memory_allocator(struct tape_memory *memory)
{
    return (struct nst_allocator){memory_alloc, memory_free, memory};
}
