/* Calls that set a socket up or ask about it: most are one question to the daemon. */
#include "client/hints.h"
#include "core/base/bytes.h"
#include "run/supervisor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_done(struct nst_client_request *request)
{
    nst_run_call_return(nst_run_call_of(request), request->result);
}

/* ---- socket() ----------------------------------------------------------------------------- */

static void on_socket(struct nst_client_request *request)
{
    struct nst_run_call *call = nst_run_call_of(request);
    int fd = request->result;

    if (fd < 0)
        nst_run_call_return(call, fd);
    else if (nst_run_call_give(call, fd, request->type & SOCK_CLOEXEC) != 0)
        close(fd);
}

void nst_run_socket(struct nst_run_call *call)
{
    call->request.op = NST_CLIENT_SOCKET;
    call->request.domain = (int)call->args[0];
    call->request.type = (int)call->args[1];
    call->request.protocol = (int)call->args[2];
    nst_run_call_ask(call, on_socket);
}

/* ---- bind(), listen(), connect() ---------------------------------------------------------- */

/* Fills in the address that is argument 1, of length argument 2. */
static int read_name(struct nst_run_call *call)
{
    call->request.addrlen = (socklen_t)call->args[2];
    return nst_run_call_get_name(call, call->args[1], call->args[2], &call->request.addr);
}

void nst_run_bind(struct nst_run_call *call)
{
    int err = read_name(call);

    call->request.op = NST_CLIENT_BIND;
    if (err)
        nst_run_call_return(call, err);
    else if (nst_run_is_for_host(call))
        nst_run_pass_to_host(call);
    else
        nst_run_call_ask(call, on_done);
}

void nst_run_listen(struct nst_run_call *call)
{
    call->request.op = NST_CLIENT_LISTEN;
    call->request.backlog = (int)call->args[1];
    nst_run_call_ask(call, on_done);
}

/* A blocking one takes as long as the handshake, or SO_SNDTIMEO; it goes on then. */
void nst_run_connect(struct nst_run_call *call)
{
    int err = read_name(call);

    call->request.op = NST_CLIENT_CONNECT;
    call->request.nonblock = nst_run_call_nonblocking(call);
    if (err) {
        nst_run_call_return(call, err);
        return;
    }
    if (nst_run_is_for_host(call)) {
        nst_run_pass_to_host(call);
        return;
    }
    nst_run_call_limit(call, SO_SNDTIMEO, -EINPROGRESS);
    nst_run_call_ask(call, on_done);
}

/* ---- getsockname(), getpeername() --------------------------------------------------------- */

static void return_name(struct nst_run_call *call, const struct sockaddr_storage *addr,
                        socklen_t len)
{
    nst_run_call_return(call, nst_run_call_put_name(call, call->args[1], call->args[2], addr, len));
}

static void on_name(struct nst_client_request *request)
{
    struct nst_run_call *call = nst_run_call_of(request);

    if (request->result < 0)
        nst_run_call_return(call, request->result);
    else
        return_name(call, &request->addr, request->addrlen);
}

void nst_run_getsockname(struct nst_run_call *call)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    int err = nst_client_sockname(call->fd, (struct sockaddr *)&addr, &len);

    call->request.op = NST_CLIENT_GETSOCKNAME;
    if (err == -EAGAIN)
        nst_run_call_ask(call, on_name);
    else if (err)
        nst_run_call_return(call, err);
    else
        return_name(call, &addr, len);
}

void nst_run_getpeername(struct nst_run_call *call)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof addr;
    int err = nst_client_getpeername(call->fd, (struct sockaddr *)&addr, &len);

    if (err)
        nst_run_call_return(call, err);
    else
        return_name(call, &addr, len);
}

/* ---- Options ------------------------------------------------------------------------------ */

static bool is_hint(const struct nst_run_call *call)
{
    return call->name.protocol == IPPROTO_TCP &&
           nst_client_is_hint((int)call->args[1], (int)call->args[2]);
}

void nst_run_setsockopt(struct nst_run_call *call)
{
    struct nst_client_request *r = &call->request;
    int32_t len = (int32_t)call->args[4];
    int err = len < 0 ? -EINVAL : 0;

    r->op = NST_CLIENT_SETSOCKOPT;
    r->level = (int)call->args[1];
    r->option = (int)call->args[2];
    r->value_len = len < NST_CLIENT_VALUE_MAX ? (socklen_t)len : NST_CLIENT_VALUE_MAX;
    if (!err)
        err = nst_run_target_read(call->tid, r->value, call->args[3], r->value_len);
    if (err)
        nst_run_call_return(call, err);
    else if (is_hint(call))
        nst_run_call_return(call, nst_client_set_hint(call->fd, r->option, r->value, r->value_len));
    else
        nst_run_call_ask(call, on_done);
}

static void return_option(struct nst_run_call *call, int err)
{
    const struct nst_client_request *r = &call->request;

    if (!err &&
        (!nst_run_call_stands(call) ||
         nst_run_target_write(call->tid, call->args[3], r->value, r->value_len) != 0 ||
         nst_run_target_write(call->tid, call->args[4], &r->value_len, sizeof r->value_len) != 0))
        err = -EFAULT;
    nst_run_call_return(call, err);
}

/* When the descriptor tells that a connect() has failed whose answer isn't here yet, that is here
 * when the daemon has answered once more. */
static void on_option(struct nst_client_request *r)
{
    struct nst_run_call *call = nst_run_call_of(r);
    int untold = r->result ? 0 : -nst_run_call_untold(call), error = 0;

    memcpy(&error, r->value, nst_min(r->value_len, sizeof error));
    if (untold == EINPROGRESS && error) {
        nst_run_call_ask(call, on_option);
        return;
    }
    if (untold && untold != EINPROGRESS)
        memcpy(r->value, &untold, nst_min(r->value_len, sizeof untold));
    return_option(call, r->result);
}

void nst_run_getsockopt(struct nst_run_call *call)
{
    struct nst_client_request *r = &call->request;
    int32_t room = 0;
    int err = nst_run_target_read(call->tid, &room, call->args[4], sizeof room);

    r->op = NST_CLIENT_GETSOCKOPT;
    r->level = (int)call->args[1];
    r->option = (int)call->args[2];
    r->value_len = (socklen_t)room;
    if (err)
        nst_run_call_return(call, err);
    else if (is_hint(call))
        return_option(call, nst_client_get_hint(call->fd, r->option, r->value, &r->value_len));
    else
        nst_run_call_ask(call, on_option);
}
