/* The interface is a TUN device that nobody reads: no socket of the program's ever sends through
 * it. Where there is no TUN, the loopback interface bears the address, which is enough for the
 * resolver to see that there is IPv4 at all. */
#include "run/place.h"

#include "core/base/bytes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static void say(char why[NST_RUN_WHY], const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, NST_RUN_WHY, format, args);
    va_end(args);
}

/* ---- Namespaces --------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t len = (ssize_t)strlen(text);

    if (fd < 0)
        return -errno;
    int err = write(fd, text, (size_t)len) == len ? 0 : -errno;
    close(fd);
    return err;
}

/* In a user namespace everybody stays who he is: one user, one group, mapped to themselves. */
static int map_ids(uid_t uid, gid_t gid)
{
    char map[64];
    int err;

    snprintf(map, sizeof map, "%u %u 1\n", uid, uid);
    if ((err = write_file("/proc/self/setgroups", "deny")) != 0 ||
        (err = write_file("/proc/self/uid_map", map)) != 0)
        return err;
    snprintf(map, sizeof map, "%u %u 1\n", gid, gid);
    return write_file("/proc/self/gid_map", map);
}

static int unshare_all(void)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
        return 0;
    if (errno != EPERM)
        return -errno;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0)
        return -errno;
    return map_ids(uid, gid);
}

/* ---- The interface ------------------------------------------------------------------------ */

static struct sockaddr inet(const uint8_t *bytes)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr addr;

    memcpy(&in.sin_addr, bytes, sizeof in.sin_addr);
    memcpy(&addr, &in, sizeof addr);
    return addr;
}

static struct sockaddr netmask(unsigned len)
{
    uint8_t mask[4];

    nst_store32(mask, len ? UINT32_MAX << (32 - len) : 0);
    return inet(mask);
}

static int set_up(int sock, const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_UP | IFF_RUNNING};

    memcpy(ifr.ifr_name, name, strlen(name));
    return ioctl(sock, SIOCSIFFLAGS, &ifr) == 0 ? 0 : -errno;
}

static int set_address(int sock, const char *name, const struct nst_addr *addr, unsigned len)
{
    struct ifreq ifr = {.ifr_addr = inet(addr->bytes)};

    memcpy(ifr.ifr_name, name, strlen(name));
    if (ioctl(sock, SIOCSIFADDR, &ifr) != 0)
        return -errno;
    ifr.ifr_netmask = netmask(len);
    return ioctl(sock, SIOCSIFNETMASK, &ifr) == 0 ? 0 : -errno;
}

static int set_gateway(int sock, const struct nst_addr *gateway)
{
    static const uint8_t any[4];
    struct rtentry route = {
        .rt_dst = inet(any),
        .rt_genmask = inet(any),
        .rt_gateway = inet(gateway->bytes),
        .rt_flags = RTF_UP | RTF_GATEWAY,
    };

    return ioctl(sock, SIOCADDRT, &route) == 0 ? 0 : -errno;
}

/* A TUN device that outlives us, and goes with the namespace. */
static int make_tun(const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC), err = 0;

    if (fd < 0)
        return -errno;
    memcpy(ifr.ifr_name, name, strlen(name));
    if (ioctl(fd, TUNSETIFF, &ifr) != 0 || ioctl(fd, TUNSETPERSIST, 1) != 0)
        err = -errno;
    close(fd);
    return err;
}

static int make_interface(const struct nst_run_place *place, int sock)
{
    int err = make_tun(place->device);

    if (err)
        return err;
    if ((err = set_address(sock, place->device, &place->addr.addr, place->addr.len)) != 0 ||
        (err = set_up(sock, place->device)) != 0)
        return err;
    return nst_addr_is_set(&place->gateway) ? set_gateway(sock, &place->gateway) : 0;
}

static void make_interfaces(const struct nst_run_place *place, char why[NST_RUN_WHY])
{
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

    if (sock < 0 || set_up(sock, "lo") != 0) {
        say(why, "the loopback interface stays down: %s", strerror(errno));
    } else if (place->addr.addr.family == NST_AF_INET && (err = make_interface(place, sock)) != 0) {
        set_address(sock, "lo:0", &place->addr.addr, 32);
        say(why, "no interface %s for the program to see (%s); lo has the address instead",
            place->device, strerror(-err));
    }
    if (sock >= 0)
        close(sock);
}

/* ---- resolv.conf -------------------------------------------------------------------------- */

/* A file that is mounted and then has no name any more. */
static int mount_text(const char *text, const char *target)
{
    char path[] = "/tmp/netstack-resolv-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC), err = 0;
    size_t len = strlen(text);

    if (fd < 0)
        return -errno;
    if (fchmod(fd, 0444) != 0 || write(fd, text, len) != (ssize_t)len ||
        mount(path, target, NULL, MS_BIND, NULL) != 0)
        err = -errno;
    unlink(path);
    close(fd);
    return err;
}

static void mount_resolv(const char *text, char why[NST_RUN_WHY])
{
    char target[PATH_MAX];
    int err;

    if (!realpath("/etc/resolv.conf", target))
        say(why, "there is no /etc/resolv.conf to replace: %s", strerror(errno));
    else if ((err = mount_text(text, target)) != 0)
        say(why, "/etc/resolv.conf stays the host's: %s", strerror(-err));
}

int nst_run_place_enter(const struct nst_run_place *place, char why[NST_RUN_WHY])
{
    int err = unshare_all();

    why[0] = '\0';
    if (err) {
        say(why, "no namespaces of its own: %s", strerror(-err));
        return err;
    }
    /* What the host mounts later still arrives here, and nothing of ours there. */
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) != 0)
        say(why, "/etc/resolv.conf stays the host's: %s", strerror(errno));
    else if (place->resolv[0])
        mount_resolv(place->resolv, why);
    make_interfaces(place, why);
    return 0;
}
