/* The multicast groups of an interface: what its members want to hear (1122-160).
 *
 * A member wants either all that is sent to a group or what one source sends to it. So a group's
 * state is that of RFC 5790, the part of RFC 3376's that is in use: EXCLUDE nobody while some
 * member takes any source, else INCLUDE the sources that members named. A change of state leaves
 * marks, so that whoever speaks to the routers (icmp/igmp.c) can tell them of it; a group is
 * forgotten when nobody wants it and nothing is left to be said. The group of all hosts is heard
 * without a member and is never spoken of.
 *
 * Bounds: NST_GROUPS groups on an interface, NST_GROUP_SOURCES sources in a group. Groups stand in
 * buckets by the last byte of their address, which is also that of their MAC address. Only the
 * owner's calls make groups, so the hash needs no key. */
#ifndef NST_LINK_GROUP_H
#define NST_LINK_GROUP_H

#include "core/base/list.h"
#include "core/base/timer.h"

#define NST_GROUPS        256
#define NST_GROUP_SOURCES 16
#define NST_GROUP_BUCKETS 64

struct nst_iface;

struct nst_groups {
    struct nst_list list; /* of struct nst_group */
    struct nst_list buckets[NST_GROUP_BUCKETS];
    uint32_t count;
    uint8_t robustness; /* how often a change is told */
};

struct nst_group_source {
    struct nst_addr addr;
    uint32_t members;
    uint8_t news; /* how often it is still to be told that it came (or without members, went) */
};

struct nst_group {
    struct nst_list node, bucket;
    struct nst_iface *iface;
    struct nst_addr addr;
    uint32_t any; /* members that take any source: the mode is EXCLUDE */
    struct nst_group_source sources[NST_GROUP_SOURCES];
    unsigned nsources;
    uint8_t news; /* how often the change of mode is still to be told */
    bool fresh;   /* some news has not been told at all */
    /* Where telling the routers stands: icmp/igmp.c. */
    struct nst_timer timer;
    bool told;                                /* that somebody here wants it */
    bool spoken_for;                          /* another host was the last to say so */
    uint8_t repeats;                          /* unsolicited reports that are left */
    struct nst_addr asked[NST_GROUP_SOURCES]; /* sources that the query to answer is about; none: */
    unsigned nasked;                          /* it is about the group */
};

void nst_groups_init(struct nst_groups *groups);

/* Forgets all groups of the interface, and stops their timers. */
void nst_groups_fini(struct nst_iface *iface);

/* NULL when nobody has joined it, and nobody has left it just now. */
struct nst_group *nst_group_find(const struct nst_iface *iface, const struct nst_addr *addr);

/* A member more, who wants `source`, or any if that is unspecified. -ENOBUFS (too many groups or
 * sources), -ENOMEM. */
int nst_group_join(struct nst_iface *iface, const struct nst_addr *addr,
                   const struct nst_addr *source, struct nst_group **out);

/* Such a member less. */
void nst_group_leave(struct nst_group *group, const struct nst_addr *source);

/* Whether a member wants anything of it. */
bool nst_group_is_wanted(const struct nst_group *group);

/* Whether something is left to be told. */
bool nst_group_has_news(const struct nst_group *group);

/* Marks the whole state as news, as if everybody had just joined. */
void nst_group_renew(struct nst_group *group);

/* One telling of all the news is done. */
void nst_group_told(struct nst_group *group);

/* Drops all marks. */
void nst_group_forget_news(struct nst_group *group);

/* Frees the group if nobody wants it and it has no news. */
void nst_group_release(struct nst_group *group);

bool nst_group_is_all_hosts(const struct nst_addr *addr);

/* Whether packets from `source` to the group are for somebody on this host. */
bool nst_group_hears(const struct nst_iface *iface, const struct nst_addr *addr,
                     const struct nst_addr *source);

/* Whether frames to this group MAC address can be: several groups share one (RFC 1112 §6.4). */
bool nst_group_hears_mac(const struct nst_iface *iface, const struct nst_mac *mac);

/* Aborts if they contradict themselves. */
void nst_groups_check(const struct nst_iface *iface);

#endif
