/*
 * hub_model.c - the model object of the Hub and lists of it. What a card would say of the origin (base_model) is said
 * from the lineage; config and library from the version's config.json and files.
 */
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/hub.h"
#include "server/reply.h"
#include "storage/blobs.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, CONFIG_BYTES = 1 << 20 };

/* What a model is for, by the end of its architecture's name. */
static const char *pipeline_tag(const char *architecture)
{
    static const char *const tags[][2] = {{"ForCausalLM", "text-generation"},
                                          {"LMHeadModel", "text-generation"},
                                          {"ForSequenceClassification", "text-classification"},
                                          {"ForTokenClassification", "token-classification"},
                                          {"ForQuestionAnswering", "question-answering"},
                                          {"ForMaskedLM", "fill-mask"},
                                          {"ForImageClassification", "image-classification"}};
    for (size_t i = 0; architecture && i < sizeof tags / sizeof *tags; i++)
        if (am_ends(architecture, tags[i][0]))
            return tags[i][1];
    return NULL;
}

struct object {
    struct am_db *db;
    json_t *out, *bases; /* of one model */
    const char *relation;
};

static int take_base(void *ctx, const char *model, const char *type)
{
    struct object *o = ctx;
    if (!o->relation)
        o->relation = am_streq(type, "merge") ? "merge" : "finetune";
    return am_json_add(o->bases, json_string(model));
}

static void add_tag(json_t *tags, const char *a, const char *b, const char *c)
{
    char tag[300];
    snprintf(tag, sizeof tag, "%s%s%s", a, b, c);
    json_array_append_new(tags, json_string(tag));
}

static json_t *tags_json(const struct object *o, const char *library, bool safetensors)
{
    json_t *tags = json_array(), *base;
    size_t i;
    if (library)
        json_array_append_new(tags, json_string(library));
    if (safetensors)
        json_array_append_new(tags, json_string("safetensors"));
    json_array_foreach(o->bases, i, base)
    {
        char relation[32];
        snprintf(relation, sizeof relation, "base_model:%s:", o->relation);
        add_tag(tags, "base_model:", json_string_value(base), "");
        add_tag(tags, relation, json_string_value(base), "");
    }
    return tags;
}

static json_t *safetensors_json(json_t *parameters)
{
    json_int_t total = 0;
    const char *dtype;
    json_t *n;
    json_object_foreach(parameters, dtype, n) total += json_integer_value(n);
    return json_pack("{s:O, s:I}", "parameters", parameters, "total", total);
}

static json_t *base_models_json(const struct object *o)
{
    json_t *models = json_array(), *base;
    size_t i;
    json_array_foreach(o->bases, i, base)
        json_array_append_new(models, json_pack("{s:O, s:O}", "_id", base, "id", base));
    return json_pack("{s:s, s:o}", "relation", o->relation, "models", models);
}

static int add_origin(struct object *o)
{
    if (!json_array_size(o->bases))
        return 0;
    json_object_set_new(o->out, "cardData",
                        json_pack("{s:O, s:s}", "base_model", o->bases, "base_model_relation", o->relation));
    json_object_set_new(o->out, "baseModels", base_models_json(o));
    return 0;
}

static int add_version(void *ctx, const struct am_version_row *v)
{
    struct object *o = ctx;
    const char *library = v->architecture ? "transformers" : NULL;
    json_t *parameters = am_json_stored(v->parameters);
    bool safetensors = json_object_size(parameters) > 0;
    o->bases = json_array();
    int rc = am_hub_bases(o->db, v->id, take_base, o);
    json_object_set_new(o->out, "sha", json_string(v->commit));
    json_object_set_new(o->out, "lastModified", am_json_time(v->created_at));
    json_object_set_new(o->out, "tags", tags_json(o, library, safetensors));
    if (library)
        json_object_set_new(o->out, "library_name", json_string(library));
    if (pipeline_tag(v->architecture))
        json_object_set_new(o->out, "pipeline_tag", json_string(pipeline_tag(v->architecture)));
    if (safetensors)
        json_object_set_new(o->out, "safetensors", safetensors_json(parameters));
    if (rc == 0)
        rc = add_origin(o);
    json_decref(parameters);
    json_decref(o->bases);
    return rc;
}

/* All of a model that lists show. */
static int model_json(struct am_db *db, const struct am_hub_model_row *m, int64_t version, json_t **ret)
{
    char id[65];
    am_sha256_hex(m->name, strlen(m->name), id);
    id[24] = 0; /* as long as theirs */
    struct object o = {.db = db};
    int slash = (int)strcspn(m->name, "/");
    o.out = json_pack("{s:s, s:s, s:s, s:s%, s:b, s:b, s:b, s:o, s:i, s:i}", "_id", id, "id", m->name, "modelId",
                      m->name, "author", m->name, (size_t)slash, "private", m->is_private, "gated", 0, "disabled", 0,
                      "createdAt", am_json_time(m->created_at), "downloads", 0, "likes", 0);
    int rc = o.out ? am_version_get(db, version, add_version, &o) : -AM_E_OUT_OF_MEMORY;
    if (rc < 0) {
        json_decref(o.out);
        return rc;
    }
    *ret = o.out;
    return 0;
}

/* ---- what needs the files ---- */

static int take_blob(void *ctx, const struct am_file_row *f)
{
    if (f->blob && f->bytes <= CONFIG_BYTES)
        snprintf(ctx, 65, "%s", f->blob);
    return 0;
}

/* The two members of config.json that clients look at; a file that cannot be read is no reason to refuse the model. */
static void add_config(struct am_req *r, struct am_db *db, int64_t version, json_t *out)
{
    char blob[65] = "", *text = NULL;
    struct stat st;
    if (am_file_get(db, version, "config.json", take_blob, blob) < 0 || !blob[0])
        return;
    AM_CLEANUP(am_sys_closep) int fd = am_blob_open(r->srv->store, blob);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > CONFIG_BYTES || !(text = malloc((size_t)st.st_size + 1)))
        return;
    json_t *root =
        am_sys_pread(fd, text, (size_t)st.st_size, 0) < 0 ? NULL : json_loadb(text, (size_t)st.st_size, 0, NULL);
    free(text);
    json_t *config = json_object(), *found;
    if ((found = json_object_get(root, "architectures")))
        json_object_set(config, "architectures", found);
    if (json_is_string(found = json_object_get(root, "model_type"))) {
        json_object_set(config, "model_type", found);
        json_array_append(json_object_get(out, "tags"), found);
    }
    json_object_set_new(out, "config", config);
    json_decref(root);
}

static json_t *sibling_json(const struct am_hub_file *f, bool blobs)
{
    json_t *s = json_pack("{s:s}", "rfilename", f->path);
    if (blobs) {
        json_object_set_new(s, "size", json_integer(f->bytes));
        json_object_set_new(s, "blobId", json_string(f->oid));
        if (f->lfs)
            json_object_set_new(s, "lfs", am_hub_lfs(f, "sha256"));
    }
    return s;
}

static int add_files(struct am_db *db, int64_t version, bool blobs, json_t *out)
{
    struct am_hub_files f;
    json_int_t bytes = 0;
    json_t *siblings = json_array();
    int rc = am_hub_files_load(&f, db, version);
    for (size_t i = 0; i < f.n; i++) {
        bytes += f.v[i].bytes;
        json_array_append_new(siblings, sibling_json(&f.v[i], blobs));
    }
    am_hub_files_done(&f);
    json_object_set_new(out, "usedStorage", json_integer(bytes));
    json_object_set_new(out, "siblings", siblings);
    return rc;
}

/* ---- expand: only what is named ---- */

static void keep_member(void *ctx, const char *name)
{
    json_t **both = ctx; /* from, to */
    json_t *v = json_object_get(both[0], name);
    if (v)
        json_object_set(both[1], name, v);
}

static void note(void *ctx, const char *value)
{
    (void)value;
    *(bool *)ctx = true;
}

/* Takes `full`, gives it or the part that was asked for. `baseModels` and two more are shown on request only. */
static json_t *expanded(struct am_req *r, struct am_db *db, int64_t model, json_t *full)
{
    bool asked = false;
    int64_t children;
    am_hub_values(r, "expand", note, &asked);
    if (!asked) {
        json_object_del(full, "baseModels");
        return full;
    }
    if (am_hub_children(db, model, &children) == 0)
        json_object_set_new(full, "childrenModelCount", json_integer(children));
    json_object_set_new(full, "xetEnabled", json_false());
    json_t *part = json_object(), *both[2] = {full, part};
    keep_member(both, "_id");
    keep_member(both, "id");
    am_hub_values(r, "expand", keep_member, both);
    json_decref(full);
    return part;
}

/* ---- routes ---- */

struct one {
    struct am_db *db;
    int64_t version, model;
    json_t *out;
};

static int take_model(void *ctx, const struct am_hub_model_row *m)
{
    struct one *o = ctx;
    o->model = m->id;
    return model_json(o->db, m, o->version, &o->out);
}

int am_api_hub_model(struct am_req *r)
{
    char model[200];
    int queued = MHD_NO;
    struct one o = {.out = NULL};
    if (am_hub_find(r, &o.version, &queued) < 0)
        return queued;
    am_model_id(r, model);
    o.db = am_store_read(r->srv->store);
    int rc = am_hub_model_get(o.db, model, take_model, &o);
    if (rc == 0)
        rc = add_files(o.db, o.version, am_hub_flag(am_req_query(r, "blobs")), o.out);
    if (rc < 0) {
        json_decref(o.out);
        return am_reply_error(r, rc, "the model could not be read");
    }
    add_config(r, o.db, o.version, o.out);
    return am_hub_reply_page(r, expanded(r, o.db, o.model, o.out), NULL, NULL);
}

struct search {
    struct am_req *r;
    struct am_db *db;
    enum am_hub_order order;
    struct am_hub_place place; /* of the last row that was looked at */
    char name[200], shown[280] /* cursor after the last that fits */;
    size_t limit, rows;
    json_t *data;
    bool full, config, filter, more;
};

struct match {
    const char *name;
    json_t *tags;
    bool failed;
};

static void need_word(void *ctx, const char *word)
{
    struct match *m = ctx;
    m->failed = m->failed || !strcasestr(m->name, word);
}

static void need_tag(void *ctx, const char *tag)
{
    struct match *m = ctx;
    json_t *have;
    size_t i;
    bool found = false;
    json_array_foreach(m->tags, i, have) found = found || strcmp(json_string_value(have), tag) == 0;
    m->failed = m->failed || !found;
}

static bool name_matches(struct am_req *r, const char *name)
{
    struct match m = {.name = name};
    am_hub_values(r, "search", need_word, &m);
    return !m.failed;
}

static bool matches(struct am_req *r, json_t *model)
{
    struct match m = {.tags = json_object_get(model, "tags")};
    const char *pipeline = am_req_query(r, "pipeline_tag"),
               *is = json_string_value(json_object_get(model, "pipeline_tag"));
    am_hub_values(r, "filter", need_tag, &m);
    return !m.failed && (!pipeline || am_streq(pipeline, is));
}

static void note_needs(void *ctx, const char *member)
{
    struct search *s = ctx;
    s->full = s->full || am_streq(member, "siblings") || am_streq(member, "usedStorage");
    s->config = s->config || am_streq(member, "config");
}

static int look_at(void *ctx, const struct am_hub_model_row *m)
{
    struct search *s = ctx;
    json_t *model = NULL;
    s->rows++;
    if (s->more)
        return 0;
    snprintf(s->name, sizeof s->name, "%s", m->name);
    s->place.time = s->order == AM_HUB_BY_CREATION ? m->created_at : m->modified_at;
    if (!name_matches(s->r, m->name))
        return 0;
    AM_TRY(model_json(s->db, m, m->head, &model));
    if (s->config || s->filter)
        add_config(s->r, s->db, m->head, model); /* it has a tag, too */
    bool match = matches(s->r, model);
    s->more = match && json_array_size(s->data) == s->limit;
    if (s->more || !match) {
        json_decref(model);
        return 0;
    }
    if (!s->config)
        json_object_del(model, "config");
    int rc = s->full ? add_files(s->db, m->head, false, model) : 0;
    snprintf(s->shown, sizeof s->shown, "%" PRId64 ":%s", s->place.time, m->name);
    return json_array_append_new(s->data, expanded(s->r, s->db, m->id, model)) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

/* "<time>:<name>" of the model that the last page ended with. */
static bool read_cursor(struct search *s, const char *text)
{
    const char *colon = text ? strchr(text, ':') : NULL;
    char number[24];
    uint64_t time = 0;
    if (!text)
        return true;
    if (!colon || (size_t)(colon - text) >= sizeof number || strlen(colon + 1) >= sizeof s->name)
        return false;
    snprintf(number, sizeof number, "%.*s", (int)(colon - text), text);
    if (am_parse_u64(number, &time) < 0 || time > INT64_MAX)
        return false;
    snprintf(s->name, sizeof s->name, "%s", colon + 1);
    s->place = (struct am_hub_place){.time = (int64_t)time, .name = s->name};
    return true;
}

/* A number of likes or downloads is no order here: there are none. */
static enum am_hub_order order_of(const char *sort)
{
    if (am_streq(sort, "createdAt") || am_streq(sort, "created_at"))
        return AM_HUB_BY_CREATION;
    return am_streq(sort, "lastModified") || am_streq(sort, "last_modified") ? AM_HUB_BY_CHANGE : AM_HUB_BY_NAME;
}

int am_api_hub_models(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t limit;
    struct search s = {.r = r, .order = order_of(am_req_query(r, "sort"))};
    if (!am_req_int(r, "limit", 1, INT32_MAX, PAGE, &limit, &queued))
        return queued;
    if (!read_cursor(&s, am_req_query(r, "cursor")))
        return am_reply_problem(r, AM_E_INVALID_REQUEST, "cursor is not one that a Link header gave");
    s.limit = limit < PAGE ? (size_t)limit : PAGE;
    s.full = am_hub_flag(am_req_query(r, "full"));
    s.config = am_hub_flag(am_req_query(r, "config"));
    am_hub_values(r, "expand", note_needs, &s);
    am_hub_values(r, "filter", note, &s.filter);
    s.db = am_reader(r, &queued);
    if (!s.db)
        return queued;
    s.data = json_array();
    int rc;
    do {
        s.rows = 0;
        rc = am_hub_model_list(s.db, s.order, &s.place, am_req_query(r, "author"), PAGE, look_at, &s);
        s.place.name = s.name;
    } while (rc == 0 && s.rows == PAGE && !s.more);
    if (rc < 0) {
        json_decref(s.data);
        return am_reply_error(r, rc, "the models could not be listed");
    }
    return am_hub_reply_page(r, s.data, s.more ? "/api/models" : NULL, s.shown);
}
