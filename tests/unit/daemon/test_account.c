/* The quotas' arithmetic, on a clock of the test's own. */
#include "../unit.h"
#include "daemon/account.h"
#include "daemon/policy.h"

#include <errno.h>

#define START (1000 * NST_LOOP_SECOND)
#define MS    NST_LOOP_MSEC

static struct nst_accounts accounts;
static struct nst_loop *loop;
static struct nst_up_config config;
static unsigned recounts;

static void on_sweep(struct nst_loop *l, struct nst_loop_timer *timer)
{
    (void)l, (void)timer;
}

static void on_recount(struct nst_loop *l, struct nst_loop_timer *timer)
{
    (void)l, (void)timer;
    recounts++;
}

static int setup(void **state)
{
    (void)state;
    recounts = 0;
    config = (struct nst_up_config){.npersons = 1, .persons = {NST_UP_ANYONE}};
    config.persons[0].uid = 7;
    config.persons[0].messages = 1000;
    config.persons[0].buffer_bytes = 100000;
    if (nst_loop_new(&loop, NULL) != 0)
        return -1;
    nst_accounts_init(&accounts, loop, on_sweep, on_recount);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_accounts_fini(&accounts);
    nst_loop_free(loop);
    return 0;
}

static struct nst_account *hold(uid_t uid, uint64_t now_ns)
{
    struct nst_account *account = nst_account_hold(&accounts, &config, uid, false, now_ns);

    assert_non_null(account);
    return account;
}

static void test_messages_within_the_rate(void **state)
{
    struct nst_account *a = hold(7, START);
    (void)state;

    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(nst_account_charge(a, 1, START + i * MS), 0);
    assert_int_equal(accounts.reached[NST_QUOTA_MESSAGES], 0);
}

/* An eighth of a second's may come at once, and no more, however long nothing came. */
static void test_messages_at_once(void **state)
{
    struct nst_account *a = hold(7, START);
    const uint64_t later = START + 3600 * NST_LOOP_SECOND;
    (void)state;

    for (int i = 0; i < 125; i++)
        assert_int_equal(nst_account_charge(a, 1, later), 0);
    assert_int_equal(nst_account_charge(a, 1, later), MS + 1);
    assert_int_equal(accounts.reached[NST_QUOTA_MESSAGES], 1);
    assert_int_equal(nst_account_charge(a, 0, later + MS / 2), MS / 2 + 1);
    assert_int_equal(nst_account_charge(a, 0, later + MS), 0);
    assert_int_equal(nst_account_charge(a, 1, later + 2 * MS), 0);
}

/* Whatever is charged: a second's silence pays for it. */
static void test_debts_are_limited(void **state)
{
    struct nst_account *a = hold(7, START);
    (void)state;

    assert_int_equal(nst_account_charge(a, UINT64_MAX, START), NST_LOOP_SECOND + 1);
    assert_int_equal(nst_account_charge(a, UINT64_MAX, START), NST_LOOP_SECOND + 1);
    assert_int_equal(nst_account_charge(a, 0, START + NST_LOOP_SECOND), 0);
}

/* A rate so low that nothing may come at once still lets one after the other through. */
static void test_the_lowest_rate(void **state)
{
    struct nst_account *a;
    (void)state;

    config.persons[0].messages = 1;
    a = hold(7, START);
    assert_int_equal(nst_account_charge(a, 1, START), NST_LOOP_SECOND - 125 * MS + 1);
    assert_int_equal(nst_account_charge(a, 0, START + NST_LOOP_SECOND), 0);
}

static void test_the_owner_has_no_quota(void **state)
{
    struct nst_account *a = nst_account_hold(&accounts, &config, 7, true, START);
    struct nst_share share = {.account = a};
    (void)state;

    assert_int_equal(nst_account_charge(a, UINT64_MAX, START), 0);
    assert_false(nst_share_set(&share, 1u << 30));
    assert_true(nst_share_room(&share) == SIZE_MAX);
    assert_false(nst_account_is_full(a));
}

static void test_shares(void **state)
{
    struct nst_account *a = hold(7, START);
    struct nst_share one = {.account = a}, other = {.account = a};
    (void)state;

    assert_int_equal(nst_share_room(&one), 100000);
    assert_false(nst_share_set(&one, 60000));
    assert_int_equal(nst_share_room(&one), 40000);
    assert_int_equal(nst_share_room(&other), 40000);
    assert_false(nst_share_set(&one, 99999));
    assert_int_equal(nst_share_room(&one), 1);
    assert_false(nst_account_is_full(a));
    assert_true(nst_share_set(&one, 100000));
    assert_true(nst_account_is_full(a));
    assert_int_equal(nst_share_room(&one), 0);
    assert_int_equal(nst_share_room(&other), NST_SHARE_MIN); /* none waits for another for ever */
    assert_false(nst_share_set(&other, 1000));               /* was told already */
    assert_int_equal(nst_share_room(&other), NST_SHARE_MIN - 1000);
    assert_int_equal(accounts.reached[NST_QUOTA_BUFFERS], 1); /* once, though it went on */
    assert_false(nst_share_set(&one, 0));
    assert_int_equal(nst_share_room(&other), 99000);
    assert_true(nst_share_set(&one, 200000));
    assert_int_equal(accounts.reached[NST_QUOTA_BUFFERS], 2);
    assert_false(nst_share_set(&one, 0));
    assert_false(nst_share_set(&other, 0));
    assert_int_equal(a->buffered_bytes, 0);
}

static void test_refusals_are_counted_by_kind(void **state)
{
    struct nst_account *a = hold(7, START);
    (void)state;

    assert_int_equal(nst_account_refuse(a, NST_QUOTA_SOCKETS), -EMFILE);
    assert_int_equal(nst_account_refuse(a, NST_QUOTA_LISTENERS), -EMFILE);
    assert_int_equal(nst_account_refuse(a, NST_QUOTA_CONNECTING), -EAGAIN);
    for (enum nst_quota q = 0; q < NST_QUOTAS; q++) {
        assert_int_equal(accounts.reached[q], q <= NST_QUOTA_CONNECTING);
        assert_memory_equal(nst_quota_name(q), "quota.", 6);
    }
}

/* Who goes away in debt and comes back is in debt; who is not is forgotten, and his number free. */
static void test_accounts_end(void **state)
{
    struct nst_account *a = hold(7, START), *b = hold(8, START), *c = hold(9, START);
    (void)state;

    assert_int_equal(a->number, 1);
    assert_int_equal(b->number, 2);
    assert_int_equal(c->number, 3);
    assert_ptr_equal(hold(8, START), b);
    nst_account_release(b);
    assert_true(nst_account_charge(a, 1000, START) > 0);
    nst_account_release(a);
    nst_account_release(b);
    assert_ptr_equal(hold(7, START), a);
    assert_true(nst_account_charge(a, 0, START) > 0);
    assert_int_equal(hold(10, START)->number, 2);
    assert_int_equal(hold(11, START)->number, 4);
    nst_account_release(NULL);
}

static void test_whose_section_it_is(void **state)
{
    (void)state;
    assert_int_equal(nst_policy_of(&config, 7)->messages, 1000);
    assert_int_equal(nst_policy_of(&config, 8)->messages, 20000);
    assert_int_equal(hold(8, START)->person->buffer_bytes, 16 << 20);
}

static void test_what_may_be_bound(void **state)
{
    struct nst_up_person p = {.nports = 2, .ports = {{80, 80}, {2000, 2009}}};
    struct nst_sockaddr name = {.addr = {NST_AF_INET, {10, 0, 0, 2}}};
    static const struct {
        uint16_t port;
        int result;
    } table[] = {{0, 0},    {1, -EACCES},    {79, -EACCES}, {80, 0},         {81, -EACCES},
                 {2000, 0}, {1999, -EACCES}, {2009, 0},     {2010, -EACCES}, {65535, -EACCES}};
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        name.port = table[i].port;
        assert_int_equal(nst_policy_bind(&p, &name), table[i].result);
    }
    name.port = 80;
    p.addr = name.addr;
    assert_int_equal(nst_policy_bind(&p, &name), 0);
    name.addr.bytes[3] = 3;
    assert_int_equal(nst_policy_bind(&p, &name), -EACCES);
    name.addr = (struct nst_addr){0};
    assert_int_equal(nst_policy_bind(&p, &name), -EACCES);
    p.nports = 0;
    p.addr = name.addr;
    assert_int_equal(nst_policy_bind(&p, &name), -EACCES);
    name.port = 0;
    assert_int_equal(nst_policy_bind(&p, &name), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_messages_within_the_rate),
        T(test_messages_at_once),
        T(test_debts_are_limited),
        T(test_the_lowest_rate),
        T(test_the_owner_has_no_quota),
        T(test_shares),
        T(test_refusals_are_counted_by_kind),
        T(test_accounts_end),
        T(test_whose_section_it_is),
        T(test_what_may_be_bound),
    };
    return cmocka_run_group_tests_name("daemon/account", tests, NULL, NULL);
}
