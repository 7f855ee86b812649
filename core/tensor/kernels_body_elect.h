/*
 * kernels_body_elect.h - the election of signs, a whole vector at a time. A part of kernels_body.h, not a header.
 */

#define FEW_INPUTS 4

struct counts {
    tally conflicts, thin;
};

/* The sign bit where minus is elected. A NaN as the sum elects minus. */
static ALWAYS_INLINE whole elected(const full *e, size_t inputs, bool by_count)
{
    const full zero = {0};
    full sum = e[0];
    whole votes = {0};
    for (size_t k = 1; k < inputs; k++)
        sum += e[k];
    for (size_t k = 0; by_count && k < inputs; k++)
        votes += (e[k] < zero) - (e[k] > zero);
    return (whole)chosen(by_count ? greater((whole)zero, votes) : minus_or_nan(sum), all_of(-0.0f));
}

/* Where somebody took part, and the divisor is not 0. */
static ALWAYS_INLINE full divided(full num, full div, bool thin, struct counts *c)
{
    const whole zero = {0};
    whole size = (whole)size_of(div);
    choice some = greater(size, zero);
    if (thin)
        count(&c->thin, some & greater((whole)all_of(0.001f), size));
    return over_where(some, num, div);
}

/* num and div are never -0 where something is added. */
static ALWAYS_INLINE full elect_entries(const struct am_election *how, const full *e, bool thin, struct counts *c)
{
    whole turn = elected(e, how->inputs, how->by_count);
    full turned = (full)((whole)e[0] ^ turn);
    choice takes_part = plus_or_nan(turned), opposed = minus(turned);
    full num = chosen(takes_part, e[0]), div = chosen(takes_part, all_of(how->weight[0]));
    for (size_t k = 1; k < how->inputs; k++) {
        turned = (full)((whole)e[k] ^ turn);
        takes_part = plus_or_nan(turned);
        opposed |= minus(turned);
        num = plus_where(num, takes_part, e[k]);
        div = plus_where(div, takes_part, all_of(how->weight[k]));
    }
    count(&c->conflicts, opposed);
    return how->normalize ? divided(num, div, thin, c) : num;
}

/* Zeros behind the end elect and count nothing. */
static ALWAYS_INLINE void elect_vector(const struct am_election *how, float *out, const float *const *d, size_t at,
                                       size_t n, struct counts *c)
{
    full e[ROWS];
    e[0] = how->weight[0] * take(d[0] + at, n);
    for (size_t k = 1; k < how->inputs; k++)
        e[k] = how->weight[k] * take(d[k] + at, n);
    full num = elect_entries(how, e, true, c);
    memcpy(out + at, &num, n * sizeof(float));
}

static ALWAYS_INLINE size_t elect_as(struct am_election how, float *out, const float *const *d, size_t n, size_t *thin)
{
    struct counts c = {0};
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        elect_vector(&how, out, d, i, FULL, &c);
    if (i < n)
        elect_vector(&how, out, d, i, n - i, &c);
    *thin += counted(&c.thin);
    return counted(&c.conflicts);
}

/* The usual elections with their number of inputs as a constant, so that all stays in registers. */
static ALWAYS_INLINE size_t elect_few(const struct am_election *how, size_t inputs, float *out, const float *const *d,
                                      size_t n, size_t *thin)
{
    float weight[FEW_INPUTS];
    const float *list[FEW_INPUTS];
    struct am_election fixed = {.weight = weight, .inputs = inputs, .by_count = false};
    for (size_t k = 0; k < inputs; k++) {
        weight[k] = how->weight[k];
        list[k] = d[k];
    }
    fixed.normalize = true;
    if (how->normalize)
        return elect_as(fixed, out, list, n, thin);
    fixed.normalize = false;
    return elect_as(fixed, out, list, n, thin);
}

static ALWAYS_INLINE size_t elect_many(const struct am_election *how, float *out, const float *const *d, size_t n,
                                       size_t *thin)
{
    struct am_election fixed = *how;
    fixed.by_count = true;
    if (how->by_count)
        return elect_as(fixed, out, d, n, thin);
    fixed.by_count = false;
    return elect_as(fixed, out, d, n, thin);
}

static size_t elect(const struct am_election *how, float *out, const float *const *d, size_t n, size_t *thin)
{
    switch (how->by_count ? 0 : how->inputs) {
    case 1:
        return elect_few(how, 1, out, d, n, thin);
    case 2:
        return elect_few(how, 2, out, d, n, thin);
    case 3:
        return elect_few(how, 3, out, d, n, thin);
    case 4:
        return elect_few(how, 4, out, d, n, thin);
    default:
        return elect_many(how, out, d, n, thin);
    }
}
