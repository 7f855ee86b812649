"""Merges that tell tasks apart (lines, emr, tall_masks, consensus) in NumPy, written from their formulas. Nothing here
comes from amend. Models are {tensor: float32 array}."""

import re

import numpy as np

from reference import f32

WORDS = ("layers", "layer", "h", "blocks", "block")


def layer_numbers(names):
    """{name: layer or None} and how many layers there are."""

    def after_word(name):
        parts = name.split(".")
        return next((int(b) for a, b in zip(parts, parts[1:]) if a in WORDS and b.isdigit()), None)

    found = {n: after_word(n) for n in names}
    first = 0
    if not any(v is not None for v in found.values()):
        stems = {n: re.fullmatch(r".*?[^0-9]([0-9]+)", n.split(".")[0]) for n in names}
        found = {n: int(m.group(1)) if m else None for n, m in stems.items()}
        first = min((v for v in found.values() if v is not None), default=0)
    there = [v - first for v in found.values() if v is not None]
    return {n: None if v is None else v - first for n, v in found.items()}, max(there, default=-1) + 1


def lines(base, xs, weights, names, alpha=0.3, beta=0.7):
    """names: of all tensors, also of those that are not computed with."""
    layer, count = layer_numbers(names)
    out = {}
    for n, b in base.items():
        depth = 0 if layer[n] is None else layer[n] / (count - 1) if count > 1 else 1
        total = f32(weights[0]) * (xs[0][n] - b)
        for w, x in zip(weights[1:], xs[1:]):
            total = total + f32(w) * (x[n] - b)
        factor = f32(alpha + beta * depth)
        out[n] = b + (total if factor == 1 else factor * total)
    return out


def summed(ds):
    total = ds[0]
    for d in ds[1:]:
        total = total + d
    return total


def unified(ds):
    """The largest magnitude among those with the sign of the sum."""
    sign = np.sign(summed(ds))
    return sign * np.max([np.where(np.sign(d) == sign, np.abs(d), f32(0)) for d in ds], axis=0)


def emr_lambdas(base, xs, reference_scaling=False):
    size = (lambda a: a.sum() / max(a.size, 1)) if reference_scaling else np.sum
    before, after = np.zeros(len(xs)), np.zeros(len(xs))
    for n, b in base.items():
        ds = [x[n] - b for x in xs]
        uni = unified(ds)
        for t, d in enumerate(ds):
            before[t] += size(np.abs(d).astype(np.float64))
            after[t] += size(np.where(np.sign(d) * np.sign(uni) > 0, np.abs(uni), 0).astype(np.float64))
    return [p / q if p > 0 and q > 0 else 1.0 for p, q in zip(before, after)]


def emr(base, xs, task, reference_scaling=False):
    lam = f32(emr_lambdas(base, xs, reference_scaling)[task - 1])
    out = {}
    for n, b in base.items():
        ds = [x[n] - b for x in xs]
        uni = unified(ds)
        out[n] = b + lam * np.where(np.sign(ds[task - 1]) * np.sign(uni) > 0, uni, f32(0))
    return out


def own(d, total, limit):
    return np.abs(d) > f32(limit) * np.abs(total - d)


def tall_masks(base, xs, task, lambda_mask=0.4):
    """Of one tensor."""
    ds = [x - base for x in xs]
    total = summed(ds)
    return np.where(own(ds[task - 1], total, lambda_mask), base + total, base)


def consensus(base, xs, lambda_mask=0.4, k=2, alpha=0.3):
    ds = [x - base for x in xs]
    total = summed(ds)
    wanted = np.sum([own(d, total, lambda_mask) for d in ds], axis=0)
    return np.where(wanted >= k, base + f32(alpha) * total, base)
