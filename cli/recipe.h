/*
 * recipe.h - mergekit configurations as files: amend merge FILE.yml, amend job submit -f FILE.yml.
 */
#ifndef AM_CLI_RECIPE_H
#define AM_CLI_RECIPE_H

#include "cli/cli.h"

/* Whether a name is that of a configuration: it ends in .yml or .yaml. */
bool am_recipe_is(const char *file);
/* Registers the directories and cached models that the file names, and submits it. argv: what follows the file. */
int am_recipe_run(struct am_cli *c, const char *file, int argc, char **argv);

/* cmd_import.c: the model of the local Hugging Face cache that "ID" or "ID@REV" means, registered under its own name:
   "ns/name@commit" for free(), or NULL when the cache has none. */
int am_import_cached(struct am_cli *c, const char *text, char **ret);

#endif
