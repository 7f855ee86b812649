/*
 * _patterns.c - the lists `include` and `exclude` (_patterns.h).
 */
#include "core/merge/_patterns.h"

#include "core/base/text.h"

static bool matches(const struct am_args *args, const char *list, const char *name)
{
    size_t n;
    const char *const *patterns = am_arg_list(args, list, &n);
    for (size_t i = 0; i < n; i++)
        if (am_glob(patterns[i], name))
            return true;
    return false;
}

bool am_patterns_select(const struct am_args *args, const struct am_tensor_info *t)
{
    return matches(args, "include", t->name) && !matches(args, "exclude", t->name);
}
