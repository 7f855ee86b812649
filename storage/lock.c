/*
 * lock.c - data_dir/LOCK: one daemon for one folder. An open-file-description lock, so that neither closing another
 * descriptor of the file nor a fork gives it away; the text inside is only for the sentence that a second daemon
 * prints.
 */
#include "storage/store_priv.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORD 256 /* always written whole, so that no older text shines through */

struct holder {
    char pid[32], host[128], since[AM_TIME_TEXT];
};

static bool read_holder(int fd, struct holder *h)
{
    char text[RECORD + 1] = "";
    if (am_sys_pread(fd, text, RECORD, 0) < 0)
        return false;
    return sscanf(text, "pid %31s\nhost %127s\nstarted %31s\n", h->pid, h->host, h->since) == 3;
}

static int write_holder(int fd)
{
    struct holder h = {.host = "unknown"};
    if (gethostname(h.host, sizeof h.host - 1) != 0 || !h.host[0])
        snprintf(h.host, sizeof h.host, "unknown");
    am_time_text(am_now_ms(), h.since);
    char text[RECORD + 1];
    int n = snprintf(text, sizeof text, "pid %ld\nhost %s\nstarted %s\n", (long)getpid(), h.host, h.since);
    memset(text + n, '\n', sizeof text - (size_t)n);
    return am_sys_pwrite(fd, text, RECORD, 0);
}

/* The text of a holder that died is still there while the next one, which has the lock, is about to write its own. */
static bool is_stale(const struct holder *h)
{
    char host[128] = "";
    uint64_t pid;
    if (gethostname(host, sizeof host - 1) != 0 || !am_streq(host, h->host) || am_parse_u64(h->pid, &pid) < 0)
        return false;
    return pid == 0 || pid > INT32_MAX || (kill((pid_t)pid, 0) != 0 && errno == ESRCH);
}

static void tell(const struct holder *h, const char *path, char *why, size_t why_cap)
{
    if (h)
        snprintf(why, why_cap,
                 "%s is in use by amendd with pid %s on host %s since %s. Stop it first, or use another data_dir.",
                 path, h->pid, h->host, h->since);
    else
        snprintf(why, why_cap,
                 "%s is in use by another process that holds %s/LOCK. Stop it first, or use another data_dir.", path,
                 path);
}

/* A holder that died may have left a child between fork and exec, which holds the lock for a moment more: as long as
 * the text names nobody who lives, it is tried again, for a second. */
static int take(int fd, const char *path, char *why, size_t why_cap)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    for (int i = 0; i < 100; i++) {
        struct holder h;
        if (fcntl(fd, F_OFD_SETLK, &all) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES) {
            snprintf(why, why_cap, "cannot lock %s/LOCK: %s", path, strerror(errno));
            return -AM_E_CONFLICT;
        }
        if (read_holder(fd, &h) && !is_stale(&h)) {
            tell(&h, path, why, why_cap);
            return -AM_E_CONFLICT;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    tell(NULL, path, why, why_cap);
    return -AM_E_CONFLICT;
}

int am_lock_take(int dir, const char *path, char *why, size_t why_cap)
{
    int fd = am_sys_open(dir, "LOCK", O_RDWR | O_CREAT | O_NOFOLLOW, 0640);
    if (fd < 0) {
        snprintf(why, why_cap, "cannot open %s/LOCK: %s", path, strerror(errno));
        return fd;
    }
    int rc = take(fd, path, why, why_cap);
    if (rc == 0 && (rc = write_holder(fd)) < 0)
        snprintf(why, why_cap, "cannot write %s/LOCK: %s", path, strerror(errno));
    if (rc < 0) {
        am_sys_close(fd);
        return rc;
    }
    return fd;
}
