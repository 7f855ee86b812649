/*
 * idempotency.h - requests with an Idempotency-Key (or client_token in a job's body): the same one sent again is
 * answered from the store. For the handlers of routes marked AM_IDEM; the rows are storage/idempotency.h.
 *
 * Only answers that changed something are kept, in the transaction that changed it: a refused request left nothing
 * behind, so sending it again is judged anew.
 */
#ifndef AM_SERVER_API_IDEMPOTENCY_H
#define AM_SERVER_API_IDEMPOTENCY_H

#include "server/http.h"

#define AM_IDEM_KEY_MAX 255

struct am_idem {
    struct am_req *r;
    char key[AM_IDEM_KEY_MAX + 1]; /* "": the client gave none, and all of this does nothing */
    char fingerprint[65];
    bool entered;
    struct am_idem *next; /* of the requests at work now */
    json_t *stored;       /* the answer of the first request */
    int status;
};

/*
 * Takes the key of the request. 0: go on; 1: answered before: `stored` and `status` hold the answer, and replies say
 * Idempotency-Replayed; negative: a problem was queued. am_idem_end() in every case, before the answer is waited for.
 */
int am_idem_begin(struct am_idem *i, struct am_req *r, int *ret_queued);
/* On the writer, after the change: keeps the answer under the key. */
int am_idem_keep(struct am_db *db, const struct am_idem *i, int status, const json_t *body);
/* The same for a 202 with the job `uid`, which the caller has just inserted; and, with or without a key, the job keeps
   which request it came from. *ret: that answer, for
   am_reply_accepted(); left alone when there is no key. Once more when the transaction is. */
int am_idem_keep_job(struct am_db *db, const struct am_idem *i, const char *uid, json_t **ret);
void am_idem_end(struct am_idem *i);
/* All of it for a handler that answers at once: `again` with what was stored (stolen) when the request was answered
   before, else `fresh`. */
int am_idem_once(struct am_req *r, int (*again)(struct am_req *r, json_t *stored),
                 int (*fresh)(struct am_req *r, const struct am_idem *idem));

#endif
