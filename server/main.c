/*
 * main.c - amendd: wires the rooms together and runs the loop. Order of start: settings, LOCK and database, worker of
 * the same build, recovery, engine, HTTP, READY. Order of stop: no new connections, engine, open requests, store.
 */
#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/planner.h"
#include "server/apidoc.h"
#include "server/background.h"
#include "server/control.h"
#include "server/engine.h"
#include "server/gates.h"
#include "server/http.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/openapi.h"
#include "server/registry.h"
#include "server/schedule.h"
#include "server/streams.h"
#include "storage/blobs.h"
#include "storage/jobs.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct daemon {
    struct am_config cfg;
    struct am_server server;
    uv_loop_t loop;
    uv_signal_t term, interrupt;
    struct am_background background;
    struct am_schedule schedule;
    bool stopping;
};

static int fail(const char *why)
{
    fprintf(stderr, "amendd: %s\n", why);
    return 1;
}

/* One connection and one input of a job is one descriptor each. */
static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max < 65536 ? r.rlim_max : 65536;
        if (setrlimit(RLIMIT_NOFILE, &r) < 0)
            am_log(AM_LOG_WARN, "descriptors stay limited soft=%llu", (unsigned long long)r.rlim_cur);
    }
}

/* Whatever a shell or a supervisor left open is not for the workers, who refuse to run with it. */
static void keep_descriptors_here(void)
{
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (int fd = 3; fd < 1024; fd++) /* Linux before 5.11 */
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static void on_engine_stopped(void *arg)
{
    struct daemon *d = arg;
    uv_close((uv_handle_t *)&d->term, NULL);
    uv_close((uv_handle_t *)&d->interrupt, NULL);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct daemon *d = handle->data;
    if (d->stopping)
        return;
    d->stopping = true;
    am_log(AM_LOG_INFO, "stopping signal=%d running=%u", signum, am_engine_running(d->server.engine));
    am_notify("STOPPING=1");
    atomic_store(&d->server.draining, true);
    am_streams_drain(d->server.streams);
    am_background_stop(&d->background);
    am_schedule_stop(&d->schedule);
    am_engine_stop(d->server.engine, (int64_t)d->cfg.cancel_grace_ms, on_engine_stopped, d);
}

static int recover_jobs(struct am_db *db, void *arg)
{
    struct daemon *d = arg;
    int64_t n = 0;
    int rc = am_job_recover(db, am_now_ms(), (int)d->cfg.jobs_max_restarts, &n);
    if (rc == 0 && n > 0)
        am_log(AM_LOG_INFO, "recovered jobs=%lld", (long long)n);
    return rc;
}

/* Where the daemon is found by `amendd backup`. A file that cannot be written costs only that. */
static void write_url(struct daemon *d)
{
    char line[300];
    int dir = am_store_dirfd(d->server.store);
    int n = snprintf(line, sizeof line, "%s\n", d->server.url);
    int fd = am_sys_open(dir, "url.part", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
    int rc = fd < 0 ? fd : am_sys_write(fd, line, (size_t)n);
    am_sys_closep(&fd);
    if (rc == 0)
        rc = am_sys_rename(dir, "url.part", dir, "url");
    if (rc < 0)
        am_log(AM_LOG_WARN, "data_dir/url cannot be written; amendd backup will not find this daemon");
}

static int open_store(struct daemon *d, char *why, size_t cap)
{
    d->server.store = am_store_open(d->cfg.data_dir, why, cap);
    if (!d->server.store)
        return -AM_E_CONFLICT;
    am_sys_unlink(am_store_dirfd(d->server.store), "url"); /* of a daemon that was killed */
    snprintf(why, cap, "recovery failed; the log says more");
    AM_TRY(am_store_write(d->server.store, recover_jobs, d));
    AM_TRY(am_gates_seed(d->server.store));
    return am_staging_clear(d->server.store);
}

static int start(struct daemon *d, char *why, size_t cap)
{
    struct am_server *s = &d->server;
    char *worker = am_worker_path(d->cfg.worker);
    s->cfg = &d->cfg;
    s->started_at = am_now_ms();
    pthread_mutex_init(&s->flight.lock, NULL);
    pthread_mutex_init(&s->openapi.lock, NULL);
    if (!worker) {
        snprintf(why, cap, "cannot find amend-worker; name it with --workers.program=");
        return -AM_E_NOT_FOUND;
    }
    free(d->cfg.worker);
    d->cfg.worker = worker;
    snprintf(why, cap, "the embedded description of the methods cannot be read (a faulty build)");
    AM_TRY(am_table_load(&s->table, (const char *)am_registry_json, am_registry_json_len));
    AM_TRY(am_registry_check(worker, s->table.sha256, why, cap));
    AM_TRY(am_registry_kernels(worker, s->kernels, sizeof s->kernels, why, cap));
    AM_TRY(am_registry_blas(worker, s->blas, sizeof s->blas, why, cap));
    AM_TRY(open_store(d, why, cap));
    snprintf(why, cap, "out of memory");
    s->cache = am_cache_new();
    s->engine = am_engine_new(&d->loop, s->store, &d->cfg, s->table.sha256);
    s->streams = s->engine ? am_streams_new(s->store, s->engine, d->cfg.streams) : NULL;
    if (!s->cache || !s->streams)
        return -AM_E_OUT_OF_MEMORY;
    am_engine_planner(s->engine, am_plan_waited, s);
    return am_http_start(s, why, cap);
}

static void watch_signals(struct daemon *d)
{
    d->term.data = d->interrupt.data = d;
    uv_signal_init(&d->loop, &d->term);
    uv_signal_start(&d->term, on_signal, SIGTERM);
    uv_signal_init(&d->loop, &d->interrupt);
    uv_signal_start(&d->interrupt, on_signal, SIGINT);
}

static void shut_down(struct daemon *d)
{
    am_http_stop(&d->server);
    am_streams_stop(d->server.streams);
    if (d->server.engine)
        am_engine_free(d->server.engine);
    if (d->server.store) {
        am_sys_unlink(am_store_dirfd(d->server.store), "url");
        am_store_close(d->server.store);
    }
    am_streams_free(d->server.streams);
    uv_run(&d->loop, UV_RUN_DEFAULT); /* close callbacks */
    uv_loop_close(&d->loop);
    am_table_done(&d->server.table);
    am_openapi_forget(&d->server.openapi);
    am_cache_free(d->server.cache);
    am_config_done(&d->cfg);
}

static int serve(int argc, char **argv)
{
    static struct daemon d;
    char why[1024] = "";
    if (am_config_load(&d.cfg, argc, argv, why, sizeof why) < 0)
        return fail(why);
    am_log_init(d.cfg.log_level, am_streq(d.cfg.log_format, "journal"));
    raise_descriptors();
    /* a task of the store holds a thread while it runs, one of each of five kinds at most; four more are for jobs */
    setenv("UV_THREADPOOL_SIZE", "9", 0);
    uv_loop_init(&d.loop);
    if (start(&d, why, sizeof why) < 0) {
        fail(why);
        shut_down(&d);
        return 1;
    }
    watch_signals(&d);
    write_url(&d);
    printf("amendd ready at %s\n", d.server.url);
    fflush(stdout);
    am_log(AM_LOG_INFO, "ready url=%s data_dir=%s pid=%d version=%s", d.server.url, d.cfg.data_dir, (int)getpid(),
           AM_VERSION);
    am_notify("READY=1");
    am_engine_wake(d.server.engine);
    am_background_start(&d.background, &d.loop, d.server.store);
    am_schedule_start(&d.schedule, &d.loop, d.server.store, &d.cfg, d.server.engine);
    uv_run(&d.loop, UV_RUN_DEFAULT);
    shut_down(&d);
    am_log(AM_LOG_INFO, "stopped");
    return 0;
}

static int dump_openapi(void)
{
    struct am_table t;
    if (am_table_load(&t, (const char *)am_registry_json, am_registry_json_len) < 0)
        return fail("the embedded description of the methods cannot be read");
    char *text = am_openapi(&t);
    puts(text ? text : "");
    free(text);
    am_table_done(&t);
    return text ? 0 : 1;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    keep_descriptors_here();
    if (argc == 2 && am_streq(argv[1], "--version")) {
        puts("amendd " AM_VERSION);
        return 0;
    }
    if (argc == 2 && am_streq(argv[1], "--help")) {
        am_config_help(stdout);
        return 0;
    }
    if (argc == 2 && am_streq(argv[1], "--dump-openapi"))
        return dump_openapi();
    if (argc == 2 && am_streq(argv[1], "--dump-man")) {
        am_config_man(stdout);
        return 0;
    }
    if (argc == 2 && am_streq(argv[1], "--dump-apidoc"))
        return am_apidoc(stdout);
    if (argc >= 2 && am_control_knows(argv[1]))
        return am_control(argc, argv);
    return serve(argc, argv);
}
