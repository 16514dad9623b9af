/* Intrusive lists: each operation, and a random walk beside an array. */
#include "core/base/list.h"

#include "core/base/bytes.h"

#include "../core.h"

#define ITEMS 16

struct item {
    int value;
    struct nst_list node;
};

static void items_init(struct item items[ITEMS])
{
    for (int i = 0; i < ITEMS; i++) {
        items[i].value = i;
        nst_list_init(&items[i].node);
    }
}

/* The list holds exactly these values, forwards and backwards. */
static void assert_list(const struct nst_list *l, const int *values, size_t n)
{
    const struct nst_list *e = l;

    for (size_t i = 0; i < n; i++) {
        e = e->next;
        assert_ptr_not_equal(e, l);
        assert_int_equal(NST_CONTAINER(e, struct item, node)->value, values[i]);
        assert_true(nst_list_linked(e));
    }
    assert_ptr_equal(e->next, l);
    for (size_t i = n; i-- > 0; e = e->prev)
        assert_int_equal(NST_CONTAINER(e, struct item, node)->value, values[i]);
    assert_ptr_equal(e, l);
    assert_int_equal(nst_list_empty(l), n == 0);
}

static void test_push_pop_del(void **state)
{
    struct nst_list l;
    struct item items[ITEMS];
    (void)state;

    nst_list_init(&l);
    items_init(items);
    assert_list(&l, NULL, 0);
    assert_null(nst_list_pop_front(&l));
    nst_list_push_back(&l, &items[1].node);
    nst_list_push_back(&l, &items[3].node);
    nst_list_push_front(&l, &items[0].node);
    nst_list_insert_before(&items[3].node, &items[2].node);
    assert_list(&l, (const int[]){0, 1, 2, 3}, 4);
    nst_list_del(&items[2].node);
    nst_list_del(&items[2].node); /* harmless */
    assert_false(nst_list_linked(&items[2].node));
    assert_list(&l, (const int[]){0, 1, 3}, 3);
    assert_ptr_equal(nst_list_pop_front(&l), &items[0].node);
    assert_false(nst_list_linked(&items[0].node));
    assert_list(&l, (const int[]){1, 3}, 2);
}

static void test_splice(void **state)
{
    (void)state;

    for (size_t to_n = 0; to_n < 3; to_n++) {
        for (size_t from_n = 0; from_n < 3; from_n++) {
            struct nst_list to, from;
            struct item items[ITEMS];
            int values[ITEMS];
            nst_list_init(&to);
            nst_list_init(&from);
            items_init(items);
            for (size_t i = 0; i < to_n + from_n; i++) {
                nst_list_push_back(i < to_n ? &to : &from, &items[i].node);
                values[i] = (int)i;
            }
            nst_list_splice_back(&to, &from);
            assert_list(&to, values, to_n + from_n);
            assert_list(&from, NULL, 0);
        }
    }
}

static void test_foreach_safe_allows_deletion(void **state)
{
    struct nst_list l;
    struct item items[ITEMS];
    int sum = 0;
    (void)state;

    nst_list_init(&l);
    items_init(items);
    for (int i = 0; i < 6; i++)
        nst_list_push_back(&l, &items[i].node);
    NST_LIST_FOREACH_SAFE (e, &l)
        if (NST_CONTAINER(e, struct item, node)->value % 2 == 0)
            nst_list_del(e);
    NST_LIST_FOREACH (e, &l)
        sum = sum * 10 + NST_CONTAINER(e, struct item, node)->value;
    assert_int_equal(sum, 135);
}

/* The model's list: an array and its length. */
struct array {
    int values[ITEMS];
    size_t n;
};

static void array_insert(struct array *a, size_t at, int value)
{
    memmove(a->values + at + 1, a->values + at, (a->n++ - at) * sizeof *a->values);
    a->values[at] = value;
}

static void array_remove(struct array *a, int value)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->values[i] == value) {
            memmove(a->values + i, a->values + i + 1, (--a->n - i) * sizeof *a->values);
            return;
        }
    }
}

static void test_random_walk(void **state)
{
    struct nst_list l;
    struct item items[ITEMS];
    struct array model = {.n = 0};
    struct nst_prng prng;
    (void)state;

    nst_list_init(&l);
    items_init(items);
    test_prng_init(&prng, 1);
    for (unsigned step = 0; step < 20000; step++) {
        struct item *item = &items[nst_prng_below(&prng, ITEMS)];
        bool front = nst_prng_below(&prng, 2);
        if (nst_list_linked(&item->node)) {
            nst_list_del(&item->node);
            array_remove(&model, item->value);
        } else if (front) {
            nst_list_push_front(&l, &item->node);
            array_insert(&model, 0, item->value);
        } else {
            nst_list_push_back(&l, &item->node);
            array_insert(&model, model.n, item->value);
        }
        assert_list(&l, model.values, model.n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_pop_del),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_foreach_safe_allows_deletion),
        cmocka_unit_test(test_random_walk),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
