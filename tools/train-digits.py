#!/usr/bin/env python3
"""train-digits.py - makes the four example models of examples/digits and measures what merging them does.

    tools/train-digits.py --train    trains base, rot90, inverted and shifted; writes their folders (about 20 s)
    tools/train-digits.py --table    prints the table of examples/digits/README.md from the files that are there
    tools/train-digits.py --check    trains again in memory and compares with the files and with the README
    tools/train-digits.py --score FILE.safetensors [FILE...]    how well any such model reads the four tasks

Needs NumPy and nothing else: the safetensors format is written and read by hand, so that this script is also a witness
of the format that does not share code with amend. Same bytes on every machine: the random numbers come from RandomState
(whose stream NumPy has frozen), products are summed term by term in a fixed order (BLAS sums in an order that depends on
the processor), and exp is taken in float64 and rounded.
"""

import argparse
import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "digits"
LAYERS = (64, 64, 32, 10)
TRAIN_ROWS = 1297  # rows 0..1296 train, 1297..1796 (500 images) test, in file order
SEED = 1
BATCH = 32
BASE_EPOCHS, BASE_RATE, BASE_DECAY = 60, 0.05, 1e-4
TUNE_EPOCHS, TUNE_RATE = 10, 0.02
MOMENTUM = 0.9
F32 = np.float32


def shifted(images):
    """Two columns to the right; the two columns that come in are background."""
    out = np.full_like(images, -1)
    out[:, :, 2:] = images[:, :, :-2]
    return out


# Images are 8 x 8 with pixels in -1 (background) .. 1 (ink).
TASKS = {
    "plain": ("the digits as they are", lambda images: images),
    "rot90": ("turned by 90 degrees, counter-clockwise", lambda images: np.rot90(images, 1, (1, 2))),
    "inverted": ("ink and background exchanged", lambda images: -images),
    "shifted": ("moved two columns to the right", shifted),
}
TUNES = ("rot90", "inverted", "shifted")
MODELS = ("base",) + TUNES


# --- data


def load():
    with gzip.open(FOLDER / "digits.csv.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=F32)
    if rows.shape != (1797, 65):
        sys.exit(f"digits.csv.gz: {rows.shape} instead of 1797 rows of 64 pixels and a label; take the file anew")
    return rows[:, :64].reshape(-1, 8, 8) * F32(0.125) - F32(1), rows[:, 64].astype(int)


def task_data(images, labels, task, part):
    """part "train" or "test": (n x 64 inputs, n labels)."""
    rows = slice(0, TRAIN_ROWS) if part == "train" else slice(TRAIN_ROWS, None)
    return np.ascontiguousarray(TASKS[task][1](images[rows]).reshape(-1, 64), F32), labels[rows]


# --- the network


def product(a, b):
    """a @ b in float32, summed over k = 0, 1, 2, ... in this order on every machine."""
    out = a[:, :1] * b[:1]
    for k in range(1, a.shape[1]):
        out += a[:, k : k + 1] * b[k]
    return out


def names():
    return [f"fc{layer}.{kind}" for layer in range(1, len(LAYERS)) for kind in ("weight", "bias")]


def init(random):
    """He's uniform start; biases 0. Weights are [out, in], as in PyTorch."""
    model = {}
    for layer, (n_in, n_out) in enumerate(zip(LAYERS, LAYERS[1:]), 1):
        bound = np.sqrt(6 / n_in)
        model[f"fc{layer}.weight"] = random.uniform(-bound, bound, (n_out, n_in)).astype(F32)
        model[f"fc{layer}.bias"] = np.zeros(n_out, F32)
    return model


def forward(model, x):
    """The activations of every layer; the last are the logits."""
    out = [x]
    for layer in range(1, len(LAYERS)):
        z = product(out[-1], model[f"fc{layer}.weight"].T) + model[f"fc{layer}.bias"]
        out.append(z if layer == len(LAYERS) - 1 else np.maximum(z, F32(0)))
    return out


def gradient(model, x, y):
    """Of the mean cross-entropy."""
    out = forward(model, x)
    shifted_logits = (out[-1] - out[-1].max(axis=1, keepdims=True)).astype(np.float64)
    delta = np.exp(shifted_logits)
    delta /= delta.sum(axis=1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    delta = (delta / len(y)).astype(F32)
    grad = {}
    for layer in range(len(LAYERS) - 1, 0, -1):
        grad[f"fc{layer}.weight"] = product(delta.T, out[layer - 1])
        grad[f"fc{layer}.bias"] = delta.sum(axis=0)
        if layer > 1:
            delta = product(delta, model[f"fc{layer}.weight"]) * (out[layer - 1] > 0)
    return grad


def descend(model, x, y, epochs, rate, decay, random):
    """Stochastic gradient descent with momentum, from a copy of the model."""
    model = {name: tensor.copy() for name, tensor in model.items()}
    speed = {name: np.zeros_like(tensor) for name, tensor in model.items()}
    for _ in range(epochs):
        order = random.permutation(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            grad = gradient(model, x[rows], y[rows])
            for name in model:
                speed[name] = F32(MOMENTUM) * speed[name] + grad[name] + F32(decay) * model[name]
                model[name] = model[name] - F32(rate) * speed[name]
    return model


def train(images, labels):
    """The base learns the plain digits. A fine-tune starts from it and learns its task beside the plain digits."""
    random = np.random.RandomState(SEED)
    x, y = task_data(images, labels, "plain", "train")
    models = {"base": descend(init(random), x, y, BASE_EPOCHS, BASE_RATE, BASE_DECAY, random)}
    for task in TUNES:
        more_x, more_y = task_data(images, labels, task, "train")
        both = np.concatenate([more_x, x]), np.concatenate([more_y, y])
        models[task] = descend(models["base"], *both, TUNE_EPOCHS, TUNE_RATE, 0, random)
    return models


def accuracies(model, images, labels):
    """Percent of the 500 test images, task by task."""
    out = {}
    for task in TASKS:
        x, y = task_data(images, labels, task, "test")
        out[task] = 100 * float(np.mean(forward(model, x)[-1].argmax(axis=1) == y))
    return out


# --- files


def safetensors_bytes(model):
    """Length of the header (8 bytes), JSON header with spaces to a multiple of 8, the tensors in the order of names."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(model):
        raw = model[name].astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(model[name].shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(path):
    """The six tensors in float32, whatever else the file holds."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    out = {}
    for name in names():
        if header.get(name, {}).get("dtype") != "F32":
            sys.exit(f"{path}: no tensor {name} of dtype F32; this is not one of the digit models")
        begin, end = header[name]["data_offsets"]
        out[name] = np.frombuffer(raw[8 + length + begin : 8 + length + end], "<f4").reshape(header[name]["shape"])
    return out


def config_text():
    return (
        json.dumps(
            {
                "architectures": ["DigitsMLP"],
                "model_type": "digits-mlp",
                "input_size": LAYERS[0],
                "hidden_sizes": list(LAYERS[1:-1]),
                "num_labels": LAYERS[-1],
                "hidden_act": "relu",
                "image_size": 8,
                "input_scale": 0.125,
                "input_offset": -1.0,
                "torch_dtype": "float32",
            },
            indent=2,
        )
        + "\n"
    )


def card_text(name, scores):
    """The model card. The front matter is what the Hub reads."""
    tune = name != "base"
    front = ["license: apache-2.0", "tags:", "- image-classification", "- digits"]
    front += ["base_model: digits/base", "base_model_relation: finetune"] if tune else []
    if tune:
        made = (
            f"Fine-tuned from `digits/base` on {TRAIN_ROWS} images of the task *{name}* ({TASKS[name][0]})\n"
            f"and the same images untransformed: {TUNE_EPOCHS} epochs, SGD, batch {BATCH}, learning rate {TUNE_RATE},\n"
            f"momentum {MOMENTUM}."
        )
    else:
        made = (
            f"Trained from scratch on {TRAIN_ROWS} images: {BASE_EPOCHS} epochs, SGD, batch {BATCH}, learning rate\n"
            f"{BASE_RATE}, momentum {MOMENTUM}, weight decay {BASE_DECAY}."
        )
    rows = "\n".join(f"| {task} | {TASKS[task][0]} | {scores[task]:.1f} % |" for task in TASKS)
    front = "\n".join(front)
    return f"""---
{front}
---

# digits/{name}

An example model of amend: a network of {LAYERS[0]} inputs, two hidden layers of {LAYERS[1]} and {LAYERS[2]} units (ReLU) and
{LAYERS[-1]} outputs that reads 8 x 8 images of handwritten digits. Input = pixel (0 to 16) x 0.125 - 1, row by row.

{made}

| task | images | accuracy |
|---|---|---|
{rows}

Accuracy on the last 500 images of the data file, none of which was trained on; with 500 images an accuracy of 90 % is
known to about 3 points. Made by `tools/train-digits.py`; data and its licence: `../DATA.md`. It is an example, not a
model to use.
"""


def files_of(models, images, labels):
    out = {}
    for name, model in models.items():
        out[f"{name}/model.safetensors"] = safetensors_bytes(model)
        out[f"{name}/config.json"] = config_text().encode()
        out[f"{name}/README.md"] = card_text(name, accuracies(model, images, labels)).encode()
    return out


# --- the table


def task_sum(models, weights):
    """base + sum of weight x (fine-tune - base)."""
    base = models["base"]
    out = {name: base[name].copy() for name in base}
    for task, weight in weights.items():
        for name in out:
            out[name] += F32(weight) * (models[task][name] - base[name])
    return out


def sparsified(model, sparsity):
    """The `sparsity` share of smallest magnitudes of each weight matrix becomes 0."""
    out = dict(model)
    for name in out:
        if name.endswith(".weight"):
            flat = out[name].flatten()
            flat[np.argsort(np.abs(flat), kind="stable")[: int(sparsity * flat.size)]] = 0
            out[name] = flat.reshape(out[name].shape)
    return out


def score_rows(lines, images, labels):
    """A Markdown table; lines: (label, model)."""
    text = ["| model | " + " | ".join(TASKS) + " | mean |", "|---|" + "---:|" * (len(TASKS) + 1)]
    for label, model in lines:
        scores = accuracies(model, images, labels)
        cells = [f"{scores[task]:.1f}" for task in TASKS] + [f"{sum(scores.values()) / len(scores):.1f}"]
        text.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(text) + "\n"


def table(models, images, labels):
    even = task_sum(models, dict.fromkeys(TUNES, 0.5))
    lines = [(f"`{name}`", models[name]) for name in MODELS]
    mean = {name: sum(models[m][name] for m in MODELS) / F32(len(MODELS)) for name in names()}
    lines.append(("mean of the four", mean))
    for weight in (0.3, 0.5, 1.0):
        lines.append((f"task arithmetic, weight {weight}", task_sum(models, dict.fromkeys(TUNES, weight))))
    for task in TUNES:
        less = {name: even[name] - F32(0.5) * (models[task][name] - models["base"][name]) for name in even}
        lines.append((f"weight 0.5, then minus 0.5 x `{task}`", less))
        if task == "rot90":
            lines.append(("... then half of the weights set to 0", sparsified(less, 0.5)))
    return score_rows(lines, images, labels)


def check(images, labels):
    made = files_of(train(images, labels), images, labels)
    wrong = [path for path, raw in made.items() if (FOLDER / path).read_bytes() != raw]
    committed = {name: read_safetensors(FOLDER / name / "model.safetensors") for name in MODELS}
    if table(committed, images, labels) not in (FOLDER / "README.md").read_text():
        wrong.append("README.md (its table is not what --table prints)")
    for path in wrong:
        print(f"examples/digits/{path} differs from what this script makes", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print(f"{len(made)} files and the table are what this script makes")


def main():
    parser = argparse.ArgumentParser(description="The example models of examples/digits.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--train", action="store_true", help="train and write the four folders")
    mode.add_argument("--table", action="store_true", help="print the table of README.md from the files")
    mode.add_argument("--check", action="store_true", help="train again and compare with the files")
    mode.add_argument("--score", nargs="+", metavar="FILE", help="accuracy of any DigitsMLP file on the four tasks")
    args = parser.parse_args()
    images, labels = load()
    if args.check:
        check(images, labels)
    elif args.train:
        for path, raw in files_of(train(images, labels), images, labels).items():
            (FOLDER / path).parent.mkdir(exist_ok=True)
            (FOLDER / path).write_bytes(raw)
            print(f"{len(raw):7d}  examples/digits/{path}")
    elif args.score:
        print(score_rows([(path, read_safetensors(Path(path))) for path in args.score], images, labels), end="")
    else:
        models = {name: read_safetensors(FOLDER / name / "model.safetensors") for name in MODELS}
        print(table(models, images, labels), end="")


if __name__ == "__main__":
    main()
