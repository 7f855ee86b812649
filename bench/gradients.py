"""Fifteen contributors' gradients of an MLP (784-32-10, ReLU) on MNIST, and what attackers send instead, in NumPy. A
model or a gradient is one flat float32 vector; a step's gradients are [contributors, elements], the attackers' first.
"""

import numpy as np

import digits

SIZES = (784, 32, 10)
WORKERS, BATCH, STEPS, RATE, MOMENTUM = 15, 16, 200, 0.05, 0.9
SHAPES = {
    "fc1.weight": (SIZES[1], SIZES[0]),
    "fc1.bias": (SIZES[1],),
    "fc2.weight": (SIZES[2], SIZES[1]),
    "fc2.bias": (SIZES[2],),
}
RUNAWAY = 1e30  # a gradient that large is no training any more; beyond 3e38 the service would refuse it
ELEMENTS = sum(int(np.prod(s)) for s in SHAPES.values())


def tensors(vector):
    """{name: array}, views of the vector."""
    found, at = {}, 0
    for name, shape in SHAPES.items():
        found[name] = vector[at : at + int(np.prod(shape))].reshape(shape)
        at += found[name].size
    return found


def flat(named):
    return np.concatenate([named[name].reshape(-1) for name in SHAPES])


def fresh(seed):
    """Weights N(0, 1 / inputs), biases 0."""
    rng = np.random.default_rng(seed)
    named = {n: rng.standard_normal(s) / np.sqrt(s[-1]) if len(s) == 2 else np.zeros(s) for n, s in SHAPES.items()}
    return flat(named).astype(np.float32)


def forward(m, x):
    hidden = np.maximum(x @ m["fc1.weight"].T + m["fc1.bias"], 0)
    return hidden, hidden @ m["fc2.weight"].T + m["fc2.bias"]


def accuracy(model, x, labels):
    with np.errstate(all="ignore"):  # of one that has run away
        return float((forward(tensors(model), x)[1].argmax(1) == labels).mean())


def gradients(model, x, labels):
    """Each contributor's gradient of its mean cross-entropy; x is [contributors, batch, 784]."""
    with np.errstate(all="ignore"):  # a model that runs away overflows; the caller looks
        m, own = tensors(model), x.shape[:2]
        hidden, logits = forward(m, x.reshape(-1, SIZES[0]))
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(p)), labels.reshape(-1)] -= 1
        p /= np.float32(own[1])
        back = ((p @ m["fc2.weight"]) * (hidden > 0)).reshape(*own, -1)
        p, hidden = p.reshape(*own, -1), hidden.reshape(*own, -1)
        parts = (back.swapaxes(1, 2) @ x, back.sum(1), p.swapaxes(1, 2) @ hidden, p.sum(1))
        return np.concatenate([part.reshape(own[0], -1) for part in parts], axis=1)


def random(honest, count, rng):
    return rng.random((count, ELEMENTS), dtype=np.float32)


def reverse(honest, count, rng):
    return -10 * honest.mean(0)


def little(honest, count, rng):
    """A little is enough (Baruch et al.): 1.5 standard deviations from the mean."""
    return honest.mean(0) - np.float32(1.5) * honest.std(0)


def inner(honest, count, rng):
    """Inner product manipulation (Xie et al.)."""
    return np.float32(-0.5) * honest.mean(0)


ATTACKS = {  # what is sent, by how many of the contributors; those but the random ones know the honest and agree
    "none": (None, 0),
    "random, 1": (random, 1),
    "random, 3": (random, 3),
    "reverse x10, 1": (reverse, 1),
    "reverse x10, 3": (reverse, 3),
    "ALIE z 1.5, 1": (little, 1),
    "ALIE z 1.5, 3": (little, 3),
    "IPM e .5, 1": (inner, 1),
    "IPM e .5, 3": (inner, 3),
}


class Training:
    """One seed under one attack: whose gradients go out, and what an aggregate does to the model."""

    def __init__(self, data, seed, attack):
        self.x, self.labels = data
        self.attack, self.faulty = ATTACKS[attack]
        self.model, self.speed = fresh(seed), np.zeros(ELEMENTS, np.float32)
        self.batches, self.noise = np.random.default_rng(1000 + seed), np.random.default_rng(2000 + seed)
        self.done, self.diverged = 0, None  # the step at which the gradients ran away; the model stays as it was

    def contributions(self):
        """What the contributors send; zeros once it has diverged."""
        at = self.batches.integers(0, len(self.x), (WORKERS, BATCH))  # drawn always: the same for every rule
        sent = gradients(self.model, self.x[at], self.labels[at])
        if self.faulty:
            with np.errstate(all="ignore"):
                sent[: self.faulty] = self.attack(sent[self.faulty :], self.faulty, self.noise)
        if self.diverged is None and not np.abs(sent).max() < RUNAWAY:  # NaN is not below it
            self.diverged = self.done
        return sent if self.diverged is None else np.zeros_like(sent)

    def step(self, aggregate):
        """Momentum, with a rate that falls to 0 in a straight line."""
        self.done += 1
        if self.diverged is not None:
            return
        rate = RATE * (1 - (self.done - 1) / STEPS)
        self.speed = np.float32(MOMENTUM) * self.speed + aggregate
        self.model = self.model - np.float32(rate) * self.speed


def load(folder):
    """((images, labels) to train on, the same to test with)"""
    return digits.load(folder, "train", "mnist"), digits.load(folder, "t10k", "mnist")
