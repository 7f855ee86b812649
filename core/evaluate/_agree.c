/*
 * _agree.c - see _join.h: whether two sets were asked the same, and where their answers differ. Answers and truths are
 * classes, digests of texts, or sets of labels.
 */
#include "core/compat/cells.h"
#include "core/evaluate/_join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 20, DIGEST = 32 };

/* The same thing of both sets, in one of its three forms. */
struct both {
    const int32_t *class[2];
    struct am_wide wide[2];
    bool known; /* by both */
    bool mixed; /* by both, in different forms */
};

static void both_done(struct both *b)
{
    for (int side = 0; side < 2; side++)
        am_wide_done(&b->wide[side]);
}

/* The wide column of one side, if it has one: 1 there is one. `form` tells which. */
static int open_wide(struct am_wide *ret, const struct am_packed *p, const char *digest, const char *bits,
                     struct am_faults *f, int *ret_form)
{
    int rc = am_wide_open(ret, p, digest, AM_U8, DIGEST, f);
    *ret_form = 2;
    if (rc == 1) {
        rc = am_wide_open(ret, p, bits, AM_U64, (p->meta->labels_n + 63) / 64, f);
        *ret_form = 3;
    }
    if (rc == 1)
        *ret_form = 0;
    return rc < 0 ? rc : 0;
}

static int both_open(struct both *b, const struct am_join *j, unsigned col, const char *digest, const char *bits,
                     struct am_faults *f)
{
    int form[2] = {0, 0};
    for (int side = 0; side < 2; side++) {
        b->class[side] = am_packed_i32(j->set[side], col);
        form[side] = 1;
        if (!b->class[side])
            AM_TRY(open_wide(&b->wide[side], j->set[side], digest, bits, f, &form[side]));
    }
    b->known = form[0] && form[1];
    b->mixed = b->known && form[0] != form[1];
    return 0;
}

/* 1 equal, 0 not, or a negative error. */
static int equal(struct both *b, const struct am_join *j, size_t i, struct am_faults *f)
{
    if (b->class[0])
        return b->class[0][i] == b->class[1][i];
    const void *x = am_wide_row(&b->wide[0], am_join_row(j, 0, i)), *y = am_wide_row(&b->wide[1], am_join_row(j, 1, i));
    if (!x || !y)
        return am_packed_bad(f, j->set[x ? 1 : 0]->name, "a column", "cannot be read");
    return memcmp(x, y, b->wide[0].bytes) == 0;
}

static void tell_sample(const struct am_join *j, size_t i, struct am_faults *f)
{
    size_t id = am_join_id(j, i);
    const int32_t *y[2] = {am_packed_i32(j->set[0], AM_PACKED_Y), am_packed_i32(j->set[1], AM_PACKED_Y)};
    char what[80] = "";
    if (y[0] && y[1])
        snprintf(what, sizeof what, " (class %d in old, %d in new)", (int)y[0][i], (int)y[1][i]);
    am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "labels"}, "y differs for the id \"%.*s\"%s",
                 (int)am_id_len(j->ids, id), j->ids->bytes + j->ids->at[id], what);
}

static int refuse_labels(const struct am_join *j, const size_t *row, size_t differ, struct am_faults *f)
{
    am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "labels"},
                 "y differs for %zu of the %zu samples that both sets have: the dataset or its labels changed in "
                 "between; answer both over the same labels and upload them again",
                 differ, j->n);
    for (size_t i = 0; i < differ && i < SHOWN; i++)
        tell_sample(j, row[i], f);
    return -AM_E_DATASET_MISMATCH;
}

static int check_labels(struct am_join *j, struct both *y, struct am_faults *f)
{
    size_t row[SHOWN], differ = 0;
    if (y->mixed)
        return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "labels"},
                            "y is of another kind in one of the sets (classes, texts, or sets of labels)");
    for (size_t i = 0; y->known && i < j->n; i++) {
        int same = equal(y, j, i, f);
        AM_TRY(same);
        if (!same && differ++ < SHOWN)
            row[differ - 1] = i;
    }
    j->labels_known = y->known;
    return differ ? refuse_labels(j, row, differ, f) : 0;
}

static int find_diff(struct am_join *j, struct both *p, struct am_faults *f)
{
    if (!p->known || p->mixed)
        return 0;
    j->diff = calloc(AM_BIT_WORDS(j->n) + 1, sizeof *j->diff);
    if (!j->diff)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < j->n; i++) {
        int same = equal(p, j, i, f);
        AM_TRY(same);
        if (!same)
            j->diff[i / 64] |= UINT64_C(1) << (i % 64);
    }
    return 0;
}

/* The same answer to the same question, right once and wrong once. */
static void count_noise(struct am_join *j)
{
    const uint64_t *o = j->set[0]->correct, *w = j->set[1]->correct;
    if (!j->diff || !o || !w || !j->labels_known)
        return;
    for (size_t k = 0; k < AM_BIT_WORDS(j->n); k++) {
        size_t left = j->n - 64 * k;
        uint64_t live = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
        j->judge_noise += (uint64_t)__builtin_popcountll((o[k] ^ w[k]) & ~j->diff[k] & live);
    }
}

int am_join_agree(struct am_join *j, struct am_faults *f)
{
    struct both y = {0}, p = {0};
    int rc = both_open(&y, j, AM_PACKED_Y, "y_digest", "y_bits", f);
    if (rc == 0)
        rc = check_labels(j, &y, f);
    if (rc == 0)
        rc = both_open(&p, j, AM_PACKED_P, "digest", "p_bits", f);
    if (rc == 0)
        rc = find_diff(j, &p, f);
    if (rc == 0)
        count_noise(j);
    both_done(&y);
    both_done(&p);
    return rc;
}
