/* Intrusive doubly-linked circular lists. A list is a node of its own; an element that is on no
 * list points to itself, so that removing it twice is harmless and membership can be asked. */
#ifndef NST_BASE_LIST_H
#define NST_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct nst_list {
    struct nst_list *next, *prev;
};

static inline void nst_list_init(struct nst_list *l)
{
    l->next = l->prev = l;
}

static inline bool nst_list_empty(const struct nst_list *l)
{
    return l->next == l;
}

/* Whether the element is on some list. */
static inline bool nst_list_linked(const struct nst_list *e)
{
    return e->next != e;
}

static inline void nst_list_insert_before(struct nst_list *at, struct nst_list *e)
{
    e->next = at;
    e->prev = at->prev;
    at->prev->next = e;
    at->prev = e;
}

static inline void nst_list_push_back(struct nst_list *l, struct nst_list *e)
{
    nst_list_insert_before(l, e);
}

static inline void nst_list_push_front(struct nst_list *l, struct nst_list *e)
{
    nst_list_insert_before(l->next, e);
}

static inline void nst_list_del(struct nst_list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    nst_list_init(e);
}

/* The first element, taken off; NULL from an empty list. */
static inline struct nst_list *nst_list_pop_front(struct nst_list *l)
{
    struct nst_list *e = l->next;

    if (e == l)
        return NULL;
    nst_list_del(e);
    return e;
}

/* Moves all of `from` behind what `to` holds. */
static inline void nst_list_splice_back(struct nst_list *to, struct nst_list *from)
{
    if (nst_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    nst_list_init(from);
}

/* `e` runs over the elements; the SAFE form allows it to be taken off meanwhile.
 * (It is declared here, and a declaration can't stand in parentheses.)
 * NOLINTBEGIN(bugprone-macro-parentheses) */
#define NST_LIST_FOREACH(e, l) for (struct nst_list *e = (l)->next; e != (l); e = e->next)
#define NST_LIST_FOREACH_SAFE(e, l)                                     \
    for (struct nst_list *e = (l)->next, *e##_next = e->next; e != (l); \
         e = e##_next, e##_next = e->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
