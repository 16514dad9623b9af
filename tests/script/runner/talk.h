/* TCP conversations as a script sees them: numbers relative to where each side began.
 *
 * Sequence numbers count from the initial one of their sender, timestamps of ours from 1000, which
 * is the first one that the stack showed. What a script leaves out of an incoming segment is what a
 * peer would say that has seen everything so far: that is kept here, too. */
#ifndef NST_SCRIPT_TALK_H
#define NST_SCRIPT_TALK_H

#include "packet.h"

#define TALKS_MAX 512

/* "Ours" is the stack under test, "theirs" is what the script says. */
struct talk {
    struct nst_addr us, peer;
    uint16_t our_port, peer_port;
    uint32_t our_isn, peer_isn;
    uint32_t our_next, peer_next; /* relative: behind the furthest byte sent */
    uint32_t ts_first, ts_last;   /* of ours: where they count from, and the last */
    bool isn_known, ts_known;
};

struct talks {
    struct talk all[TALKS_MAX];
    unsigned n;
};

/* A segment that comes in, or is quoted by what comes in: fills in what the script left out, and
 * makes its numbers absolute. `now_ms` is the peer's clock. */
void talk_incoming(struct talks *talks, struct packet *p, uint32_t now_ms);

/* A segment that the stack has sent is noted. `anew`: the numbers count from it. */
void talk_outgoing(struct talks *talks, const struct packet *p, bool anew);

/* Makes the numbers of a segment that the stack has sent relative. */
void talk_relative(struct talks *talks, struct packet *p);

/* Writes it as a script would say it. */
const char *talk_print(char *buf, size_t cap, const struct packet *p);

#endif
