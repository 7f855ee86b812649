/*
 * stacks.c - inputs of a merge that are stacks of layers (merge.md B8): {"stack": [{"version", "layers": [from, to]},
 * ...]}. What their versions hold is the store's to say.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/layers.h"
#include "core/table/members.h"

#define LAYERS_MAX 100000

static const struct am_body_input *first_stack(const struct am_body *b)
{
    for (size_t i = 0; i < b->inputs; i++)
        if (b->input[i].parts)
            return &b->input[i];
    return NULL;
}

size_t am_body_slice(const struct am_body *b, const char *tensor)
{
    const struct am_body_input *s = first_stack(b);
    struct am_layer at;
    uint32_t end = 0;
    if (!s)
        return 0;
    if (!am_layer_of(tensor, &at))
        return am_layer_before(tensor) ? 0 : s->parts - 1;
    size_t i = 0;
    for (; i + 1 < s->parts && at.index >= end + (s[i].to - s[i].from); i++)
        end += s[i].to - s[i].from;
    return i;
}

static const char *use_of(json_t *part, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"all", "layers", "none"};
    char pointer[AM_POINTER];
    const char *text = am_member_text(part, at, "use", false, "all", f);
    for (size_t i = 0; i < 3; i++)
        if (am_streq(text, known[i]))
            return known[i];
    if (text)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(pointer, at, "use")},
                     "use is all, layers or none");
    return known[0];
}

int am_stack_layers(struct am_body_input *in, json_t *part, const char *at, struct am_faults *f)
{
    char pointer[AM_POINTER];
    json_t *v = am_member_array(part, at, "layers", true, f);
    json_int_t from = json_integer_value(json_array_get(v, 0)), to = json_integer_value(json_array_get(v, 1));
    bool whole = json_is_integer(json_array_get(v, 0)) && json_is_integer(json_array_get(v, 1));
    in->from = 0;
    in->to = 1;
    in->use = use_of(part, at, f);
    if (!v)
        return 0;
    if (json_array_size(v) != 2 || !whole || from < 0 || to <= from || to > LAYERS_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = am_pointer(pointer, at, "layers"), .reason = "layer-range"},
                     "expected [first, end) with 0 <= first < end: two whole numbers");
        return 0;
    }
    in->from = (uint32_t)from;
    in->to = (uint32_t)to;
    return 0;
}

static void check_lengths(const struct am_body_input *a, const struct am_body_input *b, struct am_faults *f)
{
    struct am_where w = {.pointer = b->pointer, .reason = "slice-lengths"};
    if (a->parts != b->parts) {
        am_fault_add(f, AM_E_INVALID_PARAMS, w, "all stacks must have as many parts: %zu here, %zu at %s", b->parts,
                     a->parts, a->pointer);
        return;
    }
    for (size_t i = 0; i < a->parts; i++) {
        w.pointer = b[i].pointer;
        if (a[i].to - a[i].from != b[i].to - b[i].from)
            am_fault_add(f, AM_E_INVALID_PARAMS, w,
                         "all inputs to a slice must contain the same number of layers: %u here, %u at %s",
                         b[i].to - b[i].from, a[i].to - a[i].from, a[i].pointer);
    }
}

/* The layers of the result are those of the donor. */
static void check_donor(const struct am_body_input *donor, struct am_faults *f)
{
    for (size_t i = 0; i < donor->parts; i++)
        if (!am_streq(donor[i].use, "all"))
            am_fault_add(f, AM_E_INVALID_PARAMS,
                         (struct am_where){.pointer = donor[i].pointer, .reason = "slice-lengths"},
                         "the result has the layers of this stack, so it gives all of each part; leave use out");
}

/* All are stacks of the same lengths, or none is. */
void am_stacks_check(const struct am_body *b, struct am_faults *f)
{
    const struct am_body_input *first = first_stack(b);
    if (first)
        check_donor(first, f);
    for (size_t i = 0; first && i < b->inputs; i++) {
        const struct am_body_input *in = &b->input[i];
        if (am_streq(in->role, "part") || in == first ||
            (!in->parts && am_modules_apart(first->modules, in->modules) && b->donor == (size_t)(first - b->input)))
            continue;
        bool same = !first->modules || (in->modules && json_equal(first->modules, in->modules));
        if (in->parts && !same)
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = in->pointer, .reason = "slice-lengths"},
                         "layers are stacked in one module of a model here: the one at %s", first->pointer);
        else if (in->parts)
            check_lengths(first, in, f);
        else
            am_fault_add(
                f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = in->pointer, .reason = "base-not-in-slice"},
                "%s is a stack of layers, so this must be one too: {\"stack\": [{\"version\", \"layers\"}, ...]}",
                first->pointer);
    }
}
