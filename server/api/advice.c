/*
 * advice.c - what is allowed in a merge and is seldom meant (merge.md B20), told when it is planned (submit.h). What
 * only the numbers of the tensors show is told by the methods.
 */
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "server/api/submit.h"

#include <math.h>
#include <string.h>

static bool is_model(const struct am_body_input *in)
{
    return am_streq(in->role, "model");
}

/* ---- inputs ---- */

static int64_t adapter_of(const struct am_submit *s, size_t i)
{
    size_t adapter = s->body.input[i].adapter;
    return adapter ? s->in[adapter].version : 0;
}

/* By the bytes of all their files: names and commits may differ. A stack is more than its first part. */
static bool same_files(const struct am_submit *s, size_t a, size_t b)
{
    return s->in[a].version && s->in[b].version && !s->body.input[a].parts && !s->body.input[b].parts &&
           adapter_of(s, a) == adapter_of(s, b) && am_streq(s->in[a].manifest, s->in[b].manifest);
}

/* They take part in other modules, or one of them in some and the other in all. */
static bool is_apart(const struct am_submit *s, size_t a, size_t b)
{
    const json_t *x = s->body.input[a].modules, *y = s->body.input[b].modules;
    return is_model(&s->body.input[b]) && x != y && !(x && y && json_equal(x, y));
}

static int advise_inputs(struct am_submit *s)
{
    for (size_t i = 1; i < s->body.inputs; i++)
        for (size_t k = 0; k < i && is_model(&s->body.input[i]); k++) {
            if (!same_files(s, i, k) || s->body.input[i].set || is_apart(s, i, k))
                continue;
            if (is_model(&s->body.input[k]))
                AM_TRY(am_submit_warn_at(s, "identical-inputs", s->body.input[i].pointer,
                                         "%s and %s are the same files, so one of them counts twice", s->in[k].label,
                                         s->in[i].label));
            else if (am_streq(s->body.input[k].role, "base") && !am_plan_names_only(&s->body, k))
                AM_TRY(am_submit_warn_at(s, "input-equals-base", s->body.input[i].pointer,
                                         "%s is the same files as the base %s, so it brings no difference; check which "
                                         "version was meant",
                                         s->in[i].label, s->in[k].label));
        }
    return 0;
}

/* ---- weights ---- */

struct sum {
    double total, size; /* of the weights, and of their magnitudes */
};

/* False when a weight differs from tensor to tensor. */
static bool sum_weights(const struct am_body *b, const char *name, struct sum *ret)
{
    size_t n = 0;
    *ret = (struct sum){0};
    for (size_t i = 0; i < b->inputs; i++) {
        const json_t *v = json_object_get(b->input[i].params, name);
        if (!is_model(&b->input[i]))
            continue;
        if (!json_is_number(v))
            return false;
        ret->total += json_number_value(v);
        ret->size += fabs(json_number_value(v));
        n++;
    }
    return n > 0;
}

/* Of a mean. In methods that add differences to a base no sum of weights is odd. */
static int advise_weights(struct am_submit *s, const json_t *rule)
{
    const char *name = am_row_text(rule, "a"), *when = am_row_text(rule, "b");
    struct sum w;
    if (am_streq(am_row_need(s->body.row, "base"), "required") || !sum_weights(&s->body, name, &w))
        return 0;
    const json_t *flag = json_object_get(s->body.params, when); /* it may differ from tensor to tensor */
    if (json_is_false(flag) && fabs(w.total - 1) > 0.5)
        return am_submit_warn_at(s, "weights-sum-not-one", "#/inputs/models",
                                 "the weights sum to %g and %s is false, so the result is about %g times as large as a "
                                 "model",
                                 w.total, when, w.total);
    if ((!when[0] || json_is_true(flag)) && fabs(w.total) < 0.05 * w.size && fabs(w.total) >= 1e-8)
        return am_submit_warn_at(s, "small-divisor", "#/inputs/models",
                                 "the weights nearly cancel: the result is divided by their sum, %g, which enlarges "
                                 "what the models differ in",
                                 w.total);
    return 0;
}

/* ---- a place between two ---- */

static bool leaves_unit(const json_t *v)
{
    const json_t *one;
    size_t i;
    if (json_is_number(v))
        return json_number_value(v) < 0 || json_number_value(v) > 1;
    if (json_is_object(v))
        return leaves_unit(json_object_get(v, "value"));
    json_array_foreach(v, i, one) if (leaves_unit(one)) return true;
    return false;
}

int am_submit_advise(struct am_submit *s)
{
    const json_t *rules = json_object_get(s->body.row, "rules");
    if (!am_streq(s->body.type, "merge"))
        return 0;
    AM_TRY(advise_inputs(s));
    for (size_t i = 0; i < json_array_size(rules); i++)
        if (am_streq(am_row_text(json_array_get(rules, i), "kind"), "sum_not_zero"))
            AM_TRY(advise_weights(s, json_array_get(rules, i)));
    if (am_streq(s->body.method, "slerp") && leaves_unit(json_object_get(s->body.params, "t")))
        return am_submit_warn_at(s, "t-outside-unit", "#/params/t",
                                 "t is outside of 0 to 1 somewhere, so the result lies beyond one of the two versions");
    return 0;
}
