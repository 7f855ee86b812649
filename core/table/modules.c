/*
 * modules.c - models that take part in some modules of the result alone (merge.md B9): {"version", "modules":
 * ["vision_tower."]}, what the names of their tensors begin with. Whether there are such tensors is the plan's to say.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/settings.h"

#include <string.h>

static bool takes_none(const struct am_body *b)
{
    const json_t *rule;
    size_t i;
    json_array_foreach(json_object_get(b->row, "rules"), i,
                       rule) if (am_streq(am_row_text(rule, "kind"), "inputs_at_least") &&
                                 json_integer_value(json_object_get(rule, "plus")) == 0) return true;
    return am_streq(am_row_need(b->row, "task"), "required") || am_streq(am_row_need(b->row, "scope"), "model");
}

void am_modules_take(struct am_body *b, size_t index, json_t *entry, const char *at, struct am_faults *f)
{
    char pointer[AM_POINTER];
    json_t *v = json_object_get(entry, "modules");
    if (!v || index >= b->inputs || !am_prefixes_check(v, am_pointer(pointer, at, "modules"), f))
        return;
    if (b->row && takes_none(b))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = pointer, .reason = "module-unknown"},
                     "%s looks at all tensors of its models; leave modules out", am_row_text(b->row, "name"));
    else
        b->input[index].modules = json_incref(v);
}

/* No name can begin with one of each. */
bool am_modules_apart(const json_t *a, const json_t *b)
{
    const json_t *x, *y;
    size_t i, k;
    json_array_foreach(a, i, x)
        json_array_foreach(b, k, y) if (am_starts(json_string_value(x), json_string_value(y)) ||
                                        am_starts(json_string_value(y), json_string_value(x))) return false;
    return a && b;
}

size_t am_modules_count(const json_t *models, size_t index, bool *ret_first)
{
    const json_t *own = json_object_get(json_array_get(models, index), "modules"), *m;
    size_t i, n = 0;
    *ret_first = true;
    json_array_foreach(models, i, m)
    {
        const json_t *other = json_object_get(m, "modules");
        bool same = own && other && json_equal(own, other);
        n += same || !other;
        *ret_first = *ret_first && !(i < index && (same || (!own && !other)));
        if (!own && other)
            *ret_first = false; /* it is counted with them */
    }
    return n;
}
