/*
 * fuzz_records.c - libFuzzer over the records of a worker: any bytes on descriptor 3 end in a state, never in harm, and
 * the same state whichever way the bytes are cut into reads.
 */
#include "server/records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, enum am_record kind)
{
    (void)arg;
    (void)kind;
}

static void run(const uint8_t *data, size_t size, size_t piece, struct am_records *r)
{
    am_records_init(r, NULL);
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (am_records_feed(r, (const char *)data + at, n, ignore, NULL) < 0)
            break;
    }
    am_records_end(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct am_records whole, pieces;
    run(data, size, size ? size : 1, &whole);
    run(data, size, 7, &pieces);
    if (whole.broken != pieces.broken || whole.done != pieces.done || whole.failed != pieces.failed ||
        whole.faults.n != pieces.faults.n)
        abort();
    am_records_done(&whole);
    am_records_done(&pieces);
    return 0;
}
