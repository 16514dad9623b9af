/* netstack capture: what crosses the stack's links, both ways, and why it was dropped; as lines for
 * people, or as a pcapng file. */
#include "cli/cli.h"
#include "cli/pcapng.h"
#include "core/wire/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)

static const struct option LONGS[] = {NST_CLI_NAME_OPTION, NST_CLI_LAST_OPTION};

static const struct nst_cli_usage USAGE = {
    "Usage: netstack capture [OPTION]...\n"
    "Show what crosses the running stack's links, and what becomes of it.\n"
    "\n"
    "  -w FILE         write pcapng to FILE instead (- is the standard output)\n"
    "  -c COUNT        stop after COUNT frames\n"
    "  -s SNAPLEN      keep only the first SNAPLEN bytes of each frame\n"
    "  -i LINK         only this link\n"
    "      --name NAME talk to the instance NAME\n"
    "  -h, --help      print this\n",
    ":w:c:s:i:h",
    LONGS,
};

struct options {
    const char *instance, *file, *link;
    uint64_t count;   /* 0: without end */
    uint64_t snaplen; /* 0: all */
};

struct capture {
    struct nst_ipc_client *client;
    const struct options *options;
    json_t *answer; /* to the call `capture`: the links and the drop reasons */
    FILE *out;
    uint64_t frames;
    uint32_t lost;
};

static struct options parse(int argc, char **argv)
{
    struct options o = {0};
    int c;

    while ((c = nst_cli_getopt(argc, argv, &USAGE)) != -1) {
        switch (c) {
        case 'w':
            o.file = optarg;
            break;
        case 'c':
            o.count = nst_cli_number(argv, optarg, 1, INT64_MAX);
            break;
        case 's':
            o.snaplen = nst_cli_number(argv, optarg, 1, UINT16_MAX);
            break;
        case 'i':
            o.link = optarg;
            break;
        default:
            o.instance = optarg;
        }
    }
    nst_cli_operand(argc, argv, NULL);
    return o;
}

/* ---- The answer to the call ---- */

/* The entry of the answer's list `list` with that index, and its position. NULL if there is none.
 */
static const json_t *entry(const struct capture *c, const char *list, uint32_t index,
                           size_t *position)
{
    const json_t *value;
    size_t i;

    json_array_foreach(json_object_get(c->answer, list), i, value)
    {
        if (json_integer_value(json_object_get(value, "index")) != index)
            continue;
        if (position)
            *position = i;
        return value;
    }
    return NULL;
}

static enum nst_medium medium(const json_t *link)
{
    return strcmp(nst_cli_member(link, "medium"), "ip") == 0 ? NST_MEDIUM_IP : NST_MEDIUM_ETHERNET;
}

static bool link_exists(const struct capture *c, const char *name)
{
    const json_t *link;
    size_t i;

    json_array_foreach(json_object_get(c->answer, "links"), i,
                       link) if (strcmp(nst_cli_member(link, "name"), name) == 0) return true;
    return false;
}

/* "dropped: reason: text" into `buf`; NULL for a frame that was not. */
static const char *drop_comment(const struct capture *c, uint16_t drop, char *buf, size_t cap)
{
    const json_t *reason = entry(c, "drops", drop, NULL);

    if (drop == 0)
        return NULL;
    if (reason)
        snprintf(buf, cap, "dropped: %s: %s", nst_cli_member(reason, "reason"),
                 nst_cli_member(reason, "text"));
    else
        snprintf(buf, cap, "dropped: reason %u", drop);
    return buf;
}

/* ---- Frames ---- */

static int write_frame(struct capture *c, const struct nst_ipc_frame *frame, size_t interface,
                       const uint8_t *data, size_t len)
{
    char comment[512];
    const struct nst_pcapng_packet packet = {
        .interface = (uint32_t)interface,
        .time_ns = frame->time,
        .direction = frame->direction == NST_IPC_IN ? NST_PCAPNG_IN : NST_PCAPNG_OUT,
        .lost = frame->lost - c->lost,
        .comment = drop_comment(c, frame->drop, comment, sizeof comment),
        .data = data,
        .len = (uint32_t)len,
        .full_len = frame->len,
    };
    int err = nst_pcapng_packet(c->out, &packet);

    if (!err && fflush(c->out) != 0) /* so that a reader can follow */
        err = -errno;
    return err;
}

static int print_frame(struct capture *c, const struct nst_ipc_frame *frame, const json_t *link,
                       const uint8_t *data, size_t len)
{
    time_t seconds = (time_t)(frame->time / SECOND);
    char clock[16], comment[512], line[1024];
    struct tm tm;

    strftime(clock, sizeof clock, "%H:%M:%S", localtime_r(&seconds, &tm));
    fprintf(c->out, "%s.%06u ", clock, (unsigned)(frame->time % SECOND / 1000));
    nst_cli_put(c->out, nst_cli_member(link, "name"));
    fprintf(c->out, " %-3s %s", frame->direction == NST_IPC_IN ? "in" : "out",
            nst_frame_print(line, sizeof line, medium(link), data, len));
    if (drop_comment(c, frame->drop, comment, sizeof comment)) {
        fputs(" [", c->out);
        nst_cli_put(c->out, comment);
        fputc(']', c->out);
    }
    fputc('\n', c->out);
    return fflush(c->out) == 0 ? 0 : -errno;
}

/* Takes one frame in; those of other links, or of none that we know, are passed over. */
static int take_in(struct capture *c, const struct nst_ipc_msg *msg)
{
    const uint8_t *data = msg->body + NST_IPC_FRAME_HLEN;
    struct nst_ipc_frame frame;
    size_t position = 0;

    int err = nst_ipc_frame_parse(&frame, msg->body, msg->header.len);
    if (err)
        return err;
    size_t len = msg->header.len - NST_IPC_FRAME_HLEN;
    const json_t *link = entry(c, "links", frame.link, &position);
    if (!link || (c->options->link && strcmp(c->options->link, nst_cli_member(link, "name")) != 0))
        return 0;
    err = c->options->file ? write_frame(c, &frame, position, data, len)
                           : print_frame(c, &frame, link, data, len);
    c->frames++;
    c->lost = frame.lost;
    return err;
}

static bool enough(const struct capture *c)
{
    return nst_cli_stopped() || (c->options->count > 0 && c->frames >= c->options->count);
}

static int run(struct capture *c)
{
    struct nst_ipc_msg msg;
    int err = 0;

    while (!err && !enough(c)) {
        err = nst_ipc_client_next(c->client, &msg, 0);
        if (err == -ETIMEDOUT || err == -EINTR) {
            nst_cli_wait(nst_ipc_client_fd(c->client), UINT64_MAX);
            err = 0;
        } else if (!err && msg.header.type == NST_IPC_FRAME) {
            err = take_in(c, &msg);
        }
    }
    return err;
}

/* ---- The command ---- */

static int begin_file(struct capture *c)
{
    const json_t *link;
    size_t i;
    int err = nst_pcapng_section(c->out, "netstack " NST_VERSION);

    json_array_foreach(json_object_get(c->answer, "links"), i, link) if (!err)
        err = nst_pcapng_interface(c->out, nst_cli_member(link, "name"), medium(link),
                                   (uint32_t)c->options->snaplen);
    if (!err && fflush(c->out) != 0)
        err = -errno;
    return err;
}

static int ask(struct capture *c)
{
    json_t *call = json_pack("{s:s}", "op", "capture");

    if (c->options->snaplen > 0)
        json_object_set_new(call, "snaplen", json_integer((json_int_t)c->options->snaplen));
    if (nst_ipc_client_call_take(c->client, call, &c->answer) < 0)
        return nst_cli_fail(NST_CLI_UNUSABLE, "%s", nst_ipc_client_why(c->client));
    if (c->options->link && !link_exists(c, c->options->link))
        return nst_cli_fail(NST_CLI_UNUSABLE, "the stack has no link named '%s'", c->options->link);
    return 0;
}

static int open_output(struct capture *c)
{
    const char *file = c->options->file;

    c->out = file && strcmp(file, "-") != 0 ? fopen(file, "we") : stdout;
    if (!c->out)
        return nst_cli_fail(NST_CLI_UNUSABLE, "cannot write %s: %s", file, strerror(errno));
    return 0;
}

static int finish(struct capture *c, int err)
{
    fprintf(stderr, "%llu frames captured, %u missed\n", (unsigned long long)c->frames, c->lost);
    if (c->out != stdout && fclose(c->out) != 0 && !err)
        err = -errno;
    if (err == -ECONNRESET || err == -EPROTO)
        return nst_cli_fail(NST_CLI_FAILED, "%s", nst_ipc_client_why(c->client));
    if (err)
        return nst_cli_fail(NST_CLI_FAILED, "cannot write: %s", strerror(-err));
    return NST_CLI_OK;
}

int nst_cli_capture(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    struct capture c = {.options = &o, .client = nst_cli_connect(o.instance)};

    if (!c.client)
        return NST_CLI_UNUSABLE;
    int status = ask(&c);
    if (status == 0)
        status = open_output(&c);
    if (status == 0) {
        nst_cli_catch_signals();
        int err = o.file ? begin_file(&c) : 0;
        status = finish(&c, err ? err : run(&c));
    }
    json_decref(c.answer);
    nst_ipc_client_free(c.client);
    return status;
}
