#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "packetdrill/host.h"

static bool read_version(struct nst_pd_flags *out, const char *value)
{
    (void)out;
    return strcmp(value, "ipv4") == 0 || strcmp(value, "ipv4-mapped-ipv6") == 0;
}

static bool read_address(struct nst_addr *out, const char *value)
{
    return nst_addr_parse(out, value) && out->family == NST_AF_INET && nst_addr_is_host(out);
}

static bool read_local(struct nst_pd_flags *out, const char *value)
{
    return read_address(&out->local, value);
}

static bool read_remote(struct nst_pd_flags *out, const char *value)
{
    struct nst_addr remote;

    (void)out;
    return read_address(&remote, value);
}

static bool read_mtu(struct nst_pd_flags *out, const char *value)
{
    char *end;
    unsigned long mtu = strtoul(value, &end, 10);

    out->mtu = (uint32_t)mtu;
    return *value >= '0' && *value <= '9' && *end == '\0' && mtu >= 68 && mtu <= 65535;
}

static bool read_proc(struct nst_pd_flags *out, const char *value)
{
    const char *dir = value;

    if (strcmp(value, "0") == 0 || strcmp(value, "1") == 0)
        dir = *value == '1' ? "/proc/sys/net/ipv4" : "";
    else if (*value != '/')
        return false;
    return snprintf(out->proc, sizeof out->proc, "%s", dir) < (int)sizeof out->proc;
}

static const struct {
    const char *key;
    bool (*read)(struct nst_pd_flags *out, const char *value);
} keys[] = {
    {"ver", read_version}, {"local", read_local}, {"remote", read_remote},
    {"mtu", read_mtu},     {"proc", read_proc},
};

static bool read_flag(struct nst_pd_flags *out, char *flag)
{
    char *value = strchr(flag, '=');

    if (!value)
        return false;
    *value++ = '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i].key, flag) == 0)
            return keys[i].read(out, value);
    return false;
}

int nst_pd_flags_parse(struct nst_pd_flags *out, const char *text, const char **wrong)
{
    char flag[300];

    *out = (struct nst_pd_flags){.mtu = 1500};
    while (text && *text) {
        size_t len = strcspn(text, ",");
        *wrong = text;
        if (len >= sizeof flag)
            return -EINVAL;
        memcpy(flag, text, len);
        flag[len] = '\0';
        if (!read_flag(out, flag))
            return -EINVAL;
        text += len + (text[len] == ',');
    }
    return 0;
}
