/* TAP and TUN.
 *
 * Each read or write is one frame behind a virtio-net header of ten bytes (none in plain mode).
 * A frame is read into a packet with room for the largest there is; the packet is trimmed to what
 * came, which gives the memory behind a small frame back at once. */
#include "netstack/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/bytes.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* since Linux 6.2 */
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* of the same age */
#define TUN_F_USO6 0x40
#endif

/* The largest IP packet with its Ethernet header and a VLAN tag. */
#define FRAME_MAX (65535 + 18)

_Static_assert(sizeof(struct nst_slice) == sizeof(struct iovec) &&
                   offsetof(struct nst_slice, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct nst_slice, len) == offsetof(struct iovec, iov_len),
               "a slice is an iovec");
_Static_assert(NST_LINK_NAME_MAX == IFNAMSIZ, "interface names have one length");

struct nst_device {
    int fd;
    bool plain;
    uint32_t offloads;
    char name[IFNAMSIZ];
    uint64_t no_memory, refused;
};

/* ---- Opening -------------------------------------------------------------------------------- */

/* What the kernel may hand us. What older kernels refuse is asked for less and less; that governs
 * only the way in, and the kernel takes from us what the header describes. */
static const unsigned tun_offloads[] = {
    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
    TUN_F_CSUM,
    0,
};

static int set_offloads(int fd)
{
    int size = sizeof(struct virtio_net_hdr);

    if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0)
        return -errno;
    for (size_t i = 0; i < NST_ARRAY_LEN(tun_offloads); i++)
        if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)tun_offloads[i]) == 0)
            return 0;
    return -errno;
}

static int attach(struct nst_device *d, const struct nst_device_config *config)
{
    int kind = config->kind == NST_DEVICE_TUN ? IFF_TUN : IFF_TAP;
    struct ifreq request = {0};

    request.ifr_flags = (short)(kind | IFF_NO_PI | (config->plain ? 0 : IFF_VNET_HDR));
    memcpy(request.ifr_name, config->name, sizeof request.ifr_name);
    request.ifr_name[sizeof request.ifr_name - 1] = '\0';
    if (ioctl(d->fd, TUNSETIFF, &request) != 0)
        return -errno;
    memcpy(d->name, request.ifr_name, sizeof d->name);
    /* An interface that was here before may have kept those of its last owner. */
    if (config->plain)
        return ioctl(d->fd, TUNSETOFFLOAD, 0UL) == 0 ? 0 : -errno;
    d->offloads = NST_LINK_CSUM | NST_LINK_TSO4 | NST_LINK_TSO6 | NST_LINK_USO;
    return set_offloads(d->fd);
}

int nst_device_open(struct nst_device **out, const struct nst_device_config *config)
{
    struct nst_device *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return -ENOMEM;
    d->plain = config->plain;
    d->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    err = d->fd < 0 ? -errno : attach(d, config);
    if (err) {
        nst_device_close(d);
        return err;
    }
    *out = d;
    return 0;
}

void nst_device_close(struct nst_device *device)
{
    if (!device)
        return;
    if (device->fd >= 0)
        close(device->fd);
    free(device);
}

int nst_device_fd(const struct nst_device *device)
{
    return device->fd;
}

const char *nst_device_name(const struct nst_device *device)
{
    return device->name;
}

uint32_t nst_device_offloads(const struct nst_device *device)
{
    return device->offloads;
}

void nst_device_losses(const struct nst_device *device, uint64_t *no_memory, uint64_t *refused)
{
    *no_memory = device->no_memory;
    *refused = device->refused;
}

/* ---- The virtio-net header ------------------------------------------------------------------- */

static const uint8_t gso_types[] = {
    [NST_GSO_NONE] = VIRTIO_NET_HDR_GSO_NONE,
    [NST_GSO_TCP4] = VIRTIO_NET_HDR_GSO_TCPV4,
    [NST_GSO_TCP6] = VIRTIO_NET_HDR_GSO_TCPV6,
    [NST_GSO_UDP] = VIRTIO_NET_HDR_GSO_UDP_L4,
};

/* A header that does not fit its frame is ignored: the checksum then decides about the frame. */
static struct nst_offload offload_parse(const struct virtio_net_hdr *h, size_t len)
{
    struct nst_offload o = {0};

    if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID)
        o.csum = NST_CSUM_VALID;
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
        (size_t)h->csum_start + h->csum_offset + 2 <= len) {
        o.csum = NST_CSUM_PARTIAL;
        o.csum_start = h->csum_start;
        o.csum_offset = h->csum_offset;
    }
    for (size_t gso = NST_GSO_TCP4; gso < NST_ARRAY_LEN(gso_types); gso++) {
        if ((h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != gso_types[gso] || h->gso_size == 0)
            continue;
        o.gso = (uint8_t)gso;
        o.gso_ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN;
        o.gso_size = h->gso_size;
        o.hdr_len = h->hdr_len;
    }
    return o;
}

static struct virtio_net_hdr offload_emit(const struct nst_offload *o)
{
    struct virtio_net_hdr h = {0};

    if (o->csum == NST_CSUM_PARTIAL) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = o->csum_start;
        h.csum_offset = o->csum_offset;
    }
    if (o->gso != NST_GSO_NONE) {
        h.gso_type = (uint8_t)(gso_types[o->gso] | (o->gso_ecn ? VIRTIO_NET_HDR_GSO_ECN : 0));
        h.gso_size = o->gso_size;
        h.hdr_len = o->hdr_len;
    }
    return h;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* A packet's slices with the virtio-net header in front, or without in plain mode. */
struct frame_iov {
    struct virtio_net_hdr header;
    struct nst_slice slices[1 + NST_PKT_SLICES];
    struct iovec *first;
    int n;
    size_t header_len;
};

static void frame_iov_init(struct frame_iov *v, const struct nst_device *d,
                           const struct nst_pkt *pkt)
{
    size_t n = nst_pkt_slices(pkt, v->slices + 1, NST_PKT_SLICES);

    v->header_len = d->plain ? 0 : sizeof v->header;
    v->slices[0] = (struct nst_slice){&v->header, sizeof v->header};
    v->first = (struct iovec *)(void *)&v->slices[d->plain ? 1 : 0];
    v->n = (int)n + (d->plain ? 0 : 1);
}

/* Reads and forgets a frame. */
static ssize_t lose_frame(struct nst_device *d)
{
    uint8_t scratch[64];
    /* syscall: read */
    ssize_t n = read(d->fd, scratch, sizeof scratch);

    if (n >= 0)
        d->no_memory++;
    return n;
}

/* One frame: 1 read, 0 lost for want of memory, or a negative errno value. */
static int read_frame(struct nst_device *d, struct nst_stack *stack, struct nst_pkt **out)
{
    struct nst_pkt *pkt = nst_pkt_alloc(stack, FRAME_MAX);
    struct frame_iov v = {0};
    ssize_t n;

    if (!pkt)
        return lose_frame(d) < 0 ? -errno : 0;
    frame_iov_init(&v, d, pkt);
    /* syscall: readv */
    n = readv(d->fd, v.first, v.n);
    if (n < (ssize_t)v.header_len) {
        int err = n < 0 ? -errno : -EIO;
        nst_pkt_free(pkt);
        return err;
    }
    size_t len = (size_t)n - v.header_len;
    nst_pkt_trim(pkt, len);
    if (!d->plain)
        *nst_pkt_offload(pkt) = offload_parse(&v.header, len);
    *out = pkt;
    return 1;
}

int nst_device_read(struct nst_device *device, struct nst_stack *stack, struct nst_pkt **pkts,
                    size_t max)
{
    size_t n = 0;

    /* A frame that is lost counts against the batch too, so that a flood can't hold the caller. */
    for (size_t tries = 0; tries < max; tries++) {
        int got = read_frame(device, stack, &pkts[n]);
        if (got == -EINTR)
            continue;
        if (got == -EAGAIN)
            break;
        if (got < 0)
            return n ? (int)n : got;
        n += (size_t)got;
    }
    return (int)n;
}

/* True when the frame is done with, written or refused. */
static bool write_frame(struct nst_device *d, struct nst_pkt *pkt, int *err)
{
    struct frame_iov v = {.header = offload_emit(nst_pkt_offload(pkt))};
    ssize_t n;

    frame_iov_init(&v, d, pkt);
    do
        /* syscall: writev */
        n = writev(d->fd, v.first, v.n);
    while (n < 0 && errno == EINTR);
    *err = n < 0 ? errno : 0;
    if (*err == EAGAIN || *err == EBADFD || *err == ENOBUFS)
        return false;
    if (*err)
        d->refused++;
    return true;
}

int nst_device_write(struct nst_device *device, struct nst_pkt **pkts, size_t n)
{
    int err;

    for (size_t i = 0; i < n; i++) {
        if (!write_frame(device, pkts[i], &err))
            return err == EBADFD && i == 0 ? -EBADFD : (int)i;
        nst_pkt_free(pkts[i]);
    }
    return (int)n;
}
