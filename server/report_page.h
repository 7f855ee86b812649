/*
 * report_page.h - a report of a comparison for people (compat.md 7.3): the JSON of 7.1 with its slices and its
 * decision, as Markdown or as one HTML page. Every number comes from the JSON and nothing is computed but the
 * difference of two of them that stand beside each other; members that are missing or of another type are left out,
 * never guessed.
 */
#ifndef AM_SERVER_REPORT_PAGE_H
#define AM_SERVER_REPORT_PAGE_H

#include "server/doc.h"

#include <jansson.h>

struct am_report_view {
    const json_t *report;   /* the body, with id and created_at when it is stored */
    const json_t *slices;   /* an array of slice rows, or NULL */
    const json_t *decision; /* its rules and verdict; NULL or null: no gate was asked */
};

/* What a page is at most; slices beyond AM_REPORT_SLICES are counted and not shown. */
#define AM_REPORT_PAGE_MAX (8u << 20)
#define AM_REPORT_SLICES 200

/* Keeps a slice in a list for the page when it may be among the AM_REPORT_SLICES most harmed; the list stays below
   twice as many, however many slices there are. */
int am_report_slice_keep(json_t *list, json_t *slice);

int am_report_page(const struct am_report_view *v, enum am_doc_form form, struct am_buf *ret);

#endif
