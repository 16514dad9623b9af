#include "core/link/acd.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/link/arp.h"

/* RFC 5227 §1.1 (5227-1, 5227-3, 5227-4). */
#define PROBE_WAIT        NST_SEC
#define PROBE_NUM         3
#define PROBE_MIN         NST_SEC
#define PROBE_MAX         (2 * NST_SEC)
#define ANNOUNCE_WAIT     (2 * NST_SEC)
#define ANNOUNCE_NUM      2
#define ANNOUNCE_INTERVAL (2 * NST_SEC)
#define DEFEND_INTERVAL   (10 * NST_SEC)

static void wait(struct nst_ifaddr *a, nst_time least, nst_time spread)
{
    struct nst_env *env = a->iface->env;
    nst_time extra = spread ? nst_prng_below(&env->prng, spread) : 0;

    nst_timer_arm(&env->wheel, &a->timer, env->now + least + extra);
}

static bool speaks_arp(const struct nst_ifaddr *a)
{
    return a->iface->config.medium == NST_MEDIUM_ETHERNET && a->prefix.addr.family == NST_AF_INET;
}

static void set_state(struct nst_ifaddr *a, enum nst_addr_state state)
{
    a->state = state;
    nst_env_reroute(a->iface->env);
}

static void announce(struct nst_ifaddr *a)
{
    nst_arp_request(a->iface, &a->prefix.addr, &a->prefix.addr);
}

void nst_acd_announce(struct nst_ifaddr *a)
{
    if (a->acd == NST_ACD_OFF || a->state != NST_ADDR_VALID || !speaks_arp(a))
        return;
    a->announcements_left = ANNOUNCE_NUM;
    wait(a, 0, 0);
}

/* Nothing is probed or announced without a carrier (5227-5). */
void nst_acd_carrier(struct nst_ifaddr *a)
{
    nst_timer_cancel(&a->iface->env->wheel, &a->timer);
    if (!a->iface->up)
        return;
    if (a->state == NST_ADDR_TENTATIVE) {
        a->probes_left = PROBE_NUM;
        wait(a, 0, PROBE_WAIT);
    } else {
        nst_acd_announce(a);
    }
}

void nst_acd_start(struct nst_ifaddr *a)
{
    bool probe = a->acd == NST_ACD_PROBE && speaks_arp(a);

    set_state(a, probe ? NST_ADDR_TENTATIVE : NST_ADDR_VALID);
    nst_acd_carrier(a);
}

void nst_acd_timeout(struct nst_ifaddr *a)
{
    const struct nst_addr nobody = nst_addr_v4(0, 0, 0, 0);

    if (a->state == NST_ADDR_TENTATIVE && a->probes_left > 0) {
        nst_arp_request(a->iface, &nobody, &a->prefix.addr);
        if (--a->probes_left > 0)
            wait(a, PROBE_MIN, PROBE_MAX - PROBE_MIN);
        else
            wait(a, ANNOUNCE_WAIT, 0);
        return;
    }
    if (a->state == NST_ADDR_TENTATIVE) {
        set_state(a, NST_ADDR_VALID);
        a->announcements_left = ANNOUNCE_NUM;
    }
    announce(a);
    if (--a->announcements_left > 0)
        wait(a, ANNOUNCE_INTERVAL, 0);
}

void nst_acd_conflict(struct nst_ifaddr *a, const struct nst_mac *mac)
{
    struct nst_env *env = a->iface->env;

    NST_COUNT(env, acd_conflicts);
    a->contested = env->contested = true;
    a->contender = *mac;
    if (a->state == NST_ADDR_TENTATIVE) {
        set_state(a, NST_ADDR_CONFLICT);
        nst_timer_cancel(&env->wheel, &a->timer);
        return;
    }
    if (a->acd == NST_ACD_OFF || (a->defended && env->now - a->defended < DEFEND_INTERVAL))
        return;
    a->defended = env->now;
    NST_COUNT(env, acd_defences);
    announce(a);
}
