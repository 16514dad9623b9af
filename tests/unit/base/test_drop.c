#include "core/base/drop.h"

#include "netstack/netstack.h"

#include "../unit.h"

static void test_names_and_numbers(void **state)
{
    (void)state;

    assert_string_equal(nst_drop_name(1), "link_down");
    assert_string_equal(nst_drop_name(NST_DROP_ip_checksum), "ip_checksum");
    assert_string_equal(nst_drop_text(NST_DROP_ip_checksum), "wrong IPv4 header checksum");
}

static void test_every_reason_has_a_name_of_its_own(void **state)
{
    size_t n = nst_drop_count();
    (void)state;

    for (uint16_t i = 1; i <= n; i++) {
        assert_non_null(nst_drop_name(i));
        assert_true(strlen(nst_drop_text(i)) > 0);
        for (uint16_t j = 1; j < i; j++)
            assert_string_not_equal(nst_drop_name(i), nst_drop_name(j));
    }
}

static void test_out_of_range(void **state)
{
    (void)state;

    assert_null(nst_drop_name(NST_DROP_NONE));
    assert_null(nst_drop_text(NST_DROP_NONE));
    assert_null(nst_drop_name((uint16_t)(nst_drop_count() + 1)));
    assert_null(nst_drop_text((uint16_t)(nst_drop_count() + 1)));
    assert_null(nst_drop_name(UINT16_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_numbers),
        cmocka_unit_test(test_every_reason_has_a_name_of_its_own),
        cmocka_unit_test(test_out_of_range),
    };
    return cmocka_run_group_tests_name("drop", tests, NULL, NULL);
}
