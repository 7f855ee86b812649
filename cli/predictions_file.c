/*
 * predictions_file.c - the file that amend predictions push sends (predictions.h): as it is, with another header, or
 * made of a table.
 */
#include "cli/predictions.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GZIP_FIRST 0x1f

static const char *name_of(const struct am_push *p)
{
    return am_streq(p->path, "-") ? "standard input" : p->path;
}

static FILE *open_input(const struct am_cli *c, const struct am_push *p)
{
    int fd = am_streq(p->path, "-") ? dup(STDIN_FILENO) : am_sys_open(AT_FDCWD, p->path, O_RDONLY, 0);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!f)
        am_say_error(c, NULL, "cannot read %s: %s", name_of(p), strerror(errno));
    return f;
}

static json_t *external(const char *name)
{
    return json_pack("{s:s}", "external", name);
}

int am_push_names(const struct am_cli *c, const struct am_push *p, json_t *header)
{
    static const char prefix[] = "external:";
    if (p->version && am_starts(p->version, prefix))
        json_object_set_new(header, "version", external(p->version + sizeof prefix - 1));
    else if (p->version && !strchr(p->version, '/') && c->ns) {
        AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", c->ns, p->version);
        json_object_set_new(header, "version", json_string(full));
    } else if (p->version)
        json_object_set_new(header, "version", json_string(p->version));
    if (p->dataset && am_starts(p->dataset, prefix))
        json_object_set_new(header, "dataset", external(p->dataset + sizeof prefix - 1));
    else if (p->dataset) /* with a slash it is one that is kept here */
        json_object_set_new(header, "dataset",
                            strchr(p->dataset, '/') ? json_string(p->dataset) : external(p->dataset));
    return 0;
}

static int copy_rest(const struct am_cli *c, const struct am_push *p, FILE *in, FILE *out)
{
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, in)) > 0)
        if (fwrite(part, 1, n, out) != n)
            break;
    if (!ferror(in) && !ferror(out))
        return 0;
    am_say_error(c, NULL, "cannot copy %s into a temporary file: %s", name_of(p), strerror(errno));
    return AM_EXIT_ERROR;
}

/* The first line with what the options say; the other lines as they are. */
static int with_header(const struct am_cli *c, struct am_push *p, FILE *in)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, in);
    AM_CLEANUP(am_jsonp) json_t *header = n > 0 ? json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    free(line);
    if (!json_is_object(header)) {
        am_say_error(c, "the first line is {\"schema\":\"amend.preds/1\",\"version\",\"dataset\",\"task\",\"n\"}",
                     "%s does not begin with a header that could get --version or --dataset", name_of(p));
        return AM_EXIT_ERROR;
    }
    am_push_names(c, p, header);
    p->file = tmpfile();
    AM_CLEANUP(am_xfreep) char *text = json_dumps(header, JSON_COMPACT);
    if (!p->file || !text || fprintf(p->file, "%s\n", text) < 0) {
        am_say_error(c, NULL, "cannot make a temporary file: %s", strerror(errno));
        return AM_EXIT_ERROR;
    }
    return copy_rest(c, p, in, p->file);
}

int am_push_open(struct am_cli *c, struct am_push *p)
{
    FILE *in = open_input(c, p);
    if (!in)
        return AM_EXIT_ERROR;
    int first = getc(in), rc = 0;
    ungetc(first, in);
    p->gzip = first == GZIP_FIRST;
    bool named = p->version || p->dataset;
    if (am_ends(p->path, ".csv"))
        rc = am_push_csv(c, p, in);
    else if (p->id || p->label || p->pred || p->task || p->split || p->labels)
        rc = am_say_usage(c, "--id, --label, --pred, --task, --split and --labels are of a FILE.csv");
    else if (named && p->gzip)
        rc = am_say_usage(c,
                          "--version and --dataset cannot change a compressed file; unpack it: zcat %s | amend "
                          "predictions push - ...",
                          name_of(p));
    else if (named)
        rc = with_header(c, p, in);
    else
        p->file = in;
    if (p->file != in)
        fclose(in);
    return rc;
}

void am_push_done(struct am_push *p)
{
    if (p->file)
        fclose(p->file);
    p->file = NULL;
}
