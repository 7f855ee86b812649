/*
 * gather.h - matrices of one row for each token, rebuilt row by row from those of several models: a row is the model's
 * own, another model's, a mean, or zero. The rebuilt matrix stands in the place of the model's own in its table, as a
 * file that is made when it is read, so whoever reads the model knows nothing of it. Which row is which is the maker's
 * to say (worker/vocab_join.h); nothing here knows tokens.
 * Ownership: am_gather borrows models and maps, and owns what it hangs into the models; am_gather_done() comes after
 * the last read of them. Safe on a zeroed struct.
 */
#ifndef AM_TENSOR_GATHER_H
#define AM_TENSOR_GATHER_H

#include "core/tensor/model.h"

#include <stdbool.h>

#define AM_NO_ROW UINT32_MAX

/* A row that somebody asked for by name. */
struct am_gather_row {
    uint32_t row; /* of the result; the list is sorted by it */
    uint32_t from;
    size_t input;      /* whose row `from` it is */
    bool zero, forced; /* forced: also for models that have a row of their own */
};

/* How the rows of the result come from those of the inputs. */
struct am_gather_map {
    size_t inputs, base;
    const size_t *same;         /* of each input: the first one of the same version */
    const uint32_t *const *own; /* of each input: its row for each row of the result, or AM_NO_ROW. NULL: the first rows
                                   of each, as many as all have */
    bool as_base;               /* ... or as many as the base has; no input has fewer */
    const struct am_gather_row *row;
    size_t rows_asked;
    uint64_t rows, padded; /* padded >= rows: the rest are the mean of all rows */
};

struct am_gather {
    struct am_gather_part *part; /* of each input */
    size_t parts;
};

/*
 * Puts rebuilt matrices into the models: those with a tensor for which is_rows() holds, in two axes. Matrices of that
 * name in several models must have as many columns and computed dtypes, or all of that name stay as they are (the run's
 * check says so). A default row is, in this order: the one asked for; that of the only model that has it; the base's;
 * the mean (f32, in the order of the inputs, divided by their number); zero. After an error it is to be done, too.
 * -AM_E_OUT_OF_MEMORY, or an error of reading (padding reads the matrix once).
 */
int am_gather_open(struct am_gather *ret, struct am_model *model, const struct am_gather_map *map,
                   bool (*is_rows)(const char *name));
void am_gather_done(struct am_gather *g);

#endif
