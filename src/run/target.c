#include "run/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* since Linux 6.9 */
#endif

enum { VECTORS = 64 }; /* at once; the kernel takes up to IOV_MAX of them */

/* ---- Memory ------------------------------------------------------------------------------ */

int nst_run_target_read(pid_t tid, void *to, uint64_t from, size_t len)
{
    struct iovec here = {to, len}, there = {(void *)(uintptr_t)from, len};

    return len == 0 || process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

int nst_run_target_write(pid_t tid, uint64_t to, const void *from, size_t len)
{
    struct iovec here = {(void *)(uintptr_t)from, len}, there = {(void *)(uintptr_t)to, len};

    return len == 0 || process_vm_writev(tid, &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

/* The next few vectors, cut to `len` bytes in all, into `part`; returns their number, and sets
 * `*bytes` to what they hold. */
static size_t cut(struct iovec part[VECTORS], const struct iovec *iov, size_t n, size_t len,
                  size_t *bytes)
{
    size_t count = 0;

    *bytes = 0;
    for (; count < n && count < VECTORS && *bytes < len; count++) {
        part[count] = iov[count];
        if (part[count].iov_len > len - *bytes)
            part[count].iov_len = len - *bytes;
        *bytes += part[count].iov_len;
    }
    return count;
}

typedef ssize_t mover(pid_t, const struct iovec *, unsigned long, const struct iovec *,
                      unsigned long, unsigned long);

static int move(mover *transfer, pid_t tid, uint8_t *local, const struct iovec *iov, size_t n,
                size_t len)
{
    struct iovec part[VECTORS];
    size_t bytes;

    while (len > 0) {
        size_t count = cut(part, iov, n, len, &bytes);
        struct iovec here = {local, bytes};
        if (count == 0 || (bytes && transfer(tid, &here, 1, part, count, 0) != (ssize_t)bytes))
            return -EFAULT;
        local += bytes;
        len -= bytes;
        iov += count;
        n -= count;
    }
    return 0;
}

int nst_run_target_gather(pid_t tid, void *to, const struct iovec *iov, size_t n, size_t len)
{
    return move(process_vm_readv, tid, to, iov, n, len);
}

int nst_run_target_scatter(pid_t tid, const struct iovec *iov, size_t n, const void *from,
                           size_t len)
{
    return move(process_vm_writev, tid, (uint8_t *)(uintptr_t)from, iov, n, len);
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/* The process that a thread belongs to; 0 if there is no such thread. */
static pid_t process_of(pid_t tid)
{
    char path[64], line[256];
    int tgid = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Tgid: %d", &tgid) == 1)
            break;
    if (status)
        fclose(status);
    return tgid;
}

bool nst_run_target_cloexec(pid_t tid, int fd)
{
    char path[64], line[256];
    unsigned flags = 0;

    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)tid, fd);
    FILE *info = fopen(path, "re");
    while (info && fgets(line, sizeof line, info))
        if (sscanf(line, "flags: %o", &flags) == 1)
            break;
    if (info)
        fclose(info);
    return flags & O_CLOEXEC;
}

/* Fills a slot for the thread. Older kernels know pidfds of whole processes only. */
static int open_slot(struct nst_run_pidfds *pidfds, unsigned i, pid_t tid)
{
    pid_t process = process_of(tid);
    long fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);

    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_pidfd_open, process, 0);
    if (fd < 0)
        return -errno;
    if (pidfds->slot[i].tid)
        close(pidfds->slot[i].fd);
    pidfds->slot[i].tid = tid;
    pidfds->slot[i].process = process;
    pidfds->slot[i].fd = (int)fd;
    return 0;
}

int nst_run_target_fd(struct nst_run_pidfds *pidfds, pid_t tid, int fd)
{
    unsigned i = (unsigned)tid % NST_RUN_PIDFDS;
    bool fresh = pidfds->slot[i].tid != tid;
    int err = fresh ? open_slot(pidfds, i, tid) : 0;

    if (err)
        return err;
    long dup = syscall(SYS_pidfd_getfd, pidfds->slot[i].fd, fd, 0);
    if (dup < 0 && errno == ESRCH && !fresh) { /* its thread has ended; the id is another's now */
        if ((err = open_slot(pidfds, i, tid)) != 0)
            return err;
        dup = syscall(SYS_pidfd_getfd, pidfds->slot[i].fd, fd, 0);
    }
    return dup < 0 ? -errno : (int)dup;
}

pid_t nst_run_target_process(struct nst_run_pidfds *pidfds, pid_t tid)
{
    unsigned i = (unsigned)tid % NST_RUN_PIDFDS;

    if (pidfds->slot[i].tid != tid && open_slot(pidfds, i, tid) != 0)
        return 0;
    return pidfds->slot[i].process;
}
