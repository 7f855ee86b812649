/*
 * fault.c - the list of faults of fault.h. When memory is short a fault is counted but not kept: the code that the
 * caller returns still says that something was wrong.
 */
#include "core/base/fault.h"

#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fault_done(struct am_fault *f)
{
    free(f->pointer);
    free(f->reason);
    free(f->tensor);
    free(f->file);
    free(f->detail);
}

/* NULL stays NULL; *ok becomes false when memory is short. */
static char *copy(const char *s, bool *ok)
{
    char *c = s ? strdup(s) : NULL;
    if (s && !c)
        *ok = false;
    return c;
}

static bool room(struct am_faults *f)
{
    if (f->n >= AM_FAULTS_MAX)
        return false;
    if (f->n & (f->n + 1)) /* grown at 0, 1, 3, 7, 15 ... */
        return true;
    struct am_fault *v = realloc(f->v, (2 * f->n + 1) * sizeof(*v));
    if (!v)
        return false;
    f->v = v;
    return true;
}

int am_fault_add(struct am_faults *f, int code, struct am_where where, const char *fmt, ...)
{
    f->total++;
    if (code < 0)
        code = -code;
    if (!room(f))
        return -code;
    char *detail = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&detail, fmt, ap);
    va_end(ap);
    if (n < 0)
        return -code;
    am_utf8_mend(detail); /* names in it may have been cut */
    bool ok = true;
    struct am_fault one = {.code = code, .detail = detail};
    one.pointer = copy(where.pointer ? where.pointer : "", &ok);
    one.reason = copy(where.reason, &ok);
    one.tensor = copy(where.tensor, &ok);
    one.file = copy(where.file, &ok);
    if (ok)
        f->v[f->n++] = one;
    else
        fault_done(&one);
    return -code;
}

static int severity(int code)
{
    int status = am_err_status(code);
    return status ? status : 422;
}

int am_faults_worst(const struct am_faults *f)
{
    int worst = 0;
    for (size_t i = 0; i < f->n; i++)
        if (!worst || severity(f->v[i].code) > severity(worst))
            worst = f->v[i].code;
    if (!worst && f->total)
        worst = AM_E_OUT_OF_MEMORY;
    return -worst;
}

void am_faults_done(struct am_faults *f)
{
    for (size_t i = 0; i < f->n; i++)
        fault_done(&f->v[i]);
    free(f->v);
    *f = (struct am_faults){0};
}
