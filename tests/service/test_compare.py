"""Mode `compare` of the worker, over sets that mode `pack` made: the golden pair of compat.md (7.1, section 6), and what is
counted, held to counts made here from the rows. Expected intervals come from compat.md's vectors.
"""

import csv
import hashlib
import json
import math
import os
import random
from pathlib import Path

import numpy as np
import pytest

from comparing import Packed, compare, tensors
from harness import REPO

DATA = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data")) / "paired-predictions" / "cifar10" / "original_predictions.csv"
needs_data = pytest.mark.skipif(not DATA.exists() and os.environ.get("REQUIRE_DATA") != "1", reason=f"no {DATA}; set AMEND_DATA")
CLASSES = [str(i) for i in range(10)]
FILES = ("report.json", "slices.ndjson", "samples.safetensors")


def close(value, expected, digits):
    """As printed with so many digits behind the point."""
    return abs(value - expected) <= 0.5000001 * 10**-digits


def digests(ended):
    assert ended.code == 0, (ended.log, ended.faults)
    return {name: hashlib.sha256(ended.path(name).read_bytes()).hexdigest() for name in FILES}


class Maker:
    """Sets and comparisons in folders of their own."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0

    def where(self, name):
        self.count += 1
        folder = self.folder / f"{self.count:03}"
        folder.mkdir()
        return folder / name

    def pack(self, rows, **head):
        return Packed(self.where("x").parent, "set", rows, **head)

    def compare(self, old, new, **options):
        return compare(self.where("compare"), old, new, **options)

    def report(self, old, new, **options):
        ended = self.compare(old, new, **options)
        assert ended.code == 0, (ended.log, ended.faults)
        return ended.report()

    def refused(self, old, new, code, **options):
        ended = self.compare(old, new, **options)
        assert ended.code == 65 or code == "invalid-params", (ended.code, ended.log)
        assert ended.failed["code"] == code and ended.faults, (ended.failed, ended.faults)
        assert not any(p.name.startswith("result") for p in ended.staging.iterdir() if p.stat().st_size), "a refused comparison has a result"
        return ended.faults


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("compare"))


# ---- the golden pair ----


class Cifar:
    def __init__(self, make):
        with open(DATA, newline="") as f:
            self.rows = list(csv.DictReader(f))
        self.make = make
        self.old, self.new = self.set("resnet_basic_32"), self.set("resnet_basic_44")

    def lines(self, network):
        return [{"id": f"{int(r['index']):05}", "y": int(r["label"]), "p": int(r[network])} for r in self.rows]

    def set(self, network, shuffle=None):
        lines = self.lines(network)
        if shuffle:
            random.Random(shuffle).shuffle(lines)
        return self.make.pack(lines, labels=CLASSES)


@pytest.fixture(scope="module")
def cifar(make):
    return Cifar(make)


@pytest.fixture(scope="module")
def golden(make, cifar):
    return make.compare(cifar.old, cifar.new, seed=1)


@needs_data
def test_the_golden_report(golden):
    r = golden.report()
    assert r["n"] == 10000 and r["ids"] == {"both": 10000, "old_only": 0, "new_only": 0} and r["n_eff"] == 10000
    assert r["weighted"] is False and r["clusters"] is None and r["judge_noise"] == 0 and r["warnings"] == []
    assert r["cells"] == {"a": 8958, "a_diff": 0, "b": 294, "c": 343, "d_same": 306, "d_diff": 99}
    v = r["values"]
    for name, value, low, high in [("accuracy_old", 0.9252, 0.919879, 0.930194), ("accuracy_new", 0.9301, 0.924936, 0.934934),
                                   ("nfr", 0.0294, 0.026266, 0.032896), ("pfr", 0.0343, 0.030908, 0.038050),
                                   ("accuracy_delta", 0.0049, -0.000047, 0.009871)]:
        assert math.isclose(v[name]["value"], value, abs_tol=1e-15), name
        assert close(v[name]["interval"][0], low, 6) and close(v[name]["interval"][1], high, 6), (name, v[name])
        assert v[name]["method"] == ("tango" if name == "accuracy_delta" else "wilson")
    assert close(v["accuracy_delta"]["lower95"], 0.000750, 6) and close(v["accuracy_delta"]["upper95"], 0.009067, 6)
    assert close(v["nfr"]["lower95"], 0.026746, 6) and close(v["nfr"]["upper95"], 0.032308, 6)
    relative = v["relative_nfr"]
    assert close(relative["value"], 0.454605, 6) and relative["method"] == "bca"
    assert np.allclose([*relative["interval"], relative["lower95"], relative["upper95"]], [0.4165, 0.4933, 0.4226, 0.4870], atol=0.004)
    for name, value in [("nfr_mc", 0.0393), ("nfi", 0.42060), ("btc", 0.96822), ("bec_new", 0.57940), ("bec_old", 0.54144),
                        ("churn", 0.0736), ("churn_good", 0.0343), ("churn_bad", 0.0294), ("churn_neutral", 0.0099)]:
        assert close(v[name]["value"], value, 5) and len(v[name]["interval"]) == 2, (name, v[name])
    m = r["tests"]["mcnemar"]
    assert (m["b"], m["c"], m["verdict"]) == (294, 343, "no_difference_shown")
    assert close(m["p_exact"], 0.0571083, 7) and close(m["p_mid"], 0.0523032, 7) and close(m["log10_p_mid"], -1.281472, 6)
    assert close(m["p_regression"], 0.973848, 6)
    assert r["noise_floor"]["nfr"] is None and r["noise_floor"]["why"] == "no replicate runs"
    flips = [(f["from"], f["to"], f["n"]) for f in r["confusion_flips"]]
    assert flips[:6] == [("3", "5", 38), ("5", "3", 20), ("3", "2", 14), ("0", "8", 12), ("1", "9", 11), ("8", "0", 11)] and len(flips) == 20
    shown = r["exemplars"]["negative_flips"]
    assert [int(i) for i in shown[:10]] == [2, 15, 35, 37, 47, 61, 125, 128, 169, 192] and len(shown) == 100
    assert r["method_record"]["z"] == 1.959963984540054 and r["method_record"]["seed"] == 1 and r["method_record"]["bootstrap"] == 2000
    assert r["old"] == "o" * 40 and r["new_predictions"] == "prd_" + "1" * 32 and r["type"] == "evaluate"
    names = json.loads(golden.path("report.json").read_bytes(), object_pairs_hook=lambda pairs: [k for k, _ in pairs])
    assert names == sorted(names) == sorted(r) and not {"job", "id", "created_at", "decision", "files"} & set(names)


@needs_data
def test_the_golden_classes(golden):
    rows = golden.slices()
    table = """0|93.0|93.9|24|33|-.9|.237047|.592618|.881476|3.334
1|96.6|96.5|20|19|.1|.874629|.940198|.437315|2.868
2|91.6|91.1|32|27|.5|.518958|.940198|.259479|4.249
3|83.8|83.6|77|75|.2|.871618|.940198|.435809|9.204
4|94.1|94.0|28|27|.1|.893853|.940198|.446927|3.794
5|87.4|90.1|34|61|-2.7|.005573|.055730|.997214|4.475
6|94.5|95.7|16|28|-1.2|.072454|.362271|.963773|2.395
7|94.1|94.3|26|28|-.2|.787706|.940198|.606147|3.564
8|95.4|95.4|22|22|.0|.940198|.940198|.500000|3.102
9|94.7|95.5|15|23|-.8|.199591|.592618|.900205|2.276"""
    assert [r["key"] for r in rows] == ["label"] * 10 and golden.report()["slices"] == 10
    for row, line in zip(rows, table.splitlines(), strict=True):
        value, *numbers = line.split("|")
        old, new, b, c, harm, mid, q, one, upper = map(float, numbers)
        assert row["value"] == value and row["n"] == 1000 and (row["b"], row["c"]) == (b, c) and row["small"] is False
        assert close(100 * row["accuracy_old"], old, 1) and close(100 * row["accuracy_new"], new, 1) and close(100 * row["harm"], harm, 1)
        assert close(row["p_mid"], mid, 6) and close(row["q"], q, 6) and close(row["p_regression"], one, 6) and close(100 * row["upper95"], upper, 3)
        assert row["verdict"] == "no_difference_shown"


@needs_data
def test_the_samples_are_the_rows(golden, cifar):
    columns, meta = tensors(golden.path("samples.safetensors"))
    take = lambda name, kind: np.frombuffer(columns[name][2], kind)
    offsets, raw = take("offsets", "<u8"), columns["bytes"][2]
    ids = [raw[a:b].decode() for a, b in zip(offsets, offsets[1:], strict=False)]
    assert ids == [f"{int(r['index']):05}" for r in cifar.rows]
    y, o, n = (np.array([int(r[k]) for r in cifar.rows]) for k in ("label", "resnet_basic_32", "resnet_basic_44"))
    assert (take("y", "<i4") == y).all() and (take("old_p", "<i4") == o).all() and (take("new_p", "<i4") == n).all()
    right, wrong = o == y, n != y
    expected = np.select([right & ~wrong, right & wrong, ~right & ~wrong, (o == n)], [0, 2, 3, 4], 5)
    assert (take("cell", "u1") == expected).all()
    about = json.loads(meta["amend"])
    assert about["rows"] == 10000 and about["labels"] == CLASSES and about["slices"] == {}


@needs_data
def test_same_bytes_whatever_the_order_of_lines_and_threads(make, cifar, golden):
    first = digests(golden)
    mixed = digests(make.compare(cifar.set("resnet_basic_32", 7), cifar.set("resnet_basic_44", 8), seed=1, threads=1))
    assert mixed == first
    other = make.compare(cifar.old, cifar.new, seed=2)
    assert digests(other)["slices.ndjson"] == first["slices.ndjson"] and digests(other)["report.json"] != first["report.json"]
    a, b = golden.report(), other.report()
    drawn = lambda r: [r["values"].pop("relative_nfr"), r["method_record"].pop("seed")]
    assert drawn(a) != drawn(b) and a == b, "the seed changes what is drawn, and nothing else"


@needs_data
def test_swapped_sides(make, cifar, golden):
    there, back = golden.report(), make.report(cifar.new, cifar.old, seed=1)
    a, z = there["cells"], back["cells"]
    assert z == {**a, "b": a["c"], "c": a["b"]}
    assert back["values"]["nfr"] == there["values"]["pfr"] and back["values"]["pfr"] == there["values"]["nfr"]
    assert back["values"]["accuracy_old"] == there["values"]["accuracy_new"]
    d, e = there["values"]["accuracy_delta"], back["values"]["accuracy_delta"]
    assert math.isclose(d["value"], -e["value"]) and np.allclose(d["interval"], [-e["interval"][1], -e["interval"][0]], atol=1e-12)
    assert back["tests"]["mcnemar"]["p_mid"] == there["tests"]["mcnemar"]["p_mid"]
    for name in ("churn", "churn_neutral"):
        assert back["values"][name] == there["values"][name]


@needs_data
def test_the_golden_decisions(make, cifar, golden):
    gate = {"gate": "default@1", "policy": POLICY, "critical": []}
    ended = make.compare(cifar.old, cifar.new, seed=1, gate=gate)
    assert digests(ended) == digests(golden), "a gate changes no number"
    decision = json.loads(ended.path("decision.json").read_bytes())
    assert decision["verdict"] == "promote" and decision["gate"] == "default@1", decision
    hold = make.compare(cifar.set("wrn_28_10"), cifar.old, gate=gate)
    assert hold.report()["cells"]["b"] == 471
    assert json.loads(hold.path("decision.json").read_bytes())["verdict"] == "hold"


POLICY = {"description": "default promotion gate", "min_samples": 300, "min_ids_matched": 0.99, "protected": [],
          "rules": [{"id": "non-inferior", "value": "accuracy_delta", "bound": "lower", "op": ">", "limit": -0.005},
                    {"id": "flips", "any_of": [{"value": "nfr", "bound": "upper", "op": "<=", "limit": 0.01, "noise_factor": 1.5},
                                               {"value": "relative_nfr", "bound": "upper", "op": "<=", "limit": 0.5}]},
                    {"id": "slices", "value": "nfr", "slice": "protected:*", "bound": "upper", "op": "<=", "limit": 0.02,
                     "regression": {"alpha": 0.05}},
                    {"id": "finite", "finite": True}, {"id": "leak", "leak_check": True}]}


def test_a_critical_flip_and_a_protected_slice_hold(make):
    rows = [{"id": f"{i:04}", "y": 1, "p": 1 if i % 10 else 0, "g": {"region": "eu" if i < 600 else "us"}} for i in range(1200)]
    worse = [{**r, "p": 0} if r["g"]["region"] == "us" and i % 13 == 0 else r for i, r in enumerate(rows)]
    old, new = make.pack(rows), make.pack(worse)
    critical_old, critical_new = (make.pack([{"id": "x", "y": 1, "p": p}, {"id": "y", "y": 0, "p": 0}]) for p in (1, 0))
    loose = {"rules": [{"id": "flips", "value": "nfr", "bound": "upper", "op": "<=", "limit": 0.5}], "protected": [], "min_samples": 100}

    def verdict(policy, critical=()):
        inputs, sets = [old.packed, old.ids, new.packed, new.ids], []
        for name, o, n in critical:
            sets.append({"dataset": name, "old": o.spec(5 + len(inputs)), "new": n.spec(7 + len(inputs))})
            inputs += [o.packed, o.ids, n.packed, n.ids]
        ended = compare(make.where("compare"), old, new, gate={"gate": "g@1", "policy": policy, "critical": sets}, inputs=inputs)
        assert ended.code == 0, (ended.log, ended.faults)
        decision = json.loads(ended.path("decision.json").read_bytes())
        return decision["verdict"], {r["id"]: r for r in decision["rules"]}

    assert verdict(loose)[0] == "promote"
    guarded = {**loose, "rules": [*loose["rules"], {"id": "critical", "must_pass": {"dataset": "acme/critical", "mode": "no_flip"}}]}
    held, rules = verdict(guarded, [("acme/critical", critical_old, critical_new)])
    assert held == "hold" and rules["critical"]["outcome"] == "fail" and rules["critical"]["reason"] == "critical"
    assert verdict(guarded, [("acme/critical", critical_old, critical_old)])[0] == "promote"
    sliced = {**loose, "protected": [{"key": "region", "value": "us"}],
              "rules": [*loose["rules"], {"id": "s", "slice": "protected:*", "regression": {"alpha": 0.05}, "value": "nfr", "bound": "upper",
                                          "op": "<=", "limit": 0.9}]}
    held, rules = verdict(sliced)
    assert held == "hold" and rules["s"]["slice"]["value"] == "us" and rules["s"]["adjusted_p"] < 0.05


# ---- edges of the counts ----


def simple(n, right, **more):
    return [{"id": f"{i:04}", "y": 1, "p": 1 if right(i) else 0, **more} for i in range(n)]


def test_the_same_set_twice(make):
    s = make.pack(simple(500, lambda i: i % 5))
    v = make.report(s, s)
    assert v["cells"] == {"a": 400, "a_diff": 0, "b": 0, "c": 0, "d_same": 100, "d_diff": 0}
    value = {k: x["value"] for k, x in v["values"].items()}
    assert value["nfr"] == value["churn"] == value["relative_nfr"] == 0 and value["btc"] == value["bec_new"] == value["bec_old"] == 1
    assert v["tests"]["mcnemar"]["p_mid"] == 1 and v["exemplars"]["negative_flips"] == [] and v["confusion_flips"] == []


def test_an_empty_denominator_is_null_with_a_reason(make):
    """BackwardCompatibilityML answers 0 here, which reads as wholly incompatible (compat.md 19)."""
    wrong, right = make.pack(simple(40, lambda i: False)), make.pack(simple(40, lambda i: True))
    v = make.report(wrong, right)["values"]
    assert v["btc"] == {"value": None, "reason": "empty_denominator"} and v["relative_nfr"]["value"] is None
    assert v["bec_new"] == {"value": None, "reason": "empty_denominator"} and v["bec_old"]["value"] == 0
    back = make.report(right, wrong)["values"]
    assert back["bec_old"]["value"] is None and back["btc"]["value"] == 0 and back["relative_nfr"]["value"] == 1


def test_only_correctness_is_known(make):
    """GSM8K, 6B fine-tuned against verified (compat.md 3.2): 222/64/293/740."""
    cells = [(1, 1)] * 222 + [(1, 0)] * 64 + [(0, 1)] * 293 + [(0, 0)] * 740
    old, new = (make.pack([{"id": f"{i:04}", "y": 0, "ok": pair[side]} for i, pair in enumerate(cells)]) for side in (0, 1))
    r = make.report(old, new)
    v = {k: x["value"] for k, x in r["values"].items()}
    assert r["cells"] == {"a": 222, "a_diff": 0, "b": 64, "c": 293, "d_same": 740, "d_diff": 0}
    assert r["values"]["nfr_mc"] == {"value": None, "reason": "no_predictions"} and v["churn"] is None and v["churn_bad"] is not None
    for name, expected in [("nfr", 0.048522), ("pfr", 0.222138), ("relative_nfr", 0.36712), ("nfi", 0.07960), ("btc", 0.77622),
                           ("bec_new", 0.92040), ("bec_old", 0.71636)]:
        assert close(v[name], expected, 5), name


# ---- the join ----


def test_ids_of_one_side(make):
    rows = simple(1000, lambda i: i % 7)
    whole, few = make.pack(rows), make.pack(rows[10:])
    r = make.report(whole, few)
    assert r["ids"] == {"both": 990, "old_only": 10, "new_only": 0} and r["n"] == 990 and r["warnings"][0]["code"] == "partial"
    assert r["cells"]["a"] == sum(1 for i in range(10, 1000) if i % 7) and r["exemplars"]["negative_flips"] == []
    half = make.pack(rows[400:900] + [{"id": "zz", "y": 1, "p": 0}])
    faults = make.refused(whole, half, "dataset-mismatch")
    assert "501 of 1001" in faults[0]["detail"] and "allow_partial" in faults[0]["detail"] and faults[0]["reason"] == "ids"
    r = make.report(half, whole, allow_partial=True)
    assert r["ids"] == {"both": 500, "old_only": 1, "new_only": 500} and r["cells"]["a"] == sum(1 for i in range(400, 900) if i % 7)
    other = make.pack([{**row, "id": "x" + row["id"]} for row in rows])
    assert "no sample is in both" in make.refused(whole, other, "dataset-mismatch", allow_partial=True)[0]["detail"]


def test_labels_that_disagree(make):
    rows = simple(300, lambda i: True)
    old, new = make.pack(rows), make.pack([{**r, "y": 0} if i % 10 == 3 else r for i, r in enumerate(rows)])
    faults = make.refused(old, new, "dataset-mismatch")
    assert "30 of the 300" in faults[0]["detail"] and len(faults) == 21
    assert [f["detail"].split('"')[1] for f in faults[1:]] == [f"{10 * i + 3:04}" for i in range(20)]


def test_sets_of_another_kind(make):
    rows = simple(20, lambda i: True)
    old = make.pack(rows, metric="accuracy", labels=["no", "yes"])
    new = make.pack(rows, task="multiple_choice", metric="other", labels=["a", "b"])
    assert [f["reason"] for f in make.refused(old, new, "dataset-mismatch")] == ["task", "metric", "labels"]


def test_a_judge_that_changes_its_mind(make):
    rows = [{"id": f"{i:03}", "y": 0, "p": 5, "ok": int(i % 3 != 0)} for i in range(90)]
    old, new = make.pack(rows), make.pack([{**r, "ok": 1} if i % 9 == 0 else r for i, r in enumerate(rows)])
    r = make.report(old, new)
    assert r["judge_noise"] == 10 and r["cells"]["c"] == 10 and "judge-noise" in [w["code"] for w in r["warnings"]]


def test_an_unreadable_answer_is_wrong_and_differs(make):
    old = make.pack([{"id": f"{i}", "y": 0, "p": p} for i, p in enumerate([-1, -1, 0, 1])])
    new = make.pack([{"id": f"{i}", "y": 0, "p": p} for i, p in enumerate([-1, 1, -1, -1])])
    r = make.report(old, new)
    assert r["cells"] == {"a": 0, "a_diff": 0, "b": 1, "c": 0, "d_same": 1, "d_diff": 2}
    assert r["confusion_flips"] == [{"from": "0", "to": "-1", "n": 1}]


# ---- slices ----


def test_slices_by_every_key_and_by_those_that_are_asked_for(make):
    def rows(side):
        out = []
        for i in range(240):
            g = {"region": ["us", "eu", "ap"][i % 3], **({"tier": "gold"} if i % 4 == 0 else {})}
            out.append({"id": f"{i:04}", "y": i % 2, "p": (i % 2) ^ (i % (5 + side) == 0), "g": g})
        return out
    old, new = make.pack(rows(0)), make.pack(rows(1))
    ended = make.compare(old, new)
    found = [(r["key"], r["value"]) for r in ended.slices()]
    assert found == [("label", "0"), ("label", "1"), ("region", "ap"), ("region", "eu"), ("region", "us"), ("tier", "gold")]
    for r in ended.slices():
        inside = [i for i in range(240) if (r["key"] == "label" and i % 2 == int(r["value"])) or
                  (r["key"] == "region" and ["us", "eu", "ap"][i % 3] == r["value"]) or (r["key"] == "tier" and i % 4 == 0)]
        ok = [(i % 5 != 0, i % 6 != 0) for i in inside]
        assert (r["n"], r["b"], r["c"]) == (len(inside), sum(o and not n for o, n in ok), sum(n and not o for o, n in ok)), r
        assert math.isclose(r["accuracy_old"], sum(o for o, _ in ok) / len(ok)) and math.isclose(r["nfr"], r["b"] / r["n"])
    assert [r["key"] for r in make.compare(old, new, slices=["tier"]).slices()] == ["tier"]
    many = make.pack([{"id": f"{i:04}", "y": i % 21, "p": i % 21 if i % 4 else 0} for i in range(240)])
    classes = make.compare(many, many).slices()
    assert [r["value"] for r in classes] == sorted(map(str, range(21))), "classes without names, by their text"
    assert all(r["n"] == sum(i % 21 == int(r["value"]) for i in range(240)) for r in classes)
    faults = make.refused(old, new, "invalid-params", slices=["tier", "device", "label"])
    assert faults[0]["pointer"] == "#/params/slices" and "device" in faults[0]["detail"] and len(faults) == 1
    columns, meta = tensors(ended.path("samples.safetensors"))
    about = json.loads(meta["amend"])["slices"]
    tier = np.frombuffer(columns[about["tier"]["tensor"]][2], "<i4")
    assert about["tier"]["values"] == ["gold"] and [int(t) for t in tier[:5]] == [0, -1, -1, -1, 0]


def test_a_planted_regression_is_found(make):
    rows = [{"id": f"{i:05}", "y": 1, "p": 1 if i % 8 else 0, "g": {"a": f"a{i % 10}", "b": f"b{i // 10 % 5}", "c": f"c{i % 7}"}} for i in range(5000)]
    worse = [{**r, "p": 0} if r["g"]["a"] == "a3" and r["g"]["b"] == "b2" and i % 3 == 0 else r for i, r in enumerate(rows)]
    r = make.report(make.pack(rows), make.pack(worse), find_slices=True)
    found = r["found_slices"]
    assert found["exploratory"] is True and found["cut"] is False
    assert found["rows"][0]["where"] == {"a": "a3", "b": "b2"} and found["rows"][0]["q"] < 0.05
    assert found["tried"] == 10 + 5 + 7 + 50 + 70 + 35
    bounds = [x["lower95"] for x in found["rows"]]
    assert bounds == sorted(bounds, reverse=True) and len(bounds) <= 200 and all(x["n"] >= 50 for x in found["rows"])


# ---- weights, clusters, replicates ----


def test_weights_take_the_place_of_counts(make):
    rng = np.random.default_rng(5)
    w = np.float32(rng.uniform(0.1, 4, 600))
    o, n = rng.random(600) < 0.8, rng.random(600) < 0.75
    sets = [make.pack([{"id": f"{i:04}", "y": 1, "p": int(ok[i]), "w": float(w[i])} for i in range(600)]) for ok in (o, n)]
    r = make.report(*sets)
    w = w.astype(np.float64)
    total = w.sum()
    assert r["weighted"] is True and math.isclose(r["n_eff"], total**2 / (w**2).sum(), rel_tol=1e-12)
    assert math.isclose(r["values"]["nfr"]["value"], w[o & ~n].sum() / total, rel_tol=1e-12)
    assert math.isclose(r["values"]["accuracy_delta"]["value"], (w[n].sum() - w[o].sum()) / total, rel_tol=1e-9)
    assert r["cells"]["b"] == int((o & ~n).sum()) and math.isclose(r["weighted_cells"]["b"], w[o & ~n].sum(), rel_tol=1e-12)
    assert r["values"]["nfr"]["method"] == "percentile" and r["values"]["relative_nfr"]["method"] == "bca"
    draws = np.array([[(w[i] * (o & ~n)[i]).sum() / w[i].sum()] for i in rng.integers(0, 600, (4000, 600))])
    assert np.allclose(r["values"]["nfr"]["interval"], np.quantile(draws, [0.025, 0.975]), atol=0.006)


def test_samples_of_one_cluster_are_drawn_together(make):
    rng = np.random.default_rng(6)
    o, n = rng.random(400) < 0.8, rng.random(400) < 0.75
    wide = [(i, j) for i in range(400) for j in range(4)]
    plain = [make.pack([{"id": f"{i:04}", "y": 1, "p": int(ok[i])} for i in range(400)]) for ok in (o, n)]
    clustered = [make.pack([{"id": f"{i:04}{j}", "y": 1, "p": int(ok[i]), "c": f"user{i}"} for i, j in wide]) for ok in (o, n)]
    replicas = [make.pack([{"id": f"{i:04}", "k": j, "y": 1, "p": int(ok[i])} for i, j in wide]) for ok in (o, n)]
    a, b, c = make.report(*plain), make.report(*clustered), make.report(*replicas)
    assert b["clusters"] == 400 and b["method_record"]["unit"] == "cluster" and c["clusters"] is None and c["method_record"]["unit"] == "id"
    assert a["values"]["nfr"]["value"] == b["values"]["nfr"]["value"] and b["n"] == 1600
    for r in (b, c):  # four copies of every sample tell no more than one
        assert np.allclose(r["values"]["nfr"]["interval"], a["values"]["nfr"]["interval"], atol=0.012)
    shown = c["exemplars"]["negative_flips"]
    assert len(set(shown)) == len(shown) and c["cells"]["b"] == b["cells"]["b"] == 4 * a["cells"]["b"]
    assert c["noise_floor"]["nfr"] == 0 and c["noise_floor"]["why"] == "replicates of the old version"


def test_the_noise_floor_of_replicates(make):
    rng = np.random.default_rng(7)
    old, new = rng.random((80, 4)) < 0.7, rng.random((80, 4)) < 0.6
    sets = [make.pack([{"id": f"{i:03}", "k": j, "y": 1, "p": int(ok[i, j])} for i in range(80) for j in range(4)]) for ok in (old, new)]
    floor = make.report(*sets)["noise_floor"]
    k = old.sum(1)
    assert math.isclose(floor["nfr"], (k * (4 - k) / 12).mean(), rel_tol=1e-12)
    assert math.isclose(floor["expected_nfr"], (old.mean(1) * (1 - new.mean(1))).mean(), rel_tol=1e-12)
    given = make.report(*sets, noise_floor=0.012, noise_floor_source="three trainings")["noise_floor"]
    assert given == {"nfr": 0.012, "expected_nfr": None, "why": "given", "source": "three trainings"}


# ---- texts, sets of labels, groups, probabilities ----

D = (0.3, -0.2, 0, 0.05, -0.01, 0.4, -0.6, 0, 0.1, -0.1, 0.02, -0.03)


def texts(make, scores, **head):
    return make.pack([{"id": f"{i:02}", "s": s} for i, s in enumerate(scores)], task="generative", metric="rougeL", **head)


def test_the_golden_scores(make):
    old = texts(make, [0.6] * 12)
    new = texts(make, [0.6 + d for d in D])
    r = make.report(old, new)
    v = {k: x["value"] for k, x in r["values"].items()}
    assert v["nfr"] == v["pfr"] == 5 / 12 and math.isclose(v["mean_gain"], 0.174, abs_tol=1e-6)
    assert math.isclose(v["mean_regression"], 0.188, abs_tol=1e-6) and math.isclose(v["score_delta"], -0.00583333, abs_tol=1e-6)
    assert math.isclose(v["score_delta"], v["pfr"] * v["mean_gain"] - v["nfr"] * v["mean_regression"], abs_tol=1e-12)
    assert v["self_similarity_both_bad"] is None and r["values"]["self_similarity_both_bad"]["reason"] == "not_uploaded"
    assert [v[f"quadrant_{q}"] for q in ("both_good", "gained", "lost", "both_bad")] == [10 / 12, 0, 2 / 12, 0]
    w = r["tests"]["wilcoxon"]
    assert w["n"] == 12 and w["zeros"] == 2 and set(r["tests"]) == {"wilcoxon"}
    assert (r["cells"]["b"], r["cells"]["c"]) == (5, 5) and r["cells"]["a"] + r["cells"]["d_same"] == 2
    columns, _ = tensors(make.compare(old, new).path("samples.safetensors"))
    assert np.allclose(np.frombuffer(columns["old_s"][2], "<f4"), 0.6) and np.allclose(np.frombuffer(columns["new_s"][2], "<f4"), 0.6 + np.array(D))
    turned = make.report(texts(make, [0.6] * 12, higher_is_better=False), texts(make, [0.6 + d for d in D], higher_is_better=False))
    assert turned["values"]["nfr"]["value"] == 5 / 12 and math.isclose(turned["values"]["mean_gain"]["value"], 0.188, abs_tol=1e-6)
    still = make.report(old, new, epsilon=0.7)["values"]
    assert still["nfr"]["value"] == still["pfr"]["value"] == 0 and still["mean_gain"]["value"] is None and still["mean_regression"]["value"] is None


def test_exact_ties_of_scores_give_the_golden_wilcoxon(make):
    """The golden D as whole numbers, so that equal falls stay equal in 32 bits."""
    r = make.report(texts(make, [0] * 12), texts(make, [100 * d for d in D]))
    w = r["tests"]["wilcoxon"]
    assert close(w["z"], -0.078780, 6) and close(w["p"], 0.937207, 6) and w["verdict"] == "no_difference_shown"


def test_texts_that_a_judge_found_right(make):
    """Digests tell whether a text changed: right both times and another text is a change, and no flip."""
    said = [("a", "a", 1, 1), ("a", "b", 1, 1), ("c", "d", 1, 0), ("e", "f", 0, 1), ("g", "g", 0, 0), ("h", "i", 0, 0)]
    sets = [make.pack([{"id": f"{i}", "p": hashlib.sha256(row[side].encode()).hexdigest(), "ok": row[2 + side]} for i, row in enumerate(said)],
                      task="generative", metric="judge:x", decode={"temperature": side}) for side in (0, 1)]
    r = make.report(*sets)
    assert r["cells"] == {"a": 2, "a_diff": 1, "b": 1, "c": 1, "d_same": 1, "d_diff": 1}
    assert r["values"]["churn"]["value"] == 4 / 6 and r["values"]["churn_neutral"]["value"] == 2 / 6
    assert [w["code"] for w in r["warnings"]] == ["decode-differs", "labels-unchecked"] and r["confusion_flips"] == []


def test_sets_of_labels_as_a_whole_and_one_by_one(make):
    rng = np.random.default_rng(8)
    y, o, n = (rng.random((150, 70)) < 0.1 for _ in range(3))
    o, n = np.where(rng.random((150, 70)) < 0.97, y, o), np.where(rng.random((150, 70)) < 0.96, y, n)
    names = [f"l{i}" for i in range(70)]
    sets = [make.pack([{"id": f"{i:03}", "y": np.flatnonzero(y[i]).tolist(), "p": np.flatnonzero(p[i]).tolist()} for i in range(150)],
                      task="multilabel", labels=names) for p in (o, n)]
    exact = make.report(*sets)
    right_o, right_n, same = (o == y).all(1), (n == y).all(1), (o == n).all(1)
    assert exact["cells"] == {"a": int((right_o & right_n).sum()), "a_diff": 0, "b": int((right_o & ~right_n).sum()), "c": int((~right_o & right_n).sum()),
                              "d_same": int((~right_o & ~right_n & same).sum()), "d_diff": int((~right_o & ~right_n & ~same).sum())}
    micro = make.report(*sets, multilabel="micro")
    ro, rn = o == y, n == y
    assert micro["cells"] == {"a": int((ro & rn).sum()), "a_diff": 0, "b": int((ro & ~rn).sum()), "c": int((~ro & rn).sum()),
                              "d_same": int((~ro & ~rn).sum()), "d_diff": 0}
    assert micro["n"] == 150 and micro["method_record"]["decisions"] == 10500 and micro["values"]["nfr"]["method"] == "percentile"
    assert math.isclose(micro["values"]["accuracy_new"]["value"], rn.mean(), rel_tol=1e-12)


def test_a_planted_gap_between_groups(make):
    """Two groups of 100: new finds 40 of 50 in one and 20 of 50 in the other, and takes 5 and 10 of the others."""
    rows_old, rows_new = [], []
    for g, hits, false in (("a", 40, 5), ("b", 20, 10)):
        for i in range(100):
            y = int(i < 50)
            p = int(i < hits) if y else int(i - 50 < false)
            row = {"id": f"{g}{i:03}", "y": y, "g": {"group": g}}
            rows_old.append({**row, "p": y})
            rows_new.append({**row, "p": p})
    r = make.report(make.pack(rows_old, labels=["0", "1"]), make.pack(rows_new, labels=["0", "1"]), groups=["group"])
    v = r["values"]
    expected = {"accuracy_gap": 0.85 - 0.60, "tpr_gap": 0.8 - 0.4, "fpr_gap": 0.2 - 0.1, "selection_ratio": 0.30 / 0.45, "nfr_gap": 0.40 - 0.15}
    for name, x in expected.items():
        assert math.isclose(v[name]["value"], x, rel_tol=1e-9), (name, v[name])
        assert v[name]["interval"][0] <= x <= v[name]["interval"][1] and v[name]["method"] == "percentile"
    assert v["nfr_gap"]["interval"][0] > 0.1 and r["groups"][0]["key"] == "group" and r["groups"][0]["values"]["tpr_gap"] == v["tpr_gap"]
    plain = make.report(make.pack(rows_old), make.pack(rows_new))
    assert "nfr_gap" not in plain["values"] and plain["groups"] == []
    assert make.refused(make.pack(rows_old), make.pack(rows_new), "invalid-params", groups=["x"])[0]["pointer"] == "#/params/groups"


def test_probabilities(make):
    rng = np.random.default_rng(9)
    n, k = 300, 4
    y = rng.integers(0, k, n)
    logits = [np.float32(rng.normal(size=(n, k)) + s * np.eye(k)[y]) for s in (1.5, 2.5)]
    p = [np.exp(x.astype(float)) / np.exp(x.astype(float)).sum(1, keepdims=True) for x in logits]

    def rows(side, top=k):
        return [{"id": f"{i:03}", "y": int(y[i]), "p": int(logits[side][i].argmax()), "lp": float(np.float32(np.log(p[side][i, y[i]]))),
                 "top": [[int(c), float(logits[side][i, c])] for c in np.argsort(-logits[side][i])[:top]]} for i in range(n)]

    def ece(q):
        conf, ok = q.max(1), q.argmax(1) == y
        bins = np.minimum(14, (15 * conf).astype(int))
        return sum(abs((ok[bins == b].astype(float) - conf[bins == b]).sum()) for b in range(15)) / n

    labels = list("abcd")
    v = make.report(*[make.pack(rows(s), labels=labels) for s in (0, 1)])["values"]
    nll = [-np.log(q[np.arange(n), y]).mean() for q in p]
    brier = [((q - np.eye(k)[y])**2).sum(1).mean() for q in p]
    assert math.isclose(v["nll_delta"]["value"], nll[1] - nll[0], abs_tol=1e-6)
    assert math.isclose(v["brier_delta"]["value"], brier[1] - brier[0], abs_tol=1e-9)
    assert math.isclose(v["kl_outputs"]["value"], (p[0] * np.log(p[0] / p[1])).sum(1).mean(), abs_tol=1e-9)
    assert math.isclose(v["ece_delta"]["value"], ece(p[1]) - ece(p[0]), abs_tol=1e-6)
    assert all(v[name]["interval"][0] < v[name]["interval"][1] for name in ("nll_delta", "brier_delta", "kl_outputs", "ece_delta"))
    drawn = [make.pack([{**row, "c": f"c{i // 3}", "w": 1 + i % 2, "g": {"k": f"v{i % 3}"}} for i, row in enumerate(rows(s))], labels=labels) for s in (0, 1)]
    one, four = (digests(make.compare(*drawn, threads=t, groups=["k"], bootstrap=500)) for t in (1, 4))
    assert one == four, "what is drawn depends on threads"
    part = make.report(*[make.pack(rows(s, 2), labels=labels) for s in (0, 1)])["values"]
    assert part["kl_outputs"] == {"value": None, "reason": "partial_probabilities"} and part["brier_delta"]["value"] is None
    assert part["nll_delta"] == v["nll_delta"]


# ---- what is not a set ----


def test_damaged_sets_are_told(make, seed):
    rows = [{"id": f"{i:04}", "y": i % 3, "p": i % 2, "c": f"c{i % 9}", "w": 1.5, "lp": -0.5, "g": {"k": f"v{i % 4}"}} for i in range(200)]
    good = make.pack(rows)
    rng, told, short = random.Random(seed), 0, 0
    for turn in range(12):
        bad = make.where("x").parent / "bad"
        which = rng.choice(["packed", "ids"]) if turn > 2 else "packed"
        raw = bytearray(getattr(good, which).read_bytes())
        if turn < 3 or rng.random() < 0.2:
            del raw[rng.randrange(len(raw)):]
            short += which == "packed"
        else:
            for _ in range(rng.choice([1, 8])):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        bad.write_bytes(raw)
        other = type("Other", (), {"packed": good.packed, "ids": good.ids, "header": good.header, "spec": Packed.spec})()
        setattr(other, which, bad)
        ended = make.compare(good, other)
        assert ended.code in (0, 65), (ended.code, ended.log, ended.records)
        told += ended.code == 65 and ended.failed["code"] in ("store-damaged", "dataset-mismatch")
    assert told >= short  # a number may be as good as another one, and ids are read when they are asked for
