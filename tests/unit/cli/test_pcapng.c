/* The capture file against literal bytes (of a little-endian machine). */
#include "cli/pcapng.h"

#include "output.h"

#include <errno.h>

static struct output out;

static int begin(void **state)
{
    (void)state;
    output_init(&out);
    return 0;
}

static int end(void **state)
{
    (void)state;
    output_fini(&out);
    return 0;
}

#define EXPECT(bytes) expect(bytes, sizeof bytes - 1)

static void expect(const char *bytes, size_t len)
{
    fflush(out.stream);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.text, bytes, len);
}

static void test_section(void **state)
{
    (void)state;
    assert_int_equal(nst_pcapng_section(out.stream, "app 1"), 0);
    EXPECT("\x0a\x0d\x0d\x0a\x2c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
           "\4\0\5\0app 1\0\0\0\0\0\0\0\x2c\0\0\0");
}

static void test_ethernet(void **state)
{
    (void)state;
    assert_int_equal(nst_pcapng_interface(out.stream, "tun0", NST_MEDIUM_ETHERNET, 96), 0);
    EXPECT(
        "\1\0\0\0\x28\0\0\0\1\0\0\0\x60\0\0\0\2\0\4\0tun0\x09\0\1\0\x09\0\0\0\0\0\0\0\x28\0\0\0");
}

static void test_ip(void **state)
{
    (void)state;
    assert_int_equal(nst_pcapng_interface(out.stream, "t", NST_MEDIUM_IP, 0), 0);
    EXPECT("\1\0\0\0\x28\0\0\0\x65\0\0\0\0\0\0\0\2\0\1\0t\0\0\0\x09\0\1\0\x09\0\0\0\0\0\0\0\x28\0\0"
           "\0");
}

static void test_packet(void **state)
{
    const struct nst_pcapng_packet packet = {.interface = 1,
                                             .time_ns = 0x0102030405060708,
                                             .direction = NST_PCAPNG_OUT,
                                             .data = (const uint8_t *)"abcde",
                                             .len = 5,
                                             .full_len = 9};
    (void)state;

    assert_int_equal(nst_pcapng_packet(out.stream, &packet), 0);
    EXPECT("\6\0\0\0\x34\0\0\0\1\0\0\0\4\3\2\1\x08\7\6\5\5\0\0\0\x09\0\0\0abcde\0\0\0"
           "\2\0\4\0\2\0\0\0\0\0\0\0\x34\0\0\0");
}

static void test_packet_with_comment_and_losses(void **state)
{
    const struct nst_pcapng_packet packet = {.direction = NST_PCAPNG_IN,
                                             .comment = "dropped: x: y",
                                             .lost = 3,
                                             .data = (const uint8_t *)"abcd",
                                             .len = 4,
                                             .full_len = 4};
    (void)state;

    assert_int_equal(nst_pcapng_packet(out.stream, &packet), 0);
    EXPECT("\6\0\0\0\x50\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0\4\0\0\0abcd"
           "\2\0\4\0\1\0\0\0\4\0\x08\0\3\0\0\0\0\0\0\0\1\0\x0d\0dropped: x: y\0\0\0"
           "\0\0\0\0\x50\0\0\0");
}

static void test_empty_packet(void **state)
{
    const struct nst_pcapng_packet packet = {.direction = NST_PCAPNG_IN, .full_len = 60};
    (void)state;

    assert_int_equal(nst_pcapng_packet(out.stream, &packet), 0);
    EXPECT("\6\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x3c\0\0\0"
           "\2\0\4\0\1\0\0\0\0\0\0\0\x2c\0\0\0");
}

/* A disk that is full is noticed with the block that doesn't fit. */
static void test_full_disk(void **state)
{
    FILE *full = fopen("/dev/full", "w");
    (void)state;

    assert_non_null(full);
    setvbuf(full, NULL, _IONBF, 0);
    assert_int_equal(nst_pcapng_section(full, "x"), -ENOSPC);
    fclose(full);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_section),
        TEST(test_ethernet),
        TEST(test_ip),
        TEST(test_packet),
        TEST(test_packet_with_comment_and_losses),
        TEST(test_empty_packet),
        TEST(test_full_disk),
    };
    return cmocka_run_group_tests_name("cli/pcapng", tests, NULL, NULL);
}
