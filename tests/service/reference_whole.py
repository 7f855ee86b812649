"""The formulas of the methods over singular values (merge.md A31 to A33) in NumPy, float64, from their definitions.

Differences of float32 arrays are taken in float64. Tensors that are no matrices: the mean of the differences (knots:
ties). Nothing here comes from amend.
"""

import fnmatch

import numpy as np

from reference_merge import count

EXCLUDED = ("*embed*", "*wte*", "*wpe*")


def svd(a):
    return np.linalg.svd(a, full_matrices=False)


def polar(a):
    u, _, vt = svd(a)
    return u @ vt


def tsv_m(ds):
    kappa = max(1, min(ds[0].shape) // len(ds))
    us, ss, vs = [], [], []
    for d in ds:
        u, s, vt = svd(d)
        n = min(kappa, int((s > 1e-6 * s[0]).sum()))
        us, ss, vs = [*us, u[:, :n]], [*ss, s[:n]], [*vs, vt[:n]]
    u, s, vt = np.hstack(us), np.concatenate(ss), np.vstack(vs)
    return polar(u) * s @ polar(vt) if s.size else np.zeros_like(ds[0])


def kept(s, tolerance):
    return (s > tolerance * s[0]) | (tolerance == 0)


def iso_c(ds, rank_tolerance=1e-6):
    u, s, vt = svd(sum(ds))
    keep = kept(s, rank_tolerance)
    return s[keep].mean() * u[:, keep] @ vt[keep] if s[0] else np.zeros_like(ds[0])


def iso_cts(ds, common_fraction=0.8, rank_tolerance=1e-6):
    u, s, vt = svd(sum(ds))
    if not s[0]:
        return np.zeros_like(ds[0])
    r = int(kept(s, rank_tolerance).sum())
    own = round((r - count(common_fraction, r)) / len(ds)) if common_fraction else round(r / len(ds))
    while own * len(ds) > r:
        own -= 1
    c = r - own * len(ds)
    common = u[:, :c]
    us, ss, vs = [common], [s[:c]], [vt[:c]]
    for d in ds:
        ut, st, vtt = svd(d - common @ (common.T @ d))
        n = min(own, int((st > rank_tolerance * s[0]).sum()))
        us, ss, vs = [*us, ut[:, :n]], [*ss, st[:n]], [*vs, vtt[:n]]
    return np.concatenate(ss).mean() * polar(np.hstack(us)) @ polar(np.vstack(vs))


def largest(x, density):
    """Of equal magnitudes the first stay."""
    k = min(max(count(density, x.size), 1), x.size) if density > 0 else 0
    order = np.argsort(-np.abs(x).ravel(), kind="stable")[:k]
    y = np.zeros(x.size)
    y[order] = x.ravel()[order]
    return y.reshape(x.shape)


def ties(xs, density):
    y = np.array([largest(x, density) for x in xs])
    agrees = np.where(y.sum(0) >= 0, y > 0, y < 0)
    return (y * agrees).sum(0) / np.maximum(agrees.sum(0), 1)


def knots(ds, density=0.2):
    u, s, vt = svd(np.hstack(ds))
    keep = s > 1e-5
    svt = s[keep, None] * vt[keep]
    svt[np.abs(svt) <= 1e-12 * s[0]] = 0  # rounding errors where a model did not change: they must not vote
    blocks = np.split(svt, len(ds), axis=1)
    return u[:, keep] @ ties(blocks, density) if keep.any() else np.zeros_like(ds[0])


def mean(ds):
    return sum(ds) / len(ds)


RULES = {"tsv_m": tsv_m, "iso_c": iso_c, "iso_cts": iso_cts, "knots": knots}
ALPHA = {"knots": 0.6}


def merge(name, base, models, alpha=None, conv=None, include=("*",), exclude=EXCLUDED, **more):
    """Models as {name: array}; what the method gives, as float64 arrays."""
    alpha = ALPHA.get(name, 1.0) if alpha is None else alpha
    conv = conv or ("flatten" if name == "tsv_m" else "none")
    out = {}
    for n, b in base.items():
        b = np.asarray(b, np.float64)
        ds = [np.asarray(m[n], np.float64) - b for m in models]
        named = any(fnmatch.fnmatchcase(n, p) for p in include) and not any(fnmatch.fnmatchcase(n, p) for p in exclude)
        if b.size == 0:
            out[n] = b
        elif named and (b.ndim == 2 or (b.ndim > 2 and conv == "flatten")):
            flat = [d.reshape(b.shape[0], -1) for d in ds]
            out[n] = b + alpha * RULES[name](flat, **more).reshape(b.shape)
        else:
            out[n] = b + alpha * (ties(ds, more.get("density", 0.2)) if name == "knots" else mean(ds))
    return out
