/*
 * hub_cache.h - the local cache of huggingface_hub: models--ORG--NAME/{refs,snapshots,blobs}. Only read. Not the Hub
 * protocol: nothing is asked over the network.
 * Ownership: am_cached owns its texts until am_cache_done(); safe on a zeroed list.
 */
#ifndef AM_CLI_HUB_CACHE_H
#define AM_CLI_HUB_CACHE_H

#include "cli/cli.h"

struct am_cached { /* one snapshot */
    char *id;      /* "org/name", or "name" of the old kind */
    char *commit;  /* the name of its folder */
    char *refs;    /* names of refs that lead to it, joined by ", "; or NULL */
    char *dir;     /* its folder */
};
struct am_cache {
    char *root;
    struct am_cached *v; /* by id, then as the folder gives them */
    size_t n;
};

/* HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub: the first
   that is set. A folder that is not there holds nothing. Says what cannot be read. */
int am_cache_read(const struct am_cli *c, struct am_cache *ret);
/* The snapshot that "ID" or "ID@REV" means: a ref's (main without @), a commit or its first eight digits and more; says
   what there is when there is none, and returns AM_EXIT_NOT_FOUND. */
int am_cache_find(const struct am_cli *c, const struct am_cache *h, const char *text, const struct am_cached **ret);
void am_cache_done(struct am_cache *h);

#endif
