/*
 * watch.c - see watch.h.
 */
#include "cli/watch.h"

#include "cli/http.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_MS 1000

static int ask(struct am_cli *c, const struct am_watch *w, json_t **ret)
{
    if (w->want)
        return am_http_list_poll(c, w->path, w->want, w->paged, ret);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_poll(c, w->path, &r);
    if (rc == 0)
        *ret = json_incref(r.json);
    return rc;
}

/* A thing alone as a list of one, so that both are told the same way. */
static json_t *entries_of(const struct am_watch *w, const json_t *doc)
{
    if (w->want)
        return json_incref(am_js(doc, "data"));
    json_t *one = json_array();
    json_array_append(one, (json_t *)doc);
    return one;
}

static void redraw(const struct am_cli *c, const struct am_watch *w, const json_t *doc, bool first)
{
    fputs(first ? "\033[2J\033[H" : "\033[H\033[J", stdout);
    if (w->want) {
        am_print_list(c, doc, w->head, w->right, w->row, w->when_empty);
    } else if (w->show) {
        w->show(c, doc);
    }
    fflush(stdout);
}

/* What the row shows, as one text: other members may change without anybody seeing it. */
static char *row_text(const struct am_cli *c, const struct am_watch *w, const json_t *e)
{
    if (c->out == AM_OUT_JSON)
        return am_js_dump(e, false);
    struct am_grid g;
    am_grid_init(&g, c, w->head);
    w->row(&g, e);
    char *text = am_xdup("");
    for (size_t i = 0; i < g.n; i++) {
        char *longer = am_xprintf("%s%s%s", text, i ? "\t" : "", g.cell[i]);
        free(text);
        text = longer;
    }
    am_grid_done(&g);
    return text;
}

static void put_line(const struct am_cli *c, const struct am_watch *w, const json_t *e)
{
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, e);
        return;
    }
    struct am_grid g;
    am_grid_init(&g, c, w->head);
    w->row(&g, e);
    am_grid_lines(&g);
    am_grid_done(&g);
}

static const char *id_of(const json_t *e)
{
    return am_js_text(e, "id", am_js_text(e, "name", am_js_text(e, "object", "?")));
}

/* `seen`: id -> the text that was told last. The oldest comes first, as in a log. */
static void put_changes(const struct am_cli *c, const struct am_watch *w, const json_t *entries, json_t *seen)
{
    for (size_t i = json_array_size(entries); i-- > 0;) {
        const json_t *e = json_array_get(entries, i);
        AM_CLEANUP(am_xfreep) char *text = row_text(c, w, e);
        if (am_streq(json_string_value(json_object_get(seen, id_of(e))), text))
            continue;
        json_object_set_new(seen, id_of(e), json_string_nocheck(text));
        put_line(c, w, e);
    }
    fflush(stdout);
}

bool am_watch_asked(int *argc, char **argv)
{
    bool asked = false, only_words = false;
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        only_words = only_words || am_streq(argv[i], "--");
        if (!only_words && (am_streq(argv[i], "-w") || am_streq(argv[i], "--watch")))
            asked = true;
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    return asked;
}

int am_watch(struct am_cli *c, const struct am_watch *w)
{
    bool drawn = c->out == AM_OUT_TABLE && c->out_tty;
    int64_t start = am_mono_ms();
    AM_CLEANUP(am_jsonp) json_t *seen = json_object();
    am_interrupt_watch();
    for (bool first = true;; first = false) {
        AM_CLEANUP(am_jsonp) json_t *doc = NULL;
        int rc = ask(c, w, &doc);
        if (rc)
            return rc;
        AM_CLEANUP(am_jsonp) json_t *entries = entries_of(w, doc);
        if (drawn)
            redraw(c, w, doc, first);
        else
            put_changes(c, w, entries, seen);
        if (w->ended && (rc = w->ended(doc)) >= 0)
            return rc;
        if (ferror(stdout) || (c->late && *c->late))
            return AM_EXIT_ERROR; /* the reader is gone, or the form cannot be made */
        int64_t left = c->timeout > 0 ? start + (int64_t)(c->timeout * 1000) - am_mono_ms() : EVERY_MS;
        if (left <= 0)
            return AM_EXIT_TIMEOUT;
        am_nap(left < EVERY_MS ? left : EVERY_MS);
        if (am_interrupted())
            return AM_EXIT_INTERRUPTED;
    }
}
