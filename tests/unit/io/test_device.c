/* Devices: how many frames are read at once. A pair of sockets that keep the bounds of messages
 * stands for the device. */
#include <errno.h>
#include <netstack/system.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit.h"
#include "io/device_internal.h"

enum { MAX = 64, FRAME = 60 };

struct fixture {
    struct nst_device device;
    struct nst_stack *stack;
    int wire;
};

static int setup(void **state)
{
    static struct fixture f;
    struct nst_config config = {0};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(nst_system_config(&config), 0);
    config.limits.memory_bytes = 1 << 22;
    f = (struct fixture){.device = {.fd = ends[0]}, .wire = ends[1]};
    assert_int_equal(nst_stack_new(&f.stack, &config), 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    nst_stack_free(f->stack);
    close(f->device.fd);
    close(f->wire);
    return 0;
}

static void frames_come(const struct fixture *f, int n)
{
    static const uint8_t frame[FRAME];

    while (n-- > 0)
        assert_int_equal(send(f->wire, frame, sizeof frame, 0), sizeof frame);
}

static int read_batch(struct fixture *f, size_t max)
{
    struct nst_pkt *pkts[MAX];
    int n = nst_device_read(&f->device, f->stack, pkts, max);

    for (int i = 0; i < n; i++) {
        assert_int_equal(nst_pkt_len(pkts[i]), FRAME);
        nst_pkt_free(pkts[i]);
    }
    return n;
}

static void test_all_that_is_there(void **state)
{
    frames_come(*state, 10);
    assert_int_equal(read_batch(*state, MAX), 10);
    assert_int_equal(read_batch(*state, MAX), 0);
    frames_come(*state, 10);
    assert_int_equal(read_batch(*state, 4), 4);
    assert_int_equal(read_batch(*state, 4), 4);
    assert_int_equal(read_batch(*state, 4), 2);
    assert_int_equal(read_batch(*state, 4), 0);
}

/* What came at once before is what is expected. */
static void test_few_are_read_without_a_look_for_more(void **state)
{
    frames_come(*state, 2);
    assert_int_equal(read_batch(*state, MAX), 2);
    frames_come(*state, 5);
    assert_int_equal(read_batch(*state, MAX), 2);
    assert_int_equal(read_batch(*state, 1), 1);
    assert_int_equal(read_batch(*state, MAX), 2);
    assert_int_equal(read_batch(*state, MAX), 0);
}

static void test_fewer_are_expected_from_then_on(void **state)
{
    frames_come(*state, 3);
    assert_int_equal(read_batch(*state, MAX), 3);
    frames_come(*state, 1);
    assert_int_equal(read_batch(*state, MAX), 1);
    frames_come(*state, 2);
    assert_int_equal(read_batch(*state, MAX), 1);
    assert_int_equal(read_batch(*state, MAX), 1);
}

/* So that a stream that grows is read in large batches again. */
static void test_more_are_looked_for_now_and_then(void **state)
{
    int batches = 0;

    frames_come(*state, 1);
    assert_int_equal(read_batch(*state, MAX), 1);
    for (; batches < MAX; batches++) {
        frames_come(*state, 2);
        if (read_batch(*state, MAX) != 1)
            break;
    }
    assert_in_range(batches, 2, MAX - 1);
    assert_int_equal(read_batch(*state, MAX), 0);
    frames_come(*state, 20);
    assert_int_equal(read_batch(*state, MAX), 20);
}

/* Batches that were as expected and the last ones are no reason to look. */
static void test_an_empty_device_confirms(void **state)
{
    frames_come(*state, 1);
    assert_int_equal(read_batch(*state, MAX), 1);
    for (int i = 0; i < MAX; i++) {
        frames_come(*state, 1);
        assert_int_equal(read_batch(*state, MAX), 1);
        assert_int_equal(read_batch(*state, MAX), 0);
    }
    frames_come(*state, 2);
    assert_int_equal(read_batch(*state, MAX), 1);
}

/* A batch counts them, so that they can't hold the caller. */
static void test_frames_without_memory_are_lost(void **state)
{
    struct fixture *f = *state;
    struct nst_pkt *hoard[MAX];
    uint64_t lost, refused;
    size_t n = 0;

    while (n < MAX && (hoard[n] = nst_pkt_alloc(f->stack, 65535)))
        n++;
    assert_in_range(n, 1, MAX - 1);
    frames_come(f, 3);
    assert_int_equal(read_batch(f, 2), 0);
    nst_device_losses(&f->device, &lost, &refused);
    assert_int_equal(lost, 2);
    while (n > 0)
        nst_pkt_free(hoard[--n]);
    assert_int_equal(read_batch(f, 2), 1);
}

static void test_a_broken_device_is_an_error(void **state)
{
    struct fixture *f = *state;
    int fd = f->device.fd;

    f->device.fd = -1;
    assert_int_equal(read_batch(f, MAX), -EBADF);
    f->device.fd = fd;
}

#define device_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        device_test(test_all_that_is_there),
        device_test(test_few_are_read_without_a_look_for_more),
        device_test(test_fewer_are_expected_from_then_on),
        device_test(test_more_are_looked_for_now_and_then),
        device_test(test_an_empty_device_confirms),
        device_test(test_frames_without_memory_are_lost),
        device_test(test_a_broken_device_is_an_error),
    };
    return cmocka_run_group_tests_name("io/device", tests, NULL, NULL);
}
