/* The scoreboard against the plainest one: an array of segments, walked from end to end. */
#include "core/base/bytes.h"
#include "core/tcp/tcb.h"

#include "../core.h"

#define MSS  100u
#define SEGS 4096

static struct test_core core;
static struct nst_tcps tcps;
static struct nst_tcb t;
static struct nst_tcp_activity act;

/* Of each segment since the beginning. */
static struct {
    bool sacked, lost, again;
    nst_time sent; /* last */
} model[SEGS];
static unsigned first, end; /* those that are out */

static int setup(void **state)
{
    (void)state;
    test_core_init(&core);
    tcps = (struct nst_tcps){.env = &core.env};
    t = (struct nst_tcb){.tcps = &tcps, .act = &act, .snd_mss = MSS, .sack_ok = true};
    t.snd.una = t.snd.nxt = nst_seq_of(UINT32_MAX - 5000); /* it wraps */
    act.cc.ops = &nst_cc_newreno;
    nst_board_init(&act.board, t.snd.una);
    memset(model, 0, sizeof model);
    first = end = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nst_board_free(&t);
    nst_env_free(&core.env, t.trouble, sizeof *t.trouble);
    nst_board_fini_spares(&tcps);
    test_core_fini(&core);
    return 0;
}

static nst_seq seq_of(unsigned seg)
{
    return nst_seq_add(nst_seq_of(UINT32_MAX - 5000), seg * MSS);
}

/* ---- Each operation, on both ------------------------------------------------------------- */

static void send(unsigned n)
{
    assert_int_equal(nst_board_sent(&t, seq_of(end), seq_of(end + n)), 0);
    for (unsigned i = end; i < end + n; i++)
        model[i].sent = core.env.now;
    end += n;
    t.snd.nxt = seq_of(end);
}

static bool is_news(const struct nst_tcp_sack *block)
{
    struct nst_tcp_acked a = {.acked = 0};

    nst_board_sacked(&t, block, &a);
    return a.sacked > 0;
}

static nst_time acked(unsigned upto)
{
    struct nst_tcp_acked a = {.acked = 0};

    return nst_board_acked(&t, seq_of(upto), &a);
}

static void sack(unsigned from, unsigned to)
{
    const struct nst_tcp_sack block = {seq_of(from), seq_of(to)};
    bool news = false;

    for (unsigned i = from; i < to; i++) {
        news |= !model[i].sacked;
        model[i].sacked = true;
        model[i].lost = model[i].again = false;
    }
    assert_int_equal(is_news(&block), news);
}

static void ack(unsigned upto)
{
    (void)acked(upto);
    t.snd.una = seq_of(upto);
    first = upto;
}

/* RFC 6675 §4, IsLost(): more than two segments above it have arrived. */
static void mark_lost(void)
{
    unsigned above = 0;

    for (unsigned i = end; i-- > first;) {
        above += model[i].sacked;
        if (!model[i].sacked && above > 2)
            model[i].lost = true;
    }
    (void)nst_board_mark_lost(&t);
}

static void mark_all_lost(void)
{
    bool reneged = first < end && model[first].sacked;

    for (unsigned i = first; i < end; i++) {
        model[i].sacked &= !reneged;
        model[i].lost = !model[i].sacked;
        model[i].again = false;
    }
    nst_board_mark_all_lost(&t);
}

static void resend(void)
{
    struct nst_tcp_sent *s = nst_board_next_lost(&t);
    unsigned i = first;

    while (i < end && !(model[i].lost && !model[i].again))
        i++;
    assert_int_equal(s != NULL, i < end);
    if (!s)
        return;
    assert_int_equal(s->start.v, seq_of(i).v);
    assert_int_equal(nst_board_resent(&t, s, seq_of(i + 1)), 0);
    model[i].again = true;
    model[i].sent = core.env.now;
}

/* RACK's: the one that was sent first of those that are under way. */
static void lose_oldest(void)
{
    struct nst_tcp_sent *s = nst_board_oldest(&t);

    if (!s)
        return;
    unsigned i = (unsigned)nst_seq_diff(s->start, seq_of(0)) / MSS;
    unsigned behind = (unsigned)nst_seq_diff(s->end, seq_of(0)) / MSS;
    nst_board_mark_one_lost(&t, s);
    for (; i < behind; i++) {
        model[i].lost = true;
        model[i].again = false;
    }
}

/* Nothing was: an undo. */
static void unmark_lost(void)
{
    for (unsigned i = first; i < end; i++)
        model[i].lost = model[i].again = false;
    nst_board_unmark_lost(&t);
}

/* The list of what is under way holds just that, in the order of its last transmission. */
static void compare_order(void)
{
    unsigned under_way = 0, listed = 0;
    nst_time last = 0;

    for (unsigned i = first; i < end; i++)
        under_way += !model[i].sacked && (!model[i].lost || model[i].again);
    for (const struct nst_list *l = act.board.under_way.next; l != &act.board.under_way;
         l = l->next) {
        const struct nst_tcp_sent *s = NST_CONTAINER(l, const struct nst_tcp_sent, order);
        unsigned i = (unsigned)nst_seq_diff(s->start, seq_of(0)) / MSS;
        assert_true(s->time >= last);
        assert_true(s->time >= model[i].sent); /* later only if it was SACKed, and reneged */
        last = s->time;
        listed += (unsigned)nst_seq_diff(s->end, s->start) / MSS;
    }
    assert_int_equal(listed, under_way);
}

static void compare(void)
{
    unsigned sacked = 0, lost = 0, again = 0;

    for (unsigned i = first; i < end; i++) {
        sacked += model[i].sacked;
        lost += model[i].lost;
        again += model[i].again;
    }
    nst_board_check(&t);
    compare_order();
    assert_int_equal(act.board.sacked, sacked * MSS);
    assert_int_equal(act.board.lost, lost * MSS);
    assert_int_equal(act.board.retrans, again * MSS);
    assert_int_equal(nst_board_pipe(&t), (end - first - sacked - lost + again) * MSS);
}

/* ---- Tests ------------------------------------------------------------------------------- */

static void random_operation(struct nst_prng *prng)
{
    unsigned out = end - first, a = first + (unsigned)nst_prng_below(prng, out + 1);
    unsigned b = a + (unsigned)nst_prng_below(prng, nst_prng_below(prng, 4) ? 4 : 40);

    core.env.now += nst_prng_below(prng, 3) * NST_MS;
    switch (nst_prng_below(prng, 15)) {
    case 0:
    case 1:
    case 2:
        if (end + 20 < SEGS && out < 300)
            send(1 + (unsigned)nst_prng_below(prng, 20));
        break;
    case 3:
        if (nst_prng_below(prng, 3) == 0)
            ack(a);
        break;
    case 4:
        if (nst_prng_below(prng, 10) == 0)
            mark_all_lost();
        break;
    case 5:
    case 6:
        resend();
        break;
    case 7:
        mark_lost();
        break;
    case 8:
        if (nst_prng_below(prng, 10) == 0)
            unmark_lost();
        break;
    case 9:
    case 10:
        lose_oldest();
        break;
    default:
        if (a > first && a < end)
            sack(a, b < end ? b : end);
    }
}

static void test_random(void **state)
{
    struct nst_prng prng;

    for (unsigned seed = 0; seed < 200; seed++) {
        test_prng_init(&prng, seed);
        for (unsigned i = 0; i < 1000; i++) {
            random_operation(&prng);
            compare();
        }
        teardown(state);
        setup(state);
    }
}

/* CVE-2019-11477: a segment of which part was reported is not reported; none is cut finer. */
static void test_parts_of_segments(void **state)
{
    (void)state;
    send(5);
    for (unsigned from = 1; from <= 2 * MSS; from++) {
        const struct nst_tcp_sack block = {nst_seq_add(seq_of(1), from),
                                           nst_seq_add(seq_of(2), from - 1)};
        assert_false(is_news(&block));
        compare();
    }
    const struct nst_tcp_sack block = {nst_seq_add(seq_of(1), 1), nst_seq_add(seq_of(4), 99)};
    model[2].sacked = model[3].sacked = true;
    assert_true(is_news(&block));
    compare();
}

/* The newest segment that was sent once tells the round trip; none does that was sent again. */
static void test_round_trip(void **state)
{
    (void)state;
    nst_time begin = core.env.now;
    send(1);
    core.env.now += NST_SEC;
    send(1);
    send(2);
    assert_int_equal(acked(1), begin);
    t.snd.una = seq_of(first = 1);
    mark_all_lost();
    resend();
    assert_int_equal(acked(2), 0);
}

/* Without memory for a record's second half nothing is marked, and nothing is wrong. */
static void test_without_memory(void **state)
{
    (void)state;
    send(5);
    const struct nst_tcp_sack block = {seq_of(2), seq_of(3)};
    for (uint64_t n = 1; n <= 2; n++) {
        test_memory_fail_in(&core.memory, n);
        assert_false(is_news(&block));
        nst_board_check(&t);
        assert_int_equal(act.board.sacked, 0);
    }
    test_memory_fail_in(&core.memory, 0);
    sack(2, 3);
    compare();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_random),
        T(test_parts_of_segments),
        T(test_round_trip),
        T(test_without_memory),
    };

    return cmocka_run_group_tests_name("tcp/scoreboard", tests, NULL, NULL);
}
