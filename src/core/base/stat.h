/* The stack's counters besides the drop reasons. Each counts one thing where it happens. */
#ifndef NST_BASE_STAT_H
#define NST_BASE_STAT_H

/* X(symbol, public name) */
#define NST_STATS(X)                                  \
    X(arp_in, "arp.in")                               \
    X(arp_requests_sent, "arp.requests_sent")         \
    X(arp_replies_sent, "arp.replies_sent")           \
    X(acd_conflicts, "acd.conflicts")                 \
    X(acd_defences, "acd.defences")                   \
    X(neigh_created, "neigh.created")                 \
    X(neigh_evicted, "neigh.evicted")                 \
    X(neigh_failed, "neigh.failed")                   \
    X(ipv4_in, "ipv4.in")                             \
    X(ipv4_delivered, "ipv4.delivered")               \
    X(ipv4_out, "ipv4.out")                           \
    X(frag_in, "frag.in")                             \
    X(frag_reassembled, "frag.reassembled")           \
    X(frag_datagrams_failed, "frag.datagrams_failed") \
    X(frag_fragmented, "frag.fragmented")             \
    X(frag_out, "frag.out")                           \
    X(icmp_in, "icmp.in")                             \
    X(icmp_echo_replied, "icmp.echo_replied")         \
    X(icmp_errors_in, "icmp.errors_in")               \
    X(icmp_errors_sent, "icmp.errors_sent")           \
    X(icmp_errors_forbidden, "icmp.errors_forbidden") \
    X(icmp_errors_limited, "icmp.errors_limited")     \
    X(icmp_redirects, "icmp.redirects_followed")      \
    X(igmp_in, "igmp.in")                             \
    X(igmp_reports_sent, "igmp.reports_sent")         \
    X(igmp_leaves_sent, "igmp.leaves_sent")           \
    X(udp_in, "udp.in")                               \
    X(udp_out, "udp.out")                             \
    X(tcp_in, "tcp.in")                               \
    X(tcp_joined, "tcp.joined")                       \
    X(tcp_out, "tcp.out")                             \
    X(tcp_retransmitted, "tcp.retransmitted")         \
    X(tcp_active_opens, "tcp.active_opens")           \
    X(tcp_passive_opens, "tcp.passive_opens")         \
    X(tcp_port_tries, "tcp.port_tries")               \
    X(tcp_timeouts, "tcp.timeouts")                   \
    X(tcp_loss_probes, "tcp.loss_probes")             \
    X(tcp_undos, "tcp.undos")                         \
    X(tcp_resets_sent, "tcp.resets_sent")             \
    X(tcp_resets_limited, "tcp.resets_limited")       \
    X(tcp_challenges, "tcp.challenge_acks")           \
    X(tcp_cookies_sent, "tcp.cookies_sent")           \
    X(tcp_mtu_probes, "tcp.mtu_probes")               \
    X(tcp_mtu_black_holes, "tcp.mtu_black_holes")     \
    X(tcp_fastopen_passive, "tcp.fastopen_passive")   \
    X(tcp_fastopen_full, "tcp.fastopen_full")         \
    X(tcp_fastopen_failed, "tcp.fastopen_failed")     \
    X(tcp_cookies_accepted, "tcp.cookies_accepted")   \
    X(tcp_orphans_reset, "tcp.orphans_reset")         \
    X(tcp_timewaits, "tcp.timewaits")                 \
    X(raw_in, "raw.in")                               \
    X(packet_in, "packet.in")                         \
    X(sock_opened, "sock.opened")                     \
    X(sock_closed, "sock.closed")

enum nst_stat {
#define NST_STAT_ENUM(symbol, name) NST_STAT_##symbol,
    NST_STATS(NST_STAT_ENUM)
#undef NST_STAT_ENUM
        NST_STAT_COUNT
};

#endif
