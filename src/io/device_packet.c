/* A packet socket on an Ethernet interface that belongs to somebody else: one end of a veth pair,
 * or a real one. The stack is a further station there, with a MAC address of its own, and nothing
 * of the interface is changed.
 *
 * A small filter lets the kernel forget what the stack would not look at: frames to other stations,
 * of which a promiscuous interface sees many, and those of VLANs, whose tags the kernel has taken
 * off already. Which groups are heard changes with the stack's members, so all of them come.
 *
 * Frames bear the virtio-net header in plain mode too. Between two ends of a veth pair go segments
 * of 64 KiB without a checksum, whether or not we want them, and only the header tells. */
#include "io/device_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/base/bytes.h"

/* For the largest frames, which the kernel counts with their overhead, to wait for us. */
#define SOCKET_BUFFER_BYTES (8 << 20)

static int set_option(int fd, int level, int option, const void *value, size_t len)
{
    return setsockopt(fd, level, option, value, (socklen_t)len) == 0 ? 0 : -errno;
}

/* As much as the right to exceed the administrator's limit permits. */
static void enlarge(int fd, int force, int option)
{
    int bytes = SOCKET_BUFFER_BYTES;

    if (set_option(fd, SOL_SOCKET, force, &bytes, sizeof bytes) != 0)
        (void)set_option(fd, SOL_SOCKET, option, &bytes, sizeof bytes);
}

/* Lets frames pass that are untagged and for `mac` or a group. */
static int set_filter(int fd, const struct nst_mac *mac)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 6),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nst_load32(mac->bytes), 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nst_load16(mac->bytes + 4), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {.len = NST_ARRAY_LEN(code), .filter = code};

    return set_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int add_membership(int fd, const struct packet_mreq *member)
{
    return set_option(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, member, sizeof *member);
}

/* All groups, and the stack's address if it is not the interface's. The latter makes an interface
 * promiscuous only if it can't listen to two. Both end with the socket. */
static int hear(int fd, int index, const struct nst_mac *theirs, const struct nst_mac *ours)
{
    struct packet_mreq member = {.mr_ifindex = index, .mr_type = PACKET_MR_ALLMULTI};
    int err = add_membership(fd, &member);

    if (err || memcmp(theirs, ours, sizeof *ours) == 0)
        return err;
    member.mr_type = PACKET_MR_UNICAST;
    member.mr_alen = sizeof ours->bytes;
    memcpy(member.mr_address, ours->bytes, sizeof ours->bytes);
    return add_membership(fd, &member);
}

/* The interface's number, and its address if it is an Ethernet. */
static int find_interface(int fd, const char *name, int *index, struct nst_mac *mac)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    if (ioctl(fd, SIOCGIFINDEX, &request) != 0)
        return -errno;
    *index = request.ifr_ifindex;
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        return -errno;
    memcpy(mac->bytes, request.ifr_hwaddr.sa_data, sizeof mac->bytes);
    return request.ifr_hwaddr.sa_family == ARPHRD_ETHER ? 0 : -EINVAL;
}

/* Bound last: nothing comes before the filter stands. */
static int attach(int fd, const struct nst_device_config *config)
{
    static const int on = 1;
    struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    struct nst_mac theirs;
    int err;

    if ((err = find_interface(fd, config->name, &addr.sll_ifindex, &theirs)) ||
        (err = set_option(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on)) ||
        (err = set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on)) ||
        (err = set_filter(fd, &config->mac)) ||
        (err = hear(fd, addr.sll_ifindex, &theirs, &config->mac)))
        return err;
    enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF);
    enlarge(fd, SO_SNDBUFFORCE, SO_SNDBUF);
    return bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 ? 0 : -errno;
}

int nst_device_open_packet(struct nst_device *d, const struct nst_device_config *config)
{
    d->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return -errno;
    memcpy(d->name, config->name, sizeof d->name - 1);
    d->header = true;
    d->offloads = config->plain ? 0 : NST_DEVICE_OFFLOADS;
    return attach(d->fd, config);
}

/* The kernel counts anew after each answer. */
uint64_t nst_device_packet_overruns(const struct nst_device *d)
{
    struct tpacket_stats stats;
    socklen_t len = sizeof stats;

    /* syscall: getsockopt */
    return getsockopt(d->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops : 0;
}
