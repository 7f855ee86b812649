"""The life of models and versions: labels, lists, deleting in two phases, purge, retention.

Whether bytes are gone is looked up in the files of the store folder, not asked of the daemon; what others kept is compared
with what they were before, and with their hashes.
"""

import concurrent.futures
import datetime
import hashlib
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import amend, merge, problem, sparsify

DAY = 24 * 3600 * 1000
FAR = "2099-01-01T00:00:00Z"


def values(seed, n=600):
    return np.random.default_rng(seed).standard_normal(n).astype("<f4")


def folder(roots, name, **tensors):
    return ref.write(roots / name, {k: ref.tensor("F32", v) for k, v in tensors.items()})


def put(c, roots, model, seed, **more):
    """A version whose only tensor is random; (name@commit, the bytes that no other version has)."""
    x = values(seed)
    v = c.register(folder(roots, f"{model.replace('/', '-')}-{seed}", w=x), model, **more)
    return f"{model}@{v['commit']}", x.tobytes()


def etag(c, path):
    answer = c.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


def patch(c, path, body, match=None, **headers):
    headers["If-Match"] = match or etag(c, path)
    return c.request("PATCH", path, json=body, headers=headers)


def delete(c, path, match=None, **query):
    return c.request("DELETE", path, params=query, headers={"If-Match": match or etag(c, path)})


def purge(c, path, match=None):
    answer = delete(c, path, match, purge="true")
    assert answer.status_code == 202, answer.text
    job = c.wait(answer.json()["id"])
    assert job["status"] == "succeeded", job
    return job


def holds(d, pattern):
    """Names of the files below the store folder in which the bytes stand."""
    return [str(p) for p in d.data.rglob("*") if p.is_file() and pattern in p.read_bytes()]


def waiting_job(c, version, into):
    """Durable, and not to be started before the end of the century."""
    return c.submit(merge("linear", [(version, {"weight": 1})], into, not_before=FAR))


def task(c, kind):
    job = c.wait(c.post("/v1/admin/tasks", {"kind": kind}).json()["id"])
    assert job["status"] == "succeeded", job
    return job["result"]


def ms(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


# ---- notes and lists ----------------------------------------------------------------------------------------------------


def test_labels_of_a_model(client):
    c = client
    c.post("/v1/models", {"id": "l/one", "labels": {"team": "vision", "stage/x": "a"}})
    path = "/v1/models/l/one"
    seen = etag(c, path)
    assert c.request("PATCH", path, json={"description": "x"}).status_code == 428
    answer = patch(c, path, {"labels": {"team": None, "owner": "ann"}, "description": "d", "private": True}, seen)
    doc = answer.json()
    assert answer.status_code == 200 and answer.headers["ETag"] != seen
    assert (doc["labels"], doc["description"], doc["private"]) == ({"owner": "ann", "stage/x": "a"}, "d", True)
    assert etag(c, path) == answer.headers["ETag"]
    problem(patch(c, path, {"description": "late"}, seen), 412, "precondition-failed")
    assert c.ok(path)["description"] == "d"
    # retention: the setting, its own, and the setting again
    assert doc["retention"] == {"unreferenced_days": 90, "own": False}
    own = patch(c, path, {"retention": {"unreferenced_days": 0}}).json()
    assert own["retention"] == {"unreferenced_days": 0, "own": True} and own["labels"] == doc["labels"]
    assert patch(c, path, {"retention": {"unreferenced_days": None}}).json()["retention"] == doc["retention"]


def test_all_faults_of_labels_at_once(client):
    c = client
    bad = {"labels": {"": "x", "-a": "x", "a b": "x", "k/é": "x", "long": "x" * 256, "n": 1, "z" * 64: "x"}, "more": 1}
    doc = problem(c.post("/v1/models", {"id": "l/bad", **bad}), 400, "unknown-member")
    pointers = [e["pointer"] for e in doc["errors"]]
    assert sorted(pointers) == sorted(
        ["#/more", "#/labels/", "#/labels/-a", "#/labels/a b", "#/labels/k~1é", "#/labels/long", "#/labels/n",
         "#/labels/" + "z" * 64]
    ), pointers
    assert c.get("/v1/models/l/bad").status_code == 404
    many = {f"k{i}": "v" for i in range(65)}
    problem(c.post("/v1/models", {"id": "l/bad", "labels": many}), 400, "invalid-request")
    c.post("/v1/models", {"id": "l/full", "labels": dict(list(many.items())[:64])})
    assert patch(c, "/v1/models/l/full", {"labels": {"one": "more"}}).status_code == 400
    assert patch(c, "/v1/models/l/full", {"labels": {"one": "more", "k0": None}}).status_code == 200
    for body in ({}, {"labels": [1]}, {"retention": {"days": 1}}, {"retention": {"unreferenced_days": -1}},
                 {"description": "x" * 5000}, {"private": "yes"}):
        assert patch(c, "/v1/models/l/full", body).status_code in (400, 422), body


def test_lists_by_label_and_namespace(client):
    c = client
    for name, labels in (("f/a", {"t": "x"}), ("f/b", {"t": "y", "s": "1"}), ("f/c", {"t": "z", "s": "1"}), ("ff/a", {"t": "x"})):
        assert c.post("/v1/models", {"id": name, "labels": labels}).status_code == 201
    def ids(query):
        return [m["id"] for m in c.all("/v1/models?" + query)]
    assert ids("namespace=f") == ["f/a", "f/b", "f/c"]
    assert ids("label.t=x") == ["f/a", "ff/a"]
    assert ids("label.t=x&label.t=y") == ["f/a", "f/b", "ff/a"], "any of"
    assert ids("label.t=x&label.t=y&label.s=1") == ["f/b"], "all labels"
    assert ids("label.t=x&namespace=ff&limit=1") == ["ff/a"]
    assert ids("label.none=x") == [] and ids("namespace=none") == []
    assert c.post("/v1/models", {"id": "f/d", "labels": {"acme.org/team": "ml"}}).status_code == 201
    for name in ("label.acme.org/team", "label.acme.org%2Fteam", "%6Cabel.acme.org%2Fteam"):
        assert ids(name + "=ml&limit=%31") == ["f/d"], "clients write a slash as %2F, and may write any character so"
    assert ids("na%6Despace=f&%6Cimit=1")[:2] == ["f/a", "f/b"]
    problem(c.get("/v1/models?label.=x"), 400, "unknown-member")
    problem(c.get("/v1/models?labels.t=x"), 400, "unknown-member")
    problem(c.get("/v1/models?label.a%20b=x"), 400, "invalid-request")
    problem(c.get("/v1/models/f/a?label.t=x"), 400, "unknown-member")


def test_notes_of_a_version(client, roots):
    c = client
    version, _ = put(c, roots, "n/one", 1)
    path = c.at(version)
    doc = c.ok(path)
    assert (doc["labels"], doc["pinned"], doc["note"], doc["deleted_at"]) == ({}, False, None, None)
    seen = etag(c, path)
    doc = patch(c, path, {"labels": {"a": "1"}, "pinned": True, "note": "good"}, seen).json()
    assert (doc["labels"], doc["pinned"], doc["note"]) == ({"a": "1"}, True, "good")
    problem(patch(c, path, {"note": "late"}, seen), 412, "precondition-failed")
    now = patch(c, path, {"note": None}).json()
    assert (now["labels"], now["pinned"], now["note"]) == ({"a": "1"}, True, None)
    assert c.ok("/v1/models/n/one/versions")["data"][0]["labels"] == {"a": "1"}
    assert patch(c, path, {"note": "x" * 4097}).status_code == 400
    assert patch(c, path, {"message": "x"}).json()["errors"][0]["pointer"] == "#/message"


def test_the_line_of_a_branch_and_cursors(client, roots):
    c = client
    made = [put(c, roots, "s/line", i)[0].split("@")[1] for i in range(10, 14)]
    side = [put(c, roots, "s/line", i, branch="side")[0].split("@")[1] for i in range(20, 22)]
    v0 = c.version("s/line@v0")["commit"]
    path = "/v1/models/s/line/versions"
    def commits(query=""):
        return [v["commit"] for v in c.all(path + query)]
    assert commits("?limit=2") == side[::-1] + made[::-1] + [v0]
    assert commits("?ref=main&limit=1") == made[::-1] + [v0]
    assert commits("?ref=side&limit=2") == side[::-1] + made[::-1] + [v0], "side began at the head of main"
    assert commits("?ref=v2") == [made[1], made[0], v0]
    assert commits("?state=complete") == commits() and commits("?state=incomplete") == []
    problem(c.get(path + "?state=half"), 400, "invalid-request")
    problem(c.get(path + "?ref=nothing"), 404, "revision-not-found")
    # pages stay as they are when something comes, and when something goes
    page = c.ok(path + "?ref=main&limit=2")
    put(c, roots, "s/line", 30)
    assert delete(c, f"{path}/{made[2]}").status_code == 200, "no ref names it"
    rest = c.ok(path + f"?ref=main&limit=10&after={page['next']}")
    assert [v["commit"] for v in page["data"]] == [made[3], made[2]]
    assert [v["commit"] for v in rest["data"]] == [made[1], made[0], v0]
    assert made[2] not in commits("?ref=main") and made[1] in commits("?ref=main"), "the line goes on behind it"


# ---- deleting and restoring ---------------------------------------------------------------------------------------------


def test_delete_and_restore_of_a_version(client, roots):
    c = client
    old, _ = put(c, roots, "d/one", 40)
    new, _ = put(c, roots, "d/one", 41)
    child = c.run(merge("linear", [(old, {"weight": 1})], "d/child"))
    path, before = c.at(old), c.ok(c.at(old))
    size = c.ok("/v1/models/d/one")
    assert c.request("DELETE", path).status_code == 428
    problem(delete(c, path, '"other"'), 412, "precondition-failed")
    answer = delete(c, path, reason="not needed")
    doc = answer.json()
    assert answer.status_code == 200, doc
    assert doc["object"] == "deletion" and doc["commit"] == before["commit"] and doc["reason"] == "not needed"
    assert [f"{x['model']}@{x['commit']}" for x in doc["descendants"]] == [new, child] and doc["descendants_total"] == 2
    assert ms(doc["restorable_until"]) - ms(doc["deleted_at"]) == pytest.approx(72 * 3600 * 1000)
    # gone from everything that names things
    for rev in (before["commit"], "v1", before["commit"][:12]):
        detail = problem(c.get(c.at("d/one@" + rev)), 404, "revision-not-found")["detail"]
        assert "restore" in detail, detail
        assert c.get(f"/d/one/resolve/{rev}/model.safetensors").status_code == 404
    assert c.get(path + "/files/model.safetensors/content").status_code == 404
    assert before["commit"] not in [v["commit"] for v in c.all("/v1/models/d/one/versions")]
    doc = c.post("/v1/jobs", merge("linear", [(old, {"weight": 1})], "d/x")).json()
    assert doc["code"] == "revision-not-found", doc
    now = c.ok("/v1/models/d/one")
    assert now["versions"] == size["versions"] - 1
    assert now["logical_bytes"] == size["logical_bytes"] - before["bytes"]
    problem(delete(c, path, "*"), 404, "revision-not-found")
    # the lineage of others keeps its tombstone
    graph = c.ok("/v1/models/d/child/lineage")
    node = {n["id"]: n for n in graph["nodes"]}[before["commit"]]
    assert node["deleted_at"] and node["model"] == "d/one"
    assert c.ok(c.at(child))["inputs"][0]["commit"] == before["commit"]
    # and back
    answer = c.post(path + "/restore")
    assert answer.status_code == 200, answer.text
    assert {**answer.json(), "expires_at": None} == {**before, "expires_at": None}
    assert c.ok("/v1/models/d/one")["logical_bytes"] == size["logical_bytes"]
    problem(c.post(path + "/restore"), 409, "conflict")
    problem(c.post(c.at("d/one@v9") + "/restore"), 404, "revision-not-found")
    problem(delete(c, c.at("d/one@v0")), 409, "conflict")


def test_a_version_in_use_is_not_deleted(client, roots):
    c = client
    version, _ = put(c, roots, "u/one", 50)
    doc = problem(delete(c, c.at(version)), 409, "version-in-use")
    assert any("main" in e["detail"] for e in doc["errors"]), doc
    old = version
    put(c, roots, "u/one", 51)
    jobs = [waiting_job(c, old, "u/out") for _ in range(2)]
    doc = problem(delete(c, c.at(old)), 409, "version-in-use")
    assert {j for j in jobs for e in doc["errors"] if j in e["detail"]} == set(jobs), doc
    # the model too, and the one that the jobs publish into when it is there
    assert any(jobs[0] in e["detail"] for e in problem(delete(c, "/v1/models/u/one"), 409, "version-in-use")["errors"])
    c.post("/v1/models", {"id": "u/out"})
    assert any(jobs[1] in e["detail"] for e in problem(delete(c, "/v1/models/u/out"), 409, "version-in-use")["errors"])
    for j in jobs:
        assert c.post(f"/v1/jobs/{j}/cancel").status_code == 202
    assert delete(c, c.at(old)).status_code == 200
    assert delete(c, "/v1/models/u/out").status_code == 200


def test_delete_and_restore_of_a_model(client, roots):
    c = client
    one, _ = put(c, roots, "g/base", 60)
    child = c.run(merge("linear", [(one, {"weight": 1})], "g/child"))
    grand = c.run(merge("linear", [(child, {"weight": 1})], "g/grand"))
    before = c.ok("/v1/models/g/base")
    assert c.request("DELETE", "/v1/models/g/base").status_code == 428
    doc = delete(c, "/v1/models/g/base").json()
    assert [f"{x['model']}@{x['commit']}" for x in doc["descendants"]] == [child, grand]
    for path in ("", "/refs", "/versions", "/versions/v1", "/lineage", "/versions/v1/files"):
        assert c.get("/v1/models/g/base" + path).status_code == 404, path
    assert "restore" in c.get("/v1/models/g/base").json()["detail"]
    assert c.get("/g/base/resolve/main/model.safetensors").status_code == 404
    assert "g/base" not in [m["id"] for m in c.all("/v1/models?namespace=g")]
    # its name stays taken, for people, registrations and jobs
    assert "restore" in problem(c.post("/v1/models", {"id": "g/base"}), 409, "conflict")["detail"]
    assert c.register_raw(roots / "g-base-60", "g/base").status_code == 409
    doc = problem(c.post("/v1/jobs", merge("linear", [(child, {"weight": 1})], "g/base")), 409, "conflict")
    assert doc["errors"][0]["pointer"] == "#/publish/model"
    assert c.post("/v1/jobs", merge("linear", [(one, {"weight": 1})], "g/new")).status_code == 404
    # what was made of it is whole, and knows where it came from
    want = c.download(child, "model.safetensors")
    nodes = {n["model"]: n for n in c.ok("/v1/models/g/grand/lineage?depth=all")["nodes"]}
    assert nodes["g/base"]["deleted_at"] and not nodes["g/child"]["deleted_at"]
    c.run(merge("linear", [(child, {"weight": 0.5})], "g/later"))
    back = c.post("/v1/models/g/base/restore")
    assert back.status_code == 200 and back.json()["head"] == before["head"] and back.json()["versions"] == 1
    assert c.download(one, "model.safetensors") and c.download(child, "model.safetensors") == want
    problem(c.post("/v1/models/g/base/restore"), 409, "conflict")
    problem(c.post("/v1/models/g/nothing/restore"), 404, "not-found")


def test_delete_against_submit(client, roots):
    """Whoever commits first wins: a job that was accepted has its input, and a version that was deleted has no job."""
    c = client
    put(c, roots, "r/one", 70)
    for i in range(4):
        put(c, roots, "r/one", 71 + i)
        old = f"r/one@v{i + 1}"
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [harness.Client(c.url) for _ in range(4)]
            body = merge("linear", [(old, {"weight": 1})], f"r/out{i}")
            jobs = [pool.submit(x.post, "/v1/jobs", body) for x in clients[:3]]
            gone = pool.submit(clients[3].request, "DELETE", c.at(old), headers={"If-Match": "*"})
            answers = [j.result() for j in jobs]
            gone = gone.result()
        accepted = [a.json()["id"] for a in answers if a.status_code == 202]
        assert all(a.status_code in (202, 404, 409) for a in answers), [a.text for a in answers]
        assert gone.status_code in (200, 409), gone.text
        ends = [c.wait(j) for j in accepted]
        assert all(j["status"] == "succeeded" for j in ends), ends


# ---- the second phase ---------------------------------------------------------------------------------------------------


def test_bytes_go_after_the_grace(launch, roots):
    d = launch("--store.gc_grace=1s")
    c = d.client
    old, pattern = put(c, roots, "b/one", 80)
    kept, other = put(c, roots, "b/one", 81)
    whole, third = put(c, roots, "b/two", 82)
    put(c, roots, "b/two", 83)
    c.run(merge("linear", [(old, {"weight": 0.5}), (kept, {"weight": 0.5})], "b/child"))
    assert delete(c, c.at(old)).status_code == 200 and delete(c, "/v1/models/b/two").status_code == 200
    assert task(c, "gc")["versions"] == 0 and holds(d, pattern) and holds(d, third), "inside the grace nothing goes"
    child = c.download("b/child", "model.safetensors")
    time.sleep(1.05)
    result = task(c, "gc")
    assert result["versions"] == 3 and result["blobs"] >= 3, result
    assert holds(d, pattern) == holds(d, third) == [] and holds(d, other)
    assert c.download(kept, "model.safetensors") and c.download("b/child", "model.safetensors") == child
    problem(c.post(c.at(old) + "/restore"), 409, "version-gone")
    problem(c.post("/v1/models/b/two/restore"), 409, "version-gone")
    graph = {n["id"]: n for n in c.ok("/v1/models/b/child/lineage")["nodes"]}
    assert graph[old.split("@")[1]]["deleted_at"]
    # the numbers that the store counts are those of what is there
    for m in ("b/one", "b/child"):
        model = c.ok("/v1/models/" + m)
        listed = c.all(f"/v1/models/{m}/versions")
        assert model["logical_bytes"] == sum(v["bytes"] for v in listed)
        assert model["versions"] == len(listed) - 1
    physical = sum(c.ok("/v1/models/" + m)["physical_bytes"] for m in ("b/one", "b/child"))
    assert physical == sum(p.stat().st_size for p in (d.data / "blobs").rglob("*") if p.is_file())
    # the name is free, and no number means two things
    fresh = c.post("/v1/models", {"id": "b/two"})
    assert fresh.status_code == 201 and fresh.json()["head"]["number"] == 0 and fresh.json()["versions"] == 0
    again, fourth = put(c, roots, "b/two", 84)
    assert c.version(again)["number"] == 3 and holds(d, fourth)
    assert c.get(c.at("b/two@v1")).status_code == 404
    assert [v["number"] for v in c.all("/v1/models/b/two/versions")] == [3, 0]
    # registering the deleted bytes again stores them again
    put(c, roots, "b/one", 80)
    assert holds(d, pattern)
    assert task(c, "verify")["damaged"] == [] and task(c, "check")["findings"] == []


def test_purge_leaves_nothing_and_keeps_the_others(daemon, roots):
    """A child that shares tensors with the purged version keeps them, in a blob that holds nothing else."""
    d, c = daemon, daemon.client
    rng = np.random.default_rng(5)
    tensors = {f"l{i}.weight": rng.standard_normal(2000).astype("<f4") for i in range(8)}
    c.register(folder(roots, "many", **tensors), "p/many")
    parent = "p/many@" + c.version("p/many")["commit"]
    # half of l3 survives in the child at most; what was cut to zero is only in the parent
    child = c.run(sparsify("p/many", "p/many", {"sparsity": 0.9, "include": ["l3.weight"]}))
    again = c.run(sparsify("p/many", "p/many", {"sparsity": 0.9, "include": ["l5.weight"]}))
    assert c.files(child)["model.safetensors"]["storage"] == "assembled"
    bytes_before = {v: c.download(v, "model.safetensors") for v in (child, again)}
    tags_before = {v: c.etags(v) for v in (child, again)}
    only_there, shared = tensors["l3.weight"].tobytes(), tensors["l0.weight"].tobytes()
    assert holds(d, only_there) and holds(d, shared)
    disk = sum(p.stat().st_size for p in (d.data / "blobs").rglob("*") if p.is_file())
    job = purge(c, c.at(parent))
    result = job["result"]
    assert (job["type"], job["method"], job["warnings"]) == ("task", "purge", [])
    assert result["versions"] == 1 and result["held"] == [] and result["packed_total"] == 1, result
    (packed,) = [b for b in result["removed"] if b.get("packed_into")]
    assert set(packed["kept_by"]) == {child, again} and packed["kept_bytes"] < packed["bytes"]
    assert not holds(d, only_there), "the purged tensor is nowhere in the store folder"
    assert holds(d, shared), "what the others need is there"
    after = sum(p.stat().st_size for p in (d.data / "blobs").rglob("*") if p.is_file())
    assert disk - after == result["removed_bytes"] >= len(only_there)
    for v in (child, again):
        assert c.download(v, "model.safetensors") == bytes_before[v] and c.etags(v) == tags_before[v]
        assert hashlib.sha256(bytes_before[v]).hexdigest() == c.files(v)["model.safetensors"]["sha256"]
    checked = task(c, "verify")
    assert checked["damaged"] == [] and checked["assembled"] >= 2
    c.run(sparsify(again, "p/later", {"sparsity": 0.5, "include": ["l1.weight"]}))
    problem(c.post(c.at(parent) + "/restore"), 409, "version-gone")


def test_purge_says_what_it_cannot_remove(daemon, roots):
    d, c = daemon, daemon.client
    rng = np.random.default_rng(6)
    tensors = {f"l{i}.weight": rng.standard_normal(2000).astype("<f4") for i in range(8)}
    c.register(folder(roots, "held", **tensors), "h/many")
    parent = "h/many@" + c.version("h/many")["commit"]
    child = c.run(sparsify("h/many", "h/many", {"sparsity": 0.9, "include": ["l3.weight"]}))
    job = waiting_job(c, child, "h/out")
    done = purge(c, c.at(parent))
    (held,) = done["result"]["held"]
    assert "job" in held["why"] and held["kept_by"] == [child], held
    assert done["warnings"][0]["code"] == "purge-incomplete"
    assert holds(d, tensors["l3.weight"].tobytes()), "it is what it says"
    c.post(f"/v1/jobs/{job}/cancel")
    # a whole file that two versions share: all of it stays, and that is said
    twin, pattern = put(c, roots, "h/twin", 90)
    c.register(roots / "h-twin-90", "h/other")
    result = purge(c, "/v1/models/h/twin")["result"]
    assert result["removed"] == [] or all(not b["kept_by"] for b in result["removed"])
    assert any(b["kept_by"] == ["h/other@" + c.version("h/other")["commit"]] for b in result["shared"]), result
    assert holds(d, pattern) and c.download("h/other", "model.safetensors")
    # deleted before, purged later, and all of a model
    last, third = put(c, roots, "h/last", 91)
    put(c, roots, "h/last", 92)
    gone = delete(c, "/v1/models/h/last")
    match = gone.headers["ETag"]
    problem(delete(c, "/v1/models/h/last", '"x"', purge="true"), 412, "precondition-failed")
    assert purge(c, "/v1/models/h/last", match)["result"]["versions"] == 2 and not holds(d, third)
    assert c.get("/v1/models/h/last").status_code == 404
    again = c.run(merge("linear", [("h/other", {"weight": 1})], "h/last"))
    assert c.version(again)["number"] == 3, "a job publishes under the free name, and numbers go on"
    problem(c.request("DELETE", "/v1/models/h/last", params={"purge": "maybe"}), 400, "invalid-request")


def test_a_freed_name_starts_anew_and_repeats_no_revision(daemon, roots):
    c, at = daemon.client, "/v1/models/h/again"
    put(c, roots, "h/again", 95)
    put(c, roots, "h/again", 96)
    def alias(to, **headers):
        return c.request("PUT", at + "/refs/prod", json={"to": to, "reason": "r"}, headers=headers)
    assert alias("v1", **{"If-None-Match": "*"}).status_code == 201
    seen = alias("v2", **{"If-Match": '"1"'}).headers["ETag"]
    branch = etag(c, at + "/refs/main")
    purge(c, at)
    last = c.ok("/v1/events?topic=models&model=h/again&limit=100")["data"][-1]["seq"]
    assert c.post("/v1/models", {"id": "h/again"}).status_code == 201
    told = c.ok(f"/v1/events?model=h/again&after={last}")["data"]
    assert [(e["type"], e["subject"]) for e in told] == [("model.created", "h/again")], told
    assert etag(c, at).endswith(f'-{told[0]["revision"]}"')
    # what somebody saw of a ref before never fits the one of that name now, and the history has every step
    assert put(c, roots, "h/again", 97) and alias("v3", **{"If-None-Match": "*"}).status_code == 201
    assert int(etag(c, at + "/refs/prod")[1:-1]) > int(seen[1:-1]) and int(etag(c, at + "/refs/main")[1:-1]) > int(branch[1:-1])
    assert [m["kind"] for m in c.all(at + "/refs/prod/history")] == ["create", "delete", "move", "create"]
    for status in (200, 409):  # to the empty v0, and no further
        assert c.post(at + "/refs/main/rollback", {"reason": "r"}, headers={"If-Match": "*"}).status_code == status


@pytest.mark.slow
def test_purges_of_random_versions(daemon, roots, seed):
    """Edits upon edits in two models, purged in a random order: what is left reads as before, and the store never holds
    the bytes of a tensor that only purged versions had."""
    d, c, rng = daemon, daemon.client, np.random.default_rng(seed)
    tensors = {f"l{i}.weight": rng.standard_normal(500).astype("<f4") for i in range(12)}
    c.register(folder(roots, "rand", **tensors), "q/a")
    versions = ["q/a@" + c.version("q/a")["commit"]]
    for i in range(14):
        parent, into = versions[rng.integers(len(versions))], ["q/a", "q/b"][rng.integers(2)]
        include = [f"l{k}.weight" for k in rng.choice(12, 2, replace=False)]
        versions.append(c.run(sparsify(parent, into, {"sparsity": float(rng.uniform(0.1, 0.9)), "include": include})))
    versions = list(dict.fromkeys(versions))
    weights = {v: {n: t.data for n, t in c.weights(v).items()} for v in versions}
    files = {v: c.download(v, "model.safetensors") for v in versions}
    heads = {f"{m}@{c.version(m)['commit']}" for m in ("q/a", "q/b") if c.get("/v1/models/" + m).status_code == 200}
    left = set(versions)
    for v in rng.permutation([v for v in versions if v not in heads]):
        result = purge(c, c.at(str(v)))["result"]
        assert result["held"] == [], result
        left.discard(str(v))
        living = {t for x in left for t in weights[x].values()}
        for name, data in weights[str(v)].items():
            assert data in living or not holds(d, data), (str(v), name)
        for x in left:
            assert c.download(x, "model.safetensors") == files[x], (str(v), x)
    assert task(c, "verify")["damaged"] == [] and task(c, "check")["findings"] == []


# ---- retention ----------------------------------------------------------------------------------------------------------


def test_retention(launch, roots):
    d = launch("--retention.unreferenced_days=10", name="keep")
    c = d.client
    versions = [put(c, roots, "k/line", 100 + i)[0] for i in range(9)]  # v1 to v9 on main
    def expiry(version):
        return c.ok(c.at(version))["expires_at"]
    assert [expiry(v) for v in versions[4:]] == [None] * 5, "the last five targets of main"
    assert all(expiry(v) for v in versions[:4])
    assert ms(expiry(versions[0])) == pytest.approx(ms(c.version("k/line@v2")["created_at"]) + 10 * DAY, abs=5000)
    assert expiry("k/line@v0") is None
    # what holds a version, one by one
    job = waiting_job(c, versions[1], "k/out")
    assert expiry(versions[1]) is None
    before = etag(c, c.at(versions[2]))
    patch(c, c.at(versions[2]), {"pinned": True})
    assert expiry(versions[2]) is None and etag(c, c.at(versions[2])) != before
    # a job's result that no ref names says so
    head = c.version("k/line")["commit"]
    body = merge("linear", [(versions[8], {"weight": 1})], "k/line")
    body["publish"].update(if_head=head, on_conflict="detach")
    first = c.wait(c.submit({**body, "metadata": {"n": "1"}}))
    assert first["result"]["expires_at"] is None and first["warnings"] == []
    waiting = dict(body, options={"not_before": (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)).isoformat()})
    waiting["publish"] = {"model": "k/line", "branch": "main", "if_head": c.version("k/line")["commit"], "on_conflict": "detach"}
    late = c.submit(waiting)
    put(c, roots, "k/line", 120)
    late = c.wait(late)
    result = late["result"]
    assert result["published"] is False and late["warnings"][0]["code"] == "version-expires", late
    detached = f"k/line@{result['version']['commit']}"
    assert ms(result["expires_at"]) == pytest.approx(ms(late["finished_at"]) + 10 * DAY, abs=5000)
    assert expiry(detached) == result["expires_at"]
    # a model's own days, and none
    patch(c, "/v1/models/k/line", {"retention": {"unreferenced_days": 1}})
    assert ms(expiry(detached)) == pytest.approx(ms(late["finished_at"]) + DAY, abs=5000)
    patch(c, "/v1/models/k/line", {"retention": {"unreferenced_days": 0}})
    assert expiry(detached) is None
    patch(c, "/v1/models/k/line", {"retention": {"unreferenced_days": None}})
    assert task(c, "retention")["deleted"] == []
    # eleven days later
    d.stop()
    for table, column in (("version", "created_at"), ("version", "held_at"), ("ref_move", "at")):
        d.sql(f"UPDATE {table} SET {column} = {column} - ?", 11 * DAY)
    d.start()
    c = d.client
    deleted = task(c, "retention")["deleted"]
    # v1, v4 and by now what fell out of the last five; not v2 (a job), not v3 (pinned)
    line = [v["commit"] for v in c.all("/v1/models/k/line/versions")]
    assert versions[0] in deleted and versions[3] in deleted and detached in deleted
    assert versions[1].split("@")[1] in line and versions[2].split("@")[1] in line
    assert set(line).isdisjoint(x.split("@")[1] for x in deleted)
    assert [n for n in (c.version("k/line@" + x)["number"] for x in line) if n is not None][:5] == [11, 10, 9, 8, 7]
    # restored, its time begins anew; unpinned, it has all of it
    assert c.post(c.at(versions[0]) + "/restore").status_code == 200
    assert ms(c.ok(c.at(versions[0]))["expires_at"]) > time.time() * 1000 + 9 * DAY
    patch(c, c.at(versions[2]), {"pinned": False})
    assert ms(c.ok(c.at(versions[2]))["expires_at"]) > time.time() * 1000 + 9 * DAY
    assert task(c, "retention")["deleted"] == []
    c.post(f"/v1/jobs/{job}/cancel")
    assert task(c, "retention")["deleted"] == [versions[1]], "the job held it, and nothing else"


@pytest.mark.slow
def test_housekeeping_comes_by_itself(launch, roots):
    d = launch("--retention.unreferenced_days=10", "--store.gc_grace=1s", "--database.backup_hours=0", name="daily")
    c = d.client
    versions = [put(c, roots, "k/daily", 130 + i) for i in range(7)]
    d.stop()
    for table, column in (("version", "created_at"), ("version", "held_at"), ("ref_move", "at"), ("job", "created_at"),
                          ("blob", "created_at")):
        d.sql(f"UPDATE {table} SET {column} = {column} - ?", 11 * DAY)
    d.start()
    deadline = time.monotonic() + 20
    while (tasks := {j["method"]: j for j in d.client.all("/v1/jobs?type=task&limit=100")}).keys() < {"retention", "gc", "import"} or any(
        j["status"] not in harness.TERMINAL for j in tasks.values()):
        assert time.monotonic() < deadline, tasks.keys()
        time.sleep(0.2)
    assert tasks["retention"]["result"]["deleted"] == [versions[0][0], versions[1][0]]
    time.sleep(1.1)
    task(d.client, "gc")
    assert not holds(d, versions[0][1]) and holds(d, versions[2][1])


# ---- the command line ---------------------------------------------------------------------------------------------------


def test_cli(client, roots):
    c = client
    old, _ = put(c, roots, "x/one", 140)
    new, _ = put(c, roots, "x/one", 141)
    amend(c, "model", "label", "x/one", "team=vision", "stage=dev")
    amend(c, "model", "label", "x/one", "stage-", "owner=a=b")
    assert c.ok("/v1/models/x/one")["labels"] == {"team": "vision", "owner": "a=b"}
    amend(c, "model", "label", "x/one@v1", "good=yes")
    amend(c, "model", "pin", "x/one@v1")
    assert c.version(old)["labels"] == {"good": "yes"} and c.version(old)["pinned"] is True
    amend(c, "model", "unpin", "x/one@v1")
    assert c.version(old)["pinned"] is False
    amend(c, "model", "pin", "x/one", expect=2)
    amend(c, "model", "label", "x/one", "word", expect=2)
    # without a terminal to ask on, deleting wants --yes
    amend(c, "model", "rm", "x/one@v1", expect=2)
    assert c.version(old)
    amend(c, "model", "rm", "x/one@v1", "--yes")
    assert c.get(c.at(old)).status_code == 404
    amend(c, "model", "rm", "x/one@v2", "--yes", expect=7)
    amend(c, "model", "restore", "x/one@v1")
    assert c.version(old)
    amend(c, "model", "rm", "x/one", "--yes")
    assert c.get("/v1/models/x/one").status_code == 404
    amend(c, "model", "restore", "x/one")
    out = amend(c, "model", "rm", "x/one@v1", "--purge", "--yes")
    assert "removed" in out, out
    assert problem(c.post(c.at(old) + "/restore"), 409, "version-gone")
    assert c.version(new)
