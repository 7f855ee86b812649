"""Masks by chance and what is done with them (dare, della) in NumPy, written from the formulas: the generator from the
paper of its authors (Salmon et al., SC 2011), keys and layout from the specification. Nothing here comes from amend."""

import hashlib

import numpy as np

import reference_merge as rm
from reference import f32


def philox(counter, key):
    """Philox4x32-10. counter: four uint32 arrays; key: two numbers. Four uint32 arrays."""
    c = [np.asarray(x, np.uint64) for x in counter]
    k0, k1 = key
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (q >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            q & low,
            (p >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [x.astype(np.uint32) for x in c]


def key_of(seed, ordinal, tensor, purpose="mask"):
    digest = hashlib.sha256(f"amend:{purpose}:1\n{seed}\n{ordinal}\n{tensor}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def words(n, key):
    """The words of elements 0 .. n - 1: sixteen counters side by side give 64 elements."""
    groups = -(-n // 64)
    counter = np.arange(groups * 16, dtype=np.uint64)
    zero = np.zeros_like(counter)
    four = philox((counter & np.uint64(0xFFFFFFFF), counter >> np.uint64(32), zero, zero), key)
    return np.stack([w.reshape(groups, 16) for w in four], axis=1).reshape(-1)[:n]


def below(n, key, p):
    return words(n, key) < np.floor(p * 2.0**32 + 0.5)


def rescaled(d, y, rescale, density):
    """y is what is left of d."""
    if rescale == "none":
        return y
    if rescale == "inverse_density":
        return y / f32(density)
    wide = [np.abs(a.astype(np.float64)) for a in (d, y)]
    size = {"l1": np.sum, "l2": lambda a: np.sqrt(np.sum(a * a)), "linf": lambda a: np.max(a, initial=0)}[rescale]
    before, after = (float(size(a)) for a in wide)
    return y * f32(before / after) if min(before, after) >= 1e-7 else y


def dare_one(d, name, ordinal, density, rescale="l1", seed=0):
    if density >= 1:
        return d
    if density <= 0:
        return np.zeros_like(d)
    mask = below(d.size, key_of(seed, ordinal, name), density).reshape(d.shape)
    return rescaled(d, np.where(mask, d, f32(0)), rescale, density)


def dare(name, base, xs, weights, density=1.0, rescale="l1", seed=0, **frame):
    thin = [
        lambda d, i=i, p=p: dare_one(d, name, i, p, rescale, seed) for i, p in enumerate(rm.each(density, len(xs)))
    ]
    return rm.frame(base, xs, weights, thin=thin, **frame)


def ranks(d):
    """1 for the smallest of each vector along axis 1 (of a tensor of fewer axes: all of it); of equal magnitudes the
    lowest index is the largest."""
    rows = d.reshape(1, -1) if d.ndim < 2 else d
    mag = np.flip(np.abs(rows), axis=1)  # a stable sort of the mirrored row: the last index comes first
    order = np.argsort(mag, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, rows.shape[1] + 1).reshape([1, -1] + [1] * (rows.ndim - 2)), axis=1)
    return np.flip(rank, axis=1).reshape(d.shape)


def stays(d, word, low, rise):
    """One vector: a word below low says stay, one from low + rise on go; one between names another entry, and the larger
    of the two, of equals the one before, is who stays. So the smallest stays with low and the largest with low + rise.
    """
    n, at, size = d.size, np.arange(d.size), np.abs(d)
    sure, end = (int(np.floor(p * 2.0**32 + 0.5)) for p in (low, low + rise))
    word = word.astype(np.uint64)
    if n < 2 or end <= sure:
        return word < sure
    asks, shift = (word >= sure) & (word < end), 0
    while ((n - 1) << shift + 1) // (end - sure) < 2**32:
        shift += 1
    step = ((n - 1) << shift) // (end - sure)
    other = (np.where(asks, word - np.uint64(sure), np.uint64(0)) * np.uint64(step) >> np.uint64(shift)).astype(np.int64)
    other += other >= at
    return (word < sure) | asks & ((size > size[other]) | (size == size[other]) & (at < other))


def della_mask(d, word, density, epsilon):
    """Vectors along axis 1; of a tensor of fewer axes: all of it."""
    rows = d.reshape(1, -1) if d.ndim < 2 else d
    if d.size == 0:
        return np.zeros(d.shape, bool)
    apart = np.moveaxis(rows, 1, -1)
    words = np.moveaxis(word.reshape(rows.shape), 1, -1)
    low, rise = (density - epsilon, 2 * epsilon) if rows.shape[1] > 1 else (density, 0)
    flat = zip(apart.reshape(-1, rows.shape[1]), words.reshape(-1, rows.shape[1]))
    mask = np.array([stays(v, w, low, rise) for v, w in flat], bool).reshape(apart.shape)
    return np.moveaxis(mask, -1, 1).reshape(d.shape)


def della_one(d, name, ordinal, density, epsilon=0.15, rescale="l1", seed=0):
    if density >= 1:
        return d
    if density <= 0:
        return np.zeros_like(d)
    mask = della_mask(d, words(d.size, key_of(seed, ordinal, name)), density, epsilon)
    return rescaled(d, np.where(mask, d, f32(0)), rescale, density)


def della(name, base, xs, weights, density=1.0, epsilon=0.15, rescale="l1", seed=0, **frame):
    pairs = zip(rm.each(density, len(xs)), rm.each(epsilon, len(xs)))
    thin = [lambda d, i=i, p=p, e=e: della_one(d, name, i, p, e, rescale, seed) for i, (p, e) in enumerate(pairs)]
    return rm.frame(base, xs, weights, thin=thin, **frame)
