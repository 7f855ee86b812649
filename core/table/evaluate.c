/*
 * evaluate.c - what only jobs of type evaluate have in their body: two sides named by their prediction sets or by
 * versions and data, a gate, and refs that move when it lets them (body_parts.h). Looks nothing up.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_MAX = 512, GATE_NAME_MAX = 200, MOVES_MAX = 32 };

static const char *const sides[] = {"old", "new"};
static const char *const set_names[] = {"old_predictions", "new_predictions"};

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
    if (!am_starts(uid, "prd_") || !am_is_hex(uid + 4, 32)) {
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

/* ---- gate ---- */

/* The name of a gate, "default", with or without its revision, "default@3". */
static bool gate_name_ok(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-.";
    size_t n = strspn(name, allowed);
    if (n == 0 || n > GATE_NAME_MAX || (name[n] && name[n] != '@'))
        return false;
    return !name[n] || (name[n + 1] >= '1' && name[n + 1] <= '9' && strlen(name + n + 1) <= 9 &&
                        strspn(name + n + 1, "0123456789") == strlen(name + n + 1));
}

static int take_name(struct am_body *b, const char *name, const char *at, struct am_faults *f)
{
    char shown[AM_SHOWN];
    if (gate_name_ok(name)) {
        b->gate_name = strdup(name);
        return b->gate_name ? 0 : -AM_E_OUT_OF_MEMORY;
    }
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at},
                 "\"%s\" is no name of a gate: lower-case letters, digits, _ - and ., with a revision if one is meant "
                 "(default@3)",
                 am_shown(shown, name));
    return 0;
}

/* What a gate may say where the job chooses the sides; here it has chosen them. */
static void check_sides(json_t *gate, struct am_faults *f)
{
    static const char *const names[] = {"against", "data"};
    char at[AM_POINTER];
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(gate, names[i]))
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(at, "#/gate", names[i])},
                         "an evaluate job judges what it compares: its inputs say on which data and against what");
}

int am_gate_check(struct am_body *b, json_t *body, struct am_faults *f)
{
    static const char *const known[] = {"policy", "against", "data", NULL};
    json_t *gate = json_object_get(body, "gate");
    if (!gate || json_is_null(gate))
        return 0;
    if (b->tasks) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/gate"},
                     "a gate judges a comparison of two versions; a line has none");
        return 0;
    }
    if (json_is_string(gate))
        return take_name(b, json_string_value(gate), "#/gate", f);
    if (!json_is_object(gate)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/gate"},
                     "expected the name of a gate or an object, got %s", am_json_kind(gate));
        return 0;
    }
    check_sides(gate, f);
    if (json_object_get(gate, "policy")) {
        am_members_known(gate, "#/gate", known, f);
        const char *name = am_member_text(gate, "#/gate", "policy", true, NULL, f);
        return name ? take_name(b, name, "#/gate/policy", f) : 0;
    }
    b->gate_policy = json_incref(gate);
    return 0;
}

/* ---- publish ---- */

static void check_move(const struct am_body *b, json_t *move, size_t i, struct am_faults *f)
{
    static const char *const known[] = {"ref", "to", "when", NULL};
    char at[AM_POINTER], member[AM_POINTER], shown[AM_SHOWN];
    am_pointer_at(at, "#/publish/move", i);
    if (!json_is_object(move)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at}, "expected an object, got %s",
                     am_json_kind(move));
        return;
    }
    am_members_known(move, at, known, f);
    const char *ref = am_member_text(move, at, "ref", true, NULL, f),
               *to = am_member_text(move, at, "to", false, "new", f),
               *when = am_member_text(move, at, "when", false, "promote", f),
               *why = ref ? am_ref_name_fault(ref) : NULL;
    if (why)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(member, at, "ref")}, "\"%s\": %s",
                     am_shown(shown, ref), why);
    else if (ref)
        am_ref_shadow_check(ref, am_pointer(member, at, "ref"), f);
    if (to && !am_streq(to, "new"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(member, at, "to")},
                     "a ref moves to the new side: to is \"new\", not \"%s\"", am_shown(shown, to));
    if (when && !am_streq(when, "promote") && !am_streq(when, "always"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(member, at, "when")},
                     "\"%s\": when is promote or always", am_shown(shown, when));
    if (am_streq(when, "promote") && !b->gate_name && !b->gate_policy)
        am_fault_add(f, AM_E_MISSING_INPUT, (struct am_where){.pointer = at},
                     "the ref is to move when a gate says promote, and the job has no gate; give one, \"gate\": "
                     "\"default\", or move it \"always\"");
}

int am_publish_evaluate(struct am_body *b, json_t *publish, struct am_faults *f)
{
    static const char *const known[] = {"move", NULL};
    am_members_known(publish, "#/publish", known, f);
    json_t *move = am_member_array(publish, "#/publish", "move", false, f), *entry;
    size_t i, n = json_array_size(move);
    if (n && b->tasks)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/publish/move"},
                     "a line has no new side that a ref could move to");
    if (n > MOVES_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/publish/move"},
                     "%zu refs; at most %d are moved", n, MOVES_MAX);
    if (n <= MOVES_MAX)
        json_array_foreach(move, i, entry) check_move(b, entry, i, f);
    b->move = json_array();
    json_array_foreach(move, i, entry)
    {
        const char *when = json_string_value(json_object_get(entry, "when"));
        json_array_append_new(b->move, json_pack("{s:O?, s:s, s:s}", "ref", json_object_get(entry, "ref"), "to", "new",
                                                 "when", when ? when : "promote"));
    }
    return b->move ? 0 : -AM_E_OUT_OF_MEMORY;
}
