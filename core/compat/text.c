/*
 * text.c - see text.h. Each score is a function of two sequences of numbers (text_parts.h).
 */
#include "core/compat/text.h"
#include "core/base/err.h"
#include "core/base/math.h"
#include "core/base/text.h"
#include "core/compat/text_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double f1(double hits, double output, double reference)
{
    return hits > 0 ? 2 * hits / (output + reference) : 0; /* = 2PR/(P+R) */
}

static size_t grams(const struct am_units *u, int side, size_t order)
{
    return u->n[side] >= order ? u->n[side] - order + 1 : 0;
}

static int rouge(const struct am_units *u, size_t order, double *ret)
{
    size_t hits;
    AM_TRY(am_units_match(u, order, &hits));
    *ret = f1((double)hits, (double)grams(u, 0, order), (double)grams(u, 1, order));
    return 0;
}

static int rouge1(const struct am_units *u, double *ret)
{
    return rouge(u, 1, ret);
}

static int rouge2(const struct am_units *u, double *ret)
{
    return rouge(u, 2, ret);
}

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* Longest common subsequence with one row of the table. */
static int rouge_l(const struct am_units *u, double *ret)
{
    size_t n = at_most(u->n[0], AM_ROUGE_WORDS), m = at_most(u->n[1], AM_ROUGE_WORDS);
    uint32_t *row = calloc(m + 1, sizeof(*row));
    if (!row)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        uint32_t corner = 0; /* row[j] of the line before */
        for (size_t j = 0; j < m; j++) {
            uint32_t above = row[j + 1];
            if (u->side[0][i] == u->side[1][j])
                row[j + 1] = corner + 1;
            else if (row[j] > above)
                row[j + 1] = row[j];
            corner = above;
        }
    }
    *ret = f1(row[m], (double)n, (double)m);
    free(row);
    return 0;
}

static int token_f1(const struct am_units *u, double *ret)
{
    if (u->n[0] == 0 && u->n[1] == 0) {
        *ret = 1;
        return 0;
    }
    return rouge(u, 1, ret);
}

static int exact_match(const struct am_units *u, double *ret)
{
    bool same = u->n[0] == u->n[1] && memcmp(u->side[0], u->side[1], u->n[0] * sizeof(**u->side)) == 0;
    *ret = same ? 1 : 0;
    return 0;
}

static int bleu(const struct am_units *u, double *ret)
{
    double product = 1, h = (double)u->n[0], r = (double)u->n[1];
    for (size_t order = 1; order <= 4; order++) {
        size_t hits, more = order > 1;
        AM_TRY(am_units_match(u, order, &hits));
        if (order == 1 && hits == 0) {
            *ret = 0;
            return 0;
        }
        product *= (double)(hits + more) / (double)(grams(u, 0, order) + more);
    }
    *ret = sqrt(sqrt(product)) * (h < r ? am_exp(1 - r / h) : 1);
    return 0;
}

static int chrf(const struct am_units *u, double *ret)
{
    double precision = 0, recall = 0, orders = 0;
    for (size_t order = 1; order <= 6 && grams(u, 0, order) > 0 && grams(u, 1, order) > 0; order++) {
        size_t hits;
        AM_TRY(am_units_match(u, order, &hits));
        precision += (double)hits / (double)grams(u, 0, order);
        recall += (double)hits / (double)grams(u, 1, order);
        orders++;
    }
    *ret = precision > 0 ? 5 * precision * recall / (4 * precision + recall) / orders : 0;
    return 0;
}

struct row {
    const char *name;
    enum am_unit unit;
    int (*score)(const struct am_units *u, double *ret);
};

static const struct row rows[AM_TEXT_METRICS] = {
    [AM_TEXT_EM] = {"em", AM_UNIT_NORMAL, exact_match},   [AM_TEXT_TOKEN_F1] = {"token_f1", AM_UNIT_NORMAL, token_f1},
    [AM_TEXT_ROUGE1] = {"rouge1", AM_UNIT_WORD, rouge1},  [AM_TEXT_ROUGE2] = {"rouge2", AM_UNIT_WORD, rouge2},
    [AM_TEXT_ROUGEL] = {"rougeL", AM_UNIT_WORD, rouge_l}, [AM_TEXT_BLEU] = {"bleu", AM_UNIT_WORD, bleu},
    [AM_TEXT_CHRF] = {"chrf", AM_UNIT_CHARACTER, chrf},
};

const char *am_text_metric_name(enum am_text_metric metric)
{
    return rows[metric].name;
}

enum am_text_metric am_text_metric_of(const char *name)
{
    unsigned i = 0;
    while (i < AM_TEXT_METRICS && !am_streq(rows[i].name, name))
        i++;
    return (enum am_text_metric)i;
}

int am_text_score(enum am_text_metric metric, struct am_text output, struct am_text reference, double *ret,
                  bool *ret_cut)
{
    struct am_units u;
    AM_TRY(am_units_of(rows[metric].unit, (struct am_text[2]){output, reference}, &u));
    double score = 0;
    int rc = rows[metric].score(&u, &score);
    free(u.memory);
    if (rc < 0)
        return rc;
    *ret = score;
    if (ret_cut)
        *ret_cut = metric == AM_TEXT_ROUGEL && (u.n[0] > AM_ROUGE_WORDS || u.n[1] > AM_ROUGE_WORDS);
    return 0;
}
