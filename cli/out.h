/*
 * out.h - what the client prints: tables, JSON, sizes and times for people, one live progress line.
 * Data goes to standard output, notes and progress to standard error. On a terminal sizes are KiB/MiB/GiB and times
 * local; piped they are raw. Text that came over the network never reaches a terminal with its control characters.
 */
#ifndef AM_CLI_OUT_H
#define AM_CLI_OUT_H

#include "cli/cli.h"

#include <stdio.h>

/* Control characters (C0 but newline and tab, DEL, C1) come out as '?'. */
void am_put_clean(FILE *f, const char *text);

struct am_grid {
    const struct am_cli *c;
    const char *const *head; /* NULL-terminated; NULL for name/value pairs. "+WORD": a column of -o wide only */
    size_t cols, n, cap;
    char **cell;
    unsigned right; /* bit i: column i is aligned right */
};

/* Without `head` there are two columns: a name and its value. */
void am_grid_init(struct am_grid *g, const struct am_cli *c, const char *const *head);
void am_grid_put(struct am_grid *g, const char *text); /* the next cell; NULL reads as "-" */
void am_grid_pair(struct am_grid *g, const char *name, const char *text);
void am_grid_putf(struct am_grid *g, const char *fmt, ...) AM_PRINTF(2, 3);
void am_grid_bytes(struct am_grid *g, int64_t n); /* negative: unknown */
void am_grid_time(struct am_grid *g, const char *rfc3339);
/* Aligned with a head line, or one tab-separated line a row without it, or (-o name) the first cell of each row. */
void am_grid_print(struct am_grid *g);
void am_grid_lines(struct am_grid *g); /* one line a row, whatever the form */
void am_grid_done(struct am_grid *g);

#define AM_FMT 40
void am_fmt_bytes(int64_t n, char out[AM_FMT]);   /* 941160 -> "919.1 KiB" */
void am_fmt_seconds(int64_t s, char out[AM_FMT]); /* 75 -> "1m15s" */
void am_fmt_local(const char *rfc3339,
                  char out[AM_FMT]); /* local "2026-11-23 02:48:10"; the text itself when it is no time */

/* -o json: pretty on a terminal, as it is when piped; or the form that --json, --jq and -o yaml ask for (form.c). What
   fails is said and goes to c->late. */
void am_print_json(const struct am_cli *c, const json_t *v);
/* The same for a job's body: in every form but yaml, --json and --jq it is indented JSON. */
void am_print_spec(const struct am_cli *c, const json_t *v);
/* The value as a YAML document in block style. For free(). */
char *am_yaml(const json_t *v);
/* A text from the daemon: byte for byte when piped; on a terminal clean and with a final newline. */
void am_print_text(const struct am_cli *c, const char *text, size_t n);
/* Prints a list by rows (-o json: as it is), with a note when there is more or nothing. */
int am_print_list(const struct am_cli *c, const json_t *list, const char *const *head, unsigned right,
                  void (*row)(struct am_grid *g, const json_t *entry), const char *when_empty);

struct am_live {
    const char *phase;
    double fraction; /* 0..1; negative: unknown */
    int64_t bytes_done, bytes_total;
    double bytes_per_second; /* 0: unknown */
    int64_t eta_seconds;     /* negative: unknown */
};
/* Draws over the same line of a terminal, cut at its right edge; does nothing elsewhere and under --quiet. */
void am_live_draw(const struct am_cli *c, const struct am_live *p);
void am_live_clear(void);
void am_live_keep(void); /* the line drawn last stays; what follows stands below it */

/* Members by dotted path; the default when missing, null or of another type. Borrowed. */
json_t *am_js(const json_t *v, const char *path);
const char *am_js_text(const json_t *v, const char *path, const char *def);
int64_t am_js_int(const json_t *v, const char *path, int64_t def);
double am_js_real(const json_t *v, const char *path, double def);
/* As JSON text with the fewest digits that read back to the same numbers. For free(). */
char *am_js_dump(const json_t *v, bool pretty);
/* A scalar, or a list of them joined by ", ", as text for people. For free(). */
char *am_js_plain(const json_t *v);

#endif
