/* The socket in the file system: taken once, replaced after a kill, removed exactly. */
#include "ipc/listen.h"

#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char why[NST_IPC_WHY];

static void make_path(char *out, size_t cap, const char *name)
{
    snprintf(out, cap, "%s/%s", fixture_dir, name);
}

static void assert_absent(const char *name)
{
    char path[128];

    make_path(path, sizeof path, name);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_listens_and_cleans_up(void **state)
{
    struct nst_ipc_listener l;
    struct stat st;
    (void)state;

    mode_t mask = umask(077); /* which must not matter */
    assert_int_equal(nst_ipc_listen(&l, "t", why), 0);
    umask(mask);
    assert_int_equal(lstat(fixture_path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0666);
    int fd = raw_connect();
    assert_true(fd >= 0);
    close(fd);
    nst_ipc_unlisten(&l);
    assert_absent("t.sock");
    assert_absent("t.lock");
}

static void test_second_one_is_told(void **state)
{
    struct nst_ipc_listener l, second;
    char expected[NST_IPC_WHY];
    (void)state;

    assert_int_equal(nst_ipc_listen(&l, "t", why), 0);
    assert_int_equal(nst_ipc_listen(&second, "t", why), -EADDRINUSE);
    snprintf(expected, sizeof expected, "an instance named 't' is already running (pid %d)",
             (int)getpid());
    assert_string_equal(why, expected);
    assert_true(raw_connect() >= 0); /* the first one goes on */
    nst_ipc_unlisten(&l);
}

/* Even when somebody removed the lock file: the socket still answers. */
static void test_second_one_without_lock_file(void **state)
{
    struct nst_ipc_listener l, second;
    char path[128];
    (void)state;

    make_path(path, sizeof path, "t.lock");
    assert_int_equal(nst_ipc_listen(&l, "t", why), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(nst_ipc_listen(&second, "t", why), -EADDRINUSE);
    assert_int_equal(access(fixture_path, F_OK), 0);
    nst_ipc_unlisten(&l);
}

static void test_one_that_is_starting(void **state)
{
    struct nst_ipc_listener l;
    char path[128];
    (void)state;

    make_path(path, sizeof path, "t.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(nst_ipc_listen(&l, "t", why), -EADDRINUSE);
    assert_string_equal(why, "an instance named 't' is just starting or ending");
    close(fd);
    unlink(path);
}

static void test_after_a_kill(void **state)
{
    struct nst_ipc_listener l;
    int ready[2];
    char byte;
    (void)state;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(nst_ipc_listen(&l, "t", why) == 0 && write(ready[1], "x", 1) == 1 && pause());
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(access(fixture_path, F_OK), 0);
    assert_int_equal(raw_connect(), -1);
    assert_int_equal(nst_ipc_listen(&l, "t", why), 0);
    int fd = raw_connect();
    assert_true(fd >= 0);
    close(fd);
    nst_ipc_unlisten(&l);
    close(ready[0]);
    close(ready[1]);
}

static void test_other_files_are_left_alone(void **state)
{
    struct nst_ipc_listener l;
    (void)state;

    int fd = open(fixture_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(nst_ipc_listen(&l, "t", why), -EEXIST);
    assert_non_null(strstr(why, "File exists"));
    assert_int_equal(access(fixture_path, F_OK), 0);
    assert_absent("t.lock");
    close(fd);
    unlink(fixture_path);
}

static void test_lock_is_no_symlink(void **state)
{
    struct nst_ipc_listener l;
    char path[128];
    (void)state;

    make_path(path, sizeof path, "t.lock");
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(nst_ipc_listen(&l, "t", why), -ELOOP);
    assert_absent("elsewhere");
    unlink(path);
}

/* Only our own socket is removed: not one that took its place. */
static void test_replaced_socket_stays(void **state)
{
    struct nst_ipc_listener l;
    (void)state;

    assert_int_equal(nst_ipc_listen(&l, "t", why), 0);
    assert_int_equal(unlink(fixture_path), 0);
    int fd = open(fixture_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    nst_ipc_unlisten(&l);
    assert_int_equal(access(fixture_path, F_OK), 0);
    close(fd);
    unlink(fixture_path);
}

static void test_no_directory(void **state)
{
    struct nst_ipc_listener l;
    char path[128];
    (void)state;

    make_path(path, sizeof path, "missing/t.sock");
    setenv("NETSTACK_SOCKET", path, 1);
    assert_int_equal(nst_ipc_listen(&l, "t", why), -ENOENT);
    assert_non_null(strstr(why, "missing/t.lock: No such file or directory"));
    setenv("NETSTACK_SOCKET", fixture_path, 1);
}

/* One of many starters at once gets the name, round after round. */
static void test_race_of_starters(void **state)
{
    enum { STARTERS = 8, ROUNDS = 100 };
    int counter[2], won;
    (void)state;

    assert_int_equal(pipe2(counter, O_NONBLOCK), 0);
    for (int i = 0; i < STARTERS; i++) {
        if (fork() > 0)
            continue;
        struct nst_ipc_listener l;
        for (int round = 0; round < ROUNDS; round++) {
            int err = nst_ipc_listen(&l, "t", why);
            if (err && err != -EADDRINUSE)
                _exit(1);
            if (err)
                continue;
            struct stat st; /* nobody takes the socket from its owner */
            if (lstat(fixture_path, &st) < 0 || st.st_ino != l.ino ||
                write(counter[1], "x", 1) != 1)
                _exit(2);
            nst_ipc_unlisten(&l);
        }
        _exit(0);
    }
    for (int i = 0; i < STARTERS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    char bytes[STARTERS * ROUNDS];
    won = (int)read(counter[0], bytes, sizeof bytes);
    assert_true(won >= 1);
    close(counter[0]);
    close(counter[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listens_and_cleans_up),
        cmocka_unit_test(test_second_one_is_told),
        cmocka_unit_test(test_second_one_without_lock_file),
        cmocka_unit_test(test_one_that_is_starting),
        cmocka_unit_test(test_after_a_kill),
        cmocka_unit_test(test_other_files_are_left_alone),
        cmocka_unit_test(test_lock_is_no_symlink),
        cmocka_unit_test(test_replaced_socket_stays),
        cmocka_unit_test(test_no_directory),
        cmocka_unit_test(test_race_of_starters),
    };
    return cmocka_run_group_tests_name("ipc/listen", tests, fixture_make_dir, fixture_remove_dir);
}
