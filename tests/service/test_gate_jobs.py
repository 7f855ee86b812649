"""Gates of jobs that make versions: the worker compares what the job names, decides, and one transaction publishes version,
report, decision and refs, or keeps the version apart. What should happen comes from the specification (api.md 4.3 and 4.4,
compat.md 8.4 and 9); rates are counted from the rows that are uploaded here."""

import hashlib
import time

import numpy as np
import pytest

import reference as ref
from harness import problem
from test_gates import put, rows_of
from test_predictions import header, pushed

GOOD, BAD = (540, 0, 0, 60), (363, 477, 139, 21)


def upload(client, rows, version, data="held-out"):
    return pushed(client, header(len(rows), version=version, dataset={"external": data}), rows)["id"]


class Made:
    """a/base@v1 and a/one@v1 are here, and gated/old: main is their merge with lambda .25, `trial` that with .5, of which
    there are predictions. Merges go to a model of their own for each test."""

    def __init__(self, client, folder):
        self.client, self.n = client, 0
        for i, name in enumerate(("base", "one")):
            client.register(ref.write(folder / f"gj-{name}", {"w": ref.tensor("F32", np.arange(64) * (i + 1.0))}), f"a/{name}")
        self.old = self.run("gated/old", 0.25)["result"]["version"]["commit"]
        self.trial = self.run("gated/old", 0.5, branch="trial")["result"]["version"]["commit"]
        self.good, self.bad = self.sets("gated/old", GOOD), self.sets("gated/old", BAD)

    def body(self, to, lam=0.5, gate=None, **publish):
        doc = {"type": "merge", "method": "task_arithmetic", "inputs": {"base": "a/base@v1", "models": [{"version": "a/one@v1"}]},
               "params": {"weight": 1, "lambda": lam}, "publish": {"model": to, **publish}}
        return doc | ({"gate": gate} if gate is not None else {})

    def run(self, *args, **more):
        job = self.client.wait(self.client.submit(self.body(*args, **more)))
        assert job["status"] == "succeeded", job
        return job

    def name(self):
        self.n += 1
        return f"gated/m{self.n}"

    def sets(self, to, cells, new="gated/old@trial"):
        """Predictions of the head, and of the bytes that a merge with .5 makes."""
        a, b = rows_of(*cells)
        return {"old_predictions": upload(self.client, a, f"{to}@main"), "new_predictions": upload(self.client, b, new)}


@pytest.fixture(scope="module")
def made(client, roots):
    return Made(client, roots)


def head(client, to, name="main"):
    return client.ok(f"/v1/models/{to}/refs/{name}")["commit"]


def rules(decision):
    return {r["id"]: (r["outcome"], r["reason"]) for r in decision["rules"]}


def test_promote_publishes_all_of_it_at_once(client, made):
    to, old, trial = made.name(), made.old, made.trial
    job = made.run(to, gate={"policy": "default", **made.good}, tags=["r1"], move=[{"ref": "prod"}])
    result, commit = job["result"], job["result"]["version"]["commit"]
    decision = client.ok("/v1/decisions/" + result["decision"]["id"])
    report = client.ok("/v1/reports/" + result["reports"][0])
    assert (result["published"], result["detached_reason"], result["expires_at"]) == (True, None, None)
    assert {(r["ref"], r["to"]) for r in result["refs"]} == {("main", commit), ("r1", commit), ("prod", commit)}
    assert head(client, to) == head(client, to, "r1") == head(client, to, "prod") == commit
    assert (decision["verdict"], decision["gate"], decision["job"], decision["report"]) == ("promote", "default@1", job["id"], report["id"])
    assert (decision["old"], decision["new"], decision["new_model"]) == (old, commit, to)
    assert rules(decision)["finite"] == ("pass", None) and rules(decision)["leak"][0] == "skipped"
    assert (report["old"], report["new"], report["job"]) == (old, commit, job["id"])
    assert report["cells"]["b"] == 0 and report["cells"]["a"] == 540 and report["n"] == 600
    assert len(client.all(f"/v1/reports/{report['id']}/samples?limit=100")) == 600
    assert client.files(f"{to}@{commit}").keys() == client.files(f"gated/old@{trial}").keys(), "nothing of the gate is a file of the version"
    assert client.download(f"{to}@{commit}", "model.safetensors") == client.download(f"gated/old@{trial}", "model.safetensors")
    moved = client.ok(f"/v1/models/{to}/refs/prod/history")["data"][0]
    assert (moved["decision"], moved["job"]) == (decision["id"], job["id"])
    # the same bytes and the same report again; nothing is published
    rerun = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])["result"]
    assert rerun["reproduced"] is True and rerun["decision"] is None and rerun["reproduction"]["report"] == report["id"]
    assert "amend/gate/report.json" not in rerun["reproduction"]["differ"]


def test_what_is_held_stays_apart(client, made):
    to, sets = made.name(), made.bad
    policy = {"policy": {"nfr_max": 0.02}, **sets}
    job = made.run(to, gate=policy, tags=["r1"], move=[{"ref": "prod"}, {"ref": "last", "when": "always"}])
    result, commit = job["result"], job["result"]["version"]["commit"]
    assert result["decision"]["verdict"] == "hold"
    assert (result["published"], result["detached_reason"]) == (False, "gate")
    assert client.ok(f"/v1/models/{to}")["head"]["number"] == 0 and head(client, to, "last") == commit
    assert result["refs"] == [{"ref": "last", "from": None, "to": commit}] and result["expires_at"] is None, "a ref names it"
    for name in ("r1", "prod"):
        problem(client.get(f"/v1/models/{to}/refs/{name}"), 404, "not-found")
    again = made.run(to, gate={"nfr_max": 0.02, **sets})["result"]
    assert again["decision"]["verdict"] == "hold" and again["expires_at"], "kept for its retention, which is announced"
    assert again["version"]["commit"] != commit and again["reused_from"] is None, "a gate is not skipped"
    decision = client.ok("/v1/decisions/" + again["decision"]["id"])
    assert decision["gate"] is None and decision["policy"]["rules"][0]["limit"] == 0.02
    assert made.run(to)["result"]["published"] is True, "without a gate nothing changed"


def test_predictions_of_other_bytes_decide_nothing(client, made):
    to, sets = made.name(), made.good
    result = made.run(to, 0.75, gate={"policy": "default", **sets})["result"]
    decision = client.ok("/v1/decisions/" + result["decision"]["id"])
    assert result["decision"]["verdict"] == "inconclusive" and result["detached_reason"] == "gate"
    assert rules(decision)["data"] == ("inconclusive", "other_bytes") and rules(decision)["flips"] == ("pass", None)
    # of a model elsewhere, by the SHA-256 of its only weight file
    raw = client.download(f"{to}@{result['version']['commit']}", "model.safetensors")
    rows = rows_of(*GOOD)[1]
    for external, verdict in (({"external": "x", "sha256": hashlib.sha256(raw).hexdigest()}, "promote"),
                              ({"external": "y", "sha256": "0" * 64}, "inconclusive"), ({"external": "z"}, "inconclusive")):  # fmt: skip
        job = made.run(to, 0.75, gate={"policy": "default", **sets, "new_predictions": upload(client, rows, external)}, branch="b" + external["external"])
        assert job["result"]["decision"]["verdict"] == verdict
        assert ("other-bytes" in [w["code"] for w in job["warnings"]]) == ("sha256" not in external)


def test_what_is_refused_at_submit(client, made):
    to, sets = "gated/old", made.good

    def refused(gate, status, code, pointer, **more):
        error = problem(client.post("/v1/jobs", made.body(to, gate=gate, **more)), status, code)
        assert pointer in [e["pointer"] for e in error["errors"]], error
        return error["errors"][0]["detail"]

    assert "old_predictions" in refused("default", 422, "missing-input", "#/gate")
    refused({"policy": "default", "old_predictions": sets["old_predictions"]}, 422, "missing-input", "#/gate/new_predictions")
    refused({"policy": "default", **sets, "against": "a/base@v1"}, 422, "invalid-params", "#/gate/against")
    refused({"policy": "default", **sets, "against": "a/base@v9"}, 404, "revision-not-found", "#/gate/against")
    refused({"policy": "default", **sets, "data": "x"}, 422, "invalid-params", "#/gate/data")
    refused({"policy": "default", **sets, "new_predictions": "prd_" + "0" * 32}, 404, "not-found", "#/gate/new_predictions")
    refused({"policy": "absent", **sets}, 404, "not-found", "#/gate")
    refused({"policy": {"fnr_max": 1}, **sets}, 400, "unknown-member", "#/gate/policy/fnr_max")
    refused({"fnr_max": 1, **sets}, 400, "unknown-member", "#/gate/fnr_max")
    refused({"policy": "default", **sets}, 422, "invalid-params", "#/publish/move/0/ref", move=[{"ref": "main"}])
    refused(None, 422, "missing-input", "#/publish/move/0", move=[{"ref": "prod"}])
    few = {k: upload(client, [{"id": "1", "y": 0, "p": 0}], v, "few") for k, v in
           (("old_predictions", f"{to}@main"), ("new_predictions", f"{to}@trial"))}  # fmt: skip
    refused({"policy": "default", **few}, 422, "invalid-params", "#/gate/policy")
    plan = client.post("/v1/plans", made.body(to, gate={"policy": "default", **sets, "against": f"{to}@main"})).json()
    bare = client.post("/v1/plans", made.body(to)).json()
    assert plan["peak_memory_bytes"] > bare["peak_memory_bytes"] + (1 << 20), "the comparison is counted"
    assert plan["cached"] is None and plan["resolved"]["spec_sha256"] == bare["resolved"]["spec_sha256"]
    assert "gate" not in bare["resolved"] and plan["resolved"]["gate"]["gate"] == "default@1"


def test_nothing_to_compare_with(client, made):
    to = made.name()
    job = made.run(to, gate="default")
    result, decision = job["result"], client.ok("/v1/decisions/" + job["result"]["decision"]["id"])
    assert (result["decision"]["verdict"], result["reports"], result["detached_reason"]) == ("inconclusive", [], "gate")
    assert rules(decision)["data"] == ("inconclusive", "nothing_to_compare") == rules(decision)["flips"]
    assert rules(decision)["finite"] == ("pass", None) and (decision["old"], decision["report"]) == ("nothing", None)
    assert client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])["result"]["reproduced"] is True


def test_a_protected_branch(client, made):
    to = made.name()
    old = made.run(to, 0.25)["result"]["version"]["commit"]
    sets = {**made.good, "old_predictions": upload(client, rows_of(*GOOD)[0], f"{to}@main")}
    put(client, "mine", {"nfr_max": 0.02})
    assert client.request("PATCH", f"/v1/models/{to}/refs/main", json={"policy": {"protected": True, "gate": "mine"}},
                          headers={"If-Match": f'"{client.ok(f"/v1/models/{to}/refs/main")["revision"]}"'}).status_code == 200  # fmt: skip
    told = problem(client.post("/v1/jobs", made.body(to)), 409, "gate-required")
    assert told["errors"][0]["pointer"] == "#/publish/branch" and "mine" in told["errors"][0]["detail"]
    other = made.run(to, gate={"policy": "default", **sets})
    assert (other["result"]["decision"]["verdict"], other["result"]["detached_reason"]) == ("promote", "gate_stale")
    assert head(client, to) == old and "mine" in next(w["detail"] for w in other["warnings"] if w["code"] == "ref-stays")
    good = made.run(to, gate={"policy": "mine", **sets})["result"]
    assert good["published"] and head(client, to) == good["version"]["commit"]
    # main stands elsewhere by now than what old_predictions speak of
    stale = made.run(to, gate={"policy": "mine", **sets})
    assert (stale["result"]["decision"]["verdict"], stale["result"]["detached_reason"]) == ("promote", "gate_stale")
    assert head(client, to) == good["version"]["commit"] and "gate-stale" in [w["code"] for w in stale["warnings"]]


@pytest.mark.slow
def test_what_changes_while_a_job_waits(client, made):
    to = made.name()
    old = made.run(to, 0.25)["result"]["version"]["commit"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    later = client.submit(made.body(to) | {"options": {"not_before": soon}})
    put(client, "since", {"nfr_max": 0.02})
    etag = client.get(f"/v1/models/{to}/refs/main").headers["ETag"]
    client.request("PATCH", f"/v1/models/{to}/refs/main", json={"policy": {"protected": True, "gate": "since"}}, headers={"If-Match": etag})
    job = client.wait(later)
    assert (job["result"]["detached_reason"], job["result"]["published"], head(client, to)) == ("gate_stale", False, old)
    assert "since the job was submitted" in next(w["detail"] for w in job["warnings"] if w["code"] == "gate-stale")
    # what is made by a job is looked at when it is there
    first = client.submit(made.body(made.name(), 0.125))
    body = {"type": "edit", "method": "sparsify", "inputs": {"model": {"job": first}}, "params": {"sparsity": 0.5, "include": ["*"]}}
    result = client.wait(client.submit(body | {"gate": "default", "publish": {"model": made.name()}}))["result"]
    decision = client.ok("/v1/decisions/" + result["decision"]["id"])
    assert rules(decision)["data"] == ("inconclusive", "nothing_to_compare")


@pytest.mark.slow
def test_values_that_are_not_finite_are_held(client, made, roots):
    client.register(ref.write(roots / "gj-nan", {"w": ref.tensor("F32", np.full(64, np.nan))}), "a/nan")
    to = "gated/old"
    body = made.body(to, branch="nan") | {"params": {"weight": 1, "lambda": 0.5, "nonfinite": "propagate"}}
    body["inputs"] = {"base": "a/base@v1", "models": [{"version": "a/nan@v1"}]}
    trial = client.wait(client.submit(body))["result"]["version"]["commit"]
    old, new = rows_of(*GOOD)
    gate = {"policy": "default", "old_predictions": upload(client, old, f"{to}@main"), "new_predictions": upload(client, new, f"{to}@{trial}")}
    result = client.wait(client.submit(body | {"gate": gate}))["result"]
    decision = client.ok("/v1/decisions/" + result["decision"]["id"])
    assert decision["verdict"] == "hold" and rules(decision)["finite"] == ("fail", "non_finite")


def test_unlearn_and_edit(client, made):
    to = made.name()
    made.run(to, 0.25)
    for kind in ({"type": "unlearn", "method": "task_negation", "inputs": {"model": f"{to}@main", "task": {"version": "a/one@v1", "base": "a/base@v1"}},
                  "params": {"lambda": 0.1}},
                 {"type": "edit", "method": "sparsify", "inputs": {"model": f"{to}@main"}, "params": {"sparsity": 0.5, "include": ["*"]}}):  # fmt: skip
        trial = client.wait(client.submit({**kind, "publish": {"branch": "t-" + kind["type"], "on_conflict": "append"}}))
        rows = rows_of(*GOOD)
        gate = {"policy": "default", "old_predictions": upload(client, rows[0], f"{to}@main"),
                "new_predictions": upload(client, rows[1], f"{to}@{trial['result']['version']['commit']}")}  # fmt: skip
        job = client.wait(client.submit({**kind, "gate": gate, "publish": {}}))
        assert job["status"] == "succeeded", job
        assert job["result"]["decision"]["verdict"] == "promote" and head(client, to) == job["result"]["version"]["commit"]
