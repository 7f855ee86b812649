/*
 * session.c - see session.h.
 */
#include "worker/session.h"

#include "worker/limits.h"

void am_session_warn(struct am_session *s, const char *code, const char *detail)
{
    if (json_array_size(s->warnings) >= AM_WARNINGS_MAX) {
        s->warnings_more++;
        return;
    }
    json_array_append_new(s->warnings,
                          json_pack("{s:s, s:s, s:s}", "record", "warning", "code", code, "detail", detail));
}

int am_session_put_warnings(struct am_session *s)
{
    size_t i;
    json_t *record;
    if (s->warnings_more)
        json_array_append_new(s->warnings,
                              json_pack("{s:s, s:s, s:o}", "record", "warning", "code", "more-warnings", "detail",
                                        json_sprintf("%zu more warnings are not listed", s->warnings_more)));
    json_array_foreach(s->warnings, i, record) AM_TRY(am_result_put(&s->result, json_incref(record)));
    return 0;
}

int am_session_alive(struct am_session *s)
{
    if (am_cancelled())
        return -AM_E_CANCELLED;
    return am_reporter_broken(&s->report) ? -AM_E_INTERNAL : 0;
}

json_t *am_architecture(const char *config, size_t n)
{
    json_t *root = json_loadb(config, n, 0, NULL);
    json_t *found = json_array_get(json_object_get(root, "architectures"), 0);
    if (!json_is_string(found))
        found = json_object_get(root, "model_type");
    found = json_is_string(found) ? json_incref(found) : json_null();
    json_decref(root);
    return found;
}
