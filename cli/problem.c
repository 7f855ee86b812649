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
    {"invalid-request", "correct what is named; amend COMMAND --help tells the form"},
    {"unknown-member", "leave it out or correct its name; api.md and amend methods TYPE/METHOD list what there is"},
    {"forbidden", "ask for a token with more rights: amend context set NAME --token-file FILE"},
    {"origin-refused", "leave the Origin header out: amend sends none by itself"},
    {"not-acceptable", "ask for a form that the answer names: amend api -H 'Accept: application/json' ..."},
    {"method-not-allowed", "see the routes: amend api GET /v1/openapi.json"},
    {"unsupported-media-type", "send JSON: amend api sets the type by itself"},
    {"range-not-satisfiable", "ask for a range inside the file: amend model files MODEL@REV tells sizes"},
    {"payload-too-large", "make it smaller, or start amendd with a larger limit (amendd --help, limits.*)"},
    {"conflict", "look how it stands now: amend model show MODEL, amend job get ID"},
    {"idempotency-in-progress", "wait a moment, then send the same again"},
    {"version-incomplete", "wait until it is complete: amend model show MODEL@REV"},
    {"version-in-use", "move or remove what names it first: amend model show MODEL@REV"},
    {"version-gone", "choose another one: amend model versions MODEL"},
    {"stack-empty", "there is no earlier target: amend model versions MODEL"},
    {"ref-shadows-version", "choose a name that is no version's (v1, v2, ...)"},
    {"report-missing", "compare them first: amend compat run OLD NEW --data D"},
    {"gate-required", "ask the gate first: amend compat run --help tells how"},
    {"gate-refused", "see why, rule by rule: amend decision show ID; --force with --reason moves it all the same"},
    {"precondition-required", "send If-Match with the ETag that you saw: amend api -H 'If-Match: ...'"},
    {"too-many-streams", "close some, then try again in a moment"},
    {"unsupported-format", "convert it to safetensors first"},
    {"bad-spec", "is amend-worker of the daemon's version? amend version; amend job logs ID"},
    {"unsupported", "see amend job logs ID; another method may do: amend methods"},
    {"worker-hung", "see amend job logs ID; submitting it again is safe"},
    {"time-limit", "submit it again with a larger options.time_limit_seconds"},
    {"dependency-failed", "see why the other job failed: amend job get ID"},
    {"cancelled", "submit it again if it is still wanted"},
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
    {"malformed-dataset", "correct the rows that are named and upload it again; nothing was stored"},
    {"samples-unknown", "name the version of the dataset that the samples are from: amend dataset list DATASET"},
    {"dataset-mismatch", "upload both prediction sets over the same samples with the same labels, then compare again"},
    {"predictions-missing",
     "upload what the version says about the data: amend predictions push FILE --version MODEL@REV --dataset NAME"},
    {"malformed-predictions", "correct the lines that are named and upload it again; nothing was stored"},
    {"malformed-safetensors", "download or write the named file again; nothing was registered"},
    {"shape-mismatch", "merge models of one architecture and size; amend model show M@REV tells them apart"},
    {"architecture-mismatch", "merge models of one architecture; amend model show M@REV tells them apart"},
    {"tokenizer-mismatch", "its errors name the file or the token; take one tokenizer with tokenizer.source base or a "
                           "model, or leave it out"},
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
    if (am_js_int(e, "line", 0) > 0)
        fprintf(stderr, " (line %lld)", (long long)am_js_int(e, "line", 0));
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
        fputs("  fix: ", stderr);
        am_put_clean(stderr, fix);
        fputc('\n', stderr);
        return;
    }
    fprintf(stderr, "  fix: %.*s", (int)(at - fix), fix);
    am_put_clean(stderr, value);
    fprintf(stderr, "%s\n", at + strlen(hole));
}

static void say_tail(const char *code, const char *id, const char *hole, const char *value)
{
    const char *fix = remedy_of(code);
    AM_CLEANUP(am_xfreep)
    char *ask = fix ? NULL : am_xprintf("amend api GET /v1/problems/%s", code); /* a newer daemon's */
    say_fix(fix ? fix : ask, hole, value);
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
    const char *code = am_js_text(json_array_get(refusals, 0), "code", NULL);
    am_say_error(c, NULL, "the job would be refused; reasons: %zu", json_array_size(refusals));
    say_list(refusals, NULL, 1000);
    AM_CLEANUP(am_xfreep) char *method = c->method ? am_xprintf("%s/%s", c->cmd->noun, c->method) : NULL;
    if (code)
        say_tail(code, NULL, "TYPE/METHOD", method);
}

int am_say_unreachable(const struct am_cli *c, const char *why)
{
    static const char fix[] = "is amendd running? start it with: amendd --data_dir=FOLDER; or name another one with "
                              "--endpoint or AMEND_ENDPOINT";
    am_say_error(c, fix, "no answer from %s (from %s): %s", c->endpoint, c->endpoint_from, why);
    return AM_EXIT_UNREACHABLE;
}
