#include "program.h"

#undef NDEBUG
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/local.h"

void program_start(struct program *p, struct inside *in, uid_t uid)
{
    *p = (struct program){.in = in, .uid = uid};
    assert(nst_client_conn_new(&p->conn, in->d.loop, NULL) == 0);
}

void program_end(struct program *p)
{
    nst_client_conn_free(p->conn);
    inside_turn(p->in);
}

static void on_done(struct nst_client_request *r)
{
    *(bool *)r->arg = true;
}

int program_do(struct program *p, struct nst_client_request *r)
{
    bool done = false;

    r->done = on_done;
    r->arg = &done;
    inside_be(p->uid);
    nst_client_submit(p->conn, r);
    inside_turn(p->in);
    if (done)
        return r->result;
    nst_client_cancel(r);
    return -EINPROGRESS;
}

int program_socket(struct program *p, int type)
{
    struct nst_client_request r = {.op = NST_CLIENT_SOCKET, .domain = AF_INET, .type = type};

    return program_do(p, &r);
}

static void set_addr(struct nst_client_request *r, const char *addr, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&r->addr;

    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    assert(inet_pton(AF_INET, addr, &in->sin_addr) == 1);
    r->addrlen = sizeof *in;
}

int program_bind(struct program *p, int fd, const char *addr, uint16_t port)
{
    struct nst_client_request r = {.op = NST_CLIENT_BIND, .fd = fd};

    set_addr(&r, addr, port);
    return program_do(p, &r);
}

int program_listen(struct program *p, int fd)
{
    struct nst_client_request r = {.op = NST_CLIENT_LISTEN, .fd = fd, .backlog = 16};

    return program_do(p, &r);
}

int program_connect(struct program *p, int fd, const char *addr, uint16_t port)
{
    struct nst_client_request r = {.op = NST_CLIENT_CONNECT, .fd = fd};

    set_addr(&r, addr, port);
    return program_do(p, &r);
}

int program_setsockopt(struct program *p, int fd, int level, int option, int value)
{
    struct nst_client_request r = {.op = NST_CLIENT_SETSOCKOPT,
                                   .fd = fd,
                                   .level = level,
                                   .option = option,
                                   .value_len = sizeof value};

    memcpy(r.value, &value, sizeof value);
    return program_do(p, &r);
}

int program_error(struct program *p, int fd)
{
    struct nst_client_request r = {.op = NST_CLIENT_GETSOCKOPT,
                                   .fd = fd,
                                   .level = SOL_SOCKET,
                                   .option = SO_ERROR,
                                   .value_len = sizeof(int)};
    int error = -1;

    assert(program_do(p, &r) == 0);
    memcpy(&error, r.value, sizeof error);
    return error;
}

int program_listener(struct program *p, uint16_t port)
{
    int fd = program_socket(p, SOCK_STREAM | SOCK_NONBLOCK);

    assert(fd >= 0 && program_bind(p, fd, INSIDE_ADDR, port) == 0 && program_listen(p, fd) == 0);
    return fd;
}

int program_accept(struct program *p, int fd)
{
    int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int err = got < 0 ? -errno : nst_client_accepted(got, fd, NULL, NULL);

    inside_turn(p->in);
    return err ? err : got;
}

void program_pair(struct program *p, uint16_t port, int ends[2])
{
    int listener = program_listener(p, port);

    ends[0] = program_socket(p, SOCK_STREAM | SOCK_NONBLOCK);
    assert(ends[0] >= 0 && program_connect(p, ends[0], INSIDE_ADDR, port) == 0);
    ends[1] = program_accept(p, listener);
    assert(ends[1] >= 0);
    close(listener);
}
