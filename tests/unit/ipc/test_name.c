/* Names of lent sockets: what is emitted is parsed again, and nothing else is. */
#include "ipc/name.h"

#include "../unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct nst_ipc_token TOKEN = {0x01020304, 7, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};

static struct nst_ipc_sockname name_of(enum nst_ipc_name_kind kind)
{
    return (struct nst_ipc_sockname){
        .kind = kind,
        .protocol = 6,
        .token = TOKEN,
        .local = {.addr = {NST_AF_INET, {10, 0, 0, 2}}, .port = 80, .link = 1},
        .peer = {.addr = {NST_AF_INET6, {0xfe, 0x80, 1}}, .port = 65535},
        .ttl = 64,
        .tos = 0x28,
        .flags = NST_IPC_TELL_TTL,
    };
}

/* Not as bytes: between the members is padding. */
static void assert_same_end(const struct nst_sockaddr *a, const struct nst_sockaddr *b)
{
    assert_memory_equal(&a->addr, &b->addr, sizeof a->addr);
    assert_int_equal(a->port, b->port);
    assert_int_equal(a->link, b->link);
}

static void test_long_names(void **state)
{
    static const enum nst_ipc_name_kind kinds[] = {NST_IPC_NAME_END, NST_IPC_NAME_SOURCE};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct nst_ipc_sockname name = name_of(kinds[i]), out = {0};
        struct sockaddr_un addr;
        socklen_t len = nst_ipc_name_emit(&name, &addr);
        assert_true(len <= sizeof addr);
        assert_int_equal(addr.sun_path[0], 0);
        assert_int_equal(nst_ipc_name_parse(&out, &addr, len), 0);
        assert_memory_equal(&out.token, &TOKEN, sizeof TOKEN);
        assert_same_end(&out.local, &name.local);
        assert_same_end(&out.peer, &name.peer);
        assert_int_equal(out.kind, name.kind);
        assert_int_equal(out.ttl, 64);
        assert_int_equal(out.tos, 0x28);
        assert_int_equal(out.flags, NST_IPC_TELL_TTL);
    }
}

static void test_short_names(void **state)
{
    static const enum nst_ipc_name_kind kinds[] = {NST_IPC_NAME_PROGRAM, NST_IPC_NAME_SINK};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct nst_ipc_sockname name = name_of(kinds[i]), out = {0};
        struct sockaddr_un addr;
        socklen_t len = nst_ipc_name_emit(&name, &addr);
        assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 1 + 6 + sizeof TOKEN);
        assert_int_equal(nst_ipc_name_parse(&out, &addr, len), 0);
        assert_int_equal(out.protocol, 6);
        assert_memory_equal(&out.token, &TOKEN, sizeof TOKEN);
        assert_int_equal(out.peer.port, 0);
    }
}

/* Every length but the right one, and every first byte but ours. */
static void test_names_of_others(void **state)
{
    struct nst_ipc_sockname name = name_of(NST_IPC_NAME_END), out;
    struct sockaddr_un addr;
    socklen_t right = nst_ipc_name_emit(&name, &addr);
    (void)state;

    for (socklen_t len = 0; len <= sizeof addr; len++)
        assert_int_equal(nst_ipc_name_parse(&out, &addr, len), len == right ? 0 : -ENOTSOCK);
    for (size_t at = 0; at < 6; at++) { /* abstract, magic, kind */
        struct sockaddr_un other = addr;
        other.sun_path[at] = (char)(other.sun_path[at] ^ 0x40);
        assert_int_equal(nst_ipc_name_parse(&out, &other, right), -ENOTSOCK);
    }
    name.local.addr.family = 9;
    right = nst_ipc_name_emit(&name, &addr);
    assert_int_equal(nst_ipc_name_parse(&out, &addr, right), -ENOTSOCK);
}

static void test_tokens_as_text(void **state)
{
    static const char *const wrong[] = {"", "0", "00", "zz", NULL};
    char text[NST_IPC_TOKEN_TEXT], longer[NST_IPC_TOKEN_TEXT + 2];
    struct nst_ipc_token out;
    (void)state;

    assert_int_equal(nst_ipc_token_parse(&out, nst_ipc_token_print(text, &TOKEN)), 0);
    assert_memory_equal(&out, &TOKEN, sizeof TOKEN);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(nst_ipc_token_parse(&out, wrong[i]), -EINVAL);
    snprintf(longer, sizeof longer, "%s00", text);
    assert_int_equal(nst_ipc_token_parse(&out, longer), -EINVAL);
    text[5] = 'G';
    assert_int_equal(nst_ipc_token_parse(&out, text), -EINVAL);
}

static void test_send_header(void **state)
{
    const struct nst_ipc_send send = {
        .to = {.addr = {NST_AF_INET, {10, 0, 0, 1}}, .port = 53},
        .from = {.addr = {NST_AF_INET, {10, 0, 0, 2}}, .link = 3},
        .ttl = 5,
        .tos = 0,
    };
    uint8_t bytes[NST_IPC_SEND_HLEN];
    struct nst_ipc_send out;
    (void)state;

    nst_ipc_send_emit(&send, bytes);
    assert_int_equal(nst_ipc_send_parse(&out, bytes, sizeof bytes), 0);
    assert_same_end(&out.to, &send.to);
    assert_same_end(&out.from, &send.from);
    assert_int_equal(out.ttl, 5);
    assert_int_equal(out.tos, 0);
    for (size_t len = 0; len < sizeof bytes; len++)
        assert_int_equal(nst_ipc_send_parse(&out, bytes, len), -EPROTO);
    bytes[0] = 9;
    assert_int_equal(nst_ipc_send_parse(&out, bytes, sizeof bytes), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_names),      cmocka_unit_test(test_short_names),
        cmocka_unit_test(test_names_of_others), cmocka_unit_test(test_tokens_as_text),
        cmocka_unit_test(test_send_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
