/*
 * cmd_pull.c - amend model pull: a version's files into a directory here. The files themselves are pull_file.c's work.
 */
#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/pull.h"
#include "core/base/clock.h"
#include "core/base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A branch may move while we download: everything is fetched from the commit that it means now. */
static int pin(struct am_pull *p)
{
    AM_CLEANUP(am_xfreep) char *url = am_url_model(p->ref.model, "versions", p->ref.rev, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_get(p->c, url, &r);
    if (rc)
        return rc;
    const char *commit = am_js_text(r.json, "commit", NULL);
    if (commit && strlen(commit) < sizeof p->ref.rev)
        snprintf(p->ref.rev, sizeof p->ref.rev, "%s", commit);
    return 0;
}

static void note_space(const struct am_pull *p)
{
    uint64_t free_bytes, total;
    char need[AM_FMT], have[AM_FMT];
    if (am_sys_free_bytes(p->dir, &free_bytes, &total) < 0 || free_bytes >= p->total)
        return;
    /* Only a note: files that are there already need no space. */
    am_fmt_bytes((int64_t)p->total, need);
    am_fmt_bytes((int64_t)free_bytes, have);
    am_say_note(p->c, "note: the version has %s and only %s are free in %s", need, have, p->dir);
}

int am_cmd_model_pull(struct am_cli *c, int argc, char **argv)
{
    const char *words[2];
    struct am_pull p = {.c = c, .start = am_mono_ms()};
    int rc = am_opt_parse(c, NULL, argc, argv, 2, 2, words);
    if (rc || (rc = am_rev_parse(c, words[0], &p.ref)))
        return rc;
    am_interrupt_watch();
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = pin(&p)))
        return rc;
    AM_CLEANUP(am_xfreep) char *url = am_url_model(p.ref.model, "versions", p.ref.rev, "files", NULL);
    if ((rc = am_http_list(c, url, 1000000, false, &list)))
        return rc;
    const json_t *data = am_js(list, "data"), *entry;
    size_t i;
    p.dir = words[1];
    json_array_foreach(data, i, entry) p.total +=
        (uint64_t)(am_js_int(entry, "bytes", 0) > 0 ? am_js_int(entry, "bytes", 0) : 0);
    AM_CLEANUP(am_xfreep) char *inside = am_xprintf("%s/", p.dir);
    if ((rc = am_pull_folders(c, inside)))
        return rc;
    note_space(&p);
    json_array_foreach(data, i, entry)
    {
        if ((rc = am_pull_take(&p, entry)))
            return rc;
    }
    char size[AM_FMT];
    am_fmt_bytes((int64_t)p.done, size);
    am_say_note(c, "%s: %zu files fetched, %zu already there, %s", p.dir, p.fetched, p.skipped, size);
    if (c->out == AM_OUT_JSON)
        am_print_json(c, list);
    else
        puts(p.dir);
    return 0;
}
