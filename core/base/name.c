/*
 * name.c - names of models (hub.md 2.1), paths inside a version, plain file names. See text.h.
 */
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define PART_MAX 96
#define PATH_BYTES_MAX 1024
#define NAME_BYTES_MAX 255

static const char *const reserved[] = {"api",      "v1",      "ui",      "lfs",    "assets",
                                       "datasets", "spaces",  "kernels", "models", "buckets",
                                       "docs",     "healthz", "readyz",  "livez",  "metrics"};

static bool part_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static bool edge(char c)
{
    return c == '-' || c == '.';
}

static const char *part_fault(const char *s, size_t n)
{
    if (n == 0)
        return "namespace and name must not be empty";
    if (n > PART_MAX)
        return "namespace and name have at most 96 characters each";
    for (size_t i = 0; i < n; i++)
        if (!part_char(s[i]))
            return "only letters, digits, '_', '-' and '.' are allowed in a namespace or name";
    if (edge(s[0]) || edge(s[n - 1]))
        return "a namespace or name must not start or end with '-' or '.'";
    for (size_t i = 0; i + 1 < n; i++)
        if (edge(s[i]) && s[i] == s[i + 1])
            return "'--' and '..' are not allowed in a namespace or name";
    if (n >= 4 && memcmp(s + n - 4, ".git", 4) == 0)
        return "a namespace or name must not end in '.git'";
    return NULL;
}

const char *am_model_name_fault(const char *id)
{
    const char *slash = id ? strchr(id, '/') : NULL;
    if (!slash || strchr(slash + 1, '/'))
        return "a model is named namespace/name, with exactly one '/'";
    size_t n = (size_t)(slash - id);
    const char *fault = part_fault(id, n);
    if (fault)
        return fault;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strlen(reserved[i]) == n && memcmp(reserved[i], id, n) == 0)
            return "this namespace is reserved for the service; choose another one";
    return part_fault(slash + 1, strlen(slash + 1));
}

const char *am_rev_split(const char *text, char *name, size_t cap)
{
    size_t n = strcspn(text, "@");
    snprintf(name, cap, "%.*s", (int)(n < cap ? n : 0), text);
    return text[n] ? text + n + 1 : NULL;
}

bool am_rev_is_number(const char *rev, int64_t *ret)
{
    uint64_t n;
    bool plain = rev[0] == 'v' && (rev[1] != '0' || rev[2] == '\0');
    if (!plain || am_parse_u64(rev + 1, &n) < 0 || n > INT64_MAX)
        return false;
    if (ret)
        *ret = (int64_t)n;
    return true;
}

static bool segment_ok(const char *s, size_t n)
{
    if (n == 0 || (n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
            return false;
    return true;
}

bool am_file_path_ok(const char *path)
{
    size_t n = path ? strnlen(path, PATH_BYTES_MAX + 1) : 0;
    if (n == 0 || n > PATH_BYTES_MAX || !am_utf8_ok(path, n))
        return false;
    for (;;) {
        size_t k = strcspn(path, "/");
        if (!segment_ok(path, k))
            return false;
        if (!path[k])
            return true;
        path += k + 1;
    }
}

bool am_plain_name_ok(const char *name)
{
    size_t n = name ? strnlen(name, NAME_BYTES_MAX + 1) : 0;
    return n > 0 && n <= NAME_BYTES_MAX && !memchr(name, '/', n) && segment_ok(name, n) && am_utf8_ok(name, n);
}
