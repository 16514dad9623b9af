/* Devices: frames to packets and back.
 *
 * Each read or write is one frame, behind a virtio-net header of ten bytes where the device has
 * one. A frame is read into a packet with room for the largest there is; the packet is trimmed to
 * what came, which gives the memory behind a small frame back at once. How a device is opened, and
 * what else is peculiar to its kind, is in device_tun.c and device_packet.c. */
#include "io/device_internal.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/bytes.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* since Linux 6.2 */
#endif

/* The largest IP packet with its Ethernet header and a VLAN tag. */
#define FRAME_MAX (65535 + 18)

#define FEW        8 /* frames at once of which a vain look for more is a good part */
#define LOOK_AGAIN 8 /* a batch in so many, however well the others were foreseen */

_Static_assert(sizeof(struct nst_slice) == sizeof(struct iovec) &&
                   offsetof(struct nst_slice, base) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct nst_slice, len) == offsetof(struct iovec, iov_len),
               "a slice is an iovec");

/* ---- Opening -------------------------------------------------------------------------------- */

int nst_device_open(struct nst_device **out, const struct nst_device_config *config)
{
    struct nst_device *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return -ENOMEM;
    d->fd = -1;
    d->kind = config->kind;
    err = d->kind == NST_DEVICE_PACKET ? nst_device_open_packet(d, config)
                                       : nst_device_open_tun(d, config);
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

uint64_t nst_device_overruns(struct nst_device *device)
{
    if (device->kind == NST_DEVICE_PACKET)
        device->overruns += nst_device_packet_overruns(device);
    return device->overruns;
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

/* A packet's slices with the virtio-net header in front, if the device has one. */
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

    v->header_len = d->header ? sizeof v->header : 0;
    v->slices[0] = (struct nst_slice){&v->header, sizeof v->header};
    v->first = (struct iovec *)(void *)&v->slices[d->header ? 0 : 1];
    v->n = (int)n + (d->header ? 1 : 0);
}

/* The negative errno value of a read that failed. A packet socket says once that its interface went
 * down, which is not its end: frames will come again. */
static int read_error(const struct nst_device *d)
{
    return d->kind == NST_DEVICE_PACKET && errno == ENETDOWN ? -EAGAIN : -errno;
}

/* Reads and forgets a frame: 0 or a negative errno value. */
static int lose_frame(struct nst_device *d)
{
    uint8_t scratch[64];

    /* syscall: read */
    if (read(d->fd, scratch, sizeof scratch) < 0)
        return read_error(d);
    d->no_memory++;
    return 0;
}

/* One frame: 1 read, 0 lost for want of memory, or a negative errno value. */
static int read_frame(struct nst_device *d, struct nst_stack *stack, struct nst_pkt **out)
{
    struct nst_pkt *pkt = nst_pkt_alloc(stack, FRAME_MAX);
    struct frame_iov v = {0};
    ssize_t n;

    if (!pkt)
        return lose_frame(d);
    frame_iov_init(&v, d, pkt);
    /* syscall: readv */
    n = readv(d->fd, v.first, v.n);
    if (n < (ssize_t)v.header_len) {
        int err = n < 0 ? read_error(d) : -EIO;
        nst_pkt_free(pkt);
        return err;
    }
    size_t len = (size_t)n - v.header_len;
    nst_pkt_trim(pkt, len);
    if (d->header)
        *nst_pkt_offload(pkt) = offload_parse(&v.header, len);
    *out = pkt;
    return 1;
}

/* ---- Batches ---------------------------------------------------------------------------------
 * A request that is answered brings the next one, often while the answer is being written. To look
 * for a second frame after each would be one system call in three. So the device expects what came
 * last, if that was few, and looks for more now and then only. Of many, it is a small part. */

static size_t batch_limit(const struct nst_device *d, size_t max)
{
    return d->few ? nst_min(d->few, max) : max;
}

static void batch_read(struct nst_device *d, size_t n, bool emptied)
{
    if (emptied && n > 0)
        d->few = n <= FEW ? n : 0;
    else if (!emptied && ++d->unlooked == LOOK_AGAIN)
        d->few = 0;
    if (emptied || !d->few)
        d->unlooked = 0;
}

int nst_device_read(struct nst_device *device, struct nst_stack *stack, struct nst_pkt **pkts,
                    size_t max)
{
    size_t limit = batch_limit(device, max), n = 0;
    bool emptied = false;

    /* A frame that is lost counts against the batch too, so that a flood can't hold the caller. */
    for (size_t tries = 0; tries < limit && !emptied; tries++) {
        int got = read_frame(device, stack, &pkts[n]);
        if (got == -EINTR)
            continue;
        emptied = got == -EAGAIN;
        if (got < 0 && !emptied)
            return n ? (int)n : got;
        n += got > 0;
    }
    batch_read(device, n, emptied);
    return (int)n;
}

/* The errno value of a write that failed, in a TAP's terms. A packet socket whose queue has no room
 * has dropped the frame, and its interface is gone when it has none. */
static int write_error(const struct nst_device *d)
{
    if (d->kind == NST_DEVICE_PACKET && errno == ENOBUFS)
        return EIO;
    return d->kind == NST_DEVICE_PACKET && errno == ENXIO ? EBADFD : errno;
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
    *err = n < 0 ? write_error(d) : 0;
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
