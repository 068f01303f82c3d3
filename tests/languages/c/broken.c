#include "list.h"

/* A list that is being typed. */
struct list {
    struct node *first;
    int length;
};

int list_push(struct list *list, int value)
{
    struct node *n = node_new(value);
    n->
}

/* Counts. */
int list_length(const struct list *list)
{
    return list->length;
}

void list_clear(struct list *list)
{
    while (list->first
        list_pop(list);
}
