"""Gates over HTTP: policies with their revisions, decisions about reports, protected refs that ask for one. Expected verdicts
are those of the specification (compat.md 8.5); what a ref may do comes from the rules of its section 9."""

import threading
import time

import numpy as np
import pytest

import reference as ref
from harness import problem
from test_evaluate import body, upload
from test_predictions import header, pushed

SPEC = {
    "description": "default promotion gate", "min_samples": 300, "min_ids_matched": 0.99, "protected": [],
    "rules": [{"id": "non-inferior", "value": "accuracy_delta", "bound": "lower", "op": ">", "limit": -0.005},
              {"id": "flips", "any_of": [{"value": "nfr", "bound": "upper", "op": "<=", "limit": 0.01, "noise_factor": 1.5},
                                         {"value": "relative_nfr", "bound": "upper", "op": "<=", "limit": 0.5}]},
              {"id": "slices", "value": "nfr", "slice": "protected:*", "bound": "upper", "op": "<=", "limit": 0.02,
               "regression": {"alpha": 0.05}},
              {"id": "finite", "finite": True}, {"id": "leak", "leak_check": True}],
}  # fmt: skip
REFS = "/v1/models/g/m/refs/"


def rows_of(a, b, c, d):
    """(old, new): so many samples right by both, by the old alone, by the new alone, by neither."""
    cells = [(1, 1)] * a + [(1, 0)] * b + [(0, 1)] * c + [(0, 0)] * d
    return [[{"id": f"s{i:05d}", "y": 0, "p": 1 - ok[side]} for i, ok in enumerate(cells)] for side in (0, 1)]


def compared(client, cells, old={"external": "was"}, new={"external": "is"}, data="golden"):
    sets = [upload(client, rows, v, data) for rows, v in zip(rows_of(*cells), (old, new))]
    job = client.wait(client.submit(body(*sets)))
    assert job["status"] == "succeeded", job
    return job["result"]["reports"][0]


def put(client, name, policy, match=None, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()} | ({"If-Match": match} if match else {})
    return client.request("PUT", "/v1/gates/" + name, json=policy, headers=headers)


def check(client, gate, **more):
    return client.post(f"/v1/gates/{gate}/check", more)


def decided(client, gate, **more):
    answer = check(client, gate, **more)
    assert answer.status_code == 201, answer.text
    doc = answer.json()
    assert answer.headers["Location"] == "/v1/decisions/" + doc["id"] and client.ok(answer.headers["Location"]) == doc
    return doc


def outcomes(decision):
    return {r["id"]: r["outcome"] for r in decision["rules"]}


@pytest.fixture(scope="module")
def commits(client, roots):
    for i in range(1, 4):
        client.register(ref.write(roots / f"gate-{i}", {"w": ref.tensor("F32", np.full(4, i))}), "g/m")
    return [client.version(f"g/m@v{i}")["commit"] for i in range(4)]


@pytest.fixture(scope="module")
def good(client, commits):
    """The report of a harmless v1 -> v2."""
    return compared(client, (540, 0, 0, 60), "g/m@v1", "g/m@v2", "held-out")


def test_the_policy_that_is_built_in(client):
    gate = client.ok("/v1/gates/default")
    assert (gate["name"], gate["revision"]) == ("default", 1)
    rules = [{k: v for k, v in r.items() if k != "tasks"} for r in gate["policy"]["rules"]]
    assert {**gate["policy"], "rules": None} == {**SPEC, "rules": None}
    assert all(r in rules for r in SPEC["rules"]), "as the specification prints it"
    others = [r for r in gate["policy"]["rules"] if {k: v for k, v in r.items() if k != "tasks"} not in SPEC["rules"]]
    assert {t for r in others for t in r["tasks"]} == {"generative", "retrieval"}
    answer = put(client, "copy", gate["policy"])
    assert answer.status_code == 201 and answer.json()["policy"] == gate["policy"], "the long form is read as it is written"
    client.request("DELETE", "/v1/gates/copy", headers={"If-Match": '"1"'})


def test_revisions_and_who_was_first(client):
    made = put(client, "nightly", {"nfr_max": 0.02})
    assert made.status_code == 201 and made.headers["ETag"] == '"1"' and made.headers["Location"] == "/v1/gates/nightly"
    assert made.json()["policy"]["rules"] == [{"id": "nfr_max", "value": "nfr", "bound": "upper", "op": "<=", "limit": 0.02}]
    problem(put(client, "nightly", {"nfr_max": 0.03}), 428, "precondition-required")
    problem(put(client, "nightly", {"nfr_max": 0.03}, '"7"'), 412, "precondition-failed")
    problem(put(client, "nightly", {"nfr_max": 0.03}, If_None_Match="*"), 412, "precondition-failed")
    problem(put(client, "absent", {"nfr_max": 0.03}, '"1"'), 412, "precondition-failed")
    assert put(client, "nightly", {"nfr_max": 0.03, "accuracy_delta_min": -0.01}, '"1"').json()["revision"] == 2
    answers = []
    threads = [threading.Thread(target=lambda k=k: answers.append(put(client, "nightly", {"nfr_max": k / 100}, '"2"').status_code))
               for k in range(1, 9)]  # fmt: skip
    [t.start() for t in threads], [t.join() for t in threads]
    assert sorted(answers) == [200] + [412] * 7
    listed = client.all("/v1/gates/nightly/revisions?limit=2")
    assert [g["revision"] for g in listed] == [3, 2, 1] and listed[2]["policy"] == made.json()["policy"]
    assert [g["name"] for g in client.all("/v1/gates?limit=1")] == ["default", "nightly"]
    problem(client.request("DELETE", "/v1/gates/nightly"), 428, "precondition-required")
    problem(client.request("DELETE", "/v1/gates/nightly", headers={"If-Match": '"1"'}), 412, "precondition-failed")
    assert client.request("DELETE", "/v1/gates/nightly", headers={"If-Match": '"3"'}).json()["revision"] == 3
    problem(client.get("/v1/gates/nightly"), 404, "not-found")
    problem(client.request("DELETE", "/v1/gates/nightly", headers={"If-Match": '"3"'}), 404, "not-found")
    assert len(client.all("/v1/gates/nightly/revisions")) == 3, "what decisions were made by stays"
    assert put(client, "nightly", {"nfr_max": 0.5}).json()["revision"] == 4, "a number means one policy for ever"
    changes = [e["data"] for e in client.all("/v1/events?limit=100") if e["type"] == "gate.changed" and e["subject"] == "nightly"]
    assert [(c["revision"], c["deleted"]) for c in changes] == [(1, False), (2, False), (3, False), (3, True), (4, False)]


def test_seven_faults_seven_pointers(client):
    bad = {"min_sampels": 300, "min_ids_matched": 2, "fnr_max": 0.02,
           "rules": [{"id": "a", "value": "nfr", "bound": "uper", "op": "=<", "limit": 0.01},
                     {"id": "a", "finite": True}, {"id": "b", "any_of": [{"value": "nfr", "bound": "upper", "op": "<="}]}]}  # fmt: skip
    answer = put(client, "bad", bad)
    assert {e["pointer"] for e in answer.json()["errors"]} == {
        "#/min_sampels", "#/min_ids_matched", "#/fnr_max", "#/rules/0/bound", "#/rules/0/op", "#/rules/1/id",
        "#/rules/2/any_of/0/limit"}  # fmt: skip
    assert len(answer.json()["errors"]) == 7
    told = {e["pointer"]: e["detail"] for e in answer.json()["errors"]}
    assert "nfr_max" in told["#/fnr_max"] and "min_samples" in told["#/min_sampels"]
    problem(client.get("/v1/gates/bad"), 404, "not-found")
    problem(put(client, "Bad_Name", {"nfr_max": 1}), 400, "invalid-request")


@pytest.mark.parametrize("cells, accuracy, flips, verdict", [
    ((270, 0, 0, 30), "inconclusive", "pass", "inconclusive"),
    ((540, 0, 0, 60), "pass", "pass", "promote"),
    ((363, 477, 139, 21), "fail", "fail", "hold"),
    pytest.param((1591, 113, 105, 191), "inconclusive", "pass", "inconclusive", marks=pytest.mark.slow),
])  # fmt: skip
def test_golden_decisions(client, cells, accuracy, flips, verdict):
    doc = decided(client, "default", report=compared(client, cells))
    got = outcomes(doc)
    assert (got["non-inferior"], got["flips"], doc["verdict"]) == (accuracy, flips, verdict), doc["rules"]
    assert got["finite"] == got["leak"] == got["text-regression"] == "skipped", "two uploaded sets have no tensors"
    assert doc["gate"] == "default@1" and doc["old"] == "was" and doc["new_model"] is None
    if sum(cells) == 300:
        rule = next(r for r in doc["rules"] if r["id"] == "non-inferior")
        assert rule["needed_n"] == 539 and "239 more" in rule["text"]


def test_check_and_lists(client, commits, good):
    first = decided(client, "default", report=good)
    assert (first["verdict"], first["old"], first["new"], first["new_model"]) == ("promote", commits[1], commits[2], "g/m")
    again = decided(client, "default", old="g/m@v1", new="g/m@v2", dataset="held-out")
    assert again["report"] == good and again["rules"] == first["rules"] and again["id"] != first["id"]
    keyed = [client.post("/v1/gates/default/check", {"report": good}, headers={"Idempotency-Key": "one"}).json() for _ in range(2)]
    assert keyed[0] == keyed[1]
    missing = problem(check(client, "default", old="g/m@v2", new="g/m@v3", dataset="held-out"), 409, "report-missing")
    assert missing["job"]["inputs"] == {"old": "g/m@v2", "new": "g/m@v3", "data": {"external": "held-out"}}
    problem(check(client, "default", report="rep_" + "0" * 32), 409, "report-missing")
    problem(check(client, "default", report=good, old="g/m@v1"), 400, "invalid-request")
    problem(check(client, "default"), 400, "invalid-request")
    problem(check(client, "nowhere", report=good), 404, "not-found")
    mine = client.all("/v1/decisions?version=g/m@v2&limit=2")
    assert [d["id"] for d in mine] == [keyed[0]["id"], again["id"], first["id"]]
    assert client.all("/v1/decisions?version=g/m@v2&verdict=hold") == []
    problem(client.get("/v1/decisions?verdict=maybe"), 400, "invalid-request")
    problem(client.get("/v1/decisions/gdc_" + "0" * 32), 404, "not-found")
    event = [e for e in client.all("/v1/events?topic=reports&limit=100") if e["subject"] == first["id"]]
    assert [(e["type"], e["data"]["verdict"], e["model"]) for e in event] == [("gate.decided", "promote", "g/m")]
    etag = client.get("/v1/reports/" + good).headers["ETag"]
    problem(client.request("DELETE", "/v1/reports/" + good, headers={"If-Match": etag}), 409, "conflict")


def move(client, to, match, **more):
    return client.request("PUT", REFS + "prod", json={"to": to, **more}, headers={"If-Match": match})


def policy(client, match, **members):
    return client.request("PATCH", REFS + "prod", json={"policy": members}, headers={"If-Match": match})


def test_a_protected_ref_asks_its_gate(client, commits, good):
    assert client.request("PUT", REFS + "prod", json={"to": "v1"}, headers={"If-None-Match": "*"}).status_code == 201
    put(client, "strict", {"nfr_max": 0.02})
    assert policy(client, '"1"', protected=True, gate="strict").json()["policy"] == {"protected": True, "gate": "strict"}
    assert problem(client.request("DELETE", "/v1/gates/strict", headers={"If-Match": '"1"'}), 409, "conflict")
    # nothing decided: the answer holds the job that would
    job = problem(move(client, "v2", '"2"'), 409, "gate-required")["job"]
    assert job["inputs"] == {"old": f"g/m@{commits[1]}", "new": f"g/m@{commits[2]}", "data": {"external": "held-out"}}
    assert job["gate"] == "strict" and job["publish"] == {"move": [{"ref": "prod", "to": "new", "when": "promote"}]}
    # another gate's decision, another pair, another revision: none of them counts
    decided(client, "default", report=good)
    decided(client, "strict", report=compared(client, (540, 0, 0, 60), "g/m@v2", "g/m@v1", "held-out"))
    problem(move(client, "v2", '"2"'), 409, "gate-required")
    promoted = decided(client, "strict", report=good)
    assert promoted["verdict"] == "promote"
    assert put(client, "strict", {"nfr_max": 0.021}, '"1"').json()["revision"] == 2
    problem(move(client, "v2", '"2"'), 409, "gate-required")
    # hold: refused, with the rules
    assert put(client, "strict", {"nfr_max": 0.001}, '"2"').json()["revision"] == 3
    refused = decided(client, "strict", report=good)
    assert refused["verdict"] == "inconclusive"
    told = problem(move(client, "v2", '"2"'), 409, "gate-refused")["decision"]
    assert told["id"] == refused["id"] and [r["id"] for r in told["rules"]] == ["nfr_max"]
    # promote: it moves, once for 100 who ask at the same time
    put(client, "strict", {"nfr_max": 0.02}, '"3"')
    passed = decided(client, "strict", report=good)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(move(client, "v2", '"2"').status_code)) for _ in range(100)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert sorted(answers) == [200] + [412] * 99
    # v2 -> v3 was never compared: force and a reason, kept for ever
    problem(move(client, "v3", '"3"'), 409, "gate-required")
    problem(move(client, "v3", '"3"', force=True), 409, "conflict")
    assert move(client, "v3", '"3"', force=True, reason="fire").status_code == 200
    history = client.all(REFS + "prod/history")
    assert [(h["kind"], h["decision"], h["forced"]) for h in history] == [
        ("move", None, True), ("move", passed["id"], False), ("create", None, False)]  # fmt: skip
    moves = [e for e in client.all("/v1/events?limit=100") if e["subject"] == "g/m@prod" and e["type"] != "model.ref_changed"]
    assert [(e["type"], e["data"]["forced"]) for e in moves[1:]] == [("model.promoted", False), ("model.ref_moved", True)]
    assert len(client.all("/v1/decisions?ref=g/m@prod&verdict=inconclusive")) == 1
    # without the gate, protection is force alone; a gate without protection asks nothing
    assert policy(client, '"4"', gate=None).json()["policy"] == {"protected": True, "gate": None}
    problem(move(client, "v1", '"5"'), 409, "conflict")
    assert policy(client, '"5"', protected=False, gate="default").json()["revision"] == 6
    assert move(client, "v1", '"6"').json()["commit"] == commits[1]
    metrics = client.get("/metrics").text
    assert 'amendd_gate_decisions_total{verdict="promote"}' in metrics
    rate = [line for line in metrics.splitlines() if line.startswith("amendd_compat_negative_flip_rate{")]
    assert rate == ['amendd_compat_negative_flip_rate{model="g/m",ref="prod"} 0'], "of the last promotion"


@pytest.mark.slow
def test_old_decisions_do_not_count(launch, roots):
    daemon = launch("--gates.decision_ttl=1")
    c = daemon.client
    for i in (1, 2):
        c.register(ref.write(roots / f"old-{i}", {"w": ref.tensor("F32", np.full(4, i))}), "g/m")
    c.request("PUT", REFS + "prod", json={"to": "v1"}, headers={"If-None-Match": "*"})
    policy(c, '"1"', protected=True, gate="default")
    decision = decided(c, "default", report=compared(c, (540, 0, 0, 60), "g/m@v1", "g/m@v2", "held-out"))
    assert decision["verdict"] == "promote"
    time.sleep(1.1)  # longer than the setting
    problem(move(c, "v2", '"2"'), 409, "gate-required")


def test_a_job_decides_and_moves(client, commits, good):
    """The body in a refusal is a job as it is: it decides and moves. Critical samples stop it, too few are refused at once."""
    at = "/v1/models/g/m/refs/live"
    assert client.request("PUT", at, json={"to": "v1"}, headers={"If-None-Match": "*"}).status_code == 201
    assert put(client, "fresh", {"nfr_max": 0.02}).status_code == 201
    patched = client.request("PATCH", at, json={"policy": {"protected": True, "gate": "fresh"}}, headers={"If-Match": '"1"'})
    assert patched.status_code == 200
    for version, right in (("g/m@v1", [1, 1]), ("g/m@v2", [1, 0])):
        upload(client, [{"id": f"c{i}", "y": 0, "p": 1 - ok} for i, ok in enumerate(right)], version, "critical")
    critical = SPEC["rules"] + [{"id": "critical", "any_of": [{"must_pass": {"dataset": "critical"}}]}]
    made = put(client, "careful", {"rules": critical})
    assert made.status_code == 201, made.text
    inputs = {"old": "g/m@v1", "new": "g/m@v2", "data": {"external": "held-out"}}
    publish = {"move": [{"ref": "live", "to": "new", "when": "promote"}]}
    job = {"type": "evaluate", "method": "compare", "inputs": inputs, "gate": "careful", "publish": publish}
    held = client.wait(client.submit(job))
    assert held["status"] == "succeeded" and held["result"]["decision"]["verdict"] == "hold"
    doc = client.ok("/v1/decisions/" + held["result"]["decision"]["id"])
    rule = next(r for r in doc["rules"] if r["id"] == "critical")
    assert (rule["outcome"], rule["reason"], rule["value"], doc["job"]) == ("fail", "critical", 1, held["id"])
    assert client.ok(at)["commit"] == commits[1]
    few = dict(job, inputs=inputs | {"data": {"external": "critical"}})
    told = problem(client.post("/v1/jobs", few), 422, "invalid-params")
    assert "539" in told["detail"] and told["errors"][0]["pointer"] == "#/gate"
    body = problem(client.request("PUT", at, json={"to": "v2", "from": "v1"}), 409, "gate-required")["job"]
    moved = client.wait(client.submit(body))
    assert moved["status"] == "succeeded" and moved["result"]["decision"]["verdict"] == "promote", moved
    assert client.ok(at)["commit"] == commits[2]
    last = client.all(at + "/history")[0]
    assert (last["decision"], last["forced"], last["job"]) == (moved["result"]["decision"]["id"], False, moved["id"])


def test_rules_about_classes_ask_nothing_of_texts(client):
    """Of 400 scores no rule of the default policy asks for more (compat.md 8.2): those for classes are skipped."""
    sides = []
    for name, score in (("was", 0.25), ("is", 0.5)):
        rows = [{"id": f"t{i}", "s": score + (i % 4) / 64} for i in range(400)]
        head = header(len(rows), version={"external": name}, dataset={"external": "texts"}, task="generative", metric="rougeL")
        sides.append(pushed(client, head, rows)["id"])
    body = {"type": "evaluate", "method": "compare", "params": {"bootstrap": 200}, "gate": "default",
            "inputs": {"old_predictions": sides[0], "new_predictions": sides[1]}}
    done = client.wait(client.submit(body))
    assert done["status"] == "succeeded", done
    assert outcomes(client.ok("/v1/decisions/" + done["result"]["decision"]["id"]))["non-inferior"] == "skipped"
