/*
 * ask.c - see ask.h. One connection a question, closed by the daemon after its answer, which therefore is what was
 * read.
 */
#include "server/ask.h"

#include "core/base/buf.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { ANSWER_MAX = 4 << 20, PATIENCE_S = 60 };

/* "http://[::1]:8420" -> authority "[::1]:8420", host "::1", port "8420" */
struct place {
    char authority[256], host[256], port[16];
};

static int place_of(const char *url, struct place *p)
{
    if (!am_starts(url, "http://"))
        return -AM_E_INVALID_REQUEST;
    snprintf(p->authority, sizeof p->authority, "%s", url + strlen("http://"));
    const char *colon = strrchr(p->authority, ':');
    if (!colon)
        return -AM_E_INVALID_REQUEST;
    bool bracket = p->authority[0] == '[' && colon > p->authority + 2 && colon[-1] == ']';
    snprintf(p->host, sizeof p->host, "%.*s", (int)(colon - p->authority) - (bracket ? 2 : 0), p->authority + bracket);
    snprintf(p->port, sizeof p->port, "%s", colon + 1);
    return 0;
}

static int dial(const struct place *p)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(p->host, p->port, &hints, &found) != 0)
        return -AM_E_NOT_FOUND;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        am_sys_closep(&fd);
    freeaddrinfo(found);
    return fd < 0 ? -AM_E_NOT_FOUND : fd;
}

static int converse(int fd, const struct am_buf *question, struct am_buf *answer)
{
    char part[16384];
    ssize_t n;
    AM_TRY(am_sys_write(fd, question->data, question->len));
    while ((n = am_sys_read(fd, part, sizeof part)) > 0)
        AM_TRY(am_buf_put(answer, part, (size_t)n));
    return n < 0 ? (int)n : 0;
}

static int take_answer(const struct am_buf *answer, int *ret_status, json_t **ret)
{
    const char *end = answer->len ? strstr(answer->data, "\r\n\r\n") : NULL;
    if (!end || sscanf(answer->data, "HTTP/1.%*d %d", ret_status) != 1)
        return -AM_E_INVALID_REQUEST;
    *ret = json_loads(end + 4, 0, NULL);
    return *ret ? 0 : -AM_E_INVALID_REQUEST;
}

int am_ask(const char *url, const char *method, const char *path, const char *body, int *ret_status, json_t **ret,
           char *why, size_t why_cap)
{
    struct place p;
    AM_CLEANUP(am_buf_done) struct am_buf question;
    AM_CLEANUP(am_buf_done) struct am_buf answer;
    am_buf_init(&question, ANSWER_MAX);
    am_buf_init(&answer, ANSWER_MAX);
    snprintf(why, why_cap, "\"%s\" is not the URL of a daemon", url);
    AM_TRY(place_of(url, &p));
    AM_CLEANUP(am_sys_closep) int fd = dial(&p);
    if (fd < 0) {
        snprintf(why, why_cap, "the daemon does not answer at %s: %s", url, strerror(errno));
        return fd;
    }
    snprintf(why, why_cap, "the daemon at %s gave no answer that can be read", url);
    AM_TRY(am_buf_printf(&question, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAccept: application/json\r\n",
                         method, path, p.authority));
    if (body)
        AM_TRY(am_buf_printf(&question, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body)));
    AM_TRY(am_buf_printf(&question, "\r\n%s", body ? body : ""));
    AM_TRY(converse(fd, &question, &answer));
    return take_answer(&answer, ret_status, ret);
}
