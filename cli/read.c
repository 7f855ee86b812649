/*
 * read.c - small inputs (read.h).
 */
#include "cli/read.h"

#include "core/base/buf.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_MAX (16u << 20)

static int slurp(int fd, struct am_buf *b)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = am_sys_read(fd, chunk, sizeof chunk);
        if (n <= 0)
            return n < 0 ? (int)n : 0;
        AM_TRY(am_buf_put(b, chunk, (size_t)n));
    }
}

int am_read_all(const struct am_cli *c, const char *file, char **ret, size_t *ret_len)
{
    bool standard = am_streq(file, "-");
    int fd = standard ? STDIN_FILENO : am_sys_open(AT_FDCWD, file, O_RDONLY, 0);
    struct am_buf b;
    am_buf_init(&b, READ_MAX);
    int rc = fd < 0 ? fd : slurp(fd, &b);
    if (rc == -AM_E_TOO_LARGE)
        am_say_error(c, NULL, "%s is larger than %u MiB", standard ? "standard input" : file, READ_MAX >> 20);
    else if (rc < 0)
        am_say_error(c, NULL, "cannot read %s: %s", standard ? "standard input" : file, strerror(errno));
    if (!standard && fd >= 0)
        am_sys_close(fd);
    if (rc == 0) {
        *ret_len = b.len;
        *ret = b.data ? am_buf_take(&b) : am_xdup("");
    }
    am_buf_done(&b);
    return rc ? AM_EXIT_ERROR : 0;
}

int am_parse_json(const struct am_cli *c, const char *what, const char *text, size_t n, json_t **ret)
{
    json_error_t e;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!v) {
        am_say_error(c, "correct the JSON there", "%s, line %d, column %d: %s", what, e.line, e.column, e.text);
        return AM_EXIT_USAGE;
    }
    *ret = v;
    return 0;
}

int am_read_json(const struct am_cli *c, const char *file, json_t **ret)
{
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n = 0;
    int rc = am_read_all(c, file, &text, &n);
    if (rc)
        return rc;
    AM_CLEANUP(am_jsonp) json_t *v = NULL;
    const char *what = am_streq(file, "-") ? "standard input" : file;
    if ((rc = am_parse_json(c, what, text, n, &v)))
        return rc;
    if (!json_is_object(v)) {
        am_say_error(c, "write it as {\"type\":...,\"method\":...,\"inputs\":{...}}",
                     "%s holds JSON, but not an object", what);
        return AM_EXIT_USAGE;
    }
    *ret = json_incref(v);
    return 0;
}
