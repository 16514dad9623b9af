/* Packets: a description and a list of slices of shared buffers.
 *
 * The first slice begins with the headers that are still to be read, or that were written last;
 * headers are pulled off and pushed on there. Packets that came in through nst_pkt_alloc() hold all
 * headers in their first slice. Copying a packet means sharing its buffers; who wants to write into
 * a head that might be shared asks nst_pkt_own_head() first.
 *
 * Ownership: a function named *_take consumes the packet, every other one borrows it. */
#ifndef NST_PKT_PKT_H
#define NST_PKT_PKT_H

#include "core/pkt/pool.h"

/* Room in front of a packet of our own: Ethernet, IP with options, the largest TCP header. */
#define NST_PKT_HEADROOM 144

struct nst_pkt_slice {
    struct nst_buf *buf;
    uint8_t *data;
    size_t len;
};

/* What the layers learn about a packet on the way in, and decide on the way out. */
struct nst_pkt_ip {
    struct nst_addr src, dst;
    uint8_t proto, ttl, tos;
    bool dst_group; /* `dst` is a broadcast or multicast address */
    bool df;
    uint8_t hlen; /* in: bytes of IP header in front of the payload */
    uint8_t options_len;
    uint8_t options[NST_IP_OPTIONS_MAX];
};

struct nst_pkt {
    struct nst_list node; /* the queue that holds it */
    struct nst_pool *pool;
    uint64_t id;           /* of the frame that came in; 0: our own */
    nst_time time;         /* of arrival */
    nst_link link;         /* it came from, or goes to */
    uint16_t sport, dport; /* of its transport; the identifier of an echo */
    uint16_t ethertype;    /* out */
    struct nst_mac mac;    /* in: the sender's; out: the next hop's */
    bool l2_group;         /* in: came in a broadcast or multicast frame */
    uint16_t frag_off;     /* in: of a fragment, bytes */
    bool framed;           /* out: a whole frame already, from a packet socket */
    bool looped;           /* in: from this host to itself, without a device */
    bool loop_group;       /* out: a multicast of which this host's own members get a copy */
    struct nst_pkt_ip ip;
    struct nst_offload offload;
    struct nst_sock_error error; /* on a socket's error queue */
    size_t len;
    unsigned nslices;
    struct nst_pkt_slice slices[NST_PKT_SLICES];
};

/* A packet of `len` bytes (undefined content) in one slice or, beyond a small buffer, two; with
 * `headroom` bytes (at most a small buffer's) free in front. NULL without memory or when it is
 * longer than a small and a large buffer. */
struct nst_pkt *nst_pkt_new(struct nst_pool *pool, size_t headroom, size_t len);

/* A packet of the same description whose bytes are those of `pkt` from `off`, `len` long, in the
 * same buffers; the range lies inside the packet. NULL without memory. */
struct nst_pkt *nst_pkt_share(const struct nst_pkt *pkt, size_t off, size_t len);

static inline struct nst_pkt *nst_pkt_clone(const struct nst_pkt *pkt)
{
    return nst_pkt_share(pkt, 0, nst_pkt_len(pkt));
}

/* The same with memory of its own. */
struct nst_pkt *nst_pkt_copy(const struct nst_pkt *pkt, size_t off, size_t len);

/* Frees all packets of a list, which is empty then. */
void nst_pkt_free_all(struct nst_list *pkts);

/* Appends bytes of a buffer, by reference. False when the packet has no slice left. */
bool nst_pkt_append(struct nst_pkt *pkt, struct nst_buf *buf, uint8_t *data, size_t len);

/* Counts and traces the packet's end, then frees it. */
void nst_pkt_drop(struct nst_pkt *pkt, enum nst_drop reason);

/* The first byte (NULL in an empty packet), and how many there are without a gap. */
static inline uint8_t *nst_pkt_head(const struct nst_pkt *pkt)
{
    return pkt->nslices ? pkt->slices[0].data : NULL;
}

static inline size_t nst_pkt_head_len(const struct nst_pkt *pkt)
{
    return pkt->nslices ? pkt->slices[0].len : 0;
}

/* Takes `n` bytes off the front; at most nst_pkt_head_len(). As with a push, the offload
 * description moves along. */
void nst_pkt_pull(struct nst_pkt *pkt, size_t n);

/* Drops `n` bytes of payload from the front, at most nst_pkt_len(), and gives back every leading
 * buffer of which nothing is left, also for 0. The offload description, which is about headers,
 * stays as it is. */
void nst_pkt_consume(struct nst_pkt *pkt, size_t n);

/* Puts `n` bytes, at most NST_PKT_HEADROOM, in front and returns them, to be written: in the
 * headroom of the first slice if it is there and unshared, else in a new small buffer. NULL without
 * memory or slices. */
uint8_t *nst_pkt_push(struct nst_pkt *pkt, size_t n);

/* Makes the first slice safe to write to. -ENOMEM. */
int nst_pkt_own_head(struct nst_pkt *pkt);

/* Copies `len` bytes from or to offset `off`; the range lies inside the packet.
 * What is written to must not be shared with another packet. */
void nst_pkt_read(const struct nst_pkt *pkt, size_t off, void *out, size_t len);
void nst_pkt_write(struct nst_pkt *pkt, size_t off, const void *in, size_t len);

/* The Internet checksum's sum over the range. */
uint16_t nst_pkt_sum(const struct nst_pkt *pkt, size_t off, size_t len);

/* Whether the checksum that belongs to the range, which includes the field, holds: `pseudo` is the
 * sum of a pseudo-header. True without looking when the device vouches for it. */
bool nst_pkt_checksum_ok(const struct nst_pkt *pkt, size_t off, size_t len, uint16_t pseudo);

/* The same of TCP or UDP, `len` bytes from `off`, by the pseudo-header that pkt->ip tells. */
bool nst_pkt_transport_ok(const struct nst_pkt *pkt, size_t off, size_t len);

/* Finishes a partial checksum in software. -ENOMEM (the head is shared and cannot be copied). */
int nst_pkt_checksum_complete(struct nst_pkt *pkt);

/* Memory that the packet keeps from other use, shared buffers in full, of lent ones its part. */
size_t nst_pkt_truesize(const struct nst_pkt *pkt);

/* Aborts if the packet contradicts itself. */
void nst_pkt_check(const struct nst_pkt *pkt);

#endif
