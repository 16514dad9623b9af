/* TCP's settings as scripts make them: in files of /proc/sys/net/ipv4. A file that isn't there, or
 * whose setting the stack doesn't have, changes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "packetdrill/host.h"

/* What a file says: up to three numbers. */
struct values {
    int64_t n[3];
};

static void set_timestamps(struct nst_tcp_config *c, const struct values *v)
{
    c->timestamps = v->n[0] != 0;
}

static void set_sack(struct nst_tcp_config *c, const struct values *v)
{
    c->sack = v->n[0] != 0;
}

static void set_wscale(struct nst_tcp_config *c, const struct values *v)
{
    c->wscale = v->n[0] != 0;
}

static void set_cookies(struct nst_tcp_config *c, const struct values *v)
{
    c->cookies = v->n[0] != 0;
}

static void set_restart_idle(struct nst_tcp_config *c, const struct values *v)
{
    c->restart_idle = v->n[0] != 0;
}

static void set_syn_retries(struct nst_tcp_config *c, const struct values *v)
{
    c->syn_retries = (uint8_t)v->n[0];
}

static void set_synack_retries(struct nst_tcp_config *c, const struct values *v)
{
    c->synack_retries = (uint8_t)v->n[0];
}

static void set_retries1(struct nst_tcp_config *c, const struct values *v)
{
    c->retries1 = (uint8_t)v->n[0];
}

static void set_retries2(struct nst_tcp_config *c, const struct values *v)
{
    c->retries2 = (uint8_t)v->n[0];
}

static void set_orphan_retries(struct nst_tcp_config *c, const struct values *v)
{
    c->orphan_retries = v->n[0] ? (uint8_t)v->n[0] : 8; /* 0 stands for the kernel's 8 */
}

static void set_rmem(struct nst_tcp_config *c, const struct values *v)
{
    c->rcvbuf_initial = (uint32_t)v->n[1];
    c->rcvbuf_max = (uint32_t)v->n[2];
}

static void set_wmem(struct nst_tcp_config *c, const struct values *v)
{
    c->sndbuf_initial = (uint32_t)v->n[1];
    c->sndbuf_max = (uint32_t)v->n[2];
}

static void set_ecn(struct nst_tcp_config *c, const struct values *v)
{
    c->ecn = (uint8_t)v->n[0];
}

static void set_mtu_probing(struct nst_tcp_config *c, const struct values *v)
{
    c->mtu_probing = (uint8_t)v->n[0];
}

static void set_fastopen(struct nst_tcp_config *c, const struct values *v)
{
    c->fastopen = (uint16_t)v->n[0];
}

static void set_metrics(struct nst_tcp_config *c, uint8_t mode, bool on)
{
    c->metrics = (uint8_t)(on ? c->metrics | mode : c->metrics & ~mode);
}

static void set_no_metrics(struct nst_tcp_config *c, const struct values *v)
{
    set_metrics(c, NST_TCP_METRICS_PATH, !v->n[0]);
}

static void set_no_ssthresh(struct nst_tcp_config *c, const struct values *v)
{
    set_metrics(c, NST_TCP_METRICS_SSTHRESH, !v->n[0]);
}

static const struct {
    const char *file;
    int values;
    int64_t max; /* of each; below 0 none may be */
    void (*set)(struct nst_tcp_config *config, const struct values *values);
} settings[] = {
    {"tcp_timestamps", 1, 2, set_timestamps},
    {"tcp_sack", 1, 1, set_sack},
    {"tcp_window_scaling", 1, 1, set_wscale},
    {"tcp_syncookies", 1, 2, set_cookies},
    {"tcp_slow_start_after_idle", 1, 1, set_restart_idle},
    {"tcp_ecn", 1, NST_TCP_ECN_ACCEPT, set_ecn},
    {"tcp_mtu_probing", 1, NST_TCP_MTU_PROBING_ALWAYS, set_mtu_probing},
    {"tcp_fastopen", 1, UINT16_MAX, set_fastopen},
    {"tcp_no_metrics_save", 1, 1, set_no_metrics},
    {"tcp_no_ssthresh_metrics_save", 1, 1, set_no_ssthresh},
    {"tcp_syn_retries", 1, UINT8_MAX, set_syn_retries},
    {"tcp_synack_retries", 1, UINT8_MAX, set_synack_retries},
    {"tcp_retries1", 1, UINT8_MAX, set_retries1},
    {"tcp_retries2", 1, UINT8_MAX, set_retries2},
    {"tcp_orphan_retries", 1, UINT8_MAX, set_orphan_retries},
    {"tcp_rmem", 3, 1 << 30, set_rmem},
    {"tcp_wmem", 3, 1 << 30, set_wmem},
};

/* The first line of a file of the settings' directory. */
static bool read_line(const struct nst_pd_host *host, const char *name, char *line, size_t size)
{
    char path[sizeof host->flags.proc + 64];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", host->flags.proc, name);
    f = fopen(path, "re");
    if (!f)
        return false;
    bool read = fgets(line, (int)size, f) != NULL;
    fclose(f);
    return read;
}

static void read_setting(struct nst_pd_host *host, size_t which)
{
    struct values v;
    char line[128];

    if (!read_line(host, settings[which].file, line, sizeof line))
        return;
    int got = sscanf(line, "%" SCNd64 "%" SCNd64 "%" SCNd64, &v.n[0], &v.n[1], &v.n[2]);
    if (got < settings[which].values)
        return;
    for (int i = 0; i < settings[which].values; i++)
        if (v.n[i] < 0 || v.n[i] > settings[which].max)
            return;
    settings[which].set(&host->stack->tcps.config, &v);
}

static void read_congestion(struct nst_pd_host *host)
{
    const struct nst_cc_ops *ops;
    char line[32];

    if (!read_line(host, "tcp_congestion_control", line, sizeof line))
        return;
    line[strcspn(line, "\n")] = '\0';
    ops = nst_cc_find(line);
    if (ops)
        host->stack->tcps.config.cc = ops;
}

void nst_pd_settings_read(struct nst_pd_host *host)
{
    if (!host->flags.proc[0])
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        read_setting(host, i);
    read_congestion(host);
}
