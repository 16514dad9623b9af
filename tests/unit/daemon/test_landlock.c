/* Landlock: what a process can't do any more, as far as its kernel knows how to forbid that. */
#define _GNU_SOURCE
#include "daemon/landlock.h"

#include "../unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFUSED = 99 }; /* to enter */

static char path[] = "/tmp/netstack-landlock-XXXXXX"; /* a file */
static struct sockaddr_un outside;                    /* an abstract name that listens */

/* What `act` says, a positive errno value or 0, in a process that has entered. */
static int within(int (*act)(void), bool signals)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || nst_landlock_enter(signals) ? REFUSED
                                                                                    : act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int outcome(int result)
{
    return result < 0 ? errno : 0;
}

static int read_file(void)
{
    return outcome(open(path, O_RDONLY));
}

static int write_file(void)
{
    return outcome(open(path, O_WRONLY));
}

static int list_directory(void)
{
    return outcome(open("/tmp", O_RDONLY | O_DIRECTORY));
}

static int remove_file(void)
{
    return outcome(unlink(path));
}

static int truncate_file(void)
{
    return outcome(truncate(path, 0));
}

static int bind_tcp(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    return outcome(bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&in, sizeof in));
}

static int connect_outside(void)
{
    return outcome(
        connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&outside, sizeof outside));
}

static int signal_parent(void)
{
    return outcome(kill(getppid(), 0));
}

static void test_what_is_forbidden(void **state)
{
    static const struct {
        int (*act)(void);
        int abi, err;
    } cases[] = {
        {read_file, 1, EACCES},      {write_file, 1, EACCES},    {list_directory, 1, EACCES},
        {remove_file, 1, EACCES},    {truncate_file, 3, EACCES}, {bind_tcp, 4, EACCES},
        {connect_outside, 6, EPERM}, {signal_parent, 6, EPERM},
    };
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int expected = abi < 1 ? REFUSED : abi < cases[i].abi ? 0 : cases[i].err;
        assert_int_equal(within(cases[i].act, false), expected);
    }
}

static void test_signals(void **state)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    (void)state;

    assert_int_equal(within(signal_parent, true), abi < 1 ? REFUSED : 0);
}

/* As the daemon does with the sockets that it has lent. */
static int connect_own(void)
{
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    socklen_t len = sizeof own;
    int server = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(server, (struct sockaddr *)&own, sizeof own.sun_family) || listen(server, 1) ||
        getsockname(server, (struct sockaddr *)&own, &len))
        return errno;
    return outcome(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&own, len));
}

static int use_what_is_open(void)
{
    char byte;
    int ends[2];

    return pipe(ends) || write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1;
}

static void test_what_goes_on(void **state)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    (void)state;

    assert_int_equal(within(connect_own, false), abi < 1 ? REFUSED : 0);
    assert_int_equal(within(use_what_is_open, false), abi < 1 ? REFUSED : 0);
}

static int make_surroundings(void **state)
{
    int server = socket(AF_UNIX, SOCK_STREAM, 0), file = mkstemp(path);
    (void)state;

    outside.sun_family = AF_UNIX;
    snprintf(outside.sun_path + 1, sizeof outside.sun_path - 1, "netstack-landlock-%d",
             (int)getpid());
    return file < 0 || close(file) || bind(server, (struct sockaddr *)&outside, sizeof outside) ||
           listen(server, 16);
}

static int remove_surroundings(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_forbidden),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_what_goes_on),
    };

    return cmocka_run_group_tests(tests, make_surroundings, remove_surroundings);
}
