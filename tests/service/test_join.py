"""What lies between the parts of the surface: events of deleting and of notes, waiting for a ref, names of versions that
jobs must not take, purging again, waiting for a job made from another.

Expected events are what the test itself did, in its order; times are measured on the test's own clock.
"""

import datetime
import json
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

import reference as ref
from harness import BUILD, amend, merge, problem, sparsify

FAR = "2099-01-01T00:00:00Z"


def put(c, roots, model, seed, **tensors):
    """A version; its commit."""
    tensors = tensors or {"w": np.random.default_rng(seed).standard_normal(64).astype("<f4")}
    folder = roots / f"{model.replace('/', '-')}-{seed}"
    ref.write(folder, {k: ref.tensor("F32", v) for k, v in tensors.items()})
    return c.register(folder, model)["commit"]


def change(c, verb, path, body=None, **query):
    match = c.get(path).headers.get("ETag", "*")  # * for what is deleted
    return c.request(verb, path, json=body, params=query, headers={"If-Match": match})


def good(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json()


def purge(c, path):
    answer = change(c, "DELETE", path, purge="true")
    job = c.wait(good(answer, 202)["id"])
    assert job["status"] == "succeeded", job
    return job["result"]


def told(c, model, after=0):
    return [e for e in c.all(f"/v1/events?model={model}&topic=models&limit=100") if e["seq"] > after]


def brief(event):
    return event["type"], event["subject"], event["message"]


def test_deleting_and_notes_are_told(client, roots):
    c, m = client, "/v1/models/ev/m"
    one = put(c, roots, "ev/m", 1)
    put(c, roots, "ev/m", 2)
    v1, of_v1 = c.at("ev/m@" + one), "ev/m@" + one
    seen = told(c, "ev/m")[-1]["seq"]
    good(change(c, "PATCH", m, {"labels": {"team": "x"}, "description": "d"}))
    good(change(c, "PATCH", v1, {"pinned": True, "note": "n"}))
    good(change(c, "PATCH", m + "/refs/main", {"policy": {"protected": True}}))
    good(change(c, "PATCH", m + "/refs/main", {"policy": {"protected": True}}))  # changes nothing, tells nothing
    good(change(c, "DELETE", v1, reason="ticket 7"))
    restored = c.post(v1 + "/restore")
    purge(c, v1)
    good(change(c, "DELETE", m))
    back = c.post(m + "/restore")
    events = told(c, "ev/m", seen)
    assert [brief(e) for e in events] == [
        ("model.changed", "ev/m", "changed by local: description, labels"),
        ("model.changed", of_v1, "changed by local: note, pinned"),
        ("model.ref_changed", "ev/m@main", "main changed by local: protected"),
        ("model.deleted", of_v1, "deleted by local: ticket 7"),
        ("model.restored", of_v1, "restored by local"),
        ("model.deleted", of_v1, "deleted by local"),
        ("model.purged", of_v1, "files removed"),
        ("model.deleted", "ev/m", "deleted by local"),
        ("model.restored", "ev/m", "restored by local"),
    ]
    assert events[1]["data"] == {"commit": one, "number": 1, "by": "local", "changed": ["note", "pinned"]}
    assert events[3]["data"] == {"commit": one, "number": 1, "by": "local", "reason": "ticket 7"}
    assert events[2]["data"]["protected"] is True and events[2]["revision"] == c.ok(m + "/refs/main")["revision"]
    of_version = [e["revision"] for e in events if e["subject"] == of_v1]
    assert of_version == sorted(set(of_version)), "the revision grows with every change"
    assert restored.status_code == 200 and back.status_code == 200


def test_what_was_refused_is_not_told(client, roots):
    c = client
    put(c, roots, "ev/held", 1)
    before = told(c, "ev/held")
    problem(change(c, "DELETE", c.at("ev/held@v1")), 409, "version-in-use")
    problem(change(c, "PATCH", "/v1/models/ev/held", {"labels": {"": "x"}}), 400, "invalid-request")
    problem(c.post("/v1/models/ev/held/restore"), 409, "conflict")
    assert told(c, "ev/held") == before


# ---- waiting for a ref --------------------------------------------------------------------------------------------------


class Waiting:
    """A request that waits in a thread of its own; end() gives its answer and when it came."""

    def __init__(self, c, path, seconds, **headers):
        def run():
            self.answer = type(c)(c.url, c.build).get(path, headers={"Prefer": f"wait={seconds}", **headers})
            self.at = time.monotonic()

        self.began = time.monotonic()
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def end(self):
        self.thread.join(20)
        return self.answer


@pytest.fixture(scope="module")
def prod(client, roots):
    """w/m with v1, v2 and the alias prod at v1."""
    put(client, roots, "w/m", 1)
    put(client, roots, "w/m", 2)
    path = "/v1/models/w/m/refs/prod"
    good(client.request("PUT", path, json={"to": "v1"}, headers={"If-None-Match": "*"}), 201)
    return path


def test_a_deployer_waits_for_a_move(client, prod):
    tag = client.get(prod).headers["ETag"]
    waits = [Waiting(client, prod, 20), Waiting(client, prod, 20, **{"If-None-Match": tag})]
    time.sleep(0.3)
    moved = client.request("PUT", prod, json={"to": "v2", "from": "v1"})
    began = time.monotonic()
    good(moved)
    for w in waits:
        doc = good(w.end())
        assert doc["number"] == 2 and w.answer.headers["Preference-Applied"] == "wait=20"
        assert w.at - began < 0.1, "within 100 ms of the move"
    late = Waiting(client, prod, 20, **{"If-None-Match": tag})  # has missed it already
    assert good(late.end())["number"] == 2 and late.at - late.began < 1


def test_a_wait_for_a_ref_ends_at_its_limit(client, prod):
    now = client.get(prod)
    plain, seen = Waiting(client, prod, 1), Waiting(client, prod, 1, **{"If-None-Match": now.headers["ETag"]})
    for w, status in ((plain, 200), (seen, 304)):
        assert w.end().status_code == status and 1 <= w.at - w.began < 1.5
        assert status == 304 or w.answer.json() == now.json()
    for headers in ({"Prefer": "wait=0"}, {"Prefer": "respond-async"}, {}):
        began = time.monotonic()
        assert client.get(prod, headers=headers).json() == now.json() and time.monotonic() - began < 0.5
    problem(client.get(prod + "x", headers={"Prefer": "wait=9"}), 404, "not-found")


def test_a_wait_for_a_ref_ends_with_it(client, prod, roots):
    path = "/v1/models/w/m/refs/gone"
    good(client.request("PUT", path, json={"to": "v1"}, headers={"If-None-Match": "*"}), 201)
    put(client, roots, "w/whole", 1)
    waits = [Waiting(client, path, 20), Waiting(client, "/v1/models/w/whole/refs/main", 20)]
    time.sleep(0.3)
    good(change(client, "PATCH", "/v1/models/w/whole", {"labels": {"a": "b"}}))  # is nothing to them
    time.sleep(0.1)
    assert all(w.thread.is_alive() for w in waits)
    began = time.monotonic()
    good(change(client, "DELETE", path))
    problem(waits[0].end(), 404, "not-found")
    assert waits[0].at - began < 0.2
    began = time.monotonic()
    good(change(client, "DELETE", "/v1/models/w/whole"))
    problem(waits[1].end(), 404, "not-found")
    assert waits[1].at - began < 0.2


# ---- names of versions --------------------------------------------------------------------------------------------------


def test_jobs_and_registrations_take_no_name_of_a_version(client, roots):
    put(client, roots, "n/m", 1)
    body = merge("linear", [("n/m", {"weight": 1.0})], "n/out")
    body["publish"] |= {"branch": "v7", "tags": ["fine", "v0", "v12", "v02"]}
    for path in ("/v1/jobs", "/v1/plans"):
        answer = client.post(path, body)
        doc = answer.json()
        entries = doc["refusals"] if path == "/v1/plans" else problem(answer, 409, "ref-shadows-version")["errors"]
        assert [(e["pointer"], e["code"]) for e in entries] == [
            ("#/publish/branch", "ref-shadows-version"),
            ("#/publish/tags/1", "ref-shadows-version"),
            ("#/publish/tags/2", "ref-shadows-version"),
        ]
    bad = problem(client.register_raw(roots / "n-m-1", "n/m", branch="v1"), 409, "ref-shadows-version")
    assert bad["errors"][0]["pointer"] == "#/branch"
    assert client.register(roots / "n-m-1", "n/m", branch="v01")["refs"] == ["v01"], "names no version"


# ---- purging again ------------------------------------------------------------------------------------------------------


def holds(d, pattern):
    return [p.name for p in d.data.rglob("*") if p.is_file() and pattern in p.read_bytes()]


def held(daemon, roots, model):
    """A purged version whose bytes a job that has not ended still holds: its path, the bytes, the job."""
    c, rng = daemon.client, np.random.default_rng(len(model))
    tensors = {f"l{i}.weight": rng.standard_normal(2000).astype("<f4") for i in range(8)}
    parent = c.at(f"{model}@{put(c, roots, model, 1, **tensors)}")
    child = c.run(sparsify(model, model, {"sparsity": 0.9, "include": ["l3.weight"]}))
    job = c.submit(merge("linear", [(child, {"weight": 1})], "pa/out", not_before=FAR))
    result = purge(c, parent)
    assert "purge again" in result["held"][0]["why"] and result["versions"] == 1
    return parent, tensors["l3.weight"].tobytes(), job, child


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_held_is_removed_by_the_next_purge(daemon, roots, whole):
    c, model = daemon.client, f"pa/{'model' if whole else 'version'}"
    parent, secret, job, child = held(daemon, roots, model)
    again = purge(c, parent)
    assert again["held_total"] == 1 and again["versions"] == 0 and holds(daemon, secret), "it is still held"
    c.post(f"/v1/jobs/{job}/cancel")
    c.wait(job)
    before = c.weights(child)
    if whole:  # also by way of the whole model, and then nobody reads anything of it
        purge_of = purge(c, f"/v1/models/{model}")
    else:
        purge_of = purge(c, parent)
        assert c.weights(child) == before, "what others read is as it was"
    assert purge_of["held_total"] == 0 and purge_of["removed_total"] >= 1 and not holds(daemon, secret)
    if not whole:
        done = purge(c, parent)
        assert (done["removed_total"], done["held_total"], done["shared_total"]) == (0, 0, 0), "there is no more"


def test_a_purge_after_a_gc_finds_what_others_hold(launch, roots):
    d = launch("--store.gc_grace=0")
    c, rng = d.client, np.random.default_rng(3)
    tensors = {f"l{i}.weight": rng.standard_normal(2000).astype("<f4") for i in range(8)}
    parent = c.at(f"gc/m@{put(c, roots, 'gc/m', 1, **tensors)}")
    child = c.run(sparsify("gc/m", "gc/m", {"sparsity": 0.9, "include": ["l3.weight"]}))
    secret, before = tensors["l3.weight"].tobytes(), c.weights(child)
    good(change(c, "DELETE", parent))
    assert c.wait(c.post("/v1/admin/tasks", {"kind": "gc"}).json()["id"])["status"] == "succeeded"
    problem(c.post(parent + "/restore"), 409, "version-gone")
    assert holds(d, secret), "a gc packs nothing anew"
    result = purge(c, parent)
    assert result["packed_total"] == 1 and not holds(d, secret) and c.weights(child) == before


# ---- waiting for a job made from another ----------------------------------------------------------------------------------


def test_retry_and_rerun_wait(client, roots):
    put(client, roots, "rr/m", 1)
    body = merge("linear", [("rr/m", {"weight": 1.0})], "rr/out")
    first = client.wait(client.submit(body))
    for what in ("retry", "rerun"):
        answer = client.post(f"/v1/jobs/{first['id']}/{what}", headers={"Prefer": "wait=20"})
        doc = good(answer, 202)
        assert doc["status"] == "succeeded" and doc[f"{what}_of"] == first["id"]
        assert answer.headers["Preference-Applied"] == "wait=20"
        ended = datetime.datetime.fromisoformat(doc["finished_at"].replace("Z", "+00:00")).timestamp()
        assert time.time() - ended < 2, "answered at the end, not at the limit"


# ---- the client -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_watched_list_outlasts_a_restart(launch, roots):
    d = launch()
    put(d.client, roots, "cw/m", 1)
    port = d.url.rsplit(":", 1)[1]
    env = {"AMEND_ENDPOINT": d.url, "XDG_CONFIG_HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
    command = [str(BUILD / "amend"), "job", "list", "-w", "--model", "cw/out"]
    watch = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        first = d.client.submit(merge("linear", [("cw/m", {"weight": 1.0})], "cw/out", not_before=FAR))
        assert watch.stdout.readline().startswith(first)
        d.stop()
        time.sleep(2.5)  # longer than a request that does not wait is tried again
        d.args.append(f"--listen=127.0.0.1:{port}")
        d.start()
        second = d.client.submit(merge("linear", [("cw/m", {"weight": 1.0})], "cw/out", not_before=FAR))
        assert watch.stdout.readline().startswith(second)
    finally:
        watch.send_signal(signal.SIGINT)
        rest, said = watch.communicate(timeout=10)
    assert watch.returncode == 130 and rest == "", said


def test_policies_and_other_names_of_commands(client, roots):
    put(client, roots, "al/m", 1)
    put(client, roots, "al/m", 2)
    assert "prod\talias\tv1" in amend(client, "model", "promote", "al/m", "prod", "v1")
    row = amend(client, "ref", "policy", "al/m", "prod", "--protected").split("\t")
    assert row[0] == "prod" and row[4] == "yes" and client.ok("/v1/models/al/m/refs/prod")["policy"]["protected"]
    assert amend(client, "model", "alias", "set", "al/m", "prod", "v2", expect=None).returncode == 7
    amend(client, "model", "alias", "set", "al/m", "prod", "v2", "--force", "--reason", "r")
    assert "prod\talias\tv1" in amend(client, "model", "rollback", "al/m", "prod", "--reason", "r")
    moves = amend(client, "model", "alias", "history", "al/m", "prod")
    assert moves == amend(client, "ref", "history", "al/m", "prod") and moves.count("\n") == 3
    assert "\tno\t" in amend(client, "ref", "policy", "al/m", "prod", "--unprotected")
    for words in (("ref", "policy", "al/m", "prod"), ("model", "alias", "drop", "al/m"), ("model", "alias"),
                  ("ref", "policy", "al/m", "prod", "--protected", "--unprotected")):  # fmt: skip
        assert amend(client, *words, expect=None).returncode == 2


# ---- what the description says, and OpenLineage ------------------------------------------------------------------------


def test_the_description_names_the_headers_that_count(client):
    paths = client.ok("/v1/openapi.json")["paths"]

    def headers(verb, path):
        return {p["name"] for p in paths[path][verb]["parameters"] if p["in"] == "header"} - {"traceparent"}

    ref_path = "/v1/models/{ns}/{name}/refs/{ref}"
    assert headers("get", ref_path) == {"Prefer", "If-None-Match"}
    assert headers("put", ref_path) == {"If-Match", "If-None-Match"}
    assert headers("delete", ref_path) == {"If-Match"}
    assert headers("post", ref_path + "/rollback") == {"If-Match", "Idempotency-Key"}
    assert headers("get", "/v1/events/stream") == {"Last-Event-ID"}
    assert headers("get", "/v1/jobs/{id}") == {"Prefer", "If-None-Match"}
    waits = {f"{v} {p}" for p, of in paths.items() for v in of if v in ("post", "delete") and "Prefer" in headers(v, p)}
    accepts = {f"{v} {p}" for p, of in paths.items() for v in of if v in ("post", "delete") and "202" in of[v]["responses"]}
    assert waits == accepts and "post /v1/jobs/{id}/rerun" in waits, "whoever answers with a job can be waited for"


def test_openlineage(client, roots):
    c = client
    commits = {m: put(c, roots, f"ol/{m}", i) for i, m in enumerate(("base", "a", "b"))}
    body = merge("task_arithmetic", [("ol/a", {"weight": 1.0}), ("ol/b", {"weight": 1.0})], "ol/out", base="ol/base")
    first = c.wait(c.submit(body))
    second = c.wait(good(c.post(f"/v1/jobs/{first['id']}/retry"), 202)["id"])
    answer = c.get("/v1/models/ol/out/lineage?format=openlineage")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    events = {e["run"]["runId"]: e for e in map(json.loads, answer.text.splitlines())}
    space = c.url.replace("http://", "amend://")
    for job in (first, second):
        uid, made = job["id"][4:], job["result"]["version"]
        e = events[f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}"]
        version = c.version(f"ol/out@{made['commit']}")
        assert (e["eventType"], e["eventTime"]) == ("COMPLETE", version["created_at"])
        assert e["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        assert (e["job"]["namespace"], e["job"]["name"]) == (space, "merge.ol/out")
        kind = e["job"]["facets"]["jobType"]
        assert (kind["processingType"], kind["integration"], kind["jobType"]) == ("BATCH", "AMEND", "MERGE")
        read = {(i["namespace"], i["name"], i["facets"]["version"]["datasetVersion"]) for i in e["inputs"]}
        assert read == {(space, f"ol/{m}", commit) for m, commit in commits.items()}, "not the head before"
        (out,) = e["outputs"]
        assert out["name"] == "ol/out" and out["facets"]["version"]["datasetVersion"] == made["commit"]
        size = out["outputFacets"]["outputStatistics"]
        assert (size["size"], size["fileCount"]) == (version["bytes"], version["files"])
        spec = e["run"]["facets"]["amend_spec"]
        assert (spec["spec_sha256"], spec["method"]) == (job["resolved"]["spec_sha256"], "task_arithmetic")
        groups = (e["run"]["facets"], e["job"]["facets"], out["facets"], out["outputFacets"], e["inputs"][0]["facets"])
        assert all(f["_producer"] == e["producer"] and "://" in f["_schemaURL"] for g in groups for f in g.values())
    parent = events[max(events)]["run"]["facets"]["parent"]
    assert parent["run"]["runId"].replace("-", "") == first["id"][4:] and parent["job"]["name"] == "merge.ol/out"
    assert len(events) == 5, "two merges and three imports"
    assert c.get("/v1/schemas/SpecRunFacet.json").status_code == 200, "the facet's schema is where it says"


def test_health_without_curl(daemon, launch, tmp_path):
    def ask(data, which=""):
        done = subprocess.run([BUILD / "amendd", "--healthcheck" + which, f"--data_dir={data}"], capture_output=True, text=True)
        return done.returncode, (done.stdout + done.stderr).strip()

    d = launch("--store.min_free=900000GiB")
    assert ask(d.data, "=live") == (0, "live")
    code, said = ask(d.data)
    assert code == 1 and said.startswith("amendd: not ready; ") and "min_free" in said, "the disk is full by that setting"
    assert ask(d.data, "=soon")[0] == 1
    assert ask(daemon.data) == (0, "ready") and ask(daemon.data, "=ready") == (0, "ready")
    free = socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % free.getsockname()[1]
    free.close()
    done = subprocess.run(
        [BUILD / "amendd", "--healthcheck", f"--data_dir={tmp_path / 'none'}", f"--listen={address}"], capture_output=True
    )
    assert done.returncode == 1 and address.encode() in done.stderr
