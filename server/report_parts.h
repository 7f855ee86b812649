/*
 * report_parts.h - what the parts of a report's page share; private to report_*.c.
 */
#ifndef AM_SERVER_REPORT_PARTS_H
#define AM_SERVER_REPORT_PARTS_H

#include "server/report_page.h"

#include <stdbool.h>
#include <stddef.h>

/* report_num.c: how numbers read. */
enum am_report_unit {
    AM_UNIT_SHARE,  /* 0.0294 -> "2.94 %" */
    AM_UNIT_POINTS, /* a difference of shares: 0.0049 -> "+0.49 points" */
    AM_UNIT_PLAIN,  /* 0.4546 */
    AM_UNIT_SIGNED, /* +0.0049 */
    AM_UNIT_BYTES,  /* 28672 bytes */
};
#define AM_SHOWN 48
void am_number_text(enum am_report_unit unit, double v, char out[AM_SHOWN]);
void am_p_text(double p, char out[AM_SHOWN]);
void am_put_number(struct am_doc *d, enum am_report_unit unit, double v);
void am_put_p(struct am_doc *d, double p);
/* A member of `o`, or "-" without it. */
void am_put_share(struct am_doc *d, const json_t *o, const char *name);
void am_put_p_of(struct am_doc *d, const json_t *o, const char *name);
/* "[2.63, 3.29] %"; a bound that is null is "?" */
void am_put_interval(struct am_doc *d, enum am_report_unit unit, const json_t *pair);
void am_put_count(struct am_doc *d, const json_t *n); /* with its thousands apart, or "-" */
bool am_number_of(const json_t *o, const char *name, double *ret);
const char *am_text_of(const json_t *o, const char *name, const char *def);
bool am_pair_of(const json_t *pair, double *ret_low, double *ret_high);
/* A code as words: "no_difference_shown" -> "no difference shown". Untrusted. */
void am_put_words(struct am_doc *d, const char *code);

struct am_report_name {
    const char *name, *words;
    enum am_report_unit unit;
    const char *meaning;
};
/* What a value of compat.md 7.2 is called; an unknown one has words NULL and is plain. */
struct am_report_name am_report_name(const char *name);
const struct am_report_name *am_report_names(size_t *ret_n);

/* The parts, in the order of the page. */
void am_report_verdict(struct am_doc *d, const struct am_report_view *v);
void am_report_rules(struct am_doc *d, const json_t *decision);
void am_report_matrix(struct am_doc *d, const json_t *report);
void am_report_line(struct am_doc *d, const json_t *report); /* of a line of versions */
void am_report_flips(struct am_doc *d, const json_t *report);
void am_report_tests(struct am_doc *d, const json_t *report);
void am_report_values(struct am_doc *d, const json_t *report);
int am_report_slices(struct am_doc *d, const json_t *report, const json_t *slices);
void am_report_groups(struct am_doc *d, const json_t *report);
void am_report_examples(struct am_doc *d, const json_t *report);
void am_report_record(struct am_doc *d, const json_t *report);

/* report_draw.c: drawings of the HTML page. */
struct am_draw_rate {
    double value, low, high;
    bool bounded;
    double floor; /* negative: unknown */
};
void am_draw_rate(struct am_doc *d, const struct am_draw_rate *r);
struct am_draw_harm {
    double value, low, high;
    bool bounded;
};
/* `scale`: what fills half of the width. */
void am_draw_harm(struct am_doc *d, const struct am_draw_harm *h, double scale);

#endif
