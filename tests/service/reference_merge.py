"""The merge methods in NumPy, written from their formulas.

Nothing here comes from amend. Arrays are float32. Every discrete decision (what is kept, which sign is elected, which
input is chosen) is taken on float32 values as the formulas say; sums over elements and what follows from them are
float64. Where a formula fixes every rounding (the frame of task vectors, port, median of an odd number) the result is
that of the formula bit for bit; elsewhere (slerp, means of robust rules) compare with `agreement`.

A method here is a function of one tensor, or of a whole model where its statistics are the model's (Gram rules).
"""

import itertools
import math

import numpy as np

import reference as ref
from reference import f32

SLACK = 1 + 4 * 2.0**-52


# ---- selection -----------------------------------------------------------------------------------


def count(fraction, n):
    """How many of n a fraction is; at least one unless the fraction is 0. Of equal magnitudes the lowest index counts
    as the largest, so it is the first to stay."""
    if fraction <= 0 or n == 0:
        return 0
    return min(n, max(1, math.floor(fraction * n * SLACK)))


def keep_ranks(d, first, last):
    """Mask of the entries whose rank from the top (0 is the largest) is first <= rank < last; of each row of a
    matrix."""
    order = np.argsort(-np.abs(d), axis=-1, kind="stable")
    mask = np.zeros(d.shape, bool)
    np.put_along_axis(mask, order[..., first:last], True, axis=-1)
    return mask


def keep_largest(d, density):
    if density >= 1:
        return np.ones(d.shape, bool)
    return keep_ranks(d.reshape(-1), 0, count(density, d.size)).reshape(d.shape)


def crumbs_counts(n, density=None, gamma=None, drop_low=None, drop_high=None):
    """(dropped at the bottom, dropped at the top) of n."""
    if drop_low is not None or drop_high is not None:
        return math.floor((drop_low or 0) * n * SLACK), math.floor((drop_high or 0) * n * SLACK)
    density, gamma = 1.0 if density is None else density, 0.01 if gamma is None else gamma
    if density >= 1:
        return 0, 0
    target, top = count(density, n), math.floor(gamma * n * SLACK)
    bottom = n - target - top
    if bottom < 0:
        top, bottom = top + bottom, 0
    return bottom, top


def keep_middle(d, granularity="tensor", **how):
    """A tensor of one axis, or none, is one row."""
    rows = d if granularity == "row" and d.ndim > 1 else d.reshape(-1)
    bottom, top = crumbs_counts(rows.shape[-1], **how)
    return keep_ranks(rows, top, rows.shape[-1] - bottom).reshape(d.shape)


# ---- the frame of task vectors -------------------------------------------------------------------


def frame(base, xs, weights, keep=None, consensus="none", normalize=False, lam=1.0, thin=None):
    """base + lambda * combined(w_i * keep_i(x_i - base)). keep: one function of a task vector for each input, which
    gives a mask; or thin, which gives what is left of it."""
    if lam == 0:
        return base
    zero = f32(0)
    es = []
    for i, (x, w) in enumerate(zip(xs, weights)):
        d = x - base
        if keep:
            d = np.where(keep[i](d), d, zero)
        if thin:
            d = thin[i](d)
        es.append(f32(w) * d)
    if consensus == "none":
        num = es[0]
        for e in es[1:]:
            num = num + e
        div = ref.left_sum(weights)
    else:
        vote = np.zeros(base.shape, np.float32)
        for e in es:
            vote = vote + (e if consensus == "sum" else np.sign(e))
        elected = np.where(vote >= 0, f32(1), f32(-1))
        num, div = np.zeros(base.shape, np.float32), np.zeros(base.shape, np.float32)
        for e, w in zip(es, weights):
            part = (e != 0) & (np.sign(e) == elected)
            num = np.where(part, num + e, num)
            div = np.where(part, div + f32(w), div)
        div = np.where(div == 0, f32(1), div)
    if normalize:
        num = num / div
    if f32(lam) != 1:
        num = f32(lam) * num
    return base + num


def each(value, m):
    return list(value) if isinstance(value, (list, tuple)) else [value] * m


def ties(base, xs, weights, density=1.0, normalize=True, lam=1.0, consensus="sum"):
    keep = [lambda d, p=p: keep_largest(d, p) for p in each(density, len(xs))]
    return frame(base, xs, weights, keep, consensus, normalize, lam)


def breadcrumbs(base, xs, weights, lam=1.0, consensus="none", normalize=False, granularity="tensor", **how):
    """how: density and gamma, or drop_low and drop_high; one number or one for each input."""
    per = [{k: each(v, len(xs))[i] for k, v in how.items()} for i in range(len(xs))]
    keep = [lambda d, h=h: keep_middle(d, granularity, **h) for h in per]
    return frame(base, xs, weights, keep, consensus, normalize, lam)


def canonical_crumbs(beta=None, gamma_paper=None, top_k_keep=None, top_k_remove=None):
    """The paper's pair, or the authors' code's, as drop_low, drop_high (and granularity)."""
    if beta is not None:
        return {"drop_low": beta, "drop_high": 1 - gamma_paper}
    return {"drop_low": 1 - top_k_remove - top_k_keep, "drop_high": top_k_remove, "granularity": "row"}


def port(base, tuned, old, scale=1.0):
    return base + f32(scale) * (tuned - old)


# ---- along the arc -------------------------------------------------------------------------------


def dot(x, y):
    return float(np.dot(x.reshape(-1).astype(np.float64), y.reshape(-1).astype(np.float64)))


def cosine(x, y):
    """With a vector that is nearly zero left as it is."""
    q = [math.sqrt(dot(v, v)) for v in (x, y)]
    return dot(x, y) / math.prod(v if v > 1e-8 else 1.0 for v in q)


def slerp_factors(v0, v1, t, dot_threshold=0.9995):
    c = cosine(v0, v1)
    if abs(c) > dot_threshold:
        return 1 - t, t
    theta = math.acos(c)
    return math.sin((1 - t) * theta) / math.sin(theta), math.sin(t * theta) / math.sin(theta)


def slerp(v0, v1, t, dot_threshold=0.9995):
    if t == 0 or t == 1:
        return v1 if t else v0
    s0, s1 = slerp_factors(v0, v1, t, dot_threshold)
    return f32(s0) * v0 + f32(s1) * v1


# ---- in the span of the inputs ------------------------------------------------------------------------
# Direct forms in float64, where amend works on the Gram matrix.


def wide(arrays, base=None):
    """float64; differences from a base are taken in float32, as defined."""
    return [(a if base is None else a - base).reshape(-1).astype(np.float64) for a in arrays]


def back(v, like, base=None):
    v = v.reshape(like.shape)
    return v if base is None else base.astype(np.float64) + v


def nuslerp(xs, weights, base=None, nuslerp_flatten=True, nuslerp_row_wise=False):
    w1, w2 = weights
    t = 0.5 if abs(w1 + w2) < 1e-6 else w2 / (w1 + w2)
    v = [(x if base is None else x - base).astype(np.float64) for x in xs]
    shape = v[0].shape
    if nuslerp_flatten or not shape:
        axis, v = 0, [a.reshape(-1) for a in v]
    else:
        axis = 0 if nuslerp_row_wise else -1
    n = [np.maximum(np.sqrt((a * a).sum(axis=axis, keepdims=True)), 1e-7) for a in v]
    c = np.clip((v[0] / n[0] * (v[1] / n[1])).sum(axis=axis, keepdims=True), -1, 1)
    theta = np.arccos(c)
    sine = np.sin(theta)
    with np.errstate(all="ignore"):
        s0 = np.where(np.abs(sine) < 1e-8, 1 - t, np.sin((1 - t) * theta) / sine)
        s1 = np.where(np.abs(sine) < 1e-8, t, np.sin(t * theta) / sine)
    return back(s0 * v[0] + s1 * v[1], xs[0], base)


def multislerp(xs, weights, base=None, normalize_weights=True, eps=1e-8):
    v = wide(xs, base)
    W = np.array(weights, np.float64) / (sum(weights) if normalize_weights else 1)
    n = np.array([math.sqrt(a @ a) for a in v])
    u = [a / (k + eps) for a, k in zip(v, n)]
    mu = sum(w * a for w, a in zip(W, u))
    length = math.sqrt(mu @ mu)
    if length < eps:
        return back(sum(w * a for w, a in zip(W, v)), xs[0], base)
    mu = mu / length
    q = sum(w * (a - (a @ mu) * mu) for w, a in zip(W, u))
    a = math.sqrt(q @ q) + eps
    return back((mu * math.cos(a) + q * math.sin(a) / a) * float(W @ n), xs[0], base)


def karcher(xs, max_iter=10, tol=1e-5, least=0.0):
    """(mean, iterations)."""
    x = wide(xs)
    n = [math.sqrt(a @ a) for a in x]
    us = [a / k for a, k in zip(x, n) if k > least]
    if not us:
        return np.zeros(xs[0].shape), 0
    u = sum(us) / len(us)
    norm = math.sqrt(u @ u)
    u = us[0] if norm < tol else u / norm
    steps = 0
    for steps in range(1, max_iter + 1):
        T = np.zeros(u.shape)
        for a in us:
            c = min(1.0, max(-1.0, float(a @ u)))
            theta = math.acos(c)
            if theta >= tol:
                T = T + theta / math.sin(theta) * (a - c * u) / len(us)
        step = math.sqrt(T @ T)
        if step < tol:
            break
        u = u * math.cos(step) + T / step * math.sin(step)
        u = u / math.sqrt(u @ u)
    return back(sum(n) / len(n) * u, xs[0]), steps


def stock_ratio(ds, clamp=True, rules=False):
    """t for the differences of one tensor, or row."""
    n, cs = len(ds), []
    for a, b in itertools.combinations(ds, 2):
        norms = math.sqrt(a @ a) * math.sqrt(b @ b)
        norms = max(norms, 1e-6) if rules else norms
        cs.append(min(1.0, max(-1.0, float(a @ b) / norms)) if norms else 0.0)
    c = sum(cs) / len(cs)
    if clamp and not rules:
        return min(1.0, max(0.0, n * c / (1 + (n - 1) * c))) if 1 + (n - 1) * c > 0 else 0.0
    return n * c / (1 + (n - 1) * c)


def model_stock(base, xs, filter_wise=False, clamp=True, rules=False):
    rows = filter_wise and base.ndim > 1
    ds = [(x - base).astype(np.float64).reshape(-1, base.shape[-1] if rows else base.size) for x in xs]
    t = np.array([[stock_ratio([d[k] for d in ds], clamp, rules)] for k in range(len(ds[0]))])
    return back(t * sum(ds) / len(ds), base, base)


# ---- element by element against the base ------------------------------------------------------------


def wise_ft(base, x, alpha=0.5):
    if alpha == 1:
        return x
    return ref.f32(1 - alpha) * base + ref.f32(alpha) * x


def nearswap(base, x, t):
    if f32(t) == 0:
        return base
    w = f32(t) / np.maximum(np.abs(base - x), f32(1e-6))
    w = np.minimum(w, f32(1))
    return np.where(w == 1, x, w * x + (f32(1) - w) * base)


def ram(base, xs, epsilon=1e-5, unique=None):
    """unique: a factor for each input of what it alone changes."""
    ds = [x - base for x in xs]
    changed = [np.abs(d) > f32(epsilon) for d in ds]
    count = np.sum(changed, axis=0)
    total, factor = np.zeros(base.shape, np.float32), np.ones(base.shape, np.float32)
    for d, a, u in zip(ds, changed, unique or [1] * len(xs)):
        total = np.where(a, total + d, total)
        factor = np.where(a, f32(u), factor)
    change = np.where(count == 1, total * factor, total / np.maximum(count, 1).astype(np.float32))
    return np.where(count == 0, base, base + change)


def ramplus_factors(base, xs, epsilon=1e-5, r=0.1, alpha=0.2):
    changed = [np.abs(x - base) > f32(epsilon) for x in xs]
    count = np.sum(changed, axis=0)
    found = []
    for a in changed:
        unique, shared = int((a & (count == 1)).sum()), int((a & (count > 1)).sum())
        found.append(1 + r * min(shared / max(unique, epsilon), alpha) if shared else 1.0)
    return found


def ramplus_tl(base, xs, **how):
    return ram(base, xs, how.get("epsilon", 1e-5), ramplus_factors(base, xs, **how))


def sce(base, xs, select_topk=1.0, weight_floor=0.0, rules=False):
    m, zero = f32(len(xs)), f32(0)
    ds = [x - base for x in xs]
    if select_topk < 1:
        total = ds[0]
        for d in ds[1:]:
            total = total + d
        mean = total / m
        var = (ds[0] - mean) * (ds[0] - mean)
        for d in ds[1:]:
            var = var + (d - mean) * (d - mean)
        var = (var / m).reshape(-1)
        k = math.floor(np.count_nonzero(var) * select_topk * (1 if rules else SLACK))
        if k == 0:
            return base
        keep = keep_ranks(var, 0, k).reshape(base.shape)
        ds = [np.where(keep, d, zero) for d in ds]
    q = np.array([dot(d, d) / d.size for d in ds])
    equal = q.sum() <= max(weight_floor, 1e-6 if rules else 0)
    q = np.full(len(ds), 1 / len(ds)) if equal else q / q.sum()
    vote = ds[0]
    for d in ds[1:]:
        vote = vote + d
    elected = np.where(vote >= 0, f32(1), f32(-1))
    num, div, any_part = np.zeros(base.shape, np.float32), np.zeros(base.shape, np.float32), False
    for d, w in zip(ds, q):
        part = (d != 0) & (np.sign(d) == elected)
        num, div, any_part = np.where(part, num + f32(w) * d, num), np.where(part, div + f32(w), div), any_part | part
    return np.where(any_part, base + num / np.maximum(div, f32(1e-6)), base)


def softmax(x):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True) + 1e-8


def fusion(base, x):
    """(importances, threshold), float32."""
    rows = [a if a.ndim > 1 else a.reshape(1, -1) for a in (x, base)]
    p, s = softmax(rows[0]), softmax(rows[1])
    kl = np.maximum((p * np.log(p / s)).sum(axis=-1, keepdims=True), 0).astype(np.float32)
    importance = (np.abs(rows[0] - rows[1]) * kl).reshape(base.shape)
    up = np.sort(importance.reshape(-1))
    q1, q2, q3 = (up[math.floor(q * (up.size - 1))] for q in (0.25, 0.5, 0.75))
    return importance, q2 + f32(1.5) * (q3 - q1)


def arcee_fusion(base, x):
    importance, threshold = fusion(base, x)
    return np.where(importance >= threshold, x, base)


def passthrough(x, scale=1.0):
    return x if scale == 1 else f32(scale) * x


# ---- rules that bear faulty contributors -----------------------------------------------------------


def median(base, xs, alpha=1.0):
    return base + f32(alpha) * middle(np.stack([x - base for x in xs]))


def trimmed_mean(base, xs, f, alpha=1.0):
    """The mean in float64, rounded once: the order of its sum is nobody's promise."""
    ds = np.sort(np.stack([x - base for x in xs]), axis=0)[f : len(xs) - f]
    return base + f32(alpha) * ds.astype(np.float64).mean(axis=0).astype(np.float32)


def nearest(ds, center, keep):
    """Mean of the `keep` values of each element nearest to its centre (float32 distances); of two at the same distance
    the smaller value. In float64, rounded once."""
    ds = np.sort(ds, axis=0)
    far = np.abs(ds - center)
    order = np.argsort(far, axis=0, kind="stable")[:keep]  # sorted by value, so a smaller one comes first
    return np.take_along_axis(ds, order, axis=0).astype(np.float64).mean(axis=0).astype(np.float32)


def middle(ds):
    ds, p = np.sort(ds, axis=0), len(ds)
    return ds[p // 2] if p % 2 else (ds[p // 2 - 1] + ds[p // 2]) * f32(0.5)


def meamed(base, xs, f, alpha=1.0):
    ds = np.stack([x - base for x in xs])
    return base + f32(alpha) * nearest(ds, middle(ds), len(xs) - f)


def phocas(base, xs, f, alpha=1.0):
    """The trimmed mean with its float32 sums, from the smallest on: which values are near it is decided by them."""
    ds = np.sort(np.stack([x - base for x in xs]), axis=0)
    kept = ds[f : len(xs) - f]
    center = kept[0]
    for d in kept[1:]:
        center = center + d
    return base + f32(alpha) * nearest(ds, center / f32(len(kept)), len(xs) - f)


def bulyan_chosen(K, f):
    """theta = p - 2f contributors by Krum, judged anew each time."""
    left, chosen = list(range(len(K))), []
    while len(chosen) < len(K) - 2 * f:
        D = distances(K[np.ix_(left, left)])
        near = max(1, len(left) - f - 2)
        scores = [(sum(sorted(np.delete(D[i], i))[:near]), D[i].sum(), i) for i in range(len(left))]
        chosen.append(left.pop(min(scores)[2]))
    return sorted(chosen)


def bulyan(base, models, f, scope="model", alpha=1.0, **_):
    """base and models: {tensor: float32 array}; the same of the result."""
    deltas = {n: np.stack([m[n] - base[n] for m in models]) for n in base}
    keep, out = len(models) - 4 * f, {}
    whole = bulyan_chosen(gram([[deltas[n][i] for n in base] for i in range(len(models))]), f)
    for n in base:
        chosen = whole if scope == "model" else bulyan_chosen(gram([[d] for d in deltas[n]]), f)
        ds = deltas[n][chosen]
        out[n] = base[n] + f32(alpha) * nearest(ds, middle(ds), keep) if base[n].size else base[n]
    return out


def gram(deltas):
    """deltas: for each input a list of float32 arrays. K = G'G in float64."""
    G = np.stack([np.concatenate([a.reshape(-1) for a in d] or [np.zeros(0, np.float32)]) for d in deltas])
    G = G.astype(np.float64)
    return G @ G.T if G.size else np.zeros((len(G), len(G)))  # some BLAS leave a product over nothing unset


def distances(K):
    """Squared distances of the contributors."""
    d = np.diag(K)
    return np.maximum(d[:, None] + d[None, :] - 2 * K, 0)


def krum_scores(K, f):
    p, D = len(K), distances(K)
    return [sum(sorted(np.delete(D[i], i))[: p - f - 2]) for i in range(p)]


def krum(K, f):
    c = np.zeros(len(K))
    c[int(np.argmin(krum_scores(K, f)))] = 1
    return c


def multi_krum(K, f):
    p = len(K)
    best = np.argsort(krum_scores(K, f), kind="stable")[: p - f - 2]
    c = np.zeros(p)
    c[best] = 1 / len(best)
    return c


def geometric_median(K, rounds=100):
    """Weiszfeld in the space of the coefficients."""
    p = len(K)
    c, nu = np.full(p, 1 / p), max(1e-6 * math.sqrt(np.median(np.diag(K))), 1e-300)
    if not K.any():
        return c
    for _ in range(rounds):
        far = np.sqrt(np.maximum(np.diag(K) - 2 * K @ c + c @ K @ c, 0))
        w = 1 / np.maximum(far, nu)
        new, c = w / w.sum(), c
        moved, c = np.abs(new - c).max(), new
        if moved < 1e-8:
            break
    return c


def flag(K, m=0, lam=0.0, iterations=10, epsilon=1e-7, norm="median"):
    """(coefficients, v of each contributor)."""
    p = len(K)
    m = m or math.ceil((p + 1) / 2)
    nr = np.sqrt(np.diag(K))
    both = np.outer(nr, nr)
    Kh = np.divide(K, both, out=np.zeros_like(K), where=both > 0)  # a contributor that is the base has no direction
    C, factor = [np.eye(p)[:, i] for i in range(p)], [1.0] * p
    if lam > 0:
        D = np.sqrt(distances(Kh))
        for i, j in itertools.permutations(range(p), 2):
            if D[i, j] > 0:
                C.append((np.eye(p)[:, i] - np.eye(p)[:, j]) / D[i, j])
                factor.append(lam / (p * (p - 1)))
    C, factor = np.stack(C, axis=1), np.array(factor)
    own = np.einsum("ik,ij,jk->k", C, Kh, C)
    w, before = np.ones(len(factor)) * factor, None
    for _ in range(iterations):
        A = C * np.sqrt(w)
        S, V = np.linalg.eigh(A.T @ Kh @ A)
        top = [k for k in np.argsort(-S)[:m] if S[k] > 1e-12 * S.max()]
        B = A @ V[:, top] / np.sqrt(S[top])
        v = np.divide(((B.T @ Kh @ C) ** 2).sum(axis=0), own, out=np.ones_like(own), where=own > 0).clip(0, 1)
        w = factor * (1 - v + epsilon) ** -0.5
        goal = float((factor * np.sqrt(1 - v)).sum())
        if before is not None and abs(goal - before) < 1e-10:
            break
        before = goal
    scale = {"median": np.median(nr), "mean": nr.mean(), "one": 1.0}[norm]
    c = scale * (B @ (B.T @ (Kh @ np.ones(p)))) / p
    return np.divide(c, nr, out=np.zeros_like(c), where=nr > 0), v[:p]


def combine(base, xs, c, alpha=1.0):
    """base + alpha * sum c_i d_i; in float64 but for what the definition rounds. One alone is returned as it is."""
    chosen = [i for i in range(len(xs)) if c[i] != 0]
    if len(chosen) == 1 and c[chosen[0]] == 1:
        if alpha == 1:
            return xs[chosen[0]]
        return base + f32(alpha) * (xs[chosen[0]] - base)
    total = np.zeros(base.shape, np.float64)
    for i in chosen:
        total = total + c[i] * (xs[i] - base).astype(np.float64)
    return base + f32(alpha) * total.astype(np.float32)


GRAM = {
    "krum": lambda K, f, **_: krum(K, f),
    "multi_krum": lambda K, f, **_: multi_krum(K, f),
    "geometric_median": lambda K, **_: geometric_median(K),
    "flag": lambda K, m=0, iterations=10, norm="median", **more: flag(
        K, m, more.get("lambda", 0.0), iterations, norm=norm
    )[0],
}


def gram_rule(name, base, models, scope="model", alpha=1.0, **params):
    """base and models: {tensor: float32 array}; the same of the result."""
    deltas = {n: [m[n] - base[n] for m in models] for n in base}
    if scope == "model":
        c = GRAM[name](gram([[deltas[n][i] for n in base] for i in range(len(models))]), **params)
        return {n: combine(base[n], [m[n] for m in models], c, alpha) for n in base}
    out = {}
    for n in base:
        K = gram([[d] for d in deltas[n]])
        c = GRAM[name](K, **params) if K.any() else np.zeros(len(models))
        out[n] = combine(base[n], [m[n] for m in models], c, alpha)
    return out


# ---- comparing -------------------------------------------------------------------------------------


def arrays(model):
    """{name: float32 array} of the computed tensors."""
    return {n: ref.load(t) for n, t in model.items() if t.dtype in ref.COMPUTED}


def ulp(dtype, x):
    """The unit in the last place of a dtype at |x|, float64."""
    bits, least = {"F32": (23, -149), "BF16": (7, -133), "F16": (10, -24), "F64": (52, -1074)}[dtype]
    x = np.abs(np.asarray(x, np.float64))
    with np.errstate(divide="ignore"):
        e = np.floor(np.log2(np.where(x > 0, x, 1.0)))
    return np.exp2(np.maximum(np.where(x > 0, e, -1000) - bits, least))


def disagreement(got, want, terms, m, allowed=0):
    """None, or a sentence. got: a Tensor; want: float32 (or float64) array; terms: sum of the magnitudes of what was
    added. float32 may be off by (m + 6) roundings of that sum, narrower dtypes by one unit in the last place."""
    x = ref.load(got).astype(np.float64)
    want = np.asarray(want, np.float64)
    if x.shape != want.shape:
        return f"shape {x.shape}, wanted {want.shape}"
    slack = (m + 6) * 2.0**-24 * np.asarray(terms, np.float64)
    if got.dtype != "F32":
        slack = slack + ulp(got.dtype, np.maximum(np.abs(x), np.abs(want)))
    bad = np.flatnonzero(~(np.abs(x - want) <= slack).reshape(-1))
    if bad.size <= allowed:
        return None
    i = int(bad[0])
    return (
        f"{bad.size} of {x.size} elements differ, first [{i}]: {x.reshape(-1)[i]!r}, wanted {want.reshape(-1)[i]!r} "
        f"within {np.broadcast_to(slack, x.shape).reshape(-1)[i]:.3g}"
    )


def norm_of(model, base):
    return math.sqrt(sum(dot(model[n] - base[n], model[n] - base[n]) for n in base))
