/* The filter, interpreted here instruction by instruction, over every number of every way into the
 * kernel, against the rules said a second time and in another way. */
#include "../unit.h"

#include "core/base/bytes.h"
#include "run/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define ALLOW    SECCOMP_RET_ALLOW
#define TRAP     SECCOMP_RET_USER_NOTIF
#define ERR(err) (SECCOMP_RET_ERRNO | (uint32_t)(err))
#define NRS      1024u /* beyond all calls that there are */

#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

static struct nst_run_filter filter;

static uint32_t word_at(const struct seccomp_data *data, uint32_t offset)
{
    uint32_t word;

    assert_true(offset % 4 == 0 && offset + 4 <= sizeof *data);
    memcpy(&word, (const char *)data + offset, sizeof word);
    return word;
}

/* The verdict of the filter. The kernel refuses programs that could run off their end or jump
 * backwards; so do we. */
static uint32_t verdict(const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < filter.len;) {
        const struct sock_filter *i = &filter.code[pc++];
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = word_at(data, i->k);
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            pc += a & i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %zu has the code %#x", pc - 1, i->code);
        }
    }
    fail_msg("ran off the end");
    return 0;
}

static void expect(uint32_t wanted, uint32_t arch, uint32_t nr, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = (int)nr, .arch = arch};

    memcpy(data.args, args, sizeof data.args);
    uint32_t got = verdict(&data);
    if (got != wanted)
        fail_msg("arch %#x, call %u, arguments %#llx %#llx %#llx: %#x instead of %#x", arch, nr,
                 (unsigned long long)args[0], (unsigned long long)args[1],
                 (unsigned long long)args[2], got, wanted);
}

static bool is_one_of(uint32_t nr, const uint32_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == nr)
            return true;
    return false;
}

static const uint32_t ALWAYS[] = {SYS_accept,     SYS_accept4,     SYS_connect,     SYS_bind,
                                  SYS_listen,     SYS_getsockname, SYS_getpeername, SYS_setsockopt,
                                  SYS_getsockopt, SYS_sendmsg,     SYS_recvmsg,     SYS_sendmmsg,
                                  SYS_recvmmsg};
static const uint32_t TRANSFER[] = {SYS_sendto, SYS_recvfrom};

/* What is due to call `nr` of our own architecture with these arguments, if it isn't socket(). */
static uint32_t native_rule(uint32_t nr, const uint64_t args[6])
{
    bool shim = args[5] == NST_RUN_MAGIC;

    if (nr == SYS_io_uring_setup)
        return ERR(ENOSYS);
    if (is_one_of(nr, ALWAYS, NST_ARRAY_LEN(ALWAYS)))
        return shim ? ALLOW : TRAP;
    if (nr == SYS_recvfrom && args[3] & MSG_ERRQUEUE)
        return TRAP;
    if (is_one_of(nr, TRANSFER, NST_ARRAY_LEN(TRANSFER)))
        return args[4] == 0 ? ALLOW : TRAP;
    return ALLOW;
}

static const uint64_t ARGUMENTS[][6] = {
    {3, 0, 0, 0, 0, 0},
    {3, 1, 2, 3, 4, 5},
    {3, 0x100000000, 0, 0, 0x100000000, 0},
    {3, 0x7ffdeadbeef0, 16, 0, 0x7ffdeadbeef0, 0x7ffdeadbeef8},
    {3, 0x7ffdeadbeef0, 16, 0, 0, NST_RUN_MAGIC},
    {3, 0x7ffdeadbeef0, 16, MSG_DONTWAIT | MSG_ERRQUEUE, 0, 0},
    {3, 0x7ffdeadbeef0, 16, 0, 1, NST_RUN_MAGIC &UINT32_MAX},
    {3, 0x7ffdeadbeef0, 16, 0, 1, NST_RUN_MAGIC + 1},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
};

static void test_native(void **state)
{
    (void)state;
    for (uint32_t nr = 0; nr < NRS; nr++)
        for (size_t i = 0; nr != SYS_socket && i < NST_ARRAY_LEN(ARGUMENTS); i++)
            expect(native_rule(nr, ARGUMENTS[i]), NATIVE, nr, ARGUMENTS[i]);
    expect(ALLOW, NATIVE, UINT32_MAX, ARGUMENTS[0]);
}

#ifdef __x86_64__
static void test_x32_does_not_exist(void **state)
{
    (void)state;
    for (uint32_t nr = 0; nr < NRS; nr++)
        for (size_t i = 0; i < NST_ARRAY_LEN(ARGUMENTS); i++)
            expect(ERR(ENOSYS), NATIVE, nr | 0x40000000, ARGUMENTS[i]);
}
#endif

/* Numbers as in the kernel's table for i386. */
static void test_i386_has_no_internet(void **state)
{
    static const uint64_t inet[6] = {AF_INET, SOCK_STREAM}, local[6] = {AF_UNIX, SOCK_STREAM};
    static const uint64_t call_socket[6] = {1, 0xffff0000}, call_bind[6] = {2, 0xffff0000};

    (void)state;
    for (uint32_t nr = 0; nr < NRS; nr++)
        if (nr != 425)
            expect(nr == 359 ? ERR(EAFNOSUPPORT) : ALLOW, AUDIT_ARCH_I386, nr, inet);
    expect(ERR(ENOSYS), AUDIT_ARCH_I386, 425, inet);
    expect(ALLOW, AUDIT_ARCH_I386, 359, local);
    expect(ERR(EAFNOSUPPORT), AUDIT_ARCH_I386, 102, call_socket);
    expect(ALLOW, AUDIT_ARCH_I386, 102, call_bind);
}

static void test_other_architectures_do_not_exist(void **state)
{
    static const uint32_t others[] = {AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64LE, 0};

    (void)state;
    for (uint32_t nr = 0; nr < NRS; nr++)
        for (size_t i = 0; i < NST_ARRAY_LEN(others); i++)
            expect(ERR(ENOSYS), others[i], nr, ARGUMENTS[1]);
}

/* Questions about interfaces have the numbers from 0x8910 on; those that change something are the
 * kernel's, who refuses them. */
static void test_interfaces(void **state)
{
    static const uint64_t asked[] = {0x8910, 0x8912, 0x8913, 0x8915, 0x8917, 0x8919, 0x891b,
                                     0x891d, 0x8921, 0x8927, 0x8933, 0x8942, 0x8970};
    size_t next = 0;

    (void)state;
    for (uint64_t request = 0; request < 0x10000; request++) {
        uint64_t args[6] = {3, request, 0x7ffdeadbeef0};
        bool is_asked = next < NST_ARRAY_LEN(asked) && request == asked[next];
        expect(is_asked ? TRAP : ALLOW, NATIVE, SYS_ioctl, args);
        next += is_asked;
    }
}

static uint32_t family_rule(uint32_t family)
{
    switch (family) {
    case AF_UNIX:
    case AF_NETLINK:
    case AF_ALG:
        return ALLOW;
    case AF_INET:
    case AF_INET6:
        return TRAP;
    case AF_PACKET:
    case AF_XDP:
        return ERR(EPERM);
    default:
        return ERR(EAFNOSUPPORT);
    }
}

static void test_families(void **state)
{
    (void)state;
    for (uint32_t family = 0; family < 300; family++) {
        uint64_t args[6] = {family, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, NST_RUN_MAGIC};
        expect(family_rule(family), NATIVE, SYS_socket, args);
        args[0] |= UINT64_C(0xabcd) << 32; /* an int's register may hold anything above it */
        expect(family_rule(family), NATIVE, SYS_socket, args);
    }
}

static void test_hints(void **state)
{
    (void)state;
    for (uint64_t level = 0; level < 64; level++) {
        for (uint64_t option = 0; option < 256; option++) {
            uint64_t args[6] = {3, level, option, 0x7ffdeadbeef0, 4, 0};
            bool hint = level == IPPROTO_TCP && option == TCP_QUICKACK;
            expect(hint ? ERR(0) : TRAP, NATIVE, SYS_setsockopt, args);
            expect(TRAP, NATIVE, SYS_getsockopt, args);
            args[5] = NST_RUN_MAGIC;
            expect(hint ? ERR(0) : ALLOW, NATIVE, SYS_setsockopt, args);
        }
    }
}

static int init(void **state)
{
    (void)state;
    nst_run_filter_init(&filter);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native),
#ifdef __x86_64__
        cmocka_unit_test(test_x32_does_not_exist),
#endif
        cmocka_unit_test(test_i386_has_no_internet),
        cmocka_unit_test(test_other_architectures_do_not_exist),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_interfaces),
    };

    return cmocka_run_group_tests(tests, init, NULL);
}
