"""Lines of real networks for the tests, computed with NumPy alone: the digit models of examples/digits, and the ResNets of
AMEND_DATA/cifar10-resnets on CIFAR-10. A line is a list of sample rows a version, in the format of POST /v1/predictions.
"""

import gzip
import importlib.util
import json
import os
import struct
from pathlib import Path

import numpy as np

from harness import REPO

DATA = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data"))
DIGITS = REPO / "examples" / "digits"


def load_tensors(raw):
    """The F32 tensors of a safetensors file, read by hand."""
    (size,) = struct.unpack_from("<Q", raw)
    head = json.loads(raw[8 : 8 + size])
    head.pop("__metadata__", None)
    span = lambda t: raw[8 + size + t["data_offsets"][0] : 8 + size + t["data_offsets"][1]]
    return {k: np.frombuffer(span(t), "<f4").reshape(t["shape"]) for k, t in head.items() if t["dtype"] == "F32"}


# ---- digits ----


def digits_script():
    spec = importlib.util.spec_from_file_location("train_digits", REPO / "tools" / "train-digits.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Digits:
    """The 500 test images in four forms: plain, rot90, inverted, shifted."""

    def __init__(self):
        self.script = digits_script()
        self.images, self.labels = self.script.load()
        self.tasks = list(self.script.TASKS)

    def rows(self, model, tasks=None):
        """What a model ({name: array}) says about every image of the tasks; an id names image and task."""
        out = []
        for task in tasks or self.tasks:
            x, y = self.script.task_data(self.images, self.labels, task, "test")
            logits = self.script.forward(model, x)[-1].astype(np.float64)
            said = logits.argmax(axis=1)
            for i, (label, answer) in enumerate(zip(y, said)):
                out.append({"id": f"{task}-{i:03d}", "y": int(label), "p": int(answer), "g": {"task": task}})
        return out


# ---- residual networks of CIFAR-10 (akamaster/pytorch_resnet_cifar10, shortcuts without parameters) ----


def _conv(x, w, stride):
    """3 x 3 with a border of zeros; x is [n, h, w, in], w [out, in, 3, 3]."""
    n, h, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    views = [padded[:, dy : dy + h : stride, dx : dx + width : stride] for dy in range(3) for dx in range(3)]
    columns = np.concatenate(views, axis=3)
    return columns @ w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0])


def _norm(x, t, name):
    scale = t[name + ".weight"] / np.sqrt(t[name + ".running_var"] + np.float32(1e-5))
    return x * scale + (t[name + ".bias"] - t[name + ".running_mean"] * scale)


def resnet(t, images):
    """Logits of images [n, 32, 32, 3] that are normalised already."""
    relu = lambda a: np.maximum(a, 0)
    x = relu(_norm(_conv(images, t["conv1.weight"], 1), t, "bn1"))
    for layer in (1, 2, 3):
        block = 0
        while f"layer{layer}.{block}.conv1.weight" in t:
            at = f"layer{layer}.{block}."
            stride = 2 if layer > 1 and block == 0 else 1
            out = relu(_norm(_conv(x, t[at + "conv1.weight"], stride), t, at + "bn1"))
            out = _norm(_conv(out, t[at + "conv2.weight"], 1), t, at + "bn2")
            if stride == 2:
                more = (out.shape[3] - x.shape[3]) // 2
                x = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (more, more)))
            x = relu(out + x)
            block += 1
    return x.mean(axis=(1, 2)) @ t["linear.weight"].T + t["linear.bias"]


def cifar10(n=10000):
    """(images normalised as the networks were trained, labels), in the official order of the test set."""
    raw = np.frombuffer(gzip.open(DATA / "cifar10" / "test_batch.bin.gz").read(n * 3073), np.uint8).reshape(-1, 3073)
    x = raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32) / 255
    return (x - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225]), raw[:, 0].astype(int)


def resnet_logits(name, images, batch=5):
    t = load_tensors((DATA / "cifar10-resnets" / f"{name}.safetensors").read_bytes())
    return np.concatenate([resnet(t, images[i : i + batch]) for i in range(0, len(images), batch)])
