/* The servers' common part: see services.h. */
#include "services.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static const struct option LONGS[] = {
    {"device", required_argument, NULL, 'd'}, {"address", required_argument, NULL, 'a'},
    {"mtu", required_argument, NULL, 'm'},    {"plain", no_argument, NULL, 'p'},
    {"cc", required_argument, NULL, 'c'},     {"spin", required_argument, NULL, 's'},
    {"report", no_argument, NULL, 'r'},       {"carrier", no_argument, NULL, 'w'},
    {"lent", no_argument, NULL, 'l'},         {NULL, 0, NULL, 0},
};

static void set_option(struct server_options *o, int c)
{
    switch (c) {
    case 'd':
        o->device = optarg;
        break;
    case 'a':
        o->address_text = optarg;
        break;
    case 'm':
        o->mtu = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'p':
        o->plain = true;
        break;
    case 'c':
        o->cc = optarg;
        break;
    case 's':
        o->spin_us = (uint32_t)strtoul(optarg, NULL, 10);
        break;
    case 'r':
        o->report = true;
        break;
    case 'w':
        o->carrier = true;
        break;
    case 'l':
        o->lent = true;
        break;
    default:
        exit(2);
    }
}

struct server_options server_options(int argc, char **argv)
{
    struct server_options o = {.device = "bench0", .address_text = "10.9.0.2", .mtu = 1500};
    int c;

    while ((c = getopt_long(argc, argv, "", LONGS, NULL)) != -1)
        set_option(&o, c);
    if (optind != argc || inet_pton(AF_INET, o.address_text, &o.address) != 1) {
        fprintf(stderr, "%s: wrong arguments\n", argv[0]);
        exit(2);
    }
    return o;
}

void server_ready(void)
{
    puts("ready");
    fflush(stdout);
}

void server_report(uint64_t sent_bytes, uint64_t retransmitted_bytes)
{
    printf("{\"sent\": %" PRIu64 ", \"retransmitted\": %" PRIu64 "}\n", sent_bytes,
           retransmitted_bytes);
    fflush(stdout);
}

void server_fail(const char *what, int err)
{
    fprintf(stderr, "%s: %s\n", what, strerror(err));
    exit(err == ENOENT ? 3 : 1);
}

int server_tap(const struct server_options *options)
{
    const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4;
    struct ifreq request = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        server_fail("/dev/net/tun", errno);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", options->device);
    request.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (options->plain ? 0 : IFF_VNET_HDR));
    if (ioctl(fd, TUNSETIFF, &request) != 0)
        server_fail(options->device, errno);
    if (!options->plain && ioctl(fd, TUNSETOFFLOAD, offloads) != 0)
        server_fail("offloads", errno);
    return fd;
}
