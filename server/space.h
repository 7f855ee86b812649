/*
 * space.h - room on the store's file system against what is to be kept free (store.min_free).
 */
#ifndef AM_SERVER_SPACE_H
#define AM_SERVER_SPACE_H

#include "server/http.h"

struct am_space {
    uint64_t free, total, min_free;
};
int am_space(const struct am_server *s, struct am_space *ret);
/* What is to be kept free of a file system of that size. */
uint64_t am_space_keep(const struct am_config *cfg, uint64_t total);

#endif
