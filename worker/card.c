/*
 * card.c - see card.h. Names of models are safe in YAML and Markdown by the rules for names; all other texts are
 * escaped.
 */
#include "worker/card.h"

#include "core/base/text.h"
#include "core/table/card_mark.h"
#include "worker/json_text.h"

#include <string.h>

#define RECIPE_INDENT 2
#define TITLE_MODELS 4   /* named in the title */
#define CARRIED_MAX 4096 /* bytes of one key of the donor's front matter */
#define FENCE "````````````````"
#define FENCE_MAX ((int)sizeof(FENCE) - 1)

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

/* A key of the donor's front matter with its value, however many lines that has, as it stands; nothing when it has
   none. */
static int carry(const struct am_card_base *b, const char *key, struct am_buf *out)
{
    const char *text = b->readme, *end = text && am_starts(text, "---\n") ? strstr(text + 3, "\n---\n") : NULL;
    size_t n = strlen(key);
    if (!end || !am_utf8_ok(text, (size_t)(end - text)))
        return 0;
    for (const char *line = text + 4; line <= end; line = strchr(line, '\n') + 1) {
        if (strncmp(line, key, n) != 0 || line[n] != ':')
            continue;
        const char *next = strchr(line, '\n') + 1;
        while (next <= end && (*next == ' ' || am_starts(next, "- ")))
            next = strchr(next, '\n') + 1;
        return (size_t)(next - line) <= CARRIED_MAX ? am_buf_put(out, line, (size_t)(next - line)) : 0;
    }
    return 0;
}

static bool of_one_model(const struct am_spec_run *s)
{
    for (size_t i = 1; i < s->inputs; i++)
        if (!told_before(s, i))
            return false;
    return true;
}

/* What the donor's card says of its kind is true of the result. Its licence is one of several when several models went
   in, and which of them holds is for a person to say. */
static int carry_all(const struct am_spec_run *s, const struct am_card_base *b, struct am_buf *out)
{
    static const char *const always[] = {"pipeline_tag", "language"}, *const licence[] = {"license", "license_name",
                                                                                          "license_link"};
    size_t before = out->len;
    AM_TRY(b->adapter ? am_buf_puts(out, "library_name: peft\n") : carry(b, "library_name", out));
    if (out->len == before && b->transformers)
        AM_TRY(am_buf_puts(out, "library_name: transformers\n"));
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        AM_TRY(carry(b, always[i], out));
    for (size_t i = 0; i < sizeof licence / sizeof *licence && of_one_model(s); i++)
        AM_TRY(carry(b, licence[i], out));
    return 0;
}

static int front_matter(const struct am_spec_run *s, const struct am_card_base *b, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "---\nbase_model:\n"));
    for (size_t i = 0; i < s->inputs; i++) {
        struct source src = source_of(s, i);
        bool about = !b->adapter || am_streq(src.role, "base"); /* what an adapter is put on, and nothing else */
        if (about && !told_before(s, i))
            AM_TRY(am_buf_printf(out, "- %.*s\n", (int)src.model_n, src.model));
    }
    const char *relation = b->adapter ? "adapter" : am_streq(s->type, "merge") ? "merge" : "finetune";
    AM_TRY(am_buf_printf(out, "base_model_relation: %s\n", relation));
    AM_TRY(carry_all(s, b, out));
    return am_buf_printf(out, "tags:\n- %s\n- %s\n- amend\n---\n\n", s->type, s->method);
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

/* The configuration that the job was made of, between fences that are longer than any row of backticks in it. */
static int configuration(const struct am_spec_run *s, struct am_buf *out)
{
    const char *text = json_string_value(json_object_get(s->recipe, "mergekit_config"));
    int fence = 3, row = 0;
    for (const char *p = text; p && *p; p++) {
        row = *p == '`' ? row + 1 : 0;
        fence = row >= fence ? row + 1 : fence;
    }
    if (!text || fence > FENCE_MAX)
        return 0;
    AM_TRY(am_buf_printf(out, "\n## Configuration\n\n%.*syaml\n%s", fence, FENCE, text));
    return am_buf_printf(out, "%s%.*s\n", am_ends(text, "\n") ? "" : "\n", fence, FENCE);
}

/* Not the name of the result: what it is published as is no part of the recipe, and the same recipe gives the same
   bytes. */
static int title(const struct am_spec_run *s, struct am_buf *out)
{
    size_t told = 0, more = 0;
    AM_TRY(am_buf_printf(out, "# %s/%s of ", s->type, s->method));
    for (size_t i = 0; i < s->inputs; i++) {
        struct source src = source_of(s, i);
        if (told_before(s, i))
            continue;
        if (told == TITLE_MODELS)
            more++;
        else
            AM_TRY(am_buf_printf(out, "%s%.*s", told++ ? ", " : "", (int)src.model_n, src.model));
    }
    return more ? am_buf_printf(out, " and %zu more\n\n", more) : am_buf_puts(out, "\n\n");
}

int am_card_readme(const struct am_spec_run *s, const struct am_card_base *base, struct am_buf *out)
{
    AM_TRY(front_matter(s, base, out));
    AM_TRY(title(s, out));
    AM_TRY(am_buf_printf(
        out,
        "Made by amend with the method %s/%s from %zu input%s; amend.json holds the whole recipe, from which the same "
        "bytes can be made again.\n\n",
        s->type, s->method, s->inputs, s->inputs == 1 ? "" : "s"));
    AM_TRY(inputs_table(s, out));
    AM_TRY(params_table(s, out));
    AM_TRY(configuration(s, out));
    if (base->original)
        AM_TRY(am_buf_puts(out, "\nThe card that was written by hand for the model it began with: [" AM_CARD_ORIGINAL
                                "](" AM_CARD_ORIGINAL ").\n"));
    return am_card_seal(out);
}

int am_card_recipe(const struct am_spec_run *s, struct am_buf *out)
{
    AM_TRY(am_json_text(out, s->recipe, RECIPE_INDENT));
    return am_buf_puts(out, "\n");
}
