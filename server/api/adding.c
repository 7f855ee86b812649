/*
 * adding.c - see adding.h.
 */
#include "server/api/adding.h"

#include "core/base/text.h"
#include "core/table/families.h"
#include "core/table/layers.h"
#include "server/api/adapter.h"
#include "storage/models.h"

#include <stdlib.h>
#include <string.h>

static bool keeps(const struct am_submit *s)
{
    return am_streq(json_string_value(json_object_get(s->body.options, "extra")), "keep");
}

/* Everything that has tensors for the result, or for its shapes; a stack when all its parts are there. */
static bool is_input(const struct am_submit *s, size_t i)
{
    const char *role = s->body.input[i].role;
    return am_submit_pinned(s, i) && !am_streq(role, "part") && !am_streq(role, "adapter");
}

/* ---- tied heads ---- */

static int take_shape(void *ctx, const struct am_tensor_row *t)
{
    snprintf(ctx, 200, "%s", t->shape);
    return 0;
}

/* Of a stack: what comes before the layers is its first part's, what comes after them its last one's. */
static bool shape_of(struct am_submit *s, size_t i, const char *tensor, char out[200])
{
    size_t at = am_layer_before(tensor) ? i : i + am_submit_parts(s, i) - 1;
    const char *use = s->body.input[at].use, *embedding;
    if ((use && !am_streq(use, "all")) || !is_input(s, i))
        return false;
    bool there = am_tensor_get(s->db, s->in[at].version, tensor, take_shape, out) == 0;
    if (there || at == i || am_tensor_get(s->db, s->in[i].version, tensor, take_shape, out) < 0)
        return there;
    /* a last part that has its head tied, behind a first one that has not (stack.c) */
    for (size_t k = 0; !there && (embedding = am_family_embedding(tensor, k)); k++)
        there = am_tensor_get(s->db, s->in[at].version, embedding, take_shape, out) == 0;
    return there;
}

static bool same(void *ctx, size_t i, const char *a, size_t k, const char *b)
{
    char one[200], other[200];
    return shape_of(ctx, i, a, one) && shape_of(ctx, k, b, other) && am_streq(one, other);
}

/* What comes before the layers is of one version, and what comes after them of another. */
static bool is_of_two(const struct am_submit *s, size_t i)
{
    return s->in[i].version != s->in[i + am_submit_parts(s, i) - 1].version;
}

static int tied(void *ctx, size_t i, const char *head, const char *embedding)
{
    struct am_submit *s = ctx;
    const struct am_body_input *last = &s->body.input[i + am_submit_parts(s, i) - 1];
    if (last->use && !am_streq(last->use, "all")) /* it gives nothing that lies after the layers */
        return 0;
    if (is_of_two(s, i))
        return am_fault_add(&s->faults, AM_E_SHAPE_MISMATCH,
                            (struct am_where){.pointer = last->pointer, .reason = "tied-head", .tensor = head},
                            "%s has no %s, which other inputs have: it is tied to the embedding, and the embedding of "
                            "this stack is that of %s; put a model with a head of its own into the last slice",
                            s->in[i + am_submit_parts(s, i) - 1].label, head, s->in[i].label),
               0;
    struct am_tied *grown = realloc(s->tied, (s->tied_n + 1) * sizeof *grown);
    if (!grown)
        return -AM_E_OUT_OF_MEMORY;
    s->tied = grown;
    s->tied[s->tied_n++] = (struct am_tied){i, head, embedding};
    return am_submit_warn(s, "tied-head",
                          "%s has no %s: its %s stands for it; the result has a head of its own and "
                          "tie_word_embeddings false",
                          s->in[i].label, head, embedding);
}

/* The table that is made for such an input is not its version's, which the adapter is for. */
static void check_adapted(struct am_submit *s, size_t input, const char *why)
{
    if (!s->body.input[input].parts && am_submit_adapter(s, input))
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = s->body.input[input].pointer, .reason = "adapter-not-here"},
                     "%s has an adapter, and %s; merge it with its adapter alone first (merge/passthrough), and take "
                     "the result",
                     s->in[input].label, why);
}

int am_adding_find(struct am_submit *s)
{
    struct am_ties t = {same, tied, s};
    if (!am_streq(s->body.type, "merge"))
        return 0;
    AM_TRY(am_family_ties(s->body.inputs, &t));
    for (size_t i = 0; i < s->tied_n; i++)
        check_adapted(s, s->tied[i].input, "its embedding stands for a head that other inputs have");
    for (size_t i = 0; keeps(s) && i < s->body.inputs; i++)
        check_adapted(s, i, "options.extra is \"keep\"");
    return 0;
}

bool am_adding_makes(const struct am_submit *s, size_t input)
{
    bool made = s->body.input[input].parts > 0 || (keeps(s) && input == s->body.donor);
    for (size_t i = 0; i < s->tied_n; i++)
        made = made || s->tied[i].input == input;
    return made;
}

/* ---- what others add to the donor ---- */

/* The rows of `from` that `into` lacks, with the numbers of their files counted from `number`. */
static int add_lacking(struct am_stack *into, size_t known, const struct am_stack *from, size_t number)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct am_stack_row *r = &from->row[i];
        if (am_stack_has(into, known, r->name) || am_family_is_buffer(r->name))
            continue;
        AM_TRY(am_stack_put(into, r->name, r, number + (size_t)strtoul(r->file, NULL, 10), true));
    }
    return 0;
}

static int own_table(struct am_submit *s, size_t i, struct am_stack *ret)
{
    if (s->body.input[i].parts)
        return am_stack_make(ret, s, i);
    return am_stack_whole(ret, s, i);
}

static int add_tied(const struct am_submit *s, size_t input, struct am_stack *into)
{
    for (size_t i = 0; i < s->tied_n; i++) {
        const struct am_tied *t = &s->tied[i];
        if (t->input != input)
            continue;
        for (size_t k = 0; k < into->n; k++)
            if (am_streq(into->row[k].name, t->embedding)) {
                AM_TRY(am_stack_put(into, t->head, &into->row[k], (size_t)strtoul(into->row[k].file, NULL, 10), false));
                break;
            }
        am_stack_sort(into, false);
    }
    return 0;
}

static int add_others(struct am_submit *s, size_t donor, struct am_stack *into)
{
    size_t known = into->n;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->body.inputs; i++) {
        struct am_stack other = {0};
        if (i == donor || !is_input(s, i) || am_plan_names_only(&s->body, i))
            continue;
        rc = own_table(s, i, &other);
        if (rc == 0)
            rc = add_tied(s, i, &other);
        if (rc == 0)
            rc = add_lacking(into, known, &other, i);
        am_stack_done(&other);
    }
    am_stack_unique(into);
    return rc;
}

int am_adding_make(struct am_submit *s, size_t input, struct am_stack *ret)
{
    struct am_stack made = {0};
    size_t faults = s->faults.total;
    int rc = own_table(s, input, &made);
    if (rc == 0 && s->faults.total == faults)
        rc = add_tied(s, input, &made);
    if (rc == 0 && s->faults.total == faults && keeps(s) && input == s->body.donor)
        rc = add_others(s, input, &made);
    if (rc == -AM_E_TOO_LARGE)
        rc = (am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = s->body.input[input].pointer},
                           "%s: more than %d tensors; such inputs cannot be stacked, have a tied head, or take in what "
                           "others have",
                           s->in[input].label, AM_STACK_TENSORS),
              0);
    if (rc < 0 || s->faults.total > faults) {
        am_stack_done(&made);
        return rc;
    }
    am_stack_sort(&made, false);
    *ret = made;
    return 0;
}

int am_adding_files(struct am_submit *s, int (*each)(void *ctx, size_t number, int64_t version), void *ctx)
{
    size_t donor = s->body.donor, parts = am_submit_parts(s, donor);
    for (size_t i = 0; i < parts; i++)
        AM_TRY(each(ctx, i, s->in[donor + i].version));
    for (size_t i = donor + parts; keeps(s) && i < s->body.inputs - s->body.adapters; i++)
        if (!am_plan_names_only(&s->body, i))
            AM_TRY(each(ctx, i, s->in[i].version));
    return 0;
}
