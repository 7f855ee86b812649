"""While a tensor is counted, the tensors before it are still computed: what a tensor gets, and what is reported of it, does
not depend on which ones lie beside it in the file."""

import numpy as np
import pytest

import merge_feed
import reference as ref
from test_merge_property import NEEDS, World

# Elements: none, a few, several windows, those of which a sample is looked at first; norms between matrices, as in models.
SIZES = [600_000, 1, 300_000, 0, 70_000, 40, 5_000, 16_385, 262_144, 64, 64, 263_000, 100_000, 3]


def values(place):
    """A model's tensors: all share something, and each has a noise of its own."""
    common, own = np.random.default_rng(7), np.random.default_rng(100 + place)
    arrays = {f"t{i:02}": common.standard_normal(n, dtype=np.float32) for i, n in enumerate(SIZES)}
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


def reported(client, version):
    return "amend/report.json" in client.files(version) and client.report(version)["tensors"]


@pytest.mark.parametrize("name", list(counted()))
def test_neighbours_have_no_say(worlds, registry, name):
    found = merge_feed.feeds(registry[name])
    feed = next((f for f in found if f.label == "probe"), found[0])
    straight, mixed = (w.run(feed, threads=n) for w, n in zip(worlds, (1, 4)))
    ours, theirs = (w.client.weights(v) for w, v in zip(worlds, (straight, mixed)))
    assert {n: t.data for n, t in ours.items()} == {n: t.data for n, t in theirs.items()}
    assert reported(worlds[0].client, straight) == reported(worlds[1].client, mixed)
