/* What the tests of ipc share: a directory of their own, and sockets that talk raw bytes. */
#ifndef NST_TESTS_IPC_FIXTURE_H
#define NST_TESTS_IPC_FIXTURE_H

#include "../unit.h"
#include "ipc/packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char fixture_dir[] = "/tmp/netstack-test-XXXXXX";
static char fixture_path[64]; /* of the socket: $NETSTACK_SOCKET */

static inline int fixture_make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(fixture_dir))
        return -1;
    snprintf(fixture_path, sizeof fixture_path, "%s/t.sock", fixture_dir);
    return setenv("NETSTACK_SOCKET", fixture_path, 1);
}

/* Fails when anything was left behind. */
static inline int fixture_remove_dir(void **state)
{
    (void)state;
    return rmdir(fixture_dir);
}

/* A connection to the fixture's socket; -1 when nobody listens. */
static inline int raw_connect(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", fixture_path);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int raw_call(int fd, uint32_t id, const char *json)
{
    struct nst_slice body = {(void *)(uintptr_t)json, strlen(json)};

    return nst_ipc_packet_send(fd, NST_IPC_CALL, id, &body, 1);
}

/* The next message's type, or a negative errno; a text body goes to `text`. */
static inline int raw_recv(int fd, uint32_t *id, char *text, size_t cap)
{
    static uint8_t buf[NST_IPC_MSG_MAX];
    struct nst_ipc_msg msg;
    int err = nst_ipc_packet_recv(fd, buf, &msg, NULL);

    if (err)
        return err;
    if (id)
        *id = msg.header.id;
    if (text)
        snprintf(text, cap, "%.*s", (int)msg.header.len, (const char *)msg.body);
    return msg.header.type;
}

/* Sends one packet together with a descriptor. */
static inline ssize_t raw_send_fd(int fd, const void *bytes, size_t len, int passed)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof control};

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

#endif
