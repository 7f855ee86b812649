/*
 * problem.c - problem documents (RFC 9457) in words: the cause, each fault with its pointer, what to do, the code and
 * request id.
 */
#include "cli/commands.h"
#include "cli/http.h"

#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

struct remedy {
    const char *code, *fix;
};
static const struct remedy remedies[] = {
    {"not-found", "check the name: amend model list, amend job list"},
    {"revision-not-found", "see which versions there are: amend model versions MODEL"},
    {"unknown-method", "see which methods there are: amend methods"},
    {"invalid-params", "see the parameters with their ranges: amend methods TYPE/METHOD"},
    {"missing-input", "see what the method needs: amend methods TYPE/METHOD"},
    {"name-taken", "choose another name, or work with the model that has it: amend model show MODEL"},
    {"idempotency-key-reused", "give each job a key of its own, or leave --idempotency-key out"},
    {"job-terminal", "nothing to do: amend job get ID shows how it ended"},
    {"path-not-allowed",
     "start amendd with --store.import_roots (export: --store.export_roots) =FOLDER that holds the directory"},
    {"malformed-safetensors", "download or write the named file again; nothing was registered"},
    {"shape-mismatch", "merge models of one architecture and size; amend model show M@REV tells them apart"},
    {"architecture-mismatch", "merge models of one architecture; amend model show M@REV tells them apart"},
    {"dtype-unsupported", "convert the weights to F32, BF16 or F16 first"},
    {"insufficient-memory", "start amendd with a larger --workers.memory_max, or use fewer inputs"},
    {"insufficient-disk", "free space where the daemon keeps its store (--data_dir)"},
    {"queue-full", "wait until jobs have ended (amend job list), then submit again"},
    {"shutting-down", "wait until the daemon is back: amend doctor"},
    {"host-refused", "start amendd with --allowed_hosts=HOST, or use its own address in --endpoint"},
    {"stack-empty", "see where it has been: amend ref history MODEL REF; move it there: amend ref set MODEL REF REV"},
    {"version-gone", "see where else it has been: amend ref history MODEL REF"},
    {"ref-shadows-version", "choose a name that does not look like a version"},
    {"precondition-failed", "somebody moved it meanwhile: look again, then decide"},
    {"bad-input", "check the inputs; amend job logs ID has the details"},
    {"out-of-memory", "start amendd with a larger --workers.memory_max"},
    {"worker-crashed", "see amend job logs ID; submitting it again is safe"},
    {"non-finite", "an input holds NaN or infinity, or a weight is too large; look at the named tensor"},
    {"cannot-write", "free space where the daemon keeps its store, then submit again"},
    {"attempts-exhausted", "see amend job logs ID for what stopped each attempt"},
    {"publish-failed", "free space where the daemon keeps its store, then submit again"},
    {"store-damaged", "restore the daemon's data_dir from a backup; its log names the file"},
    {"internal", "look for the request id in the daemon's log"},
};

static const char *remedy_of(const char *code)
{
    for (size_t i = 0; i < sizeof remedies / sizeof *remedies; i++)
        if (am_streq(remedies[i].code, code))
            return remedies[i].fix;
    return NULL;
}

/* `cause`: what the first line said already */
static void say_fault(const json_t *e, const char *cause)
{
    static const char *const more[] = {"tensor", "file"};
    const char *pointer = am_js_text(e, "pointer", "");
    const char *detail = am_js_text(e, "detail", am_js_text(e, "code", "?"));
    bool told = am_streq(detail, cause);
    if (told && !pointer[0])
        return;
    fputs("  at ", stderr);
    am_put_clean(stderr, pointer[0] ? pointer : "the request");
    if (!told) {
        fputs(": ", stderr);
        am_put_clean(stderr, detail);
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        const char *text = am_js_text(e, more[i], NULL);
        if (text) {
            fprintf(stderr, " [%s ", more[i]);
            am_put_clean(stderr, text);
            fputc(']', stderr);
        }
    }
    fputc('\n', stderr);
}

static void say_list(const json_t *errors, const char *cause, size_t most)
{
    size_t n = json_array_size(errors);
    for (size_t i = 0; i < n && i < most; i++)
        say_fault(json_array_get(errors, i), cause);
    if (n > most)
        fprintf(stderr, "  and %zu more (-o json shows all)\n", n - most);
}

static void say_faults(const json_t *doc, size_t most)
{
    say_list(am_js(doc, "errors"), am_js_text(doc, "detail", NULL), most);
}

/* Prints the remedy with `value` in the place of the word `hole`; as it is when there is no value. */
static void say_fix(const char *fix, const char *hole, const char *value)
{
    const char *at = value ? strstr(fix, hole) : NULL;
    if (!at) {
        fprintf(stderr, "  fix: %s\n", fix);
        return;
    }
    fprintf(stderr, "  fix: %.*s", (int)(at - fix), fix);
    am_put_clean(stderr, value);
    fprintf(stderr, "%s\n", at + strlen(hole));
}

static void say_tail(const char *code, const char *id, const char *hole, const char *value)
{
    const char *fix = remedy_of(code);
    if (fix)
        say_fix(fix, hole, value);
    fputs("  problem: ", stderr);
    am_put_clean(stderr, code);
    if (id && id[0]) {
        fputs(" (request ", stderr);
        am_put_clean(stderr, id);
        fputc(')', stderr);
    }
    fputc('\n', stderr);
}

static int exit_of(long status)
{
    switch (status) {
    case 401:
    case 403:
        return AM_EXIT_FORBIDDEN;
    case 404:
        return AM_EXIT_NOT_FOUND;
    case 409:
    case 412:
    case 428:
        return AM_EXIT_CONFLICT;
    default:
        return AM_EXIT_ERROR;
    }
}

int am_problem_say(const struct am_cli *c, const struct am_reply *r)
{
    const char *code = am_js_text(r->json, "code", NULL);
    if (!code) {
        am_say_error(c, "is the endpoint an amend daemon? ask: amend doctor",
                     "%s answered %ld without a problem document", c->endpoint, r->status);
        return exit_of(r->status);
    }
    am_say_error(c, NULL, "%s", am_js_text(r->json, "detail", am_js_text(r->json, "title", code)));
    say_faults(r->json, 1000);
    AM_CLEANUP(am_xfreep) char *method = c->method ? am_xprintf("%s/%s", c->cmd->noun, c->method) : NULL;
    say_tail(code, am_js_text(r->json, "request_id", r->request_id), "TYPE/METHOD", method);
    return exit_of(r->status);
}

void am_problem_say_job(const struct am_cli *c, const json_t *job)
{
    const json_t *e = am_js(job, "error");
    const char *code = am_js_text(e, "code", "internal");
    const char *id = am_js_text(job, "id", "the job");
    const char *tensor = am_js_text(e, "tensor", NULL);
    am_say_error(c, NULL, "%s failed: %s%s%s%s", id, am_js_text(e, "detail", am_js_text(e, "title", code)),
                 tensor ? " [tensor " : "", tensor ? tensor : "", tensor ? "]" : "");
    say_faults(e, 5);
    say_tail(code, am_js_text(e, "request_id", NULL), "ID", id);
}

void am_problem_say_plan(const struct am_cli *c, const json_t *plan)
{
    const json_t *refusals = am_js(plan, "refusals");
    am_say_error(c, NULL, "the job would be refused; reasons: %zu", json_array_size(refusals));
    say_list(refusals, NULL, 1000);
}

int am_say_unreachable(const struct am_cli *c, const char *why)
{
    static const char fix[] = "is amendd running? start it with: amendd --data_dir=FOLDER; or name another one with "
                              "--endpoint or AMEND_ENDPOINT";
    am_say_error(c, fix, "no answer from %s (from %s): %s", c->endpoint, c->endpoint_from, why);
    return AM_EXIT_UNREACHABLE;
}
