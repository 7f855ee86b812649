/*
 * args_value.h - what one resolved parameter holds. Private to args.c and args_json.c; methods use args.h.
 */
#ifndef AM_METHODS_ARGS_VALUE_H
#define AM_METHODS_ARGS_VALUE_H

#include "core/methods/method.h"

struct am_setting { /* a value that differs from tensor to tensor */
    struct am_setting_entry {
        int64_t slice; /* the part of a stack; -1: any */
        char *filter;  /* a part of a tensor's name; NULL: of any */
        char **module; /* what its name begins with: one of these, up to a NULL; NULL: anything */
        double *value; /* one number, or numbers over the depth */
        size_t n;
    } * v;
    size_t n; /* 0: it does not differ */
};

struct am_arg {
    const struct am_param *param;
    bool truth;                /* AM_BOOL */
    int64_t integer;           /* AM_INT */
    double real;               /* AM_REAL, one for all */
    double *per_input;         /* AM_REAL with AM_PER_INPUT: am_args.inputs values */
    struct am_setting *varies; /* AM_REAL, AM_BOOL: NULL, or one, or am_args.inputs of them */
    size_t at;                 /* of its first value in am_args.row, when it varies */
    char *text;                /* AM_TEXT, AM_CHOICE */
    char **list;               /* AM_LIST: list_n texts */
    size_t list_n;
};

#endif
