/*
 * hub.h - what the Hugging Face Hub's routes ask of the database beyond models.h: the list of models in the orders that
 * its clients know, the models that a version was made from, the history of a commit. Read functions only; callbacks
 * get borrowed rows, and a negative return of one ends the walk and is passed on.
 */
#ifndef AM_STORAGE_HUB_H
#define AM_STORAGE_HUB_H

#include <stdbool.h>
#include <stdint.h>

struct am_db;

struct am_hub_model_row {
    int64_t id, created_at, modified_at; /* modified_at: when its main got its head */
    int64_t head;                        /* version id of main */
    const char *name;
    bool is_private;
};

enum am_hub_order { AM_HUB_BY_NAME, AM_HUB_BY_CREATION, AM_HUB_BY_CHANGE }; /* times: newest first */
struct am_hub_place {                                                       /* after which the list goes on */
    int64_t time;                                                           /* not read when by name */
    const char *name;                                                       /* NULL: from the start */
};

int am_hub_model_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_hub_model_row *),
                     void *ctx); /* -AM_E_NOT_FOUND */
int am_hub_model_list(struct am_db *db, enum am_hub_order order, const struct am_hub_place *after,
                      const char *author /* namespace or NULL */, int limit,
                      int (*row)(void *, const struct am_hub_model_row *), void *ctx);

/*
 * The other models that a version was made from: the direct inputs of the version and of those of its ancestors that
 * belong to the same model, the newest step first, at most 100. `type` is that of the step, NULL for a registration.
 */
int am_hub_bases(struct am_db *db, int64_t version, int (*row)(void *, const char *model, const char *type), void *ctx);
/* How many other models have a version made directly from one of this model. */
int am_hub_children(struct am_db *db, int64_t model, int64_t *ret);

struct am_hub_commit {
    const char *commit, *message, *author;
    int64_t at;
};
/* A version and its parents, newest first, at most `limit`. */
int am_hub_commits(struct am_db *db, int64_t version, int limit, int (*row)(void *, const struct am_hub_commit *),
                   void *ctx);
/* One of them; no call of row when there is no such version. */
int am_hub_commit_get(struct am_db *db, int64_t version, int (*row)(void *, const struct am_hub_commit *), void *ctx);
/* The version that gave the path this content, as seen from `version`: the oldest of at most 1,000 that have it in one
   line. 1 and *ret, or a negative error. */
int am_hub_last_change(struct am_db *db, int64_t version, const char *path, int64_t layout, int64_t *ret);

/* The namespaces that have a model, by name, at most 1,000. */
int am_hub_namespaces(struct am_db *db, int (*row)(void *, const char *name), void *ctx);

#endif
