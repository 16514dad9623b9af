/* Tests that change interfaces and rules do so in a network namespace of their own, which ends with
 * the process. It needs root, or the right to make a user namespace; without either the tests are
 * skipped, visibly. */
#ifndef NST_TESTS_NETNS_H
#define NST_TESTS_NETNS_H

#include "../unit.h"

#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

static bool in_netns;

/* First thing in each test that needs the namespace. */
#define NEED_NETNS()   \
    do {               \
        if (!in_netns) \
            skip();    \
    } while (0)

static inline void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, text, strlen(text)) < 0)
        perror(path);
    close(fd);
}

/* Enters a new network namespace; as another user than root, a user namespace first. */
static inline void enter_netns(void)
{
    char map[64];
    unsigned uid = geteuid(), gid = getegid();

    in_netns = unshare(CLONE_NEWNET | (uid ? CLONE_NEWUSER : 0)) == 0;
    if (!in_netns || !uid)
        return;
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_text("/proc/self/gid_map", map);
}

/* Runs a shell command that must succeed and returns what it prints, until the next call. */
__attribute__((format(printf, 1, 2))) static inline const char *shell(const char *format, ...)
{
    static char output[16384];
    char command[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t len = fread(output, 1, sizeof output - 1, pipe);
    output[len] = 0;
    if (pclose(pipe) != 0)
        fail_msg("fails: %s", command);
    return output;
}

/* Gives up all rights of this process, for good. */
static inline void drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    if (syscall(SYS_capset, &header, data) < 0)
        _exit(99);
}

#endif
