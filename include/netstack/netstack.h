/* netstack.h: a complete TCP/IP host as a library.
 *
 * The stack is a pure machine. It makes no system calls, has no threads, no clock and no source of
 * randomness: time, seed, memory and frames come in through these calls; frames and readiness come
 * out. The same seed and the same calls give the same bytes, on any compiler.
 *
 * An owner's loop is:
 *
 *     read frames from the device         -> nst_input()
 *     act on what became ready            -> nst_events(), then nst_recv() / nst_send() / ...
 *     write what the stack has to say     -> nst_output() until it gives less than asked for
 *     sleep until a frame or nst_deadline()
 *
 * Call nst_output() after every nst_input(), after socket calls, and when nst_deadline() has
 * passed: timers run there and in nst_input(). A stack belongs to one thread at a time; two stacks
 * share nothing.
 *
 * Conventions: calls return 0 (or a count) or a negative errno value. Times are nanoseconds on the
 * owner's monotonic clock and never go back. Handles are generation-checked: one that has ended
 * gives -EBADF, never a crash. Byte counts are bytes; ports are in host order; addresses are bytes
 * in network order.
 */
#ifndef NETSTACK_NETSTACK_H
#define NETSTACK_NETSTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Basic types ------------------------------------------------------------------------- */

struct nst_stack;
struct nst_pkt;

typedef uint64_t nst_time; /* nanoseconds, monotonic */
#define NST_TIME_NEVER UINT64_MAX

typedef uint32_t nst_link; /* an interface; 0 is none */
typedef uint64_t nst_sock; /* a socket; 0 is none */

/* A piece of memory; laid out like POSIX struct iovec. */
struct nst_slice {
    void *base;
    size_t len;
};

enum nst_family {
    NST_AF_UNSPEC = 0,
    NST_AF_INET = 4,
    NST_AF_INET6 = 6,
};

/* A network address of either family. Unused bytes are zero, so two addresses are equal when their
 * memory is. */
struct nst_addr {
    uint8_t family; /* enum nst_family */
    uint8_t bytes[16];
};

/* An address and the number of its leading bits that name the network. */
struct nst_prefix {
    struct nst_addr addr;
    uint8_t len;
};

/* One end of a conversation. `port` is the UDP or TCP port, the identifier of an ICMP echo socket,
 * or the EtherType of a packet socket. */
struct nst_sockaddr {
    struct nst_addr addr;
    uint16_t port;
    nst_link link;
};

struct nst_mac {
    uint8_t bytes[6];
};

/* ---- The stack --------------------------------------------------------------------------- */

/* Where memory comes from. `free` gets the size that was asked for. */
struct nst_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *ptr, size_t size);
    void *ctx;
};

/* Limits; a zero stands for the default in brackets. Past a limit there is a counted refusal. The
 * last eighth of the memory is for packets on their way; nothing may wait in it. */
struct nst_limits {
    size_t memory_bytes;     /* packets and their data, the whole stack  [64 MiB] */
    size_t fragment_bytes;   /* of that, held by incomplete datagrams; at most half  [4 MiB] */
    uint32_t fragments;      /* fragments in one datagram                [128] */
    uint32_t neighbours;     /* neighbour cache entries                  [1024] */
    uint32_t neighbour_pkts; /* packets queued for one neighbour         [3] */
    uint32_t routes;         /* routes, static and learnt                [256] */
    uint32_t sockets;        /* sockets of all kinds                     [65536] */
    uint32_t link_pkts;      /* packets queued for one interface         [1000] */
    uint32_t icmp_per_sec;   /* ICMP errors sent, all destinations       [1000] */
    uint32_t icmp_burst;     /* and at once                              [50] */
};

enum nst_trace_kind {
    NST_TRACE_RX,   /* a frame came in; its bytes are still as received */
    NST_TRACE_TX,   /* a frame goes to the device */
    NST_TRACE_DROP, /* a packet ends here, for `drop` */
};

/* One step in a packet's life. `id` numbers received frames from 1, per stack; the drop of a frame
 * bears the number of its arrival, a packet of our own bears 0. */
struct nst_trace_event {
    enum nst_trace_kind kind;
    nst_time time;
    nst_link link; /* 0 when not known */
    uint64_t id;
    uint16_t drop; /* see nst_drop_name() */
    const struct nst_pkt *pkt;
};

/* Several stacks that are one host, each with a queue of the same device, the same addresses and
 * the same routes: connections are spread over them, see nst_spread_of(). */
struct nst_spread {
    uint16_t index, count; /* this one's place, from 0 on, and how many there are; 0: it is alone */
    uint8_t key[16];       /* the same for all of them, secret, and at random */
};

/* Switches with a default of off. */
enum nst_stack_flag {
    NST_STACK_REDIRECTS = 1 << 0,      /* act on ICMP redirects (RFC 1122 §3.2.2.2) */
    NST_STACK_BROADCAST_ECHO = 1 << 1, /* answer echo requests to broadcast and multicast */
};

struct nst_config {
    uint8_t seed[32]; /* the only source of randomness; never use one twice on a real network */
    nst_time now;     /* the time of creation */
    struct nst_allocator allocator;
    struct nst_limits limits;
    uint32_t flags; /* enum nst_stack_flag */
    uint8_t ttl;    /* default time to live [64] */
    /* Called for each step of each packet; may look, must not call back into the stack. */
    void (*trace)(void *ctx, const struct nst_trace_event *event);
    void *trace_ctx;
    struct nst_spread spread;
};

/* Makes a stack. The configuration is copied. -EINVAL without an allocator, or for a place that
 * there is not; -ENOMEM. */
int nst_stack_new(struct nst_stack **out, const struct nst_config *config);

/* Ends a stack with all its sockets and links, silently, and gives back all its memory. Packets
 * that the owner still holds must have been freed before. */
void nst_stack_free(struct nst_stack *stack);

/* Gives received frames of one link to the stack, which takes them (and drops those of a link that
 * it does not have). Runs timers due. */
void nst_input(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t n,
               nst_time now);

/* Runs timers due and pulls up to `max` frames for one link; they are the caller's, who frees them.
 * Fewer than `max` means that there is no more for now. */
size_t nst_output(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t max,
                  nst_time now);

/* When a timer of the stack is next due: call nst_output() then. NST_TIME_NEVER if none is. */
nst_time nst_deadline(const struct nst_stack *stack);

/* ---- Packets ----------------------------------------------------------------------------- */

enum nst_csum {
    NST_CSUM_NONE,    /* nothing known: in: to be verified; out: complete in the packet */
    NST_CSUM_PARTIAL, /* the field holds the pseudo-header's sum only, see below */
    NST_CSUM_VALID,   /* verified by the device */
};

enum nst_gso {
    NST_GSO_NONE,
    NST_GSO_TCP4,
    NST_GSO_TCP6,
    NST_GSO_UDP, /* UDP segmentation (USO), either family */
};

/* What a device does, or did, for a packet; the terms are virtio-net's. With NST_CSUM_PARTIAL the
 * checksum runs from `csum_start` (from the frame's first byte) to the end and belongs at
 * `csum_start + csum_offset`, where the pseudo-header's sum stands already. */
struct nst_offload {
    uint8_t csum; /* enum nst_csum */
    uint8_t gso;  /* enum nst_gso */
    bool gso_ecn; /* the TCP segments bear CWR */
    uint16_t gso_size;
    uint16_t hdr_len; /* all headers, from the frame's first byte */
    uint16_t csum_start;
    uint16_t csum_offset;
};

/* A packet with room for `len` bytes, for the owner to fill and give to nst_input(). NULL when the
 * budget is used up. Room beyond about 2 KiB is a second slice, so that a small frame read into a
 * large packet costs little once it is trimmed. */
struct nst_pkt *nst_pkt_alloc(struct nst_stack *stack, size_t len);

/* Frees a packet. NULL is allowed. */
void nst_pkt_free(struct nst_pkt *pkt);

/* Bytes in the packet. */
size_t nst_pkt_len(const struct nst_pkt *pkt);

/* Cuts the packet to its first `len` bytes (no effect when it is shorter). */
void nst_pkt_trim(struct nst_pkt *pkt, size_t len);

/* At most this many slices make up a packet. */
#define NST_PKT_SLICES 18

/* The packet's memory in order; returns how many of `out`'s `max` slices were filled. */
size_t nst_pkt_slices(const struct nst_pkt *pkt, struct nst_slice *out, size_t max);

/* Its offload description, to be read on the way out and set on the way in. */
struct nst_offload *nst_pkt_offload(struct nst_pkt *pkt);

/* ---- Several stacks, one host ------------------------------------------------------------ */

/* What all of them should be given a copy of. */
#define NST_SPREAD_ALL UINT16_MAX

/* Which of the stacks a frame is for, whichever queue it came by: each TCP connection is one
 * stack's, by both its ends, and so is what ICMP has to say about it; what others say of
 * themselves by ARP is for all; the rest - UDP, ICMP, fragments, questions - is for the first. A
 * stack that is given another's frame treats it as one of nobody's. The frame is only looked at;
 * the stack may be any of them. */
uint16_t nst_spread_of(const struct nst_stack *stack, nst_link link, const struct nst_pkt *pkt);

/* Pulls up to `max` frames that are another stack's, which shows only once their fragments have
 * been put together; to be asked of the first stack after nst_input(). They are the caller's: a
 * copy of each in a packet of the other stack's is to be given to that one. */
size_t nst_spread_pull(struct nst_stack *stack, nst_link link, struct nst_pkt **pkts, size_t max);

/* ---- Links, addresses, routes, neighbours ------------------------------------------------ */

enum nst_medium {
    NST_MEDIUM_ETHERNET, /* frames with Ethernet headers: TAP */
    NST_MEDIUM_IP,       /* bare IP packets: TUN */
};

/* What the device takes over on the way out; the stack does the rest in software. */
enum nst_link_offload {
    NST_LINK_CSUM = 1 << 0, /* completes NST_CSUM_PARTIAL */
    NST_LINK_TSO4 = 1 << 1, /* segments NST_GSO_TCP4 */
    NST_LINK_TSO6 = 1 << 2,
    NST_LINK_USO = 1 << 3, /* segments NST_GSO_UDP */
};

#define NST_LINK_NAME_MAX 16

struct nst_link_config {
    char name[NST_LINK_NAME_MAX];
    enum nst_medium medium;
    struct nst_mac mac; /* Ethernet: a unicast address */
    uint32_t mtu;       /* of an IP packet, 68 to 65,535 */
    uint32_t offloads;  /* enum nst_link_offload */
    bool down;          /* starts without carrier */
};

/* Adds an interface. -EINVAL, -EEXIST (name), -ENOSPC, -ENOMEM. */
int nst_link_add(struct nst_stack *stack, nst_link *out, const struct nst_link_config *config);

/* Changes the MTU (-EINVAL out of range). */
int nst_link_set_mtu(struct nst_stack *stack, nst_link link, uint32_t mtu);

/* Reports the carrier. Coming up announces the addresses again, and begins anew to probe those that
 * are not in use yet. */
int nst_link_set_carrier(struct nst_stack *stack, nst_link link, bool up);

enum nst_acd {
    NST_ACD_OFF,      /* the address is used and nothing is said about it */
    NST_ACD_ANNOUNCE, /* used at once, announced, defended on conflict (RFC 5227 §2.3, §2.4) */
    NST_ACD_PROBE,    /* probed for some 5 s before the first use (RFC 5227 §2.1) */
};

enum nst_addr_state {
    NST_ADDR_TENTATIVE, /* being probed, not in use yet */
    NST_ADDR_VALID,
    NST_ADDR_CONFLICT, /* another host has it; not in use */
};

struct nst_addr_info {
    nst_link link;
    struct nst_prefix prefix;
    enum nst_acd acd;
    enum nst_addr_state state;
};

/* Gives the link an address; its network becomes a route. -EINVAL, -EEXIST, -ENOSPC, -ENODEV. */
int nst_addr_add(struct nst_stack *stack, nst_link link, const struct nst_prefix *prefix,
                 enum nst_acd acd);

/* Takes it away, with its network's route. -EADDRNOTAVAIL, -ENODEV. */
int nst_addr_del(struct nst_stack *stack, nst_link link, const struct nst_addr *addr);

enum nst_route_origin {
    NST_ROUTE_CONNECTED, /* follows from an address */
    NST_ROUTE_STATIC,    /* set by the owner */
    NST_ROUTE_REDIRECT,  /* learnt from a redirect; ends after ten minutes */
};

/* Where packets go: those for `dst` to `gateway` on `link`, or straight to the neighbour when the
 * gateway is unspecified. Among equal prefixes the lowest metric with a living gateway wins. */
struct nst_route {
    struct nst_prefix dst;
    struct nst_addr gateway;
    nst_link link;
    uint32_t metric;
    enum nst_route_origin origin;
};

/* Adds a static route (`origin` is not looked at), and removes such a one again, or one learnt from
 * a redirect. -EINVAL, -EEXIST, -ENETUNREACH (gateway not on a connected network), -ENOSPC,
 * -ENOMEM, -ENODEV; -ENOENT. */
int nst_route_add(struct nst_stack *stack, const struct nst_route *route);
int nst_route_del(struct nst_stack *stack, const struct nst_route *route);

/* Neighbour states: RFC 4861 §7.3.2, for both families. */
enum nst_neigh_state {
    NST_NEIGH_INCOMPLETE,
    NST_NEIGH_REACHABLE,
    NST_NEIGH_STALE,
    NST_NEIGH_DELAY,
    NST_NEIGH_PROBE,
    NST_NEIGH_FAILED, /* did not answer; the next packet for it asks again */
    NST_NEIGH_PERMANENT,
};

struct nst_neigh_info {
    nst_link link;
    struct nst_addr addr;
    struct nst_mac mac;
    enum nst_neigh_state state;
    nst_time confirmed; /* when reachability was last confirmed, 0 never */
};

/* Sets a permanent entry, or forgets an entry of any kind. -EINVAL, -ENODEV, -ENOSPC; -ENOENT. */
int nst_neigh_set(struct nst_stack *stack, nst_link link, const struct nst_addr *addr,
                  const struct nst_mac *mac);
int nst_neigh_del(struct nst_stack *stack, nst_link link, const struct nst_addr *addr);

struct nst_link_info {
    nst_link link;
    struct nst_link_config config;
    uint64_t rx_pkts, rx_bytes, tx_pkts, tx_bytes, rx_drops, tx_drops;
};

/* Lists: each fills up to `max` entries of `out` and returns how many there are in all. */
size_t nst_link_list(const struct nst_stack *stack, struct nst_link_info *out, size_t max);
size_t nst_addr_list(const struct nst_stack *stack, struct nst_addr_info *out, size_t max);
size_t nst_route_list(const struct nst_stack *stack, struct nst_route *out, size_t max);
size_t nst_neigh_list(const struct nst_stack *stack, struct nst_neigh_info *out, size_t max);

/* What TCP remembers of a pair of hosts. 0: not known, or too old to be used. */
struct nst_metrics_info {
    struct nst_addr local, peer;
    nst_time measured;     /* when the last connection that measured ended */
    nst_time srtt, rttvar; /* of the round trip: mean and mean deviation, ns */
    uint32_t ssthresh;     /* bytes */
    uint16_t mtu;          /* of the path, where it is less than the first hop's */
    bool reordered;        /* segments overtake each other on the way */
    /* Fast Open (RFC 7413). */
    bool cookie;      /* the peer gave one */
    uint16_t mss;     /* that the peer had then */
    uint8_t failures; /* to accept it, in a row */
};

size_t nst_metrics_list(const struct nst_stack *stack, struct nst_metrics_info *out, size_t max);
/* Forgets what is known of a peer, or with NULL of all. Returns how many entries that were. */
size_t nst_metrics_flush(struct nst_stack *stack, const struct nst_addr *peer);

/* ---- Sockets ----------------------------------------------------------------------------- */

enum nst_sock_type {
    NST_SOCK_STREAM = 1,
    NST_SOCK_DGRAM = 2, /* UDP, or ICMP echo with protocol 1 */
    NST_SOCK_RAW = 3,   /* IP packets of one protocol; received with their IP header */
    NST_SOCK_PACKET = 4 /* whole frames of one link and EtherType */
};

enum nst_ready {
    NST_READY_IN = 1 << 0,    /* something to receive */
    NST_READY_OUT = 1 << 1,   /* room to send */
    NST_READY_ERR = 1 << 2,   /* an error or an entry in the error queue */
    NST_READY_HUP = 1 << 3,   /* a connection has ended, both ways */
    NST_READY_RDHUP = 1 << 4, /* the peer sends no more */
    NST_READY_PRI = 1 << 5,   /* urgent data */
    NST_READY_SYN = 1 << 6,   /* somebody wants to connect: see NST_OPT_SYN_EVENTS */
};

enum nst_event_kind {
    NST_EVENT_READY,    /* a socket's readiness rose: `sock`, `ready`, `cookie` */
    NST_EVENT_CONFLICT, /* another host uses our address: `link`, `addr`, `mac`, `addr_state` */
    NST_EVENT_RETURNED, /* memory that was lent is the owner's alone again: `cookie` */
};

struct nst_event {
    enum nst_event_kind kind;
    nst_sock sock;
    uint64_t cookie; /* as given to nst_socket(), or nst_lend() */
    uint32_t ready;  /* enum nst_ready: all that holds now */
    nst_link link;
    struct nst_addr addr;
    struct nst_mac mac;
    enum nst_addr_state addr_state;
};

/* Pulls up to `max` events: edges, each reported once. */
size_t nst_events(struct nst_stack *stack, struct nst_event *events, size_t max);

/* Opens a socket. `protocol` is an IP protocol number (0: the type's usual one); for packet sockets
 * it is not used. `cookie` comes back with its events.
 * -EINVAL, -EPROTONOSUPPORT, -EAFNOSUPPORT, -ENFILE (limit), -ENOMEM. */
int nst_socket(struct nst_stack *stack, nst_sock *out, enum nst_family family,
               enum nst_sock_type type, uint8_t protocol, uint64_t cookie);

/* Gives it another cookie, from its next event on. -EBADF. */
int nst_set_cookie(struct nst_stack *stack, nst_sock sock, uint64_t cookie);

/* Closes it; the handle ends at once. -EBADF. */
int nst_close(struct nst_stack *stack, nst_sock sock);

/* Names the local end, which is this socket's until it is closed; others may have the same with
 * NST_OPT_REUSEADDR. Connections that were accepted, or have outlived their sockets, keep nobody
 * from binding to their port. -EADDRINUSE, -EADDRNOTAVAIL, -EAFNOSUPPORT, -ENODEV, -EINVAL (bound
 * already), -EBADF. */
int nst_bind(struct nst_stack *stack, nst_sock sock, const struct nst_sockaddr *local);

/* Names the far end; an unspecified address undoes it. A stream socket begins to connect:
 * -EINPROGRESS, and NST_READY_OUT or NST_READY_ERR follows. Otherwise -ENETUNREACH, -EADDRNOTAVAIL,
 * -EAFNOSUPPORT, -ENODEV, -EACCES (broadcast without NST_OPT_BROADCAST), -EXDEV (of several stacks,
 * a connection from the port that the socket is bound to would be another's), -EBADF. */
int nst_connect(struct nst_stack *stack, nst_sock sock, const struct nst_sockaddr *peer);

/* An error that came back for something sent: by ICMP, or from this host itself. */
struct nst_sock_error {
    int err;   /* a positive errno value */
    bool icmp; /* from an ICMP message of `offender`, with its `type` and `code` */
    uint8_t type, code;
    uint32_t info; /* the next hop's MTU for "fragmentation needed" */
    struct nst_addr offender;
};

#define NST_IP_OPTIONS_MAX 40

/* A datagram with what surrounds it. */
struct nst_msg {
    struct nst_slice *data; /* the caller's memory */
    size_t ndata;
    struct nst_sockaddr peer; /* send: destination (unspecified: the connected one); recv: source */
    struct nst_sockaddr local;   /* send: source to use (unspecified: chosen); recv: destination */
    uint8_t ttl;                 /* send: 0 for the socket's */
    int16_t tos;                 /* send: -1 for the socket's; recv: DSCP and ECN */
    uint32_t flags;              /* send: enum nst_send_flag */
    bool truncated;              /* recv: the datagram was longer than `data` */
    nst_time time;               /* recv: arrival, or of the error */
    struct nst_sock_error error; /* recv with NST_RECV_ERROR */
    uint16_t segment_bytes;      /* UDP: several datagrams of so many bytes each, the last may be
                                    shorter; 0: one (send: or as NST_OPT_UDP_SEGMENT says) */
    uint8_t options_len;         /* IP options, padded to a multiple of four */
    uint8_t options[NST_IP_OPTIONS_MAX];
};

enum nst_send_flag {
    NST_SEND_MORE = 1 << 0, /* stream: more follows, so a partial segment may wait for it */
    NST_SEND_OOB = 1 << 1,  /* stream: the last byte is urgent */
    /* Stream, not connected: connects to `peer`, with the data in the SYN if the peer is known to
     * take it (RFC 7413); else -EINPROGRESS, and nothing is sent but the SYN. */
    NST_SEND_FASTOPEN = 1 << 2,
};

enum nst_recv_flag {
    NST_RECV_PEEK = 1 << 0,
    NST_RECV_OOB = 1 << 2,   /* stream: the urgent byte; -EINVAL when there is none */
    NST_RECV_ERROR = 1 << 1, /* from the error queue: what was sent comes back as data, its
                                destination as `peer` */
};

enum nst_shutdown {
    NST_SHUT_RD = 1,
    NST_SHUT_WR = 2,
    NST_SHUT_RDWR = 3,
};

/* Stream: waits for connections, of which up to `backlog` + 1 are kept for nst_accept().
 * -EADDRINUSE, -EINVAL (connected), -EOPNOTSUPP, -EBADF. */
int nst_listen(struct nst_stack *stack, nst_sock sock, uint32_t backlog);

/* Takes the oldest finished connection as a socket of its own. -EAGAIN when there is none, -EINVAL
 * (not listening), -ENFILE, -ENOMEM, -EBADF. */
int nst_accept(struct nst_stack *stack, nst_sock sock, nst_sock *out, uint64_t cookie);

/* Ends one direction of a connection, or both. -ENOTCONN, -EOPNOTSUPP, -EBADF. */
int nst_shutdown(struct nst_stack *stack, nst_sock sock, enum nst_shutdown how);

/* Sends one datagram, whole, or several, of which none is then fragmented (-EMSGSIZE) and which are
 * 128 at most (-EINVAL); or as much of a stream's data as there is room for. Returns the length, or
 * -EAGAIN (no room); after either that is less than all NST_READY_OUT comes. -EPIPE, -ENOBUFS (the
 * whole stack is short of memory: try again later), -EMSGSIZE, -EDESTADDRREQ, -ENETUNREACH,
 * -EACCES, -EINVAL, -EBADF, or an error that came back earlier. */
int64_t nst_send(struct nst_stack *stack, nst_sock sock, const struct nst_msg *msg);

/* Receives one datagram, and returns its whole length; or what there is of a stream's data, and
 * returns how much that is, 0 at its end. -EAGAIN when there is none, -ENOTCONN, -EBADF, or an
 * error that came back for something sent or that ended the connection. */
int64_t nst_recv(struct nst_stack *stack, nst_sock sock, struct nst_msg *msg, uint32_t flags);

/* A stream's queues in place, without a copy in between: memory of the send queue to write to, and
 * of the receive queue to read from. The slices hold until the next call for
 * the same socket, nst_input() or nst_output(); so what is peeked may be sent on another socket.
 *
 * nst_send_reserve() fills in slices with room for up to `len` bytes and returns how many, at least
 * one; or an error as nst_send(). nst_send_commit() must follow: it sends the first `len` bytes of
 * the room, which may be none. nst_recv_peek() fills in up to `max` slices of what there is to
 * receive and returns how many; 0 at the end, or an error as nst_recv(). nst_recv_consume() takes
 * the first `len` bytes off, -EINVAL when there aren't as many. To both an urgent byte is one like
 * others: NST_OPT_URGENT says where it is. */
#define NST_SEND_SLICES 9
int nst_send_reserve(struct nst_stack *stack, nst_sock sock, size_t len,
                     struct nst_slice out[NST_SEND_SLICES]);
int nst_send_commit(struct nst_stack *stack, nst_sock sock, size_t len, uint32_t flags);
int nst_recv_peek(struct nst_stack *stack, nst_sock sock, struct nst_slice *out, size_t max);
int nst_recv_consume(struct nst_stack *stack, nst_sock sock, size_t len);

/* Memory of the owner's that streams send from where it is, without copying it: a file that is
 * mapped, an answer that is kept, what a library has made. It is lent as a whole, and any part of
 * it sent on any stream of the stack, any number of times. As segments are made of it until the
 * peer has acknowledged them - and until it is read, if the peer is a socket of this stack -, it
 * must neither change nor end before it is returned. Whatever comes, acknowledgement, reset or
 * close, the stack lets go of it in the end; closed connections may take minutes for that. What is
 * shorter than a kilobyte is copied all the same.
 *
 * nst_lend() costs an allocation. -ENOMEM. nst_lend_end() says that nothing more of it will be
 * sent, and is the last use of the loan: NST_EVENT_RETURNED with its cookie follows as soon as
 * nothing of it is queued or on its way. nst_stack_free() returns all that is lent, silently.
 * nst_send_lent() sends `len` bytes from `offset` on, and returns how many as nst_send() does;
 * -EINVAL if they are outside of what was lent, -EOPNOTSUPP (no stream). */
struct nst_loan;
int nst_lend(struct nst_stack *stack, struct nst_loan **out, const void *base, size_t len,
             uint64_t cookie);
void nst_lend_end(struct nst_stack *stack, struct nst_loan *loan);
int64_t nst_send_lent(struct nst_stack *stack, nst_sock sock, struct nst_loan *loan, size_t offset,
                      size_t len, uint32_t flags);

enum nst_opt {
    NST_OPT_ERROR,       /* get: the pending error, which this clears */
    NST_OPT_SNDBUF,      /* bytes of memory that the send queue may hold */
    NST_OPT_RCVBUF,      /* and the receive queue */
    NST_OPT_BROADCAST,   /* may send to broadcast addresses */
    NST_OPT_TTL,         /* 1 to 255 */
    NST_OPT_TOS,         /* DSCP and ECN bits */
    NST_OPT_DONTFRAG,    /* sets DF; datagrams beyond the MTU give -EMSGSIZE */
    NST_OPT_RECVERR,     /* errors go to a queue for NST_RECV_ERROR; they fail no other call */
    NST_OPT_ICMP_FILTER, /* raw ICMP: bit n set: type n (below 32) is not received */

    /* Datagram and raw sockets, for what they send to multicast groups. */
    NST_OPT_MULTICAST_TTL,  /* 1 to 255  [1] */
    NST_OPT_MULTICAST_LOOP, /* this host's members of the group get it too  [1] */
    NST_OPT_MULTICAST_LINK, /* the link that it goes out on; 0: the route's  [0] */

    /* UDP: what is sent is cut into datagrams of so many bytes; 0: it is one. */
    NST_OPT_UDP_SEGMENT,
    NST_OPT_UDP_GRO, /* several datagrams that came as one may be received as one */

    /* Stream sockets: the BSD and Linux options of these names. */
    NST_OPT_NODELAY,
    NST_OPT_CORK,
    NST_OPT_MAXSEG,       /* 88 to 32,767; get: the effective one */
    NST_OPT_OOBINLINE,    /* urgent data stays in the stream; reads stop before it all the same */
    NST_OPT_DEFER_ACCEPT, /* a listener-to-be: connections wait for their first data */
    NST_OPT_QUICKACK,     /* acknowledge at once for now */
    NST_OPT_HOLD,         /* the window that is offered opens no further; what was, is taken  [0] */
    NST_OPT_KEEPALIVE,
    NST_OPT_KEEPIDLE,  /* seconds */
    NST_OPT_KEEPINTVL, /* seconds */
    NST_OPT_KEEPCNT,
    NST_OPT_SYNCNT,
    NST_OPT_LINGER,           /* seconds; -1: off; 0: close resets */
    NST_OPT_LINGER2,          /* seconds in FIN-WAIT-2 after close; -1: none */
    NST_OPT_USER_TIMEOUT,     /* milliseconds; 0: the default */
    NST_OPT_PACING,           /* segments go out evenly over a round trip, not all at once  [1] */
    NST_OPT_HYSTART,          /* slow start may end without a loss (RFC 9406); before connecting
                                 [1] */
    NST_OPT_MAX_PACING_RATE,  /* bytes a second; 0: no limit  [0] */
    NST_OPT_RECOVERY,         /* enum nst_tcp_recovery, or'ed  [all] */
    NST_OPT_ECN,              /* enum nst_tcp_ecn_mode, for a connection or listener to be */
    NST_OPT_FASTOPEN,         /* a listener: so many connections at a time may begin with data in
                                 their SYN, up to 4,096; 0: none (7413-11)  [0] */
    NST_OPT_FASTOPEN_CONNECT, /* nst_connect() gives 0 and waits for the first data, which goes
                                 with the SYN, if the peer is known to take it  [0] */
    NST_OPT_MTU_PROBING,      /* enum nst_tcp_mtu_probing, for a connection or listener to be */
    NST_OPT_REUSEPORT,        /* 0, or a number, before binding: sockets with the same one may have
                                 one address and port, and what comes for it is spread over them
                                 by flow; up to 65,535  [0] */
    NST_OPT_MTU,              /* of the way to the peer, of a connected socket; only to be read */

    /* Stream and UDP sockets: as in Linux, those that all have it may be bound to one name, of
     * streams as long as none of them listens. Of UDP sockets the last one gets what is for one. */
    NST_OPT_REUSEADDR,

    NST_OPT_URGENT, /* a stream's bytes that stand before the urgent one; -1: there is none, or not
                       here yet; only to be read */
    NST_OPT_SYN_EVENTS, /* a listener-to-be: NST_READY_SYN tells of SYNs before they are answered,
                           which nst_output() does; so a listener that is closed then refuses, or
                           leaves them to another that takes them. What begins with Fast Open's
                           data, or is answered with a SYN cookie, doesn't wait  [0] */
};

/* Packetisation-layer path MTU discovery (RFC 4821), as in Linux's tcp_mtu_probing. */
enum nst_tcp_mtu_probing {
    NST_TCP_MTU_PROBING_OFF,        /* the default: what ICMP says counts */
    NST_TCP_MTU_PROBING_BLACK_HOLE, /* when large segments time out again and again */
    NST_TCP_MTU_PROBING_ALWAYS,     /* from a small size on */
};

/* TCP Fast Open (RFC 7413), as in Linux's tcp_fastopen. */
enum nst_tcp_fastopen_mode {
    NST_TCP_FASTOPEN_CLIENT = 1 << 0,           /* ask for cookies, and use them; the default */
    NST_TCP_FASTOPEN_SERVER = 1 << 1,           /* give them, for listeners with NST_OPT_FASTOPEN */
    NST_TCP_FASTOPEN_CLIENT_NO_COOKIE = 1 << 2, /* send data even without one */
    NST_TCP_FASTOPEN_NO_COOKIE = 1 << 9,        /* take data without one: only where nobody lies */
    NST_TCP_FASTOPEN_ALL = 1 << 10,             /* for every listener, up to its backlog */
};

/* What a connection learns from earlier ones between the same hosts (RFC 9040), as with Linux's
 * tcp_no_metrics_save and tcp_no_ssthresh_metrics_save. */
enum nst_tcp_metrics_mode {
    NST_TCP_METRICS_PATH = 1 << 0,     /* how long to wait at first, how much fits, whether segments
                                          overtake each other: the default */
    NST_TCP_METRICS_SSTHRESH = 1 << 1, /* where slow start ends */
    NST_TCP_METRICS_ALL = (1 << 2) - 1,
};

/* How a sender finds losses and makes them good; without SACK those of RFC 6582 hold anyway. */
enum nst_tcp_recovery {
    NST_TCP_RECOVERY_RACK = 1 << 0, /* losses by time (RFC 8985), not by counting (RFC 6675) */
    NST_TCP_RECOVERY_TLP = 1 << 1,  /* tail loss probes (RFC 8985 §7) */
    NST_TCP_RECOVERY_PRR = 1 << 2,  /* proportional rate reduction (RFC 6937) */
    NST_TCP_RECOVERY_FRTO = 1 << 3, /* spurious timeouts by what new data does (RFC 5682) */
    NST_TCP_RECOVERY_UNDO = 1 << 4, /* ... by timestamps (RFC 3522) and DSACK (RFC 3708) */
    NST_TCP_RECOVERY_ALL = (1 << 5) - 1,
};

/* Explicit congestion notification (RFC 3168), as in Linux's tcp_ecn. */
enum nst_tcp_ecn_mode {
    NST_TCP_ECN_OFF,
    NST_TCP_ECN_ASK,    /* ask for it, and accept it */
    NST_TCP_ECN_ACCEPT, /* accept it when the peer asks: the default */
};

/* What a stack does where a socket says nothing; for what begins from now on. */
enum nst_stack_opt {
    NST_STACK_TCP_ECN,         /* enum nst_tcp_ecn_mode  [accept] */
    NST_STACK_TCP_FASTOPEN,    /* enum nst_tcp_fastopen_mode, or'ed  [client] */
    NST_STACK_TCP_MTU_PROBING, /* enum nst_tcp_mtu_probing  [off] */
    NST_STACK_TCP_PACING,      /* of window-based congestion control, too  [1] */
    NST_STACK_TCP_HYSTART,     /* RFC 9406  [1] */
    NST_STACK_TCP_RECOVERY,    /* enum nst_tcp_recovery, or'ed  [all] */
    NST_STACK_TCP_METRICS,     /* enum nst_tcp_metrics_mode, or'ed  [path] */
};

/* -EINVAL out of range. */
int nst_stack_setopt(struct nst_stack *stack, enum nst_stack_opt opt, int64_t value);

/* -ENOPROTOOPT for an option that this kind of socket lacks, -EINVAL out of range, -ENODEV (no such
 * link), -EBADF. */
int nst_setopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t value);
int nst_getopt(struct nst_stack *stack, nst_sock sock, enum nst_opt opt, int64_t *value);

/* Joins a multicast group on a link (0: that of the route to it), for all that is sent to it or, if
 * `source` is not NULL, for what that host sends to it; several sources are several calls. Leaving
 * with link 0 is on all links, without a source for all of them; closing the socket leaves all. As
 * in Linux with IP_MULTICAST_ALL, a socket that has not joined a group still receives what is sent
 * to it and suits the socket's own address and port, if another socket has joined. join: -EINVAL
 * (no group, no possible source, or joined already in the other way), -EADDRINUSE (joined already),
 * -ENODEV, -ENOBUFS (too many groups, or sources in one), -ENOMEM, -ENOPROTOOPT (packet sockets),
 * -EBADF. leave: -EADDRNOTAVAIL (not joined), -EBADF. */
int nst_join(struct nst_stack *stack, nst_sock sock, nst_link link, const struct nst_addr *group,
             const struct nst_addr *source);
int nst_leave(struct nst_stack *stack, nst_sock sock, nst_link link, const struct nst_addr *group,
              const struct nst_addr *source);

/* RFC 9293 §3.3.2. */
enum nst_tcp_state {
    NST_TCP_CLOSED,
    NST_TCP_LISTEN,
    NST_TCP_SYN_SENT,
    NST_TCP_SYN_RECEIVED,
    NST_TCP_ESTABLISHED,
    NST_TCP_FIN_WAIT_1,
    NST_TCP_FIN_WAIT_2,
    NST_TCP_CLOSE_WAIT,
    NST_TCP_CLOSING,
    NST_TCP_LAST_ACK,
    NST_TCP_TIME_WAIT,
};

/* Chooses the congestion control of a stream socket by its name in TCP_CONGESTION ("cubic", "reno"
 * or "bbr"), and tells it; of socket 0 it is what those that are opened later begin with. -ENOENT
 * (no such algorithm), -EINVAL (connected already, or listening), -EOPNOTSUPP, -EBADF. */
int nst_set_congestion(struct nst_stack *stack, nst_sock sock, const char *name);
const char *nst_get_congestion(const struct nst_stack *stack, nst_sock sock); /* NULL: none */

struct nst_sock_info {
    nst_sock sock;   /* 0: a connection that no socket has: see nst_sock_list() */
    uint64_t cookie; /* of such a connection: its listener's, or 0 */
    enum nst_sock_type type;
    uint8_t protocol;
    enum nst_tcp_state state; /* of a stream; CLOSED for others */
    struct nst_sockaddr local, peer;
    /* Payload queued. Of a stream: not read yet, and not acknowledged yet. Of a listener, as in
     * Linux: connections that wait for nst_accept(), and the backlog. */
    size_t rx_bytes, tx_bytes;
    uint64_t rx_drops;
    /* Memory behind what is queued: more than the payload, and with errors and what came out of
     * order. 0 of a connection that no socket has. */
    size_t memory_bytes;
};

/* -EBADF. */
int nst_info(const struct nst_stack *stack, nst_sock sock, struct nst_sock_info *out);

/* Lists all sockets, and the connections that have none: half-open ones, those that wait to be
 * accepted, those whose owner closed them, and TIME-WAIT. Fills in up to `max` and returns how
 * many, 0 at the end; `*cursor` is 0 at first and says where to go on. What changes between two
 * calls may be listed twice or not at all. */
size_t nst_sock_list(const struct nst_stack *stack, uint64_t *cursor, struct nst_sock_info *out,
                     size_t max);

/* How a sender takes its losses. */
enum nst_tcp_phase {
    NST_TCP_OPEN,      /* no loss in sight */
    NST_TCP_DISORDER,  /* duplicate ACKs or SACKs: perhaps reordering */
    NST_TCP_CONGESTED, /* the window was reduced because the network said so (ECN) */
    NST_TCP_RECOVERY,  /* fast recovery, until all that was out at its start is acknowledged */
    NST_TCP_LOSS,      /* the same after a retransmission timeout */
};

/* What made a sender reduce its window. */
enum nst_tcp_reason {
    NST_TCP_REASON_NONE,
    NST_TCP_REASON_RACK,    /* a segment is overdue (RFC 8985) */
    NST_TCP_REASON_DUPACKS, /* duplicate ACKs, or SACKs above a hole */
    NST_TCP_REASON_TLP,     /* a tail loss probe made good a loss */
    NST_TCP_REASON_RTO,     /* a timeout */
    NST_TCP_REASON_ECN,     /* congestion was marked */
};

/* Its name, as in `netstack sockets`. */
const char *nst_tcp_reason_name(enum nst_tcp_reason reason);

/* What Linux calls TCP_INFO: the same names where the meaning is the same, but windows and what is
 * out are in bytes, and all times in nanoseconds. */
struct nst_tcp_info {
    enum nst_tcp_state state;
    enum nst_tcp_phase ca_state;
    const char *congestion;                  /* the algorithm, as in TCP_CONGESTION */
    bool timestamps, sack, wscale, ecn;      /* what both ends agreed on */
    bool ecn_seen;                           /* segments marked ECT or CE have come */
    bool syn_data;                           /* data went with the SYN, and all was taken */
    uint8_t rcv_tos;                         /* DSCP and ECN of the segment that came last */
    uint8_t snd_wscale, rcv_wscale;          /* shifts of the peer's and of our windows */
    uint8_t retransmits;                     /* expiries of the timer since the last progress */
    uint8_t probes;                          /* keep-alive probes without an answer */
    uint8_t backoff;                         /* how often the timeout was doubled */
    nst_time rto, rtt, rttvar, min_rtt;      /* 0: not measured yet */
    nst_time last_data_sent, last_data_recv; /* how long ago; NST_TIME_NEVER: never */
    nst_time age;                            /* since the connection was begun */
    uint32_t snd_mss, rcv_mss, pmtu;         /* bytes; rcv_mss is an estimate */
    uint32_t snd_cwnd, snd_ssthresh;         /* bytes; UINT32_MAX: no threshold yet */
    uint32_t snd_wnd, rcv_wnd;               /* bytes that the peer, and we, offer */
    uint32_t sndbuf, rcvbuf;                 /* bytes */
    uint32_t unacked, sacked, lost, retrans; /* bytes that are out, and what is known of them */
    uint32_t notsent_bytes;
    uint64_t bytes_sent, bytes_acked, bytes_received, bytes_retrans;
    uint32_t segs_out, segs_in, data_segs_out, data_segs_in;
    uint32_t total_retrans; /* segments */
    uint32_t dsack_dups, reord_seen, rcv_ooopack;
    uint64_t pacing_rate;           /* bytes a second; 0: not paced */
    uint64_t delivery_rate;         /* bytes a second, as last measured; 0: not yet */
    bool delivery_rate_app_limited; /* at least that: the application had no more to send */
    uint64_t delivered;             /* bytes, by SACK too */
    /* Spent with something to send; of that, held back by the peer's window, and by the send
     * buffer. */
    nst_time busy_time, rwnd_limited, sndbuf_limited;
    enum nst_tcp_reason reduced_by; /* the last reduction of the window */
    uint32_t undos;                 /* reductions that were taken back */
    uint32_t loss_probes;           /* tail loss probes sent */
    nst_time reo_wnd;               /* how much later than others a segment may come */
    uint32_t rcv_ce;                /* segments that came marked CE */
    uint32_t pmtu_high;             /* what `pmtu` may turn out to be; 0: nobody asks */
};

/* -EOPNOTSUPP (no stream), -ENOTCONN (a listener), -EBADF. */
int nst_tcp_info(const struct nst_stack *stack, nst_sock sock, struct nst_tcp_info *out);

/* ---- Statistics -------------------------------------------------------------------------- */

/* How many drop reasons there are; they are numbered from 1 to that, 0 stands for "not dropped". */
size_t nst_drop_count(void);

/* Its short name, as in `ip_checksum`, and a sentence about it. NULL out of range. */
const char *nst_drop_name(uint16_t drop);
const char *nst_drop_text(uint16_t drop);

/* How many packets this stack has dropped for that reason. */
uint64_t nst_drops(const struct nst_stack *stack, uint16_t drop);

/* A counter: its name, as in `ipv4.in`, and value. Index from 0; false past the last. */
bool nst_stat(const struct nst_stack *stack, size_t index, const char **name, uint64_t *value);

/* Memory in use by packets, and its budget. */
void nst_memory(const struct nst_stack *stack, size_t *used_bytes, size_t *budget_bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
