/*
 * change.c - see change.h.
 */
#include "cli/change.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int good(struct am_cli *c, int rc, const struct am_reply *r)
{
    return rc ? rc : r->status >= 200 && r->status < 300 ? 0 : am_problem_say(c, r);
}

int am_change(struct am_cli *c, const char *verb, const char *path, const char *seen, const json_t *body,
              struct am_reply *ret)
{
    const char *const headers[] = {seen, NULL};
    AM_CLEANUP(am_xfreep) char *text = body ? am_js_dump(body, false) : NULL;
    struct am_request q = {
        .verb = verb, .path = path, .body = text, .body_len = text ? strlen(text) : 0, .headers = headers};
    return good(c, am_http_send(c, &q, ret), ret);
}

int am_ask(const struct am_cli *c, const char *fmt, ...)
{
    char line[16] = "";
    va_list args;
    if (!isatty(STDIN_FILENO) || !c->err_tty)
        return am_say_usage(c, "add --yes: there is no terminal to ask on");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("? [y/N] ", stderr);
    if (fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y'))
        return 0;
    am_say_note(c, "nothing was deleted");
    return AM_EXIT_ERROR;
}

int am_remove(struct am_cli *c, const char *kind, const char *name, const char *path, bool yes)
{
    AM_CLEANUP(am_reply_done) struct am_reply seen = {0}, r = {0};
    int rc = yes ? 0 : am_ask(c, "delete %s %s", kind, name);
    if (rc || (rc = am_http_get(c, path, &seen)))
        return rc;
    AM_CLEANUP(am_xfreep) char *match = am_xprintf("If-Match: %s", seen.etag);
    if ((rc = am_change(c, "DELETE", path, match, NULL, &r)))
        return rc;
    if (c->out == AM_OUT_JSON && r.json)
        am_print_json(c, r.json);
    else
        printf("deleted %s\n", name);
    return 0;
}

int am_remove_named(struct am_cli *c, int argc, char **argv, const char *kind, const char *head)
{
    const char *name;
    bool yes = false;
    const struct am_opt opts[] = {{"yes", 'y', NULL, &yes}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url(head, name, NULL);
    return am_remove(c, kind, name, path, yes);
}

int am_send_file(struct am_cli *c, const char *path, const struct am_sent_file *f, struct am_reply *ret)
{
    char fresh[64];
    am_id_new("", am_now_ms(), fresh);
    AM_CLEANUP(am_xfreep) char *key = am_xprintf("Idempotency-Key: %s", fresh);
    const char *const headers[] = {key, f->gzip ? "Content-Encoding: gzip" : NULL, NULL};
    struct stat st;
    bool again = fflush(f->file) == 0 && fstat(fileno(f->file), &st) == 0 && S_ISREG(st.st_mode);
    struct am_request q = {.verb = "POST",
                           .path = path,
                           .file = f->file,
                           .file_bytes = again ? st.st_size : -1,
                           .type = f->type,
                           .headers = headers,
                           .keyed = again,
                           .once = !again,
                           .silent = true};
    return good(c, am_http_send(c, &q, ret), ret);
}
