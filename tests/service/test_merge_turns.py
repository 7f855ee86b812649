"""While a tensor is counted, the tensors before it are still computed: what a tensor gets, and what is reported of it, does
not depend on which ones lie beside it in the file."""

import numpy as np
import pytest

import merge_feed
import reference as ref
from harness import merge
from test_merge_property import NEEDS, World, every

# None, a few, several windows, those of which a sample is looked at first; norms between matrices, as in models; rows that are
# a window, rows that are many in one, and few long ones.
SHAPES = [(600_000,), (1,), (20_000, 7), (0,), (700, 600), (40,), (5_000,), (16_385,), (3, 90_000), (64,), (64,), (263_000,), (100_000,), (3,)]


def values(place):
    """A model's tensors: all share something, and each has a noise of its own."""
    common, own = np.random.default_rng(7), np.random.default_rng(100 + place)
    arrays = {f"t{i:02}": common.standard_normal(shape, dtype=np.float32) for i, shape in enumerate(SHAPES)}
    made = {
        name: ref.store("BF16", x + np.float32(0.05) * own.standard_normal(x.shape, dtype=np.float32))
        for name, x in arrays.items()
    }
    return {"steps": ref.tensor("I64", np.arange(4)), **made}


@pytest.fixture(scope="module")
def worlds(client, roots):
    """The same models twice; in the second ones the tensors lie in another order."""
    found = [World(client, roots, prefix, {}) for prefix in ("straight", "mixed")]
    order = [f"t{i:02}" for i in (9, 0, 10, 3, 8, 5, 7, 2, 1, 11, 13, 6, 4, 12)]
    for place, key in enumerate(found[0].named):
        made = values(place)
        found[0].named[key].update(made)
        found[1].named[key].update({name: made[name] for name in [*order[:6], "steps", *order[6:]]})
    return found


@pytest.fixture(scope="module")
def registry(client):
    return merge_feed.methods(client)


def counted():
    """With statistics of each tensor by itself: what a turn holds differs with these four, so make check has them."""
    for name, needs in NEEDS.items():
        if needs["passes"] and needs["scope"] != "model":
            quick = name in ("arcee_fusion", "breadcrumbs", "della", "ties")
            yield pytest.param(name, marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize("name", list(counted()))
def test_neighbours_have_no_say(worlds, registry, name):
    (feed,) = every(registry, name, "one way")
    client = worlds[0].client
    straight, mixed = (w.run(feed, threads=3) for w in worlds)
    ours, theirs = client.weights(straight), client.weights(mixed)
    assert {n: t.data for n, t in ours.items()} == {n: t.data for n, t in theirs.items()}
    if "amend/report.json" in client.files(straight):  # rows of nuslerp have no numbers
        assert client.report(straight)["tensors"] == client.report(mixed)["tensors"]
    alone = worlds[1].run(feed, threads=1)
    assert client.etags(alone) == client.etags(mixed)


@pytest.mark.slow
def test_the_first_failure_is_told(client, roots):
    """Whatever is in flight when the method refuses the next tensor: that depends on the threads."""
    many, base = 24 * 262_144, np.zeros(1, np.float32)
    noise = np.random.default_rng(1).standard_normal(many, dtype=np.float32)
    models = {"base": (0 * noise, base), "up": (noise, base + 1), "down": (noise[::-1].copy(), base - 1)}
    for name, (first, second) in models.items():
        first[0] = 1e5  # too large for F16
        files = ref.write(roots / f"told-{name}", {"a": ref.store("BF16", first), "b": ref.store("BF16", second)})
        client.register(files, f"told/{name}")
    told = set()
    for threads in (1, 2, 32):
        inputs = [("told/up", None), ("told/down", None)]
        error = client.fails(merge("model_stock", inputs, "told/out", "told/base", {"clamp": False}, threads=threads, out_dtype="F16"))
        told.add((error["tensor"], error["errors"][0].get("reason")))
    assert told == {("a", "f16-overflow")}
