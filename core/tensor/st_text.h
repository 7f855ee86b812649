/*
 * st_text.h - the text of a safetensors header: a window of 64 KiB that moves over it, strings and integers of the
 * fixed grammar. Private to core/tensor; not a JSON library.
 * Ownership: am_st_text owns its window; the arena is owned by whoever made it. Both are safe to end when zeroed.
 * Errors: -AM_E_MALFORMED after exactly one fault was added; the error of the caller's read; -AM_E_OUT_OF_MEMORY.
 */
#ifndef AM_TENSOR_ST_TEXT_H
#define AM_TENSOR_ST_TEXT_H

#include "core/tensor/safetensors.h"
#include "core/tensor/st_arena.h"

#define AM_ST_NAME_MAX 2048
#define AM_ST_RANK_MAX 64

struct am_st_text {
    am_read_fn read;
    void *ctx;
    uint64_t next, end;            /* in the file: the next byte to pull, the end of the header */
    const unsigned char *p, *stop; /* what is left of the window */
    unsigned char *window;
    struct am_st_arena *arena;
    struct am_faults *faults;
    const char *file, *tensor; /* what a fault names */
    int rc;                    /* error of `read` */
};

int am_st_text_open(struct am_st_text *s, uint64_t header_bytes);
void am_st_text_done(struct am_st_text *s);

/* The next byte, or -1 at the end of the header or when `read` failed. */
int am_st_fill(struct am_st_text *s);
static inline int am_st_peek(struct am_st_text *s)
{
    return s->p < s->stop ? *s->p : am_st_fill(s);
}

int am_st_skip(struct am_st_text *s);
/* The next byte after white space, not taken. */
static inline int am_st_next(struct am_st_text *s)
{
    return s->p<s->stop && * s->p> ' ' ? *s->p : am_st_skip(s);
}
/* Takes the byte `c` (after white space), or faults: "expected <what>". */
int am_st_expect(struct am_st_text *s, char c, const char *what);
/* Adds the syntax fault that ends the scan and returns its error; the error of `read` goes first. */
int am_st_fail(struct am_st_text *s, const char *rule, const char *fmt, ...) AM_PRINTF(3, 4);
/* Faults with what is there in place of `what`. */
int am_st_unexpected(struct am_st_text *s, const char *rule, const char *what);

/*
 * A string after white space, unescaped and NUL-terminated; the next string overwrites it unless am_st_tail_keep() is
 * called. More than `max` bytes, or a U+0000, is a fault with `rule`. `what` names the string in faults.
 */
int am_st_string(struct am_st_text *s, size_t max, const char *rule, const char *what, struct am_st_tail *ret);

/* An integer after white space, at most `max`. */
int am_st_integer(struct am_st_text *s, uint64_t max, const char *what, uint64_t *ret);

/* `text` cut at `AM_ST_SHOW` bytes with control characters replaced, for the detail of a fault. */
#define AM_ST_SHOW 100
const char *am_st_show(const char *text, char out[AM_ST_SHOW + 4]);

/* Writing: a JSON string, escaped minimally. */
int am_st_put_string(struct am_buf *b, const char *text);
/* The order of files (safetensors.md 3.1) over things that begin with a struct am_st_out; for qsort. */
int am_st_out_order(const void *a, const void *b);

#endif
