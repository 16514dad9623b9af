/* Theory of operation. What can be read from a device is pushed on the wire to the other one, with
 * the time at which it was read. Before the loop sleeps, what has come out of the wires is written,
 * and the loop wakes again when the next frame will. Both are done in batches, so that neither
 * direction, nor reading or writing, can hold up the others.
 *
 * The devices are plain: without the virtio-net header and without offloads. So the kernel cuts
 * what its TCP sends into segments and computes all checksums before we see a frame, and what
 * happens to a frame happens to what would be a frame on a cable. */
#include "cli/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "netstack/device.h"

#define FRAME_MAX   (65535 + 18) /* the largest IP packet with its Ethernet header and a VLAN tag */
#define WRITE_BATCH (4 * NST_LOOP_BUDGET) /* more than what is read at once, each frame twice */

struct port {
    struct nst_device *device;
    struct nst_loop_fd source;
    struct nst_impair to; /* what is on its way to this device */
    uint64_t refused;
    struct port *peer;
};

struct nst_relay {
    struct nst_loop_prepare prepare;
    struct port ports[NST_RELAY_ENDS];
    uint8_t buffer[FRAME_MAX];
};

static bool on_device(struct nst_loop *loop, struct nst_loop_fd *source, unsigned events,
                      unsigned budget)
{
    struct port *port = NST_CONTAINER(source, struct port, source);
    struct nst_relay *relay = source->arg;

    for (unsigned i = 0; i < budget; i++) {
        ssize_t n = read(source->fd, relay->buffer, sizeof relay->buffer);
        if (n > 0) {
            nst_impair_push(&port->peer->to, relay->buffer, (size_t)n, nst_loop_clock());
            continue;
        }
        if (n < 0 && (errno == EBADFD || events & NST_LOOP_ERR))
            nst_loop_stop(loop, -EBADFD);
        return false;
    }
    return true;
}

/* Writes what has come out; true when there is more than a batch. */
static bool port_flush(struct port *port, nst_time now)
{
    struct nst_impair_frame *frame;
    ssize_t n;

    for (unsigned i = 0; i < WRITE_BATCH; i++) {
        frame = nst_impair_pull(&port->to, now);
        if (!frame)
            return false;
        do
            n = write(port->source.fd, frame->data, frame->len);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            port->refused++;
        nst_impair_frame_free(frame);
    }
    return true;
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct nst_relay *relay = prepare->arg;
    nst_time now = nst_loop_clock(), next = NST_TIME_NEVER;
    (void)loop;

    for (size_t i = 0; i < NST_RELAY_ENDS; i++) {
        bool more = port_flush(&relay->ports[i], now);
        next = nst_min(next, more ? now : nst_impair_deadline(&relay->ports[i].to));
    }
    return next;
}

static int port_open(struct port *port, struct nst_loop *loop, const char *name)
{
    struct nst_device_config config = {.kind = NST_DEVICE_TAP, .plain = true};
    size_t len = strlen(name);

    if (len >= sizeof config.name)
        return -EINVAL;
    memcpy(config.name, name, len);
    int err = nst_device_open(&port->device, &config);
    if (err)
        return err;
    return nst_loop_fd_add(loop, &port->source, nst_device_fd(port->device), NST_LOOP_IN);
}

static void ports_init(struct nst_relay *relay, const struct nst_relay_config *config)
{
    static const char *const purposes[] = {"relay to a", "relay to b"};
    uint8_t seed[32] = {0};

    nst_store_le64(seed, config->seed);
    for (size_t i = 0; i < NST_RELAY_ENDS; i++) {
        struct port *port = &relay->ports[i];
        port->peer = &relay->ports[NST_RELAY_ENDS - 1 - i];
        port->source = (struct nst_loop_fd){.fn = on_device, .arg = relay};
        nst_impair_init(&port->to, &config->to[i], seed, purposes[i]);
    }
}

int nst_relay_open(struct nst_relay **out, struct nst_loop *loop,
                   const struct nst_relay_config *config, const char **failed)
{
    struct nst_relay *relay = calloc(1, sizeof *relay);
    int err = 0;

    *failed = config->devices[NST_RELAY_A];
    if (!relay)
        return -ENOMEM;
    ports_init(relay, config);
    for (size_t i = 0; i < NST_RELAY_ENDS && !err; i++) {
        *failed = config->devices[i];
        err = port_open(&relay->ports[i], loop, *failed);
    }
    relay->prepare = (struct nst_loop_prepare){.fn = on_prepare, .arg = relay};
    if (!err)
        err = nst_loop_prepare_add(loop, &relay->prepare);
    if (err)
        nst_relay_close(relay);
    else
        *out = relay;
    return err;
}

void nst_relay_close(struct nst_relay *relay)
{
    if (!relay)
        return;
    nst_loop_prepare_del(&relay->prepare);
    for (size_t i = 0; i < NST_RELAY_ENDS; i++) {
        nst_loop_fd_del(&relay->ports[i].source);
        nst_device_close(relay->ports[i].device);
        nst_impair_fini(&relay->ports[i].to);
    }
    free(relay);
}

struct nst_relay_stats nst_relay_stats(const struct nst_relay *relay, enum nst_relay_end to)
{
    const struct port *port = &relay->ports[to];

    return (struct nst_relay_stats){
        .wire = port->to.stats, .held = nst_impair_held(&port->to), .refused = port->refused};
}
