/*
 * folder_fixture.h - a folder for the files of one test program: `dir` from make_folder() to drop_folder(), which takes
 * everything in it.
 */
#ifndef AM_TESTS_FOLDER_FIXTURE_H
#define AM_TESTS_FOLDER_FIXTURE_H

#include "core/base/sys.h"

#include <fcntl.h>
#include <stdlib.h>

static char folder[] = "/tmp/amend-unit-XXXXXX";
static int dir = -1;

static int make_folder(void **state)
{
    (void)state;
    dir = mkdtemp(folder) ? am_sys_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0) : -1;
    return dir >= 0 ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    am_sys_closep(&dir);
    return am_sys_rmtree(AT_FDCWD, folder);
}

#endif
