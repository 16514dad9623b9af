/* Who owns a name. A lock file beside the socket (NAME.lock) is held with flock() by the instance
 * that bears the name; the kernel releases it however the process ends. So whoever gets the lock
 * knows that a socket found there is a leftover, and may replace it; two starters can't both think
 * so.
 *
 * The lock file is removed at the end, which opens a gap: a starter may hold the lock of a file
 * that has just lost its name, while another makes a new one. Hence a lock counts only if the
 * locked file is still the one that bears the name. The last instance removes the directory too, so
 * that also may vanish under a starter until its own lock file is in there. */
#include "ipc/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    DIR_MODE = 0755,
    BACKLOG = 64,
    LOCK_ATTEMPTS = 16, /* each lost to an instance that ended in that very moment */
};

static const char *remedy(int err)
{
    return err == EACCES || err == EPERM
               ? ": run this as root, or choose another place with $NETSTACK_SOCKET"
               : "";
}

/* Says what failed and what to do, returns -err. */
__attribute__((format(printf, 3, 4))) static int fail(char *why, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(why, NST_IPC_WHY, format, args);
    va_end(args);
    if (len >= 0 && len < NST_IPC_WHY && err != EADDRINUSE)
        snprintf(why + len, NST_IPC_WHY - (size_t)len, ": %s%s", strerror(err), remedy(err));
    return -err;
}

static bool in_our_dir(const char *path)
{
    return strncmp(path, NST_IPC_DIR "/", sizeof NST_IPC_DIR) == 0;
}

/* NST_IPC_DIR is made when it is missing; a directory chosen by $NETSTACK_SOCKET must exist. */
static int make_dir(const char *path, char *why)
{
    if (!in_our_dir(path))
        return 0;
    if (mkdir(NST_IPC_DIR, DIR_MODE) < 0)
        return errno == EEXIST ? 0 : fail(why, errno, "cannot create " NST_IPC_DIR);
    if (chmod(NST_IPC_DIR, DIR_MODE) == 0 || errno == ENOENT) /* whatever the umask is */
        return 0;
    return fail(why, errno, "cannot open " NST_IPC_DIR);
}

/* Removes NST_IPC_DIR if it is empty and just as we would make it again. */
static void remove_dir(void)
{
    struct stat st;

    if (lstat(NST_IPC_DIR, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 07777) == DIR_MODE)
        rmdir(NST_IPC_DIR);
}

static bool names_file(const char *path, int fd)
{
    struct stat named, open;

    return lstat(path, &named) == 0 && fstat(fd, &open) == 0 && named.st_dev == open.st_dev &&
           named.st_ino == open.st_ino;
}

/* -EWOULDBLOCK when somebody else holds the lock; -ESTALE when the file lost its name meanwhile;
 * -ENOENT when there is no such directory. */
static int lock_once(struct nst_ipc_listener *l)
{
    int fd = open(l->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int err = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
    if (!err && !names_file(l->lock_path, fd))
        err = -ESTALE;
    if (err)
        close(fd);
    else
        l->lock_fd = fd;
    return err;
}

static bool lost_to_an_ending_one(int err)
{
    return err == -ESTALE || err == -ENOENT;
}

static int lock(struct nst_ipc_listener *l, char *why)
{
    int err = -ESTALE;

    for (int i = 0; i < LOCK_ATTEMPTS && lost_to_an_ending_one(err); i++)
        if ((err = make_dir(l->path, why)) || (err = lock_once(l)) == -EWOULDBLOCK)
            return err;
    return err ? fail(why, -err, "cannot lock %s", l->lock_path) : 0;
}

/* The process that listens there: its id, 0 when nobody does, -1 when it is too busy to tell. */
static pid_t listening(const struct sockaddr_un *addr)
{
    struct ucred cred = {0};
    socklen_t len = sizeof cred;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return 0;
    if (connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0)
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
    else if (errno == EAGAIN)
        cred.pid = -1;
    close(fd);
    return cred.pid;
}

static int in_use(const char *name, pid_t pid, char *why)
{
    if (pid > 0)
        return fail(why, EADDRINUSE, "an instance named '%s' is already running (pid %ld)", name,
                    (long)pid);
    return fail(why, EADDRINUSE, "an instance named '%s' is just starting or ending", name);
}

/* With the lock in hand: whatever socket lies there is a leftover. Anything else is left alone, and
 * makes bind() fail. */
static void remove_leftover(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

/* Nobody has cause to pass descriptors to the daemon, and closing those can be made to take long
 * (see packet.c). Connections inherit this from the listening socket. Kernels before 6.16 don't
 * know it. */
static void refuse_descriptors(int fd)
{
    enum { PASSRIGHTS = 83 }; /* SO_PASSRIGHTS, newer than Debian 12's headers */
    const int off = 0;

    setsockopt(fd, SOL_SOCKET, PASSRIGHTS, &off, sizeof off);
}

/* Any local user may connect; who may do what is decided by SO_PEERCRED. Nobody can connect before
 * listen(), so the mode is right when the first one does. */
static int open_socket(struct nst_ipc_listener *l, const struct sockaddr_un *addr, char *why)
{
    struct stat st;

    l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return fail(why, errno, "cannot make a UNIX socket");
    if (bind(l->fd, (const struct sockaddr *)addr, sizeof *addr) < 0)
        return fail(why, errno == EADDRINUSE ? EEXIST : errno, "cannot make the socket %s",
                    l->path);
    if (lstat(l->path, &st) < 0)
        return fail(why, errno, "cannot make the socket %s", l->path);
    refuse_descriptors(l->fd);
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    if (chmod(l->path, 0666) < 0 || listen(l->fd, BACKLOG) < 0)
        return fail(why, errno, "cannot listen at %s", l->path);
    return 0;
}

static struct nst_ipc_listener none(void)
{
    return (struct nst_ipc_listener){.fd = -1, .lock_fd = -1};
}

/* NAME.sock has NAME.lock; a path without that ending gets ".lock" behind it. */
static void name_lock(struct nst_ipc_listener *l)
{
    size_t len = strlen(l->path);

    if (len > 5 && strcmp(l->path + len - 5, ".sock") == 0)
        len -= 5;
    snprintf(l->lock_path, sizeof l->lock_path, "%.*s.lock", (int)len, l->path);
}

static int listen_locked(struct nst_ipc_listener *l, const char *name,
                         const struct sockaddr_un *addr, char *why)
{
    pid_t pid = listening(addr); /* somebody may have removed the lock file under a running one */

    if (pid != 0)
        return in_use(name, pid, why);
    remove_leftover(l->path);
    return open_socket(l, addr, why);
}

int nst_ipc_listen(struct nst_ipc_listener *out, const char *name, char why[NST_IPC_WHY])
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct nst_ipc_listener l = none();
    int err = nst_ipc_path(l.path, name, why);

    if (err)
        return err;
    memcpy(addr.sun_path, l.path, sizeof addr.sun_path);
    name_lock(&l);
    err = lock(&l, why);
    if (err == -EWOULDBLOCK)
        return in_use(name, listening(&addr), why);
    if (err)
        return err;
    err = listen_locked(&l, name, &addr, why);
    if (err)
        nst_ipc_unlisten(&l);
    else
        *out = l;
    return err;
}

void nst_ipc_unlisten(struct nst_ipc_listener *l)
{
    struct stat st;

    if (l->ino && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
    if (l->lock_fd >= 0 && names_file(l->lock_path, l->lock_fd)) {
        unlink(l->lock_path);
        if (in_our_dir(l->path))
            remove_dir();
    }
    if (l->fd >= 0)
        close(l->fd);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
    *l = none();
}
