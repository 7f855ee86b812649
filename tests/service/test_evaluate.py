"""Evaluate jobs and reports over HTTP: two prediction sets in, a report out. Expected numbers come from the rows, counted here
in Python, and for the real pair from the shared data (the golden table of the specification)."""

import concurrent.futures
import csv
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

import reference as ref
from harness import SANITIZED, problem
from test_predictions import header, pushed, text

REPO = Path(__file__).resolve().parents[2]
PAIRS = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data")) / "paired-predictions" / "cifar10" / "original_predictions.csv"
MODELS = ("resnet_basic_32", "resnet_basic_44")


def make_pair(seed, n=400):
    """Rows of an old and a new model on the same samples; about a tenth of either is wrong."""
    rng = random.Random(seed)
    old, new = [], []
    for i in range(n):
        y, more = rng.randrange(5), {"g": {"source": rng.choice("abc")}, "lp": -round(rng.random(), 3)}
        say = lambda: y if rng.random() < 0.9 else rng.randrange(5)
        old.append({"id": f"s{i:05d}", "y": y, "p": say(), **more})
        new.append({"id": f"s{i:05d}", "y": y, "p": say(), **more, "lp": -round(rng.random(), 3)})
    return old, new


def cell(a, b):
    right = (a["y"] == a["p"], b["y"] == b["p"])
    return {(True, True): "both_right", (True, False): "negative", (False, True): "positive", (False, False): "both_wrong"}[right]


def upload(client, rows, version, dataset="held-out", **more):
    return pushed(client, header(len(rows), version=version, dataset={"external": dataset}, **more), rows)


def body(old, new, **more):
    return {"type": "evaluate", "method": "compare", "inputs": {"old_predictions": old["id"], "new_predictions": new["id"]}, **more}


def evaluate(client, *args, **more):
    """The report of a job that succeeds, and the job."""
    job = client.wait(client.submit(body(*args, **more)))
    assert job["status"] == "succeeded", json.dumps(job, indent=1)
    return client.ok("/v1/reports/" + job["result"]["reports"][0]), job


@pytest.fixture(scope="module")
def versions(client, roots):
    for i in (1, 2):
        client.register(ref.write(roots / f"ev{i}", {"w": ref.tensor("F32", np.arange(4) * i)}), "ev/m")
    return [client.version(f"ev/m@v{i}")["commit"] for i in (1, 2)]


@pytest.fixture(scope="module")
def pair(client, versions):
    """(rows, rows, set, set, report, job) of two versions that are here."""
    old, new = make_pair(7)
    sets = [upload(client, rows, f"ev/m@v{i}") for i, rows in ((1, old), (2, new))]
    return old, new, *sets, *evaluate(client, *sets)


def test_report_counts_what_the_rows_say(client, pair, versions):
    old, new, a, b, report, job = pair
    cells = [cell(x, y) for x, y in zip(old, new)]
    n, count = len(old), {c: cells.count(c) for c in set(cells)}
    assert report["cells"]["b"] == count["negative"] and report["cells"]["c"] == count["positive"]
    assert report["cells"]["a"] == count["both_right"] and report["n"] == n
    assert report["values"]["nfr"]["value"] == pytest.approx(count["negative"] / n, abs=1e-12)
    assert (report["old"], report["new"]) == tuple(versions) and report["dataset"] == "held-out"
    assert report["old_version"] == {"model": "ev/m", "commit": versions[0], "number": 1}
    assert (report["old_predictions"], report["new_predictions"]) == (a["id"], b["id"])
    assert report["job"] == job["id"] and report["decision"] is None
    result = job["result"]
    assert result["version"] is None and result["published"] and result["refs"] == [] and result["decision"] is None
    assert SANITIZED or job["plan"]["peak_memory_bytes"] >= result["measured"]["peak_memory_bytes"] > 0
    assert job["plan"]["read_bytes"] == result["measured"]["read_bytes"]
    events = [(e["type"], e["subject"], e["model"]) for e in client.all("/v1/events?topic=reports")]
    assert ("report.created", report["id"], "ev/m") in events
    assert "report.created" in [e["type"] for e in client.all(f"/v1/jobs/{job['id']}/events")]
    got = client.get("/v1/reports/" + report["id"])
    assert client.get("/v1/reports/" + report["id"], headers={"If-None-Match": got.headers["ETag"]}).status_code == 304


def test_slices_and_samples_by_page(client, pair):
    old, new, _, _, report, _ = pair
    at = "/v1/reports/" + report["id"]
    slices = client.all(at + "/slices?limit=3")
    assert [s["row"] for s in slices] == list(range(report["slices"]))
    assert [(s["key"], s["value"]) for s in slices] == sorted((s["key"], s["value"]) for s in slices)
    for s in slices:
        inside = [(x, y) for x, y in zip(old, new) if s["value"] == (str(x["y"]) if s["key"] == "label" else x["g"][s["key"]])]
        flips = [cell(x, y) for x, y in inside]
        assert (s["n"], s["b"], s["c"]) == (len(inside), flips.count("negative"), flips.count("positive")), s
    everything = client.all(at + "/samples?limit=90")
    assert [s["row"] for s in everything] == list(range(len(old)))
    for s, x, y in zip(everything, old, new):
        assert (s["id"], s["label"], s["before"], s["after"]) == (x["id"], x["y"], x["p"], y["p"])
        assert (s["cell"], s["changed"], s["slices"]) == (cell(x, y), x["p"] != y["p"], x["g"])
        assert s["lp_before"] == pytest.approx(x["lp"], abs=1e-6) and s["lp_after"] == pytest.approx(y["lp"], abs=1e-6)
    for name in ("both_right", "negative", "positive", "both_wrong"):
        want = [x["id"] for x, y in zip(old, new) if cell(x, y) == name]
        assert [s["id"] for s in client.all(f"{at}/samples?cell={name}&limit=7")] == want
    want = [x["id"] for x, y in zip(old, new) if x["p"] != y["p"]]
    assert [s["id"] for s in client.all(f"{at}/samples?cell=changed")] == want
    want = [x["id"] for x, y in zip(old, new) if cell(x, y) == "negative" and x["g"]["source"] == "b"]
    assert [s["id"] for s in client.all(f"{at}/samples?cell=negative&slice=source=b&limit=2")] == want and want
    want = [x["id"] for x in old if x["y"] == 3]
    assert [s["id"] for s in client.all(f"{at}/samples?slice=label=3&limit=50")] == want
    assert problem(client.get(at + "/samples?cell=wrong"), 400, "invalid-request")["errors"][0]["pointer"] == "?cell"
    for slice in ("source=z", "none=1", "label=x", "source"):
        assert problem(client.get(f"{at}/samples?slice={slice}"), 400, "invalid-request")["errors"][0]["pointer"] == "?slice"
    for path in ("", "/slices", "/samples"):
        problem(client.get("/v1/reports/rep_" + "0" * 32 + path), 404, "not-found")


def test_lists_filter_on_either_side(client, pair, versions):
    _, _, a, b, report, job = pair
    back, second = evaluate(client, b, a)
    ids = lambda q: [r["id"] for r in client.all("/v1/reports?" + q)]
    assert set(ids("version=ev/m@v1&limit=1")) >= {report["id"], back["id"]}
    assert report["id"] in ids("old=ev/m@v1") and back["id"] not in ids("old=ev/m@v1")
    assert back["id"] in ids("new=ev/m@" + versions[0]) and report["id"] not in ids("new=ev/m@" + versions[0])
    assert ids(f"job={job['id']}") == [report["id"]] and ids(f"job={second['id']}&method=compare&dataset=held-out") == [back["id"]]
    assert ids("dataset=none") == ids("version=external:none") == ids("method=none") == []
    problem(client.get("/v1/reports?version=ev/none"), 404, "not-found")
    one = next(r for r in client.all("/v1/reports") if r["id"] == report["id"])
    assert one["values"]["nfr"]["value"] == report["values"]["nfr"]["value"]
    assert one["values"]["nfr"]["interval"] == report["values"]["nfr"]["interval"]
    assert (one["b"], one["c"], one["n"]) == (report["cells"]["b"], report["cells"]["c"], report["n"])
    assert one["p_mid"] == report["tests"]["mcnemar"]["p_mid"]
    # the sides in the other order: flips change their direction and nothing else
    assert (back["cells"]["b"], back["cells"]["c"]) == (report["cells"]["c"], report["cells"]["b"])


def test_by_version_and_data_and_what_is_missing(client, pair, versions):
    _, _, a, b, report, _ = pair
    inputs = {"old": "ev/m@v1", "new": "ev/m@v2", "data": {"external": "held-out"}}
    job = client.wait(client.submit({"type": "evaluate", "method": "compare", "inputs": inputs, "options": {"reuse": False}}))
    again = client.ok("/v1/reports/" + job["result"]["reports"][0])
    assert again["sha256"] == report["sha256"], "named otherwise, the same report"
    newer = upload(client, make_pair(8)[1], "ev/m@v2")  # the newest set of a version counts
    plan = client.post("/v1/plans", {"type": "evaluate", "method": "compare", "inputs": inputs}).json()
    assert plan["ok"] and [i["predictions"] for i in plan["resolved"]["inputs"]] == [a["id"], newer["id"]]
    client.request("DELETE", "/v1/predictions/" + newer["id"], headers={"If-Match": f'"{newer["id"]}"'})
    missing = {"type": "evaluate", "method": "compare", "inputs": {**inputs, "data": {"external": "elsewhere"}}}
    doc = problem(client.post("/v1/jobs", missing), 409, "predictions-missing")
    assert [e["pointer"] for e in doc["errors"]] == ["#/inputs/old", "#/inputs/new"]
    assert "POST /v1/predictions" in doc["errors"][0]["detail"] and "ev/m@v1" in doc["errors"][0]["detail"]
    other = upload(client, make_pair(7)[1], "ev/m@v2", dataset="elsewhere")
    doc = problem(client.post("/v1/jobs", body(a, other)), 409, "dataset-mismatch")
    assert doc["errors"][0]["pointer"] == "#/inputs/new_predictions"
    scores = pushed(client, header(2, "generative", metric="rouge1", dataset={"external": "held-out"}), [{"id": "x", "s": 0.5}, {"id": "y", "s": 1}])
    problem(client.post("/v1/jobs", body(a, scores)), 422, "invalid-params")


def test_seven_faults_seven_pointers(client, pair):
    bad = {
        "type": "evaluate",
        "method": "compare",
        "inputs": {"old_predictions": "prd_1", "new_predictions": 5},
        "params": {"bootstrap": 7, "slice": ["a"]},
        "gate": {"policy": "no such", "against": "ev/m@v1"},
        "options": {"out_dtype": "F32"},
        "publish": {"model": "ev/m", "move": [{"ref": "-x", "to": "old", "when": "now"}]},
    }
    doc = client.post("/v1/jobs", bad).json()
    assert [e["pointer"] for e in doc["errors"]] == [
        "#/inputs/old_predictions", "#/inputs/new_predictions", "#/params/bootstrap", "#/params/slice", "#/gate/policy", "#/gate/against",
        "#/options/out_dtype", "#/publish/model", "#/publish/move/0/ref", "#/publish/move/0/to", "#/publish/move/0/when",
    ]
    plan = client.post("/v1/plans", bad).json()
    assert plan["ok"] is False and len(plan["refusals"]) == 11
    a, b = pair[2:4]
    for inputs, pointer in (({}, "#/inputs"), ({"old": "ev/m", "new_predictions": b["id"]}, "#/inputs"), ({"old": "ev/m", "new": "ev/m"}, "#/inputs/data")):
        doc = client.post("/v1/jobs", {**body(a, b), "inputs": inputs}).json()
        assert [e["pointer"] for e in doc["errors"]] == [pointer], doc
    gone = problem(client.post("/v1/jobs", body(a, {"id": "prd_" + "0" * 32})), 404, "not-found")
    assert gone["errors"][0]["pointer"] == "#/inputs/new_predictions"
    doc = problem(client.post("/v1/jobs", body(a, b, publish={"move": [{"ref": "prod"}]})), 422, "missing-input")
    assert doc["errors"][0]["pointer"] == "#/publish/move/0"


def test_reuse_rerun_and_retry(client, pair):
    _, _, a, b, first, _ = pair
    report, job = evaluate(client, a, b, options={"seed": 9})
    same = body(a, b, options={"seed": 9})
    at_once = client.job(client.submit(same))
    assert at_once["status"] == "succeeded" and at_once["result"]["reports"] == [report["id"]]
    assert at_once["result"]["reused_from"] == job["id"] and at_once["attempt"] == 1
    assert client.post("/v1/plans", same).json()["cached"] == {"job": job["id"], "report": report["id"]}
    before = len(client.all("/v1/reports"))
    rerun = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert rerun["result"]["reproduced"] is True and rerun["result"]["reports"] == [] and rerun["rerun_of"] == job["id"]
    assert rerun["result"]["reproduction"]["report"] == report["id"] and len(client.all("/v1/reports")) == before
    again = client.wait(client.post(f"/v1/jobs/{rerun['id']}/rerun").json()["id"])
    assert again["rerun_of"] == job["id"] and again["result"]["reproduced"] is True
    recipe = client.wait(client.submit(job["resolved"]))
    assert recipe["result"]["reproduced"] is True
    published = client.post(f"/v1/jobs/{job['id']}/rerun", {"publish": {}}).json()
    made = client.ok("/v1/reports/" + client.wait(published["id"])["result"]["reports"][0])
    assert made["id"] != report["id"] and made["sha256"] == report["sha256"]
    retry = client.wait(client.post(f"/v1/jobs/{job['id']}/retry").json()["id"])
    assert retry["status"] == "succeeded" and retry["retry_of"] == job["id"]
    assert first["sha256"] != report["sha256"] and first["cells"] == report["cells"], "the seed is of the bootstrap alone"
    one = evaluate(client, a, b, options={"seed": 9, "threads": 1, "reuse": False})[0]
    assert one["sha256"] == report["sha256"], "threads change no byte"


def alike(seed, n=800, negative=2, positive=6):
    """Rows of two models that differ in so many samples only."""
    old = [{"id": f"s{i:05d}", "y": 1, "p": 1 if i % 20 else 0} for i in range(n)]
    new = [dict(r) for r in old]
    right, wrong = ([i for i in range(n) if bool(i % 20) == want] for want in (True, False))
    rng = random.Random(seed)
    for i in rng.sample(right, negative):
        new[i]["p"] = 0
    for i in rng.sample(wrong, positive):
        new[i]["p"] = 1
    return old, new


def test_promotion_in_one_call(client, versions):
    """Compare, decide, move: all in the transaction of the report."""
    old, new = alike(1)
    bad = [{**r, "p": 0} if i % 5 == 1 else r for i, r in enumerate(old)]
    a, b, c = (upload(client, rows, f"ev/m@v{v}", "promotion") for rows, v in ((old, 1), (new, 2), (bad, 2)))
    at = "/v1/models/ev/m/refs/"
    client.request("PUT", at + "prod", json={"to": "v1", "from": None})
    client.request("PATCH", at + "prod", json={"policy": {"protected": True, "gate": "default"}}, headers={"If-Match": client.get(at + "prod").headers["ETag"]})
    moves = {"move": [{"ref": "prod", "to": "new", "when": "promote"}, {"ref": "canary", "when": "always"}]}
    report, held = evaluate(client, a, c, gate="default", publish=moves)
    assert held["result"]["decision"]["verdict"] == "hold" and report["decision"] == held["result"]["decision"]
    assert held["result"]["refs"] == [{"ref": "canary", "from": None, "to": versions[1]}], "the gate says nothing about this one"
    assert client.ok(at + "prod")["commit"] == versions[0]
    plan = client.post("/v1/plans", body(a, b, gate="default@1")).json()
    assert plan["resolved"]["gate"]["gate"] == "default@1" and plan["cached"] is None
    report, job = evaluate(client, a, b, gate={"policy": "default"}, publish=moves)
    decision = client.ok("/v1/decisions/" + job["result"]["decision"]["id"])
    assert (decision["verdict"], decision["gate"], decision["report"], decision["job"]) == ("promote", "default@1", report["id"], job["id"])
    assert job["result"]["refs"] == [{"ref": "prod", "from": versions[0], "to": versions[1]}]
    assert client.ok(at + "prod")["commit"] == versions[1]
    last = client.ok(at + "prod/history")["data"][0]
    assert (last["decision"], last["job"]) == (decision["id"], job["id"])
    problem(client.request("DELETE", "/v1/reports/" + report["id"], headers={"If-Match": "*"}), 409, "conflict")
    # prod stands at the new version by now: a decision about another step does not move it
    back, again = evaluate(client, b, a, gate={"nfr_max": 0.5, "min_samples": 1}, publish={"move": [{"ref": "prod"}, {"ref": "canary"}]})
    assert again["result"]["decision"]["verdict"] == "promote" and again["result"]["refs"] == [{"ref": "canary", "from": versions[1], "to": versions[0]}]
    assert [w["code"] for w in again["warnings"]] == ["ref-stays"] and "default" in again["warnings"][0]["detail"]
    third, stale = evaluate(client, a, b, gate={"nfr_max": 0.5, "min_samples": 1}, publish={"move": [{"ref": "canary"}]}, options={"seed": 4})
    assert stale["result"]["refs"][0]["to"] == versions[1]
    fourth, stale = evaluate(client, a, b, gate={"nfr_max": 0.5, "min_samples": 1}, publish={"move": [{"ref": "canary"}]}, options={"seed": 5})
    assert stale["result"]["refs"] == [] and stale["warnings"] == [], "it is there already"
    rerun = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert rerun["result"]["reproduced"] is True and rerun["result"]["decision"] is None and rerun["result"]["refs"] == []
    doc = problem(client.post("/v1/jobs", body(a, b, gate="defaul")), 404, "not-found")
    assert doc["errors"][0]["pointer"] == "#/gate"
    problem(client.post("/v1/jobs", body(a, b, gate="default@7")), 404, "not-found")
    few = [upload(client, rows[:250], f"ev/m@v{i}", "few") for i, rows in ((1, old), (2, new))]
    doc = problem(client.post("/v1/jobs", body(*few, gate="default")), 422, "invalid-params")
    assert "250 samples" in doc["errors"][0]["detail"]
    doc = client.post("/v1/jobs", body(a, b, gate={"nfr_mx": 1, "rules": [{"id": "x", "value": "nfr", "bound": "up"}]})).json()
    assert doc["status"] == 400 and all(e["pointer"].startswith("#/gate/") for e in doc["errors"]) and len(doc["errors"]) >= 2
    # what the version's own answer says
    seen = client.ok("/v1/models/ev/m/versions/v2")["compatibility"]
    assert [s["id"] for s in seen] == [fourth["id"]] and seen[0]["decision"]["verdict"] == "promote"
    assert client.ok("/v1/models/ev/m/versions/v1")["compatibility"][0]["id"] == back["id"]


def test_beside_the_edge_of_the_lineage(client, versions, roots):
    made = client.run({"type": "edit", "method": "sparsify", "inputs": {"model": "ev/m@v2"}, "params": {"sparsity": 0.5}, "publish": {"branch": "thin"}})
    edges = lambda: client.ok(f"/v1/models/ev/m/lineage?rev={made.split('@')[1]}")["edges"]
    assert edges()[0]["report"] is None
    etag = client.get(f"/v1/models/ev/m/versions/{made.split('@')[1]}").headers["ETag"]
    old, new = alike(2)
    report, _ = evaluate(client, upload(client, old, "ev/m@v2", "thin"), upload(client, new, made, "thin"))
    assert (edges()[0]["report"]["id"], edges()[0]["report"]["b"], edges()[0]["report"]["values"]["nfr"]["value"]) == (report["id"], 2, 2 / 800)
    assert "NFR 0.25%" in client.get(f"/v1/models/ev/m/lineage?rev={made.split('@')[1]}&format=mermaid").text
    now = client.get(f"/v1/models/ev/m/versions/{made.split('@')[1]}")
    assert now.headers["ETag"] != etag and now.json()["compatibility"][0]["old"] == versions[1]


def test_delete(client, pair):
    _, _, a, b, _, _ = pair
    report, job = evaluate(client, a, b, options={"seed": 77})
    at = "/v1/reports/" + report["id"]
    problem(client.request("DELETE", at), 428, "precondition-required")
    problem(client.request("DELETE", at, headers={"If-Match": '"x"'}), 412, "precondition-failed")
    etag = client.get(at).headers["ETag"]
    assert client.request("DELETE", at, headers={"If-Match": etag}).json() == report
    problem(client.get(at), 404, "not-found")
    problem(client.get(at + "/samples"), 404, "not-found")
    problem(client.post(f"/v1/jobs/{job['id']}/rerun"), 409, "conflict")
    assert client.wait(client.post(f"/v1/jobs/{job['id']}/retry").json()["id"])["result"]["reports"] != [report["id"]]
    assert [e["type"] for e in client.all("/v1/events?topic=reports") if e["subject"] == report["id"]] == ["report.created", "report.deleted"]


@pytest.mark.slow
def test_gc_keeps_what_a_report_names_and_a_job_in_the_middle_of_a_restart(launch):
    d = launch("--store.gc_grace=0")
    old, new = make_pair(3, 60)
    a, b = (pushed(d.client, header(60, seed=i), rows) for i, rows in enumerate((old, new)))
    report, _ = evaluate(d.client, a, b)
    uid = d.client.submit(body(a, b, options={"seed": 1, "reuse": False}))
    d.kill()
    d.start()
    job = d.client.wait(uid)
    assert job["status"] == "succeeded" and len(job["result"]["reports"]) == 1
    assert len(d.client.all("/v1/reports")) == 2, "nothing is published twice"
    gone = d.client.ok("/v1/reports/" + job["result"]["reports"][0])
    d.client.request("DELETE", "/v1/reports/" + gone["id"], headers={"If-Match": f'"{gone["id"]}"'})
    for kind in ("gc", "verify"):
        task = d.client.wait(d.client.post("/v1/admin/tasks", {"kind": kind}).json()["id"])
        assert task["status"] == "succeeded" and not task["result"].get("damaged_total"), task
    named = {s[k]["sha256"] for s in (a, b) for k in ("upload", "packed", "dictionary")} | {f["sha256"] for f in report["files"].values()}
    assert set(d.blobs()) == named
    assert len(d.client.all(f"/v1/reports/{report['id']}/samples")) == 60


def test_two_clients_at_once(client, pair):
    _, _, a, b, _, _ = pair
    run = lambda seed: evaluate(client.__class__(client.url), a, b, options={"seed": seed})[0]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = list(pool.map(run, (101, 102, 101, 102)))
    assert len({m["sha256"] for m in made}) == 2, "the seed alone decides"


@pytest.mark.skipif(not PAIRS.exists(), reason="the shared predictions are not here")
def test_real_networks(client):
    table = list(csv.DictReader(PAIRS.open()))
    rows = [[{"id": r["index"], "y": int(r["label"]), "p": int(r[m])} for r in table] for m in MODELS]
    sets = [upload(client, r, {"external": m}, "cifar10-test") for r, m in zip(rows, MODELS)]
    report, job = evaluate(client, *sets)
    assert report["cells"] == {"a": 8958, "a_diff": 0, "b": 294, "c": 343, "d_same": 306, "d_diff": 99}
    assert (report["old"], report["new"], report["old_version"]) == (*MODELS, None)
    assert report["values"]["nfr"]["interval"] == pytest.approx([0.026266, 0.032896], abs=5e-7)
    at = f"/v1/reports/{report['id']}"
    assert [s["id"] for s in client.ok(at + "/samples?cell=negative&limit=10")["data"]] == sorted(
        (r["index"] for r in table if r["label"] == r[MODELS[0]] != r[MODELS[1]]), key=str.encode
    )[:10]
    five = next(s for s in client.all(at + "/slices") if (s["key"], s["value"]) == ("label", "5"))
    assert (five["n"], five["b"], five["c"]) == (1000, 34, 61) and five["p_mid"] == pytest.approx(0.005573, abs=5e-7)
    assert [r["id"] for r in client.all("/v1/reports?version=external:resnet_basic_44")] == [report["id"]]
