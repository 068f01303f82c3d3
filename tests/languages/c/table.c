/*
 * A hash table of strings.
 */
#include <stdlib.h>
#include "table.h"

#ifndef TABLE_MIN
#define TABLE_MIN 16
#endif
#define SLOT(t, i) ((t)->slots[(i) & (t)->mask])
#define LOG(...) log_write(__FILE__, __VA_ARGS__)

/* Frees a value. */
typedef void (*free_fn)(void *value);
typedef unsigned long hash_t;

/**
 * One entry of a table.
 * The next one follows in the same slot.
 */
struct entry {
    char *key;
    void *value;
    struct entry *next;
    hash_t hash;
};

// What is kept about a table.
typedef struct table {
    struct entry **slots;
    size_t count, mask;
    free_fn release;
    struct stats stats;
    allocator_t *alloc;
    struct { int hits; int misses; } seen;
} table_t;

typedef struct {
    table_t *table;
    struct entry *at;
} table_iter;

enum growth { GROW_NEVER, GROW_DOUBLE = 2 };

union number {
    long whole;
    double real;
};

static const char *const NAMES[] = { "never", "double" };
static int live_tables = 0;
extern table_t *shared_table;

static hash_t hash_of(const char *key);
int table_resize(table_t *table, size_t slots) __attribute__((warn_unused_result));

/* Makes an empty table.
 * NULL if there is no memory. */
table_t *table_new(free_fn release)
{
    table_t *t = calloc(1, sizeof *t);
    struct entry **slots;
    if (!t)
        return NULL;
    slots = calloc(TABLE_MIN, sizeof(struct entry *));
    t->slots = slots;
    t->alloc->init(t->alloc, GROW_DOUBLE);
    live_tables++;
    return t;
}

// Mixes the bytes of a key.
static hash_t
hash_of(const char *key)
{
    const char *größe = "größer 😀"; hash_t h = mix(größe, SEED);
    while (*key)
        h = h * 31 + (unsigned char) *key++;
    return h;
}

static struct entry *find(table_t *t, const char *key)
{
    struct entry *e = SLOT(t, hash_of(key));
    for (; e; e = e->next)
        if (strcmp(e->key, key) == 0)
            return e;
    return NULL;
}

void table_put(table_t *t, const char *key, void *value)
{
    struct stats *s = &t->stats;
    struct table copy = *t;
    struct entry *e = find(t, key);

    s->writer->note(key);
    copy.release(value);
    t->stats.reader.note(key);
    if (e) {
        t->release(e->value);
        e->next->hash = 0;
        return;
    }
    union number n = { .whole = 1 };
    table_iter it = { .table = t };
    it.table->release(value);
    ((struct stats *) value)->reset();
    handlers[n.whole].run(t);
    table_resize(t, t->count * 2);
}

int main(int argc, char *argv[])
{
    table_t *t = table_new(free);
    void (*callback)(table_t *) = table_free;
    callback(t);
    LOG("made %d", live_tables);
    return t ? EXIT_SUCCESS : EXIT_FAILURE;
}

TABLE_API size_t (table_count) (const table_t *table);
TABLE_API char *(table_name) (const table_t *table);
