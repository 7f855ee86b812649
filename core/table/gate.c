/*
 * gate.c - the gate of a job, and the refs that move when it lets them (body_parts.h). A job that makes a version says
 * beside the policy which predictions are compared. Looks nothing up.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdlib.h>
#include <string.h>

enum { GATE_NAME_MAX = 200, MOVES_MAX = 32, AGAINST_MAX = 512 };

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

static int take_set(struct am_body *b, json_t *gate, const char *name, size_t side, struct am_faults *f)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    const char *uid = am_member_text(gate, "#/gate", name, false, NULL, f);
    if (!uid)
        return 0;
    if (!am_prediction_uid_ok(uid)) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(at, "#/gate", name)},
                     "\"%s\" is no id of a prediction set; one is prd_ and 32 hex digits, GET /v1/predictions lists "
                     "them",
                     am_shown(shown, uid));
        return 0;
    }
    b->gate_set[side] = strdup(uid);
    return b->gate_set[side] ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int take_against(struct am_body *b, json_t *gate, struct am_faults *f)
{
    char *model, *rev;
    const char *why, *text = am_member_text(gate, "#/gate", "against", false, NULL, f);
    if (!text)
        return 0;
    int rc = am_ref_split(text, &model, &rev, &why);
    if (rc == -AM_E_INVALID_REQUEST)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/gate/against"}, "%s", why);
    if (rc < 0)
        return rc == -AM_E_INVALID_REQUEST ? 0 : rc;
    free(model);
    free(rev);
    b->gate_against = strdup(text);
    return b->gate_against ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* What a job that makes a version compares; *ret: the rest of the object. */
static int take_sides(struct am_body *b, json_t *gate, json_t **ret, struct am_faults *f)
{
    static const char *const own[] = {"against", "old_predictions", "new_predictions", "data"};
    if (json_object_get(gate, "data"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/gate/data"},
                     "the data of a gate is that of its prediction sets; name the sets with old_predictions and "
                     "new_predictions");
    AM_TRY(take_against(b, gate, f));
    AM_TRY(take_set(b, gate, own[1], 0, f));
    AM_TRY(take_set(b, gate, own[2], 1, f));
    *ret = json_copy(gate);
    for (size_t i = 0; *ret && i < sizeof own / sizeof *own; i++)
        json_object_del(*ret, own[i]);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* {"policy": a name or a policy}, or the policy itself. */
static int take_policy(struct am_body *b, json_t *gate, struct am_faults *f)
{
    static const char *const known[] = {"policy", "against", "data", NULL}; /* the last two have faults of their own */
    json_t *policy = json_object_get(gate, "policy");
    if (policy)
        am_members_known(gate, "#/gate", known, f);
    b->gate_at = policy ? "#/gate/policy" : "#/gate";
    if (policy && !json_is_object(policy)) {
        const char *name = am_member_text(gate, "#/gate", "policy", true, NULL, f);
        return name ? take_name(b, name, b->gate_at, f) : 0;
    }
    b->gate_policy = json_incref(policy ? policy : gate);
    return 0;
}

int am_gate_check(struct am_body *b, json_t *body, bool evaluates, struct am_faults *f)
{
    json_t *gate = json_object_get(body, "gate");
    b->gate_at = "#/gate";
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
    json_auto_t *rest = NULL;
    if (evaluates)
        check_sides(gate, f);
    else
        AM_TRY(take_sides(b, gate, &rest, f));
    return take_policy(b, rest ? rest : gate, f);
}

/* ---- publish.move ---- */

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

int am_moves_check(struct am_body *b, json_t *publish, struct am_faults *f)
{
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
