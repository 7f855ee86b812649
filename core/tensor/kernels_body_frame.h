/*
 * kernels_body_frame.h - the frame of task arithmetic from BF16 as it is stored to BF16 as it is stored. A part of
 * kernels_body.h, not a header.
 *
 * A vector of words is widened to two of floats, those of the even and those of the odd elements
 * (kernels_body_lanes.h), which become words again at the end: nothing has to change its lane.
 */

#define SPAN 512       /* elements at a time */
#define HALVES (8 / W) /* vectors of the 8 even lanes of a sum, and of the 8 odd ones */

struct square_sum { /* its lanes: even ones, odd ones */
    wide lane[2][HALVES];
};

struct framing { /* the sums over elements */
    struct square_sum delta[AM_FRAME_INPUTS], out;
    tally kept[AM_FRAME_INPUTS];
    struct counts c;
    halves infinite; /* where a result is, or NaN */
};

/* The squares of the even (part 0) or odd ones of 4 W elements, of which the first one has number `at`. */
static ALWAYS_INLINE void add_squares(struct square_sum *sum, size_t at, size_t part, full x)
{
    narrow half[2];
    memcpy(half, &x, sizeof(half));
    for (size_t h = 0; h < 2; h++)
        sum->lane[part][(at / (2 * W) + h) % HALVES] =
            plus_square(sum->lane[part][(at / (2 * W) + h) % HALVES], half[h]);
}

static ALWAYS_INLINE double squares(const struct square_sum *sum)
{
    double even[8], odd[8], lane[16];
    memcpy(even, sum->lane[0], sizeof(even));
    memcpy(odd, sum->lane[1], sizeof(odd));
    for (size_t j = 0; j < 8; j++) {
        lane[2 * j] = even[j];
        lane[2 * j + 1] = odd[j];
    }
    return add_lanes(lane);
}

static ALWAYS_INLINE full add_entries(const struct am_frame_of *how, const full *e)
{
    full num = e[0];
    for (size_t k = 1; k < how->inputs; k++)
        num += e[k];
    return how->normalize ? num / how->div : num;
}

/* One input's entries: of each vector of words its even ones, then its odd ones. */
static void take_entries(const struct am_frame_of *how, size_t k, float *e, const uint16_t *base, const uint16_t *x,
                         struct framing *s)
{
    const uint32_t low = how->low[k], high = how->high[k];
    const float weight = how->weight[k];
    struct square_sum sum = s->delta[k];
    tally kept = s->kept[k];
    for (size_t i = 0; i < SPAN; i += PIECE)
        for (size_t at = 0; at < PIECE; at += 2 * FULL) {
            words b = words_of(base + i + at), v = words_of(x + i + at);
            for (size_t part = 0; part < 2; part++) {
                full d = part_of(v, part) - part_of(b, part);
                choice in = within((whole)size_of(d), low, high);
                full entry = weight * chosen(in, d);
                add_squares(&sum, at, part, d);
                count(&kept, in);
                memcpy(e + i + at + part * FULL, &entry, sizeof(entry));
            }
        }
    s->delta[k] = sum;
    s->kept[k] = kept;
}

/* The even or odd elements: what becomes of them. */
static ALWAYS_INLINE full result_of(const struct am_frame_of *how, const float (*entry)[SPAN], words base, size_t i,
                                    size_t at, size_t part, struct framing *s)
{
    full e[AM_FRAME_INPUTS], y = part_of(base, part);
    for (size_t k = 0; k < how->inputs; k++)
        e[k] = take(entry[k] + i + at + part * FULL, FULL);
    const struct am_election election = {
        .weight = how->weight, .inputs = how->inputs, .by_count = false, .normalize = how->normalize};
    full t = how->lambda * (how->elects ? elect_entries(&election, e, how->thin, &s->c) : add_entries(how, e));
    add_squares(&s->out, at, part, t);
    return y + t;
}

static ALWAYS_INLINE void give_as(struct am_frame_of how, const float (*entry)[SPAN], const uint16_t *base,
                                  uint16_t *out, struct framing *ret)
{
    struct framing s = *ret;
    for (size_t i = 0; i < SPAN; i += PIECE)
        for (size_t at = 0; at < PIECE; at += 2 * FULL) {
            words b = words_of(base + i + at);
            full even = result_of(&how, entry, b, i, at, 0, &s), odd = result_of(&how, entry, b, i, at, 1, &s);
            words r = narrowed(even, odd);
            s.infinite |= not_finite(r);
            memcpy(out + i + at, &r, sizeof(r));
        }
    ret->out = s.out;
    ret->c = s.c;
    ret->infinite = s.infinite;
}

static ALWAYS_INLINE void give_few(const struct am_frame_of *how, size_t inputs, const float (*entry)[SPAN],
                                   const uint16_t *base, uint16_t *out, struct framing *s)
{
    struct am_frame_of fixed = *how;
    fixed.inputs = inputs;
    fixed.elects = true;
    if (how->elects) {
        give_as(fixed, entry, base, out, s);
        return;
    }
    fixed.elects = false;
    give_as(fixed, entry, base, out, s);
}

static void give_results(const struct am_frame_of *how, const float (*entry)[SPAN], const uint16_t *base, uint16_t *out,
                         struct framing *s)
{
    switch (how->inputs) {
    case 1:
        give_few(how, 1, entry, base, out, s);
        break;
    case 2:
        give_few(how, 2, entry, base, out, s);
        break;
    case 3:
        give_few(how, 3, entry, base, out, s);
        break;
    default:
        give_few(how, 4, entry, base, out, s);
    }
}

static struct am_frame_sums frame_sums(const struct am_frame_of *how, const struct framing *s, size_t zeros)
{
    struct am_frame_sums ret = {.out = squares(&s->out),
                                .conflicts = counted(&s->c.conflicts),
                                .thin = counted(&s->c.thin),
                                .fits = none_of(&s->infinite)};
    for (size_t k = 0; k < how->inputs; k++) {
        ret.delta[k] = squares(&s->delta[k]);
        ret.kept[k] = counted(&s->kept[k]) - (how->low[k] == 0 && how->high[k] > 0 ? zeros : 0);
    }
    return ret;
}

/* In two steps: together they would need more registers than there are, and a division is long in coming. */
static void frame_span(const struct am_frame_of *how, uint16_t *out, const uint16_t *base, const uint16_t *const *x,
                       size_t i, struct framing *s)
{
    float entry[AM_FRAME_INPUTS][SPAN];
    for (size_t k = 0; k < how->inputs; k++)
        take_entries(how, k, entry[k], base + i, x[k] + i, s);
    give_results(how, (const float(*)[SPAN])entry, base + i, out + i, s);
}

/* The last elements, and zeros behind them, which change no sum; they are kept where key 0 is. */
static void frame_rest(const struct am_frame_of *how, uint16_t *out, const uint16_t *base, const uint16_t *const *x,
                       size_t i, size_t n, struct framing *s)
{
    uint16_t tail[AM_FRAME_INPUTS + 2][SPAN] = {{0}}, *result = tail[AM_FRAME_INPUTS + 1];
    const uint16_t *v[AM_FRAME_INPUTS];
    memcpy(tail[0], base + i, n * sizeof(*base));
    for (size_t k = 0; k < how->inputs; k++)
        v[k] = memcpy(tail[k + 1], x[k] + i, n * sizeof(*base));
    frame_span(how, result, tail[0], v, 0, s);
    memcpy(out + i, result, n * sizeof(*out));
}

static struct am_frame_sums frame_bf16(const struct am_frame_of *how, uint16_t *out, const uint16_t *base,
                                       const uint16_t *const *x, size_t n)
{
    struct framing s = {0};
    size_t i = 0;
    for (; i + SPAN <= n; i += SPAN)
        frame_span(how, out, base, x, i, &s);
    if (i < n)
        frame_rest(how, out, base, x, i, n - i, &s);
    return frame_sums(how, &s, i < n ? SPAN - (n - i) : 0);
}
