/*
 * evaluate.c - what only jobs of type evaluate have in their body: two sides named by their prediction sets or by
 * versions and data (body_parts.h). Their gate is gate.c. Looks nothing up.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_MAX = 512 };

static const char *const sides[] = {"old", "new"};
static const char *const set_names[] = {"old_predictions", "new_predictions"};

bool am_prediction_uid_ok(const char *uid)
{
    return am_starts(uid, "prd_") && am_is_hex(uid + 4, 32);
}

/* ---- inputs ---- */

static int add_set(struct am_body *b, json_t *inputs, size_t side, struct am_faults *f)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    struct am_body_input *in = &b->input[b->inputs];
    const char *uid = am_member_text(inputs, "#/inputs", set_names[side], true, NULL, f);
    *in = (struct am_body_input){.role = sides[side], .pointer = strdup(am_pointer(at, "#/inputs", set_names[side]))};
    b->inputs++;
    if (!in->pointer)
        return -AM_E_OUT_OF_MEMORY;
    if (!uid)
        return 0;
    if (!am_prediction_uid_ok(uid)) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at},
                     "\"%s\" is no id of a prediction set; one is prd_ and 32 hex digits, GET /v1/predictions lists "
                     "them",
                     am_shown(shown, uid));
        return 0;
    }
    in->set = strdup(uid);
    return in->set ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* A dataset by name, or {"external": its name elsewhere}. */
static int take_data(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"external", "sha256", NULL};
    json_t *data = json_object_get(inputs, "data");
    struct am_where w = {.pointer = "#/inputs/data"};
    const char *text;
    if (json_is_object(data)) {
        am_members_known(data, "#/inputs/data", known, f);
        am_member_text(data, "#/inputs/data", "sha256", false, NULL, f);
        text = am_member_text(data, "#/inputs/data", "external", true, NULL, f);
        b->data_external = true;
    } else if (!data) {
        am_fault_add(f, AM_E_MISSING_INPUT, w,
                     "two versions are compared on data: name the dataset whose prediction sets are meant, or "
                     "{\"external\": its name elsewhere}");
        return 0;
    } else {
        text = am_member_text(inputs, "#/inputs", "data", true, NULL, f);
    }
    if (!text)
        return 0;
    if (!text[0] || strnlen(text, DATA_MAX + 1) > DATA_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS, w, "the name of a dataset has 1 to %d bytes", DATA_MAX);
        return 0;
    }
    b->data = strdup(text);
    return b->data ? 0 : -AM_E_OUT_OF_MEMORY;
}

static bool has_any(const json_t *inputs, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_get(inputs, names[i]))
            return true;
    return false;
}

int am_inputs_evaluate(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"old", "new", "data", "old_predictions", "new_predictions", NULL};
    static const char *const versions[] = {"old", "new", "data"};
    if (am_streq(b->method, "continual"))
        return am_inputs_line(b, inputs, f);
    bool by_set = has_any(inputs, set_names, 2), by_version = has_any(inputs, versions, 3);
    am_members_known(inputs, "#/inputs", known, f);
    if (by_set == by_version) {
        am_fault_add(f, by_set ? AM_E_INVALID_PARAMS : AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/inputs"},
                     "%s: old_predictions and new_predictions, or old, new and data",
                     by_set ? "the two sides are named twice; keep one of the two forms"
                            : "nothing to compare; name the two sides");
        return 0;
    }
    for (size_t i = 0; i < 2; i++)
        AM_TRY(by_set ? add_set(b, inputs, i, f) : am_input_version(b, sides[i], inputs, sides[i], f));
    return by_set ? 0 : take_data(b, inputs, f);
}

/* ---- publish ---- */

int am_publish_evaluate(struct am_body *b, json_t *publish, struct am_faults *f)
{
    static const char *const known[] = {"move", NULL};
    am_members_known(publish, "#/publish", known, f);
    return am_moves_check(b, publish, f);
}
