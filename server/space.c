/*
 * space.c - see space.h.
 */
#include "server/space.h"

#include "core/base/sys.h"

int am_space(const struct am_server *s, struct am_space *ret)
{
    struct am_space v = {0};
    AM_TRY(am_sys_free_bytes(am_store_path(s->store), &v.free, &v.total));
    v.min_free = s->cfg->min_free ? s->cfg->min_free : (v.total / 20 > (1ull << 30) ? v.total / 20 : 1ull << 30);
    *ret = v;
    return 0;
}
