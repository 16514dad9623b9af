#include "core/base/tree.h"

#include <assert.h>

/* Both directions are one code: side 0 holds what comes before a node, side 1 what comes behind. */
enum { BEFORE, BEHIND };

/* The node at the end of the subtree on that side. */
static struct nst_tree_node *outermost(struct nst_tree_node *n, unsigned side)
{
    while (n && n->child[side])
        n = n->child[side];
    return n;
}

struct nst_tree_node *nst_tree_first(const struct nst_tree *tree)
{
    return outermost(tree->root, BEFORE);
}

struct nst_tree_node *nst_tree_last(const struct nst_tree *tree)
{
    return outermost(tree->root, BEHIND);
}

/* The next node towards that side: below if there is any, else the first parent that lies there. */
static struct nst_tree_node *neighbour(const struct nst_tree_node *n, unsigned side)
{
    struct nst_tree_node *parent = n->parent;

    if (n->child[side])
        return outermost(n->child[side], !side);
    for (; parent && parent->child[side] == n; parent = n->parent)
        n = parent;
    return parent;
}

struct nst_tree_node *nst_tree_next(const struct nst_tree_node *node)
{
    return neighbour(node, BEHIND);
}

struct nst_tree_node *nst_tree_prev(const struct nst_tree_node *node)
{
    return neighbour(node, BEFORE);
}

/* ---- Balance ----------------------------------------------------------------------------- */

static int height(const struct nst_tree_node *n)
{
    return n ? n->height : 0;
}

static void measure(struct nst_tree_node *n)
{
    int before = height(n->child[BEFORE]), behind = height(n->child[BEHIND]);

    n->height = 1 + (before > behind ? before : behind);
}

static void adopt(struct nst_tree_node *n, unsigned side, struct nst_tree_node *child)
{
    n->child[side] = child;
    if (child)
        child->parent = n;
}

/* Puts `to`, or nothing, where `n` hangs; what hangs below either stays there. */
static void replace(struct nst_tree *tree, const struct nst_tree_node *n, struct nst_tree_node *to)
{
    if (n->parent)
        n->parent->child[n->parent->child[BEHIND] == n] = to;
    else
        tree->root = to;
    if (to)
        to->parent = n->parent;
}

/* Raises the child on that side above `n`, which comes to hang on its other side. */
static void rotate(struct nst_tree *tree, struct nst_tree_node *n, unsigned side)
{
    struct nst_tree_node *child = n->child[side];

    replace(tree, n, child);
    adopt(n, side, child->child[!side]);
    adopt(child, !side, n);
    measure(n);
    measure(child);
}

/* Mends a node whose subtree on that side is two too high; returns what stands in its place. */
static struct nst_tree_node *level(struct nst_tree *tree, struct nst_tree_node *n, unsigned side)
{
    struct nst_tree_node *child = n->child[side];

    /* Rotating would only carry a high inner grandchild to the other side: turn it outwards. */
    if (height(child->child[!side]) > height(child->child[side]))
        rotate(tree, child, !side);
    rotate(tree, n, side);
    return n->parent;
}

/* Below `n` a subtree grew or shrank by one: goes up as far as that can be felt. */
static void rebalance(struct nst_tree *tree, struct nst_tree_node *n)
{
    for (; n; n = n->parent) {
        int old = n->height, lean = height(n->child[BEHIND]) - height(n->child[BEFORE]);
        if (lean < -1 || lean > 1)
            n = level(tree, n, lean > 0);
        else
            measure(n);
        if (n->height == old)
            return;
    }
}

/* ---- Nodes come and go ------------------------------------------------------------------- */

void nst_tree_insert_before(struct nst_tree *tree, struct nst_tree_node *at,
                            struct nst_tree_node *node)
{
    unsigned side = BEFORE;

    assert(!nst_tree_linked(node));
    /* Where `at` has something before it already, the last of that has nothing behind it. */
    if (!at || at->child[BEFORE]) {
        at = outermost(at ? at->child[BEFORE] : tree->root, BEHIND);
        side = BEHIND;
    }
    *node = (struct nst_tree_node){.parent = at, .height = 1};
    if (at)
        at->child[side] = node;
    else
        tree->root = node;
    rebalance(tree, at);
}

void nst_tree_erase(struct nst_tree *tree, struct nst_tree_node *node)
{
    struct nst_tree_node *from = node->parent, *heir = node->child[!node->child[BEFORE]];

    assert(nst_tree_linked(node));
    if (node->child[BEFORE] && node->child[BEHIND]) {
        /* The next one has nothing before it: it comes out easily, and takes the place. */
        heir = outermost(node->child[BEHIND], BEFORE);
        from = heir->parent == node ? heir : heir->parent;
        replace(tree, heir, heir->child[BEHIND]);
        adopt(heir, BEFORE, node->child[BEFORE]);
        adopt(heir, BEHIND, node->child[BEHIND]);
        heir->height = node->height;
    }
    replace(tree, node, heir);
    *node = (struct nst_tree_node){.height = 0};
    rebalance(tree, from);
}

void nst_tree_check(const struct nst_tree *tree)
{
    assert(!tree->root || !tree->root->parent);
    NST_TREE_FOREACH (n, tree) {
        int before = height(n->child[BEFORE]), behind = height(n->child[BEHIND]);
        assert(before - behind >= -1 && before - behind <= 1);
        assert(n->height == 1 + (before > behind ? before : behind));
        for (unsigned side = BEFORE; side <= BEHIND; side++)
            assert(!n->child[side] || n->child[side]->parent == n);
    }
}
