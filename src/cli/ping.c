#include "cli/ping.h"

#include "core/base/addr.h"
#include "core/base/bytes.h"
#include "core/wire/icmpv4.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#define MSEC UINT64_C(1000000)

enum {
    HEADERS = 28,     /* IPv4 and ICMP */
    FLOOD_PACE = 100, /* requests a second, at least, with an interval of 0 */
    NAME_MAX_LEN = 256,
};

void nst_cli_ping_init(struct nst_cli_ping *ping, const struct nst_cli_ping_config *config)
{
    *ping = (struct nst_cli_ping){
        .config = *config, .exit_at = NST_TIME_NEVER, .rtt_min_us = UINT64_MAX};
}

/* ---- Words ---- */

/* Names come from the network: only what a host name may hold is printed. */
static void clean(char *name)
{
    for (; *name; name++)
        if (*name <= ' ' || *name > '~')
            *name = '?';
}

/* "name (address)" if names are wanted, else "address". */
static void who(const struct nst_cli_ping *ping, const struct nst_addr *addr, char *text,
                size_t cap)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    char address[NST_ADDR_TEXT], name[NAME_MAX_LEN];

    nst_addr_print(address, addr);
    memcpy(&sin.sin_addr, addr->bytes, sizeof sin.sin_addr);
    if (ping->config.names &&
        getnameinfo((struct sockaddr *)&sin, sizeof sin, name, sizeof name, NULL, 0, 0) == 0) {
        clean(name);
        snprintf(text, cap, "%s (%s)", name, address);
    } else {
        snprintf(text, cap, "%s", address);
    }
}

static bool has_time(const struct nst_cli_ping *ping)
{
    return ping->config.data_len >= NST_CLI_PING_STAMP;
}

/* A number of microseconds as milliseconds with three digits behind the point. */
#define MS_FORMAT  "%llu.%03llu"
#define MS_ARGS(t) (unsigned long long)((t) / 1000), (unsigned long long)((t) % 1000)

/* Milliseconds with at least three significant digits. */
static void print_time(FILE *out, uint64_t us)
{
    if (us >= 99950)
        fprintf(out, " time=%llu ms", (unsigned long long)(us + 500) / 1000);
    else if (us >= 9995)
        fprintf(out, " time=%llu.%llu ms", (unsigned long long)(us + 50) / 1000,
                (unsigned long long)(us + 50) % 1000 / 100);
    else if (us >= 1000)
        fprintf(out, " time=%llu.%02llu ms", (unsigned long long)(us + 5) / 1000,
                (unsigned long long)(us + 5) % 1000 / 10);
    else
        fprintf(out, " time=" MS_FORMAT " ms", MS_ARGS(us));
}

void nst_cli_ping_begin(const struct nst_cli_ping *ping)
{
    const struct nst_cli_ping_config *config = &ping->config;
    char address[NST_ADDR_TEXT];

    fprintf(config->out, "PING %s (%s) %zu(%zu) bytes of data.\n", config->target,
            nst_addr_print(address, &config->addr), config->data_len, config->data_len + HEADERS);
}

/* ---- Sending ---- */

static bool all_sent(const struct nst_cli_ping *ping)
{
    const struct nst_cli_ping_config *config = &ping->config;

    return config->count > 0 && config->deadline_ns == 0 && ping->sent >= config->count;
}

/* Whether nothing is left to wait for: with a deadline, one error is enough. */
static bool settled(const struct nst_cli_ping *ping)
{
    const struct nst_cli_ping_config *config = &ping->config;

    return (config->count > 0 && ping->received + ping->errors >= config->count) ||
           (config->deadline_ns > 0 && ping->errors > 0);
}

/* How long to wait after the last request: twice the longest round trip; or, if nothing was ever
 * answered, the time to linger. */
static uint64_t give_up_at(const struct nst_cli_ping *ping, uint64_t now)
{
    if (ping->received > 0)
        return now + nst_max(2 * ping->rtt_max_us * 1000, ping->config.interval_ns);
    return ping->config.linger_ns > 0 ? now + ping->config.linger_ns : NST_TIME_NEVER;
}

static uint64_t next_send(const struct nst_cli_ping *ping, uint64_t now)
{
    if (ping->sent == 0)
        return now;
    if (ping->config.interval_ns > 0)
        return ping->last_sent + ping->config.interval_ns;
    bool answered = ping->received + ping->errors >= ping->sent;
    return answered ? now : ping->last_sent + 1000 * MSEC / FLOOD_PACE;
}

bool nst_cli_ping_next(struct nst_cli_ping *ping, uint64_t now, uint64_t *when, bool *send)
{
    uint64_t next = all_sent(ping) ? NST_TIME_NEVER : next_send(ping, now);

    *send = next < ping->exit_at;
    *when = nst_min(next, ping->exit_at);
    return !settled(ping) && now < ping->exit_at;
}

/* The data: when it was sent, if there is room (16 bytes, as everybody's struct timeval; here
 * seconds and nanoseconds since the first request, which tells strangers nothing), then byte i is
 * i. */
static void fill(uint8_t *data, size_t len, uint64_t since_start)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
    if (len < NST_CLI_PING_STAMP)
        return;
    nst_store_le64(data, since_start / (1000 * MSEC));
    nst_store_le64(data + 8, since_start % (1000 * MSEC));
}

size_t nst_cli_ping_build(struct nst_cli_ping *ping, uint64_t now, uint8_t *message)
{
    uint16_t seq = (uint16_t)++ping->sent;
    struct nst_icmpv4 icmp = {.type = NST_ICMPV4_ECHO, .echo = {.seq = seq}};

    if (ping->sent == 1) {
        ping->start = now;
        if (ping->config.deadline_ns > 0)
            ping->exit_at = now + ping->config.deadline_ns;
    }
    ping->last_sent = now;
    ping->seen[seq / 8] &= (uint8_t) ~(1u << seq % 8);
    if (all_sent(ping))
        ping->exit_at = give_up_at(ping, now);
    nst_icmpv4_emit(&icmp, message);
    fill(message + NST_ICMPV4_HLEN, ping->config.data_len, now - ping->start);
    return NST_ICMPV4_HLEN + ping->config.data_len;
}

/* ---- Answers ---- */

static void acknowledge(struct nst_cli_ping *ping, uint16_t seq)
{
    uint16_t behind = (uint16_t)(ping->sent - seq);

    if (behind < 0x8000 && behind + 1u > ping->pipe)
        ping->pipe = behind + 1u;
}

/* The round trip in microseconds, from the time in the data. Somebody may have meddled with it:
 * what can't be counts as 0. */
static uint64_t round_trip(const struct nst_cli_ping *ping, const uint8_t *data, uint64_t arrived)
{
    uint64_t sec = nst_load_le64(data), ns = nst_load_le64(data + 8);
    uint64_t elapsed = arrived > ping->start ? arrived - ping->start : 0;

    if (ns >= 1000 * MSEC || sec > elapsed / (1000 * MSEC) || sec * 1000 * MSEC + ns > elapsed) {
        fprintf(ping->config.err, "ping: Warning: the answer tells a time that has not been\n");
        return 0;
    }
    return (elapsed - sec * 1000 * MSEC - ns) / 1000;
}

static void account_time(struct nst_cli_ping *ping, uint64_t us)
{
    ping->rtt_sum_us += us;
    ping->rtt_sum_squares += (nst_cli_wide)us * us;
    ping->rtt_min_us = us < ping->rtt_min_us ? us : ping->rtt_min_us;
    ping->rtt_max_us = us > ping->rtt_max_us ? us : ping->rtt_max_us;
    if (ping->rtt_ewma8_us == 0)
        ping->rtt_ewma8_us = us * 8;
    else
        ping->rtt_ewma8_us += us - ping->rtt_ewma8_us / 8;
}

/* Counts the answer; returns whether it is a repetition. */
static bool account_answer(struct nst_cli_ping *ping, uint16_t seq)
{
    uint8_t bit = (uint8_t)(1u << seq % 8);
    bool repeated = ping->seen[seq / 8] & bit;

    ping->seen[seq / 8] |= bit;
    *(repeated ? &ping->repeats : &ping->received) += 1;
    return repeated;
}

static void print_data(FILE *out, const uint8_t *data, size_t from, size_t len)
{
    for (size_t i = from; i < len; i++) {
        if (i % 32 == from)
            fprintf(out, "\n#%zu\t", i);
        fprintf(out, "%x ", data[i]);
    }
}

/* Compares what came back with what was sent, behind the time. */
static void check_data(FILE *out, const uint8_t *data, size_t len)
{
    size_t from = len >= NST_CLI_PING_STAMP ? NST_CLI_PING_STAMP : 0;

    for (size_t i = from; i < len; i++) {
        if (data[i] == (uint8_t)i)
            continue;
        fprintf(out, "\nwrong data byte #%zu should be 0x%x but was 0x%x", i, (unsigned)(uint8_t)i,
                data[i]);
        print_data(out, data, from, len);
        return;
    }
}

static void answer(struct nst_cli_ping *ping, const struct nst_ipc_datagram *datagram, uint16_t seq,
                   const uint8_t *data, size_t len)
{
    FILE *out = ping->config.out;
    bool whole = len >= ping->config.data_len && !(datagram->flags & NST_IPC_TRUNCATED);
    bool timed = has_time(ping) && len >= NST_CLI_PING_STAMP;
    uint64_t us = timed ? round_trip(ping, data, datagram->time) : 0;
    char from[NAME_MAX_LEN + NST_ADDR_TEXT + 4];

    acknowledge(ping, seq);
    if (timed)
        account_time(ping, us);
    bool repeated = account_answer(ping, seq);
    if (ping->config.quiet)
        return;
    who(ping, &datagram->peer, from, sizeof from);
    fprintf(out, "%zu bytes from %s: icmp_seq=%u ttl=%u", len + NST_ICMPV4_HLEN, from, seq,
            datagram->ttl);
    if (!whole) {
        fputs(" (truncated)\n", out);
        return;
    }
    if (timed)
        print_time(out, us);
    if (repeated)
        fputs(" (DUP!)", out);
    check_data(out, data, ping->config.data_len);
    fputc('\n', out);
}

/* ---- Errors ---- */

static const char *unreachable_text(uint8_t code)
{
    static const char *const texts[] = {
        "Destination Net Unreachable",
        "Destination Host Unreachable",
        "Destination Protocol Unreachable",
        "Destination Port Unreachable",
        NULL, /* names the MTU */
        "Source Route Failed",
        "Destination Net Unknown",
        "Destination Host Unknown",
        "Source Host Isolated",
        "Destination Net Prohibited",
        "Destination Host Prohibited",
        "Destination Net Unreachable for Type of Service",
        "Destination Host Unreachable for Type of Service",
        "Packet filtered",
        "Precedence Violation",
        "Precedence Cutoff",
    };
    return code < NST_ARRAY_LEN(texts) ? texts[code] : NULL;
}

static void print_unreachable(FILE *out, uint8_t code, uint32_t mtu)
{
    const char *text = unreachable_text(code);

    if (code == NST_ICMPV4_FRAG_NEEDED)
        fprintf(out, "Frag needed and DF set (mtu = %u)\n", mtu);
    else if (text)
        fprintf(out, "%s\n", text);
    else
        fprintf(out, "Dest Unreachable, Bad Code: %u\n", code);
}

static void print_time_exceeded(FILE *out, uint8_t code)
{
    if (code == NST_ICMPV4_TTL)
        fputs("Time to live exceeded\n", out);
    else if (code == NST_ICMPV4_REASSEMBLY)
        fputs("Frag reassembly time exceeded\n", out);
    else
        fprintf(out, "Time exceeded, Bad Code: %u\n", code);
}

static void print_icmp_error(FILE *out, const struct nst_ipc_datagram *datagram)
{
    switch (datagram->icmp_type) {
    case NST_ICMPV4_UNREACHABLE:
        print_unreachable(out, datagram->icmp_code, datagram->info);
        break;
    case NST_ICMPV4_SOURCE_QUENCH:
        fputs("Source Quench\n", out);
        break;
    case NST_ICMPV4_TIME_EXCEEDED:
        print_time_exceeded(out, datagram->icmp_code);
        break;
    case NST_ICMPV4_PARAMETER:
        fprintf(out, "Parameter problem: pointer = %u\n", datagram->info);
        break;
    default:
        fprintf(out, "Bad ICMP type: %u\n", datagram->icmp_type);
    }
}

/* An error of our own host, without a message from the network. */
static void print_local_error(FILE *err, const struct nst_ipc_datagram *datagram)
{
    if (datagram->err == EMSGSIZE)
        fprintf(err, "ping: local error: message too long, mtu=%u\n", datagram->info);
    else
        fprintf(err, "ping: sendmsg: %s\n", strerror(datagram->err));
}

static void error_report(struct nst_cli_ping *ping, const struct nst_ipc_datagram *datagram,
                         uint16_t seq)
{
    FILE *out = ping->config.out;
    char from[NAME_MAX_LEN + NST_ADDR_TEXT + 4];
    bool icmp = datagram->flags & NST_IPC_BY_ICMP;

    acknowledge(ping, seq);
    ping->errors++;
    if (ping->config.quiet)
        return;
    if (!nst_addr_is_set(&datagram->offender)) {
        print_local_error(ping->config.err, datagram);
        return;
    }
    who(ping, &datagram->offender, from, sizeof from);
    fprintf(out, "From %s icmp_seq=%u ", from, seq);
    if (icmp)
        print_icmp_error(out, datagram);
    else if (datagram->err == EHOSTUNREACH) /* our own host says it, of a neighbour */
        print_unreachable(out, NST_ICMPV4_HOST, 0);
    else
        fprintf(out, "%s\n", strerror(datagram->err));
}

void nst_cli_ping_input(struct nst_cli_ping *ping, const struct nst_ipc_datagram *datagram,
                        const uint8_t *message, size_t len)
{
    struct nst_icmpv4 icmp;

    if (nst_icmpv4_parse(&icmp, message, len) != NST_DROP_NONE)
        return;
    if (datagram->flags & NST_IPC_REPORT)
        error_report(ping, datagram, icmp.echo.seq);
    else if (icmp.type == NST_ICMPV4_ECHO_REPLY)
        answer(ping, datagram, icmp.echo.seq, message + NST_ICMPV4_HLEN, len - NST_ICMPV4_HLEN);
}

/* ---- Statistics ---- */

static uint64_t average(const struct nst_cli_ping *ping)
{
    return ping->rtt_sum_us / (ping->received + ping->repeats);
}

/* The largest number whose square is at most `n`. */
static uint64_t square_root(nst_cli_wide n)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << 63; bit; bit >>= 1)
        if ((nst_cli_wide)(root | bit) * (root | bit) <= n)
            root |= bit;
    return root;
}

/* The standard deviation: the root of (mean of squares - square of the mean), rounded down once. */
static uint64_t deviation(const struct nst_cli_ping *ping)
{
    nst_cli_wide n = ping->received + ping->repeats, sum = ping->rtt_sum_us;

    return square_root((ping->rtt_sum_squares - sum * sum / n) / n);
}

static bool timed(const struct nst_cli_ping *ping)
{
    return ping->received > 0 && has_time(ping) && ping->rtt_min_us != UINT64_MAX;
}

static double loss_percent(const struct nst_cli_ping *ping)
{
    return (double)(ping->sent - ping->received) * 100.0 / (double)ping->sent;
}

void nst_cli_ping_report(const struct nst_cli_ping *ping)
{
    FILE *err = ping->config.err;

    fprintf(err, "\r%llu/%llu packets, %d%% loss", (unsigned long long)ping->received,
            (unsigned long long)ping->sent, ping->sent ? (int)loss_percent(ping) : 0);
    if (timed(ping))
        fprintf(err,
                ", min/avg/ewma/max = " MS_FORMAT "/" MS_FORMAT "/" MS_FORMAT "/" MS_FORMAT " ms",
                MS_ARGS(ping->rtt_min_us), MS_ARGS(average(ping)), MS_ARGS(ping->rtt_ewma8_us / 8),
                MS_ARGS(ping->rtt_max_us));
    fputc('\n', err);
}

static void print_counts(const struct nst_cli_ping *ping)
{
    FILE *out = ping->config.out;

    fprintf(out, "%llu packets transmitted, %llu received", (unsigned long long)ping->sent,
            (unsigned long long)ping->received);
    if (ping->repeats)
        fprintf(out, ", +%llu duplicates", (unsigned long long)ping->repeats);
    if (ping->errors)
        fprintf(out, ", +%llu errors", (unsigned long long)ping->errors);
    if (ping->sent)
        fprintf(out, ", %g%% packet loss, time %llums", (double)(float)loss_percent(ping),
                (unsigned long long)((ping->last_sent - ping->start) / MSEC));
    fputc('\n', out);
}

/* The last line: times, depth of the pipe, pace; whichever there are. */
static void print_times(const struct nst_cli_ping *ping)
{
    FILE *out = ping->config.out;
    const char *comma = "";

    if (timed(ping)) {
        fprintf(out,
                "rtt min/avg/max/mdev = " MS_FORMAT "/" MS_FORMAT "/" MS_FORMAT "/" MS_FORMAT " ms",
                MS_ARGS(ping->rtt_min_us), MS_ARGS(average(ping)), MS_ARGS(ping->rtt_max_us),
                MS_ARGS(deviation(ping)));
        comma = ", ";
    }
    if (ping->pipe > 1) {
        fprintf(out, "%spipe %u", comma, ping->pipe);
        comma = ", ";
    }
    if (ping->received > 0 && ping->config.interval_ns == 0 && ping->sent > 1) {
        uint64_t gap_us = (ping->last_sent - ping->start) / 1000 / (ping->sent - 1);
        fprintf(out, "%sipg/ewma " MS_FORMAT "/" MS_FORMAT " ms", comma, MS_ARGS(gap_us),
                MS_ARGS(ping->rtt_ewma8_us / 8));
    }
    fputc('\n', out);
}

int nst_cli_ping_finish(const struct nst_cli_ping *ping)
{
    fprintf(ping->config.out, "\n--- %s ping statistics ---\n", ping->config.target);
    print_counts(ping);
    print_times(ping);
    bool short_of = ping->config.deadline_ns > 0 && ping->received < ping->config.count;
    return ping->received > 0 && !short_of ? 0 : 1;
}
