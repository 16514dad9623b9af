/* Sockets: handles, ports, and the queues between the protocols and the owner.
 *
 * A socket is found by its handle (the owner's way in) or by what it is bound to (the packets' way
 * in): datagram sockets by protocol and port in a hash table, raw and packet sockets on a
 * list each. What arrives waits in `rxq`, what is to be sent in `txq`, what came back as an error
 * in `errq`; each is bounded by the memory it holds. A socket with something to send stands on the
 * table's list `sending`, from which the way out pulls one datagram at a time, in turn; a socket
 * whose readiness rose stands on `changed` until the owner has asked for events.
 *
 * stream.c, datagram.c, raw.c and packet.c are the kinds of sockets, each a struct nst_sock_kind;
 * table.c the handles and ports; queue.c the queues and readiness; member.c the multicast groups.
 */
#ifndef NST_SOCK_SOCKET_H
#define NST_SOCK_SOCKET_H

#include "core/icmp/igmp.h"
#include "core/ip/ip.h"
#include "core/tcp/tcb.h"

#define NST_SOCK_BUCKETS 1024

/* What every kind of socket but a stream's has besides: its queues, and what the owner chose for
 * its datagrams. */
struct nst_dgram {
    struct nst_socket *socket;
    struct nst_list place;   /* in its bucket, or on the list of its kind */
    struct nst_list sending; /* on the table's list, while txq is not empty */
    struct nst_sockaddr local, peer;
    uint16_t segment_bytes; /* UDP: what is sent is cut into such datagrams; 0: not at all */
    bool gro;               /* UDP: what comes as one is received as one */
    uint32_t icmp_filter;
    uint8_t multicast_ttl;
    bool multicast_loop;
    nst_link multicast_link;     /* 0: the route's */
    struct nst_list memberships; /* of struct nst_membership */
    uint32_t nmemberships;
    struct nst_list rxq, txq, errq; /* of struct nst_pkt */
    size_t rx_mem, tx_mem, err_mem; /* memory that they hold */
    size_t rx_bytes, tx_bytes;      /* payload */
    size_t rcvbuf, sndbuf;
    uint64_t rx_drops;
    int error;       /* pending, positive */
    bool tx_blocked; /* a send was refused for lack of room */
};

struct nst_socket {
    struct nst_list changed; /* on the table's list, while an event is due */
    nst_sock handle;
    uint64_t cookie;
    union {
        struct nst_tcb *tcb;               /* stream: its connection ... */
        struct nst_tcp_listener *listener; /* ... or this, if `listening` */
        struct nst_dgram *dgram;           /* all others */
    };
    uint8_t type; /* enum nst_sock_type */
    uint8_t proto;
    uint8_t ttl, tos; /* not a stream's; ttl 0: the stack's */
    bool broadcast : 1, df : 1, recverr : 1, reuseaddr : 1;
    bool local_by_connect : 1; /* the local address was chosen by connect */
    bool listening : 1;        /* stream */
    bool connected : 1;        /* stream: a connection was begun */
    bool bound : 1;            /* stream: it has a struct nst_tcp_name */
    uint16_t group;            /* those with the same number may have its name, too; 0: none may */
};

struct nst_socks {
    struct nst_env *env;
    struct nst_pool *pool;
    struct nst_ip *ip;
    struct nst_igmp *igmp;
    struct nst_tcps *tcps;
    struct nst_siphash_key key;
    uint32_t max, count;
    struct nst_socket **slots;
    uint32_t nslots, next_free; /* where to look for a free slot first */
    uint32_t generation;        /* of the handles of those that are opened now */
    struct nst_list buckets[NST_SOCK_BUCKETS];
    struct nst_list raws, packets;
    struct nst_list sending, changed;
};

/* What a kind of socket does at its owner's calls (nst_bind() and so on; BSD's struct pr_usrreqs).
 * Those that are NULL fail with -EOPNOTSUPP. */
struct nst_sock_kind {
    int (*open)(struct nst_socks *socks, struct nst_socket *s); /* -ENOMEM */
    void (*close)(struct nst_socks *socks, struct nst_socket *s);
    int (*bind)(struct nst_socks *socks, struct nst_socket *s, const struct nst_sockaddr *local);
    int (*connect)(struct nst_socks *socks, struct nst_socket *s, const struct nst_sockaddr *peer);
    int (*listen)(struct nst_socks *socks, struct nst_socket *s, uint32_t backlog);
    int (*accept)(struct nst_socks *socks, struct nst_socket *s, uint64_t cookie, nst_sock *out);
    int (*shutdown)(struct nst_socket *s, enum nst_shutdown how);
    int64_t (*send)(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg);
    int64_t (*recv)(struct nst_socket *s, struct nst_msg *msg, uint32_t flags);
    int (*error_take)(struct nst_socket *s);
    uint32_t (*readiness)(const struct nst_socket *s);                   /* NST_READY_ bits */
    void (*info)(const struct nst_socket *s, struct nst_sock_info *out); /* what not all have */
};

extern const struct nst_sock_kind nst_packet_kind, nst_raw_kind, nst_dgram_kind, nst_stream_kind;

/* ---- table.c ----------------------------------------------------------------------------- */

void nst_socks_init(struct nst_socks *socks, struct nst_pool *pool, struct nst_ip *ip,
                    struct nst_igmp *igmp, struct nst_tcps *tcps, uint32_t max);
void nst_socks_fini(struct nst_socks *socks);

/* Aborts if they contradict themselves. */
void nst_socks_check(const struct nst_socks *socks);

/* As nst_socket(). */
int nst_sock_open(struct nst_socks *socks, nst_sock *out, enum nst_family family,
                  enum nst_sock_type type, uint8_t protocol, uint64_t cookie);
void nst_sock_close(struct nst_socks *socks, struct nst_socket *s);

/* A socket with a handle, and with nothing yet of what its kind has: for what its own kind makes.
 * -ENFILE, -ENOMEM. */
int nst_sock_new(struct nst_socks *socks, struct nst_socket **out, enum nst_sock_type type,
                 uint8_t protocol, uint64_t cookie);

/* Never NULL. */
const struct nst_sock_kind *nst_sock_kind(const struct nst_socket *s);

/* The socket of a handle; NULL when it has ended. */
struct nst_socket *nst_sock_find(const struct nst_socks *socks, nst_sock handle);

/* Binds a datagram socket; port 0: a random free one (RFC 6056). -EADDRINUSE, -EADDRNOTAVAIL. */
int nst_sock_bind_port(struct nst_socks *socks, struct nst_socket *s,
                       const struct nst_sockaddr *local);

/* The datagram socket that suits a packet from `peer` to `local` best; NULL if none does. */
struct nst_socket *nst_sock_lookup(struct nst_socks *socks, uint8_t proto,
                                   const struct nst_sockaddr *local,
                                   const struct nst_sockaddr *peer);

/* The next after `prev` (NULL: the first) of all that such a packet suits; for groups. */
struct nst_socket *nst_sock_lookup_next(struct nst_socks *socks, struct nst_socket *prev,
                                        uint8_t proto, const struct nst_sockaddr *local,
                                        const struct nst_sockaddr *peer);

/* ---- queue.c ----------------------------------------------------------------------------- */

/* Queues a packet for the owner to receive. Drops: sock_rcvbuf, no_memory. */
void nst_sock_rx_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt);

/* Records an error for something sent, of which `pkt` (NULL without memory) is a copy. */
void nst_sock_error_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt,
                              const struct nst_sock_error *error);

/* A packet with a copy of the message's data, if there is room for it. -EAGAIN, -ENOBUFS. */
int nst_sock_tx_copy(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg,
                     struct nst_pkt **out);

/* Queues a packet for the way out. */
void nst_sock_tx_push_take(struct nst_socks *socks, struct nst_socket *s, struct nst_pkt *pkt);

/* The first packet of txq, now the caller's. */
struct nst_pkt *nst_sock_tx_pull(struct nst_socks *socks, struct nst_socket *s);

/* For the kinds that have a struct nst_dgram. */
int64_t nst_sock_recv(struct nst_socket *s, struct nst_msg *msg, uint32_t flags);
int nst_sock_error_take(struct nst_socket *s);
uint32_t nst_sock_readiness(const struct nst_socket *s);
void nst_sock_dgram_info(const struct nst_socket *s, struct nst_sock_info *out);

/* Frees all that is queued. */
void nst_sock_queues_free(struct nst_dgram *d);

/* As nst_events(), for sockets. */
size_t nst_sock_events(struct nst_socks *socks, struct nst_event *events, size_t max);

size_t nst_msg_len(const struct nst_msg *msg);

/* ---- datagram.c -------------------------------------------------------------------------- */

/* For the kinds that have a struct nst_dgram. */
int nst_dgram_open(struct nst_socks *socks, struct nst_socket *s);
void nst_dgram_close(struct nst_socks *socks, struct nst_socket *s);

/* Delivers a datagram whose ports are set. Drops: udp_port or icmp_unmatched, when there is no
 * socket for it, and no_memory; the packet is the caller's then. On NONE it was taken. */
enum nst_drop nst_dgram_input(struct nst_socks *socks, struct nst_pkt *pkt);

/* ---- stream.c ---------------------------------------------------------------------------- */

/* The connection of a socket of whatever kind; NULL if it has none. */
static inline struct nst_tcb *nst_sock_tcb(const struct nst_socket *s)
{
    return s->type == NST_SOCK_STREAM && !s->listening ? s->tcb : NULL;
}

/* The socket that a connection's or listener's `owner` stands for. */
struct nst_socket *nst_stream_socket(uint64_t owner);
/* SO_REUSEADDR was changed. */
void nst_stream_reuse(const struct nst_socket *s);
int nst_stream_set_congestion(struct nst_socket *s, const char *name);
int nst_stream_setopt(struct nst_socket *s, enum nst_opt opt, int64_t value);
int nst_stream_getopt(const struct nst_socks *socks, const struct nst_socket *s, enum nst_opt opt,
                      int64_t *value);

/* ---- raw.c ------------------------------------------------------------------------------- */

/* Gives a copy to each raw socket that wants the packet; true if there was one. */
bool nst_raw_input(struct nst_socks *socks, const struct nst_pkt *pkt);

/* ---- packet.c ---------------------------------------------------------------------------- */

/* Gives a copy of a frame, whose EtherType is `type`, to each packet socket that wants it. */
void nst_packet_input(struct nst_socks *socks, const struct nst_pkt *frame, uint16_t type);

/* ---- send.c ------------------------------------------------------------------------------ */

/* For datagram and raw sockets. */
int64_t nst_sock_send(struct nst_socks *socks, struct nst_socket *s, const struct nst_msg *msg);

/* Sends one queued datagram down, the sockets in turn. False when there is none. */
bool nst_sock_output(struct nst_socks *socks);

/* Tells the sender of a packet of ours, described by `quoted`, what came back. `pkt` holds the
 * packet from its transport header at `off` on, as far as known. False if nobody asked for it. */
bool nst_sock_error(struct nst_socks *socks, const struct nst_pkt *pkt, size_t off,
                    const struct nst_pkt_ip *quoted, const struct nst_sock_error *error);

/* ---- member.c ---------------------------------------------------------------------------- */

/* As nst_join() and nst_leave(). */
int nst_sock_join(struct nst_socks *socks, struct nst_socket *s, nst_link link,
                  const struct nst_addr *group, const struct nst_addr *source);
int nst_sock_leave(struct nst_socks *socks, struct nst_socket *s, nst_link link,
                   const struct nst_addr *group, const struct nst_addr *source);

/* Ends all memberships. */
void nst_sock_leave_all(struct nst_socks *socks, struct nst_socket *s);

/* Whether the socket's memberships let the packet through: one to a group that it has joined itself
 * must be from a source that it wants; all else passes. */
bool nst_sock_hears(const struct nst_socket *s, const struct nst_pkt *pkt);

/* The link that the socket sends to `dst` over when the message names none; 0: the route's. */
nst_link nst_sock_link_to(const struct nst_socket *s, const struct nst_addr *dst);

/* ---- options.c --------------------------------------------------------------------------- */

/* As nst_setopt(), nst_getopt(), nst_info(). */
int nst_sock_setopt(struct nst_socket *s, enum nst_opt opt, int64_t value);
int nst_sock_getopt(const struct nst_socks *socks, struct nst_socket *s, enum nst_opt opt,
                    int64_t *value);
void nst_sock_info(const struct nst_socket *s, struct nst_sock_info *out);

/* As nst_sock_list(). */
size_t nst_socks_list(const struct nst_socks *socks, uint64_t *cursor, struct nst_sock_info *out,
                      size_t max);

#endif
