#include "inside.h"

#undef NDEBUG
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/stack/stack.h"

#define TURNS      48 /* enough for what one step of a test causes */
#define TURN_NS    (10 * NST_LOOP_MSEC)
#define STACK_SEED 7

static uint64_t clock_ns = 1000 * NST_LOOP_SECOND;
static uid_t client_uid = (uid_t)-1;
static uint64_t fail_in;
static bool has_failed;
static unsigned descriptors_before;
static struct nst_allocator allocator;

/* ---- What is wrapped ------------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    (void)id;
    *out =
        (struct timespec){(time_t)(clock_ns / NST_LOOP_SECOND), (long)(clock_ns % NST_LOOP_SECOND)};
    return 0;
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    int err = __real_getsockopt(fd, level, option, value, len);

    if (err == 0 && level == SOL_SOCKET && option == SO_PEERCRED && client_uid != (uid_t)-1)
        ((struct ucred *)value)->uid = client_uid;
    return err;
}

static bool fails(void)
{
    if (fail_in == 0 || --fail_in > 0)
        return false;
    has_failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return fails() ? NULL : __real_reallocarray(p, n, size);
}

static void *stack_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return __wrap_malloc(size);
}

static void stack_free(void *ctx, void *p, size_t size)
{
    (void)ctx, (void)size;
    free(p);
}

void inside_be(uid_t uid)
{
    client_uid = uid;
}

void inside_fail_in(uint64_t n)
{
    fail_in = n;
    has_failed = false;
}

bool inside_has_failed(void)
{
    return has_failed;
}

/* ---- Turns ----------------------------------------------------------------------------------- */

void inside_turn(struct inside *in)
{
    for (int i = 0; i < TURNS; i++)
        assert(nst_loop_run_once(in->d.loop, 0) == 0);
    nst_stack_check(in->d.home->stack);
}

void inside_pass(struct inside *in, uint64_t ns)
{
    for (uint64_t end_ns = clock_ns + ns; clock_ns < end_ns;) {
        clock_ns += end_ns - clock_ns < TURN_NS ? end_ns - clock_ns : TURN_NS;
        assert(nst_loop_run_once(in->d.loop, 0) == 0);
    }
    inside_turn(in);
}

unsigned inside_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void make_stack(struct inside *in)
{
    struct nst_config config = {.now = clock_ns, .allocator = allocator};
    struct nst_link_config link = {.name = "inside", .medium = NST_MEDIUM_IP, .mtu = 1500};
    static const char *const addrs[] = {INSIDE_ADDR "/24", INSIDE_ADDR2 "/24"};
    struct nst_prefix prefix;

    config.seed[0] = STACK_SEED;
    assert(nst_capture_new(&in->d.home->capture, in->d.home) == 0);
    assert(nst_stack_new(&in->d.home->stack, &config) == 0);
    assert(nst_link_add(in->d.home->stack, &in->d.home->link, &link) == 0);
    for (size_t i = 0; i < 2; i++) {
        assert(nst_prefix_parse(&prefix, addrs[i]));
        assert(nst_addr_add(in->d.home->stack, in->d.home->link, &prefix, NST_ACD_OFF) == 0);
        in->d.config.addresses[in->d.config.naddresses++].prefix = prefix;
    }
}

static void make_device(struct inside *in)
{
    int ends[2];

    assert(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    in->device = (struct nst_device){.kind = NST_DEVICE_TUN, .fd = ends[0], .name = "inside"};
    in->network = ends[1];
    in->d.home->device = &in->device;
}

/* One for all daemons of the process: each leaves it empty. */
static char dir[] = "/tmp/netstack-inside-XXXXXX";

static void remove_dir(void)
{
    assert(rmdir(dir) == 0);
}

static void make_dir(void)
{
    static bool is_made;

    if (!is_made)
        assert(mkdtemp(dir) && atexit(remove_dir) == 0);
    is_made = true;
}

static void make_server(struct inside *in)
{
    const struct nst_ipc_server_config config = {.name = "inside",
                                                 .version = "0",
                                                 .owner = getuid(),
                                                 .ops = &nst_control_ops,
                                                 .ctx = &in->d};
    char why[NST_IPC_WHY];

    make_dir();
    snprintf(in->path, sizeof in->path, "%s/s", dir);
    assert(setenv("NETSTACK_SOCKET", in->path, 1) == 0);
    assert(nst_ipc_server_new(&in->d.server, in->d.loop, &config, why) == 0);
}

void inside_start(struct inside *in, const struct nst_up_config *config)
{
    allocator = (struct nst_allocator){.alloc = stack_alloc, .free = stack_free};
    json_set_alloc_funcs(__wrap_malloc, free);
    inside_be((uid_t)-1);
    inside_fail_in(0);
    descriptors_before = inside_descriptors();
    *in = (struct inside){.network = -1};
    if (config)
        in->d.config = *config;
    in->d.config.kind = NST_DEVICE_TUN;
    in->d.started = clock_ns;
    assert(nst_loop_new(&in->d.loop, NULL) == 0);
    in->d.home = in->d.queues;
    in->d.nqueues = 1;
    in->d.home->daemon = &in->d;
    in->d.home->loop = in->d.loop;
    nst_list_init(&in->d.watchers);
    assert(nst_lender_new(&in->d.lender, &in->d) == 0);
    make_server(in);
    make_device(in);
    make_stack(in);
    assert(nst_pump_start(in->d.home) == 0);
}

int inside_stop(struct inside *in)
{
    inside_fail_in(0);
    nst_pump_stop(in->d.home);
    nst_ipc_server_free(in->d.server);
    nst_lender_free(in->d.lender);
    assert(in->d.nsockets == 0);
    nst_stack_free(in->d.home->stack);
    nst_capture_free(in->d.home->capture);
    nst_loop_free(in->d.loop);
    close(in->device.fd);
    close(in->network);
    return inside_descriptors() == descriptors_before ? 0 : -1;
}
