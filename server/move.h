/*
 * move.h - registering in mode `move`: files of the folder become files of the store without a copy where that is safe,
 * and are removed from the folder when the version is there. Until its transaction is committed every file keeps its
 * name in the folder: a file that needs no copy gets a second name in staging (a hard link), so a crash loses nothing.
 * What the service remembers of each file is a JSON list in am_claim: what was read, so that only that is removed.
 */
#ifndef AM_SERVER_MOVE_H
#define AM_SERVER_MOVE_H

#include "server/engine_claim.h"
#include "server/import.h"

#define AM_MOVE_NAME 24 /* "f17" */

bool am_move_asked(const struct am_claim *job);
/*
 * Notes the file. 1: it has got the name in `staging` too; 0: it is to be copied, because it lies on another file
 * system, has more names already, belongs to somebody else, or is open for writing. A file that was reached through a
 * link is copied and stays where it is, with a warning.
 */
int am_move_take(struct am_claim *job, int staging, const struct am_import_file *f, char name[AM_MOVE_NAME]);
/* After the commit: removes what was noted and is as it was, then folders that are empty. Returns how many files stay.
 */
size_t am_move_finish(const struct am_claim *job);
/* Nothing was published: the files get their permissions back. */
void am_move_undo(const struct am_claim *job);

#endif
