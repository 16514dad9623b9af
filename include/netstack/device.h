/* netstack/device.h: a TAP, a TUN or another interface of Linux as a link for the stack.
 *
 * A device turns frames into packets and packets into frames, in batches, without waiting. With
 * offloads (the virtio-net header) one packet may be a TCP segment of up to 64 KiB whose checksum
 * nobody has computed; that is what makes a device fast.
 *
 * Calls return 0 (or a count) or a negative errno value.
 */
#ifndef NETSTACK_DEVICE_H
#define NETSTACK_DEVICE_H

#include "netstack/netstack.h"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

struct nst_device;

enum nst_device_kind {
    NST_DEVICE_TAP, /* Ethernet frames */
    NST_DEVICE_TUN, /* bare IP packets */
    /* A packet socket on an Ethernet interface that exists, as one end of a veth pair: the stack is
     * a station more there. Nothing of the interface is changed, so it must be up. */
    NST_DEVICE_PACKET,
};

struct nst_device_config {
    enum nst_device_kind kind;
    char name[NST_LINK_NAME_MAX]; /* as in `tun0`; empty: the kernel chooses (TAP and TUN) */
    bool plain;         /* no offloads: checksums and segmentation are the stack's, both ways.
                           What comes by a packet socket is as whoever sent it has it. */
    bool multi_queue;   /* each nst_device_open() of the name is a queue more (TAP and TUN): a flow
                           comes in where it went out last, an unknown one where its hash says */
    struct nst_mac mac; /* for NST_DEVICE_PACKET, the stack's: what comes for it is heard, and what
                           goes to groups; unicast */
};

/* Opens the device, making the interface if it does not exist (TAP and TUN); one that was not
 * persistent ends with nst_device_close(). The interface is neither configured nor brought up.
 * -ENOENT (no /dev/net/tun), -ENODEV (no such interface), -EPERM or -EACCES (no rights), -EBUSY (in
 * use by another process), -EINVAL (no such kind of interface, or a wrong name), -ENOMEM. */
int nst_device_open(struct nst_device **out, const struct nst_device_config *config);

/* Closes it. NULL is allowed. */
void nst_device_close(struct nst_device *device);

/* The descriptor to watch; it stays the device's. */
int nst_device_fd(const struct nst_device *device);

/* The interface's name. */
const char *nst_device_name(const struct nst_device *device);

/* What the device takes over on the way out: enum nst_link_offload, for struct nst_link_config. */
uint32_t nst_device_offloads(const struct nst_device *device);

/* Reads frames, at most `max`, into new packets of `stack`, which become the caller's. Returns how
 * many; 0 when there are none; -EBADFD when the interface is gone (of a packet socket only
 * nst_device_write() tells that); another negative errno value if the first read failed. A frame
 * for which the stack has no memory is read and lost, and counted.
 *
 * To find that there are no more costs as much as to read one. So where few come at a time, it
 * returns after as many as came last, without looking further: deal with them, write what is to be
 * said, and read again; wait for the device after 0. (A callback of nst_loop_fd returns n > 0.) */
int nst_device_read(struct nst_device *device, struct nst_stack *stack, struct nst_pkt **pkts,
                    size_t max);

/* Writes packets in order and frees those that it wrote or that the kernel refused (counted).
 * Returns how many that were; fewer than `n` means that the device is full and the rest is still
 * the caller's; -EBADFD when the interface is gone (all are the caller's still). */
int nst_device_write(struct nst_device *device, struct nst_pkt **pkts, size_t n);

/* Frames lost: read without memory for them, and refused by the kernel on writing (interface down,
 * or a frame that it does not accept). */
void nst_device_losses(const struct nst_device *device, uint64_t *no_memory, uint64_t *refused);

/* Frames that came faster than they were read, so that a packet socket's buffer had no room for
 * them. Of a TAP or TUN device the interface's own statistics tell (dropped on transmission): 0. */
uint64_t nst_device_overruns(struct nst_device *device);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
