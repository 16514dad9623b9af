/* Columns for people. */
#include "cli/table.h"

#include "output.h"

#define ROW(table, ...) nst_cli_table_row(table, (const char *const[]){__VA_ARGS__})

static void test_alignment(void **state)
{
    struct nst_cli_table *table = nst_cli_table_new("lrl");
    struct output out;
    (void)state;

    output_init(&out);
    ROW(table, "a", "1", "first");
    ROW(table, "long name", "12345", NULL);
    ROW(table, NULL, "22", "x");
    assert_int_equal(nst_cli_table_print_take(table, out.stream, 2), 0);
    assert_output(&out, "  a              1  first\n"
                        "  long name  12345\n"
                        "                22  x\n");
    output_fini(&out);
}

static void test_column_without_text_is_left_out(void **state)
{
    struct nst_cli_table *table = nst_cli_table_new("lll");
    struct output out;
    (void)state;

    output_init(&out);
    ROW(table, "a", "", "b");
    ROW(table, "c", "", "d");
    assert_int_equal(nst_cli_table_print_take(table, out.stream, 0), 0);
    assert_output(&out, "a  b\nc  d\n");
    output_fini(&out);
}

static void test_empty(void **state)
{
    struct output out;
    (void)state;

    output_init(&out);
    assert_int_equal(nst_cli_table_print_take(nst_cli_table_new("l"), out.stream, 0), 0);
    assert_output(&out, "");
    output_fini(&out);
}

static void test_text_is_tamed(void **state)
{
    struct nst_cli_table *table = nst_cli_table_new("l");
    struct output out;
    (void)state;

    output_init(&out);
    ROW(table, "a\x1b[31m\n\xc3\xa4");
    assert_int_equal(nst_cli_table_print_take(table, out.stream, 0), 0);
    assert_output(&out, "a?[31m???\n");
    output_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_column_without_text_is_left_out),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_text_is_tamed),
    };
    return cmocka_run_group_tests_name("cli/table", tests, NULL, NULL);
}
