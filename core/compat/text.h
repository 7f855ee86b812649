/*
 * text.h - the built-in scores S(output, reference) of generated text (compat.md 4), each in 0..1. Definitions are
 * pinned here, because implementations differ. Not a tokenizer of models: words of a score are words.
 *
 *   em          1 when the normalised words are the same in the same order, else 0
 *   token_f1    F1 of the multisets of normalised words; both empty 1, one empty 0
 *               (normalised: ASCII lower case, ASCII punctuation removed, the words a, an and the dropped, split at
 * ASCII white space) rouge1/2    words are maximal runs of [a-z0-9] after ASCII lower case, no stemming; F1 of clipped
 * n-gram counts; 0 when a side has no n-gram rougeL      F1 of LCS/len(output) and LCS/len(reference); the first
 * AM_ROUGE_WORDS words of a side count bleu        words as rouge; sentence BLEU-4: p1 plain (0: the score is 0),
 * p2..p4 with 1 added above and below, the geometric mean, times exp(1 - r/h) when h < r chrf        code points of
 * UTF-8 without ASCII white space, case kept; 1- to 6-grams; precision and recall averaged over the orders that both
 * sides have; F with beta = 2
 *
 * Bytes that are not UTF-8 count as one code point each. Texts up to AM_TEXT_BYTES.
 */
#ifndef AM_COMPAT_TEXT_H
#define AM_COMPAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define AM_ROUGE_WORDS 4096
#define AM_TEXT_BYTES (1u << 20)

enum am_text_metric {
    AM_TEXT_EM,
    AM_TEXT_TOKEN_F1,
    AM_TEXT_ROUGE1,
    AM_TEXT_ROUGE2,
    AM_TEXT_ROUGEL,
    AM_TEXT_BLEU,
    AM_TEXT_CHRF,
    AM_TEXT_METRICS
};

const char *am_text_metric_name(enum am_text_metric metric);
/* The metric of that name, or AM_TEXT_METRICS. */
enum am_text_metric am_text_metric_of(const char *name);

struct am_text {
    const char *bytes;
    size_t len;
};

/* *ret_cut (may be NULL): rougeL left words out. -AM_E_TOO_LARGE, -AM_E_OUT_OF_MEMORY. */
int am_text_score(enum am_text_metric metric, struct am_text output, struct am_text reference, double *ret,
                  bool *ret_cut);

#endif
