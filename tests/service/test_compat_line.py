"""A line of real models, end to end over HTTP: registered, predictions uploaded, compared, gated, promoted, rolled back. The
predictions come from a forward pass in NumPy, and every number that a report, the lineage or a ref's history shows is held to
the rows: counts with NumPy, intervals by the equations of test_compat_reference.py.
"""

import csv
import itertools
import json
import math
import os

import numpy as np
import pytest

import lines
from harness import merge, problem
from test_compat_reference import EPS, Z_ONE, Z_TWO, binomials, brackets, metrics, tango, wilson
from test_evaluate import upload

REFS = "/v1/models/line/digits/refs/"
PAIRS = lines.DATA / "paired-predictions" / "cifar10" / "original_predictions.csv"
NETS = ("resnet20", "resnet32", "resnet44")


def answers(rows):
    """(ids, right or wrong, answer) of the rows of one version, by id."""
    rows = sorted(rows, key=lambda r: r["id"])
    said = np.array([r["p"] for r in rows])
    return [r["id"] for r in rows], said == np.array([r["y"] for r in rows]), said


def cells_of(old, new):
    ids, o, before = answers(old)
    same_ids, n, after = answers(new)
    assert ids == same_ids
    differ = before != after
    masks = (o & n, o & n & differ, o & ~n, n & ~o, ~(o | n) & ~differ, ~(o | n) & differ)
    return [int(np.count_nonzero(m)) for m in masks]


def near(got, want):
    return abs(got - float(want)) < float(EPS)


def check_report(report, old, new):
    """Every number of a report that can be computed without resampling. Returns the cells."""
    cells = cells_of(old, new)
    a, a_diff, b, c, same, different = cells
    n, v = len(old), report["values"]
    assert report["n"] == n and report["ids"] == {"both": n, "old_only": 0, "new_only": 0}
    assert report["cells"] == {"a": a, "a_diff": a_diff, "b": b, "c": c, "d_same": same, "d_diff": different}
    for name, want in metrics(*cells).items():
        assert math.isclose(v[name]["value"], want, rel_tol=1e-12), name
    for name, count in (("accuracy_old", a + b), ("accuracy_new", a + c), ("nfr", b), ("pfr", c)):
        assert all(map(near, v[name]["interval"], wilson(count, n, Z_TWO))), (name, v[name])
    assert all(map(near, (v["nfr"]["lower95"], v["nfr"]["upper95"]), wilson(b, n, Z_ONE)))
    score, delta = tango(b, c, n), v["accuracy_delta"]
    assert brackets(score, delta["interval"][0], Z_TWO) and brackets(score, delta["interval"][1], -Z_TWO)
    assert brackets(score, delta["lower95"], Z_ONE) and brackets(score, delta["upper95"], -Z_ONE)
    for name, want in zip(("p_exact", "p_mid", "p_regression"), binomials(b, c)):
        assert math.isclose(report["tests"]["mcnemar"][name], float(want), rel_tol=1e-9, abs_tol=1e-300), name
    return cells


def redrawn(cells, seed, times=5000):
    """The one-sided 95 % bounds of relative NFR from a bootstrap of NumPy's own: percentiles, so near those of the report."""
    a, _, b, c, same, different = cells
    n = sum(cells) - cells[1]
    d = np.random.default_rng(seed).multinomial(n, np.array([a, b, c, same + different]) / n, times).astype(float)
    return np.quantile(d[:, 1] * n / ((d[:, 0] + d[:, 1]) * (d[:, 1] + d[:, 3])), (0.05, 0.95))


def verdict_of(cells, report):
    """What the policy `default` says, from bounds that were checked above."""
    v = report["values"]
    low, high = redrawn(cells, 5)
    relative = v["relative_nfr"]
    assert abs(relative["lower95"] - low) < 0.02 and abs(relative["upper95"] - high) < 0.02, (relative, low, high)
    worse = v["accuracy_delta"]["upper95"] <= -0.005
    flips = v["nfr"]["upper95"] <= 0.01 or relative["upper95"] <= 0.5
    too_many = v["nfr"]["lower95"] > 0.01 and relative["lower95"] > 0.5
    if worse or too_many:
        return "hold"
    return "promote" if flips and v["accuracy_delta"]["lower95"] > -0.005 else "inconclusive"


# ---- digits: one line of four versions ----


class Line:
    """v1 base, v2 rot90, v3 what amend merges of base + 0.5 x (rot90 + inverted), v4 inverted; and what each says."""

    def __init__(self, client):
        self.digits, self.client = lines.Digits(), client
        folder = lambda name: lines.DIGITS / name
        for name in ("base", "rot90", "inverted"):
            client.register(folder(name), f"parts/{name}")
        for name in ("base", "rot90"):
            client.register(folder(name), "line/digits")
        half = {"weight": 0.5}
        self.merged = client.run(merge("task_arithmetic", [("parts/rot90", half), ("parts/inverted", half)], "line/digits", base="parts/base"))
        client.register(folder("inverted"), "line/digits")
        self.commits = [client.version(f"line/digits@v{i}")["commit"] for i in (1, 2, 3, 4)]
        self.rows = []
        for i in (1, 2, 3, 4):  # what the service has, not what it was given
            files = client.files(f"line/digits@v{i}")
            (path,) = [p for p in files if p.endswith(".safetensors")]
            self.rows.append(self.digits.rows(lines.load_tensors(client.download(f"line/digits@v{i}", path))))
            upload(client, self.rows[-1], f"line/digits@v{i}", "digits-test", labels=[str(k) for k in range(10)])

    def evaluate(self, old, new, **more):
        """(report, decision) of versions by number."""
        inputs = {"old": f"line/digits@v{old}", "new": f"line/digits@v{new}", "data": {"external": "digits-test"}}
        job = self.client.wait(self.client.submit({"type": "evaluate", "method": "compare", "inputs": inputs, **more}))
        assert job["status"] == "succeeded", job
        decision = job["result"]["decision"]
        return self.client.ok("/v1/reports/" + job["result"]["reports"][0]), decision and self.client.ok("/v1/decisions/" + decision["id"])

    def ref(self):
        return self.client.ok(REFS + "prod")

    def rollback(self):
        answer = self.client.post(REFS + "prod/rollback", {"reason": "night"}, headers={"If-Match": f'"{self.ref()["revision"]}"'})
        assert answer.status_code == 200, answer.text
        return answer.json()["commit"]


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    return lines.DIGITS


@pytest.fixture(scope="module")
def line(client):
    return Line(client)


def test_the_line_from_upload_to_rollback(line):
    c, accuracy = line.client, [answers(r)[1].mean() for r in line.rows]
    table = {"base": (93.6, 11.2, 2.4, 13.8), "rot90": (94.4, 92.0, 14.0, 6.4), "inverted": (93.8, 16.6, 93.0, 10.6)}
    for i, name in ((0, "base"), (1, "rot90"), (3, "inverted")):
        assert accuracy[i] == pytest.approx(np.mean(table[name]) / 100, abs=1e-12), "examples/digits/README.md"
    # prod starts at the base and asks the gate
    assert c.request("PUT", REFS + "prod", json={"to": "v1"}, headers={"If-None-Match": "*"}).status_code == 201
    guarded = c.request("PATCH", REFS + "prod", json={"policy": {"protected": True, "gate": "default"}}, headers={"If-Match": '"1"'})
    assert guarded.status_code == 200
    moves = {"move": [{"ref": "prod", "to": "new", "when": "promote"}]}
    seen = {}
    for old, new, expected in ((1, 2, "promote"), (2, 3, "promote"), (3, 4, "hold")):
        report, decision = line.evaluate(old, new, gate="default", publish=moves)
        cells = check_report(report, line.rows[old - 1], line.rows[new - 1])
        assert decision["verdict"] == verdict_of(cells, report) == expected, decision["rules"]
        assert (report["old"], report["new"]) == (line.commits[old - 1], line.commits[new - 1])
        assert line.ref()["commit"] == line.commits[new - 1 if expected == "promote" else old - 1]
        values = {r["id"]: r["value"] for r in decision["rules"] if r["id"] in ("non-inferior", "nfr")}
        assert values["non-inferior"] == report["values"]["accuracy_delta"]["value"]
        seen[new] = (report, decision, cells)
    # what is held does not move by hand either, and says why
    told = problem(c.request("PUT", REFS + "prod", json={"to": "v4"}, headers={"If-Match": f'"{line.ref()["revision"]}"'}), 409, "gate-refused")
    assert told["decision"]["id"] == seen[4][1]["id"]
    # two rollbacks go back two steps
    assert line.rollback() == line.commits[1] and line.rollback() == line.commits[0]
    history = c.all(REFS + "prod/history")
    assert [(h["kind"], h["to_number"], h["decision"]) for h in history] == [
        ("rollback", 1, None), ("rollback", 2, None), ("move", 3, seen[3][1]["id"]), ("move", 2, seen[2][1]["id"]), ("create", 1, None)]
    for h in history:
        if h["decision"]:
            report, decision, cells = seen[h["to_number"]]
            behind = c.ok("/v1/reports/" + c.ok("/v1/decisions/" + h["decision"])["report"])
            assert behind["id"] == report["id"] and behind["cells"]["b"] == cells[2] and h["job"] == report["job"]
    # the lineage shows the numbers on the line's own edges
    graph = c.ok("/v1/models/line/digits/lineage?rev=v4")
    edges = {(e["from"], e["to"]): e["report"] for e in graph["edges"] if e["role"] == "commit"}
    for old, new in ((1, 2), (2, 3), (3, 4)):
        shown = edges[line.commits[old - 1], line.commits[new - 1]]
        cells = seen[new][2]
        assert shown["id"] == seen[new][0]["id"] and (shown["b"], shown["c"], shown["n"]) == (cells[2], cells[3], 2000)
        assert math.isclose(shown["values"]["nfr"]["value"], cells[2] / 2000, rel_tol=1e-12)
    # the run that made each version tells what the gate said of it, as OpenLineage's `test` facet has it
    runs = {}
    for event in map(json.loads, c.get("/v1/models/line/digits/lineage?rev=v4&format=openlineage").text.splitlines()):
        runs[event["outputs"][0]["facets"]["version"]["datasetVersion"]] = event["run"]["facets"]
    assert "test" not in runs[line.commits[0]], "nothing was decided about the first"
    for number, (_, decision, _) in seen.items():
        facet = runs[line.commits[number - 1]]["test"]
        assert facet["_schemaURL"].endswith("/TestRunFacet.json") and "://" in facet["_schemaURL"] and facet["_producer"]
        said = {"pass": "pass", "skipped": "skip", "fail": "fail", "inconclusive": "fail"}
        rules = [(r["id"], said[r["outcome"]]) for r in decision["rules"]]
        assert [(t["params"]["rule"], t["status"]) for t in facet["tests"]] == rules
        flips = next(t for t in facet["tests"] if t["params"]["rule"] == "non-inferior")
        rule = next(r for r in decision["rules"] if r["id"] == "non-inferior")
        assert (flips["name"], flips["type"], flips["expected"]) == ("accuracy_delta", "gate", ">-0.005")
        assert float(flips["actual"]) == rule["value"] and flips["description"].endswith(rule["text"])
    rate = [t for t in c.get("/metrics").text.splitlines() if t.startswith('amendd_compat_negative_flip_rate{model="line/digits"')]
    assert [float(t.split()[-1]) for t in rate] == [pytest.approx(seen[3][2][2] / 2000, rel=1e-6)], "of the last promotion"


@pytest.mark.slow
def test_what_the_line_learned_and_forgot(line):
    """evaluate/continual over v1, v2 and v3 with their three tasks, against accuracies in NumPy."""
    c, tasks = line.client, ["plain", "rot90", "inverted"]
    right = [[None] * 3 for _ in range(3)]
    for i in range(3):
        for j, task in enumerate(tasks):
            rows = [r for r in line.rows[i] if r["g"]["task"] == task]
            upload(c, rows, f"line/digits@v{i + 1}", f"digits-{task}")
            right[i][j] = answers(rows)[1]
    inputs = {"versions": [f"line/digits@v{i}" for i in (1, 2, 3)], "tasks": [{"external": f"digits-{t}", "random": 0.1} for t in tasks]}
    job = c.wait(c.submit({"type": "evaluate", "method": "continual", "inputs": inputs}))
    assert job["status"] == "succeeded", job
    report = c.ok("/v1/reports/" + job["result"]["reports"][0])
    r = np.array([[cell.mean() for cell in row] for row in right])
    assert np.array([[cell["value"] for cell in row] for row in report["matrix"]]) == pytest.approx(r, abs=1e-12)
    assert r[0, 0] == pytest.approx(0.936) and r[1, 1] == pytest.approx(0.92), "examples/digits/README.md"
    broken = [(right[0][0] & ~right[1][0]).sum() / 500, sum((right[1][j] & ~right[2][j]).sum() for j in (0, 1)) / 1000]
    want = {"average_incremental": (r[0, 0] + r[1, :2].mean() + r[2].mean()) / 3, "final_average": r[2].mean(),
            "bwt": (r[2, 0] - r[0, 0] + r[2, 1] - r[1, 1]) / 2, "fwt": (r[0, 1] + r[1, 2]) / 2 - 0.1,
            "forgetting": (r[:, 0].max() - r[2, 0] + r[1:, 1].max() - r[2, 1]) / 2, "nfr_per_update": np.mean(broken)}
    assert {k: report["values"][k]["value"] for k in want} == pytest.approx(want, abs=1e-12)


# ---- slower: residual networks on CIFAR-10, and all pairs of 30 networks ----


def needs(path):
    return pytest.mark.skipif(not path.exists() and os.environ.get("REQUIRE_DATA") != "1", reason=f"no {path}; set AMEND_DATA")


@pytest.mark.slow
@pytest.mark.timeout(300)
@needs(lines.DATA / "cifar10-resnets" / "resnet20.safetensors")
def test_residual_networks(launch, tmp_path):
    """The three networks as one line: 1,000 images of the test set through their real weights."""
    images, labels = lines.cifar10(1000)
    expected = lines.load_tensors((lines.DATA / "cifar10-resnets" / "expected_logits_first32.safetensors").read_bytes())
    c, said = launch(root=tmp_path).client, []
    for i, net in enumerate(NETS, 1):
        folder = tmp_path / net
        folder.mkdir()
        (folder / "model.safetensors").write_bytes((lines.DATA / "cifar10-resnets" / f"{net}.safetensors").read_bytes())
        c.register(folder, "line/resnet")
        logits = lines.resnet_logits(net, images)
        assert np.abs(logits[:32] - expected[net]).max() < 1e-4
        said.append([{"id": f"{k:05d}", "y": int(y), "p": int(p)} for k, (y, p) in enumerate(zip(labels, logits.argmax(1)))])
        upload(c, said[-1], f"line/resnet@v{i}", "cifar10-jpeg")
    at = "/v1/models/line/resnet/refs/prod"
    c.request("PUT", at, json={"to": "v1"}, headers={"If-None-Match": "*"})
    for new in (2, 3):
        inputs = {"old": f"line/resnet@v{new - 1}", "new": f"line/resnet@v{new}", "data": {"external": "cifar10-jpeg"}}
        job = c.wait(c.submit({"type": "evaluate", "method": "compare", "inputs": inputs, "gate": {"nfr_max": 0.2},
                               "publish": {"move": [{"ref": "prod", "to": "new", "when": "promote"}]}}))
        report = c.ok("/v1/reports/" + job["result"]["reports"][0])
        cells = check_report(report, said[new - 2], said[new - 1])
        assert 0.03 < cells[2] / 1000 < 0.12, "6.1 % and 6.5 % of all 10,000"
        assert job["result"]["decision"]["verdict"] == "promote" and c.ok(at)["commit"] == c.version(f"line/resnet@v{new}")["commit"]
    back = c.post(at + "/rollback", {"reason": "night"}, headers={"If-Match": '"3"'})
    assert back.json()["commit"] == c.version("line/resnet@v2")["commit"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@needs(PAIRS)
def test_all_pairs_of_thirty_networks(client):
    """870 reports over HTTP, each held to the rows."""
    with open(PAIRS, newline="") as f:
        table = list(csv.DictReader(f))
    names = [k for k in table[0] if k not in ("index", "label")]
    assert len(names) == 30
    rows = {k: [{"id": f"{int(r['index']):05d}", "y": int(r["label"]), "p": int(r[k])} for r in table] for k in names}
    sets = {k: upload(client, rows[k], {"external": k}, "cifar10-test")["id"] for k in names}
    jobs = {}
    for old, new in itertools.permutations(names, 2):
        inputs = {"old_predictions": sets[old], "new_predictions": sets[new]}
        jobs[old, new] = client.submit({"type": "evaluate", "method": "compare", "inputs": inputs, "params": {"bootstrap": 200}})
        if len(jobs) % 30 == 0:
            client.wait(jobs[old, new], 300)
    assert len(jobs) == 870
    for (old, new), uid in jobs.items():
        job = client.wait(uid, 300)
        assert job["status"] == "succeeded", job
        check_report(client.ok("/v1/reports/" + job["result"]["reports"][0]), rows[old], rows[new])
