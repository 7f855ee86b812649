/*
 * st_check.h - what a scanned header means: duplicates, and steps 6 to 10 of safetensors.md 1.3. Private to
 * core/tensor. Ownership: the table's arrays belong to the caller; am_st_check may put a sorted array in place of `v`.
 */
#ifndef AM_TENSOR_ST_CHECK_H
#define AM_TENSOR_ST_CHECK_H

#include "core/tensor/safetensors.h"
#include "core/tensor/st_text.h"

#define AM_ST_FAULTS_MAX 20  /* of one file */
#define AM_ST_UNKNOWN 0x7f   /* the dtype of an entry whose dtype is none of ours */
#define AM_ST_DUPLICATE 0x80 /* flag beside the dtype: an earlier entry has this name */

struct am_st_table {
    struct am_st_entry *v; /* in the order of the header; begin and end relative to the data */
    size_t n;
    struct am_st_meta *meta;
    size_t meta_n;
    struct {
        size_t entry;
        char text[AM_ST_SHOW + 4];
    } unknown[AM_ST_FAULTS_MAX]; /* the first dtypes that were not known, as they were written */
    size_t unknown_n;
};

/* Remembers the dtype's text for the entry that is appended next. */
void am_st_note_dtype(struct am_st_table *t, const char *text);
/*
 * 0: v is sorted by name, begin and end are bytes in the file. -AM_E_MALFORMED: every fault was added, up to
 * AM_ST_FAULTS_MAX, in the order of the data. -AM_E_OUT_OF_MEMORY.
 */
int am_st_check(struct am_st_table *t, uint64_t data_at, uint64_t file_bytes, const char *file,
                struct am_faults *faults);

#endif
