/*
 * ask.h - one question to a running daemon over HTTP on loopback, for amendd's own commands. Not a client for others:
 * the program `amend` is.
 */
#ifndef AM_SERVER_ASK_H
#define AM_SERVER_ASK_H

#include <jansson.h>
#include <stddef.h>

/* url: "http://127.0.0.1:8420". body may be NULL. 0 with status and document (new reference), or a negative error with
   a sentence. */
int am_ask(const char *url, const char *method, const char *path, const char *body, int *ret_status, json_t **ret,
           char *why, size_t why_cap);

#endif
