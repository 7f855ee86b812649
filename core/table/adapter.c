/*
 * adapter.c - see adapter.h: the tensors of an adapter put together by what they change, and held to the base.
 */
#include "core/table/adapter_parts.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/plan_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 20
#define SHAPE_TEXT 200
#define READ_BYTES ((uint64_t)1 << 18) /* while a factor is read */

struct found { /* a tensor of the adapter */
    struct am_adapter_name name;
    size_t index;
};

struct reading {
    struct am_adapter_config config;
    const struct am_adapter_tensor *t;
    struct am_adapter_fit fit; /* .a is what is made */
};

static const char *shape_text(char out[SHAPE_TEXT], const struct am_adapter_tensor *t)
{
    int n = snprintf(out, SHAPE_TEXT, "[");
    for (unsigned i = 0; i < t->rank && i < AM_ADAPTER_RANKS; i++)
        n += snprintf(out + n, SHAPE_TEXT - (size_t)n, "%s%" PRIu64, i ? "," : "", t->shape[i]);
    snprintf(out + n, SHAPE_TEXT - (size_t)n, "]");
    return out;
}

void am_adapter_shape(struct am_adapter_tensor *t, const char *shape)
{
    t->rank = 0;
    for (const char *p = shape + (*shape == '['); *p && *p != ']'; p += *p == ',') {
        char *end;
        uint64_t v = strtoull(p, &end, 10);
        if (end == p)
            break;
        if (t->rank < AM_ADAPTER_RANKS)
            t->shape[t->rank] = v;
        t->rank++;
        for (p = end; *p == ' '; p++)
            ;
    }
}

static uint64_t elements(const struct am_adapter_tensor *t)
{
    uint64_t n = 1;
    for (unsigned i = 0; i < t->rank && i < AM_ADAPTER_RANKS; i++)
        n = am_plan_times(n, t->shape[i]);
    return n;
}

static void mismatch(struct am_adapter_fit *fit, const char *tensor, const char *fmt, ...) AM_PRINTF(3, 4);
static void mismatch(struct am_adapter_fit *fit, const char *tensor, const char *fmt, ...)
{
    char text[800];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (fit->faults++ < LISTED)
        am_fault_add(fit->f, AM_E_SHAPE_MISMATCH,
                     (struct am_where){.pointer = fit->about->pointer, .reason = "adapter-mismatch", .tensor = tensor},
                     "adapter %s: %s", fit->about->label, text);
}

static void sum_up(const struct am_adapter_fit *fit)
{
    if (fit->faults > LISTED)
        am_fault_add(fit->f, AM_E_SHAPE_MISMATCH,
                     (struct am_where){.pointer = fit->about->pointer, .reason = "adapter-mismatch"},
                     "adapter %s: and %zu more modules", fit->about->label, fit->faults - LISTED);
}

static int by_target(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int order = strcmp(x->name.target, y->name.target);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

/* Which member of the part it is. */
static size_t *place_of(struct am_adapter_part *p, enum am_adapter_slot slot)
{
    return slot == AM_LORA_A ? &p->a : slot == AM_LORA_B ? &p->b : slot == AM_LORA_BIAS ? &p->bias : &p->whole;
}

/* r of A [r, ...] and of B [o, r, 1 ...]; an embedding's are [r, rows] and [columns, r]. */
static void check_pair(struct reading *r, struct am_adapter_part *p, const char *module)
{
    const struct am_adapter_tensor *a = &r->t[p->a], *b = &r->t[p->b];
    char sa[SHAPE_TEXT], sb[SHAPE_TEXT];
    bool flat = a->rank >= 2 && a->rank <= AM_ADAPTER_RANKS && b->rank >= 2 && b->rank <= AM_ADAPTER_RANKS;
    for (unsigned i = 2; flat && i < b->rank; i++)
        flat = b->shape[i] == 1;
    if (!flat || a->shape[0] != b->shape[1] || a->shape[0] == 0) {
        mismatch(&r->fit, a->name, "lora_A of %.200s is %s and lora_B is %s; they must be [r, in] and [out, r]", module,
                 shape_text(sa, a), shape_text(sb, b));
        return;
    }
    if (a->rank > 2) {
        p->swapped = false;
        p->by = AM_SIDE_KIND;
    }
    uint64_t wanted = am_adapter_rank(&r->config, module);
    if (wanted && wanted != a->shape[0])
        mismatch(&r->fit, a->name, "lora_A of %.200s has rank %" PRIu64 ", " AM_ADAPTER_CONFIG " says %" PRIu64, module,
                 a->shape[0], wanted);
    p->scale = am_adapter_scale(&r->config, module, a->shape[0]);
    r->fit.a->bytes = am_plan_plus(r->fit.a->bytes, am_plan_times(4, am_plan_plus(elements(a), elements(b))));
}

static void check_dtypes(struct reading *r, const struct am_adapter_part *p)
{
    const size_t own[] = {p->a, p->b, p->bias, p->whole};
    for (size_t i = 0; i < 4; i++)
        if (own[i] != AM_ADAPTER_NONE && !am_plan_computed(r->t[own[i]].dtype))
            mismatch(&r->fit, r->t[own[i]].name, "%.300s is %.20s; an adapter's tensors are F32, F16, BF16 or F64",
                     r->t[own[i]].name, r->t[own[i]].dtype);
}

static uint64_t rank_of_module(const struct reading *r, const struct found *found, size_t n, const char *module)
{
    char weight[1100];
    snprintf(weight, sizeof weight, "%.1000s.weight", module);
    for (size_t i = 0; i < n; i++)
        if (found[i].name.slot == AM_LORA_A && am_streq(found[i].name.target, weight))
            return r->t[found[i].index].shape[0];
    return 0;
}

/* The tensors found[0 .. n) have one target. `all` of them: the rank of what is added to a bias is its module's. */
static int take_part(struct reading *r, const struct found *found, size_t n, const struct found *all, size_t alls)
{
    struct am_adapter_part *p = &r->fit.a->part[r->fit.a->parts];
    char module[1001];
    *p = (struct am_adapter_part){.a = AM_ADAPTER_NONE,
                                  .b = AM_ADAPTER_NONE,
                                  .bias = AM_ADAPTER_NONE,
                                  .whole = AM_ADAPTER_NONE,
                                  .swapped = r->config.swapped,
                                  .target = strdup(found->name.target)};
    if (!p->target)
        return -AM_E_OUT_OF_MEMORY;
    r->fit.a->parts++;
    r->fit.a->names += strlen(p->target);
    snprintf(module, sizeof module, "%.*s", (int)(found->name.module < 1000 ? found->name.module : 1000), p->target);
    for (size_t i = 0; i < n; i++) {
        size_t *at = place_of(p, found[i].name.slot);
        if (*at != AM_ADAPTER_NONE)
            mismatch(&r->fit, r->t[found[i].index].name, "%.300s and %.300s mean the same; one adapter at a time",
                     r->t[*at].name, r->t[found[i].index].name);
        *at = found[i].index;
        if (found[i].name.embedding) {
            p->swapped = true;
            p->by = AM_SIDE_KIND;
        }
    }
    check_dtypes(r, p);
    if ((p->a == AM_ADAPTER_NONE) != (p->b == AM_ADAPTER_NONE))
        mismatch(&r->fit, p->target, "%.300s has lora_%c and no lora_%c", module, p->a == AM_ADAPTER_NONE ? 'B' : 'A',
                 p->a == AM_ADAPTER_NONE ? 'A' : 'B');
    else if (p->a != AM_ADAPTER_NONE)
        check_pair(r, p, module);
    if (p->bias != AM_ADAPTER_NONE) {
        uint64_t rank = rank_of_module(r, all, alls, module);
        p->scale = am_adapter_scale(&r->config, module, rank ? rank : (uint64_t)r->config.r);
        r->fit.a->bytes = am_plan_plus(r->fit.a->bytes, am_plan_times(4, elements(&r->t[p->bias])));
    }
    return 0;
}

static void strange(struct reading *r, const struct found *found)
{
    const char *name = r->t[found->index].name;
    const char *kind = strstr(name, "magnitude") ? "DoRA" : strstr(name, "vera") ? "VeRA" : "such";
    if (r->fit.faults++ == 0)
        am_fault_add(r->fit.f, AM_E_UNSUPPORTED_FORMAT,
                     (struct am_where){.pointer = r->fit.about->pointer, .reason = "adapter-kind", .tensor = name},
                     "%s: %s adapters are not supported (its tensor %.300s is none of a plain LoRA); merge it into its "
                     "base with "
                     "PEFT (merge_and_unload) and register the result",
                     r->fit.about->label, kind, name);
}

static int take_all(struct reading *r, struct found *found, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        found[i].index = i;
        AM_TRY(am_adapter_name(&found[i].name, r->t[i].name));
        if (found[i].name.slot == AM_LORA_STRANGE)
            strange(r, &found[i]);
    }
    qsort(found, n, sizeof *found, by_target);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && am_streq(found[end].name.target, found[i].name.target);)
            end++;
        if (found[i].name.slot != AM_LORA_STRANGE)
            AM_TRY(take_part(r, found + i, end - i, found, n));
    }
    return 0;
}

static int make(struct reading *r, size_t tensors)
{
    struct found *found = calloc(tensors + 1, sizeof *found);
    const char *base = json_string_value(json_object_get(r->config.root, "base_model_name_or_path"));
    r->fit.a->swapped = r->config.swapped;
    r->fit.a->part = calloc(tensors + 1, sizeof *r->fit.a->part);
    r->fit.a->base = base && *base ? strdup(base) : NULL;
    int rc = found && r->fit.a->part && (!base || !*base || r->fit.a->base) ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = take_all(r, found, tensors);
    for (size_t i = 0; found && i < tensors; i++)
        free(found[i].name.target);
    free(found);
    if (rc == 0 && r->fit.a->parts == 0 && r->fit.faults == 0)
        mismatch(&r->fit, NULL, "it has no tensors");
    return rc;
}

int am_adapter_read(struct am_adapter *ret, const char *config, size_t config_n, const struct am_adapter_tensor *t,
                    size_t tensors, const struct am_adapter_about *about, struct am_faults *f)
{
    struct am_adapter a = {0};
    struct reading r = {.t = t, .fit = {.a = &a, .t = t, .about = about, .f = f}};
    if (am_adapter_config(&r.config, config, config_n, about, f) < 0)
        return 0;
    int rc = make(&r, tensors);
    json_decref(r.config.root);
    sum_up(&r.fit);
    if (rc < 0 || r.fit.faults)
        am_adapter_done(&a);
    else
        *ret = a;
    return rc;
}

struct am_adapter_part *am_adapter_find(const struct am_adapter *a, const char *target)
{
    size_t low = 0, high = a->parts;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(a->part[mid].target, target);
        if (order == 0)
            return &a->part[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool same_shape(const struct am_adapter_tensor *x, const struct am_adapter_tensor *y)
{
    return x->rank == y->rank && x->rank <= AM_ADAPTER_RANKS &&
           memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) == 0;
}

/* The shape of B * A, or of its transpose; A may have more axes (convolutions). */
static struct am_adapter_tensor product(const struct am_adapter_fit *fit, const struct am_adapter_part *p, bool swapped)
{
    struct am_adapter_tensor shape = fit->t[p->a];
    shape.shape[0] = fit->t[p->b].shape[0];
    if (swapped) {
        shape.shape[0] = fit->t[p->a].shape[1];
        shape.shape[1] = fit->t[p->b].shape[0];
    }
    return shape;
}

static void hold(struct am_adapter_fit *fit, const struct am_adapter_part *p, const struct am_adapter_tensor *own,
                 const struct am_adapter_tensor *base)
{
    char so[SHAPE_TEXT], sb[SHAPE_TEXT];
    if (!same_shape(own, base))
        mismatch(fit, p->target, "%.300s has %s for %s of %s", p->target, shape_text(so, own), shape_text(sb, base),
                 fit->about->base_label);
}

/* Which way the factors of a matrix fit the base, when only one does. */
static void take_side(const struct am_adapter_fit *fit, struct am_adapter_part *p, const struct am_adapter_tensor *base)
{
    struct am_adapter_tensor straight = product(fit, p, false), swapped = product(fit, p, true);
    bool fits = same_shape(&swapped, base);
    if (p->by != AM_SIDE_CONFIG || fits == same_shape(&straight, base))
        return;
    p->swapped = fits;
    p->by = AM_SIDE_SHAPE;
}

void am_adapter_meet(struct am_adapter_fit *fit, const struct am_adapter_tensor *base)
{
    struct am_adapter_part *p = am_adapter_find(fit->a, base->name);
    if (!p)
        return;
    p->met = true;
    if (!am_plan_computed(base->dtype)) {
        mismatch(fit, p->target, "%.300s is %.20s in %s, and only F32, F16, BF16 and F64 can be changed", p->target,
                 base->dtype, fit->about->base_label);
        return;
    }
    if (p->a != AM_ADAPTER_NONE) {
        take_side(fit, p, base);
        struct am_adapter_tensor shape = product(fit, p, p->swapped);
        hold(fit, p, &shape, base);
    }
    if (p->bias != AM_ADAPTER_NONE)
        hold(fit, p, &fit->t[p->bias], base);
    if (p->whole != AM_ADAPTER_NONE)
        hold(fit, p, &fit->t[p->whole], base);
}

static bool is_square(const struct am_adapter_fit *fit, const struct am_adapter_part *p)
{
    return p->met && p->a != AM_ADAPTER_NONE && p->by == AM_SIDE_CONFIG &&
           fit->t[p->a].shape[1] == fit->t[p->b].shape[0];
}

/* "c_proj.weight" of "h.0.attn.c_proj.weight" */
static const char *last_of(const char *target)
{
    const char *at = strrchr(target, '.');
    while (at && at > target && at[-1] != '.')
        at--;
    return at ? at : target;
}

/* What the shapes of an adapter's matrices told of modules, by the last part of their names. */
struct vote {
    const char *last;
    bool side[2]; /* some lie straight, some swapped */
};
#define VOTES 64 /* names that differ; more have no vote */

static size_t count_votes(const struct am_adapter *a, struct vote vote[VOTES])
{
    size_t n = 0;
    for (size_t i = 0, k; i < a->parts; i++) {
        const char *last = last_of(a->part[i].target);
        if (a->part[i].by != AM_SIDE_SHAPE)
            continue;
        for (k = 0; k < n && !am_streq(vote[k].last, last);)
            k++;
        if (k == VOTES)
            continue;
        if (k == n)
            vote[n++] = (struct vote){.last = last};
        vote[k].side[a->part[i].swapped] = true;
    }
    return n;
}

static void settle_square(struct am_adapter_fit *fit, struct am_adapter_part *p, const struct vote *vote, size_t n)
{
    const char *last = last_of(p->target);
    for (size_t k = 0; k < n; k++)
        if (am_streq(vote[k].last, last) && vote[k].side[0] != vote[k].side[1]) {
            p->swapped = vote[k].side[1];
            return;
        }
    mismatch(fit, p->target,
             "%.300s is square, and fan_in_fan_out of " AM_ADAPTER_CONFIG
             " is wrong for other modules of the adapter, so "
             "whether it lies [in, out] cannot be told; merge it into its base with PEFT (merge_and_unload)",
             p->target);
}

/* Their shapes tell nothing, and fan_in_fan_out only while it is right for all others. */
static void settle_squares(struct am_adapter_fit *fit, bool config)
{
    struct vote vote[VOTES];
    bool right = true;
    for (size_t i = 0; right && i < fit->a->parts; i++)
        right = fit->a->part[i].by != AM_SIDE_SHAPE || fit->a->part[i].swapped == config;
    size_t n = right ? 0 : count_votes(fit->a, vote);
    for (size_t i = 0; !right && i < fit->a->parts; i++)
        if (is_square(fit, &fit->a->part[i]))
            settle_square(fit, &fit->a->part[i], vote, n);
}

void am_adapter_missed(struct am_adapter_fit *fit)
{
    settle_squares(fit, fit->a->swapped);
    for (size_t i = 0; i < fit->a->parts; i++)
        if (!fit->a->part[i].met)
            mismatch(fit, fit->a->part[i].target, "%.300s is not in %s", fit->a->part[i].target,
                     fit->about->base_label);
    sum_up(fit);
}

/* A path says only its last part, and so many slashes are no name of a model. */
bool am_adapter_base_differs(const struct am_adapter *a, const char *model)
{
    const char *base = a->base, *first = base ? strchr(base, '/') : NULL;
    if (!base || am_streq(base, model))
        return false;
    bool path = !first || base[0] == '/' || base[0] == '.' || strchr(first + 1, '/');
    const char *last = strrchr(base, '/'), *own = strrchr(model, '/');
    return !path || !am_streq(last ? last + 1 : base, own ? own + 1 : model);
}

/* Numbers, names and, of each changed tensor, what is known of it and of its three. */
uint64_t am_adapter_held(const struct am_adapter *a)
{
    return am_plan_plus(am_plan_plus(a->bytes, READ_BYTES), am_plan_times(4, a->names + 256 * a->parts));
}

void am_adapter_done(struct am_adapter *a)
{
    for (size_t i = 0; i < a->parts; i++)
        free(a->part[i].target);
    free(a->part);
    free(a->base);
    *a = (struct am_adapter){0};
}
