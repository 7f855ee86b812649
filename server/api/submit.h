/*
 * submit.h - what POST /v1/jobs and POST /v1/plans share: a body checked, its inputs pinned and the job planned. What
 * the one refuses the other lists, because both come from am_submit_prepare().
 */
#ifndef AM_SERVER_API_SUBMIT_H
#define AM_SERVER_API_SUBMIT_H

#include "core/table/adapter.h"
#include "core/table/body.h"
#include "core/table/plan.h"
#include "server/api/made.h"
#include "server/api/mergekit.h"
#include "server/http.h"

struct am_pinned { /* an input, from its name to a commit */
    char *model, *rev;
    char commit[41], manifest[65], architecture[128], label[420];
    int64_t version;    /* 0: it names nothing */
    char tokenizer[65]; /* SHA-256 of tokenizer.json, when options.tokenizer is given; empty: it has none */
    int64_t tokenizer_bytes;
};

struct am_tied { /* an input without head, and what stands for it (adding.h) */
    size_t input;
    const char *head, *embedding;
};

struct am_submit {
    struct am_req *r;
    struct am_db *db;
    struct am_body body;
    struct am_pinned *in;    /* one for each input of the body */
    struct am_adapter *lora; /* the same; of role "adapter" only, and those without a fault */
    struct am_tied *tied;    /* of the inputs that have their embedding for a head beside others that have one */
    size_t tied_n;
    struct am_side *side;      /* evaluate.c, made_gate.c: the two prediction sets; NULL: none, or not named well */
    struct am_line_sets *line; /* continual.c: versions and their sets; NULL: of another method, or not named well */
    json_t *gate;              /* evaluate_gate.c: {"gate","policy","critical"}, or NULL */
    struct am_plan plan;
    bool planned; /* `plan` was made; there may be faults all the same */
    struct am_faults faults;
    char head[41]; /* of the branch published to; empty when there is none */
    bool has_old;  /* a ref that the result would move points to a version with files */
    const char *to_model;
    unsigned threads;
    char spec_sha256[65]; /* of a job without faults */

    json_t *warnings; /* {"code","detail"} each; NULL: none */
    bool waits;       /* an input is made by a job that has not ended: there is no plan and no recipe yet */
    const struct am_recipe *recipe;    /* what r->json was made of, or NULL */
    const struct am_chain_jobs *chain; /* the jobs of the same request, or NULL */
    /* of a recipe, which makes the same again */
    json_t *from_recipe;     /* the body made of it; NULL: the request is a body itself */
    struct am_made original; /* what its bytes are compared with; uid empty: nothing. Set before: that job's */
    bool told;               /* the caller named it; else it was found by the recipe's hash */
    bool silent;             /* it publishes nothing */
    const char *retry_of;    /* uid; the caller's */
};

/* With r and db set, in r the server and the JSON: 0, or an error of a room. Every reason to refuse is in `faults`:
 * those of the body, of names, of tensors, of the target and of room together. */
int am_submit_prepare(struct am_submit *s);
void am_submit_done(struct am_submit *s);

/* submit.c: a job as a row, with the answer that shows it. Ownership: until am_submit_row_done(); safe on zero. */
struct am_submit_row {
    char uid[64]; /* empty: am_submit_row() gives it one */
    struct am_submit *s;
    const struct am_idem *idem;
    bool reuse;     /* what the same job made before will do, if it is there */
    json_t *answer; /* of a request with a key */
    struct am_job_new job;
    char *text[6];      /* of the row */
    const char **input; /* jobs that it waits for */
};
/* Of a submit without faults; uid and idem are the caller's to set before. */
int am_submit_row(struct am_submit *s, struct am_submit_row *ret);
int am_submit_insert(struct am_db *db, void *row); /* on the writer */
void am_submit_row_done(struct am_submit_row *row);
/* The answers to what an insert came to, and to one that went well. */
int am_submit_refuse(struct am_req *r, int rc);
int am_submit_answer(struct am_submit_row *row);

/* chain.c: POST of several documents, and of their plan; with the recipe that has them. */
struct am_idem;
int am_chain_submit(struct am_req *r, struct am_db *db, const struct am_recipe *recipe, const struct am_idem *idem);
int am_chain_plan(struct am_req *r, struct am_db *db, const struct am_recipe *recipe);
/* Of such a submit: the job `uid` is one of the same request, and publishes to the model that is returned; or NULL. */
const char *am_chain_model(const struct am_submit *s, const char *uid);
/* plans.c: of a submit that was prepared. */
int am_plan_answer(struct am_submit *s);

/* POST of the job in r->json. s: with r and db, and what is known of where it comes from. */
int am_submit_job(struct am_submit *s, const struct am_idem *idem);
/* What a row says that is not of the body. */
int am_submit_warn(struct am_submit *s, const char *code, const char *fmt, ...) AM_PRINTF(3, 4);
/* With the pointer into the body that it is about. */
int am_submit_warn_at(struct am_submit *s, const char *code, const char *pointer, const char *fmt, ...) AM_PRINTF(4, 5);

/* How many inputs of the body the one that begins at `i` is: the parts of a stack, or 1. */
size_t am_submit_parts(const struct am_submit *s, size_t i);
/* It is here: a stack when all of its parts are. */
bool am_submit_pinned(const struct am_submit *s, size_t i);

/* advice.c: of a merge, as far as its inputs are pinned. Adds warnings. */
int am_submit_advise(struct am_submit *s);

/* input_job.c: an input that is made by a job. 1: it has not ended, and s->waits is set; 0: `p` names the version, or
   there is a fault. */
int am_submit_input_job(struct am_submit *s, const struct am_body_input *in, struct am_pinned *p);

/* tokenizers.c: pins the versions that options.tokenizer names, and adds its faults. */
int am_submit_tokenizers(struct am_submit *s);

/* configs.c: what the config.json of the inputs differ in: faults and warnings. */
int am_submit_configs(struct am_submit *s);

/* again.c: of a recipe, before and after its body was checked. */
int am_recipe_begin(struct am_submit *s);
int am_recipe_compare(struct am_submit *s);

/* made_gate.c: the gate of a job that makes a version; after its target was looked at. Faults are added. */
int am_made_gate(struct am_submit *s);

/* reuse.c: an earlier job that did the same and whose version is whole. 1: *ret_uid, *ret_version; 0: none, or this job
   does not want it. */
int am_reuse_find(struct am_submit *s, struct am_db *db, char ret_uid[64], int64_t *ret_version);

/* recipe.c: fills in spec_sha256. */
int am_submit_digest(struct am_submit *s);
/* Of a submit without faults: the recipe with everything filled in. New references. */
json_t *am_submit_resolved(const struct am_submit *s);
json_t *am_submit_publish(const struct am_submit *s);
/* {"tensors","read_bytes",...}: the numbers of the plan, null where none could be made. */
json_t *am_submit_plan(const struct am_submit *s);

#endif
