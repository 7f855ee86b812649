/*
 * apidoc.h - the generated blocks of api.md (routes, methods, errors, settings), each between markers:
 * tools/update-docs puts them in.
 */
#ifndef AM_SERVER_APIDOC_H
#define AM_SERVER_APIDOC_H

#include <stdio.h>

int am_apidoc(FILE *out); /* exit code */

#endif
