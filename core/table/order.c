/*
 * order.c - document order of faults (order.h).
 * Each pointer becomes the list of positions on its way down (the 3rd member, then entry 0, ...), and those are
 * compared.
 */
#include "core/table/order.h"

#include "core/base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 8
#define ABSENT UINT32_MAX

struct place {
    uint32_t at[DEPTH]; /* 1-based; 0 = the pointer ends here */
    struct am_fault fault;
};

/* "~1" -> "/", "~0" -> "~", in place. */
static void untilde(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '~' && (s[1] == '0' || s[1] == '1'))
            *to++ = *++s == '0' ? '~' : '/';
        else
            *to++ = *s;
    }
    *to = 0;
}

static json_t *step(json_t *node, const char *token, uint32_t *ret_at)
{
    uint32_t i = 0;
    uint64_t index;
    const char *key;
    json_t *v;
    *ret_at = ABSENT;
    if (json_is_array(node) && am_parse_u64(token, &index) == 0 && index < json_array_size(node)) {
        *ret_at = (uint32_t)index + 1;
        return json_array_get(node, (size_t)index);
    }
    json_object_foreach(node, key, v)
    {
        i++;
        if (strcmp(key, token) == 0) {
            *ret_at = i;
            return v;
        }
    }
    return NULL;
}

static void locate(struct place *p, json_t *doc)
{
    char token[1024];
    const char *s = p->fault.pointer ? p->fault.pointer : "";
    json_t *node = doc;
    s += *s == '#';
    for (unsigned d = 0; d < DEPTH && *s == '/'; d++) {
        size_t n = strcspn(s + 1, "/");
        if (n >= sizeof(token))
            return;
        memcpy(token, s + 1, n);
        token[n] = 0;
        if (am_url_decode(token) < 0)
            return;
        untilde(token);
        node = step(node, token, &p->at[d]);
        s += 1 + n;
    }
}

static bool before(const struct place *a, const struct place *b)
{
    for (unsigned d = 0; d < DEPTH; d++) {
        if (a->at[d] != b->at[d])
            return a->at[d] < b->at[d];
    }
    return false;
}

void am_faults_order(struct am_faults *f, size_t first, json_t *doc)
{
    if (f->n < first + 2)
        return;
    size_t n = f->n - first;
    struct place *p = calloc(n, sizeof(*p));
    if (!p) /* the faults stay as they were found */
        return;
    for (size_t i = 0; i < n; i++) {
        struct place now = {.fault = f->v[first + i]};
        size_t k = i;
        locate(&now, doc);
        for (; k > 0 && before(&now, &p[k - 1]); k--)
            p[k] = p[k - 1];
        p[k] = now;
    }
    for (size_t i = 0; i < n; i++)
        f->v[first + i] = p[i].fault;
    free(p);
}
