/*
 * spec.c - loading, and the members that all modes have.
 */
#include "core/base/buf.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "worker/spec_parts.h"

#include <stdlib.h>

#define SPEC_MAX (64u << 20)
#define FD_MAX 65535

static int read_all(int fd, struct am_buf *out)
{
    char part[16384];
    for (;;) {
        ssize_t n = am_sys_read(fd, part, sizeof(part));
        if (n <= 0)
            return (int)n;
        AM_TRY(am_buf_put(out, part, (size_t)n));
    }
}

int am_spec_load(int fd, json_t **ret, struct am_faults *faults)
{
    struct am_buf text;
    json_error_t why = {.line = 0};
    am_buf_init(&text, SPEC_MAX);
    int rc = read_all(fd, &text);
    json_t *root = rc == 0 ? json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &why) : NULL;
    am_buf_done(&text);
    if (rc == -AM_E_TOO_LARGE)
        return am_fault_add(faults, AM_E_BAD_SPEC, (struct am_where){0}, "the spec is longer than 64 MiB");
    if (rc < 0)
        return rc;
    if (!json_is_object(root)) {
        json_decref(root);
        return am_fault_add(faults, AM_E_BAD_SPEC, (struct am_where){0}, "the spec is no JSON object%s%s",
                            why.text[0] ? ": " : "", why.text);
    }
    *ret = root;
    return 0;
}

int am_spec_bad(struct am_faults *f, const char *pointer, const char *what)
{
    return am_fault_add(f, AM_E_BAD_SPEC, (struct am_where){.pointer = pointer}, "%s in the spec %s", pointer, what);
}

int am_spec_u64(json_t *obj, const char *name, uint64_t *ret)
{
    json_t *v = json_object_get(obj, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return -AM_E_BAD_SPEC;
    *ret = (uint64_t)json_integer_value(v);
    return 0;
}

int am_spec_head(json_t *root, struct am_faults *f)
{
    uint64_t proto = 0, staging = 0;
    if (am_spec_u64(root, "proto", &proto) < 0)
        return am_spec_bad(f, "#/proto", "must be a number");
    if (proto != 1)
        return am_fault_add(f, AM_E_UNSUPPORTED, (struct am_where){.pointer = "#/proto"},
                            "the spec has proto %llu, this worker speaks 1: daemon and worker are of different builds",
                            (unsigned long long)proto);
    if (am_spec_u64(root, "staging", &staging) < 0 || staging != AM_FD_STAGING)
        return am_spec_bad(f, "#/staging", "must be 4");
    return 0;
}

int am_spec_limits(struct am_limits *ret, json_t *root, struct am_faults *faults)
{
    struct am_limits l = {0};
    json_t *o = json_object_get(root, "limits");
    if (am_spec_u64(o, "memory_bytes", &l.memory_bytes) < 0 || am_spec_u64(o, "file_bytes", &l.file_bytes) < 0 ||
        am_spec_u64(o, "descriptors", &l.descriptors) < 0 ||
        (json_object_get(o, "cpu_seconds") && am_spec_u64(o, "cpu_seconds", &l.cpu_seconds) < 0))
        return am_spec_bad(faults, "#/limits", "must have memory_bytes, file_bytes and descriptors");
    *ret = l;
    return 0;
}

const char *am_spec_path(json_t *obj)
{
    const char *path = json_string_value(json_object_get(obj, "path"));
    return path && am_file_path_ok(path) ? path : NULL;
}

static int remember(struct am_spec_fds *fds, int fd)
{
    for (size_t i = fds->n; i-- > 0;)
        if (fds->v[i] == fd)
            return 0;
    if (fds->n == fds->cap) {
        size_t cap = fds->cap ? 2 * fds->cap : 64;
        int *v = realloc(fds->v, cap * sizeof(*v));
        if (!v)
            return -AM_E_OUT_OF_MEMORY;
        fds->v = v;
        fds->cap = cap;
    }
    fds->v[fds->n++] = fd;
    return 0;
}

int am_spec_fd(struct am_spec_fds *fds, json_t *value, int *ret)
{
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < AM_FD_FIRST || number > FD_MAX)
        return -AM_E_BAD_SPEC;
    AM_TRY(remember(fds, (int)number));
    *ret = (int)number;
    return 0;
}
