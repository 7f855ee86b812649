/*
 * refs.h - what the handlers of refs share (refs.c reads, ref_put.c, ref_edit.c and ref_back.c write): a ref as JSON,
 * and a change of one ref as it runs on the writer, where what was seen of it is compared and changed in one step.
 */
#ifndef AM_SERVER_API_REFS_H
#define AM_SERVER_API_REFS_H

#include "core/base/fault.h"
#include "server/api/api.h"
#include "storage/refs.h"

#define AM_REASON_MAX 4096

json_t *am_ref_json(const char *model, const struct am_ref_row *row);
/* 200 or 201 with the ref and its ETag. */
int am_reply_ref(struct am_req *r, int status, json_t *ref /* stolen */);
/* 404 for a ref that is not there, with the nearest that is. */
int am_reply_no_ref(struct am_req *r, const char *model, const char *name);

/* A ref as it is in the transaction; revision 0: there is none. */
struct am_ref_state {
    int64_t version, number, revision;
    char kind[16], commit[41];
    bool is_protected;
    char gate[65]; /* "": none */
};

struct am_ref_change {
    struct am_req *r;
    char model[200];
    const char *name;
    int64_t model_row;
    struct am_ref_state now;
    const json_t *from; /* of the body: null, a revision, or NULL when absent */
    const char *reason; /* or NULL */
    bool force;
    json_t *answer;
    /* why it was refused */
    int code;
    const char *pointer;
    char detail[700];
    json_t *extra; /* further members of that answer, or NULL */
};

void am_ref_change_init(struct am_ref_change *c, struct am_req *r);
/* Reads `from`, `reason` and `force` of the body. */
void am_ref_change_read(struct am_ref_change *c, bool reason_required, struct am_faults *f);
/* -code, and the sentence kept for the answer. `pointer`: the place in the request, "" for none. */
int am_ref_refuse(struct am_ref_change *c, int code, const char *pointer, const char *fmt, ...) AM_PRINTF(4, 5);
/* The answer of a refused change. Frees what it holds. */
int am_ref_refused(struct am_ref_change *c, int rc, const char *what);

/* ref_gate.c, on the writer: whether the gate of the protected ref lets it move to `target`, and the row of the
   decision; else 409 gate-required or gate-refused. */
int am_ref_pass_gate(struct am_db *db, struct am_ref_change *c, int64_t target, int64_t *ret_decision);

/* On the writer: c->now and c->model_row. */
int am_ref_load(struct am_db *db, struct am_ref_change *c);
/* Whether what the caller has seen (If-Match, If-None-Match: *, from) is still so; 412, or 428 when he says nothing. */
int am_ref_check_seen(struct am_db *db, struct am_ref_change *c);
/* A revision of the model; 404 names the place. */
int am_ref_find(struct am_db *db, struct am_ref_change *c, const char *pointer, const char *rev, int64_t *ret);
/* c->answer: the ref as it is now. */
int am_ref_answer(struct am_db *db, struct am_ref_change *c);

#endif
