/*
 * life_event.c - the events of a model or version that is deleted, restored, purged or changed (events_priv.h): who,
 * why, and its revision afterwards.
 */
#include "storage/events_priv.h"
#include "storage/models_priv.h"

int am_event_life(struct am_db *db, const struct am_life_event *e)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT m.name, m.name || ifnull('@' || " AM_SQL_HEX(
                                "v.oid") ", ''), ifnull(v.rev, m.rev),"
                                         " json_patch(json_patch('{}', json_object('commit', " AM_SQL_HEX(
                                             "v.oid") ", 'number', v.number,"
                                                      " 'by', ?3, 'reason', ?4)), ifnull(?5, '{}'))"
                                                      " FROM model m LEFT JOIN version v ON v.id = ?2 WHERE m.id = "
                                                      "ifnull((SELECT model FROM version"
                                                      " WHERE id = ?2), ?1)",
                            "iittt", e->model, e->version, e->by, e->reason, e->more);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    return am_event_put(db, &(struct am_event_new){.at = e->at,
                                                   .type = e->type,
                                                   .subject = am_col_text(st, 1),
                                                   .model = am_col_text(st, 0),
                                                   .revision = sqlite3_column_int64(st, 2),
                                                   .data = am_col_text(st, 3)});
}
