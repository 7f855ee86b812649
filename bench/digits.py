"""An MLP (784-256-128-10, ReLU) in NumPy and eight tasks made from MNIST: a base trained on the plain digits, and one
fine-tune of it for each task. The last layer is trained with the base and then frozen, as the class heads are in
the papers on merging: all tasks share it, and no fine-tune may answer in a language of its own.

Everything is drawn from fixed seeds; the models are kept as safetensors.
"""

import gzip
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

SIZES = (784, 256, 128, 10)
BATCH = 128
FROZEN = ("fc3.weight", "fc3.bias")


def idx(path):
    raw = gzip.decompress(Path(path).read_bytes())
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def folder_data(data, name, part):
    at = Path(data) / name
    images, labels = (idx(at / f"{part}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    return images.astype(np.float32) / np.float32(255), labels


def shuffled_halves(x):
    """The pixels of the upper half in one fixed order of their own, the lower half as it was."""
    flat, out = x.reshape(len(x), -1), x.reshape(len(x), -1).copy()
    order = np.random.default_rng(7).permutation(392)
    out[:, :392] = flat[:, order]
    return out.reshape(x.shape)


def flipped_corner(x):
    out = x.copy()
    out[:, :14, :14] = 1 - out[:, :14, :14]
    return out


TASKS = {
    "rot90": lambda x: np.rot90(x, 1, (1, 2)),
    "mirrored": lambda x: x[:, :, ::-1],
    "inverted": lambda x: 1 - x,
    "halves": shuffled_halves,
    "rot180": lambda x: np.rot90(x, 2, (1, 2)),
    "shifted": lambda x: np.roll(x, 14, 2),
    "corner": flipped_corner,
    "fashion": lambda x: x,  # the ten classes of Fashion-MNIST
}


def load(data, part, name, most=None):
    """(inputs [n, 784], labels) of a task, or of "mnist" for the base; `most` images from the front."""
    images, labels = folder_data(data, "fashion-mnist" if name == "fashion" else "mnist", part)
    changed = np.ascontiguousarray(TASKS.get(name, lambda x: x)(images[:most]))
    return changed.reshape(len(changed), -1), labels[:most]


def fresh(seed):
    rng, model = np.random.default_rng(seed), {}
    for i, (n_in, n_out) in enumerate(zip(SIZES, SIZES[1:]), 1):
        bound = 1 / np.sqrt(n_in)
        model[f"fc{i}.weight"] = rng.uniform(-bound, bound, (n_out, n_in)).astype(np.float32)
        model[f"fc{i}.bias"] = rng.uniform(-bound, bound, n_out).astype(np.float32)
    return model


def forward(model, x):
    """[input, hidden, hidden, logits]"""
    layers = [x]
    for i in (1, 2, 3):
        z = layers[-1] @ model[f"fc{i}.weight"].T + model[f"fc{i}.bias"]
        layers.append(np.maximum(z, 0) if i < 3 else z)
    return layers


def accuracy(model, x, labels):
    return float((forward(model, x)[3].argmax(1) == labels).mean())


def gradient(model, x, labels):
    """Of the mean cross-entropy."""
    layers = forward(model, x)
    p = np.exp(layers[3] - layers[3].max(1, keepdims=True))
    d = p / p.sum(1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    d /= np.float32(len(labels))
    found = {}
    for i in (3, 2, 1):
        found[f"fc{i}.weight"], found[f"fc{i}.bias"] = d.T @ layers[i - 1], d.sum(0)
        if i > 1:
            d = (d @ model[f"fc{i}.weight"]) * (layers[i - 1] > 0)
    return found


def train(model, x, labels, rate, epochs, seed, frozen=()):
    """Adam; a new model."""
    model, rng, step = {k: v.copy() for k, v in model.items()}, np.random.default_rng(seed), 0
    first, second = ({k: np.zeros_like(v) for k, v in model.items()} for _ in range(2))
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for at in range(0, len(order), BATCH):
            pick, step = order[at : at + BATCH], step + 1
            for k, g in gradient(model, x[pick], labels[pick]).items():
                if k in frozen:
                    continue
                first[k] += np.float32(0.1) * (g - first[k])
                second[k] += np.float32(0.001) * (g * g - second[k])
                m, v = first[k] / np.float32(1 - 0.9**step), second[k] / np.float32(1 - 0.999**step)
                model[k] -= np.float32(rate) * m / (np.sqrt(v) + np.float32(1e-8))
    return model


def models(folder, data, seed=0):
    """{"base" and each task: model}; trained when the folder lacks them. The folder of each holds model.safetensors.
    The seed is that of the first weights and of the order of the images; the tasks stay the same."""
    found, first = {}, 100 * seed

    def have(name, make):
        at = Path(folder) / name / "model.safetensors"
        if not at.exists():
            at.parent.mkdir(parents=True, exist_ok=True)
            (at.parent / "config.json").write_text('{"model_type": "mlp"}\n')
            save_file(make(*load(data, "train", "mnist" if name == "base" else name)), at)
        found[name] = load_file(at)

    have("base", lambda x, y: train(fresh(1 + first), x, y, 1e-3, 2, 2 + first))
    for number, name in enumerate(TASKS):
        have(name, lambda x, y, n=number: train(found["base"], x, y, 3e-4, 1, 10 + first + n, FROZEN))
    return found
