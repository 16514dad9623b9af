/* UDP (RFC 768): the datagram's header and checksum. Ports belong to sock/. */
#ifndef NST_UDP_UDP_H
#define NST_UDP_UDP_H

#include "core/ip/ip.h"
#include "core/wire/udp.h"

/* Judges a datagram, which stands behind pkt->ip.hlen bytes of IP header: sets the ports and cuts
 * what the UDP length leaves out. Drops: udp_short, udp_len, udp_checksum. */
enum nst_drop nst_udp_input(struct nst_env *env, struct nst_pkt *pkt);

/* Puts a header in front of a payload that goes from pkt->sport to pkt->dport, between the
 * addresses in pkt->ip, both set. The checksum is left to the device, or to the edge of the stack.
 * -ENOBUFS; -EMSGSIZE beyond 65,527 bytes. */
int nst_udp_output(struct nst_env *env, struct nst_pkt *pkt);

#endif
