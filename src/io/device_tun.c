/* TAP and TUN: an interface whose other end is the program that opened it. */
#include "io/device_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/base/bytes.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* since Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

_Static_assert(NST_LINK_NAME_MAX == IFNAMSIZ, "interface names have one length");

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

int nst_device_tun_steer(const struct nst_device *d, int program)
{
    /* syscall: ioctl */
    return ioctl(d->fd, TUNSETSTEERINGEBPF, &program) == 0 ? 0 : -errno;
}

static int attach(struct nst_device *d, const struct nst_device_config *config)
{
    int kind = config->kind == NST_DEVICE_TUN ? IFF_TUN : IFF_TAP;
    struct ifreq request = {0};

    request.ifr_flags = (short)(kind | IFF_NO_PI | (config->plain ? 0 : IFF_VNET_HDR) |
                                (config->multi_queue ? IFF_MULTI_QUEUE : 0));
    memcpy(request.ifr_name, config->name, sizeof request.ifr_name);
    request.ifr_name[sizeof request.ifr_name - 1] = '\0';
    if (ioctl(d->fd, TUNSETIFF, &request) != 0)
        return -errno;
    memcpy(d->name, request.ifr_name, sizeof d->name);
    /* An interface that was here before may have kept what its last owner set. */
    if (config->multi_queue)
        (void)nst_device_tun_steer(d, -1); /* which older kernels don't know */
    if (config->plain)
        return ioctl(d->fd, TUNSETOFFLOAD, 0UL) == 0 ? 0 : -errno;
    d->header = true;
    d->offloads = NST_DEVICE_OFFLOADS;
    return set_offloads(d->fd);
}

int nst_device_open_tun(struct nst_device *d, const struct nst_device_config *config)
{
    d->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return d->fd < 0 ? -errno : attach(d, config);
}
