/*
 * space.c - see space.h.
 */
#include "server/space.h"

#include "core/base/sys.h"

uint64_t am_space_keep(const struct am_config *cfg, uint64_t total)
{
    return cfg->min_free ? cfg->min_free : (total / 20 > (1ull << 30) ? total / 20 : 1ull << 30);
}

int am_space(const struct am_server *s, struct am_space *ret)
{
    struct am_space v = {0};
    AM_TRY(am_sys_free_bytes(am_store_path(s->store), &v.free, &v.total));
    v.min_free = am_space_keep(s->cfg, v.total);
    *ret = v;
    return 0;
}
