/*
 * adapter.c - see adapter.h.
 */
#include "server/api/adapter.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "storage/blobs.h"
#include "storage/models.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHTS "adapter_model.safetensors"

struct config { /* the text of a small file */
    struct am_submit *s;
    int64_t bytes, layout;
    char *text;
};

static int take_file(void *ctx, const struct am_file_row *f)
{
    struct config *c = ctx;
    c->bytes = f->bytes;
    c->layout = f->layout;
    return 0;
}

static int read_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct config *c = ctx;
    AM_CLEANUP(am_sys_closep) int fd = am_blob_open(c->s->r->srv->store, blob_hex);
    if (fd < 0 || at < 0 || bytes < 0 || at + bytes > c->bytes)
        return -AM_E_STORE_DAMAGED;
    return am_sys_pread(fd, c->text + at, (size_t)bytes, (uint64_t)offset);
}

/* 0 also with a fault; c->text is NULL then. */
static int read_config(struct config *c, int64_t version, const struct am_adapter_about *about)
{
    struct am_where where = {.pointer = about->pointer, .reason = "adapter-config"};
    int rc = am_file_get(c->s->db, version, AM_ADAPTER_CONFIG, take_file, c);
    if (rc == -AM_E_NOT_FOUND || (rc == 0 && (size_t)c->bytes > AM_ADAPTER_CONFIG_MAX)) {
        am_fault_add(&c->s->faults, AM_E_UNSUPPORTED_FORMAT, where,
                     rc == 0 ? "%s: its " AM_ADAPTER_CONFIG " has more than 1 MiB"
                             : "%s has no " AM_ADAPTER_CONFIG
                               ", so it is no adapter; register the whole directory that "
                               "PEFT saved",
                     about->label);
        return 0;
    }
    AM_TRY(rc);
    c->text = calloc((size_t)c->bytes + 1, 1);
    if (!c->text)
        return -AM_E_OUT_OF_MEMORY;
    rc = am_span_list(c->s->db, c->layout, read_span, c);
    if (rc < 0) {
        free(c->text);
        c->text = NULL;
    }
    return rc;
}

struct tensors {
    struct am_adapter_tensor *v;
    size_t n, cap;
};

static void tensors_done(struct tensors *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free((char *)(uintptr_t)t->v[i].name);
        free((char *)(uintptr_t)t->v[i].dtype);
    }
    free(t->v);
}

static int add_tensor(void *ctx, const struct am_tensor_row *row)
{
    struct tensors *t = ctx;
    if (t->n == AM_ADAPTER_TENSORS)
        return -AM_E_TOO_LARGE;
    AM_TRY(am_grow(&t->v, t->n, &t->cap, sizeof *t->v));
    struct am_adapter_tensor *to = &t->v[t->n++];
    *to = (struct am_adapter_tensor){.name = strdup(row->name), .dtype = strdup(row->dtype)};
    am_adapter_shape(to, row->shape);
    return to->name && to->dtype ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int meet(void *ctx, const struct am_tensor_row *row)
{
    struct am_adapter_tensor t = {.name = row->name, .dtype = row->dtype};
    am_adapter_shape(&t, row->shape);
    am_adapter_meet(ctx, &t);
    return 0;
}

/* Holds the adapter to its base, when that could be found. */
static int fit(struct am_submit *s, struct am_adapter *a, const struct tensors *t, const struct am_adapter_about *about,
               const struct am_pinned *base)
{
    struct am_adapter_fit fit = {.a = a, .t = t->v, .about = about, .f = &s->faults};
    if (base->version == 0)
        return 0;
    AM_TRY(am_tensor_list(s->db, base->version, meet, &fit));
    am_adapter_missed(&fit);
    if (!am_adapter_base_differs(a, base->model))
        return 0;
    return am_submit_warn(s, "adapter-base-differs", "%s was trained on %.200s, and is added to %s", about->label,
                          a->base, about->base_label);
}

static int read_adapter(struct am_submit *s, size_t k, const struct am_adapter_about *about)
{
    struct tensors t = {0};
    struct config c = {.s = s};
    int rc = read_config(&c, s->in[k].version, about);
    if (rc == 0 && c.text)
        rc = am_tensor_list(s->db, s->in[k].version, add_tensor, &t);
    if (rc == -AM_E_TOO_LARGE) {
        am_fault_add(&s->faults, AM_E_UNSUPPORTED_FORMAT, (struct am_where){.pointer = about->pointer},
                     "%s has more than %d tensors; that is no adapter", about->label, AM_ADAPTER_TENSORS);
        rc = 0;
    } else if (rc == 0 && c.text) {
        struct am_adapter *a = &s->lora[k];
        rc = am_adapter_read(a, c.text, (size_t)c.bytes, t.v, t.n, about, &s->faults);
        if (rc == 0 && a->parts)
            rc = fit(s, a, &t, about, &s->in[s->body.input[k].of]);
    }
    tensors_done(&t);
    free(c.text);
    return rc;
}

static int nothing(void *ctx, const struct am_file_row *f)
{
    (void)ctx, (void)f;
    return 0;
}

/* An adapter in the place of a model is told as that, and not by each tensor that it lacks. */
static int check_alone(struct am_submit *s, size_t i)
{
    struct am_pinned *p = &s->in[i];
    int rc = p->version ? am_file_get(s->db, p->version, AM_ADAPTER_CONFIG, nothing, NULL) : -AM_E_NOT_FOUND;
    if (rc == 0)
        rc = am_file_get(s->db, p->version, WEIGHTS, nothing, NULL);
    if (rc == -AM_E_NOT_FOUND)
        return 0;
    AM_TRY(rc);
    bool change = am_streq(am_row_need(s->body.row, "base"), "required");
    am_fault_add(&s->faults, AM_E_MISSING_INPUT,
                 (struct am_where){.pointer = s->body.input[i].pointer, .reason = "adapter-without-base"},
                 "%s is an adapter; write base+%s%s", p->label, p->label,
                 change ? ", or {\"adapter\": ...} for the job's base with it" : "");
    p->version = 0;
    return 0;
}

int am_submit_adapters(struct am_submit *s)
{
    size_t heads = s->body.inputs - s->body.adapters;
    bool merge = s->body.row && am_streq(s->body.type, "merge");
    for (size_t i = 0; merge && i < heads; i++)
        AM_TRY(check_alone(s, i));
    if (s->body.adapters && !(s->lora = calloc(s->body.inputs, sizeof *s->lora)))
        return -AM_E_OUT_OF_MEMORY;
    for (size_t k = heads; k < s->body.inputs; k++) {
        const struct am_pinned *base = &s->in[s->body.input[k].of];
        struct am_adapter_about about = {s->in[k].label, base->label, s->body.input[k].pointer};
        if (s->in[k].version)
            AM_TRY(read_adapter(s, k, &about));
    }
    return 0;
}

void am_submit_adapters_done(struct am_submit *s)
{
    for (size_t i = 0; s->lora && i < s->body.inputs; i++)
        am_adapter_done(&s->lora[i]);
    free(s->lora);
}

const struct am_adapter *am_submit_adapter(const struct am_submit *s, size_t i)
{
    size_t k = s->body.input[i].adapter;
    return k && s->lora && s->lora[k].parts ? &s->lora[k] : NULL;
}

/* The model is the base that it was tuned from, with an adapter. */
const struct am_adapter *am_submit_carried(const struct am_submit *s)
{
    const struct am_body *b = &s->body;
    for (size_t i = 0; i + 1 < b->inputs; i++)
        if (am_streq(b->input[i].role, "model") && am_streq(b->input[i + 1].role, "old_base") &&
            !b->input[i + 1].adapter && s->in[i].version == s->in[i + 1].version)
            return am_submit_adapter(s, i);
    return NULL;
}

int am_adapted_next(void *adapted, struct am_plan_tensor *ret)
{
    struct am_adapted *a = adapted;
    int rc = a->next(a->cursor, ret);
    if (rc == 1) {
        ret->adapted = a->own && am_adapter_find(a->own, ret->name);
        ret->still = a->carried && !am_adapter_find(a->carried, ret->name);
    }
    return rc;
}
