/*
 * selection.h - which samples of a dataset's version a selection means (api.md 3.6): ids, classes, where, rows, all of
 * them together; without those of `except`; of the rest a seeded sample.
 */
#ifndef AM_SERVER_SELECTION_H
#define AM_SERVER_SELECTION_H

#include "core/base/fault.h"
#include "server/data.h"

#define AM_UNKNOWN_MAX 100 /* ids that are told of */

struct am_selected {
    unsigned char *entry; /* a bit for each */
    uint64_t count;
    json_t *unknown; /* a list of ids */
    uint64_t unknown_total;
};
/* Members that no selection has. */
void am_selection_check(json_t *selection, struct am_faults *f);
/* Of one that was checked. 0; -AM_E_INVALID_PARAMS and others with faults; or an error of reading. am_selected_done()
 * in every case. */
int am_select(struct am_selected *ret, struct am_data *s, json_t *selection, struct am_faults *f);
/* SHA-256 of the dictionary of these ids, in the form that packed sets have (worker/contract.md): a prediction set
   about exactly these samples has a dictionary of this digest. */
int am_selected_digest(const struct am_selected *sel, struct am_data *s, char ret[65]);
void am_selected_done(struct am_selected *sel);

#endif
