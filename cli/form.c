/*
 * form.c - the forms of -o json: whole, only some members (--json), through jq (--jq), as YAML (-o yaml). Every command
 * that prints a value comes through am_print_json(), so that each form works everywhere.
 */
#include "cli/out.h"

#include "core/base/text.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const struct am_cli *c, int code)
{
    if (c->late && !*c->late)
        *c->late = code;
}

/* The next of "a,b.c", ended in place; NULL at the end. */
static char *next_field(char **rest)
{
    char *start = *rest;
    if (!start)
        return NULL;
    char *comma = strchr(start, ',');
    *rest = comma ? comma + 1 : NULL;
    if (comma)
        *comma = 0;
    return start;
}

/* `fields` of one object. Names that it does not have stay away and are counted in `missing`. */
static json_t *pick(const char *fields, const json_t *o, json_t *missing)
{
    AM_CLEANUP(am_xfreep) char *text = am_xdup(fields);
    json_t *out = json_object();
    char *rest = text, *name;
    while ((name = next_field(&rest))) {
        json_t *whole = json_object_get(o, name), *v = whole ? whole : am_js(o, name);
        if (v)
            json_object_set(out, name, v);
        else
            json_object_set_new(missing, name, json_integer(json_integer_value(json_object_get(missing, name)) + 1));
    }
    return out;
}

static void say_missing(const struct am_cli *c, const json_t *missing, const json_t *sample)
{
    const char *wrong = json_object_iter_key(json_object_iter((json_t *)missing)), *known[128], *name;
    json_t *v;
    size_t n = 0;
    AM_CLEANUP(am_xfreep) char *all = am_xdup("");
    json_object_foreach((json_t *)sample, name, v)
    {
        if (n == 128)
            break;
        char *longer = am_xprintf("%s%s%s", all, n ? ", " : "", name);
        free(all);
        all = longer;
        known[n++] = name;
    }
    const char *near = am_near(wrong, known, n);
    AM_CLEANUP(am_xfreep)
    char *fix = near ? am_xprintf("did you mean %s? the members are: %s", near, all)
                     : am_xprintf("the members are: %s; a.b names one inside another", all);
    am_say_error(c, fix, "--json: there is no member '%s' here", wrong);
}

/* A list gives a list of its entries, anything else one object. NULL: said. A member that only some have is no mistake.
 */
static json_t *choose(const struct am_cli *c, const json_t *v)
{
    const json_t *data = json_is_array(v)                                  ? v
                         : am_streq(am_js_text(v, "object", NULL), "list") ? am_js(v, "data")
                                                                           : NULL;
    AM_CLEANUP(am_jsonp) json_t *missing = json_object();
    if (!data && !json_is_object(v)) {
        am_say_error(c, "leave --json out", "--json chooses members, and the answer has none");
        return NULL;
    }
    json_t *out = data ? json_array() : pick(c->fields, v, missing);
    for (size_t i = 0; i < json_array_size(data); i++)
        json_array_append_new(out, pick(c->fields, json_array_get(data, i), missing));
    const char *name;
    json_t *count;
    void *next;
    size_t all = data ? json_array_size(data) : 1;
    json_object_foreach_safe(missing, next, name, count) if ((size_t)json_integer_value(count) < all)
        json_object_del(missing, name);
    if (!json_object_size(missing))
        return out;
    say_missing(c, missing, data ? json_array_get(data, 0) : v);
    json_decref(out);
    return NULL;
}

static int feed(int fd, const char *text)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGPIPE, &ignore, &before); /* jq may end before it has read all */
    size_t n = strlen(text);
    ssize_t k = 1;
    for (size_t at = 0; at < n && k > 0; at += k > 0 ? (size_t)k : 0)
        while ((k = write(fd, text + at, n - at)) < 0 && errno == EINTR)
            continue;
    close(fd);
    sigaction(SIGPIPE, &before, NULL);
    return k > 0 ? 0 : -1;
}

static int spawn_jq(const char *expr, int in, int other, pid_t *ret)
{
    posix_spawn_file_actions_t act;
    AM_CLEANUP(am_xfreep) char *program = am_xprintf(" %s", expr); /* so that no expression looks like an option */
    char *const argv[] = {(char[]){"jq"}, (char[]){"-r"}, program, NULL};
    posix_spawn_file_actions_init(&act);
    posix_spawn_file_actions_adddup2(&act, in, STDIN_FILENO);
    posix_spawn_file_actions_addclose(&act, in);
    posix_spawn_file_actions_addclose(&act, other);
    int rc = posix_spawnp(ret, "jq", &act, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&act);
    return rc;
}

static void through_jq(const struct am_cli *c, const char *text)
{
    int p[2], status = 0;
    pid_t pid;
    fflush(stdout);
    if (pipe(p) < 0) {
        am_say_error(c, NULL, "cannot start jq: %s", strerror(errno));
        fail(c, AM_EXIT_ERROR);
        return;
    }
    int rc = spawn_jq(c->jq, p[0], p[1], &pid);
    close(p[0]);
    if (rc) {
        close(p[1]);
        am_say_error(c, "install jq (apt install jq), or use -o json", "--jq needs the program jq: %s", strerror(rc));
        fail(c, AM_EXIT_ERROR);
        return;
    }
    feed(p[1], text);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    am_say_error(c, "correct the expression; -o json shows what it works on", "jq could not evaluate '%s'", c->jq);
    fail(c, AM_EXIT_USAGE);
}

static void print_yaml(const struct am_cli *c, const json_t *v)
{
    AM_CLEANUP(am_xfreep) char *text = am_yaml(v);
    if (text) {
        am_print_text(c, text, strlen(text));
        return;
    }
    am_say_error(c, "use -o json", "the answer is too large for YAML");
    fail(c, AM_EXIT_ERROR);
}

void am_print_json(const struct am_cli *c, const json_t *v)
{
    AM_CLEANUP(am_jsonp) json_t *chosen = c->fields ? choose(c, v) : NULL;
    if (c->fields && !chosen) {
        fail(c, AM_EXIT_USAGE);
        return;
    }
    v = chosen ? chosen : v;
    if (c->yaml) {
        print_yaml(c, v);
        return;
    }
    AM_CLEANUP(am_xfreep) char *text = am_js_dump(v, c->out_tty && !c->jq);
    if (c->jq) {
        through_jq(c, text);
        return;
    }
    am_print_text(c, text, strlen(text)); /* JSON escapes C0 but not DEL and C1 */
    if (!c->out_tty)
        putchar('\n');
}

void am_print_spec(const struct am_cli *c, const json_t *v)
{
    if (c->yaml || c->fields || c->jq) {
        am_print_json(c, v);
        return;
    }
    AM_CLEANUP(am_xfreep) char *text = am_js_dump(v, true);
    am_print_text(c, text, strlen(text));
    if (!c->out_tty)
        putchar('\n');
}
