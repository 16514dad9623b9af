"""Where a program on our stack may see something else than on the kernel's, and why.

A gap is a reason and the lines that it excuses: scenario, kernel's line, our line, as patterns of
fnmatch.
"""
import fnmatch

ANY = "*"


class Gap:
    def __init__(self, reason, *lines, mode=ANY):
        self.reason, self.lines, self.mode = reason, lines, mode

    def covers(self, scenario, mode, pair):
        """Whether it excuses the difference."""
        return fnmatch.fnmatchcase(mode, self.mode) and any(
            all(map(fnmatch.fnmatchcase, map(str, (scenario, *pair)), line))
            for line in self.lines)


GAPS = [
    # ---- The descriptor is an AF_UNIX socket, and what is native says what that says ----
    Gap("AF_UNIX says that a stream is not connected in words of its own",
        ("connect/fresh", "* ENOTCONN", "* EINVAL"),
        ("connect/fresh", "* EPIPE", "* ENOTCONN"),
        ("connect/fresh", "shutdown*", "* = 0"),
        ("stream/not_connected", "* ENOTCONN", "* EINVAL"),
        ("stream/not_connected", "* EPIPE", "* ENOTCONN"),
        ("stream/shut_states", "shutdown(* ENOTCONN", "* = 0"),
        ("datagram/shut", "shutdown(* ENOTCONN", "* = 0"),
        ("datagram/no_destination", "* EDESTADDRREQ", "* ENOTCONN"),
        ("datagram/connecting", "* EDESTADDRREQ", "* ENOTCONN"),
        ("datagram/flags", "*MSG_OOB* EAGAIN", "* EOPNOTSUPP")),
    Gap("an AF_UNIX socket connects once; after that, connect() gives ECONNABORTED",
        ("connect/again_after_refused", "* = 0", "* ECONNABORTED")),
    Gap("TCP's connect() to AF_UNSPEC doesn't disconnect",
        ("connect/disconnect", ANY, ANY)),
    Gap("read() after a refused connect() gives ECONNRESET; SO_ERROR is right",
        ("connect/refused_by_read", "recv(* ECONNREFUSED", "* ECONNRESET")),
    Gap("what failed to connect is readable as well",
        ("connect/refused_blocking", "poll(s): OUT|HUP", "poll(s): IN|OUT|HUP|RDHUP")),
    Gap("while it connects, data are taken, the peer has a name, and shutdown() waits",
        ("connect/under_way", "send(* EAGAIN", "* = 1"),
        ("connect/under_way", "getpeername(* ENOTCONN", "* = 0"),
        ("connect/under_way", "bind(* EADDRNOTAVAIL", "* EINVAL"),
        ("connect/under_way", "poll(s): OUT|ERR|HUP", "poll(s): -")),
    Gap("a blocking connect() that is repeated waits once more",
        ("connect/time_limited", "* EALREADY", "* EINPROGRESS")),
    Gap("after a reset, the first write gives EPIPE",
        ("stream/write_after_reset", "send(* ECONNRESET", "* EPIPE"),
        ("stream/write_after_close", "poll(p.a): IN|OUT|ERR|HUP|RDHUP",
         "poll(p.a): IN|OUT|HUP|RDHUP")),
    Gap("what comes after SHUT_RD is dropped",
        ("stream/shut_reading", "recv(p.a, data, 10, MSG_DONTWAIT) = 8", "* = 0")),
    Gap("a listener that was shut down is readable",
        ("stream/listener_shut", "poll(l): OUT|HUP", "poll(l): IN|RDHUP")),
    Gap("poll() doesn't look at SO_RCVLOWAT, which may be anything",
        ("stream/low_water", "poll(p.a): OUT", "poll(p.a): IN|OUT"),
        ("option/socket_of_stream", "SO_RCVLOWAT is *", "SO_RCVLOWAT is *")),
    Gap("SIOCOUTQ counts memory", ("stream/counts", "queued(p.b, SIOCOUTQ): 0", ANY)),
    Gap("a stream is readable that has nothing but an urgent byte",
        ("stream/urgent_*", "*: PRI|OUT", "*: IN|PRI|OUT")),
    Gap("a stream's control messages are not looked at, nor an address to send to",
        ("stream/control_messages", "* EINVAL", "* = 3"),
        ("call/bad_pointers_stream", "sendto(* EFAULT", "* = 1")),
    Gap("time limits are not inherited", ("name/inherited", "limit 7", "limit 0")),

    # ---- Streams of the stack ----
    Gap("up to twice the backlog may wait",
        ("name/backlog_full", "poll(s?7?): -", "poll(s?7?): OUT")),
    Gap("nobody connects to port 0", ("connect/odd_addresses", "* ECONNREFUSED", "* EADDRNOTAVAIL")),
    Gap("a port is free as soon as nobody listens on it, whatever still ends",
        ("name/restart_with*", "bind(* EADDRINUSE", "* = 0"),
        ("name/port_while_connected", "bind(* EADDRINUSE", "* = 0")),
    Gap("streams are not bound to groups, to which they could not listen",
        ("name/bind_errors", "bind(s, ADDR(group)) = 0", "* EADDRNOTAVAIL"),
        ("name/bind_errors", "bind(s, ADDR(all)) * EINVAL", "* EADDRNOTAVAIL"),
        ("name/bind_errors", "bind(s, ADDR(unspec)) * EINVAL", "* = 0")),
    Gap("SO_REUSEPORT counts as it was when a socket was bound",
        ("name/reuse_port", "* = 0", "* EADDRINUSE")),
    Gap("a name stays after a refused connect(), and when a datagram socket's association ends",
        ("name/after_refused", "refused: *0.0.0.0*", "*127.0.0.1*"),
        ("name/of_a_datagram", "no more: *port 0*", "*port some*"),
        ("name/of_a_datagram", "never connected: *port 0*", "*port known*")),

    # ---- Datagrams ----
    Gap("what goes wrong here with a datagram, SO_ERROR tells, not the call that sent it",
        ("datagram/too_long", "* EMSGSIZE", "* = 65508"),
        ("datagram/too_long", "so_error(s): 0", "so_error(s): 90"),
        ("datagram/broadcast", "sendto(*", "* = 1"),
        ("datagram/no_destination", "* ENETUNREACH", "* = 1"),
        ("datagram/no_destination", "so_error(s): 0", "so_error(s): 101")),
    Gap("that nobody receives what a connected socket sends, is ECONNRESET to read() and write()",
        ("datagram/refused_told_by_read", "* ECONNREFUSED", "* ECONNRESET")),
    Gap("all networks at once are a broadcast address, also where there is no route",
        ("datagram/connect_errors", "* ENETUNREACH", "* EACCES")),
    Gap("a connected datagram socket is told no IP_PKTINFO, IP_TTL, IP_TOS",
        ("datagram/controls", "  *", ANY)),
    Gap("descriptors are not dropped from a datagram, but refused",
        ("datagram/sent_controls", "*SCM_RIGHTS* = 1", "* EINVAL")),

    # ---- Options ----
    Gap("options of IP that are not offered",
        *(("option/ip_of_*", f"{name} *", "* ENOPROTOOPT") for name in
          ("IP_MTU", "IP_FREEBIND", "IP_HDRINCL", "IP_ROUTER_ALERT", "IP_MULTICAST_ALL",
           "IP_MINTTL", "IP_RECVOPTS", "IP_RETOPTS")),
        *(("option/ip_of_stream", f"{name} *", "* ENOPROTOOPT") for name in
          ("IP_RECVTOS", "IP_RECVTTL", "IP_PKTINFO", "IP_MTU_DISCOVER", "IP_MULTICAST_TTL",
           "IP_MULTICAST_LOOP"))),
    Gap("IP_MTU_DISCOVER is on or off, and at first off; multicast has a TTL of 1 at least",
        ("option/ip_of_datagram", "IP_MTU_DISCOVER is 1*", "* is 0*"),
        ("option/ip_of_datagram", "IP_MTU_DISCOVER is ?,*", "IP_MTU_DISCOVER is ?,*"),
        ("option/ip_of_datagram", "IP_MULTICAST_TTL = 0 *", "* EINVAL"),
        ("option/ip_of_datagram", "IP_MULTICAST_TTL is 0*", "*"),
        ("option/ip_of_datagram", "IP_MULTICAST_LOOP = 1 of 0: EINVAL", "* 0"),
        ("option/ip_of_datagram", "IP_MULTICAST_LOOP is 1*", "*")),
    Gap("options of TCP that are not offered",
        ("option/tcp_of_stream", "TCP_WINDOW_CLAMP *", "* ENOPROTOOPT"),
        ("option/tcp_of_stream", "TCP_NOTSENT_LOWAT *", "* ENOPROTOOPT")),
    Gap("other bounds and defaults",
        ("option/tcp_of_stream", "TCP_MAXSEG = 0 *", "* EINVAL"),
        ("option/tcp_of_stream", "TCP_SYNCNT is 6*", "TCP_SYNCNT is 7*"),
        ("option/tcp_of_stream", "TCP_LINGER2 *", "TCP_LINGER2 *")),
    Gap("of an option that nobody knows, the length doesn't matter",
        ("option/*", "??? 9999 = 1 of ?: EINVAL", "* ENOPROTOOPT")),

    # ---- What the machine is like ----
    Gap("there is no IPv6, as on a kernel with ipv6.disable=1",
        ("call/ipv6", "* = fd", "* EAFNOSUPPORT")),
    Gap("packet sockets are refused, as to a user without rights",
        ("call/kinds", "socket(AF_INET, 10, 0) = fd", "* EPERM")),

    # ---- The library ----
    Gap("the library reads the caller's memory itself: where there is none, that is SIGSEGV",
        ("call/bad_pointers_*", ANY, ANY), ("datagram/no_destination", ANY, ANY), mode="shim"),
    Gap("without the library, recvfrom() and recvmsg() on a stream tell the AF_UNIX socket's name",
        ("stream/addresses", ANY, ANY), mode="traps"),
    Gap("without it, that nobody receives is ECONNRESET to send() and recv() without an address",
        ("datagram/refused_told_by_*", "* ECONNREFUSED", "* ECONNRESET"), mode="traps"),
    Gap("without it, SA_RESTART lets accept() and recvfrom() go on in spite of a time limit",
        ("process/restarted_with_limit", "* EINTR", "* EAGAIN"), mode="traps"),
]
