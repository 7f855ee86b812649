/*
 * records.c - the lines of a worker, checked one by one. See records.h.
 */
#include "server/records.h"

#include "core/base/text.h"
#include "core/table/fault_json.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int broken(struct am_records *r, int code, const char *fmt, ...) AM_PRINTF(3, 4);
static int broken(struct am_records *r, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, ap);
    va_end(ap);
    r->broken = code;
    return -code;
}

static bool text_member(json_t *o, const char *name, bool required, char *out, size_t cap)
{
    json_t *v = json_object_get(o, name);
    if (!v || json_is_null(v)) {
        out[0] = 0;
        return !required;
    }
    if (!json_is_string(v))
        return false;
    snprintf(out, cap, "%.*s", (int)cap - 1, json_string_value(v));
    /* a cut may fall inside a character, and half a character is no text */
    for (size_t n = strlen(out); n > 0 && !am_utf8_ok(out, n); n--)
        out[n - 1] = 0;
    return true;
}

static bool count_member(json_t *o, const char *name, bool required, uint64_t *ret)
{
    json_t *v = json_object_get(o, name);
    if (!v || json_is_null(v)) {
        *ret = 0;
        return !required;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

static int bad_member(struct am_records *r, const char *record)
{
    return broken(r, AM_E_CRASHED,
                  "the worker broke the protocol: a member of its \"%s\" record is missing or of the wrong kind",
                  record);
}

const char *const am_holds_names[] = {"rlimits", "oom", "landlock", "seccomp", NULL};

static bool holds_member(json_t *o, unsigned *ret)
{
    json_t *list = json_object_get(o, "confinement"), *v;
    size_t i;
    *ret = 0;
    json_array_foreach(list, i, v)
    {
        for (unsigned k = 0; am_holds_names[k]; k++)
            if (json_is_string(v) && am_streq(json_string_value(v), am_holds_names[k]))
                *ret |= 1u << k;
    }
    return !list || json_is_array(list);
}

static int take_hello(struct am_records *r, json_t *o)
{
    char registry[80];
    uint64_t pid;
    if (r->hello)
        return broken(r, AM_E_CRASHED, "the worker broke the protocol: it said hello twice");
    if (json_integer_value(json_object_get(o, "proto")) != 1)
        return broken(r, AM_E_INTERNAL,
                      "the worker speaks another protocol; it is not of this daemon's build; restart amendd");
    if (!text_member(o, "registry", true, registry, sizeof registry) || !count_member(o, "pid", true, &pid) ||
        !text_member(o, "program", false, r->program, sizeof r->program) ||
        !text_member(o, "kernels", false, r->kernels, sizeof r->kernels) || !holds_member(o, &r->holds))
        return bad_member(r, "hello");
    if (r->registry[0] && !am_streq(r->registry, registry))
        return broken(r, AM_E_INTERNAL, "the worker is not of this daemon's build; restart amendd");
    r->pid = (int64_t)pid;
    r->hello = true;
    return 0;
}

static int take_progress(struct am_records *r, json_t *o)
{
    struct am_record_progress p;
    if (!text_member(o, "phase", true, p.phase, sizeof p.phase) ||
        !text_member(o, "unit", false, p.unit, sizeof p.unit) || !count_member(o, "done", false, &p.done) ||
        !count_member(o, "total", false, &p.total) || !count_member(o, "bytes_done", false, &p.bytes_done) ||
        !count_member(o, "bytes_total", false, &p.bytes_total))
        return bad_member(r, "progress");
    r->progress = p;
    return 0;
}

static int take_fault(struct am_records *r, json_t *o)
{
    json_object_del(o, "record");
    if (am_fault_from_json(&r->faults, o) < 0)
        return bad_member(r, "fault");
    return 0;
}

static char *copy_text(json_t *v)
{
    return json_is_string(v) ? strdup(json_string_value(v)) : NULL;
}

static int take_failed(struct am_records *r, json_t *o)
{
    json_t *code = json_object_get(o, "code"), *detail = json_object_get(o, "detail");
    if (!json_is_string(code) || !json_is_string(detail))
        return bad_member(r, "failed");
    int known = am_err_from_slug(json_string_value(code));
    r->code = known ? known : AM_E_INTERNAL;
    r->retryable = json_is_true(json_object_get(o, "retryable"));
    r->detail = copy_text(detail);
    r->tensor = copy_text(json_object_get(o, "tensor"));
    r->failed = true;
    return 0;
}

static int take_done(struct am_records *r, json_t *o)
{
    struct am_record_done d = {.cpu_seconds = -1, .peak_memory_bytes = -1};
    char sha[80];
    uint64_t peak;
    json_t *cpu = json_object_get(o, "cpu_seconds");
    if (!count_member(o, "bytes", true, &d.bytes) || !count_member(o, "records", true, &d.records) ||
        !text_member(o, "sha256", true, sha, sizeof sha) || !am_is_hex(sha, AM_SHA256_LEN) ||
        !count_member(o, "peak_memory_bytes", false, &peak) || (cpu && !json_is_null(cpu) && !json_is_number(cpu)))
        return bad_member(r, "done");
    if (json_is_number(cpu) && json_number_value(cpu) >= 0)
        d.cpu_seconds = json_number_value(cpu);
    if (json_is_integer(json_object_get(o, "peak_memory_bytes")))
        d.peak_memory_bytes = (int64_t)peak;
    memcpy(d.sha256, sha, sizeof d.sha256);
    r->result = d;
    r->done = true;
    return 0;
}

static int take_nothing(struct am_records *r, json_t *o)
{
    (void)r;
    (void)o;
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct am_records *r, json_t *o);
} kinds[] = {
    [AM_RECORD_HELLO] = {"hello", take_hello},           [AM_RECORD_PROGRESS] = {"progress", take_progress},
    [AM_RECORD_HEARTBEAT] = {"heartbeat", take_nothing}, [AM_RECORD_FAULT] = {"fault", take_fault},
    [AM_RECORD_FAILED] = {"failed", take_failed},        [AM_RECORD_DONE] = {"done", take_done},
};

static enum am_record kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (am_streq(kinds[i].name, name))
            return (enum am_record)i;
    return AM_RECORD_UNKNOWN;
}

static int take_record(struct am_records *r, json_t *o, enum am_record kind)
{
    if (kind == AM_RECORD_UNKNOWN) {
        if (++r->unknown > AM_RECORD_UNKNOWN_MAX)
            return broken(r, AM_E_CRASHED, "the worker broke the protocol: more than %d unknown records",
                          AM_RECORD_UNKNOWN_MAX);
        return 0;
    }
    /* the heartbeat is a thread of its own in the worker and may come in late; nothing else may */
    if ((r->done || r->failed) && kind != AM_RECORD_HEARTBEAT)
        return broken(r, AM_E_CRASHED, "the worker broke the protocol: a \"%s\" record after its last one",
                      kinds[kind].name);
    return kinds[kind].take(r, o);
}

static int take_line(struct am_records *r, const char *line, size_t n, void (*on)(void *, enum am_record), void *arg)
{
    json_auto_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(o, "record"));
    if (!name)
        return broken(r, AM_E_CRASHED, "the worker broke the protocol: a line on descriptor 3 is not a record");
    enum am_record kind = kind_of(name);
    if (!r->hello && kind != AM_RECORD_HELLO)
        return broken(r, AM_E_CRASHED, "the worker broke the protocol: it did not say hello first");
    AM_TRY(take_record(r, o, kind));
    if (on)
        on(arg, kind);
    return 0;
}

void am_records_init(struct am_records *r, const char *registry_sha256)
{
    memset(r, 0, sizeof *r);
    if (registry_sha256)
        snprintf(r->registry, sizeof r->registry, "%s", registry_sha256);
    r->result.cpu_seconds = -1;
    r->result.peak_memory_bytes = -1;
}

int am_records_feed(struct am_records *r, const char *bytes, size_t n, void (*on)(void *arg, enum am_record kind),
                    void *arg)
{
    while (n > 0) {
        if (r->broken)
            return -r->broken;
        const char *end = memchr(bytes, '\n', n);
        size_t part = end ? (size_t)(end - bytes) : n;
        if (part > sizeof r->line - r->len)
            return broken(r, AM_E_CRASHED, "the worker broke the protocol: a record of more than %d bytes",
                          AM_RECORD_LINE);
        memcpy(r->line + r->len, bytes, part);
        r->len += part;
        if (!end)
            return 0;
        size_t len = r->len;
        r->len = 0;
        AM_TRY(take_line(r, r->line, len, on, arg));
        bytes += part + 1;
        n -= part + 1;
    }
    return r->broken ? -r->broken : 0;
}

int am_records_pace(struct am_records *r, size_t n, int64_t ms)
{
    uint64_t seconds = ms > 0 ? (uint64_t)ms / 1000 : 0;
    r->bytes += n;
    if (!r->broken && r->bytes > AM_RECORD_BURST + seconds * AM_RECORD_BYTES_A_SECOND)
        return broken(r, AM_E_CRASHED,
                      "the worker broke the protocol: %llu bytes of records in %llu seconds, more than it can have to "
                      "say",
                      (unsigned long long)r->bytes, (unsigned long long)seconds);
    return r->broken ? -r->broken : 0;
}

int am_records_end(struct am_records *r)
{
    if (!r->broken && r->len > 0)
        return broken(r, AM_E_CRASHED, "the worker broke the protocol: its last record has no end");
    return r->broken ? -r->broken : 0;
}

void am_records_done(struct am_records *r)
{
    am_faults_done(&r->faults);
    free(r->detail);
    free(r->tensor);
    r->detail = r->tensor = NULL;
}
