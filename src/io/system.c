#include "netstack/system.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "netstack/loop.h"

static void *heap_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void heap_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

int nst_system_config(struct nst_config *config)
{
    config->allocator = (struct nst_allocator){heap_alloc, heap_free, NULL};
    config->now = nst_loop_clock();
    /* Up to 256 bytes come whole or not at all. */
    return getrandom(config->seed, sizeof config->seed, 0) < 0 ? -errno : 0;
}
