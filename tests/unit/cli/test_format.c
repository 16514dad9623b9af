/* Figures for people. */
#include "cli/format.h"

#include "../unit.h"

struct row {
    uint64_t value;
    const char *text;
};

static void check(char *(*format)(char *, uint64_t), const struct row *rows, size_t n)
{
    char buf[NST_CLI_FORMAT];

    for (size_t i = 0; i < n; i++)
        assert_string_equal(format(buf, rows[i].value), rows[i].text);
}

static void test_bytes(void **state)
{
    static const struct row rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {67108864, "64.0 MiB"},
        {1099511627776, "1.0 TiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    (void)state;

    check(nst_cli_format_bytes, rows, sizeof rows / sizeof rows[0]);
}

static void test_duration(void **state)
{
    static const struct row rows[] = {
        {0, "0 s"},    {59, "59 s"},        {60, "1 min"},  {90, "1 min 30 s"},  {3600, "1 h"},
        {3605, "1 h"}, {7380, "2 h 3 min"}, {86400, "1 d"}, {187200, "2 d 4 h"},
    };
    (void)state;

    check(nst_cli_format_duration, rows, sizeof rows / sizeof rows[0]);
}

static void test_age(void **state)
{
    static const struct row rows[] = {
        {0, "0.0 s"}, {3249, "3.2 s"}, {59999, "59.9 s"}, {60000, "1 min"}, {90500, "1 min 30 s"}};
    (void)state;

    check(nst_cli_format_age, rows, sizeof rows / sizeof rows[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_age),
    };
    return cmocka_run_group_tests_name("cli/format", tests, NULL, NULL);
}
