/* Another process's memory and descriptors: this one forks, and looks into its child. */
#include "../unit.h"

#include "run/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static struct child {
    pid_t pid;
    uint8_t *page; /* of the child's own; the same address here holds something else */
    int pipe[2];
} child;

/* A child with a page of 'c' and a page behind it that isn't there. */
static int start(void **state)
{
    (void)state;
    child.page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (child.page == MAP_FAILED || munmap(child.page + PAGE, PAGE) != 0 || pipe(child.pipe) != 0)
        return -1;
    memset(child.page, 'p', PAGE);
    int ready[2];
    if (pipe(ready) != 0 || (child.pid = fork()) < 0)
        return -1;
    if (child.pid == 0) {
        memset(child.page, 'c', PAGE);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    char byte;
    bool is_ready = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    close(ready[1]);
    close(child.pipe[0]); /* which the child still has */
    return is_ready ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    if (child.pid > 0) {
        kill(child.pid, SIGKILL);
        waitpid(child.pid, NULL, 0);
    }
    munmap(child.page, PAGE);
    close(child.pipe[1]);
    return 0;
}

static uint64_t at(size_t offset)
{
    return (uintptr_t)child.page + offset;
}

static void test_read(void **state)
{
    char text[8] = {0};

    (void)state;
    assert_int_equal(nst_run_target_read(child.pid, text, at(0), 4), 0);
    assert_string_equal(text, "cccc");
    assert_int_equal(nst_run_target_read(child.pid, text, at(PAGE - 4), 4), 0);
    assert_int_equal(nst_run_target_read(child.pid, text, at(PAGE - 4), 5), -EFAULT);
    assert_int_equal(nst_run_target_read(child.pid, text, 0, 1), -EFAULT);
    assert_int_equal(nst_run_target_read(child.pid, text, UINT64_MAX, 1), -EFAULT);
    assert_int_equal(nst_run_target_read(child.pid, text, 0, 0), 0);
}

static void test_write(void **state)
{
    char text[4];

    (void)state;
    assert_int_equal(nst_run_target_write(child.pid, at(10), "abc", 3), 0);
    assert_int_equal(nst_run_target_read(child.pid, text, at(10), 4), 0);
    assert_memory_equal(text, "abcc", 4);
    assert_int_equal(child.page[10], 'p');
    assert_int_equal(nst_run_target_write(child.pid, at(PAGE), "abc", 3), -EFAULT);
}

/* More vectors than go at once, empty ones among them. */
static void test_vectors(void **state)
{
    enum { VECTORS = 200 };
    struct iovec iov[VECTORS];
    uint8_t bytes[VECTORS], back[VECTORS];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        iov[i] = (struct iovec){child.page + PAGE - 1 - 2 * i, i % 3 ? 1 : 0};
        len += iov[i].iov_len;
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(nst_run_target_scatter(child.pid, iov, VECTORS, bytes, len), 0);
    assert_int_equal(nst_run_target_gather(child.pid, back, iov, VECTORS, len), 0);
    assert_memory_equal(back, bytes, len);
    /* Fewer bytes than they hold, and none but what is there. */
    assert_int_equal(nst_run_target_gather(child.pid, back, iov, VECTORS, 1), 0);
    assert_int_equal(nst_run_target_gather(child.pid, back, iov, VECTORS, len + 1), -EFAULT);
    iov[VECTORS - 1].iov_base = child.page + PAGE;
    assert_int_equal(nst_run_target_gather(child.pid, back, iov, VECTORS, len), -EFAULT);
}

static void test_descriptor(void **state)
{
    struct nst_run_pidfds pidfds = {0};
    char byte;

    (void)state;
    int fd = nst_run_target_fd(&pidfds, child.pid, child.pipe[0]);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(child.pipe[1], "x", 1), 1);
    assert_int_equal(read(fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(fd);
    assert_int_equal(nst_run_target_fd(&pidfds, child.pid, 1000), -EBADF);
    assert_int_equal(nst_run_target_fd(&pidfds, child.pid, -1), -EBADF);
    assert_int_equal(nst_run_target_process(&pidfds, child.pid), child.pid);
    for (size_t i = 0; i < NST_RUN_PIDFDS; i++)
        if (pidfds.slot[i].tid)
            close(pidfds.slot[i].fd);
}

/* An entry whose thread has ended is not believed. */
static void test_ended(void **state)
{
    struct nst_run_pidfds pidfds = {0};
    pid_t other = fork();

    (void)state;
    if (other == 0)
        for (;;)
            pause();
    int fd = nst_run_target_fd(&pidfds, other, STDIN_FILENO);
    assert_true(fd >= 0);
    close(fd);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(nst_run_target_fd(&pidfds, other, STDIN_FILENO), -ESRCH);
    assert_int_equal(nst_run_target_fd(&pidfds, INT32_MAX, STDIN_FILENO), -ESRCH);
    for (size_t i = 0; i < NST_RUN_PIDFDS; i++)
        if (pidfds.slot[i].tid)
            close(pidfds.slot[i].fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),    cmocka_unit_test(test_write),
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_descriptor),
        cmocka_unit_test(test_ended),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
