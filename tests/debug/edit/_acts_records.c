/*
 * _acts_records.c - lies and floods on descriptor 3, on the log and in result.ndjson.
 */
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "tests/debug/edit/_acts.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG = 2, RECORDS = 3, STAGING = 4 };
#define GIGABYTE 1000000000ULL

static int say(int fd, const char *text)
{
    return am_sys_write(fd, text, strlen(text));
}

int am_act_garbage(void)
{
    AM_TRY(say(RECORDS, "\x80\xff{]\n"));
    return am_act_spin();
}

/* `piece` again and again: a gigabyte, unless the reader goes away. */
static int pour(int fd, const char *piece)
{
    static char block[65536];
    size_t len = strlen(piece), n = 0;
    for (; n + len <= sizeof(block); n += len)
        memcpy(block + n, piece, len);
    for (unsigned long long sent = 0; sent < GIGABYTE; sent += n)
        AM_TRY(am_sys_write(fd, block, n));
    return 0;
}

int am_act_long_line(void)
{
    return pour(RECORDS, "x");
}

int am_act_many_records(void)
{
    return pour(RECORDS, "{\"record\":\"progress\",\"phase\":\"edit\",\"done\":1,\"total\":2,\"unit\":\"tensors\"}\n");
}

int am_act_flood_log(void)
{
    return pour(LOG, "what a method has to say, and says again and again\n");
}

/* ---- results ---- */

struct lie {
    bool no_end, other_bytes, wrong_hash;
    bool spans, gaps, other_spans; /* the first: no lie, but the other kind of file */
    const char *staged;            /* instead of the file's own name */
    int status;
};

static int put_file(int dir, const char *name, const char *text)
{
    int fd = am_sys_open(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    AM_TRY(fd);
    AM_TRY(say(fd, text));
    AM_TRY(am_sys_fsync(fd));
    return am_sys_close(fd);
}

/* Ten bytes of the middle and ten of the beginning of a blob of thirty. */
static int put_assembled(const struct lie *lie, char *text, size_t cap)
{
    static const char blob[] = "0123456789ABCDEFGHIJabcdefghij", content[] = "ABCDEFGHIJ0123456789";
    char blob_sha[65], sha[65];
    am_sha256_hex(blob, strlen(blob), blob_sha);
    am_sha256_hex(content, strlen(content), sha);
    snprintf(text, cap,
             "{\"record\":\"model\",\"architecture\":null}\n"
             "{\"record\":\"blob\",\"staged\":\"notes\",\"bytes\":30,\"sha256\":\"%s\"}\n"
             "{\"record\":\"file\",\"path\":\"notes.bin\",\"staged\":null,\"class\":\"lfs\",\"bytes\":20,"
             "\"sha256\":\"%s\",\"git_sha1\":null,\"weights\":false}\n"
             "{\"record\":\"span\",\"at\":0,\"blob\":0,\"offset\":%d,\"bytes\":10}\n"
             "{\"record\":\"span\",\"at\":%d,\"blob\":0,\"offset\":0,\"bytes\":%d}\n"
             "{\"record\":\"end\",\"records\":5}\n",
             blob_sha, sha, lie->other_spans ? 20 : 10, lie->gaps ? 11 : 10, lie->gaps ? 9 : 10);
    AM_TRY(put_file(STAGING, "notes", blob));
    return put_file(STAGING, "result.ndjson", text);
}

static int put_result(const struct lie *lie, char *text, size_t cap)
{
    if (lie->spans)
        return put_assembled(lie, text, cap);
    char sha[65], git[41];
    const char *said = lie->other_bytes ? "{\"made\":\"by a liar\"}\n" : "{\"made\":\"by a test\"}\n",
               *body = lie->other_bytes ? "{\"made\":\"by A liar\"}\n" : said;
    am_sha256_hex(said, strlen(said), sha);
    am_git_blob_hex(said, strlen(said), git);
    snprintf(text, cap,
             "{\"record\":\"model\",\"architecture\":null}\n"
             "{\"record\":\"file\",\"path\":\"notes.json\",\"staged\":\"%s\",\"class\":\"regular\",\"bytes\":%zu,"
             "\"sha256\":\"%s\",\"git_sha1\":\"%s\",\"weights\":false}\n%s",
             lie->staged ? lie->staged : "notes", strlen(said), sha, git,
             lie->no_end ? "" : "{\"record\":\"end\",\"records\":2}\n");
    AM_TRY(put_file(STAGING, "notes", body));
    return put_file(STAGING, "result.ndjson", text);
}

static int result(const struct lie *lie)
{
    char text[1024], sha[65], done[256];
    AM_TRY(put_result(lie, text, sizeof(text)));
    am_sha256_hex(text, strlen(text), sha);
    if (lie->wrong_hash)
        memset(sha, 'a', 64);
    snprintf(done, sizeof(done), "{\"record\":\"done\",\"bytes\":%zu,\"sha256\":\"%s\",\"records\":%d}\n", strlen(text),
             sha,
             lie->spans    ? 6
             : lie->no_end ? 2
                           : 3);
    AM_TRY(say(RECORDS, done));
    _exit(lie->status);
}

int am_act_result_good(void)
{
    return result(&(struct lie){0});
}

int am_act_result_no_end(void)
{
    return result(&(struct lie){.no_end = true});
}

int am_act_result_outside(void)
{
    return result(&(struct lie){.staged = "../../amendd.db"});
}

int am_act_result_other_bytes(void)
{
    return result(&(struct lie){.other_bytes = true});
}

int am_act_result_wrong_hash(void)
{
    return result(&(struct lie){.wrong_hash = true});
}

int am_act_result_spans(void)
{
    return result(&(struct lie){.spans = true});
}

int am_act_result_gaps(void)
{
    return result(&(struct lie){.spans = true, .gaps = true});
}

int am_act_result_other_spans(void)
{
    return result(&(struct lie){.spans = true, .other_spans = true});
}

int am_act_done_then_fail(void)
{
    return result(&(struct lie){.status = 1});
}
