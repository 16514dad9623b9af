/* The door of libnetstack-packetdrill.so: packetdrill's public scripts, played at our stack.
 *
 *     packetdrill --so_filename=libnetstack-packetdrill.so --so_flags=proc=1 script.pkt */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packetdrill/host.h"

static void pd_free(void *userdata)
{
    nst_pd_host_free(userdata);
}

/* The runner has no way to be told that the object doesn't work. */
static _Noreturn void refuse(const char *what, const char *why)
{
    fprintf(stderr, "libnetstack-packetdrill: %s: %s\n", what, why);
    exit(2);
}

__attribute__((visibility("default"))) void
packetdrill_interface_init(const char *text, struct packetdrill_interface *ifc)
{
    struct nst_pd_flags flags;
    struct nst_pd_host *host;
    const char *wrong;

    if (nst_pd_flags_parse(&flags, text, &wrong) != 0)
        refuse(wrong, "no flag that is known, or no value that it can have");
    int err = nst_pd_host_new(&host, &flags);
    if (err)
        refuse("no host", strerror(-err));
    *ifc = (struct packetdrill_interface){.userdata = host, .free = pd_free};
    nst_pd_fill_time(ifc);
    nst_pd_fill_sockets(ifc);
    nst_pd_fill_data(ifc);
    nst_pd_fill_options(ifc);
    nst_pd_fill_poll(ifc);
    nst_pd_fill_pipe(ifc);
}
