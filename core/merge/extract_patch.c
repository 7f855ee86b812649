/*
 * extract_patch.c - a fine-tune minus its base, as a LoRA adapter: each difference of two matrices becomes its
 * truncated singular value decomposition, B = U sqrt(S) and A = sqrt(S) V'.
 *
 * The randomised decomposition is that of Halko, Martinsson and Tropp, SIAM Review 53 (2011), arXiv:0909.4061,
 * algorithms 4.4 and 5.1: the range of delta from a Gaussian sketch of max_rank + 8 columns and two power iterations,
 * each made orthonormal, then the decomposition of the small matrix Q' delta. The sketch is numbered by seed and name
 * of the tensor, so it is the same for any threads and other tensors. The rank is the smallest whose squared singular
 * values hold `energy` of the sum of squares of delta, at most max_rank, of values above sv_epsilon and above rounding.
 * The largest entry of each left vector is positive. Shapes: delta is rows x cols, of more axes flattened behind the
 * first. f64; the factors are rounded once, by whoever stores them.
 */
#include "core/base/err.h"
#include "core/base/math.h"
#include "core/merge/_patch.h"
#include "core/tensor/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define POWER 2
#define DRAWN 2048 /* numbers at a time */
#define TWO_PI 6.28318530717958647692

static const struct am_rule rules[] = {{AM_RULE_BASE_APART, "", ""}, {AM_RULE_END, "", ""}};

static const struct am_param params[] = {
    AM_PATCH_PARAMS,
    {.name = "energy",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .flags = AM_OPEN_MIN,
     .def = "1.0",
     .unit = "fraction",
     .doc = "share of the sum of squares of a difference that its factors hold at the least, within max_rank; 1: no "
            "singular value is left out"},
    {.name = "sv_epsilon",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e30,
     .def = "0.0",
     .unit = "none",
     .doc = "singular values up to this are left out"},
    {.name = "distribute_scale",
     .kind = AM_BOOL,
     .def = "true",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "the square roots of the singular values on both factors; false: all of them on A"},
    {0},
};

struct room { /* what is left of the work */
    double *at, *end;
};

static double *take(struct room *room, size_t n)
{
    if ((size_t)(room->end - room->at) < n)
        return NULL;
    room->at += n;
    return room->at - n;
}

static struct am_mat packed(double *v, size_t rows, size_t cols)
{
    return (struct am_mat){v, rows, cols, cols};
}

static double squares(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sum;
}

/* Independent numbers of the normal distribution: Box and Muller's, two of two words. */
static int draw(const struct am_factors *f, double *into, size_t n)
{
    uint32_t key[2], word[DRAWN];
    AM_TRY(am_random_key("sketch", f->scope.seed, 0, f->scope.tensor.name, key));
    for (size_t i = 0; i < n; i += DRAWN) {
        am_random_words(word, DRAWN, key, i);
        for (size_t k = 0; k < DRAWN && i + k < n; k += 2) {
            double length = sqrt(-2 * am_ln(((double)word[k] + 0.5) / 4294967296.0));
            double angle = TWO_PI * (((double)word[k + 1] + 0.5) / 4294967296.0);
            into[i + k] = length * am_cos(angle);
            if (i + k + 1 < n)
                into[i + k + 1] = length * am_sin(angle);
        }
    }
    return 0;
}

struct triplets { /* u is rows x n, vt n x cols, both packed */
    double *u, *s, *vt;
    size_t n;
};

static int all_of(const struct am_factors *f, struct room room, struct triplets *t)
{
    size_t k = f->rows < f->cols ? f->rows : f->cols;
    *t = (struct triplets){.u = take(&room, f->rows * k), .s = take(&room, k), .vt = take(&room, k * f->cols), .n = k};
    double *work = take(&room, am_svd_work(f->rows, f->cols));
    if (!t->u || !t->s || !t->vt || !work)
        return -AM_E_OUT_OF_MEMORY;
    return am_svd(f->delta, f->rows, f->cols, t->u, t->s, t->vt, work);
}

/* q becomes an orthonormal basis of about the range of delta; z is room for cols x n. */
static int find_range(const struct am_factors *f, double *q, double *z, size_t n, double *work)
{
    struct am_mat delta = packed(f->delta, f->rows, f->cols), mq = packed(q, f->rows, n), mz = packed(z, f->cols, n);
    AM_TRY(draw(f, z, f->cols * n));
    AM_TRY(am_gemm(1, delta, false, mz, false, 0, mq));
    AM_TRY(am_orthonormal(q, f->rows, n, work));
    for (int i = 0; i < POWER; i++) {
        AM_TRY(am_gemm(1, delta, true, mq, false, 0, mz));
        AM_TRY(am_orthonormal(z, f->cols, n, work));
        AM_TRY(am_gemm(1, delta, false, mz, false, 0, mq));
        AM_TRY(am_orthonormal(q, f->rows, n, work));
    }
    return 0;
}

static int sketch(const struct am_factors *f, struct room room, size_t n, struct triplets *t)
{
    double *q = take(&room, f->rows * n), *z = take(&room, f->cols * n), *small = take(&room, n * n);
    *t = (struct triplets){.u = take(&room, f->rows * n), .s = take(&room, n), .vt = take(&room, n * f->cols), .n = n};
    double *work = take(&room, am_svd_work(n, f->cols));
    if (!q || !z || !small || !t->u || !t->s || !t->vt || !work)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(find_range(f, q, z, n, work));
    struct am_mat mq = packed(q, f->rows, n), core = packed(z, n, f->cols);
    AM_TRY(am_gemm(1, mq, true, packed(f->delta, f->rows, f->cols), false, 0, core));
    AM_TRY(am_svd(z, n, f->cols, small, t->s, t->vt, work));
    return am_gemm(1, mq, false, packed(small, n, n), false, 0, packed(t->u, f->rows, n));
}

static size_t rank_of(const struct am_factors *f, const struct triplets *t)
{
    double energy = am_arg_real(f->scope.args, "energy"), least = am_arg_real(f->scope.args, "sv_epsilon");
    double longest = (double)(f->rows > f->cols ? f->rows : f->cols), held = 0;
    double rounding = t->s[0] * longest * DBL_EPSILON;
    size_t n = 0;
    while (n < t->n && n < f->most && t->s[n] > least && t->s[n] > rounding &&
           (energy >= 1 || held < energy * f->squares)) {
        held += t->s[n] * t->s[n];
        n++;
    }
    return n;
}

/* Which of the two signs of a pair of vectors there is says LAPACK; here it is the one of a rule. */
static bool is_negative(const struct triplets *t, size_t rows, size_t j)
{
    double most = 0;
    for (size_t r = 0; r < rows; r++) {
        double v = t->u[r * t->n + j];
        if (fabs(v) > fabs(most))
            most = v;
    }
    return most < 0;
}

static void scale(struct am_factors *f, const struct triplets *t, size_t rank)
{
    bool both = am_arg_bool(f->scope.args, "distribute_scale");
    for (size_t j = 0; j < rank; j++) {
        double sign = is_negative(t, f->rows, j) ? -1 : 1, root = sqrt(t->s[j]);
        double left = both ? root : f->turned ? t->s[j] : 1, right = both ? root : f->turned ? 1 : t->s[j];
        for (size_t r = 0; r < f->rows; r++)
            t->u[r * t->n + j] *= sign * left;
        for (size_t c = 0; c < f->cols; c++)
            t->vt[j * f->cols + c] *= sign * right;
    }
    f->left = (struct am_mat){t->u, f->rows, rank, t->n};
    f->right = (struct am_mat){t->vt, rank, f->cols, f->cols};
}

static int factors(struct am_factors *f)
{
    struct triplets t;
    struct room room = {f->work, f->work + f->doubles};
    size_t k = f->rows < f->cols ? f->rows : f->cols, width = am_factors_width(f->full, f->rows, f->cols, f->most);
    f->left = packed(f->work, f->rows, 0);
    f->right = packed(f->work, 0, f->cols);
    f->first = f->last = f->next = NAN;
    f->squares = squares(f->delta, f->rows * f->cols);
    if (!(f->squares > 0))
        return 0;
    AM_TRY(width == k ? all_of(f, room, &t) : sketch(f, room, width, &t));
    size_t rank = rank_of(f, &t);
    f->first = t.s[0];
    f->last = rank ? t.s[rank - 1] : NAN;
    f->next = rank < t.n ? t.s[rank] : NAN;
    scale(f, &t, rank);
    return 0;
}

const struct am_method am_method_merge_extract_patch = {
    AM_PATCH_HOOKS,
    .name = "extract_patch",
    .paper = "arXiv:0909.4061",
    .summary = "what a fine-tune changed in its base, as a LoRA adapter",
    .needs = {AM_PATCH_NEEDS, .random = true},
    .params = params,
    .rules = rules,
    .factors = factors,
};
