/* What the files of a device share. */
#ifndef NST_IO_DEVICE_INTERNAL_H
#define NST_IO_DEVICE_INTERNAL_H

#include "netstack/device.h"

struct nst_device {
    enum nst_device_kind kind;
    int fd;
    bool header; /* each frame stands behind a virtio-net header */
    uint32_t offloads;
    char name[NST_LINK_NAME_MAX];
    size_t few;        /* frames that came last before there were no more; 0: many */
    unsigned unlooked; /* reads since then that stopped after so many */
    uint64_t no_memory, refused, overruns;
};

/* All that a virtio-net header can ask for on the way out. */
#define NST_DEVICE_OFFLOADS (NST_LINK_CSUM | NST_LINK_TSO4 | NST_LINK_TSO6 | NST_LINK_USO)

/* Open a device of their kind and fill in the other fields; `fd` is -1 before. What is open after
 * an error is closed by the caller. 0 or -errno. */
int nst_device_open_tun(struct nst_device *d, const struct nst_device_config *config);
int nst_device_open_packet(struct nst_device *d, const struct nst_device_config *config);

/* What the packet socket's buffer had no room for since the last time. */
uint64_t nst_device_packet_overruns(const struct nst_device *d);

#endif
