/*
 * out.c - tables, sizes, times and the live line (out.h). Not JSON (js.c). Owns one flag: whether that line is drawn.
 */
#include "cli/out.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CELLS 2000000

void am_put_clean(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) { /* C1 in UTF-8: some terminals obey them */
            fputc('?', f);
            p++;
        } else if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) {
            fputc('?', f);
        } else {
            fputc(*p, f);
        }
    }
}

void am_grid_init(struct am_grid *g, const struct am_cli *c, const char *const *head)
{
    *g = (struct am_grid){.c = c, .head = head, .cols = 2};
    if (head)
        for (g->cols = 0; head[g->cols];)
            g->cols++;
}

void am_grid_put(struct am_grid *g, const char *text)
{
    if (g->n >= MAX_CELLS)
        return;
    if (g->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64;
        g->cell = am_xgrow(g->cell, g->cap * sizeof *g->cell);
    }
    char *s = am_xdup(text ? text : "-");
    for (char *p = s; *p; p++) /* one row is one line */
        if (*p == '\n' || *p == '\t' || *p == '\r')
            *p = ' ';
    g->cell[g->n++] = s;
}

void am_grid_pair(struct am_grid *g, const char *name, const char *text)
{
    am_grid_put(g, name);
    am_grid_put(g, text);
}

void am_grid_putf(struct am_grid *g, const char *fmt, ...)
{
    va_list ap;
    char *text = NULL;
    va_start(ap, fmt);
    int rc = vasprintf(&text, fmt, ap);
    va_end(ap);
    am_grid_put(g, rc < 0 ? "?" : text);
    if (rc >= 0)
        free(text);
}

void am_grid_bytes(struct am_grid *g, int64_t n)
{
    char text[AM_FMT];
    if (n < 0)
        am_grid_put(g, NULL);
    else if (g->c->out == AM_OUT_TABLE)
        am_fmt_bytes(n, text), am_grid_put(g, text);
    else
        am_grid_putf(g, "%lld", (long long)n);
}

void am_grid_time(struct am_grid *g, const char *rfc3339)
{
    char text[AM_FMT];
    if (!rfc3339 || g->c->out != AM_OUT_TABLE) {
        am_grid_put(g, rfc3339);
        return;
    }
    am_fmt_local(rfc3339, text);
    am_grid_put(g, text);
}

static size_t width_of(const char *s)
{
    size_t w = 0;
    for (; *s; s++)
        w += ((unsigned char)*s & 0xc0) != 0x80;
    return w;
}

static void put_padded(const char *text, size_t width, bool right, bool last)
{
    size_t w = width_of(text), pad = w < width ? width - w : 0;
    if (right)
        printf("%*s", (int)pad, "");
    am_put_clean(stdout, text);
    if (!last)
        printf("%*s", (int)((right ? 0 : pad) + 2), "");
}

/* Columns of -o wide are always filled in and shown only then. */
static bool hidden(const struct am_grid *g, size_t col)
{
    return g->head && g->head[col][0] == '+' && !g->c->wide;
}

static const char *title_of(const struct am_grid *g, size_t col)
{
    return g->head[col] + (g->head[col][0] == '+');
}

static size_t last_shown(const struct am_grid *g)
{
    size_t last = g->cols - 1;
    while (last && hidden(g, last))
        last--;
    return last;
}

static void print_table(const struct am_grid *g)
{
    size_t *width = am_xalloc(g->cols * sizeof *width), last = last_shown(g);
    for (size_t i = 0; g->head && i < g->cols; i++)
        width[i] = width_of(title_of(g, i));
    for (size_t i = 0; i < g->n; i++)
        if (width_of(g->cell[i]) > width[i % g->cols])
            width[i % g->cols] = width_of(g->cell[i]);
    if (g->head) {
        fputs(g->c->out_color ? "\033[1m" : "", stdout);
        for (size_t i = 0; i < g->cols; i++)
            if (!hidden(g, i))
                put_padded(title_of(g, i), width[i], g->right >> i & 1, i == last);
        fputs(g->c->out_color ? "\033[0m\n" : "\n", stdout);
    }
    for (size_t i = 0; i < g->n; i++) {
        size_t col = i % g->cols;
        if (!hidden(g, col))
            put_padded(g->cell[i], width[col], g->right >> col & 1, col == last);
        if (col + 1 == g->cols)
            putchar('\n');
    }
    free(width);
}

void am_grid_print(struct am_grid *g)
{
    if (g->c->out == AM_OUT_TABLE)
        print_table(g);
    else
        am_grid_lines(g);
}

void am_grid_lines(struct am_grid *g)
{
    size_t last = last_shown(g);
    for (size_t i = 0; i < g->n; i++) {
        size_t col = i % g->cols;
        if ((g->c->out == AM_OUT_NAME && col > 0) || hidden(g, col))
            continue;
        am_put_clean(stdout, g->cell[i]);
        putchar(g->c->out == AM_OUT_NAME || col == last ? '\n' : '\t');
    }
}

void am_grid_done(struct am_grid *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->cell[i]);
    free(g->cell);
    *g = (struct am_grid){0};
}

int am_print_list(const struct am_cli *c, const json_t *list, const char *const *head, unsigned right,
                  void (*row)(struct am_grid *g, const json_t *entry), const char *when_empty)
{
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, list);
        return 0;
    }
    const json_t *data = am_js(list, "data");
    size_t n = json_array_size(data);
    struct am_grid g;
    am_grid_init(&g, c, head);
    g.right = right;
    for (size_t i = 0; i < n; i++)
        row(&g, json_array_get(data, i));
    if (n)
        am_grid_print(&g);
    else
        am_say_note(c, "%s", when_empty);
    am_grid_done(&g);
    if (json_is_true(am_js(list, "has_more")))
        am_say_note(c, "there are more; see them with a larger --limit");
    return 0;
}

void am_print_text(const struct am_cli *c, const char *text, size_t n)
{
    if (!c->out_tty) {
        fwrite(text, 1, n, stdout);
        return;
    }
    am_put_clean(stdout, text);
    if (n && text[n - 1] != '\n')
        putchar('\n');
}

void am_fmt_bytes(int64_t n, char out[AM_FMT])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    snprintf(out, AM_FMT, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
}

void am_fmt_seconds(int64_t s, char out[AM_FMT])
{
    long long v = (long long)s;
    if (v < 60)
        snprintf(out, AM_FMT, "%llds", v);
    else if (v < 3600)
        snprintf(out, AM_FMT, "%lldm%02llds", v / 60, v % 60);
    else
        snprintf(out, AM_FMT, "%lldh%02lldm", v / 3600, v / 60 % 60);
}

void am_fmt_local(const char *rfc3339, char out[AM_FMT])
{
    struct tm tm = {0}, local;
    if (sscanf(rfc3339, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec) == 6) {
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        time_t t = timegm(&tm);
        if (t != (time_t)-1 && localtime_r(&t, &local) && strftime(out, AM_FMT, "%Y-%m-%d %H:%M:%S", &local))
            return;
    }
    snprintf(out, AM_FMT, "%s", rfc3339);
}

static bool g_drawn; /* a live line stands where the cursor is */

void am_live_clear(void)
{
    if (g_drawn) /* Ctrl-C drops what the terminal has not shown yet, so the wrapping is switched on again here too */
        fputs("\r\033[K\033[?7h", stderr);
    g_drawn = false;
}

void am_live_keep(void)
{
    if (g_drawn)
        fputc('\n', stderr);
    g_drawn = false;
}

void am_live_draw(const struct am_cli *c, const struct am_live *p)
{
    if (!c->err_tty || c->quiet)
        return;
    g_drawn = true;
    enum { BAR = 24 };
    char done[AM_FMT], total[AM_FMT], eta[AM_FMT];
    double f = p->fraction > 1 ? 1 : p->fraction;
    fputs("\r\033[K\033[?7l", stderr); /* no wrapping: on a second line the next \r would not reach the first */
    if (f >= 0) {
        int full = (int)(f * BAR);
        for (int i = 0; i < BAR; i++)
            fputs(i < full ? (c->utf8 ? "█" : "#") : (c->utf8 ? "░" : "."), stderr);
        fprintf(stderr, " %3d%%", (int)(f * 100));
    }
    if (p->bytes_total > 0) {
        am_fmt_bytes(p->bytes_done, done);
        am_fmt_bytes(p->bytes_total, total);
        fprintf(stderr, "  %s of %s", done, total);
    }
    if (p->bytes_per_second > 0)
        fprintf(stderr, p->bytes_per_second < 1e7 ? "  %.1f MB/s" : "  %.0f MB/s", p->bytes_per_second / 1e6);
    if (p->eta_seconds >= 0) {
        am_fmt_seconds(p->eta_seconds, eta);
        fprintf(stderr, "  ETA %s", eta);
    }
    if (p->phase) {
        fputs(f >= 0 ? "  " : "", stderr);
        am_put_clean(stderr, p->phase);
    }
    fputs("\033[?7h", stderr);
    fflush(stderr);
}
