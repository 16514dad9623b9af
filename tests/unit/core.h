/* What the core's unit tests share: an environment whose allocator counts, fails when told to and
 * finds leaks; a pool and an interface in it; a clock that runs from timer to timer; packets of a
 * chosen shape. Anything unexpected fails the running test. */
#ifndef NST_TESTS_CORE_H
#define NST_TESTS_CORE_H

#include "core/link/iface.h"

#include "hex.h"
#include "unit.h"

/* An allocator over malloc(). Each block has exactly the size asked for, so that a sanitizer sees
 * every access beyond; freeing with another size fails the test. */
struct test_memory {
    size_t live_bytes, live_blocks, peak_bytes;
    uint64_t calls;   /* allocations asked for so far */
    uint64_t fail_at; /* the call of this number, from 1, gives NULL; 0: none does */
    bool fail_all;    /* those after it, too */
    size_t fail_size; /* each call for so many bytes gives NULL; 0: none does */
};

struct nst_allocator test_memory_allocator(struct test_memory *memory);

/* Lets the `n`-th allocation from now fail, from 1; 0 lets all succeed again. */
void test_memory_fail_in(struct test_memory *memory, uint64_t n);

#define TEST_START (1000 * NST_SEC) /* when a test core's time begins */

struct test_core {
    struct test_memory memory;
    struct nst_env env;
    struct nst_pool pool;    /* 16 MiB */
    struct nst_iface iface;  /* link 1: Ethernet, MTU 1500, MAC 02:00:00:00:00:01, queue 1000 */
    struct nst_ifaddr *addr; /* its address 192.0.2.1/24: valid, without conflict detection */
};

void test_core_init(struct test_core *core);

/* Fails the test if a timer is still armed or any memory was not given back. */
void test_core_fini(struct test_core *core);

/* Another address of the interface, in the state VALID; nothing is started for it. */
struct nst_ifaddr *test_core_addr_add(struct test_core *core, const char *prefix, enum nst_acd acd);

/* Moves the time to `until`, stopping at each timer that is due before, which is given to `fire` at
 * its own time. */
void test_core_run(struct test_core *core, nst_time until,
                   void (*fire)(void *ctx, struct nst_timer *timer), void *ctx);

/* Frees what waits in the interface's queue; returns how many packets that were. */
unsigned test_core_flush(struct test_core *core);

/* Their text as a value. */
struct nst_addr test_addr(const char *text);
struct nst_prefix test_prefix(const char *text);
struct nst_mac test_mac(const char *text);

/* A packet with the usual headroom. */
struct nst_pkt *test_pkt(struct nst_pool *pool, const void *bytes, size_t len);

/* The same with the bytes that a text spells, see hex.h. */
struct nst_pkt *test_pkt_hex(struct nst_pool *pool, const char *text);

/* One whose bytes lie in `nslices` slices of the lengths `lens`, each in a buffer of its own. */
struct nst_pkt *test_pkt_split(struct nst_pool *pool, const void *bytes, const size_t *lens,
                               unsigned nslices);

/* The packet is consistent and holds exactly these bytes. */
void test_pkt_assert(const struct nst_pkt *pkt, const void *bytes, size_t len);

/* Random numbers that are the same in every run. */
void test_prng_init(struct nst_prng *prng, unsigned seed);

#endif
