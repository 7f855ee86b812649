/*
 * main.c - amend-worker: one process for one job, or the printer of the registry. The contract with the daemon is
 * contract.md.
 */
#include "core/base/err.h"
#include "core/base/failpoint.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/methods/describe.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"
#include "core/tensor/linalg.h"
#include "worker/confine.h"
#include "worker/json_text.h"
#include "worker/limits.h"
#include "worker/session.h"
#include "worker/spec.h"

#include <stdio.h>
#include <string.h>

#define REGISTRY_MAX (16u << 20)
#define FD_RECORDS 3

enum {
    EXIT_BAD_SPEC = 64,
    EXIT_BAD_INPUT = 65,
    EXIT_UNSUPPORTED = 69,
    EXIT_OTHER = 70,
    EXIT_WRITE = 73,
    EXIT_CANCELLED = 75,
    EXIT_MEMORY = 137
};

static int exit_code(int rc)
{
    switch (-rc) {
    case AM_E_NONE:
        return 0;
    case AM_E_BAD_SPEC:
    case AM_E_INVALID_PARAMS:
    case AM_E_MISSING_INPUT:
        return EXIT_BAD_SPEC;
    case AM_E_BAD_INPUT:
    case AM_E_MALFORMED:
    case AM_E_MALFORMED_PREDICTIONS:
    case AM_E_MALFORMED_DATASET:
    case AM_E_DATASET_MISMATCH:
    case AM_E_SHAPE_MISMATCH:
    case AM_E_DTYPE_UNSUPPORTED:
    case AM_E_NON_FINITE:
    case AM_E_STORE_DAMAGED:
    case AM_E_TOKENIZER:
    case AM_E_TOO_LARGE:
        return EXIT_BAD_INPUT;
    case AM_E_UNSUPPORTED:
        return EXIT_UNSUPPORTED;
    case AM_E_DISK:
    case AM_E_CANNOT_WRITE:
        return EXIT_WRITE;
    case AM_E_CANCELLED:
        return EXIT_CANCELLED;
    case AM_E_OUT_OF_MEMORY:
        return EXIT_MEMORY;
    default:
        return EXIT_OTHER;
    }
}

static int registry_text(struct am_buf *out)
{
    json_t *registry = am_describe(am_methods);
    int rc = registry ? am_json_text(out, registry, 0) : -AM_E_OUT_OF_MEMORY;
    json_decref(registry);
    return rc < 0 ? rc : am_buf_puts(out, "\n");
}

static int describe(void)
{
    static char broken[65536];
    struct am_buf text;
    if (am_describe_check(am_methods, broken, sizeof(broken))) {
        fprintf(stderr, "amend-worker: broken declarations of methods:\n%s", broken);
        return EXIT_OTHER;
    }
    am_buf_init(&text, REGISTRY_MAX);
    int rc = registry_text(&text);
    if (rc == 0)
        rc = am_sys_write(1, text.data, text.len);
    am_buf_done(&text);
    return rc == 0 ? 0 : EXIT_OTHER;
}

static int tell_kernels(void)
{
    return am_sys_write(1, am_kernels_name(), strlen(am_kernels_name())) == 0 ? 0 : EXIT_OTHER;
}

/* "" where there is none. */
static int tell_blas(void)
{
    am_linalg_open();
    return am_sys_write(1, am_linalg_name(), strlen(am_linalg_name())) == 0 ? 0 : EXIT_OTHER;
}

/* For methods that need it, while files can be opened and memory reserved. */
static int open_blas(struct am_session *s, json_t *root, struct am_limits *limits)
{
    const char *type = json_string_value(json_object_get(root, "type")),
               *name = json_string_value(json_object_get(root, "method"));
    const struct am_method *m = type && name ? am_method_find(type, name) : NULL;
    if (!m || (!m->whole && !m->factors))
        return 0;
    if (am_linalg_open() < 0)
        return am_fault_add(&s->faults, AM_E_UNSUPPORTED, (struct am_where){.pointer = "#/method"},
                            "%s/%s needs OpenBLAS, and libopenblas.so.0 cannot be loaded here; install the package "
                            "libopenblas0-pthread",
                            type, name);
    return __builtin_add_overflow(limits->memory_bytes, AM_BLAS_RESERVED, &limits->memory_bytes) ? -AM_E_BAD_SPEC : 0;
}

static unsigned threads_of(json_t *root)
{
    json_int_t threads = json_integer_value(json_object_get(json_object_get(root, "options"), "threads"));
    return threads > 0 && threads <= 64 ? (unsigned)threads : 1;
}

/* Limits, then fences; what holds is for `hello`. In between, the last files outside staging are opened: the registry's
 * hash makes libcrypto read its settings. */
static int confine(struct am_session *s, json_t *root, char sha[65], json_t *holds)
{
    struct am_buf text;
    struct am_limits limits;
    am_buf_init(&text, REGISTRY_MAX);
    int rc = registry_text(&text);
    if (rc == 0)
        am_sha256_hex(text.data, text.len, sha);
    am_buf_done(&text);
    AM_TRY(rc);
    if (am_limits_oom_first())
        json_array_append_new(holds, json_string("oom"));
    rc = root ? am_spec_limits(&limits, root, &s->faults) : 0;
    if (root && rc == 0)
        rc = open_blas(s, root, &limits);
    if (root && rc == 0) {
        AM_TRY(am_limits_set(&limits, threads_of(root)));
        json_array_append_new(holds, json_string("rlimits"));
    }
    struct am_confined c = am_confine(s->staging);
    if (c.landlock)
        json_array_append_new(holds, json_string("landlock"));
    if (c.seccomp)
        json_array_append_new(holds, json_string("seccomp"));
    return rc;
}

static int finish(struct am_session *s)
{
    char sha[65];
    am_failpoint("worker.settle");
    AM_TRY(am_result_end(&s->result, sha));
    am_failpoint("worker.settled");
    am_reporter_done(&s->report, s->result.bytes, sha, s->result.records);
    return s->report.broken ? -AM_E_INTERNAL : 0;
}

/* One sentence for the job's page; the records before it have them all. */
static void first_fault(struct am_session *s, int rc)
{
    const struct am_fault *f = s->faults.n ? &s->faults.v[0] : NULL;
    const char *file = f && f->file && !strstr(f->detail, f->file) ? f->file : "";
    char more[48] = "";
    if (s->faults.total > 1)
        snprintf(more, sizeof(more), " (and %zu more)", s->faults.total - 1);
    snprintf(s->detail, sizeof(s->detail), "%.100s%s%.340s%s", file, *file ? ": " : "",
             f ? f->detail : am_err_title(rc), more);
}

static void tell_failure(struct am_session *s, int rc)
{
    unsigned long long most = am_limits_memory() >> 20;
    if (!s->detail[0] && rc == -AM_E_OUT_OF_MEMORY && most)
        snprintf(s->detail, sizeof(s->detail),
                 "the worker ran out of memory: it may hold %llu MiB, which is what the job was planned with and a "
                 "margin; fewer options.threads need less",
                 most);
    if (!s->detail[0])
        first_fault(s, rc);
    fprintf(stderr, "amend-worker: %s: %s\n", am_err_slug(rc), s->detail);
    if (rc != -AM_E_CANCELLED)
        am_reporter_failed(&s->report, rc, s->detail, &s->faults);
}

/* hello goes out even when the spec is broken: the daemon waits for it. */
static int work(int (*mode)(struct am_session *, json_t *))
{
    struct am_session s = {.staging = AM_FD_STAGING, .warnings = json_array()};
    json_t *root = NULL, *holds = json_array();
    char sha[65] = "";
    int rc = am_spec_load(0, &root, &s.faults);
    int confined = confine(&s, root, sha, holds);
    rc = rc == 0 ? confined : rc;
    if (am_reporter_open(&s.report, FD_RECORDS, sha, threads_of(root), holds) < 0)
        return EXIT_OTHER;
    if (rc == 0)
        rc = mode(&s, root); /* takes it */
    else
        json_decref(root);
    if (rc == 0)
        rc = am_session_alive(&s);
    if (rc == 0)
        rc = finish(&s);
    if (rc < 0)
        tell_failure(&s, rc);
    am_reporter_close(&s.report);
    am_result_done(&s.result);
    am_faults_done(&s.faults);
    json_decref(s.warnings);
    return exit_code(rc);
}

int main(int argc, char **argv)
{
    const char *mode = argc == 2 ? argv[1] : "";
    if (am_streq(mode, "describe"))
        return describe();
    if (am_streq(mode, "kernels"))
        return tell_kernels();
    if (am_streq(mode, "blas"))
        return tell_blas();
    bool runs = am_streq(mode, "run"), packs = am_streq(mode, "pack"), compares = am_streq(mode, "compare"),
         indexes = am_streq(mode, "index"), continues = am_streq(mode, "continual");
    if (!runs && !packs && !indexes && !compares && !continues && !am_streq(mode, "import")) {
        fprintf(
            stderr,
            "usage: amend-worker run|import|pack|index|compare|continual|describe|kernels|blas (amendd starts it; see "
            "worker/contract.md)\n");
        return EXIT_BAD_SPEC;
    }
    if (am_limits_begin() < 0) {
        fprintf(stderr, "amend-worker: cannot set its limits, or its parent is gone\n");
        return EXIT_OTHER;
    }
    am_failpoint("worker.begin");
    return work(runs        ? am_mode_run
                : packs     ? am_mode_pack
                : indexes   ? am_mode_index
                : compares  ? am_mode_compare
                : continues ? am_mode_continual
                            : am_mode_import);
}
