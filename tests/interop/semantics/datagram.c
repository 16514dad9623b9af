/* UDP. */
#include "semantics.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <linux/sockios.h>

#define NOBODYS_PORT 4 /* below all that a stack chooses by itself */

static char data[1 << 17];

static int queued(int fd, unsigned long question)
{
    int n = -1;

    return ioctl(fd, question, &n) == 0 ? n : -errno;
}

static int so_error(int fd)
{
    int error = -1;
    socklen_t len = sizeof error;

    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return error;
}

static void simple(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d), own = name_of(s), from = {0};
    socklen_t len = sizeof from;

    LOOK(d);
    TRY(recv(d, data, 10, MSG_DONTWAIT));
    TRY(sendto(s, "hello", 5, 0, ADDR(to)));
    AWAIT(d, POLLIN);
    TRY(recvfrom(d, data, 10, MSG_PEEK, (struct sockaddr *)&from, &len));
    TRY(recvfrom(d, data, 10, 0, (struct sockaddr *)&from, &len));
    SHOW(len);
    SHOW(from.sin_port == own.sin_port);
    SHOW(from.sin_addr.s_addr == own.sin_addr.s_addr);
    len = 4;
    TRY(sendto(s, "hello", 5, 0, ADDR(to)));
    TRY(recvfrom(d, data, 10, 0, (struct sockaddr *)&from, &len));
    SHOW(len);
    TRY(sendto(s, "hello", 5, 0, ADDR(to)));
    TRY(recvfrom(d, data, 10, 0, NULL, NULL));
    LOOK(d);
}

static void empty(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);

    TRY(sendto(s, "", 0, 0, ADDR(to)));
    AWAIT(d, POLLIN);
    SHOW(queued(d, FIONREAD));
    TRY(recv(d, data, 10, 0));
    TRY(recv(d, data, 10, MSG_DONTWAIT));
    TRY(connect(s, ADDR(to)));
    TRY(send(s, "", 0, 0));
    TRY(write(s, "", 0));
    AWAIT(d, POLLIN);
    TRY(recv(d, data, 10, 0));
}

static void cut_short(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);
    struct iovec iov[3] = {{data, 2}, {data + 2, 1}, {data + 3, 1}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};

    for (int i = 0; i < 6; i++)
        TRY(sendto(s, "abcdefgh", 8, 0, ADDR(to)));
    await_passage(s);
    TRY(recv(d, data, 3, 0));
    TRY(recv(d, data, 3, MSG_TRUNC | MSG_PEEK));
    TRY(recv(d, data, 3, MSG_TRUNC));
    TRY(recvmsg(d, &msg, 0));
    say("%.4s, flags %x", data, (unsigned)msg.msg_flags);
    TRY(recvmsg(d, &msg, MSG_TRUNC));
    say("flags %x", (unsigned)msg.msg_flags);
    TRY(recv(d, data, 0, 0));
    TRY(recvmsg(d, &msg, MSG_DONTWAIT));
    TRY(recv(d, data, 10, MSG_DONTWAIT));
}

static void counts(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);

    TRY(sendto(s, "abc", 3, 0, ADDR(to)));
    TRY(sendto(s, "defgh", 5, 0, ADDR(to)));
    await_passage(s);
    SHOW(queued(d, FIONREAD));
    SHOW(queued(s, SIOCOUTQ));
    TRY(recv(d, data, 10, 0));
    SHOW(queued(d, SIOCINQ));
}

static void no_destination(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in zero = local(0), six = local(5), foreign = address("203.0.113.1", 5);
    struct msghdr msg = {0};

    TRY(send(s, "x", 1, 0));
    TRY(write(s, "x", 1));
    TRY(sendmsg(s, &msg, 0));
    TRY(sendto(s, "x", 1, 0, ADDR(zero)));
    six.sin_family = AF_INET6;
    TRY(sendto(s, "x", 1, 0, ADDR(six)));
    TRY(sendto(s, "x", 1, 0, (struct sockaddr *)&zero, 10));
    TRY(sendto(s, "x", 1, 0, (struct sockaddr *)8, 16));
    TRY(sendto(s, "x", 1, 0, ADDR(foreign)));
    TRY(sendto(s, "x", 1, MSG_OOB, ADDR(foreign)));
    SHOW(so_error(s));
}

static void too_long(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);

    TRY(sendto(s, data, 65507, 0, ADDR(to)));
    AWAIT(d, POLLIN);
    TRY(recv(d, data, sizeof data, 0));
    TRY(sendto(s, data, 65508, 0, ADDR(to)));
    TRY(sendto(s, data, 100000, 0, ADDR(to)));
    TRY(connect(s, ADDR(to)));
    TRY(send(s, data, 65507, 0));
    TRY(send(s, data, 65508, 0));
    SHOW(so_error(s));
}

static void refused_told_by_send(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT);

    TRY(connect(s, ADDR(to)));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    TRY(send(s, "x", 1, 0));
}

static void refused_told_by_recv(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT);

    TRY(connect(s, ADDR(to)));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    TRY(recv(s, data, 10, MSG_DONTWAIT));
    TRY(recv(s, data, 10, MSG_DONTWAIT));
    LOOK(s);
}

static void refused_told_by_read(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT);

    TRY(connect(s, ADDR(to)));
    TRY(write(s, "x", 1));
    AWAIT(s, POLLERR);
    TRY(read(s, data, 10));
    SHOW(so_error(s));
    LOOK(s);
}

static void refused_told_by_message(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT), from;
    socklen_t len = sizeof from;
    struct iovec iov = {data, 10};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    TRY(connect(s, ADDR(to)));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    TRY(recvmsg(s, &msg, 0));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    TRY(recvfrom(s, data, 10, 0, (struct sockaddr *)&from, &len));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    SHOW(so_error(s));
}

/* What was sent comes back, and says where it had been going. */
static void refused_queued(void)
{
    int s = datagram_socket(), one = 1;
    struct sockaddr_in to = local(NOBODYS_PORT), was = {0};
    socklen_t len = sizeof was;

    TRY(setsockopt(s, IPPROTO_IP, IP_RECVERR, &one, sizeof one));
    TRY(connect(s, ADDR(to)));
    TRY(recv(s, data, 10, MSG_ERRQUEUE));
    TRY(send(s, "xyz", 3, 0));
    AWAIT(s, POLLERR);
    TRY(recv(s, data, 2, MSG_ERRQUEUE));
    say("%.2s", data);
    TRY(recv(s, data, 10, MSG_ERRQUEUE));
    TRY(send(s, "xyz", 3, 0));
    AWAIT(s, POLLERR);
    TRY(recvfrom(s, data, 10, MSG_ERRQUEUE, (struct sockaddr *)&was, &len));
    SHOW(was.sin_port == to.sin_port);
    SHOW(len);
    LOOK(s);
}

static void refused_told_by_option(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT);

    TRY(connect(s, ADDR(to)));
    TRY(send(s, "x", 1, 0));
    AWAIT(s, POLLERR);
    SHOW(so_error(s));
    SHOW(so_error(s));
}

static void refused_unconnected(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(NOBODYS_PORT);

    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    await_moment();
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    SHOW(so_error(s));
}

static void connecting(void)
{
    int s = datagram_socket(), d = datagram_socket(), other = datagram_socket();
    struct sockaddr_in own = name_of(s), to = name_of(d), second = name_of(other);
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    TRY(sendto(other, "early", 5, 0, ADDR(own)));
    AWAIT(s, POLLIN);
    TRY(connect(s, ADDR(to)));
    TRY(recv(s, data, 10, MSG_DONTWAIT));
    TRY(sendto(other, "foreign", 7, 0, ADDR(own)));
    await_passage(other);
    TRY(recv(s, data, 10, MSG_DONTWAIT));
    TRY(sendto(d, "own", 3, 0, ADDR(own)));
    AWAIT(s, POLLIN);
    TRY(recv(s, data, 10, MSG_DONTWAIT));
    TRY(sendto(s, "elsewhere", 9, 0, ADDR(second)));
    AWAIT(other, POLLIN);
    TRY(recv(other, data, 10, MSG_DONTWAIT));
    TRY(connect(s, ADDR(second)));
    TRY(send(s, "next", 4, 0));
    AWAIT(other, POLLIN);
    TRY(recv(other, data, 10, MSG_DONTWAIT));
    TRY(connect(s, ADDR(nobody)));
    TRY(send(s, "none", 4, 0));
    TRY(connect(s, ADDR(nobody)));
}

static void connect_errors(void)
{
    int s = datagram_socket();
    struct sockaddr_in to = local(5), foreign = address("203.0.113.1", 5);
    struct sockaddr_in all = address("255.255.255.255", 5), zero = local(0);

    TRY(connect(s, (struct sockaddr *)&to, 10));
    TRY(connect(s, (struct sockaddr *)&to, 1));
    s = socket(AF_INET, SOCK_DGRAM, 0);
    TRY(connect(s, ADDR(foreign)));
    TRY(connect(s, ADDR(all)));
    TRY(connect(s, ADDR(zero)));
    to.sin_family = AF_INET6;
    TRY(connect(s, ADDR(to)));
}

static void broadcast(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    struct sockaddr_in all = address("255.255.255.255", 5), net = address("10.0.0.255", 5);

    TRY(sendto(s, "x", 1, 0, ADDR(net)));
    TRY(sendto(s, "x", 1, 0, ADDR(all)));
    TRY(setsockopt(s, SOL_SOCKET, SO_BROADCAST, &one, sizeof one));
    TRY(sendto(s, "x", 1, 0, ADDR(net)));
}

static void multicast(void)
{
    int s = datagram_socket(), d = socket(AF_INET, SOCK_DGRAM, 0), zero = 0;
    struct sockaddr_in group = address("239.1.2.3", 5000), own = {.sin_family = AF_INET};
    struct ip_mreqn join = {.imr_multiaddr = group.sin_addr,
                            .imr_address = address("10.0.0.2", 0).sin_addr};
    struct ip_mreqn bad = {.imr_multiaddr = local(0).sin_addr};

    close(s);
    s = socket(AF_INET, SOCK_DGRAM, 0);
    own.sin_port = group.sin_port;
    TRY(bind(d, ADDR(own)));
    TRY(setsockopt(d, IPPROTO_IP, IP_ADD_MEMBERSHIP, &bad, sizeof bad));
    TRY(setsockopt(d, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    TRY(setsockopt(d, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    TRY(setsockopt(d, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
    TRY(setsockopt(d, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, 4));
    TRY(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &join, sizeof join));
    TRY(sendto(s, "loop", 4, 0, ADDR(group)));
    AWAIT(d, POLLIN);
    TRY(recv(d, data, 10, MSG_DONTWAIT));
    TRY(setsockopt(s, IPPROTO_IP, IP_MULTICAST_LOOP, &zero, sizeof zero));
    TRY(sendto(s, "none", 4, 0, ADDR(group)));
    await_passage(s);
    TRY(recv(d, data, 10, MSG_DONTWAIT));
    TRY(setsockopt(d, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
    TRY(setsockopt(d, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
}

/* Says which control messages came. */
static void say_controls(struct msghdr *msg)
{
    struct in_pktinfo info;
    int number;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        memcpy(&number, CMSG_DATA(c), sizeof number);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            memcpy(&info, CMSG_DATA(c), sizeof info);
            say("  PKTINFO: %08x %08x, length %zu", ntohl(info.ipi_addr.s_addr),
                ntohl(info.ipi_spec_dst.s_addr), c->cmsg_len);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
            say("  TTL: %d, length %zu", number, c->cmsg_len);
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            say("  TOS: %d, length %zu", number & 255, c->cmsg_len);
        } else {
            say("  level %d, type %d, length %zu", c->cmsg_level, c->cmsg_type, c->cmsg_len);
        }
    }
    say("  control bytes %zu, flags %x", msg->msg_controllen, (unsigned)msg->msg_flags);
}

static void receive_controls(int d, size_t room)
{
    _Alignas(struct cmsghdr) char control[256];
    struct iovec iov = {data, 10};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};

    AWAIT(d, POLLIN);
    TRY(recvmsg(d, &msg, MSG_DONTWAIT));
    say_controls(&msg);
}

static void controls(void)
{
    int s = datagram_socket(), d = datagram_socket(), one = 1, ttl = 33, tos = 0x20;
    struct sockaddr_in to = name_of(d), own = name_of(s);

    TRY(setsockopt(d, IPPROTO_IP, IP_PKTINFO, &one, sizeof one));
    TRY(setsockopt(d, IPPROTO_IP, IP_RECVTTL, &one, sizeof one));
    TRY(setsockopt(d, IPPROTO_IP, IP_RECVTOS, &one, sizeof one));
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 256);
    TRY(setsockopt(s, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl));
    TRY(setsockopt(s, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 256);
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 40);
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 0);
    TRY(connect(d, ADDR(own)));
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 256);
}

static void timestamps(void)
{
    int s = datagram_socket(), d = datagram_socket(), one = 1;
    struct sockaddr_in to = name_of(d);

    TRY(setsockopt(d, SOL_SOCKET, SO_TIMESTAMP, &one, sizeof one));
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 256);
    TRY(setsockopt(d, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one));
    TRY(sendto(s, "x", 1, 0, ADDR(to)));
    receive_controls(d, 256);
}

static ssize_t send_control(int s, struct sockaddr_in *to, int level, int type, int value,
                            size_t len)
{
    _Alignas(struct cmsghdr) char control[64] = {0};
    struct iovec iov = {"x", 1};
    struct msghdr msg = {.msg_name = to,
                         .msg_namelen = to ? sizeof *to : 0,
                         .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = CMSG_SPACE(len)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(c), &value, len < sizeof value ? len : sizeof value);
    return sendmsg(s, &msg, 0);
}

static void sent_controls(void)
{
    int s = datagram_socket(), d = datagram_socket(), one = 1;
    struct sockaddr_in to = name_of(d);

    TRY(setsockopt(d, IPPROTO_IP, IP_RECVTTL, &one, sizeof one));
    TRY(setsockopt(d, IPPROTO_IP, IP_RECVTOS, &one, sizeof one));
    TRY(send_control(s, &to, IPPROTO_IP, IP_TTL, 44, 4));
    receive_controls(d, 256);
    TRY(send_control(s, &to, IPPROTO_IP, IP_TOS, 0x10, 4));
    receive_controls(d, 256);
    TRY(send_control(s, &to, IPPROTO_IP, IP_TOS, 0x10, 1));
    receive_controls(d, 256);
    TRY(send_control(s, &to, IPPROTO_IP, IP_TTL, 0, 4));
    TRY(send_control(s, &to, IPPROTO_IP, IP_TTL, 256, 4));
    TRY(send_control(s, &to, IPPROTO_IP, IP_TTL, 5, 1));
    TRY(send_control(s, &to, IPPROTO_IP, IP_TOS, 256, 4));
    TRY(send_control(s, &to, IPPROTO_IP, 99, 1, 4));
    TRY(send_control(s, &to, IPPROTO_IP, IP_PKTINFO, 1, 4));
    TRY(send_control(s, &to, SOL_SOCKET, 99, 1, 4));
    TRY(send_control(s, &to, SOL_SOCKET, SCM_RIGHTS, 1, 4));
    TRY(send_control(s, &to, IPPROTO_TCP, 1, 1, 4));
    TRY(send_control(s, NULL, IPPROTO_IP, IP_TTL, 44, 4));
}

static void plural(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d), from[4];
    struct iovec out[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}}, in[4];
    struct mmsghdr sent[3] = {0}, got[4] = {0};

    for (int i = 0; i < 3; i++)
        sent[i].msg_hdr = (struct msghdr){
            .msg_iov = &out[i], .msg_iovlen = 1, .msg_name = &to, .msg_namelen = sizeof to};
    for (int i = 0; i < 4; i++) {
        in[i] = (struct iovec){data + 10 * i, 10};
        got[i].msg_hdr = (struct msghdr){.msg_iov = &in[i],
                                         .msg_iovlen = 1,
                                         .msg_name = &from[i],
                                         .msg_namelen = sizeof from[i]};
    }
    TRY(sendmmsg(s, sent, 3, 0));
    say("%u %u %u", sent[0].msg_len, sent[1].msg_len, sent[2].msg_len);
    await_passage(s);
    TRY(recvmmsg(d, got, 4, MSG_DONTWAIT, NULL));
    say("%u %u %u", got[0].msg_len, got[1].msg_len, got[2].msg_len);
    TRY(recvmmsg(d, got, 4, MSG_DONTWAIT, NULL));
    TRY(sendmmsg(s, sent, 0, 0));
    TRY(recvmmsg(d, got, 0, MSG_DONTWAIT, NULL));
    to.sin_family = AF_INET6;
    TRY(sendmmsg(s, sent, 3, 0));
    to.sin_family = AF_INET;
    TRY(sendmmsg(s, sent, 2, 0));
    await_passage(s);
    TRY(recvmmsg(d, got, 4, MSG_WAITFORONE, NULL));
    struct timespec odd = {0, 1000000000}, negative = {-1, 0}, soon = {0, 1000};
    TRY(recvmmsg(d, got, 4, MSG_DONTWAIT, &odd));
    TRY(recvmmsg(d, got, 4, MSG_DONTWAIT, &negative));
    TRY(recvmmsg(d, got, 4, MSG_DONTWAIT, &soon));
}

/* The time limit of recvmmsg() is looked at after each datagram only. */
static void plural_waits(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);
    struct iovec in[2] = {{data, 10}, {data + 10, 10}};
    struct mmsghdr got[2] = {{{.msg_iov = &in[0], .msg_iovlen = 1}, 0},
                             {{.msg_iov = &in[1], .msg_iovlen = 1}, 0}};

    TRY(sendto(s, "one", 3, 0, ADDR(to)));
    AWAIT(d, POLLIN);
    time_limit(d, SO_RCVTIMEO, 100);
    TRY(recvmmsg(d, got, 2, 0, NULL));
}

static void shut(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);

    TRY(shutdown(s, SHUT_RD));
    TRY(connect(s, ADDR(to)));
    TRY(shutdown(s, SHUT_RD));
    TRY(recv(s, data, 10, 0));
    LOOK(s);
    TRY(shutdown(s, SHUT_WR));
    TRY(send(s, "x", 1, MSG_NOSIGNAL));
    LOOK(s);
}

static void flags(void)
{
    int d = datagram_socket();

    TRY(recv(d, data, 10, MSG_ERRQUEUE | MSG_DONTWAIT));
    TRY(recv(d, data, 10, MSG_OOB | MSG_DONTWAIT));
    time_limit(d, SO_RCVTIMEO, 50);
    TRY(TEMP_FAILURE_RETRY(recv(d, data, 10, 0)));
    TRY(TEMP_FAILURE_RETRY(recvfrom(d, data, 10, 0, NULL, NULL)));
}

/* More than the queue holds is dropped, and nobody waits for it. */
static void overflow(void)
{
    int s = datagram_socket(), d = datagram_socket();
    struct sockaddr_in to = name_of(d);
    int errors = 0, got = 0;

    for (int i = 0; i < 2000; i++)
        errors += sendto(s, data, 1000, 0, ADDR(to)) != 1000;
    SHOW(errors);
    await_passage(s);
    while (recv(d, data, 1000, MSG_DONTWAIT) == 1000)
        got++;
    say("some: %d, not all: %d", got > 10, got < 2000);
}

const struct scenario datagram_scenarios[] = {
    {"simple", simple},
    {"empty", empty},
    {"cut_short", cut_short},
    {"counts", counts},
    {"no_destination", no_destination},
    {"too_long", too_long},
    {"refused_told_by_send", refused_told_by_send},
    {"refused_told_by_recv", refused_told_by_recv},
    {"refused_told_by_option", refused_told_by_option},
    {"refused_told_by_read", refused_told_by_read},
    {"refused_told_by_message", refused_told_by_message},
    {"refused_queued", refused_queued},
    {"refused_unconnected", refused_unconnected},
    {"connecting", connecting},
    {"connect_errors", connect_errors},
    {"broadcast", broadcast},
    {"multicast", multicast},
    {"controls", controls},
    {"timestamps", timestamps},
    {"sent_controls", sent_controls},
    {"plural", plural},
    {"plural_waits", plural_waits},
    {"shut", shut},
    {"flags", flags},
    {"overflow", overflow},
    {0},
};
