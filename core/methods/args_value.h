/*
 * args_value.h - what one resolved parameter holds. Private to args.c and args_json.c; methods use args.h.
 */
#ifndef AM_METHODS_ARGS_VALUE_H
#define AM_METHODS_ARGS_VALUE_H

#include "core/methods/method.h"

struct am_arg {
    const struct am_param *param;
    bool truth;        /* AM_BOOL */
    int64_t integer;   /* AM_INT */
    double real;       /* AM_REAL, one for all */
    double *per_input; /* AM_REAL with AM_PER_INPUT: am_args.inputs values */
    char *text;        /* AM_TEXT, AM_CHOICE */
    char **list;       /* AM_LIST: list_n texts */
    size_t list_n;
};

#endif
