/*
 * describe.h - the registry as canonical JSON: what `amend-worker describe` prints and everything else derives from.
 * {"abi":1,"methods":[{...},...]}: sorted, no addresses, no times. Each method has the members of api.md 3.9 plus
 * "rules".
 */
#ifndef AM_METHODS_DESCRIBE_H
#define AM_METHODS_DESCRIBE_H

#include <jansson.h>

struct am_method;

json_t *am_describe(const struct am_method *const *methods); /* new reference */
/* One line for each broken declaration (missing doc or unit, default outside its range, passes without stat, ...); 0
 * when sound. */
int am_describe_check(const struct am_method *const *methods, char *ret_line, unsigned long cap);

#endif
