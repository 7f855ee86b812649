/*
 * publish.c - the `publish` member of a job's body, and the rule for names of branches and tags (body_parts.h).
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdlib.h>
#include <string.h>

#define REF_NAME_MAX 200
#define MESSAGE_MAX 4096
#define TAGS_MAX 32

static bool edge_ok(char c)
{
    return c != '/' && c != '.' && c != '-';
}

const char *am_ref_name_fault(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-";
    size_t n = strnlen(name, REF_NAME_MAX + 1);
    if (n == 0 || n > REF_NAME_MAX)
        return "a ref name has 1 to 200 bytes";
    if (strspn(name, allowed) != n)
        return "a ref name has only letters, digits and . _ / -";
    if (!edge_ok(name[0]) || !edge_ok(name[n - 1]))
        return "a ref name does not start or end with / . or -";
    if (strstr(name, "..") || strstr(name, "//"))
        return "a ref name has neither .. nor //";
    if (am_streq(name, "HEAD") || am_starts(name, "refs/") || am_is_hex(name, AM_COMMIT_LEN))
        return "HEAD, refs/... and 40 hex digits are reserved";
    return NULL;
}

void am_ref_shadow_check(const char *name, const char *pointer, struct am_faults *f)
{
    if (am_rev_is_number(name, NULL))
        am_fault_add(f, AM_E_REF_SHADOWS, (struct am_where){.pointer = pointer},
                     "%s names commit number %s of main; a ref of that name would hide it. Choose another name", name,
                     name + 1);
}

static int bad(struct am_faults *f, const char *at, const char *value, const char *why)
{
    char shown[AM_SHOWN];
    return am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at}, "\"%s\": %s", am_shown(shown, value),
                        why);
}

/* A copy of text member `name` in *ret when it is there and `why` finds nothing wrong. */
static int copy_text(json_t *publish, const char *name, const char *(*why)(const char *), char **ret,
                     struct am_faults *f)
{
    char at[AM_POINTER];
    const char *text = am_member_text(publish, "#/publish", name, false, NULL, f);
    const char *fault = text ? why(text) : NULL;
    if (fault)
        bad(f, am_pointer(at, "#/publish", name), text, fault);
    if (!text || fault)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

static const char *message_fault(const char *text)
{
    return strnlen(text, MESSAGE_MAX + 1) > MESSAGE_MAX ? "a message has at most 4096 bytes" : NULL;
}

static const char *commit_fault(const char *text)
{
    return am_is_hex(text, AM_COMMIT_LEN) ? NULL : "expected a commit id: 40 lower-case hex digits";
}

static const char *conflict_fault(const char *text)
{
    bool known = am_streq(text, "append") || am_streq(text, "detach") || am_streq(text, "fail");
    return known ? NULL : "on_conflict is append, detach or fail";
}

/* NULL when entry `i` of `tags` is a good name that stands there for the first time and is not the branch. */
static const char *tag_fault(const json_t *tags, size_t i, const char *branch)
{
    const char *tag = json_string_value(json_array_get(tags, i));
    const char *why = am_ref_name_fault(tag);
    if (why)
        return why;
    if (am_streq(tag, branch))
        return "this is the branch; a tag needs a name of its own";
    for (size_t k = 0; k < i; k++) {
        if (am_streq(json_string_value(json_array_get(tags, k)), tag))
            return "this tag is listed twice";
    }
    return NULL;
}

static void check_tags(json_t *tags, const char *branch, struct am_faults *f)
{
    char at[AM_POINTER];
    size_t n = json_array_size(tags);
    if (n > TAGS_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/publish/tags"},
                     "%zu tags; at most %d are taken", n, TAGS_MAX);
    for (size_t i = 0; i < n && i < TAGS_MAX; i++) {
        const json_t *tag = json_array_get(tags, i);
        am_pointer_at(at, "#/publish/tags", i);
        if (!json_is_string(tag)) {
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at}, "expected a text, got %s",
                         am_json_kind(tag));
            continue;
        }
        const char *why = tag_fault(tags, i, branch);
        if (why)
            bad(f, at, json_string_value(tag), why);
        else
            am_ref_shadow_check(json_string_value(tag), at, f);
    }
}

/* A ref has one reason to move. */
static void check_apart(const json_t *move, const json_t *tags, const char *branch, struct am_faults *f)
{
    char entry[AM_POINTER], at[AM_POINTER];
    for (size_t i = 0; i < json_array_size(move); i++) {
        const char *ref = json_string_value(json_object_get(json_array_get(move, i), "ref"));
        am_pointer(at, am_pointer_at(entry, "#/publish/move", i), "ref");
        if (ref && am_streq(ref, branch))
            bad(f, at, ref, "this is the branch, which the result is committed on as it is");
        for (size_t k = 0; ref && k < json_array_size(tags); k++)
            if (am_streq(ref, json_string_value(json_array_get(tags, k))))
                bad(f, at, ref, "this is a tag that the job makes");
    }
}

static int fill_defaults(struct am_body *b, const char *type)
{
    if (!b->branch && !(b->branch = strdup("main")))
        return -AM_E_OUT_OF_MEMORY;
    if (!b->on_conflict && !(b->on_conflict = strdup(am_streq(type, "merge") ? "append" : "detach")))
        return -AM_E_OUT_OF_MEMORY;
    return 0;
}

int am_publish_check(struct am_body *b, json_t *publish, const char *type, struct am_faults *f)
{
    static const char *const known[] = {"model", "branch", "message", "tags", "if_head", "on_conflict", "move", NULL};
    am_members_known(publish, "#/publish", known, f);
    if (am_streq(type, "merge") && !json_object_get(publish, "model"))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/publish/model"},
                     "a merge needs publish.model: the model (namespace/name) that gets the new version");
    AM_TRY(copy_text(publish, "model", am_model_name_fault, &b->publish_model, f));
    AM_TRY(copy_text(publish, "branch", am_ref_name_fault, &b->branch, f));
    if (b->branch)
        am_ref_shadow_check(b->branch, "#/publish/branch", f);
    AM_TRY(copy_text(publish, "message", message_fault, &b->message, f));
    AM_TRY(copy_text(publish, "if_head", commit_fault, &b->if_head, f));
    AM_TRY(copy_text(publish, "on_conflict", conflict_fault, &b->on_conflict, f));
    AM_TRY(fill_defaults(b, type));
    json_t *tags = am_member_array(publish, "#/publish", "tags", false, f);
    check_tags(tags, b->branch, f);
    AM_TRY(am_moves_check(b, publish, f));
    check_apart(b->move, tags, b->branch, f);
    b->tags = tags ? json_incref(tags) : json_array();
    return b->tags ? 0 : -AM_E_OUT_OF_MEMORY;
}
