/*
 * _compat.h - the parameter `compat` of methods whose own rule differs from mergekit's (merge.md B17).
 */
#ifndef AM_MERGE_COMPAT_H
#define AM_MERGE_COMPAT_H

#include "core/methods/method.h"

#include <string.h>

static const char *const am_compat_choices[] = {"none", "rules", NULL};
#define AM_COMPAT(text)                                                                                                \
    {                                                                                                                  \
        .name = "compat", .kind = AM_CHOICE, .choices = am_compat_choices, .def = "\"none\"", .unit = "none",          \
        .flags = AM_ADVANCED, .doc = text                                                                              \
    }

static inline bool am_compat_rules(const struct am_args *args)
{
    return strcmp(am_arg_text(args, "compat"), "rules") == 0;
}

#endif
