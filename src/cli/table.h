/* Tables of text: columns as wide as their widest cell, two blanks between them. Private to this
 * room. Cells come from the API, so control characters in them are replaced: they cannot move the
 * cursor. One thread; memory in the arena given. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/macro.h"

#include <stdbool.h>

#define TABLE_COLUMNS 8U

/* How a cell is shown where there are colours. The words say the same without. */
enum table_style { TABLE_PLAIN, TABLE_GOOD, TABLE_BAD, TABLE_QUIET, TABLE_HEAD };

struct table_row;

struct table {
    struct arena *arena;
    const char *indent;
    bool colours;
    size_t columns;
    size_t widths[TABLE_COLUMNS];
    struct table_row *first;
    struct table_row **last;
};

/* The heads are borrowed, their number is that of the columns. */
void table_init(struct table *table, struct arena *arena, const char *indent, bool colours,
                size_t columns, const char *const *heads);
/* A row of as many cells as there are columns; texts are copied. styles may be NULL. */
void table_add(struct table *table, const char *const *cells, const enum table_style *styles);
void table_write(const struct table *table, struct buf *out);

/* One text in a style, with control characters replaced. */
void table_put(struct buf *out, bool colours, enum table_style style, const char *text);

#endif
