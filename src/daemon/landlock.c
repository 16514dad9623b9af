/* The rule set has no rule: of all that it handles nothing is allowed. What it may handle, the
 * version of the kernel's interface (ABI) tells; older kernels refuse bits that they don't know. */
#include "daemon/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define FS_TRUNCATE         (UINT64_C(1) << 14) /* LANDLOCK_ACCESS_FS_* */
#define FS_IOCTL_DEV        (UINT64_C(1) << 15)
#define NET_BIND_TCP        (UINT64_C(1) << 0) /* LANDLOCK_ACCESS_NET_* */
#define NET_CONN_TCP        (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX (UINT64_C(1) << 0) /* LANDLOCK_SCOPE_* */
#define SCOPE_SIGNAL        (UINT64_C(1) << 1)

/* struct landlock_ruleset_attr as it has become. */
struct ruleset {
    uint64_t fs;
    uint64_t net;    /* since ABI 4 */
    uint64_t scoped; /* since ABI 6 */
};

/* Fills it in for the ABI; returns its length there. */
static size_t fill(struct ruleset *r, long abi, bool signals)
{
    *r = (struct ruleset){.fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    if (abi >= 2)
        r->fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        r->fs |= FS_TRUNCATE;
    if (abi >= 5)
        r->fs |= FS_IOCTL_DEV;
    if (abi < 4)
        return offsetof(struct ruleset, net);
    r->net = NET_BIND_TCP | NET_CONN_TCP;
    if (abi < 6)
        return offsetof(struct ruleset, scoped);
    r->scoped = SCOPE_ABSTRACT_UNIX | (signals ? 0 : SCOPE_SIGNAL);
    return sizeof *r;
}

int nst_landlock_enter(bool signals)
{
    struct ruleset ruleset;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 0)
        return -errno;
    size_t len = fill(&ruleset, abi, signals);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, len, 0);
    if (fd < 0)
        return -errno;
    int err = syscall(SYS_landlock_restrict_self, fd, 0) != 0 ? -errno : 0;
    close(fd);
    return err;
}
