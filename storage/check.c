/*
 * check.c - see check.h.
 */
#include "storage/check.h"
#include "storage/db.h"
#include "storage/store_priv.h"

#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum { TABLES_MAX = 256 };

struct check {
    struct am_db *db;
    struct am_checked sum;
    char table[TABLES_MAX][64];
};

static void note(struct check *c, const char *table, const char *what)
{
    if (c->sum.findings++ < AM_CHECK_FINDINGS)
        snprintf(c->sum.finding[c->sum.findings - 1], sizeof c->sum.finding[0], "%s: %s", table, what);
}

/* Unreadable pages are what is looked for; every other error ends the check. */
static int broken_or(struct check *c, const char *table, int rc)
{
    if (rc != -AM_E_STORE_DAMAGED)
        return rc;
    note(c, table, am_db_why(c->db));
    return 0;
}

static int list_tables(struct check *c)
{
    AM_STMT st = am_db_bind(c->db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", "");
    int rc = 0;
    while (c->sum.tables < TABLES_MAX && (rc = am_db_row(st)) > 0)
        snprintf(c->table[c->sum.tables++], sizeof c->table[0], "%s", am_col_text(st, 0));
    return rc < 0 ? rc : 0;
}

static int check_pages(struct check *c, const char *table)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA quick_check(\"%s\")", table);
    AM_STMT st = am_db_bind(c->db, sql, "");
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        if (!am_streq(am_col_text(st, 0), "ok"))
            note(c, table, am_col_text(st, 0));
    }
    return rc;
}

static int check_references(struct check *c, const char *table)
{
    char sql[128], what[128];
    snprintf(sql, sizeof sql, "PRAGMA foreign_key_check(\"%s\")", table);
    AM_STMT st = am_db_bind(c->db, sql, "");
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        const char *parent = am_col_text(st, 2);
        snprintf(what, sizeof what, "a row refers to a row of %s that is not there", parent ? parent : "?");
        note(c, table, what);
    }
    return rc;
}

static int check_tables(struct check *c, const struct am_work *work)
{
    int rc = broken_or(c, "the database", list_tables(c));
    for (int i = 0; rc == 0 && i < c->sum.tables; i++) {
        am_work_tell(work,
                     (struct am_work_step){
                         .phase = "check", .unit = "tables", .done = (uint64_t)i, .total = (uint64_t)c->sum.tables});
        rc = broken_or(c, c->table[i], check_pages(c, c->table[i]));
        rc = rc < 0 ? rc : broken_or(c, c->table[i], check_references(c, c->table[i]));
        if (am_work_stopped(work))
            rc = -AM_E_CANCELLED; /* a statement that was ended looks like an error of the database */
    }
    return rc;
}

static void keep(struct am_store *s, const struct am_checked *sum)
{
    pthread_mutex_lock(&s->health.mutex);
    s->health.at = am_now_ms();
    snprintf(s->health.finding, sizeof s->health.finding, "%s", sum->findings ? sum->finding[0] : "");
    pthread_mutex_unlock(&s->health.mutex);
}

int am_check(struct am_store *s, const struct am_work *work, struct am_checked *ret, char *why, size_t why_cap)
{
    struct check c = {.db = am_db_open(s->db_path, false, why, why_cap)};
    if (!c.db)
        return -AM_E_INTERNAL;
    am_db_patient(c.db, work->stop, work->arg);
    int rc = check_tables(&c, work);
    if (rc < 0)
        snprintf(why, why_cap, "the check of the database stopped: %s",
                 rc == -AM_E_CANCELLED ? am_err_title(rc) : am_db_why(c.db));
    am_db_close(c.db);
    if (rc < 0)
        return rc;
    keep(s, &c.sum);
    *ret = c.sum;
    return 0;
}

bool am_store_is_sound(struct am_store *s, int64_t *ret_at, char *why, size_t why_cap)
{
    pthread_mutex_lock(&s->health.mutex);
    bool sound = !s->health.finding[0];
    if (ret_at)
        *ret_at = s->health.at;
    if (!sound)
        snprintf(why, why_cap,
                 "the database is damaged (%s). Stop amendd and put a backup in its place: amendd restore FILE",
                 s->health.finding);
    pthread_mutex_unlock(&s->health.mutex);
    return sound;
}
