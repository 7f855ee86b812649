/*
 * trace.c - see trace.h.
 */
#include "server/trace.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

static bool is_hex(const char *p, size_t n, bool may_be_zero)
{
    bool some = may_be_zero;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return false;
        some |= p[i] != '0';
    }
    return some;
}

bool am_trace_parse(const char *header, char out[AM_TRACE_PARENT])
{
    size_t n = header ? strlen(header) : 0;
    if (n < AM_TRACE_PARENT - 1 || header[2] != '-' || header[35] != '-' || header[52] != '-')
        return false;
    bool first = am_starts(header, "00"); /* later versions may have more, after another dash */
    if (!is_hex(header, 2, true) || am_starts(header, "ff") || (first && n != AM_TRACE_PARENT - 1) ||
        (n > AM_TRACE_PARENT - 1 && header[55] != '-'))
        return false;
    if (!is_hex(header + 3, 32, false) || !is_hex(header + 36, 16, false) || !is_hex(header + 53, 2, true))
        return false;
    snprintf(out, AM_TRACE_PARENT, "00%.53s", header + 2);
    return true;
}

void am_trace_id(const char *parent, const char *job_uid, char out[33])
{
    snprintf(out, 33, "%.32s", parent ? parent + 3 : job_uid + strlen("job_"));
}

void am_trace_child(const char *parent, const char *job_uid, char out[AM_TRACE_PARENT])
{
    char id[33];
    am_trace_id(parent, job_uid, id);
    /* the last half of a job's id is random */
    snprintf(out, AM_TRACE_PARENT, "00-%s-%.16s-%.2s", id, job_uid + strlen("job_") + 16, parent ? parent + 53 : "01");
}
