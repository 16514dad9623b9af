#include "cli/table.h"

#include "cli/cli.h"
#include "core/base/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_INDENT = 4 };

struct row {
    struct row *next;
    char *cells[NST_CLI_TABLE_COLUMNS];
    bool is_note; /* the first cell, across all columns */
};

struct nst_cli_table {
    const char *alignment;
    size_t columns;
    struct row *rows, **tail;
    size_t widths[NST_CLI_TABLE_COLUMNS];
    bool incomplete; /* for want of memory */
};

struct nst_cli_table *nst_cli_table_new(const char *alignment)
{
    struct nst_cli_table *table = calloc(1, sizeof *table);

    if (!table)
        return NULL;
    table->alignment = alignment;
    table->columns = nst_min(strlen(alignment), NST_CLI_TABLE_COLUMNS);
    table->tail = &table->rows;
    return table;
}

void nst_cli_table_row(struct nst_cli_table *table, const char *const cells[])
{
    struct row *row = table ? calloc(1, sizeof *row) : NULL;

    if (table)
        table->incomplete |= !row;
    if (!row)
        return;
    *table->tail = row;
    table->tail = &row->next;
    for (size_t i = 0; i < table->columns; i++) {
        row->cells[i] = strdup(cells[i] ? cells[i] : "");
        table->incomplete |= !row->cells[i];
        if (row->cells[i])
            table->widths[i] = nst_max(table->widths[i], strlen(row->cells[i]));
    }
}

void nst_cli_table_note(struct nst_cli_table *table, const char *text)
{
    struct row *row = table ? calloc(1, sizeof *row) : NULL;

    if (row)
        row->cells[0] = strdup(text);
    if (table)
        table->incomplete |= !row || !row->cells[0];
    if (!row)
        return;
    row->is_note = true;
    *table->tail = row;
    table->tail = &row->next;
}

/* The last column that has text in it, so that lines don't end in spaces. */
static size_t used_columns(const struct nst_cli_table *table, const struct row *row)
{
    size_t n = table->columns;

    while (n > 0 && row->cells[n - 1][0] == '\0')
        n--;
    return n;
}

static void print_note(const struct row *row, FILE *out, int indent)
{
    fprintf(out, "%*s", indent + NOTE_INDENT, "");
    nst_cli_put(out, row->cells[0]);
    fputc('\n', out);
}

static void print_row(const struct nst_cli_table *table, const struct row *row, FILE *out,
                      int indent)
{
    size_t n = used_columns(table, row), first = 1;

    fprintf(out, "%*s", indent, "");
    for (size_t i = 0; i < n; i++) {
        int padding = (int)(table->widths[i] - strlen(row->cells[i]));
        if (table->widths[i] == 0)
            continue; /* a column without any text */
        fprintf(out, "%s%*s", first ? "" : "  ", table->alignment[i] == 'r' ? padding : 0, "");
        nst_cli_put(out, row->cells[i]);
        if (table->alignment[i] == 'l' && i + 1 < n)
            fprintf(out, "%*s", padding, "");
        first = 0;
    }
    fputc('\n', out);
}

static void row_free(struct row *row)
{
    for (size_t i = 0; i < NST_CLI_TABLE_COLUMNS; i++)
        free(row->cells[i]);
    free(row);
}

int nst_cli_table_print_take(struct nst_cli_table *table, FILE *out, int indent)
{
    int err = !table || table->incomplete ? -ENOMEM : 0;

    if (!table)
        return err;
    while (table->rows) {
        struct row *row = table->rows;
        if (!err && row->is_note)
            print_note(row, out, indent);
        else if (!err)
            print_row(table, row, out, indent);
        table->rows = row->next;
        row_free(row);
    }
    free(table);
    return err;
}
