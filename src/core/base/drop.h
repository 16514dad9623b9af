/* Why a packet ended here. A dropped packet is not an error: it is one of these reasons, counted
 * per stack and told to the trace. Each reason has one meaning; add one rather than stretch
 * another. */
#ifndef NST_BASE_DROP_H
#define NST_BASE_DROP_H

/* X(name, sentence) */
#define NST_DROPS(X)                                                                         \
    X(link_down, "the interface has no carrier")                                             \
    X(no_link, "for an interface that does not exist")                                       \
    X(runt, "frame shorter than its link header or 802.3 length")                            \
    X(ethertype, "EtherType that this host does not speak")                                  \
    X(l2_other, "frame addressed to another station")                                        \
    X(l2_self, "frame from our own MAC address")                                             \
    X(l2_source, "frame from a broadcast, multicast or zero MAC address")                    \
    X(l2_group, "frame to a multicast MAC address that nobody here listens to")              \
    X(arp, "malformed ARP packet")                                                           \
    X(arp_other, "ARP for an address that is not ours, from nobody we ask for")              \
    X(arp_source, "ARP whose sender is no possible neighbour")                               \
    X(arp_conflict, "ARP from a station that claims an address of ours (RFC 5227)")          \
    X(arp_locked, "ARP that would move a neighbour confirmed less than a second ago")        \
    X(ip_short, "shorter than an IP header")                                                 \
    X(ip_version, "wrong IP version")                                                        \
    X(ip_ihl, "IPv4 header length below 20 bytes or beyond the packet")                      \
    X(ip_len, "IP total length below the header's or beyond the frame")                      \
    X(ip_checksum, "wrong IPv4 header checksum")                                             \
    X(ip_flags, "IPv4 flags or fragment offset that no sender may use")                      \
    X(ip_option, "malformed IPv4 option")                                                    \
    X(ip_source_route, "IPv4 source routing, which is refused (RFC 7126)")                   \
    X(ip_proto, "no such protocol above IP here")                                            \
    X(ip_other, "for another host, and this one does not forward")                           \
    X(ip_group, "multicast that nobody here has asked for, not from this source")            \
    X(ip_l2_broadcast, "unicast IP in a broadcast or multicast frame (RFC 1122 3.3.6)")      \
    X(martian, "source or destination address that cannot be on this link")                  \
    X(no_tunnel, "IP in IP, which is not spoken here")                                       \
    X(frag_range, "fragment beyond 65,535 bytes, or of a length that no sender makes")       \
    X(frag_overlap, "overlapping fragments: the datagram is given up (RFC 5722)")            \
    X(frag_duplicate, "fragment that was here already")                                      \
    X(frag_many, "more fragments in one datagram than allowed")                              \
    X(frag_budget, "incomplete datagrams hold all the memory they may")                      \
    X(frag_timeout, "the rest of the datagram did not come in time")                         \
    X(frag_ecn, "fragments whose ECN fields contradict each other (RFC 3168 5.3)")           \
    X(frag_proto, "fragmented datagram of a protocol that never is")                         \
    X(icmp_short, "ICMP message shorter than its type's header")                             \
    X(icmp_checksum, "wrong ICMP checksum")                                                  \
    X(icmp_type, "ICMP type or code that this host ignores")                                 \
    X(icmp_broadcast, "ICMP request to a broadcast or multicast address")                    \
    X(icmp_quote, "ICMP error about a packet that this host cannot have sent")               \
    X(icmp_redirect, "ICMP redirect refused: off, not from the gateway in use, or off-link") \
    X(icmp_unmatched, "ICMP error or reply that no socket asked for")                        \
    X(udp_short, "shorter than a UDP header")                                                \
    X(udp_len, "UDP length below 8 or beyond the datagram")                                  \
    X(udp_checksum, "wrong UDP checksum")                                                    \
    X(udp_segments, "more UDP datagrams in one packet than a device may join")               \
    X(udp_port, "no UDP socket on that port")                                                \
    X(tcp_short, "shorter than a TCP header")                                                \
    X(tcp_hlen, "TCP data offset below 5 or beyond the segment")                             \
    X(tcp_checksum, "wrong TCP checksum")                                                    \
    X(tcp_port, "no TCP connection or listener there")                                       \
    X(tcp_group, "TCP segment to or from a broadcast or multicast address")                  \
    X(tcp_flags, "TCP flags that make no sense in this state")                               \
    X(tcp_ack, "TCP acknowledgement of what was never sent, or too old (RFC 5961)")          \
    X(tcp_seq, "TCP segment outside the receive window")                                     \
    X(tcp_paws, "TCP timestamp older than the connection's (RFC 7323)")                      \
    X(tcp_rst, "RST that does not fit exactly (RFC 5961), or in TIME-WAIT (RFC 1337)")       \
    X(tcp_syn, "SYN in a synchronised state: answered by a challenge ACK (RFC 5961)")        \
    X(tcp_dup, "TCP data that was here already")                                             \
    X(tcp_ooo_full, "no room for more TCP data out of order")                                \
    X(tcp_rcvbuf, "TCP data beyond what the receive buffer can hold")                        \
    X(tcp_closed, "TCP data for a socket that was closed: answered by RST")                  \
    X(tcp_syn_queue, "the listener's SYN queue is full, and cookies are off")                \
    X(tcp_accept_queue, "the listener's accept queue is full")                               \
    X(tcp_cookie, "final ACK of a handshake whose SYN cookie is not ours")                   \
    X(igmp, "IGMP, which needs no answer here")                                              \
    X(igmp_short, "IGMP message shorter than its type's header or list of sources")          \
    X(igmp_checksum, "wrong IGMP checksum")                                                  \
    X(igmp_query, "IGMP query as no router on this link sends it (RFC 3376 9.1)")            \
    X(sock_rcvbuf, "the socket's receive queue is full")                                     \
    X(sock_closed, "the socket was closed with this in its queue")                           \
    X(no_route, "no route to the destination")                                               \
    X(no_source, "no source address for the destination")                                    \
    X(neigh_unreachable, "the neighbour does not answer")                                    \
    X(neigh_queue, "too many packets wait for this neighbour")                               \
    X(neigh_full, "the neighbour cache is full")                                             \
    X(link_queue, "the interface's queue is full")                                           \
    X(too_big, "larger than the MTU and may not be fragmented")                              \
    X(no_memory, "the packet budget is used up")

enum nst_drop {
    NST_DROP_NONE, /* not dropped */
#define NST_DROP_ENUM(name, text) NST_DROP_##name,
    NST_DROPS(NST_DROP_ENUM)
#undef NST_DROP_ENUM
        NST_DROP_COUNT
};

#endif
