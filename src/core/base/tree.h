/* Intrusive ordered trees: a node is embedded in what it orders, nothing is allocated.
 *
 * An AVL tree: the heights of two siblings differ by at most one, so that n nodes stand at most
 * 1.44 log2(n + 2) deep whatever the order in which they came and went, even if an attacker chose
 * it. Nodes know their parents: neighbours are a step away, and no function recurses.
 *
 * The tree knows no keys. A comparison says on which side of a node a key lies; the searches are
 * inline, so that it is inlined into them. Adding where a neighbour is known needs no comparison.
 * A zeroed tree is empty, a zeroed node is in no tree. */
#ifndef NST_BASE_TREE_H
#define NST_BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct nst_tree_node {
    struct nst_tree_node *parent, *child[2]; /* before, behind */
    int height;                              /* 1 without children; 0: in no tree */
};

struct nst_tree {
    struct nst_tree_node *root;
};

/* Negative, 0 or positive: the key lies before, at or behind the node's own. */
typedef int nst_tree_cmp(const void *key, const struct nst_tree_node *node);

static inline void nst_tree_init(struct nst_tree *tree)
{
    tree->root = NULL;
}

static inline bool nst_tree_empty(const struct nst_tree *tree)
{
    return !tree->root;
}

/* Whether the node is in some tree. */
static inline bool nst_tree_linked(const struct nst_tree_node *node)
{
    return node->height > 0;
}

/* The ends of the order; NULL in an empty tree. */
struct nst_tree_node *nst_tree_first(const struct nst_tree *tree);
struct nst_tree_node *nst_tree_last(const struct nst_tree *tree);

/* The neighbours in the order; NULL beyond its ends. */
struct nst_tree_node *nst_tree_next(const struct nst_tree_node *node);
struct nst_tree_node *nst_tree_prev(const struct nst_tree_node *node);

/* Adds a node that is in no tree right before `at`, NULL: at the end. */
void nst_tree_insert_before(struct nst_tree *tree, struct nst_tree_node *at,
                            struct nst_tree_node *node);

/* Takes the node off the tree; it may be added anew. All others keep their order. */
void nst_tree_erase(struct nst_tree *tree, struct nst_tree_node *node);

/* Aborts if the tree contradicts itself; about the order of keys it cannot know. */
void nst_tree_check(const struct nst_tree *tree);

/* The first node behind the key, or NULL. */
static inline struct nst_tree_node *nst_tree_upper_bound(const struct nst_tree *tree,
                                                         const void *key, nst_tree_cmp *cmp)
{
    struct nst_tree_node *found = NULL, *n = tree->root;

    while (n) {
        bool before = cmp(key, n) < 0;
        if (before)
            found = n;
        n = n->child[!before];
    }
    return found;
}

/* The first node at the key or behind it, or NULL. */
static inline struct nst_tree_node *nst_tree_lower_bound(const struct nst_tree *tree,
                                                         const void *key, nst_tree_cmp *cmp)
{
    struct nst_tree_node *found = NULL, *n = tree->root;

    while (n) {
        bool behind = cmp(key, n) > 0;
        if (!behind)
            found = n;
        n = n->child[behind];
    }
    return found;
}

/* The last node at the key or before it, or NULL. */
static inline struct nst_tree_node *nst_tree_floor(const struct nst_tree *tree, const void *key,
                                                   nst_tree_cmp *cmp)
{
    struct nst_tree_node *found = NULL, *n = tree->root;

    while (n) {
        bool before = cmp(key, n) < 0;
        if (!before)
            found = n;
        n = n->child[!before];
    }
    return found;
}

/* Adds a node that is in no tree and whose key this is, behind others of the same key. */
static inline void nst_tree_insert(struct nst_tree *tree, const void *key, nst_tree_cmp *cmp,
                                   struct nst_tree_node *node)
{
    nst_tree_insert_before(tree, nst_tree_upper_bound(tree, key, cmp), node);
}

/* `n` runs over the nodes in order; none may be taken off meanwhile. */
#define NST_TREE_FOREACH(n, tree) \
    for (struct nst_tree_node *n = nst_tree_first(tree); n; n = nst_tree_next(n))

#endif
