/* Columns for people: cells of text, aligned when all rows are known. */
#ifndef NST_CLI_TABLE_H
#define NST_CLI_TABLE_H

#include <stdio.h>

#define NST_CLI_TABLE_COLUMNS 8

struct nst_cli_table;

/* A table whose columns are aligned as `alignment` says, one character each: 'l' or 'r'. NULL
 * without memory, which the other calls put up with: then nothing is printed, and that is -ENOMEM.
 */
struct nst_cli_table *nst_cli_table_new(const char *alignment);

/* Appends a row of as many cells as there are columns; NULL is an empty cell. Texts are copied. */
void nst_cli_table_row(struct nst_cli_table *table, const char *const cells[]);

/* Appends a line of its own, set in, below the last row. */
void nst_cli_table_note(struct nst_cli_table *table, const char *text);

/* Prints the rows, each behind `indent` spaces, two spaces between columns; then frees the table.
 * -ENOMEM when it isn't complete. */
int nst_cli_table_print_take(struct nst_cli_table *table, FILE *out, int indent);

#endif
