/* The thread whose call is trapped: its memory and its descriptors.
 *
 * It stands still in its call, but other threads share both with it, and a signal may end the call
 * at any moment. So what is read is copied once and judged on the copy; and since a thread's id may
 * be another's once the call has ended, callers ask afterwards whether it still stands. */
#ifndef NST_RUN_TARGET_H
#define NST_RUN_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Copies `len` bytes from or to its memory. -EFAULT if any of them is not there. */
int nst_run_target_read(pid_t tid, void *to, uint64_t from, size_t len);
int nst_run_target_write(pid_t tid, uint64_t to, const void *from, size_t len);

/* Gathers into `to`, or scatters from `from`, `len` bytes, which the vectors hold at least. Their
 * bases are addresses over there. -EFAULT. */
int nst_run_target_gather(pid_t tid, void *to, const struct iovec *iov, size_t n, size_t len);
int nst_run_target_scatter(pid_t tid, const struct iovec *iov, size_t n, const void *from,
                           size_t len);

#define NST_RUN_PIDFDS 64

/* Threads that have called lately, as pidfds. A pidfd stands for its thread for ever, so an entry
 * is true or dead, never another's. */
struct nst_run_pidfds {
    struct {
        pid_t tid; /* 0: none */
        pid_t process;
        int fd;
    } slot[NST_RUN_PIDFDS];
};

/* A duplicate of a descriptor of the thread's, close-on-exec, the caller's. -EBADF, -EMFILE,
 * -ESRCH; -EPERM where this process may not look into that one. */
int nst_run_target_fd(struct nst_run_pidfds *pidfds, pid_t tid, int fd);

/* Whether the thread's descriptor is closed by execve(). */
bool nst_run_target_cloexec(pid_t tid, int fd);

/* The process that the thread belongs to; 0 if it isn't known. */
pid_t nst_run_target_process(struct nst_run_pidfds *pidfds, pid_t tid);

#endif
