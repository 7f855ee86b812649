/*
 * doc.h - a document for people, written front to back into a buffer in one of two forms: Markdown (GitHub's) or one
 * HTML page that asks for nothing from elsewhere (no script, no font, no picture; its style is inside it). What a
 * document says is written once for both; only drawings are HTML's alone, and stand beside the numbers they show.
 *
 * Not templates, and not reports: report_page.h. Words given as `const char *` to heading, put and table are this
 * program's own and go out as they are; everything that somebody else named goes through am_doc_text() or
 * am_doc_name(), which make it harmless in either form. The buffer belongs to the caller. The first error is kept, what
 * follows it does nothing, and am_doc_end() tells.
 */
#ifndef AM_SERVER_DOC_H
#define AM_SERVER_DOC_H

#include "core/base/buf.h"

#include <stdbool.h>

enum am_doc_form { AM_DOC_MD, AM_DOC_HTML };

struct am_doc {
    struct am_buf *buf;
    enum am_doc_form form;
    int rc;
    size_t col;                 /* of the row that is open; its first cell names the row */
    unsigned numbers, drawings; /* bit i: such is column i of the table */
};

/* `title`: untrusted. Begins with it as the heading. */
void am_doc_begin(struct am_doc *d, enum am_doc_form form, struct am_buf *buf, const char *title);
int am_doc_end(struct am_doc *d);

void am_doc_put(struct am_doc *d, const char *own);
void am_doc_putf(struct am_doc *d, const char *fmt, ...) AM_PRINTF(2, 3);
/* Only in that form. */
void am_doc_html(struct am_doc *d, const char *fmt, ...) AM_PRINTF(2, 3);
void am_doc_md(struct am_doc *d, const char *fmt, ...) AM_PRINTF(2, 3);
/* Untrusted text on one line. Control characters and marks that turn the direction of writing are shown as U+202E. */
void am_doc_text(struct am_doc *d, const char *text);
/* The same for a name: kept apart from the direction of what stands around it. */
void am_doc_name(struct am_doc *d, const char *text);
/* A number as people read it; HTML keeps the exact one beside it. */
void am_doc_number(struct am_doc *d, double exact, const char *shown);

void am_doc_heading(struct am_doc *d, const char *own);
/* `kind` is a class of the page's style, or NULL. */
void am_doc_open(struct am_doc *d, const char *kind);
void am_doc_close(struct am_doc *d);
void am_doc_item(struct am_doc *d,
                 const char *kind); /* of a list; am_doc_items() before the first and after the last */
void am_doc_item_end(struct am_doc *d);
void am_doc_items(struct am_doc *d, bool begin);

/* A head that begins with '>' is of a column of numbers; one that begins with '|' of drawings, which Markdown leaves
 * out. NULL-terminated, at most 32. */
void am_doc_table(struct am_doc *d, const char *caption, const char *const *heads);
void am_doc_row(struct am_doc *d, const char *kind);
void am_doc_cell(struct am_doc *d); /* ends the one before it */
void am_doc_row_end(struct am_doc *d);
void am_doc_table_end(struct am_doc *d);

#endif
