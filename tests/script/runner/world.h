/* The stack under test and its surroundings: the clock, the links, what the stack has said and no
 * line has accounted for yet.
 *
 * Time moves only here. The stack's output is pulled when time moves on or when a line wants to see
 * it: so several lines at one time are a batch, as a device would bring it. A frame that no line
 * expects ends the script as soon as time would pass it. */
#ifndef NST_SCRIPT_WORLD_H
#define NST_SCRIPT_WORLD_H

#include "core/base/drop.h"
#include "talk.h"

#define WORLD_LINKS   4
#define WORLD_PENDING 2048
#define WORLD_SOCKS   32

struct world_link {
    char name[NST_LINK_NAME_MAX];
    nst_link link;
    enum nst_medium medium;
    struct nst_mac mac;
};

struct world_frame {
    nst_time time;
    const struct world_link *link;
    uint8_t *data;
    size_t len;
    bool gso_ecn;      /* the device knows that the first of them bears CWR */
    uint16_t gso_size; /* the device is to make segments of this size; 0: it is one */
};

struct world_sock {
    char name[32];
    nst_sock sock;
    size_t sent, received; /* bytes of a stream */
};

/* Which of the stack's allocations fail. */
struct world_famine {
    uint64_t begin; /* the first, from 1; 0: none does */
    bool lasting;   /* and all that follow */
};

struct world {
    struct script *s;
    struct nst_config config;
    struct nst_stack *stack; /* made by the first line that needs it */
    struct world_famine famine;
    uint64_t allocations; /* asked for so far */
    size_t blocks;        /* of memory that the stack holds */
    nst_time start, now;
    struct world_link links[WORLD_LINKS];
    unsigned nlinks;
    struct world_frame pending[WORLD_PENDING]; /* said, in order */
    size_t npending;
    struct nst_addr peer; /* the first neighbour that the script names */
    struct talks talks;
    struct world_sock socks[WORLD_SOCKS];
    unsigned nsocks;
    uint64_t drops[NST_DROP_COUNT]; /* accounted for */
    uint8_t bytes[PACKET_MAX];      /* scratch */
};

void world_init(struct world *w, struct script *s, const struct world_famine *famine);
/* Frees everything; safe after a failure. */
void world_fini(struct world *w);
/* The script is at its end: fails if something was left unsaid, or memory is left over. */
void world_finish(struct world *w);
/* The same where memory failed: there is some again, all sockets are closed, and time passes.
 * Nothing is expected but that all comes to its end, and the memory back. */
void world_recover(struct world *w);

/* The stack, made with the configuration so far. */
struct nst_stack *world_stack(struct world *w);

/* The link of that name, or the first for NULL; there is an Ethernet if the script made none. */
const struct world_link *world_link(struct world *w, const char *name);
void world_link_add(struct world *w, const struct nst_link_config *config);

/* Time goes on to `to`; fails if the stack says anything before. */
void world_advance(struct world *w, nst_time to);

/* Pulls what the stack has to say now. */
void world_pull(struct world *w);

/* A frame comes in now. */
void world_inject(struct world *w, const struct world_link *link, struct packet *p);

/* The stack's next frame comes between `from` and `to`, on the link, and is `p`. */
void world_expect(struct world *w, const struct world_link *link, struct packet *p, nst_time from,
                  nst_time to);

/* Adds a line to the ladder with the time of now in front. */
void world_log(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs the invariants, which no line may break. */
void world_check(const struct world *w);

#endif
