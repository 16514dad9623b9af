/* An echo server on several processors: queues [DEVICE [QUEUES]]
 *
 *     sudo ./build/examples/queues tun7 2 &
 *     sudo ip address add 10.7.0.1/24 dev tun7 && sudo ip link set tun7 up
 *     nc 10.7.0.2 7
 *
 * Each queue of the device has a thread, a loop and a stack of its own. All stacks have the same
 * address and a listener on the same port, and share nothing. The kernel gives a new flow to a
 * queue by its hash, and goes on as that queue answers, so a connection stays where it began.
 *
 * A TUN device, for it has no neighbours: an ARP reply could come in by another queue than the one
 * that asked. And servers only: the kernel forgets a flow that was silent for three seconds, and
 * finds it again by its hash, which is right only where the hash has chosen the queue before. */
#include <netstack/device.h>
#include <netstack/loop.h>
#include <netstack/system.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH      64
#define QUEUES_MAX 16
#define ECHO       7

struct queue {
    struct nst_device *device;
    struct nst_stack *stack;
    struct nst_loop *loop;
    nst_link link;
    nst_sock listener;
    struct nst_loop_fd readable;
    struct nst_loop_prepare prepare;
    struct nst_loop_wake end;
    pthread_t thread;
    int code;
    unsigned long connections;
    unsigned long long bytes;
};

/* ---- The service --------------------------------------------------------------------------- */

static void echo(struct queue *q, nst_sock sock)
{
    struct nst_slice in[16];
    struct nst_msg msg = {.data = in};
    int n;

    while ((n = nst_recv_peek(q->stack, sock, in, 16)) > 0) {
        msg.ndata = (size_t)n;
        int64_t sent = nst_send(q->stack, sock, &msg);
        if (sent < 0)
            break;
        nst_recv_consume(q->stack, sock, (size_t)sent);
        q->bytes += (unsigned long long)sent;
    }
    if (n == 0)
        nst_close(q->stack, sock);
}

static void on_event(struct queue *q, const struct nst_event *event)
{
    nst_sock sock;

    if (event->sock != q->listener)
        echo(q, event->sock);
    else
        while (nst_accept(q->stack, q->listener, &sock, 0) == 0)
            q->connections++;
    if (event->ready & NST_READY_ERR)
        nst_close(q->stack, event->sock);
}

/* ---- The owner's loop of netstack.h, for each queue ---------------------------------------- */

static bool on_readable(struct nst_loop *loop, struct nst_loop_fd *fd, unsigned events,
                        unsigned budget)
{
    struct queue *q = fd->arg;
    struct nst_pkt *pkts[BATCH];
    int n = nst_device_read(q->device, q->stack, pkts, BATCH);

    (void)events, (void)budget;
    if (n < 0)
        nst_loop_stop(loop, 1);
    else
        nst_input(q->stack, q->link, pkts, (size_t)n, nst_loop_now(loop));
    return n > 0;
}

static uint64_t on_prepare(struct nst_loop *loop, struct nst_loop_prepare *prepare)
{
    struct queue *q = prepare->arg;
    struct nst_pkt *pkts[BATCH];
    struct nst_event event;
    size_t n;

    do {
        while (nst_events(q->stack, &event, 1))
            if (event.kind == NST_EVENT_READY)
                on_event(q, &event);
        n = nst_output(q->stack, q->link, pkts, BATCH, nst_loop_now(loop));
        int written = nst_device_write(q->device, pkts, n);
        for (size_t i = written > 0 ? (size_t)written : 0; i < n; i++)
            nst_pkt_free(pkts[i]); /* the device is full: a host may lose packets */
    } while (n > 0);
    return nst_deadline(q->stack);
}

static void on_end(struct nst_loop *loop, struct nst_loop_wake *wake)
{
    (void)wake;
    nst_loop_stop(loop, 0);
}

static void *run(void *arg)
{
    struct queue *q = arg;

    q->code = nst_loop_run(q->loop);
    return NULL;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static int start_stack(struct queue *q)
{
    const struct nst_sockaddr local = {.port = ECHO};
    const struct nst_prefix prefix = {{NST_AF_INET, {10, 7, 0, 2}}, 24};
    struct nst_config config = {0};
    struct nst_link_config link = {.medium = NST_MEDIUM_IP, .mtu = 1500};
    int err;

    memcpy(link.name, nst_device_name(q->device), sizeof link.name);
    link.offloads = nst_device_offloads(q->device);
    if ((err = nst_system_config(&config)) || (err = nst_stack_new(&q->stack, &config)) ||
        (err = nst_link_add(q->stack, &q->link, &link)) ||
        (err = nst_addr_add(q->stack, q->link, &prefix, NST_ACD_OFF)) ||
        (err = nst_socket(q->stack, &q->listener, NST_AF_INET, NST_SOCK_STREAM, 0, 0)) ||
        (err = nst_bind(q->stack, q->listener, &local)))
        return err;
    return nst_listen(q->stack, q->listener, 128);
}

static int start_loop(struct queue *q)
{
    int err;

    q->readable = (struct nst_loop_fd){.fn = on_readable, .arg = q};
    q->prepare = (struct nst_loop_prepare){.fn = on_prepare, .arg = q};
    q->end = (struct nst_loop_wake){.fn = on_end};
    if ((err = nst_loop_new(&q->loop, NULL)) || (err = nst_loop_wake_add(q->loop, &q->end)) ||
        (err = nst_loop_prepare_add(q->loop, &q->prepare)))
        return err;
    return nst_loop_fd_add(q->loop, &q->readable, nst_device_fd(q->device), NST_LOOP_IN);
}

static int start(struct queue *q, const char *name)
{
    struct nst_device_config config = {.kind = NST_DEVICE_TUN, .multi_queue = true};
    int err;

    snprintf(config.name, sizeof config.name, "%s", name);
    if ((err = nst_device_open(&q->device, &config)) || (err = start_stack(q)))
        return err;
    return start_loop(q);
}

/* Returns what its loop ended with. */
static int finish(struct queue *q, int number)
{
    nst_loop_wake_send(&q->end);
    pthread_join(q->thread, NULL);
    printf("queue %d: %lu connections, %llu bytes\n", number, q->connections, q->bytes);
    nst_loop_free(q->loop);
    nst_stack_free(q->stack);
    nst_device_close(q->device);
    return q->code;
}

int main(int argc, char **argv)
{
    static struct queue queues[QUEUES_MAX];
    int n = argc > 2 ? atoi(argv[2]) : 2, caught, failed = 0;
    sigset_t ends;

    if (n < 1 || n > QUEUES_MAX)
        return fprintf(stderr, "queues: 1 to %d queues\n", QUEUES_MAX), 2;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    /* All queues before the first packet: when their number changes, flows move. */
    for (int i = 0; i < n; i++)
        if (start(&queues[i], argc > 1 ? argv[1] : "tun7"))
            return fputs("queues: cannot start\n", stderr), 1;
    for (int i = 0; i < n; i++)
        if (pthread_create(&queues[i].thread, NULL, run, &queues[i]))
            return fputs("queues: cannot start a thread\n", stderr), 1;
    printf("queues: 10.7.0.2 port 7 on %d queues\n", n);
    fflush(stdout);
    sigwait(&ends, &caught);
    for (int i = 0; i < n; i++)
        failed |= finish(&queues[i], i);
    return failed != 0;
}
