/*
 * job_log.c - what a job's worker wrote on standard error: one file an attempt, whole, or followed until the job ends.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "server/streams.h"
#include "storage/jobs.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>

static int open_log(struct am_req *r, const char *uid, int64_t attempt)
{
    char name[80];
    snprintf(name, sizeof name, "%.60s.%lld.log", uid, (long long)attempt);
    return attempt > 0 ? am_sys_open(am_store_logs(r->srv->store), name, O_RDONLY | O_NOFOLLOW, 0) : -AM_E_NOT_FOUND;
}

static int reply_whole(struct am_req *r, int64_t attempt, uint64_t offset)
{
    static const char *const headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8", NULL};
    struct stat st;
    int fd = open_log(r, r->arg[0], attempt);
    if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size <= offset) {
        if (fd >= 0)
            am_sys_close(fd);
        return am_reply_queue(r, 200, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
    }
    return am_reply_queue(r, 200, MHD_create_response_from_fd_at_offset64((uint64_t)st.st_size - offset, fd, offset),
                          headers);
}

struct found {
    int attempt;
    bool over;
};

static int take_job(void *ctx, const struct am_job_row *j)
{
    *(struct found *)ctx = (struct found){.attempt = j->attempt, .over = am_state_terminal(j->state)};
    return 0;
}

int am_api_job_log(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t attempt, offset;
    bool follow;
    struct found job = {.attempt = 0};
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    int rc = am_job_get(db, r->arg[0], take_job, &job);
    if (rc < 0)
        return am_reply_no_job(r, rc);
    if (!am_req_int(r, "attempt", 1, 1000, job.attempt, &attempt, &queued) ||
        !am_req_int(r, "offset", 0, INT64_MAX, 0, &offset, &queued) || !am_req_flag(r, "follow", &follow, &queued))
        return queued;
    if (!follow || r->head || job.over)
        return reply_whole(r, attempt, (uint64_t)offset);
    return am_stream_log(r, r->arg[0], (int)attempt, am_req_query(r, "attempt") != NULL, offset);
}
