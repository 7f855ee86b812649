/*
 * publisher_parts.h - a publication while it is made: what publisher.c, publisher_commit.c and publisher_reuse.c share.
 * Private to them.
 */
#ifndef AM_SERVER_PUBLISHER_PARTS_H
#define AM_SERVER_PUBLISHER_PARTS_H

#include "server/publisher.h"
#include "server/publisher_gate.h"
#include "server/publisher_report.h"
#include "server/result.h"
#include "storage/blobs.h"

struct kept { /* a file of the donor, or of a version that is reused, as its row says */
    char *path;
    char sha256[65], git_sha1[41];
    bool has_git, weights;
    int64_t bytes, layout;
};

struct publication {
    const struct am_publication *in;
    struct am_result result;
    struct am_span_new *span; /* one for each of result.span */
    struct am_blob_move *move;
    size_t moves;
    int64_t new_bytes, write_bytes, now;
    /* of the transaction */
    struct am_db *db;
    const char *model_name, *branch, *detached;
    int64_t model, head, version;
    char old_head[41], commit[41];
    int64_t number, expires_at;
    struct am_file_new *file;
    struct kept *kept;
    size_t files, kepts;
    struct am_edge_new *edge;
    size_t edges;
    char architecture[128]; /* of what is reused */
    bool as_it_is;          /* the branch stands at what is reused */
    json_t *reproduced, *reproduction;
    struct am_reporting *gate; /* what the worker found of the result; NULL: the job has no gate */
    struct am_gated gated;     /* of the transaction */
    char message[512];
    char *why;
    size_t why_cap;
};

/* -code, with the sentence in `why`. */
int am_publication_say(struct publication *p, int code, const char *fmt, ...) AM_PRINTF(3, 4);
/* Nothing is published: the result is only compared with what a job made before. */
bool am_publication_is_silent(const struct publication *p);
/* 1: the result is to be the same as an earlier one and is not. */
int am_publication_differs(struct publication *p, struct am_db *db);
/* Copies a row into a struct kept. */
int am_publication_keep(void *ctx, const struct am_file_row *row);
struct am_file_new am_publication_kept(const struct kept *k, const char *path); /* that file in the new version */
/* The transaction: everything that a publication writes. arg: struct publication. */
int am_publication_run(struct am_db *db, void *arg);
/* A step of it: the files are those of the version that is reused. */
int am_publication_reuse(struct publication *p);

#endif
