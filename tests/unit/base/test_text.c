#include "core/base/text.h"

#include "../unit.h"

static void test_starts_empty(void **state)
{
    char buf[4] = "xxx";
    struct nst_text t = nst_text_init(buf, sizeof buf);
    (void)state;

    assert_string_equal(buf, "");
    assert_int_equal(t.len, 0);
}

static void test_appends(void **state)
{
    char buf[32];
    struct nst_text t = nst_text_init(buf, sizeof buf);
    (void)state;

    nst_text_str(&t, "port");
    nst_text_char(&t, ' ');
    nst_text_dec(&t, 53);
    nst_text_str(&t, ", 0x");
    nst_text_hex(&t, 0x1f, 4);
    assert_string_equal(buf, "port 53, 0x001f");
    assert_int_equal(t.len, strlen(buf));
}

static void test_decimal(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {
        {0, "0"}, {9, "9"}, {10, "10"}, {65535, "65535"}, {UINT64_MAX, "18446744073709551615"}};
    char buf[32];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct nst_text t = nst_text_init(buf, sizeof buf);
        nst_text_dec(&t, rows[i].value);
        assert_string_equal(buf, rows[i].text);
    }
}

static void test_hexadecimal(void **state)
{
    static const struct {
        uint64_t value;
        unsigned digits;
        const char *text;
    } rows[] = {{0, 0, "0"},
                {0, 1, "0"},
                {0, 2, "00"},
                {0xabc, 1, "abc"},
                {0xabc, 2, "abc"},
                {0xabc, 6, "000abc"},
                {1, 20, "00000000000000000001"},
                {UINT64_MAX, 1, "ffffffffffffffff"}};
    char buf[32];
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct nst_text t = nst_text_init(buf, sizeof buf);
        nst_text_hex(&t, rows[i].value, rows[i].digits);
        assert_string_equal(buf, rows[i].text);
    }
}

/* Whatever the capacity, the text is the beginning of the whole and nothing behind it is touched.
 */
static void test_is_cut_where_the_buffer_ends(void **state)
{
    static const char whole[] = "a-4294967296-00ff";
    (void)state;

    for (size_t cap = 1; cap <= sizeof whole; cap++) {
        char buf[sizeof whole + 1];
        memset(buf, '!', sizeof buf);
        struct nst_text t = nst_text_init(buf, cap);
        nst_text_str(&t, "a-");
        nst_text_dec(&t, UINT64_C(1) << 32);
        nst_text_char(&t, '-');
        nst_text_hex(&t, 0xff, 4);
        assert_int_equal(t.len, cap - 1);
        assert_int_equal(strlen(buf), cap - 1);
        assert_memory_equal(buf, whole, cap - 1);
        assert_int_equal(buf[cap], '!');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty),
        cmocka_unit_test(test_appends),
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_hexadecimal),
        cmocka_unit_test(test_is_cut_where_the_buffer_ends),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
