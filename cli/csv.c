/*
 * csv.c - see csv.h.
 */
#include "cli/csv.h"

#include <stdbool.h>

int am_csv_next(struct am_csv *t)
{
    int ch = getc(t->in);
    bool quoted = ch == '"';
    t->cell.len = 0;
    if (ch == EOF)
        return -1;
    if (!quoted)
        ungetc(ch, t->in);
    while ((ch = getc(t->in)) != EOF) {
        if (quoted && ch == '"') {
            ch = getc(t->in);
            if (ch != '"') {
                quoted = false;
                if (ch == EOF)
                    break;
            }
        }
        if (!quoted && ch == ',')
            return am_buf_put(&t->cell, "", 0) < 0 ? -2 : 1;
        if (!quoted && ch == '\r')
            continue;
        if (ch == '\n') {
            t->line++;
            if (!quoted)
                return am_buf_put(&t->cell, "", 0) < 0 ? -2 : 0;
        }
        char one = (char)ch;
        if (am_buf_put(&t->cell, &one, 1) < 0)
            return -2;
    }
    return quoted || am_buf_put(&t->cell, "", 0) < 0 ? -2 : 0;
}
