#include "core/link/group.h"

#include <assert.h>
#include <errno.h>

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/iface.h"
#include "core/wire/eth.h"

#define ROBUSTNESS 2 /* RFC 3376 §8.1, until a querier says something else */

static struct nst_group *group_of(struct nst_list *e)
{
    return NST_CONTAINER(e, struct nst_group, node);
}

void nst_groups_init(struct nst_groups *groups)
{
    *groups = (struct nst_groups){.robustness = ROBUSTNESS};
    nst_list_init(&groups->list);
    for (unsigned i = 0; i < NST_GROUP_BUCKETS; i++)
        nst_list_init(&groups->buckets[i]);
}

static void group_free(struct nst_group *group)
{
    struct nst_env *env = group->iface->env;

    nst_timer_cancel(&env->wheel, &group->timer);
    nst_list_del(&group->node);
    nst_list_del(&group->bucket);
    group->iface->groups.count--;
    nst_env_free(env, group, sizeof *group);
}

void nst_groups_fini(struct nst_iface *iface)
{
    NST_LIST_FOREACH_SAFE (e, &iface->groups.list)
        group_free(group_of(e));
}

/* ---- Finding ------------------------------------------------------------------------------- */

static size_t last_byte(const struct nst_addr *addr)
{
    return addr->bytes[nst_addr_bits(addr->family) / 8 - 1];
}

struct nst_group *nst_group_find(const struct nst_iface *iface, const struct nst_addr *addr)
{
    const struct nst_list *bucket = &iface->groups.buckets[last_byte(addr) % NST_GROUP_BUCKETS];

    NST_LIST_FOREACH (e, bucket) {
        struct nst_group *group = NST_CONTAINER(e, struct nst_group, bucket);
        if (nst_addr_eq(&group->addr, addr))
            return group;
    }
    return NULL;
}

static struct nst_group_source *source_find(struct nst_group *group, const struct nst_addr *addr)
{
    for (unsigned i = 0; i < group->nsources; i++)
        if (nst_addr_eq(&group->sources[i].addr, addr))
            return &group->sources[i];
    return NULL;
}

/* Joined from the beginning (1122-162). */
bool nst_group_is_all_hosts(const struct nst_addr *addr)
{
    const struct nst_addr all_hosts = nst_addr_v4(224, 0, 0, 1);

    return nst_addr_eq(addr, &all_hosts);
}

bool nst_group_hears(const struct nst_iface *iface, const struct nst_addr *addr,
                     const struct nst_addr *source)
{
    struct nst_group *group;

    if (nst_group_is_all_hosts(addr))
        return true;
    if (!(group = nst_group_find(iface, addr)))
        return false;
    const struct nst_group_source *s = source_find(group, source);
    return group->any > 0 || (s && s->members > 0);
}

bool nst_group_hears_mac(const struct nst_iface *iface, const struct nst_mac *mac)
{
    const struct nst_mac all_hosts = {{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}};

    if (nst_mac_eq(mac, &all_hosts))
        return true;
    NST_LIST_FOREACH (e, &iface->groups.buckets[mac->bytes[5] % NST_GROUP_BUCKETS]) {
        const struct nst_group *group = NST_CONTAINER(e, struct nst_group, bucket);
        struct nst_mac its = nst_eth_multicast(&group->addr);
        if (nst_mac_eq(mac, &its))
            return true;
    }
    return false;
}

bool nst_group_is_wanted(const struct nst_group *group)
{
    for (unsigned i = 0; i < group->nsources; i++)
        if (group->sources[i].members > 0)
            return true;
    return group->any > 0;
}

/* ---- News ---------------------------------------------------------------------------------- */

bool nst_group_has_news(const struct nst_group *group)
{
    for (unsigned i = 0; i < group->nsources; i++)
        if (group->sources[i].news > 0)
            return true;
    return group->news > 0;
}

/* Forgets the sources that nobody wants and of which nothing is left to be told. */
static void sources_purge(struct nst_group *group)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < group->nsources; i++)
        if (group->sources[i].members > 0 || group->sources[i].news > 0)
            group->sources[kept++] = group->sources[i];
    group->nsources = kept;
}

void nst_group_told(struct nst_group *group)
{
    group->fresh = false;
    if (group->news > 0)
        group->news--;
    for (unsigned i = 0; i < group->nsources; i++)
        if (group->sources[i].news > 0)
            group->sources[i].news--;
    sources_purge(group);
}

void nst_group_forget_news(struct nst_group *group)
{
    group->fresh = false;
    group->news = 0;
    for (unsigned i = 0; i < group->nsources; i++)
        group->sources[i].news = 0;
    sources_purge(group);
}

void nst_group_renew(struct nst_group *group)
{
    nst_group_forget_news(group);
    group->fresh = true;
    if (group->any > 0)
        group->news = group->iface->groups.robustness;
    for (unsigned i = 0; group->any == 0 && i < group->nsources; i++)
        group->sources[i].news = group->iface->groups.robustness;
}

void nst_group_release(struct nst_group *group)
{
    if (!nst_group_is_wanted(group) && !nst_group_has_news(group))
        group_free(group);
}

/* ---- Members ------------------------------------------------------------------------------- */

static int group_new(struct nst_iface *iface, const struct nst_addr *addr, struct nst_group **out)
{
    struct nst_groups *groups = &iface->groups;
    struct nst_group *group;

    if (groups->count == NST_GROUPS)
        return -ENOBUFS;
    if (!(group = nst_env_alloc(iface->env, sizeof *group)))
        return -ENOMEM;
    group->iface = iface;
    group->addr = *addr;
    nst_timer_init(&group->timer, NST_TIMER_GROUP);
    nst_list_push_back(&groups->list, &group->node);
    nst_list_push_back(&groups->buckets[last_byte(addr) % NST_GROUP_BUCKETS], &group->bucket);
    groups->count++;
    *out = group;
    return 0;
}

/* A change of mode is told with the sources that are then wanted; what was to be told of each
 * before is void with the first member that takes them all. */
static void mode_changed(struct nst_group *group)
{
    if (group->any > 0)
        nst_group_forget_news(group);
    group->news = group->iface->groups.robustness;
    group->fresh = true;
}

/* A source counts for the routers only while the mode is INCLUDE. */
static void source_changed(struct nst_group *group, struct nst_group_source *source)
{
    if (group->any == 0) {
        source->news = group->iface->groups.robustness;
        group->fresh = true;
    }
    sources_purge(group);
}

static int source_join(struct nst_group *group, const struct nst_addr *addr)
{
    struct nst_group_source *s = source_find(group, addr);

    if (!s) {
        if (group->nsources == NST_GROUP_SOURCES)
            return -ENOBUFS;
        s = &group->sources[group->nsources++];
        *s = (struct nst_group_source){.addr = *addr};
    }
    if (s->members++ == 0)
        source_changed(group, s);
    return 0;
}

int nst_group_join(struct nst_iface *iface, const struct nst_addr *addr,
                   const struct nst_addr *source, struct nst_group **out)
{
    struct nst_group *group = nst_group_find(iface, addr);
    int err = group ? 0 : group_new(iface, addr, &group);

    if (err)
        return err;
    if (nst_addr_is_set(source)) {
        err = source_join(group, source);
    } else if (group->any++ == 0) {
        mode_changed(group);
    }
    if (err)
        nst_group_release(group);
    else
        *out = group;
    return err;
}

void nst_group_leave(struct nst_group *group, const struct nst_addr *source)
{
    if (nst_addr_is_set(source)) {
        struct nst_group_source *s = source_find(group, source);
        if (--s->members == 0)
            source_changed(group, s);
    } else if (--group->any == 0) {
        mode_changed(group);
    }
}

/* ---- Invariants ---------------------------------------------------------------------------- */

void nst_groups_check(const struct nst_iface *iface)
{
    uint32_t count = 0;

    NST_LIST_FOREACH (e, &iface->groups.list) {
        const struct nst_group *group = group_of(e);
        count++;
        assert(nst_group_find(iface, &group->addr) == group && group->iface == iface);
        assert(nst_group_is_wanted(group) || nst_group_has_news(group));
        assert(group->nsources <= NST_GROUP_SOURCES && group->nasked <= NST_GROUP_SOURCES);
        for (unsigned i = 0; i < group->nsources; i++)
            assert(group->sources[i].members > 0 || group->sources[i].news > 0);
    }
    assert(count == iface->groups.count && count <= NST_GROUPS);
}
