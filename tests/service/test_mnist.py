"""Real weights: an MLP on MNIST and three real fine-tunes (AMEND_DATA), merged, negated and sparsified by the service
and
evaluated by a NumPy forward pass. Accuracies are those that the data's README and the unlearning page state."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

import reference as ref
from harness import REPO, merge, negation, sparsify

DATA = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data"))
TASKS = ("mnist", "fashion5", "rot90", "inverted")
TUNED = ("fashion5", "rot90", "inverted")
ABSENT = not (DATA / "mnist-taskvectors" / "base.safetensors").exists()

if ABSENT and os.environ.get("REQUIRE_DATA") == "1":
    raise RuntimeError(f"REQUIRE_DATA=1, but {DATA} holds no mnist-taskvectors; set AMEND_DATA")

pytestmark = pytest.mark.skipif(
    ABSENT, reason=f"no MNIST task vectors in {DATA}; set AMEND_DATA to the folder that has them"
)

# model: accuracy on mnist, fashion5, rot90, inverted
README = {
    "base": (0.9493, 0.2128, 0.1378, 0.0976),
    "ft_fashion5": (0.5071, 0.9476, 0.1551, 0.1005),
    "ft_rot90": (0.4060, 0.2838, 0.9262, 0.1010),
    "ft_inverted": (0.4166, 0.0948, 0.1070, 0.8517),
}
TASK_ARITHMETIC = {
    0.3: (0.7735, 0.4700, 0.3647, 0.1012),
    0.5: (0.3341, 0.7404, 0.5811, 0.1101),
    0.7: (0.0737, 0.4862, 0.4969, 0.1221),
    1.0: (0.0312, 0.3312, 0.3134, 0.1483),
}
MEAN = (0.7086, 0.5214, 0.4124, 0.1012)
NEGATED_ROT90 = {
    0.25: (0.6425, 0.3052, 0.8842, 0.101),
    0.5: (0.8716, 0.2932, 0.5867, 0.101),
    0.75: (0.9395, 0.2534, 0.2691, 0.099),
    1.0: (0.9493, 0.2128, 0.1378, 0.098),
}
NEGATED_MERGE = {
    0.0: (0.3341, 0.7404, 0.5811, 0.110),
    0.25: (0.5341, 0.7694, 0.3348, 0.105),
    0.5: (0.6735, 0.6946, 0.1638, 0.104),
    0.75: (0.7725, 0.5716, 0.0934, 0.098),
    1.0: (0.8050, 0.4184, 0.0648, 0.097),
}
NEGATED_BASE = {0.1: 0.9446, 0.25: 0.9319, 0.5: 0.8821, 1.0: 0.6287}  # on mnist, after base - lambda * fashion5


def idx(path):
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_tasks():
    images = idx(DATA / "mnist" / "t10k-images-idx3-ubyte.gz")
    labels = idx(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")
    fashion = idx(DATA / "fashion-mnist" / "t10k-images-idx3-ubyte.gz")
    kinds = idx(DATA / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz")
    five = [0, 1, 5, 8, 9]
    keep = np.isin(kinds, five)

    def flat(a):
        return a.reshape(len(a), -1).astype(np.float32) / np.float32(255)

    x = flat(images)
    return {
        "mnist": (x, labels),
        "fashion5": (flat(fashion[keep]), np.searchsorted(five, kinds[keep])),
        "rot90": (flat(np.rot90(images, k=1, axes=(1, 2))), labels),
        "inverted": (1 - x, labels),
    }


@pytest.fixture(scope="module")
def tasks():
    return load_tasks()


@pytest.fixture(scope="module")
def models(client, roots):
    for name in ("base", *("ft_" + t for t in TUNED)):
        folder = roots / name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes((DATA / "mnist-taskvectors" / f"{name}.safetensors").read_bytes())
        (folder / "config.json").write_text('{"architectures":["MLP"],"model_type":"mlp"}')
        client.register(folder, f"mnist/{name}")
    return client


def accuracies(client, tasks, version):
    weights = client.weights(version)
    return tuple(ref.accuracy(weights, *tasks[t]) for t in TASKS)


def agree(got, want, slack=0.00051):
    assert all(abs(g - w) <= slack for g, w in zip(got, want)), f"{got}, published {want}"


def task_vectors(into, lam):
    return merge(
        "task_arithmetic",
        [(f"mnist/ft_{t}", {"weight": 1.0}) for t in TUNED],
        into,
        base="mnist/base",
        params={"lambda": lam},
    )


def test_reader_agrees_with_the_published_logits(models, tasks):
    """The forward pass of these tests itself, against logits computed elsewhere."""
    from safetensors.numpy import load_file

    want = next(iter(load_file(DATA / "mnist-taskvectors" / "expected_logits_mnist_t10k_first32.safetensors").values()))
    got = ref.mlp_logits(models.weights("mnist/base"), tasks["mnist"][0][:32])
    assert got.shape == want.shape and np.abs(got - want).max() < 1e-4


def test_registered_models_keep_their_accuracies(models, tasks):
    for name, want in README.items():
        agree(accuracies(models, tasks, f"mnist/{name}@v1"), want)


@pytest.mark.parametrize("lam", TASK_ARITHMETIC)
def test_task_arithmetic(models, tasks, lam):
    agree(accuracies(models, tasks, models.run(task_vectors(f"mnist/ta-{lam}", lam))), TASK_ARITHMETIC[lam])


def test_mean_of_three(models, tasks):
    version = models.run(merge("linear", [(f"mnist/ft_{t}", {"weight": 1.0}) for t in TUNED], "mnist/mean"))
    agree(accuracies(models, tasks, version), MEAN)


def test_negation_of_the_fine_tune(models, tasks):
    for lam, want in NEGATED_ROT90.items():
        version = models.run(negation("mnist/ft_rot90@v1", "mnist/ft_rot90@v1", "mnist/base", lam, f"mnist/neg-{lam}"))
        agree(accuracies(models, tasks, version), want, 0.00055)


def test_negation_of_a_merge(models, tasks):
    start = models.run(task_vectors("mnist/three", 0.5))
    for lam, want in NEGATED_MERGE.items():
        version = models.run(negation(start, "mnist/ft_rot90", "mnist/base", lam, f"mnist/three-neg-{lam}"))
        agree(accuracies(models, tasks, version), want, 0.00055)


def test_negating_a_skill_that_was_never_there_costs_accuracy(models, tasks):
    for lam, want in NEGATED_BASE.items():
        version = models.run(
            negation("mnist/base@v1", "mnist/ft_fashion5", "mnist/base@v1", lam, f"mnist/base-neg-{lam}")
        )
        assert abs(ref.accuracy(models.weights(version), *tasks["mnist"]) - want) <= 0.00051


@pytest.mark.parametrize("scope", ["tensor", "model"])
def test_sparsify_zeroes_exactly_as_many_as_asked(models, scope):
    before = models.weights("mnist/base@v1")
    version = models.run(
        sparsify("mnist/base@v1", f"mnist/sparse-{scope}", {"sparsity": 0.9, "scope": scope, "include": ["*.weight"]})
    )
    after = models.weights(version)
    sizes = {n: ref.load(t).size for n, t in before.items() if n.endswith(".weight")}
    zeros = {n: int(np.count_nonzero(ref.load(after[n]) == 0)) for n in sizes}
    was = {n: int(np.count_nonzero(ref.load(before[n]) == 0)) for n in sizes}
    if scope == "tensor":
        for n, size in sizes.items():
            assert zeros[n] == max(was[n], ref.zeros_wanted(0.9, size)), n
    else:
        assert sum(zeros.values()) == max(sum(was.values()), ref.zeros_wanted(0.9, sum(sizes.values())))
    want = ref.apply_sparsify(before, sparsity=0.9, scope=scope, include=("*.weight",))
    assert ref.difference(after, want) is None
