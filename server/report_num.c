/*
 * report_num.c - how the numbers and names of a report read (report_parts.h).
 */
#include "server/report_parts.h"

#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Two decimals, or two digits of what is smaller, so that a rare flip never reads as none. */
static void percent(double v, bool sign, char out[AM_SHOWN])
{
    double p = v * 100;
    if (p != 0 && fabs(p) < 0.1)
        snprintf(out, AM_SHOWN, sign ? "%+.2g" : "%.2g", p);
    else
        snprintf(out, AM_SHOWN, sign ? "%+.2f" : "%.2f", p);
}

/* Without what it is counted in. */
static void bare(enum am_report_unit unit, double v, char out[AM_SHOWN])
{
    if (unit == AM_UNIT_SHARE || unit == AM_UNIT_POINTS)
        percent(v, unit == AM_UNIT_POINTS && v != 0, out);
    else if (unit == AM_UNIT_BYTES)
        snprintf(out, AM_SHOWN, "%.0f", v);
    else if (unit == AM_UNIT_SIGNED)
        snprintf(out, AM_SHOWN, v == 0 ? "%.4f" : "%+.4g", v);
    else
        snprintf(out, AM_SHOWN, fabs(v) < 1e-3 && v != 0 ? "%.3g" : "%.4f", v);
}

static const char *counted_in(enum am_report_unit unit)
{
    return unit == AM_UNIT_SHARE ? " %" : unit == AM_UNIT_POINTS ? " points" : unit == AM_UNIT_BYTES ? " bytes" : "";
}

void am_number_text(enum am_report_unit unit, double v, char out[AM_SHOWN])
{
    char text[AM_SHOWN];
    bare(unit, v, text);
    snprintf(out, AM_SHOWN, "%.38s%s", text, counted_in(unit));
}

void am_p_text(double p, char out[AM_SHOWN])
{
    snprintf(out, AM_SHOWN, p != 0 && p < 1e-4 ? "%.2g" : "%.4f", p);
}

void am_put_number(struct am_doc *d, enum am_report_unit unit, double v)
{
    char text[AM_SHOWN];
    am_number_text(unit, v, text);
    am_doc_number(d, v, text);
}

void am_put_p(struct am_doc *d, double p)
{
    char text[AM_SHOWN];
    am_p_text(p, text);
    am_doc_number(d, p, text);
}

void am_put_share(struct am_doc *d, const json_t *o, const char *name)
{
    double v;
    if (am_number_of(o, name, &v))
        am_put_number(d, AM_UNIT_SHARE, v);
    else
        am_doc_put(d, "-");
}

void am_put_p_of(struct am_doc *d, const json_t *o, const char *name)
{
    double p;
    if (am_number_of(o, name, &p))
        am_put_p(d, p);
    else
        am_doc_put(d, "-");
}

static void put_bound(struct am_doc *d, enum am_report_unit unit, const json_t *v)
{
    char text[AM_SHOWN] = "?";
    if (json_is_number(v)) {
        bare(unit, json_number_value(v), text);
        am_doc_number(d, json_number_value(v), text);
    } else {
        am_doc_put(d, text);
    }
}

void am_put_interval(struct am_doc *d, enum am_report_unit unit, const json_t *pair)
{
    if (json_array_size(pair) != 2) {
        am_doc_put(d, "-");
        return;
    }
    am_doc_put(d, d->form == AM_DOC_MD ? "\\[" : "[");
    put_bound(d, unit, json_array_get(pair, 0));
    am_doc_put(d, ", ");
    put_bound(d, unit, json_array_get(pair, 1));
    am_doc_put(d, d->form == AM_DOC_MD ? "\\]" : "]");
    am_doc_put(d, counted_in(unit));
}

void am_put_count(struct am_doc *d, const json_t *n)
{
    char digits[AM_SHOWN], text[AM_SHOWN];
    if (!json_is_integer(n)) {
        if (json_is_number(n)) /* a sum of weights */
            am_put_number(d, AM_UNIT_PLAIN, json_number_value(n));
        else
            am_doc_put(d, "-");
        return;
    }
    snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(n));
    size_t len = strlen(digits), at = 0;
    for (size_t i = 0; i < len && at + 2 < sizeof text; i++) {
        if (i && (len - i) % 3 == 0 && digits[i - 1] != '-')
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    am_doc_number(d, (double)json_integer_value(n), text);
}

bool am_number_of(const json_t *o, const char *name, double *ret)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_number(v))
        return false;
    *ret = json_number_value(v);
    return true;
}

const char *am_text_of(const json_t *o, const char *name, const char *def)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : def;
}

bool am_pair_of(const json_t *pair, double *ret_low, double *ret_high)
{
    const json_t *low = json_array_get(pair, 0), *high = json_array_get(pair, 1);
    if (!json_is_number(low) || !json_is_number(high))
        return false;
    *ret_low = json_number_value(low);
    *ret_high = json_number_value(high);
    return true;
}

void am_put_words(struct am_doc *d, const char *code)
{
    char text[200];
    snprintf(text, sizeof text, "%s", code);
    for (char *p = text; *p; p++)
        *p = *p == '_' ? ' ' : *p;
    am_doc_text(d, text);
}

static const struct am_report_name names[] = {
    {"accuracy_old", "accuracy of the old version", AM_UNIT_SHARE, "(a+b)/n"},
    {"accuracy_new", "accuracy of the new version", AM_UNIT_SHARE, "(a+c)/n"},
    {"accuracy_delta", "change of accuracy", AM_UNIT_POINTS, "new - old"},
    {"nfr", "negative flip rate (NFR)", AM_UNIT_SHARE, "b/n"},
    {"pfr", "positive flip rate", AM_UNIT_SHARE, "c/n"},
    {"nfr_mc", "inconsistency (NFR of multiple choice)", AM_UNIT_SHARE, "new is wrong and answers differ, of n"},
    {"relative_nfr", "relative NFR", AM_UNIT_PLAIN, "1: the errors of both are independent"},
    {"nfi", "flip impact", AM_UNIT_SHARE, "negative flips of the new version's errors"},
    {"btc", "trust kept (BTC)", AM_UNIT_SHARE, "of what the old version had right"},
    {"bec_new", "errors that were there before", AM_UNIT_SHARE, "d/(b+d), of the new version's errors"},
    {"bec_old", "errors that stayed", AM_UNIT_SHARE, "d/(c+d), of the old version's errors"},
    {"churn", "churn", AM_UNIT_SHARE, "answers that changed"},
    {"churn_good", "good churn", AM_UNIT_SHARE, "wrong to right"},
    {"churn_bad", "bad churn", AM_UNIT_SHARE, "right to wrong"},
    {"churn_neutral", "neutral churn", AM_UNIT_SHARE, "changed, neither better nor worse"},
    {"kl_outputs", "mean KL of the outputs", AM_UNIT_PLAIN, "old to new"},
    {"nll_delta", "change of log loss", AM_UNIT_SIGNED, "new - old"},
    {"ece_delta", "change of calibration error", AM_UNIT_SIGNED, "new - old"},
    {"brier_delta", "change of Brier score", AM_UNIT_SIGNED, "new - old"},
    {"accuracy_gap", "gap of accuracy between groups", AM_UNIT_SHARE, "largest - smallest"},
    {"tpr_gap", "gap of true positives between groups", AM_UNIT_SHARE, "largest - smallest"},
    {"fpr_gap", "gap of false positives between groups", AM_UNIT_SHARE, "largest - smallest"},
    {"selection_ratio", "ratio of selection between groups", AM_UNIT_PLAIN, "smallest / largest"},
    {"nfr_gap", "gap of NFR between groups", AM_UNIT_SHARE, "largest - smallest"},
    {"score_old", "score of the old version", AM_UNIT_PLAIN, "mean"},
    {"score_new", "score of the new version", AM_UNIT_PLAIN, "mean"},
    {"score_delta", "change of the score", AM_UNIT_SIGNED, "mean of new - old"},
    {"mean_gain", "mean gain", AM_UNIT_PLAIN, "over all samples"},
    {"mean_regression", "mean regression", AM_UNIT_PLAIN, "over all samples"},
    {"quadrant_both_good", "both good", AM_UNIT_SHARE, "of n"},
    {"quadrant_gained", "gained", AM_UNIT_SHARE, "of n"},
    {"quadrant_lost", "lost", AM_UNIT_SHARE, "of n"},
    {"quadrant_both_bad", "both bad", AM_UNIT_SHARE, "of n"},
    {"average_incremental", "average incremental accuracy", AM_UNIT_SHARE, "mean over versions, of the tasks so far"},
    {"final_average", "final average accuracy", AM_UNIT_SHARE, "of the last version over all tasks"},
    {"bwt", "backward transfer (BWT)", AM_UNIT_POINTS, "earlier tasks, at the end against when learned"},
    {"forgetting", "forgetting", AM_UNIT_POINTS, "earlier tasks, the best ever against the end"},
    {"fwt", "forward transfer (FWT)", AM_UNIT_POINTS, "tasks before they are learned, against untrained"},
    {"nfr_per_update", "negative flips per update", AM_UNIT_SHARE, "samples of earlier tasks, mean over updates"},
    {"memory_bytes", "bytes that the last version added", AM_UNIT_BYTES, "to the version before it"},
    {"self_similarity_both_bad", "likeness of answers where both are bad", AM_UNIT_PLAIN, "old against new"},
};

const struct am_report_name *am_report_names(size_t *ret_n)
{
    *ret_n = sizeof names / sizeof *names;
    return names;
}

struct am_report_name am_report_name(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (am_streq(names[i].name, name))
            return names[i];
    return (struct am_report_name){.name = name, .unit = AM_UNIT_PLAIN};
}
