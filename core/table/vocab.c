/*
 * vocab.c - see vocab.h.
 */
#include "core/table/vocab.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/plan_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLACK 1024   /* rows over what the tables say, for tokenizers that are larger than them */
#define PARSED 16    /* bytes of a parsed tokenizer for each byte of its file, measured */
#define KEPT 6       /* of its vocabulary, as it is kept */
#define MAP_BYTES 4u /* of a row in each input's map */

bool am_vocab_has_rows(const char *name)
{
    static const char *const ends[] = {"embed_tokens.weight", "wte.weight",       "word_embeddings.weight",
                                       "embed_in.weight",     "embed_out.weight", "lm_head.weight",
                                       "shared.weight",       "embeddings.weight"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(name), k = strlen(ends[i]);
        if (am_ends(name, ends[i]) && (n == k || name[n - k - 1] == '.'))
            return true;
    }
    return false;
}

bool am_vocab_shape(const char *shape, uint64_t *ret_rows, uint64_t *ret_columns)
{
    char *end;
    uint64_t rows = strtoull(shape + 1, &end, 10);
    if (*end != ',')
        return false;
    uint64_t columns = strtoull(end + 1, &end, 10);
    if (*end != ']')
        return false;
    *ret_rows = rows;
    *ret_columns = columns;
    return true;
}

bool am_vocab_joins(const struct am_body *b)
{
    return json_is_object(json_object_get(b->options, "tokenizer"));
}

bool am_vocab_cuts(const struct am_body *b)
{
    return !am_vocab_joins(b) && am_streq(json_string_value(json_object_get(b->options, "vocab")), "truncate");
}

static uint64_t rows_cut(const struct am_body *b, const struct am_vocab_side *v, size_t n)
{
    bool as_base = am_streq(am_row_need(b->row, "base"), "required");
    uint64_t rows = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        if ((!as_base || v[i].donor) && v[i].rows < rows)
            rows = v[i].rows;
    return rows;
}

/* The most rows of an input with the tokenizer of side i; 0 when a side before it has that, too. */
static uint64_t most_of_group(const struct am_vocab_side *v, size_t n, size_t i)
{
    uint64_t most = 0;
    for (size_t k = 0; k < n; k++) {
        if (v[k].in->group != v[i].in->group)
            continue;
        if (k < i)
            return 0;
        most = v[k].rows > most ? v[k].rows : most;
    }
    return most;
}

static uint64_t rows_joined(const struct am_body *b, const struct am_vocab_side *v, size_t n)
{
    const json_t *o = json_object_get(b->options, "tokenizer");
    bool all = am_streq(json_string_value(json_object_get(o, "source")), "union");
    json_int_t pad = json_integer_value(json_object_get(o, "pad_to_multiple_of"));
    uint64_t rows = 0, step = pad > 1 ? (uint64_t)pad : 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t most = most_of_group(v, n, i);
        rows = all ? am_plan_plus(rows, most) : most > rows ? most : rows;
    }
    rows = am_plan_plus(rows, json_object_size(json_object_get(o, "tokens")) + SLACK);
    return am_plan_times(am_plan_plus(rows, step - 1) / step, step);
}

static void resize(struct am_plan_tensor *t, uint64_t rows, char shape[AM_SHAPE_TEXT])
{
    uint64_t had, columns;
    if (!am_vocab_shape(t->shape, &had, &columns) || had == 0 || had == rows)
        return;
    t->bytes = am_plan_times(t->bytes / had, rows);
    snprintf(shape, AM_SHAPE_TEXT, "[%" PRIu64 ",%" PRIu64 "]", rows, columns);
    t->shape = shape;
}

static int note(struct am_plan *p, const char *name, uint64_t rows)
{
    p->row[p->rows].name = strdup(name);
    if (!p->row[p->rows].name)
        return -AM_E_OUT_OF_MEMORY;
    p->row[p->rows++].rows = rows;
    return 0;
}

/* Fills in the rows. False: it is another kind of tensor, or the columns differ, which is another fault. */
static bool take_rows(struct am_vocab_side *v, size_t n, bool *ret_differ)
{
    uint64_t columns, wide = 0;
    *ret_differ = false;
    for (size_t i = 0; i < n; i++) {
        if (!am_vocab_shape(v[i].head->shape, &v[i].rows, &columns) || (i && columns != wide))
            return false;
        wide = columns;
        *ret_differ = *ret_differ || v[i].rows != v[0].rows;
    }
    return n > 0;
}

static int fault_rows(const struct am_vocab_side *s, const struct am_vocab_side *donor, const char *frame,
                      struct am_faults *f)
{
    char shown[AM_SHOWN];
    am_shown(shown, s->head->name);
    struct am_where w = {.pointer = s->in->pointer, .reason = "embedding-size", .tensor = s->head->name};
    unsigned long long a = s->rows, b = donor->rows;
    if (frame)
        am_fault_add(f, AM_E_SHAPE_MISMATCH, w,
                     "%s has %llu rows in %s, fewer than the %llu of its base %s, and %s does not take less than the "
                     "base has; set tokenizer.source, or leave the model out",
                     shown, a, s->in->label, b, donor->in->label, frame);
    else
        am_fault_add(f, AM_E_SHAPE_MISMATCH, w,
                     "%s has %llu rows in %s and %llu in %s; set options.tokenizer.source (union, base or a model) to "
                     "join rows by their tokens, or options.vocab to truncate, or leave a model out",
                     shown, a, s->in->label, b, donor->in->label);
    return 1;
}

int am_vocab_judge(struct am_plan *p, const struct am_body *b, struct am_vocab_side *v, size_t n,
                   struct am_faults *faults)
{
    bool differ, joins = am_vocab_joins(b), cuts = am_vocab_cuts(b);
    const struct am_vocab_side *donor = v;
    int told = 0;
    if (n == 0 || !am_vocab_has_rows(v[0].head->name) || !take_rows(v, n, &differ) || (!joins && !differ))
        return 0;
    for (size_t i = 0; i < n; i++)
        donor = v[i].donor ? &v[i] : donor;
    uint64_t rows = joins ? rows_joined(b, v, n) : cuts ? rows_cut(b, v, n) : donor->rows;
    for (size_t i = 0; i < n && !joins; i++)
        if (cuts ? v[i].rows < rows : v[i].rows != rows)
            told = fault_rows(&v[i], donor, cuts ? b->method : NULL, faults);
    for (size_t i = 0; i < n && joins; i++)
        if (v[i].head->adapted)
            told =
                (am_fault_add(faults, AM_E_INVALID_PARAMS,
                              (struct am_where){
                                  .pointer = v[i].in->pointer, .reason = "adapter-not-here", .tensor = v[i].head->name},
                              "the adapter of %s changes rows of %s, which options.tokenizer puts in another order; "
                              "merge it with its adapter alone first (merge/passthrough), and take the result",
                              v[i].in->label, v[i].head->name),
                 1);
    if (!told && p->rows == AM_PLAN_ROWS)
        told = (am_fault_add(faults, AM_E_UNSUPPORTED, (struct am_where){.tensor = v[0].head->name},
                             "more than %d tensors have a row for each token", AM_PLAN_ROWS),
                1);
    if (told)
        return 1;
    p->cut = p->cut || cuts;
    bool longer = false;
    for (size_t i = 0; i < n && cuts; i++)
        longer = longer || v[i].rows > rows;
    if (longer)
        am_plan_tell(&p->cropped, v[0].head->name);
    AM_TRY(note(p, v[0].head->name, rows));
    for (size_t i = 0; i < n; i++)
        resize(v[i].head, rows, v[i].shape);
    return 0;
}

const struct am_plan_tensor *am_vocab_fit(const struct am_plan *p, const struct am_plan_tensor *t,
                                          struct am_plan_tensor *ret, char shape[AM_SHAPE_TEXT])
{
    for (size_t i = 0; i < p->rows; i++) {
        if (!am_streq(p->row[i].name, t->name))
            continue;
        *ret = *t;
        resize(ret, p->row[i].rows, shape);
        return ret;
    }
    return t;
}

uint64_t am_vocab_memory(const struct am_body *b, const struct am_plan_input *in, size_t n, const struct am_plan *p)
{
    uint64_t most = 0, sum = 0, rows = 0;
    if (!am_vocab_joins(b) && !p->cut)
        return 0;
    for (size_t i = 0; i < p->rows; i++)
        rows = p->row[i].rows > rows ? p->row[i].rows : rows;
    for (size_t i = 0; i < n; i++) {
        most = in[i].tokenizer_bytes > most ? in[i].tokenizer_bytes : most;
        bool seen = false;
        for (size_t k = 0; k < i; k++)
            seen = seen || in[k].group == in[i].group;
        sum = am_plan_plus(sum, seen ? 0 : am_plan_times(in[i].tokenizer_bytes, KEPT));
    }
    return am_plan_plus(am_plan_plus(sum, am_plan_times(most, PARSED)), am_plan_times(rows, MAP_BYTES * (n + 2)));
}
