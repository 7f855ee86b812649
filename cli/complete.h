/*
 * complete.h - parts of amend __complete: what is offered (complete.c) from the tables here and from names that the
 * daemon tells (complete_names.c). Everything is silent: a person who presses Tab has asked no question.
 */
#ifndef AM_CLI_COMPLETE_H
#define AM_CLI_COMPLETE_H

#include "cli/commands.h"

/* "candidate TAB description" when the candidate begins with `cur`. */
void am_offer(const char *cur, const char *candidate, const char *doc);

/* Kinds of names; `of` is the model of a revision, the type of a method, or NULL. */
void am_offer_models(struct am_cli *c, const char *cur, bool revs); /* revs: after "MODEL@" its versions and refs */
void am_offer_datasets(struct am_cli *c, const char *cur);
void am_offer_refs(struct am_cli *c, const char *cur, const char *of);
void am_offer_ids(struct am_cli *c, const char *cur, const char *path, const char *doc); /* of the list at `path` */
void am_offer_gates(struct am_cli *c, const char *cur);
void am_offer_methods(struct am_cli *c, const char *cur, const char *of);
void am_offer_params(struct am_cli *c, const char *cur, const char *type, const char *method); /* as --flags */
bool am_param_has_value(struct am_cli *c, const char *type, const char *method, const char *name);
void am_offer_contexts(struct am_cli *c, const char *cur);
void am_offer_cached(struct am_cli *c, const char *cur);

#endif
