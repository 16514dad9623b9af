/* What a connection costs while nothing happens: two stacks, cable to cable in one process, with
 * 100,000 connections between them, and an allocator that counts what the server has asked for.
 *
 * The figures are what the server's memory grew by, divided by the number: in small pieces, which
 * are the connections, and in large ones, which are the tables that find them. Tables double: their
 * share is between the figure given and twice as much. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/netstack.h"

#define CONNECTIONS 100000u
#define LISTENERS   50u /* half of what one of them lets wait */
#define EACH        (CONNECTIONS / LISTENERS)
#define PORT        1000u
#define BATCH       64
#define TABLE       65536u /* bytes: what is larger is a table */
#define SECOND      UINT64_C(1000000000)

/* ---- Memory that is counted -------------------------------------------------------------- */

struct memory {
    size_t pieces, tables; /* bytes in use now */
};

static size_t *counter(struct memory *m, size_t size)
{
    return size < TABLE ? &m->pieces : &m->tables;
}

static void *count_alloc(void *ctx, size_t size)
{
    *counter(ctx, size) += size;
    return malloc(size);
}

static void count_free(void *ctx, void *ptr, size_t size)
{
    *counter(ctx, size) -= size;
    free(ptr);
}

/* ---- Two hosts and a cable --------------------------------------------------------------- */

struct host {
    struct nst_stack *stack;
    nst_link link;
    struct memory memory;
};

static struct host server, client;
static nst_time now = SECOND;

/* What must succeed. */
static void must(int err, const char *what)
{
    if (err < 0) {
        fprintf(stderr, "memory: %s: error %d\n", what, -err);
        exit(1);
    }
}

static struct nst_addr addr_of(uint8_t last)
{
    return (struct nst_addr){.family = NST_AF_INET, .bytes = {10, 0, 0, last}};
}

static void host_begin(struct host *h, uint8_t last)
{
    const struct nst_config config = {.seed = {last},
                                      .now = now,
                                      .allocator = {count_alloc, count_free, &h->memory},
                                      .limits.sockets = 2 * CONNECTIONS};
    const struct nst_link_config link = {.name = "cable0", .medium = NST_MEDIUM_IP, .mtu = 1500};
    const struct nst_prefix prefix = {.addr = addr_of(last), .len = 24};

    must(nst_stack_new(&h->stack, &config), "nst_stack_new");
    must(nst_link_add(h->stack, &h->link, &link), "nst_link_add");
    must(nst_addr_add(h->stack, h->link, &prefix, NST_ACD_OFF), "nst_addr_add");
}

/* Copies a frame to the other host. */
static void hand_over(struct host *to, const struct nst_pkt *frame)
{
    struct nst_slice from[NST_PKT_SLICES], into[NST_PKT_SLICES];
    struct nst_pkt *copy = nst_pkt_alloc(to->stack, nst_pkt_len(frame));
    size_t n = nst_pkt_slices(frame, from, NST_PKT_SLICES), at = 0;

    must(copy ? 0 : -12, "nst_pkt_alloc");
    nst_pkt_slices(copy, into, NST_PKT_SLICES);
    for (size_t i = 0; i < n; at += from[i++].len)
        memcpy((uint8_t *)into[0].base + at, from[i].base, from[i].len);
    nst_input(to->stack, to->link, &copy, 1, now);
}

/* Everything that a host has to say; `to` may be NULL: the cable is cut. */
static bool say(struct host *from, struct host *to)
{
    struct nst_pkt *frames[BATCH];
    size_t n = nst_output(from->stack, from->link, frames, BATCH, now);

    for (size_t i = 0; i < n; i++) {
        if (to)
            hand_over(to, frames[i]);
        nst_pkt_free(frames[i]);
    }
    return n > 0;
}

static void talk(void)
{
    bool more = true;

    while (more) {
        more = say(&client, &server);
        more |= say(&server, &client);
    }
}

/* Nobody has anything to say for so long. */
static void wait_for(nst_time duration)
{
    for (nst_time end = now + duration; now < end; now += SECOND / 10)
        talk();
}

/* ---- Connections ------------------------------------------------------------------------- */

static nst_sock listeners[LISTENERS], ours[CONNECTIONS], theirs[CONNECTIONS];

static void begin(void)
{
    host_begin(&server, 1);
    host_begin(&client, 2);
    for (unsigned i = 0; i < LISTENERS; i++) {
        const struct nst_sockaddr at = {.port = (uint16_t)(PORT + i)};
        must(nst_socket(server.stack, &listeners[i], NST_AF_INET, NST_SOCK_STREAM, 0, 0), "socket");
        must(nst_bind(server.stack, listeners[i], &at), "bind");
        must(nst_listen(server.stack, listeners[i], 2 * EACH), "listen");
    }
}

static void end(void)
{
    nst_stack_free(server.stack);
    nst_stack_free(client.stack);
}

static void connect_one(unsigned i)
{
    const struct nst_sockaddr to = {addr_of(1), (uint16_t)(PORT + i / EACH), 0};

    must(nst_socket(client.stack, &theirs[i], NST_AF_INET, NST_SOCK_STREAM, 0, 0), "socket");
    if (nst_connect(client.stack, theirs[i], &to) != -115)
        must(-1, "connect");
}

static void connect_all(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        connect_one(i);
        talk();
        must(nst_accept(server.stack, listeners[i / EACH], &ours[i], 0), "accept");
    }
    wait_for(30 * SECOND);
}

/* A request and its answer on each. */
static void use_all(void)
{
    char text[100] = "request";
    struct nst_slice slice = {text, sizeof text};
    struct nst_msg msg = {.data = &slice, .ndata = 1};

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        must((int)nst_send(client.stack, theirs[i], &msg), "send");
        talk();
        must((int)nst_recv(server.stack, ours[i], &msg, 0), "recv");
        must((int)nst_send(server.stack, ours[i], &msg), "send");
        talk();
        must((int)nst_recv(client.stack, theirs[i], &msg, 0), "recv");
    }
    wait_for(SECOND);
}

static void close_all(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        must(nst_close(server.stack, ours[i]), "close");
        talk();
        must(nst_close(client.stack, theirs[i]), "close");
        talk();
    }
}

/* ---- The table --------------------------------------------------------------------------- */

static int failures;

/* A line: by how much the memory has grown `since`, for each connection. `aim` 0: none. */
static void report(const char *what, const struct host *h, const struct memory *since, double aim)
{
    double each = ((double)h->memory.pieces - (double)since->pieces) / CONNECTIONS;
    double tables = ((double)h->memory.tables - (double)since->tables) / CONNECTIONS;

    printf("%-36s %8.1f %8.1f", what, each, tables);
    bool missed = aim > 0 && each >= aim + 1; /* the packets in use are less than a byte each */
    if (aim > 0)
        printf(" %8.0f%s", aim, missed ? "  missed" : "");
    puts("");
    failures += missed;
}

static void measure_half_open(void)
{
    begin();
    struct memory before = server.memory;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        connect_one(i);
        while (say(&client, &server) || say(&server, NULL))
            ;
    }
    report("half-open", &server, &before, 128);
    end();
}

static void measure_established(void)
{
    begin();
    struct memory before = server.memory, clients_before = client.memory;
    connect_all();
    report("established, idle", &server, &before, 512);
    report("established, idle, who connected", &client, &clients_before, 512);
    use_all();
    report("just used", &server, &before, 0);
    wait_for(30 * SECOND);
    report("idle again", &server, &before, 512);
    close_all();
    report("TIME-WAIT", &server, &before, 64);
    wait_for(80 * SECOND);
    report("closed", &server, &before, 0);
    end();
}

int main(void)
{
    printf("bytes for each of %u connections    itself   tables      aim\n", CONNECTIONS);
    measure_half_open();
    measure_established();
    return failures > 0;
}
