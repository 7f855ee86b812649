/*
 * submit_load.c - many clients that each submit one job after the other over a connection kept open. Prints the id of
 * every job that was answered 202, one a line; on stderr "jobs seconds". Not a benchmark of the network: 127.0.0.1
 * only.
 *
 * usage: submit_load PORT CLIENTS JOBS BODY-BEFORE BODY-AFTER
 * The body of job n is BODY-BEFORE, n, BODY-AFTER.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 1024, ANSWER_MAX = 65536, ID_LEN = 36 };

static struct {
    int port;
    long jobs;
    const char *before, *after;
    atomic_long next, refused;
} load;

static pthread_mutex_t out = PTHREAD_MUTEX_INITIALIZER;

static int connect_daemon(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)load.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Reads one answer with Content-Length into `buf`; 0 or -1. */
static int read_answer(int fd, char *buf)
{
    size_t n = 0, want = 0;
    while (n < ANSWER_MAX - 1) {
        ssize_t got = recv(fd, buf + n, ANSWER_MAX - 1 - n, 0);
        if (got <= 0)
            return -1;
        n += (size_t)got;
        buf[n] = 0;
        const char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "\r\nContent-Length:");
        if (end && length)
            want = (size_t)(end + 4 - buf) + strtoul(length + 17, NULL, 10);
        if (want && n >= want)
            return 0;
    }
    return -1;
}

static void take_answer(const char *answer)
{
    const char *id = strstr(answer, "job_");
    if (strncmp(answer, "HTTP/1.1 202", 12) != 0 || !id) {
        if (atomic_fetch_add(&load.refused, 1) == 0)
            fprintf(stderr, "%.600s\n", answer);
        return;
    }
    pthread_mutex_lock(&out);
    printf("%.*s\n", ID_LEN, id);
    pthread_mutex_unlock(&out);
}

static void *client(void *arg)
{
    char body[2048], head[512];
    char *answer = malloc(ANSWER_MAX);
    int fd = connect_daemon();
    (void)arg;
    for (long n; answer && fd >= 0 && (n = atomic_fetch_add(&load.next, 1)) < load.jobs;) {
        int k = snprintf(body, sizeof body, "%s%ld%s", load.before, n, load.after);
        int h = snprintf(head, sizeof head,
                         "POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                         "Content-Length: %d\r\n\r\n",
                         load.port, k);
        if (send(fd, head, (size_t)h, MSG_NOSIGNAL | MSG_MORE) < 0 || send(fd, body, (size_t)k, MSG_NOSIGNAL) < 0 ||
            read_answer(fd, answer) < 0)
            break;
        take_answer(answer);
    }
    if (fd >= 0)
        close(fd);
    free(answer);
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t thread[CLIENTS_MAX];
    struct timespec a, b;
    if (argc != 6)
        return 64;
    long clients = strtol(argv[2], NULL, 10);
    load.port = (int)strtol(argv[1], NULL, 10);
    load.jobs = strtol(argv[3], NULL, 10);
    load.before = argv[4];
    load.after = argv[5];
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (long i = 0; i < clients && i < CLIENTS_MAX; i++)
        if (pthread_create(&thread[i], NULL, client, NULL) != 0)
            return 1;
    for (long i = 0; i < clients && i < CLIENTS_MAX; i++)
        pthread_join(thread[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    fprintf(stderr, "%ld %.3f\n", load.jobs, (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
    return load.refused ? 1 : 0;
}
