/* Ordered trees beside a sorted array: random comings and goings, and the orders that make trees
 * without balance degenerate. */
#include "core/base/tree.h"

#include "core/base/bytes.h"

#include "../core.h"

#define ITEMS 300

struct item {
    int key;
    struct nst_tree_node node;
};

/* The tree under test, and the model: its items in order. */
struct walk {
    struct nst_tree tree;
    struct item items[ITEMS];
    struct item *sorted[ITEMS];
    size_t n;
};

static unsigned comparisons;

static struct item *item_of(const struct nst_tree_node *node)
{
    return node ? NST_CONTAINER(node, struct item, node) : NULL;
}

static int cmp(const void *key, const struct nst_tree_node *node)
{
    const int *k = key;

    comparisons++;
    return *k - item_of(node)->key;
}

/* How many of the model's items lie before the key, or at it as well. */
static size_t rank(const struct walk *w, int key, bool or_at)
{
    size_t i = 0;

    while (i < w->n && (w->sorted[i]->key < key || (or_at && w->sorted[i]->key == key)))
        i++;
    return i;
}

static struct item *at(const struct walk *w, size_t i)
{
    return i < w->n ? w->sorted[i] : NULL;
}

static void model_insert(struct walk *w, size_t i, struct item *item)
{
    memmove(w->sorted + i + 1, w->sorted + i, (w->n++ - i) * sizeof *w->sorted);
    w->sorted[i] = item;
}

static void model_erase(struct walk *w, const struct item *item)
{
    size_t i = 0;

    while (w->sorted[i] != item)
        i++;
    memmove(w->sorted + i, w->sorted + i + 1, (--w->n - i) * sizeof *w->sorted);
}

static void insert(struct walk *w, struct item *item, int key)
{
    item->key = key;
    nst_tree_insert(&w->tree, &key, cmp, &item->node);
    model_insert(w, rank(w, key, true), item);
}

static void erase(struct walk *w, struct item *item)
{
    nst_tree_erase(&w->tree, &item->node);
    model_erase(w, item);
}

/* The height of the highest AVL tree of at most `n` nodes: of height h the smallest has N(h) =
 * N(h - 1) + N(h - 2) + 1. */
static int highest(size_t n)
{
    size_t lower = 0, this = 1;
    int h = 0;

    for (; this <= n; h++) {
        size_t next = this + lower + 1;
        lower = this;
        this = next;
    }
    return h;
}

/* The tree holds what the model holds, in its order, forwards and backwards. */
static void check(const struct walk *w)
{
    struct nst_tree_node *n = nst_tree_first(&w->tree);

    nst_tree_check(&w->tree);
    assert_int_equal(nst_tree_empty(&w->tree), w->n == 0);
    for (size_t i = 0; i < w->n; i++, n = nst_tree_next(n))
        assert_ptr_equal(item_of(n), w->sorted[i]);
    assert_null(n);
    n = nst_tree_last(&w->tree);
    for (size_t i = w->n; i-- > 0; n = nst_tree_prev(n))
        assert_ptr_equal(item_of(n), w->sorted[i]);
    assert_null(n);
    assert_true(w->n == 0 || w->tree.root->height <= highest(w->n));
}

/* Every search finds what the model says, in no more steps than the tree is high. */
static void check_searches(const struct walk *w, int key)
{
    size_t before = rank(w, key, false), upto = rank(w, key, true);

    comparisons = 0;
    assert_ptr_equal(item_of(nst_tree_lower_bound(&w->tree, &key, cmp)), at(w, before));
    assert_ptr_equal(item_of(nst_tree_upper_bound(&w->tree, &key, cmp)), at(w, upto));
    assert_ptr_equal(item_of(nst_tree_floor(&w->tree, &key, cmp)), upto ? at(w, upto - 1) : NULL);
    assert_true(comparisons <= 3 * (unsigned)highest(w->n));
}

static void test_empty(void **state)
{
    struct walk w = {.n = 0};
    (void)state;

    nst_tree_init(&w.tree);
    check(&w);
    check_searches(&w, 0);
    assert_false(nst_tree_linked(&w.items[0].node));
    insert(&w, &w.items[0], 1);
    assert_true(nst_tree_linked(&w.items[0].node));
    check(&w);
    erase(&w, &w.items[0]);
    assert_false(nst_tree_linked(&w.items[0].node));
    check(&w);
}

/* Few keys make many equal ones, which stay in the order of their coming. */
static void random_walk(unsigned seed, size_t items, unsigned keys)
{
    struct walk w = {.n = 0};
    struct nst_prng prng;

    test_prng_init(&prng, seed);
    for (unsigned step = 0; step < 5000; step++) {
        struct item *item = &w.items[nst_prng_below(&prng, items)];
        if (nst_tree_linked(&item->node))
            erase(&w, item);
        else
            insert(&w, item, (int)nst_prng_below(&prng, keys));
        check(&w);
        check_searches(&w, (int)nst_prng_below(&prng, keys + 2) - 1);
    }
}

static void test_random_walk(void **state)
{
    static const struct {
        size_t items;
        unsigned keys;
    } rows[] = {{4, 4}, {16, 8}, {16, 1}, {64, 1000}, {ITEMS, 40}, {ITEMS, 1000000}};
    (void)state;

    for (unsigned i = 0; i < NST_ARRAY_LEN(rows); i++)
        random_walk(i + 1, rows[i].items, rows[i].keys);
}

static void test_insert_before_a_neighbour(void **state)
{
    struct walk w = {.n = 0};
    struct nst_prng prng;
    (void)state;

    test_prng_init(&prng, 9);
    while (w.n < ITEMS) {
        struct item *item = &w.items[w.n];
        size_t i = nst_prng_below(&prng, w.n + 1);
        struct item *next = at(&w, i);
        nst_tree_insert_before(&w.tree, next ? &next->node : NULL, &item->node);
        model_insert(&w, i, item);
        check(&w);
    }
}

/* ---- Orders that an attacker would choose ------------------------------------------------ */

static int ascending(int i)
{
    return i;
}

static int descending(int i)
{
    return ITEMS - 1 - i;
}

/* From both ends towards the middle. */
static int inwards(int i)
{
    return i % 2 ? ITEMS - 1 - i / 2 : i / 2;
}

/* From the middle towards both ends. */
static int outwards(int i)
{
    return inwards(ITEMS - 1 - i);
}

/* Far apart each time: 7 and ITEMS have no common divisor. */
static int leaping(int i)
{
    return i * 7 % ITEMS;
}

static void test_worst_orders(void **state)
{
    static int (*const orders[])(int) = {ascending, descending, inwards, outwards, leaping};
    (void)state;

    for (size_t in = 0; in < NST_ARRAY_LEN(orders); in++) {
        for (size_t out = 0; out < NST_ARRAY_LEN(orders); out++) {
            struct walk w = {.n = 0};
            for (int i = 0; i < ITEMS; i++) {
                int key = orders[in](i);
                insert(&w, &w.items[key], key);
                check(&w);
            }
            assert_int_equal(w.n, ITEMS);
            for (int i = 0; i < ITEMS; i++) {
                erase(&w, &w.items[orders[out](i)]);
                check(&w);
            }
        }
    }
}

/* Fills in the minimal AVL tree of that height, each node's subtree before it the higher one, by
 * levels: such a tree is at the edge of balance everywhere. Returns the keys used. */
static int fibonacci(struct walk *w, int level, int height, int first)
{
    if (height <= 0)
        return 0;
    int before = fibonacci(w, level - 1, height - 1, first);
    if (level == 0)
        insert(w, &w->items[first + before], first + before);
    return before + 1 + fibonacci(w, level - 1, height - 2, first + before + 1);
}

/* Taking off the lightest leaf shakes such a tree all the way up. */
static void test_minimal_trees(void **state)
{
    (void)state;

    for (int height = 1; height <= 9; height++) {
        int n = fibonacci(&(struct walk){.n = 0}, height, height, 0);
        for (int victim = 0; victim < n; victim++) {
            struct walk w = {.n = 0};
            for (int level = 0; level < height; level++)
                fibonacci(&w, level, height, 0);
            assert_int_equal(w.n, n);
            assert_int_equal(w.tree.root->height, height);
            erase(&w, &w.items[victim]);
            check(&w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_random_walk),
        cmocka_unit_test(test_insert_before_a_neighbour),
        cmocka_unit_test(test_worst_orders),
        cmocka_unit_test(test_minimal_trees),
    };
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
