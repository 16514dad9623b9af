/* UDP (RFC 768): the datagram's header and checksum. Ports belong to sock/. */
#ifndef NST_UDP_UDP_H
#define NST_UDP_UDP_H

#include "core/ip/ip.h"
#include "core/wire/udp.h"

/* One packet may be several datagrams of one flow, each of offload.gso_size bytes but the last: the
 * header is that of a datagram with all of them (NST_GSO_UDP). As in Linux, they are so many at
 * most. */
#define NST_UDP_SEGMENTS_MAX 128

/* Judges a datagram, which stands behind pkt->ip.hlen bytes of IP header: sets the ports and cuts
 * what the UDP length leaves out. That it is several is believed of a packet with that description,
 * which is cleared of any other. Drops: udp_short, udp_len, udp_checksum, udp_segments. */
enum nst_drop nst_udp_input(struct nst_env *env, struct nst_pkt *pkt);

/* Puts a header in front of a payload that goes from pkt->sport to pkt->dport, between the
 * addresses in pkt->ip, both set. The checksum is left to the device, or to the edge of the stack,
 * and so is the cutting, if pkt->offload.gso is set.
 * -ENOBUFS; -EMSGSIZE beyond 65,527 bytes. */
int nst_udp_output(struct nst_env *env, struct nst_pkt *pkt);

#endif
