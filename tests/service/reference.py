"""The formulas of the four methods in NumPy, written from their definitions, and files to feed them with.

Nothing here comes from amend. A tensor is a harness.Tensor (dtype name of safetensors, shape, little-endian bytes).
All arithmetic is float32 with one rounding per written operation; weights and lambda are float64 rounded to float32
once when they meet an array; sums over inputs run left to right. Results are rounded once when stored, to nearest
even.
"""

import fnmatch
import json
import math

import numpy as np

from harness import Tensor

NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}
WIDTH = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "U16": 2,
    "U32": 4,
    "U64": 8,
}
COMPUTED = ("F64", "F32", "F16", "BF16")


# ---- numbers -------------------------------------------------------------------------------------


def to_bf16(x):
    """float32 -> bfloat16 as uint16: nearest, ties to even; NaN stays a quiet NaN."""
    bits = np.ascontiguousarray(x, dtype="<f4").view("<u4").astype(np.uint64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded).astype("<u2")


def from_bf16(u):
    return (u.astype("<u4") << 16).view("<f4")


def load(t):
    """The values as float32, exact for all but F64."""
    if t.dtype == "BF16":
        x = from_bf16(np.frombuffer(t.data, "<u2"))
    else:
        x = np.frombuffer(t.data, NUMPY[t.dtype]).astype(np.float32)
    return x.reshape(t.shape)


def store(dtype, x):
    x = np.asarray(x, np.float32)
    if dtype == "BF16":
        data = to_bf16(x).tobytes()
    else:
        with np.errstate(over="ignore"):
            data = x.astype(NUMPY[dtype]).tobytes()
    return Tensor(dtype, x.shape, data)


def f32(x):
    return np.float32(x)


# ---- methods: float32 arrays in, float32 array out -----------------------------------------------


def left_sum(weights):
    """In float64, left to right (sum() compensates in newer Pythons)."""
    total = 0.0
    for w in weights:
        total += w
    return f32(total)


def linear(xs, weights, normalize=True):
    total = f32(weights[0]) * xs[0]
    for w, x in zip(weights[1:], xs[1:]):
        total = total + f32(w) * x
    return total / left_sum(weights) if normalize else total


def task_arithmetic(base, xs, weights, lam=1.0, normalize=False):
    if lam == 0:
        return base
    total = f32(weights[0]) * (xs[0] - base)
    for w, x in zip(weights[1:], xs[1:]):
        total = total + f32(w) * (x - base)
    if normalize:
        total = total / left_sum(weights)
    if lam != 1:
        total = f32(lam) * total
    return base + total


def task_negation(x, tuned, before, lam):
    if lam == 0:
        return x
    return x - f32(lam) * (tuned - before)


def zeros_wanted(sparsity, n):
    return math.floor(sparsity * n * (1 + 4 * 2.0**-52))


def sparsify(arrays, sparsity, scope="tensor", include=("*",), exclude=()):
    """{name: float32 array} -> the same with the smallest magnitudes set to +0; only the selected names are in the
    result."""
    chosen = [
        n
        for n in sorted(arrays, key=lambda s: s.encode())
        if any(fnmatch.fnmatchcase(n, p) for p in include) and not any(fnmatch.fnmatchcase(n, p) for p in exclude)
    ]
    groups = [chosen] if scope == "model" else [[n] for n in chosen]
    out = {}
    for group in groups:
        flat = np.concatenate([arrays[n].reshape(-1) for n in group]) if group else np.zeros(0, np.float32)
        flat = flat.copy()
        order = np.argsort(np.abs(flat), kind="stable")  # among equals the lower index is zeroed first
        flat[order[: zeros_wanted(sparsity, flat.size)]] = 0.0
        at = 0
        for n in group:
            size = arrays[n].size
            out[n] = flat[at : at + size].reshape(arrays[n].shape)
            at += size
    return out


# ---- whole models --------------------------------------------------------------------------------


def apply(method, donor, models, out_dtype=None):
    """Runs `method(arrays)` over every computed tensor of the donor; the rest is the donor's, byte for byte."""
    out = {}
    for name, t in donor.items():
        if t.dtype not in COMPUTED:
            out[name] = t
        else:
            out[name] = store(out_dtype or t.dtype, method([load(m[name]) for m in models]))
    return out


def apply_sparsify(model, **params):
    arrays = {n: load(t) for n, t in model.items() if t.dtype in COMPUTED}
    changed = sparsify(arrays, **params)
    return {n: store(t.dtype, changed[n]) if n in changed else t for n, t in model.items()}


def difference(got, want):
    """None when equal bit for bit, else a sentence about the first tensor that is not."""
    if list(sorted(got)) != list(sorted(want)):
        return f"names differ: only got {sorted(set(got) - set(want))}, only wanted {sorted(set(want) - set(got))}"
    for name in want:
        g, w = got[name], want[name]
        if (g.dtype, g.shape) != (w.dtype, w.shape):
            return f"{name!r}: {g.dtype}{list(g.shape)}, wanted {w.dtype}{list(w.shape)}"
        if g.data != w.data:
            width = WIDTH[g.dtype]
            a, b = (np.frombuffer(t.data, f"<u{width}") for t in (g, w))
            bad = np.flatnonzero(a != b)
            i = int(bad[0])
            x, y = (load(t).reshape(-1)[i] if t.dtype in COMPUTED else None for t in (g, w))
            return (
                f"{name!r} {g.dtype}{list(g.shape)}: {bad.size} of {a.size} elements differ, first [{i}]: "
                f"{x!r} ({a[i]:#x}), wanted {y!r} ({b[i]:#x})"
            )
    return None


# ---- files ---------------------------------------------------------------------------------------


def pack(tensors, metadata=None, pad=True):
    """{name: Tensor} as the bytes of a safetensors file, in the order given."""
    header, at = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, t in tensors.items():
        header[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, at + len(t.data)]}
        at += len(t.data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if pad:
        text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(t.data for t in tensors.values())


def write(folder, tensors, shards=1, config=None, files=None):
    """A Hugging Face directory with these tensors, in `shards` files dealt round-robin."""
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        (folder / "model.safetensors").write_bytes(pack(tensors, {"format": "pt"}))
    else:
        where, total = {}, sum(len(t.data) for t in tensors.values())
        for i in range(shards):
            name = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
            part = dict(list(tensors.items())[i::shards])
            where.update({n: name for n in part})
            (folder / name).write_bytes(pack(part, {"format": "pt"}))
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": total}, "weight_map": where})
        )
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "test", "torch_dtype": "float32"}))
    for path, data in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def tensor(dtype, values):
    """From numbers."""
    if dtype in COMPUTED:
        return store(dtype, np.asarray(values, np.float32))
    a = np.asarray(values).astype(NUMPY[dtype])
    return Tensor(dtype, a.shape, a.tobytes())


WORDS = [
    "attn",
    "mlp",
    "norm",
    "embed",
    "head",
    "q_proj",
    "größe",
    "λ",
    "block.0",
    "a b",
    'say "hi"',
    "back\\slash",
    "x/y",
    "日本",
]


def random_shape(rng):
    return tuple(int(n) for n in rng.integers(1, 9, size=int(rng.integers(1, 4))))


def layout(rng, dtypes, count=6, big=False):
    """Random names and shapes: {name: (dtype, shape)}, always with an empty and a 0-d tensor and three that are not
    computed."""
    found = {}
    while len(found) < count:
        name = ".".join(rng.choice(WORDS, size=2)) + f".{rng.integers(1000)}.weight"
        found[str(name)] = (str(rng.choice(dtypes)), random_shape(rng))
    found["empty.weight"] = (str(rng.choice(dtypes)), (0, 3))
    found["scalar.weight"] = (str(rng.choice(dtypes)), ())
    if big:  # more than one window of 262,144 elements, and not a multiple of it
        found["big.weight"] = (str(rng.choice(dtypes)), (37, 14200))
    found["steps"] = ("I64", ())
    found["mask"] = ("BOOL", (5,))
    found["ids"] = ("U8", (3, 4))
    return found


def fill(rng, shapes, fixed=None, dtypes=None, scale=1.0):
    """Random tensors for a layout. Tensors that are not computed come from `fixed` (equal in all inputs); dtypes:
    others to draw
    from for the computed ones, so that inputs are mixed."""
    out = {}
    for name, (dtype, shape) in shapes.items():
        if dtype not in COMPUTED:
            if fixed is not None:
                out[name] = fixed[name]
            else:
                raw = rng.integers(0, 2 if dtype == "BOOL" else 100, size=shape)
                out[name] = tensor(dtype, raw)
            continue
        kind = str(rng.choice(dtypes)) if dtypes else dtype
        values = rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)
        out[name] = store(kind, values * np.exp2(rng.integers(-6, 3, size=shape)).astype(np.float32))
    return out


# ---- the network of the MNIST task vectors -------------------------------------------------------


def mlp_logits(weights, images):
    h = images
    for layer in ("fc1", "fc2"):
        h = np.maximum(h @ load(weights[layer + ".weight"]).T + load(weights[layer + ".bias"]), np.float32(0))
    return h @ load(weights["fc3.weight"]).T + load(weights["fc3.bias"])


def accuracy(weights, images, labels):
    return float(np.mean(np.argmax(mlp_logits(weights, images), axis=1) == labels))
