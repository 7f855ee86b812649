/*
 * card.c - see card.h. Names of models are safe in YAML and Markdown by the rules for names; all other texts are
 * escaped.
 */
#include "worker/card.h"

#include "core/base/text.h"
#include "worker/json_text.h"

#include <string.h>

#define RECIPE_INDENT 2

struct source { /* one input as the recipe tells it, or as the label "ns/name@rev" does */
    const char *role, *model, *commit;
    size_t model_n;
};

static struct source source_of(const struct am_spec_run *s, size_t i)
{
    json_t *o = json_array_get(json_object_get(s->recipe, "inputs"), i);
    const char *model = json_string_value(json_object_get(o, "model"));
    const char *commit = json_string_value(json_object_get(o, "commit"));
    struct source src = {
        .role = s->input[i].role, .model = model ? model : s->input[i].label, .commit = commit ? commit : ""};
    src.model_n = strcspn(src.model, "@");
    return src;
}

static bool told_before(const struct am_spec_run *s, size_t i)
{
    struct source a = source_of(s, i);
    for (size_t j = 0; j < i; j++) {
        struct source b = source_of(s, j);
        if (a.model_n == b.model_n && memcmp(a.model, b.model, a.model_n) == 0)
            return true;
    }
    return false;
}

static int front_matter(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "---\nbase_model:\n"));
    for (size_t i = 0; i < s->inputs; i++) {
        struct source src = source_of(s, i);
        if (!told_before(s, i))
            AM_TRY(am_buf_printf(out, "- %.*s\n", (int)src.model_n, src.model));
    }
    return am_buf_printf(out, "base_model_relation: %s\ntags:\n- %s\n- %s\n- amend\n---\n\n",
                         am_streq(s->type, "merge") ? "merge" : "finetune", s->type, s->method);
}

static int cell(struct am_buf *out, const char *text)
{
    AM_TRY(am_buf_puts(out, " "));
    for (; *text; text++) {
        if (strchr("|\\`*_<", *text))
            AM_TRY(am_buf_puts(out, "\\"));
        AM_TRY((unsigned char)*text < 0x20 ? am_buf_puts(out, " ") : am_buf_put(out, text, 1));
    }
    return am_buf_puts(out, " |");
}

static int cell_json(struct am_buf *out, const json_t *value)
{
    struct am_buf text;
    am_buf_init(&text, 1u << 20);
    int rc = am_json_text(&text, value, 0);
    if (rc == 0)
        rc = cell(out, text.data);
    am_buf_done(&text);
    return rc;
}

static int inputs_table(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "## Inputs\n\n| role | model | commit |\n|---|---|---|\n"));
    for (size_t i = 0; i < s->inputs; i++) {
        struct source src = source_of(s, i);
        AM_TRY(am_buf_puts(out, "|"));
        AM_TRY(cell(out, src.role));
        AM_TRY(am_buf_printf(out, " %.*s |", (int)src.model_n, src.model));
        AM_TRY(cell(out, src.commit));
        AM_TRY(am_buf_puts(out, "\n"));
    }
    return 0;
}

static int row(struct am_buf *out, const char *name, const char *of, const json_t *value)
{
    AM_TRY(am_buf_puts(out, "|"));
    AM_TRY(cell(out, name));
    AM_TRY(cell(out, of));
    AM_TRY(cell_json(out, value));
    return am_buf_puts(out, "\n");
}

/* Sorted by name, as am_json_text sorts. */
static int rows(struct am_buf *out, json_t *params, const char *of)
{
    const char *last = "", *next, *key;
    json_t *v;
    for (size_t i = json_object_size(params); i > 0; i--) {
        next = NULL;
        json_object_foreach(params, key, v) if (strcmp(key, last) > 0 && (!next || strcmp(key, next) < 0)) next = key;
        if (!next)
            break;
        AM_TRY(row(out, next, of, json_object_get(params, next)));
        last = next;
    }
    return 0;
}

static int params_table(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "\n## Parameters\n\n| parameter | of | value |\n|---|---|---|\n"));
    AM_TRY(rows(out, s->params, "all"));
    for (size_t i = 0; i < s->inputs; i++)
        AM_TRY(rows(out, s->input[i].params, s->input[i].label));
    return 0;
}

int am_card_readme(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(front_matter(s, out));
    AM_TRY(am_buf_printf(
        out,
        "# %s\n\nMade by amend with the method %s/%s from %zu input%s; amend.json holds the whole recipe, from "
        "which the same bytes can be made again.\n\n",
        s->model, s->type, s->method, s->inputs, s->inputs == 1 ? "" : "s"));
    AM_TRY(inputs_table(s, out));
    return params_table(s, out);
}

int am_card_recipe(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(am_json_text(out, s->recipe, RECIPE_INDENT));
    return am_buf_puts(out, "\n");
}
