/*
 * compare_groups.c - fairness and the search for slices, as JSON. See compare.h.
 */
#include "core/base/text.h"
#include "worker/compare.h"

#include <stdlib.h>

/* ---- groups ---- */

static const struct am_slice_key *find_key(const struct am_slice_key *key, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (am_streq(key[i].key, name))
            return &key[i];
    return NULL;
}

/* Of two keys the one whose groups lie further apart; the selection ratio is small then. */
static bool is_wider(const struct am_value *a, const struct am_value *b, size_t gap)
{
    if (!a->value.known || !b->value.known)
        return a->value.known;
    return gap == AM_GAP_SELECTION ? a->value.value < b->value.value : a->value.value > b->value.value;
}

static int one_key(struct am_comparing *c, const struct am_slice_key *key, struct am_value widest[AM_GAPS], bool first)
{
    struct am_value gap[AM_GAPS];
    json_t *values = json_object();
    int rc = am_group_gaps(&c->join, &c->grouping, key, &c->how.boot, gap);
    for (size_t k = 0; rc == 0 && k < AM_GAPS; k++) {
        if (c->how.texts && k != AM_GAP_NFR)
            continue; /* scores have flips, but no accuracy */
        json_object_set_new(values, gap[k].name, am_compare_value(&gap[k]));
        if (first || is_wider(&gap[k], &widest[k], k))
            widest[k] = gap[k];
    }
    json_array_append_new(c->groups, json_pack("{s:s,s:o}", "key", key->key, "values", values));
    return rc;
}

static void fault(struct am_comparing *c, const char *name, const char *why)
{
    am_fault_add(&c->s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/params/groups"},
                 "\"%.100s\" cannot be a key of groups: %s", name, why);
}

int am_compare_groups(struct am_comparing *c)
{
    const json_t *list = json_object_get(c->params, "groups");
    struct am_slice_key key[AM_COMPARE_KEYS];
    struct am_value widest[AM_GAPS];
    size_t n = am_slice_keys(&c->join, key), before = c->s->faults.total;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        const struct am_slice_key *k = name ? find_key(key, n, name) : NULL;
        if (!k)
            fault(c, name ? name : "", "no sample has it; a line of the prediction set names it in g");
        else if (k->values > AM_GROUPS_MAX)
            fault(c, name, "it has more than 100 values");
        else if (c->s->faults.total == before)
            AM_TRY(one_key(c, k, widest, json_array_size(c->groups) == 0));
    }
    if (c->s->faults.total > before)
        return -AM_E_INVALID_PARAMS;
    for (size_t k = 0; json_array_size(c->groups) && k < AM_GAPS; k++)
        if (!c->how.texts || k == AM_GAP_NFR)
            am_value_put(&c->numbers, &widest[k]);
    return 0;
}

/* ---- the search ---- */

static json_t *found_row(const struct am_slice_key *key, const struct am_found *x)
{
    const struct am_slice_counts *n = &x->counts;
    json_t *where = json_object();
    for (size_t k = 0; k < x->keys; k++)
        json_object_set_new(where, key[x->key[k]].key, json_string(key[x->key[k]].text[x->value[k]]));
    double all = (double)n->n;
    return json_pack("{s:o,s:I,s:f,s:f,s:I,s:I,s:f,s:f,s:f,s:f}", "where", where, "n", (json_int_t)n->n, "accuracy_old",
                     (double)n->right_old / all, "accuracy_new", (double)n->right_new / all, "b", (json_int_t)n->b, "c",
                     (json_int_t)n->c, "nfr", (double)n->b / all, "lower95", x->lower, "p_mid", x->p, "q", x->q);
}

int am_compare_find(struct am_comparing *c)
{
    struct am_slice_key key[AM_COMPARE_KEYS];
    size_t keys = am_slice_keys(&c->join, key);
    if (!json_is_true(json_object_get(c->params, "find_slices")))
        return 0;
    struct am_finds *found = malloc(sizeof *found);
    int rc = found ? am_find_slices(&c->join, key, keys, found) : -AM_E_OUT_OF_MEMORY;
    json_t *rows = json_array();
    for (size_t i = 0; rc == 0 && i < found->n; i++)
        json_array_append_new(rows, found_row(key, &found->shown[i]));
    if (rc == 0)
        c->found = json_pack("{s:b,s:I,s:b,s:O}", "exploratory", true, "tried", (json_int_t)found->tried, "cut",
                             found->cut, "rows", rows);
    json_decref(rows);
    free(found);
    return rc;
}
