/* The sandbox: what a process in it can do, what fails, and what ends it. */
#define _GNU_SOURCE
#include "daemon/sandbox.h"

#include "../unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENDED (128 + SIGSYS)

/* The exit code of a process that does it in the sandbox: what `act` returns, or ENDED. */
static int in_sandbox(int (*act)(void), pid_t child)
{
    struct nst_fault fault;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        close(STDERR_FILENO);
        _exit(nst_sandbox_enter(child, &fault) == 0 && nst_sandbox_close(child, &fault) == 0 ? act()
                                                                                             : 99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- What goes on ------------------------------------------------------------------------ */

static int ends[2]; /* of a pipe */

static int use_what_there_is(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), queued = -1;
    char *memory = malloc(1 << 20);

    if (!memory || fd < 0 || ioctl(fd, FIONREAD, &queued) != 0 || queued != 0 ||
        write(ends[1], "x", 1) != 1 || read(ends[0], memory, 1) != 1)
        return 1;
    free(memory);
    return close(fd) == 0 && getpid() > 1 ? 0 : 2;
}

static void test_what_goes_on(void **state)
{
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(in_sandbox(use_what_there_is, 0), 0);
    close(ends[0]);
    close(ends[1]);
}

/* The keeper does that. */
static int remove_file(void)
{
    return unlink("/nothing") == -1 && errno == EACCES && rmdir("/nothing") == -1 && errno == EACCES
               ? 0
               : 1;
}

static void test_what_is_refused(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(remove_file, 0), 0);
}

static int signal_child(void)
{
    return kill(getppid(), 0);
}

static void test_signals(void **state)
{
    (void)state;
    assert_int_equal(in_sandbox(signal_child, 0), ENDED);
    assert_int_equal(in_sandbox(signal_child, getpid() + 1), ENDED);
}

/* ---- What ends it ------------------------------------------------------------------------ */

static int open_file(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static int open_network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int open_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int start_program(void)
{
    char *argv[] = {(char *)"true", NULL};

    return execv("/bin/true", argv);
}

static int start_process(void)
{
    return fork() < 0;
}

static int become_root(void)
{
    return setuid(0);
}

static int type_for_others(void)
{
    return ioctl(0, TIOCSTI, "x");
}

static int take_the_flags(void)
{
    return fcntl(0, F_SETFL, O_ASYNC);
}

static int make_code(void)
{
    static char page[4096];

    return mprotect(page, 1, PROT_READ | PROT_EXEC);
}

static int replace_the_handler(void)
{
    return signal(SIGSYS, SIG_IGN) == SIG_ERR;
}

static void test_what_ends_it(void **state)
{
    static int (*const acts[])(void) = {
        open_file,   open_network,    open_netlink,   start_program, start_process,
        become_root, type_for_others, take_the_flags, make_code,     replace_the_handler,
    };
    (void)state;

    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        assert_int_equal(in_sandbox(acts[i], 0), ENDED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_on),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_what_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
