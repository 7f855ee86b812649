/*
 * event_json.c - see event_json.h.
 */
#include "server/event_json.h"

#include "server/json.h"

#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *data, const char *name)
{
    return json_string_value(json_object_get(data, name));
}

static bool is_type(const struct am_event_row *e, const char *of_job, const char *of_task)
{
    return am_streq(e->type, of_job) || am_streq(e->type, of_task);
}

static const char *level_of(const struct am_event_row *e, const json_t *data)
{
    const char *status = text_of(data, "status"); /* of a task */
    if (am_streq(e->type, "job.failed") || am_streq(status, "failed"))
        return "error";
    if (is_type(e, "job.requeued", "task.requeued") || am_streq(e->type, "job.cancelled") ||
        am_streq(status, "cancelled"))
        return "warn";
    return "info";
}

AM_PRINTF(3, 4) static void say(char *out, size_t cap, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, cap, fmt, ap);
    va_end(ap);
    while (out[0] && !am_utf8_ok(out, strlen(out)))
        out[strlen(out) - 1] = 0; /* cut inside a character */
}

static void say_progress(const json_t *data, char *out, size_t cap)
{
    const char *phase = text_of(data, "phase"), *unit = text_of(data, "unit");
    long long done = json_integer_value(json_object_get(data, "done")),
              total = json_integer_value(json_object_get(data, "total"));
    if (total > 0)
        say(out, cap, "%s: %lld of %lld %s", phase ? phase : "running", done, total, unit ? unit : "");
    else
        say(out, cap, "%s", phase ? phase : "running");
}

static void say_version(const json_t *data, char *out, size_t cap)
{
    const char *commit = text_of(data, "commit"), *branch = text_of(data, "branch");
    const json_t *number = json_object_get(data, "number");
    if (json_is_integer(number))
        say(out, cap, "version v%lld (%.12s)", (long long)json_integer_value(number), commit ? commit : "?");
    else
        say(out, cap, "version %.12s%s%s", commit ? commit : "?", branch ? " on " : "", branch ? branch : "");
}

static void say_move(const json_t *data, char *out, size_t cap)
{
    const char *ref = text_of(data, "ref"), *from = text_of(data, "from"), *to = text_of(data, "to"),
               *reason = text_of(data, "reason");
    say(out, cap, "%s %s%.12s%s%.12s%s%s", ref ? ref : "a ref", from ? "from " : "", from ? from : "",
        from ? " to " : "now at ", to ? to : "nothing", reason && reason[0] ? ": " : "", reason ? reason : "");
}

/* "changed by local: labels, pinned", "deleted by local: ticket 7" */
static void say_life(const struct am_event_row *e, const json_t *data, char *out, size_t cap)
{
    const char *by = text_of(data, "by"), *reason = text_of(data, "reason"), *ref = text_of(data, "ref");
    char more[200] = "";
    const json_t *name, *changed = json_object_get(data, "changed");
    size_t i;
    json_array_foreach(changed, i, name)
    {
        size_t n = strlen(more);
        snprintf(more + n, sizeof more - n, "%s%s", i ? ", " : "", json_string_value(name));
    }
    if (ref)
        snprintf(more, sizeof more, "%s",
                 json_is_true(json_object_get(data, "protected")) ? "protected" : "unprotected");
    say(out, cap, "%s%s%s%s%s%s%s",
        ref                                 ? ref
        : am_streq(e->type, "model.purged") ? "files removed"
                                            : strrchr(e->type, '.') + 1,
        ref ? " changed" : "", by ? " by " : "", by ? by : "", reason || more[0] ? ": " : "", reason ? reason : "",
        more);
}

/* "queued", "failed: NaN in w"; of a type without words of its own its last word. */
static void say_state(const struct am_event_row *e, const json_t *data, char *out, size_t cap)
{
    const char *dot = strrchr(e->type, '.'), *status = text_of(data, "status"), *detail = text_of(data, "detail"),
               *by = text_of(data, "by");
    char words[64];
    if (is_type(e, "job.running", "task.started"))
        snprintf(words, sizeof words, "attempt %lld runs",
                 (long long)json_integer_value(json_object_get(data, "attempt")));
    else if (is_type(e, "job.requeued", "task.requeued"))
        snprintf(words, sizeof words, "goes back to the queue");
    else if (is_type(e, "job.cancelling", "task.cancelling"))
        snprintf(words, sizeof words, "asked to stop");
    else
        snprintf(words, sizeof words, "%s", status ? status : dot ? dot + 1 : e->type);
    for (char *p = words; *p; p++)
        *p = (char)(*p == '_' ? ' ' : *p);
    say(out, cap, "%s%s%s%s%s", words, detail ? ": " : "", detail ? detail : "", by && !detail ? " by " : "",
        by && !detail ? by : "");
}

static void say_all(const struct am_event_row *e, const json_t *data, char *out, size_t cap)
{
    if (is_type(e, "job.progress", "task.progress"))
        say_progress(data, out, cap);
    else if (am_streq(e->type, "model.version_created"))
        say_version(data, out, cap);
    else if (am_streq(e->type, "model.deleted") || am_streq(e->type, "model.restored") ||
             am_streq(e->type, "model.purged") || am_streq(e->type, "model.changed") ||
             am_streq(e->type, "model.ref_changed"))
        say_life(e, data, out, cap);
    else if (json_object_get(data, "ref") && am_starts(e->type, "model."))
        say_move(data, out, cap);
    else
        say_state(e, data, out, cap);
}

static json_t *id_of(const struct am_event_row *e, bool stored)
{
    char id[120];
    if (!stored)
        return json_null();
    if (e->job && e->job_seq)
        snprintf(id, sizeof id, "evt_%.60s_%lld", am_starts(e->job, "job_") ? e->job + 4 : e->job,
                 (long long)e->job_seq);
    else
        snprintf(id, sizeof id, "evt_%lld", (long long)e->seq);
    return json_string(id);
}

static json_t *int_or_null(int64_t v)
{
    return v ? json_integer(v) : json_null();
}

json_t *am_event_json(const struct am_event_row *e, bool stored)
{
    char at[AM_TIME_TEXT], message[600];
    json_t *data = json_loads(e->data, 0, NULL);
    if (!data)
        data = json_object();
    say_all(e, data, message, sizeof message);
    am_time_text(e->at, at);
    return json_pack("{s:s, s:o, s:I, s:o, s:s, s:s, s:s, s:s, s:s, s:s?, s:o, s:s, s:o}", "object", "event", "id",
                     id_of(e, stored), "seq", (json_int_t)e->seq, "job_seq", int_or_null(e->job_seq), "created_at", at,
                     "level", level_of(e, data), "topic", e->topic, "type", e->type, "subject", e->subject, "model",
                     e->model, "revision", int_or_null(e->revision), "message", message, "data", data);
}

char *am_event_text(const struct am_event_row *e, bool stored)
{
    json_auto_t *o = am_event_json(e, stored);
    return am_json_text(o);
}
