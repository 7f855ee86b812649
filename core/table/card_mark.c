/*
 * card_mark.c - see card_mark.h.
 */
#include "core/table/card_mark.h"

#include "core/base/hash.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

#define MARK_BEGIN "<!-- made by amend; sha256 of the lines above: "
#define MARK_END " -->\n"
enum { MARK_LEN = sizeof MARK_BEGIN - 1 + AM_SHA256_LEN + sizeof MARK_END - 1 };

static void mark_of(const char *text, size_t n, char out[MARK_LEN + 1])
{
    char hex[AM_SHA256_LEN + 1];
    am_sha256_hex(text, n, hex);
    snprintf(out, MARK_LEN + 1, MARK_BEGIN "%s" MARK_END, hex);
}

int am_card_seal(struct am_buf *card)
{
    char mark[MARK_LEN + 1];
    AM_TRY(am_buf_puts(card, "\n"));
    mark_of(card->data, card->len, mark);
    return am_buf_puts(card, mark);
}

bool am_card_is_sealed(const char *text, size_t n)
{
    char mark[MARK_LEN + 1];
    if (n < MARK_LEN)
        return false;
    mark_of(text, n - MARK_LEN, mark);
    return memcmp(text + n - MARK_LEN, mark, MARK_LEN) == 0;
}
