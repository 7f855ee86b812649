/*
 * stream_log.c - the connection of a followed log: the bytes of its file as they come. The hub wakes it a few times a
 * second and at the job's end.
 */
#include "server/streams_priv.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "server/reply.h"
#include "storage/jobs.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 16 << 10 };

struct log {
    struct am_stream s;
    int dir, fd, attempt; /* fd -1: the attempt has no file yet */
    int socket;
    bool fixed;
    uint64_t at;
};

static int open_attempt(const struct log *l, int attempt)
{
    char name[80];
    snprintf(name, sizeof name, "%.60s.%d.log", l->s.job, attempt);
    return attempt > 0 ? am_sys_open(l->dir, name, O_RDONLY | O_NOFOLLOW, 0) : -AM_E_NOT_FOUND;
}

/* A later attempt has a log: this one's is complete. */
static bool go_on(struct log *l)
{
    int next = l->fixed ? -AM_E_NOT_FOUND : open_attempt(l, l->attempt + 1);
    if (next < 0)
        return false;
    am_sys_closep(&l->fd);
    l->fd = next;
    l->attempt++;
    l->at = 0;
    return true;
}

static bool has_later(const struct log *l)
{
    int next = open_attempt(l, l->attempt + 1);
    am_sys_closep(&next);
    return next >= 0;
}

/* A heartbeat has no place in a log, so the socket is asked whether somebody is there. */
static bool peer_is_gone(const struct log *l)
{
    struct pollfd p = {.fd = l->socket, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static ssize_t read_some(struct log *l, char *buf, size_t max)
{
    if (l->fd < 0)
        l->fd = open_attempt(l, l->attempt);
    ssize_t n = l->fd < 0 ? 0 : pread(l->fd, buf, max, (off_t)l->at);
    if (n > 0)
        l->at += (uint64_t)n;
    return n;
}

/* 0 asleep, or the end. */
static ssize_t rest(struct log *l, bool over)
{
    struct am_streams *h = l->s.hub;
    ssize_t rc = 0;
    pthread_mutex_lock(&h->lock);
    if (over || h->draining)
        rc = MHD_CONTENT_READER_END_OF_STREAM;
    else {
        l->s.asleep = true;
        am_streams_sleep(h, l->s.conn);
    }
    pthread_mutex_unlock(&h->lock);
    return rc;
}

static ssize_t read_log(void *cls, uint64_t at, char *buf, size_t max)
{
    struct log *l = cls;
    (void)at;
    pthread_mutex_lock(&l->s.hub->lock);
    bool over = l->s.over; /* before the look: what the worker wrote last is there then */
    pthread_mutex_unlock(&l->s.hub->lock);
    over |= l->fixed && has_later(l);
    for (;;) {
        ssize_t n = read_some(l, buf, max);
        if (n > 0)
            return n;
        if (n < 0 || peer_is_gone(l))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        if (!go_on(l))
            return rest(l, over);
    }
}

static void free_log(void *cls)
{
    struct log *l = cls;
    if (l->s.hub)
        am_streams_leave(l->s.hub, &l->s);
    am_sys_closep(&l->fd);
    free(l);
}

/* The job may have ended before the stream was known to the hub. */
static void look_again(struct am_req *r, struct log *l)
{
    enum am_job_state state;
    struct am_db *db = am_store_read(r->srv->store);
    if (!db || am_job_state_get(db, l->s.job, &state) < 0)
        return;
    pthread_mutex_lock(&l->s.hub->lock);
    l->s.over |= am_state_terminal(state);
    pthread_mutex_unlock(&l->s.hub->lock);
}

int am_stream_log(struct am_req *r, const char *uid, int attempt, bool fixed, int64_t offset)
{
    static const char *const headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8",
                                          "X-Accel-Buffering", "no", NULL};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct log *l = calloc(1, sizeof *l);
    if (!l || !info) {
        free(l);
        return am_reply_error(r, -AM_E_OUT_OF_MEMORY, "the log cannot be followed");
    }
    *l = (struct log){.s = {.conn = r->conn, .is_log = true, .given_at = am_mono_ms()},
                      .dir = am_store_logs(r->srv->store),
                      .fd = -1,
                      .attempt = attempt,
                      .socket = info->connect_fd,
                      .fixed = fixed,
                      .at = (uint64_t)offset};
    snprintf(l->s.job, sizeof l->s.job, "%s", uid);
    int rc = am_streams_join(r->srv->streams, &l->s);
    if (rc < 0) {
        free_log(l);
        return am_stream_refuse(r, rc);
    }
    look_again(r, l);
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_log, l, free_log);
    if (!response) {
        free_log(l);
        return MHD_NO;
    }
    return am_reply_queue(r, 200, response, headers);
}
