/* What the examples share: a stack on a TAP device, driven by the event loop. */
#ifndef NST_EXAMPLES_HOST_H
#define NST_EXAMPLES_HOST_H

#include <netstack/netstack.h>

#include <errno.h>

extern struct nst_stack *host_stack;

/* Makes the device and a stack with this address, of a /24, on it. 0 or -errno. */
int host_start(const char *device, const char *address);

/* Runs until host_stop() or SIGINT; `on_event` gets the stack's events. Returns an exit code. */
int host_run(void (*on_event)(const struct nst_event *event));
void host_stop(int code);

#endif
