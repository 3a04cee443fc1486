/* Tables of text: see table.h. Called by the nouns on the main thread. Invariant: what is written
 * has no control characters but newlines and, with colours, our own escape sequences. */
#include "cli/table.h"

#include <assert.h>
#include <string.h>

#define GAP 2U

struct table_cell {
    const char *text;
    size_t width;
    enum table_style style;
};

struct table_row {
    struct table_row *next;
    struct table_cell cells[TABLE_COLUMNS];
};

static const char *const escapes[] = {
    [TABLE_PLAIN] = "",        [TABLE_GOOD] = "\033[32m", [TABLE_BAD] = "\033[31;1m",
    [TABLE_QUIET] = "\033[2m", [TABLE_HEAD] = "\033[1m",
};

/* Characters of UTF-8: bytes that do not continue one. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0U) != 0x80U;
    }
    return width;
}

/* C0, DEL, and C1 controls as UTF-8 writes them (0xc2 0x80 to 0xc2 0x9f). */
static void put_clean(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p < 0x20 || *p == 0x7f) {
            buf_putc(out, '?');
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
            buf_putc(out, '?');
            p++;
        } else {
            buf_putc(out, (char)*p);
        }
    }
}

void table_put(struct buf *out, bool colours, enum table_style style, const char *text)
{
    bool escape = colours && style != TABLE_PLAIN && *text != '\0';
    if (escape) {
        buf_puts(out, escapes[style]);
    }
    put_clean(out, text);
    if (escape) {
        buf_puts(out, "\033[0m");
    }
}

void table_init(struct table *table, struct arena *arena, const char *indent, bool colours,
                size_t columns, const char *const *heads)
{
    assert(columns >= 1 && columns <= TABLE_COLUMNS);
    *table =
        (struct table){.arena = arena, .indent = indent, .colours = colours, .columns = columns};
    table->last = &table->first;
    const enum table_style styles[TABLE_COLUMNS] = {TABLE_HEAD, TABLE_HEAD, TABLE_HEAD, TABLE_HEAD,
                                                    TABLE_HEAD, TABLE_HEAD, TABLE_HEAD, TABLE_HEAD};
    table_add(table, heads, styles);
}

void table_add(struct table *table, const char *const *cells, const enum table_style *styles)
{
    struct table_row *row = arena_alloc(table->arena, sizeof *row);
    for (size_t i = 0; i < table->columns; i++) {
        struct buf clean CLEANUP(buf_done);
        buf_init(&clean, 0);
        put_clean(&clean, cells[i]);
        struct table_cell *cell = &row->cells[i];
        cell->text = arena_strdup(table->arena, buf_text(&clean));
        cell->width = text_width(cell->text);
        cell->style = styles != NULL ? styles[i] : TABLE_PLAIN;
        table->widths[i] = MAX(table->widths[i], cell->width);
    }
    *table->last = row;
    table->last = &row->next;
}

/* Index behind the last cell that is not empty: no blanks at line ends. */
static size_t cells_used(const struct table *table, const struct table_row *row)
{
    size_t used = table->columns;
    while (used > 1 && row->cells[used - 1].width == 0) {
        used--;
    }
    return used;
}

void table_write(const struct table *table, struct buf *out)
{
    for (const struct table_row *row = table->first; row != NULL; row = row->next) {
        size_t used = cells_used(table, row);
        buf_puts(out, table->indent);
        for (size_t i = 0; i < used; i++) {
            const struct table_cell *cell = &row->cells[i];
            table_put(out, table->colours, cell->style, cell->text);
            for (size_t k = cell->width; i + 1 < used && k < table->widths[i] + GAP; k++) {
                buf_putc(out, ' ');
            }
        }
        buf_putc(out, '\n');
    }
}
