/*
 * load.c - GETs one path over N kept-open connections for some seconds and counts what comes back.
 *
 * load HOST PORT PATH CONNECTIONS SECONDS RATE [HEADER-LINE ...] prints one JSON object. One thread and one epoll: each
 * connection has one request on its way at a time (no pipelining). RATE 0: the next goes out as soon as the answer is
 * there; else so many a second in all, by a timetable, and latency counts from the time in it. A full answer is a
 * status of 200 and as many bytes of body as Content-Length says; 304 is counted apart, everything else as a failure,
 * and so is a connection that the other side closes. Latency goes from a request to the last byte of its answer; it
 * includes the time an answer lay in the socket while this program was busy with another one, as it would for a client.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROOM ((size_t)256 << 10) /* the largest answer */
#define SUB 32                   /* steps in each power of two of the histogram: 3 % */
#define BUCKETS (40 * SUB)
#define CONNECTIONS_MAX 4096

struct line {
    int fd;
    size_t got, want; /* want: bytes of the whole answer, 0 while its head is not there */
    int status;
    int64_t began, due; /* due: of the next request, while none is on its way; 0: one is */
    char *in;
};

struct tally {
    uint64_t full, not_modified, failed, closed, bytes;
    uint64_t bucket[BUCKETS];
    int64_t longest;
};

static char request[8192];
static size_t request_len;
static int64_t period; /* ns between two requests of a connection; 0: no timetable */
static struct sockaddr_in peer;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Exact below SUB, then SUB steps in each power of two. */
static size_t bucket_of(int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    unsigned shift = 0;
    while (v >> shift >= 2 * SUB)
        shift++;
    size_t at = shift * SUB + (size_t)(v >> shift);
    return at < BUCKETS ? at : BUCKETS - 1;
}

static double bucket_top_ms(size_t at)
{
    size_t shift = at < 2 * SUB ? 0 : at / SUB - 1;
    return (double)((at - shift * SUB + 1) << shift) / 1000.0;
}

static double quantile_ms(const struct tally *t, double q)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        all += t->bucket[i];
    uint64_t wanted = (uint64_t)((double)all * q);
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += t->bucket[i];
        if (seen > wanted)
            return bucket_top_ms(i);
    }
    return 0;
}

static void dial(struct line *c, int poll)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&peer, sizeof peer) < 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &e) < 0)
        die("epoll_ctl");
}

/* A request is far smaller than a socket's buffer, so it goes out whole or the connection is broken. */
static int ask(struct line *c)
{
    c->got = c->want = 0;
    c->began = c->due ? c->due : now_ns();
    c->due = 0;
    return write(c->fd, request, request_len) == (ssize_t)request_len ? 0 : -1;
}

/* Reads the head when it is there: 1 = there, 0 = not yet, -1 = not HTTP. */
static int take_head(struct line *c)
{
    c->in[c->got] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - c->in), body = 0;
    if (strncmp(c->in, "HTTP/1.1 ", 9) != 0)
        return -1;
    c->status = (int)strtol(c->in + 9, NULL, 10);
    for (char *p = strstr(c->in, "\r\n"); p && p < end; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, "Content-Length:", 15) == 0)
            body = strtoull(p + 17, NULL, 10);
    c->want = head + (c->status == 304 ? 0 : body);
    return c->want < ROOM ? 1 : -1;
}

static void count(struct tally *t, const struct line *c)
{
    int64_t us = (now_ns() - c->began) / 1000;
    t->bytes += c->got;
    if (c->status == 304)
        t->not_modified++;
    else if (c->status != 200)
        t->failed++;
    else {
        t->full++;
        t->bucket[bucket_of(us)]++;
        t->longest = us > t->longest ? us : t->longest;
    }
}

/* false: the connection is lost. */
static int on_bytes(struct line *c, struct tally *t)
{
    for (;;) {
        ssize_t n = read(c->fd, c->in + c->got, ROOM - 1 - c->got);
        if (n < 0 && errno == EAGAIN)
            return 1;
        if (n <= 0)
            return 0;
        c->got += (size_t)n;
        if (!c->want && take_head(c) < 0)
            return 0;
        if (!c->want || c->got < c->want)
            continue;
        if (c->got > c->want)
            return 0; /* more than was asked for */
        count(t, c);
        if (!period)
            return ask(c) == 0;
        c->due = c->began + period;
        c->got = c->want = 0;
        return c->due > now_ns() || ask(c) == 0;
    }
}

static void ask_or_die(struct line *c)
{
    if (ask(c) < 0)
        die("write");
}

static void ask_those_due(struct line *lines, size_t n)
{
    int64_t now = now_ns();
    for (size_t i = 0; i < n; i++)
        if (lines[i].due && lines[i].due <= now)
            ask_or_die(&lines[i]);
}

static void run(struct line *lines, size_t n, double seconds, int poll, struct tally *t)
{
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    struct epoll_event ready[64];
    for (size_t i = 0; i < n; i++) {
        lines[i].due = period ? now_ns() + period * (int64_t)i / (int64_t)n : 0;
        if (!period)
            ask_or_die(&lines[i]);
    }
    for (int64_t now = now_ns(); now < end; now = now_ns()) {
        int k = epoll_wait(poll, ready, 64, period ? 1 : (int)((end - now) / 1000000) + 1);
        ask_those_due(lines, n);
        for (int i = 0; i < k; i++) {
            struct line *c = ready[i].data.ptr;
            if (on_bytes(c, t))
                continue;
            t->closed++;
            close(c->fd);
            dial(c, poll);
            ask_or_die(c);
        }
    }
}

static void print(const struct tally *t, double seconds)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("{\"seconds\":%.3f,\"full\":%llu,\"not_modified\":%llu,\"failed\":%llu,\"closed\":%llu,\"bytes\":%llu,"
           "\"per_second\":%.1f,\"not_modified_per_second\":%.1f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,"
           "\"max_ms\":%.3f,\"cpu_seconds\":%.3f}\n",
           seconds, (unsigned long long)t->full, (unsigned long long)t->not_modified, (unsigned long long)t->failed,
           (unsigned long long)t->closed, (unsigned long long)t->bytes, (double)t->full / seconds,
           (double)t->not_modified / seconds, quantile_ms(t, 0.5), quantile_ms(t, 0.99), quantile_ms(t, 0.999),
           (double)t->longest / 1000.0,
           (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
}

static void build_request(char **argv, int argc)
{
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s:%s\r\n", argv[3], argv[1], argv[2]);
    for (int i = 7; i < argc && n > 0 && (size_t)n < sizeof request; i++)
        n += snprintf(request + n, sizeof request - (size_t)n, "%s\r\n", argv[i]);
    if (n > 0 && (size_t)n < sizeof request)
        n += snprintf(request + n, sizeof request - (size_t)n, "\r\n");
    if (n < 0 || (size_t)n >= sizeof request) {
        fprintf(stderr, "load: the request is too long\n");
        exit(2);
    }
    request_len = (size_t)n;
}

int main(int argc, char **argv)
{
    long n = argc > 6 ? strtol(argv[4], NULL, 10) : 0;
    double seconds = argc > 6 ? strtod(argv[5], NULL) : 0, rate = argc > 6 ? strtod(argv[6], NULL) : -1;
    if (n < 1 || n > CONNECTIONS_MAX || seconds <= 0 || rate < 0) {
        fprintf(stderr, "usage: load HOST PORT PATH CONNECTIONS SECONDS RATE [HEADER-LINE ...]\n");
        return 2;
    }
    period = rate > 0 ? (int64_t)((double)n / rate * 1e9) : 0;
    build_request(argv, argc);
    peer = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
    if (inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1)
        die(argv[1]);
    struct line *lines = calloc((size_t)n, sizeof *lines);
    struct tally *t = calloc(1, sizeof *t);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!lines || !t || poll < 0)
        die("start");
    for (long i = 0; i < n; i++) {
        lines[i].in = malloc(ROOM);
        if (!lines[i].in)
            die("memory");
        dial(&lines[i], poll);
    }
    int64_t began = now_ns();
    run(lines, (size_t)n, seconds, poll, t);
    print(t, (double)(now_ns() - began) / 1e9);
    return 0;
}
