/*
 * background.c - see background.h.
 */
#include "server/background.h"

#include "core/base/clock.h"
#include "server/log.h"
#include "storage/check.h"

static bool asked_to_stop(void *arg)
{
    return atomic_load(&((struct am_background *)arg)->stop);
}

static void check(uv_work_t *work)
{
    struct am_background *b = work->data;
    const struct am_work how = {.stop = asked_to_stop, .arg = b};
    struct am_checked c;
    char why[512];
    int64_t began = am_mono_ms();
    int rc = am_check(b->store, &how, &c, why, sizeof why);
    if (rc == -AM_E_CANCELLED)
        return;
    if (rc < 0)
        am_log(AM_LOG_ERROR, "%s", why);
    else if (!am_store_is_sound(b->store, NULL, why, sizeof why))
        am_log(AM_LOG_ERROR, "%s findings=%lld", why, (long long)c.findings);
    else
        am_log(AM_LOG_INFO, "database checked tables=%d ms=%lld", c.tables, (long long)(am_mono_ms() - began));
}

static void checked(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

void am_background_start(struct am_background *b, uv_loop_t *loop, struct am_store *store)
{
    b->store = store;
    b->work.data = b;
    if (uv_queue_work(loop, &b->work, check, checked) < 0)
        am_log(AM_LOG_WARN, "the database is not checked: no thread for it");
}

void am_background_stop(struct am_background *b)
{
    atomic_store(&b->stop, true);
}
