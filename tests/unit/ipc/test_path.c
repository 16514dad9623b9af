/* Which socket is meant. */
#include "ipc/path.h"

#include "../unit.h"

#include <errno.h>
#include <stdlib.h>

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("NETSTACK_NAME");
    unsetenv("NETSTACK_SOCKET");
    return 0;
}

static void test_name(void **state)
{
    (void)state;
    assert_string_equal(nst_ipc_name(NULL), "default");
    setenv("NETSTACK_NAME", "", 1);
    assert_string_equal(nst_ipc_name(NULL), "default");
    setenv("NETSTACK_NAME", "lab", 1);
    assert_string_equal(nst_ipc_name(NULL), "lab");
    assert_string_equal(nst_ipc_name("b"), "b");
}

static void test_path(void **state)
{
    char path[NST_IPC_PATH_MAX], why[NST_IPC_WHY];
    (void)state;

    assert_int_equal(nst_ipc_path(path, "a.b_c-9", why), 0);
    assert_string_equal(path, "/run/netstack/a.b_c-9.sock");
    setenv("NETSTACK_SOCKET", "/tmp/here", 1);
    assert_int_equal(nst_ipc_path(path, "default", why), 0);
    assert_string_equal(path, "/tmp/here");
}

static void test_bad_names(void **state)
{
    static const char *const names[] = {
        "",     "..",  ".x",  "-x",       "a/b",
        "../a", "a b", "a\n", "\xc3\xa4", "abcdefghijabcdefghijabcdefghijabc"};
    char path[NST_IPC_PATH_MAX], why[NST_IPC_WHY];
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        why[0] = '\0';
        assert_int_equal(nst_ipc_path(path, names[i], why), -EINVAL);
        assert_string_not_equal(why, "");
    }
    assert_int_equal(nst_ipc_path(path, "abcdefghijabcdefghijabcdefghijab", why), 0);
}

static void test_long_path(void **state)
{
    char path[NST_IPC_PATH_MAX], why[NST_IPC_WHY], name[NST_IPC_PATH_MAX + 1] = "/";
    (void)state;

    memset(name + 1, 'x', NST_IPC_PATH_MAX - 1);
    setenv("NETSTACK_SOCKET", name, 1);
    assert_int_equal(nst_ipc_path(path, "default", why), -ENAMETOOLONG);
    name[NST_IPC_PATH_MAX - 1] = '\0';
    setenv("NETSTACK_SOCKET", name, 1);
    assert_int_equal(nst_ipc_path(path, "default", why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_name, clean_environment),
        cmocka_unit_test_setup(test_path, clean_environment),
        cmocka_unit_test_setup(test_bad_names, clean_environment),
        cmocka_unit_test_setup(test_long_path, clean_environment),
    };
    return cmocka_run_group_tests_name("ipc/path", tests, NULL, NULL);
}
