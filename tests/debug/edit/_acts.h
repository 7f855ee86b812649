/*
 * _acts.h - how a worker can misbehave, one function each. Test-only: built with VARIANT=debug or DEBUG_METHODS=1,
 * never in a release (tools/check-links). An act that the limits or the kernel's fences stop says on the log what it
 * was refused and returns a negative error; one that they do not stop returns 0, so that the job succeeds and its test
 * fails.
 */
#ifndef AM_DEBUG_ACTS_H
#define AM_DEBUG_ACTS_H

/* _acts_process.c */
int am_act_segv(void);
int am_act_abort(void);
int am_act_silent(void);      /* spins, and no thread says anything any more */
int am_act_spin(void);        /* spins beside a healthy heartbeat */
int am_act_ignore_term(void); /* the same, deaf to SIGTERM */
int am_act_exit_zero(void);
int am_act_close_records(void); /* and spins on */

/* _acts_system.c */
int am_act_memory(void);      /* 4 GiB */
int am_act_descriptors(void); /* 65,536 */
int am_act_disk(void);        /* one file of 4 GiB */
int am_act_fork(void);        /* at most 64 children */
int am_act_exec(void);
int am_act_socket(void);
int am_act_store_file(void);  /* amendd.db beside the staging folder */
int am_act_kill_daemon(void); /* SIGKILL to the parent */

/* _acts_records.c */
int am_act_garbage(void);
int am_act_long_line(void);          /* 1 GB without a line feed */
int am_act_many_records(void);       /* 1 GB of valid ones */
int am_act_flood_log(void);          /* 1 GB */
int am_act_result_good(void);        /* a result of its own, without a lie: the others differ from it in one thing */
int am_act_result_no_end(void);      /* without its last line */
int am_act_result_outside(void);     /* a staged name that leads out of staging */
int am_act_result_other_bytes(void); /* the file has other bytes than its record says */
int am_act_result_wrong_hash(void);  /* `done` names another hash of result.ndjson */
int am_act_result_spans(void);       /* good again, a file put together from two spans: for the next two */
int am_act_result_gaps(void);        /* a byte of the file is in no span */
int am_act_result_other_spans(void); /* the file is of other bytes of its blob than its hash */
int am_act_done_then_fail(void);     /* a good result, then exit 1 */

#endif
