/*
 * publisher_compare.c - see publisher_compare.h. amend.json names the program that computed: where that is another one
 * now, the file is left out and that is said.
 */
#include "server/publisher_compare.h"

#include "core/base/text.h"
#include "storage/verify.h"

#include <stdio.h>
#include <string.h>

enum { DIFFER_MAX = 20 };

struct compare {
    const struct am_comparison *in;
    json_t *differ, *left_out;
    int64_t files, differs;
    bool other_program;
};

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static bool leave_out(struct compare *c, const char *path)
{
    bool out = c->other_program && am_streq(path, "amend.json");
    if (out)
        json_array_append_new(c->left_out, json_string(path));
    return out;
}

static void differ(struct compare *c, const char *path)
{
    if (c->differs++ < DIFFER_MAX)
        json_array_append_new(c->differ, json_string(path));
}

static const struct am_file_new *find(const struct am_comparison *in, const char *path)
{
    for (size_t i = 0; i < in->files; i++)
        if (am_streq(in->file[i].path, path))
            return &in->file[i];
    return NULL;
}

static int take_file(void *ctx, const struct am_file_row *row)
{
    struct compare *c = ctx;
    c->files++;
    if (leave_out(c, row->path))
        return 0;
    const struct am_file_new *f = find(c->in, row->path);
    if (!f || !am_streq(f->sha256, row->sha256))
        differ(c, row->path);
    return 0;
}

static int take_row(void *ctx, const struct am_file_row *row)
{
    (void)row;
    *(bool *)ctx = true;
    return 0;
}

/* Files that the original does not have. */
static int look_for_new(struct compare *c, struct am_db *db, int64_t version)
{
    for (size_t i = 0; i < c->in->files; i++) {
        bool there = false;
        int rc = am_file_get(db, version, c->in->file[i].path, take_row, &there);
        if (rc == 0 && there)
            continue;
        if (rc < 0 && rc != -AM_E_NOT_FOUND)
            return rc;
        differ(c, c->in->file[i].path);
    }
    return 0;
}

static json_t *account(const struct compare *c, const char *reason)
{
    const struct am_comparison *in = c->in;
    return json_pack("{s:s?, s:{s:s?, s:s?}, s:I, s:O, s:I, s:O, s:{s:s?, s:s?}, s:s?}", "job",
                     text_of(in->with, "job"), "version", "model", text_of(in->with, "model"), "commit",
                     text_of(in->with, "commit"), "files", (json_int_t)c->files, "differ", c->differ, "differ_total",
                     (json_int_t)c->differs, "left_out", c->left_out, "kernels", "then", text_of(in->with, "kernels"),
                     "now", in->kernels, "reason", reason);
}

int am_publisher_compare(struct am_db *db, const struct am_comparison *in, json_t **ret_reproduced, json_t **ret)
{
    const char *model = text_of(in->with, "model"), *commit = text_of(in->with, "commit");
    const char *kernels = text_of(in->with, "kernels"), *program = text_of(in->with, "program"), *reason = NULL;
    json_auto_t *differs = json_array(), *left_out = json_array();
    struct compare c = {.in = in, .differ = differs, .left_out = left_out};
    int64_t version = 0;
    c.other_program = program && !am_streq(program, "amendd " AM_VERSION);
    bool gone = !model || !commit || am_rev_resolve(db, model, commit, &version, NULL) < 0;
    int rc = gone ? 0 : am_file_list(db, version, take_file, &c);
    if (rc == 0 && !gone)
        rc = look_for_new(&c, db, version);
    bool other_kernels = kernels && in->kernels && !am_streq(kernels, in->kernels);
    bool excused = c.differs && json_is_false(json_object_get(in->with, "any_kernels")) &&
                   (other_kernels || json_is_true(json_object_get(in->with, "other_blas")));
    if (gone)
        reason = "the version to compare with is no longer in the store";
    else if (excused)
        reason = "the method promises the same bytes only for one set of kernels and one BLAS, and these differ";
    *ret_reproduced = reason ? json_null() : json_boolean(c.differs == 0);
    *ret = account(&c, reason);
    return rc < 0 || *ret ? rc : -AM_E_OUT_OF_MEMORY;
}

static int found_one(void *ctx, struct am_db *db, const struct am_damage *d)
{
    (void)db;
    (void)d;
    ++*(int64_t *)ctx;
    return 0;
}

int am_publisher_doubt(struct am_store *store, const json_t *inputs, char *why, size_t why_cap)
{
    const json_t *in;
    size_t i;
    struct am_db *db = am_store_read(store);
    json_array_foreach(inputs, i, in)
    {
        const char *model = text_of(in, "model"), *commit = text_of(in, "commit");
        struct am_verify_scope scope = {0};
        struct am_verified v = {0};
        struct am_work work = {0};
        int64_t broken = 0;
        if (!db || !model || !commit || am_rev_resolve(db, model, commit, &scope.version, NULL) < 0)
            continue; /* the publisher says so */
        AM_TRY(am_verify(store, &scope, &work, found_one, &broken, &v, why, why_cap));
        if (v.damaged == 0 && broken == 0)
            continue;
        snprintf(
            why, why_cap,
            "the result differs, and so does the input %s@%s from what was stored: a file of it is damaged. "
            "Nothing can be said of the job; bring the file back from a backup, verify the version, then try again",
            model, commit);
        return -AM_E_STORE_DAMAGED;
    }
    return 0;
}
