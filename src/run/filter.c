/* The filter is a list of blocks, one for each call of RULES: "is it this number? if not, on to the
 * next block; if so, look at the arguments and return". A block never falls through, so blocks
 * don't depend on each other.
 *
 * Foreign ways into the kernel come first. The i386 calls of an x86-64 kernel have other numbers
 * and structures: they get no sockets but AF_UNIX. x32 calls don't exist, as on Debian's kernels.
 * Either would otherwise lead to the host's stack. io_uring would as well: its sockets never pass a
 * filter, so it doesn't exist either. */
#include "run/filter.h"

#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/bytes.h"

#if defined __x86_64__
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "netstack run knows x86-64 and aarch64"
#endif

#define X32_BIT           0x40000000u
#define NO_CALL           0xffffffffu /* a debugger has taken the call away */
#define I386_SOCKETCALL   102 /* all calls on sockets in one, the real arguments in memory */
#define I386_SOCKET       359
#define SOCKETCALL_SOCKET 1
#define IO_URING_SETUP    425 /* on every architecture */
#define OFFSET_NR         ((uint32_t)offsetof(struct seccomp_data, nr))
#define OFFSET_ARCH       ((uint32_t)offsetof(struct seccomp_data, arch))
#define REFUSE(err)       (SECCOMP_RET_ERRNO | (uint32_t)(err))
#define SHIM_ARGUMENT     5
#define FLAGS_ARGUMENT    3 /* of both of these: */
#define ADDRESS_ARGUMENT  4 /* of sendto() and recvfrom() */

/* When a call is trapped. */
enum rule {
    UNLESS_SHIM,  /* always, but for the shim's own */
    WITH_ADDRESS, /* if argument 4 is an address: six arguments, so the shim takes another way */
    RECEIVE,      /* the same, or if it is about the queue of errors */
    INTERFACE,    /* if it asks about an interface */
    OPTION,       /* unless it is a mere hint, or the shim's */
    SOCKET,       /* by family and type */
};

static const struct {
    uint32_t nr;
    enum rule rule;
} RULES[] = {
    {SYS_socket, SOCKET},        {SYS_connect, UNLESS_SHIM},     {SYS_bind, UNLESS_SHIM},
    {SYS_listen, UNLESS_SHIM},   {SYS_ioctl, INTERFACE},         {SYS_accept, UNLESS_SHIM},
    {SYS_accept4, UNLESS_SHIM},  {SYS_getsockname, UNLESS_SHIM}, {SYS_getpeername, UNLESS_SHIM},
    {SYS_setsockopt, OPTION},    {SYS_getsockopt, UNLESS_SHIM},  {SYS_sendto, WITH_ADDRESS},
    {SYS_recvfrom, RECEIVE},     {SYS_sendmsg, UNLESS_SHIM},     {SYS_recvmsg, UNLESS_SHIM},
    {SYS_sendmmsg, UNLESS_SHIM}, {SYS_recvmmsg, UNLESS_SHIM},
};

/* ---- Writing instructions ---------------------------------------------------------------- */

static void push(struct nst_run_filter *f, uint32_t code, uint32_t k, unsigned jt, unsigned jf)
{
    assert(f->len < NST_RUN_FILTER_MAX && jt <= UINT8_MAX && jf <= UINT8_MAX);
    f->code[f->len++] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
}

static void load(struct nst_run_filter *f, uint32_t offset)
{
    push(f, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

/* The low half of an argument, which is all of an int; or its high half. */
static void load_arg(struct nst_run_filter *f, unsigned i, bool high)
{
    bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

    load(f, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * i + (high != big_endian ? 4 : 0)));
}

/* Goes on with the next `jt` instructions skipped if the accumulator is `k`, else with `jf`. */
static void jump_if(struct nst_run_filter *f, uint32_t k, unsigned jt, unsigned jf)
{
    push(f, BPF_JMP | BPF_JEQ | BPF_K, k, jt, jf);
}

static void ret(struct nst_run_filter *f, uint32_t verdict)
{
    push(f, BPF_RET | BPF_K, verdict, 0, 0);
}

/* Returns `verdict` if the accumulator is `k`. */
static void ret_if(struct nst_run_filter *f, uint32_t k, uint32_t verdict)
{
    jump_if(f, k, 0, 1);
    ret(f, verdict);
}

/* What follows, up to end_block(), is for the accumulator being `k`. */
static size_t begin_block(struct nst_run_filter *f, uint32_t k)
{
    jump_if(f, k, 0, 0);
    return f->len;
}

static void end_block(struct nst_run_filter *f, size_t begin)
{
    assert(f->len - begin <= UINT8_MAX);
    f->code[begin - 1].jf = (uint8_t)(f->len - begin);
}

/* ---- Blocks ------------------------------------------------------------------------------ */

static void ret_trap_unless_shim(struct nst_run_filter *f)
{
    load_arg(f, SHIM_ARGUMENT, false);
    jump_if(f, (uint32_t)NST_RUN_MAGIC, 0, 3);
    load_arg(f, SHIM_ARGUMENT, true);
    jump_if(f, (uint32_t)(NST_RUN_MAGIC >> 32), 0, 1);
    ret(f, SECCOMP_RET_ALLOW);
    ret(f, SECCOMP_RET_USER_NOTIF);
}

static void ret_trap_with_address(struct nst_run_filter *f)
{
    load_arg(f, ADDRESS_ARGUMENT, false);
    jump_if(f, 0, 0, 3);
    load_arg(f, ADDRESS_ARGUMENT, true);
    jump_if(f, 0, 0, 1);
    ret(f, SECCOMP_RET_ALLOW);
    ret(f, SECCOMP_RET_USER_NOTIF);
}

static void ret_trap_receive(struct nst_run_filter *f)
{
    load_arg(f, FLAGS_ARGUMENT, false);
    push(f, BPF_JMP | BPF_JSET | BPF_K, MSG_ERRQUEUE, 0, 1);
    ret(f, SECCOMP_RET_USER_NOTIF);
    ret_trap_with_address(f);
}

/* An option that asks for what the stack does anyway, and that the kernel forgets by itself: set,
 * with no trap for it. Servers set it for each request. */
static void ret_hints(struct nst_run_filter *f)
{
    load_arg(f, 1, false);
    size_t tcp = begin_block(f, IPPROTO_TCP);
    load_arg(f, 2, false);
    ret_if(f, TCP_QUICKACK, REFUSE(0));
    end_block(f, tcp);
}

/* Families that lead to no network of the host's stay the kernel's; Internet sockets are ours; the
 * rest gets what an empty network namespace says to a user without rights. */
static void ret_family(struct nst_run_filter *f, uint32_t internet)
{
    load_arg(f, 0, false);
    ret_if(f, AF_UNIX, SECCOMP_RET_ALLOW);
    ret_if(f, AF_NETLINK, SECCOMP_RET_ALLOW);
    ret_if(f, AF_ALG, SECCOMP_RET_ALLOW);
    ret_if(f, AF_INET, internet);
    ret_if(f, AF_INET6, internet);
    ret_if(f, AF_PACKET, REFUSE(EPERM));
    ret_if(f, AF_XDP, REFUSE(EPERM));
    ret(f, REFUSE(EAFNOSUPPORT));
}

/* The questions about an interface that a socket answers. */
static void ret_interface(struct nst_run_filter *f)
{
    static const uint32_t questions[] = {
        SIOCGIFNAME,    SIOCGIFCONF,    SIOCGIFFLAGS,  SIOCGIFADDR, SIOCGIFDSTADDR,
        SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC, SIOCGIFMTU,  SIOCGIFHWADDR,
        SIOCGIFINDEX,   SIOCGIFTXQLEN,  SIOCGIFMAP,
    };

    load_arg(f, 1, false);
    for (size_t i = 0; i < NST_ARRAY_LEN(questions); i++)
        ret_if(f, questions[i], SECCOMP_RET_USER_NOTIF);
    ret(f, SECCOMP_RET_ALLOW);
}

static void push_rule(struct nst_run_filter *f, uint32_t nr, enum rule rule)
{
    size_t block = begin_block(f, nr);

    switch (rule) {
    case SOCKET:
        ret_family(f, SECCOMP_RET_USER_NOTIF);
        break;
    case WITH_ADDRESS:
        ret_trap_with_address(f);
        break;
    case RECEIVE:
        ret_trap_receive(f);
        break;
    case INTERFACE:
        ret_interface(f);
        break;
    case OPTION:
        ret_hints(f);
        ret_trap_unless_shim(f);
        break;
    case UNLESS_SHIM:
        ret_trap_unless_shim(f);
        break;
    }
    end_block(f, block);
}

/* i386, or what a 32-bit program is on another architecture. Its socketcall() doesn't show the
 * family; modern programs use socket(). */
static void push_foreign(struct nst_run_filter *f)
{
    load(f, OFFSET_ARCH);
    jump_if(f, NATIVE_ARCH, 0, 0);
    size_t jump = f->len;
    jump_if(f, AUDIT_ARCH_I386, 1, 0);
    ret(f, REFUSE(ENOSYS));
    load(f, OFFSET_NR);
    ret_if(f, IO_URING_SETUP, REFUSE(ENOSYS));
    size_t block = begin_block(f, I386_SOCKET);
    ret_family(f, REFUSE(EAFNOSUPPORT));
    end_block(f, block);
    block = begin_block(f, I386_SOCKETCALL);
    load_arg(f, 0, false);
    ret_if(f, SOCKETCALL_SOCKET, REFUSE(EAFNOSUPPORT));
    end_block(f, block);
    ret(f, SECCOMP_RET_ALLOW);
    f->code[jump - 1].jt = (uint8_t)(f->len - jump);
}

void nst_run_filter_init(struct nst_run_filter *f)
{
    f->len = 0;
    push_foreign(f);
    load(f, OFFSET_NR);
    ret_if(f, NO_CALL, SECCOMP_RET_ALLOW);
#if defined __x86_64__
    push(f, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1);
    ret(f, REFUSE(ENOSYS));
#endif
    ret_if(f, IO_URING_SETUP, REFUSE(ENOSYS));
    for (size_t i = 0; i < NST_ARRAY_LEN(RULES); i++)
        push_rule(f, RULES[i].nr, RULES[i].rule);
    ret(f, SECCOMP_RET_ALLOW);
}

int nst_run_filter_install(const struct nst_run_filter *f)
{
    struct sock_fprog program = {(unsigned short)f->len, (struct sock_filter *)f->code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return fd < 0 ? -errno : (int)fd;
}
