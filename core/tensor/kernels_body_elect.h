/*
 * kernels_body_elect.h - the election of signs, a whole vector at a time. A part of kernels_body.h, not a header.
 */

typedef float full __attribute__((vector_size(W * 8)));
typedef int32_t whole __attribute__((vector_size(W * 8))); /* comparisons give all ones for true */
#define FULL ((size_t)(2 * W))
#define FEW_INPUTS 4
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define ONE32 0x3f800000  /* 1 */
#define THIN32 0x3a83126f /* 0.001 */

/* n < FULL at the end of arrays only: zeros follow. */
static ALWAYS_INLINE full take(const float *x, size_t n)
{
    full v = {0};
    memcpy(&v, x, n * sizeof(float));
    return v;
}

static ALWAYS_INLINE full size_of(full x)
{
    return (full)((whole)x & (int32_t)MAGNITUDE);
}

static ALWAYS_INLINE full pick(whole mask, full yes, full no)
{
    return (full)(((whole)yes & mask) | ((whole)no & ~mask));
}

static ALWAYS_INLINE full all_of(float a)
{
    const full zero = {0};
    return a - zero;
}

struct counts { /* lane by lane, 0 - how many; a row of 2^32 elements and more would not fit memory */
    whole conflicts, thin;
};

/* n < FULL at the end of the arrays only: zeros follow, which elect and count nothing. */
static ALWAYS_INLINE full entry(float weight, const float *d, size_t n)
{
    full x = {0};
    memcpy(&x, d, n * sizeof(float));
    return weight * x;
}

/* The sign bit where minus is elected. A NaN as the sum elects minus. */
static ALWAYS_INLINE whole elected(const struct am_election *how, const float *const *d, size_t at, size_t n)
{
    const full zero = {0};
    full sum = zero;
    whole votes = {0};
    for (size_t k = 0; k < how->inputs; k++) {
        full e = entry(how->weight[k], d[k] + at, n);
        votes += (e < zero) - (e > zero);
        sum = k == 0 ? e : sum + e;
    }
    return (how->by_count ? votes < 0 : ~(sum >= zero)) & (int32_t)SIGN;
}

static ALWAYS_INLINE full divided(full num, full div, struct counts *c)
{
    whole u = (whole)div, size = u & (int32_t)MAGNITUDE, none = size == 0;
    c->thin += (size < THIN32) & ~none;
    return num / (full)((u & ~none) | (none & ONE32));
}

/*
 * num and div are never -0 where something is added, so that +0 can be added in place of who does not take part. An
 * entry is made twice, with the same bits; where the number of inputs is a constant the compiler keeps it instead.
 */
static ALWAYS_INLINE void elect_vector(const struct am_election *how, float *out, const float *const *d, size_t at,
                                       size_t n, struct counts *c)
{
    const full zero = {0};
    full num = zero, div = zero;
    whole turn = elected(how, d, at, n), opposed = {0};
    for (size_t k = 0; k < how->inputs; k++) {
        whole w = (whole)(how->weight[k] - zero), e = (whole)entry(how->weight[k], d[k] + at, n);
        full turned = (full)(e ^ turn);
        whole takes_part = ~(turned <= zero);
        opposed |= turned < zero;
        num = k == 0 ? (full)(e & takes_part) : num + (full)(e & takes_part);
        div = k == 0 ? (full)(w & takes_part) : div + (full)(w & takes_part);
    }
    c->conflicts += opposed;
    if (how->normalize)
        num = divided(num, div, c);
    memcpy(out + at, &num, n * sizeof(float));
}

static size_t add_counts(const whole *lanes)
{
    size_t count = 0;
    for (size_t j = 0; j < FULL; j++)
        count += 0 - (uint32_t)(*lanes)[j];
    return count;
}

static ALWAYS_INLINE size_t elect_as(struct am_election how, float *out, const float *const *d, size_t n, size_t *thin)
{
    struct counts c = {{0}, {0}};
    size_t i = 0;
    for (; i + FULL <= n; i += FULL)
        elect_vector(&how, out, d, i, FULL, &c);
    if (i < n)
        elect_vector(&how, out, d, i, n - i, &c);
    *thin += add_counts(&c.thin);
    return add_counts(&c.conflicts);
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
