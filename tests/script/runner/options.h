/* TCP options, as a script writes them and as bytes:
 *
 *     <mss 1460,sackOK,TS val . ecr 100,nop,wscale 7>
 *
 * The order and the padding are those of the wire; zeros fill up the last word. A `.` in place of a
 * number stands for any. */
#ifndef NST_SCRIPT_OPTIONS_H
#define NST_SCRIPT_OPTIONS_H

#include "packet.h"

/* Whether the next word begins a list of options. */
bool options_begin(const struct script *s);

/* Takes the words of the list. */
void options_read(struct script *s, struct packet_value *out);

/* Writes them as in a script, without the angle brackets. */
const char *options_print(char *buf, size_t cap, const struct packet_value *v);

/* The numbers that belong to a conversation, not to the option itself. */
enum options_number { OPTIONS_SACK, OPTIONS_TS_VAL, OPTIONS_TS_ECR };

/* Calls `change` for each of them, which gives its new value. `any` tells that the script has a
 * `.` there. */
void options_map(struct packet_value *v,
                 uint32_t (*change)(void *ctx, enum options_number which, uint32_t old, bool any),
                 void *ctx);

#endif
