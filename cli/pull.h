/*
 * pull.h - one download of a version's files: what cmd_pull.c starts and pull_file.c does file by file.
 */
#ifndef AM_CLI_PULL_H
#define AM_CLI_PULL_H

#include "cli/http.h"

struct am_pull {
    struct am_cli *c;
    const char *dir;
    struct am_ref ref;
    uint64_t total, done; /* bytes of all files */
    size_t fetched, skipped;
    int64_t start, drawn;
};

/* Makes the folders of a path, up to its last slash. Returns an exit code. */
int am_pull_folders(const struct am_cli *c, const char *target);
/* Makes one file of the listing be there, whole and checked. Returns an exit code. */
int am_pull_take(struct am_pull *p, const json_t *entry);

#endif
