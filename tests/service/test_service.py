"""The service routes: health, index, methods, OpenAPI, problems; and what is true of jobs as resources."""

import json
import re

import numpy as np
import pytest

import reference as ref
from harness import computed, merge, problem

METHODS = {"merge/linear", "merge/task_arithmetic", "unlearn/task_negation", "edit/sparsify"}


@pytest.fixture(scope="module")
def models(client, roots):
    for i in range(2):
        client.register(ref.write(roots / f"s{i}", {"w": ref.tensor("F32", np.arange(9) + i)}), f"s/in-{i}")
    return client


def body(into="s/out"):
    return merge("linear", [("s/in-0@v1", {"weight": 1}), ("s/in-1", {"weight": 3})], into)


def test_health(client, daemon):
    assert client.ok("/livez")["status"] == "ok"
    for path in ("/readyz", "/healthz"):
        doc = client.ok(path)
        assert doc["status"] == "ok"
        assert re.search(r"3\.\d+\.\d+", json.dumps(doc)), "the linked SQLite is named"
    assert str(daemon.data) not in client.get("/readyz").text


def test_index_and_version(client):
    assert "/v1/models" in json.dumps(client.ok("/v1"))
    doc = client.ok("/v1/version")
    assert doc["api"] == ["v1"] and re.match(r"\d+\.\d+\.\d+", doc["version"]) and doc["limits"] and "features" in doc


def test_methods(client):
    methods = {m["id"]: m for m in client.all("/v1/methods")}
    assert METHODS <= set(methods)
    assert {m["id"] for m in client.all("/v1/methods?type=edit")} == {i for i in methods if i.startswith("edit/")}
    for name, m in methods.items():
        assert client.ok("/v1/methods/" + name) == m
        assert m["object"] == "method" and name == f"{m['type']}/{m['name']}" and m["summary"]
        whole = m["needs"]["unit"] == "tensor"  # linear algebra: its bytes depend on the BLAS, and the recipe names it
        assert m["needs"]["deterministic"] == ("same kernel set" if whole else "any threads, any kernels")
        for p in m["params"]:
            assert p["name"] and p["kind"] and p["unit"] and p["doc"], p
    params = {p["name"]: p for p in methods["edit/sparsify"]["params"]}
    assert (params["scope"]["default"], params["scope"]["choices"]) == ("tensor", ["tensor", "model"])
    assert (
        (params["sparsity"]["min"], params["sparsity"]["max"]) == (0, 1)
        and "default" not in params["sparsity"]
        or params["sparsity"]["default"] is None
    )
    assert (params["include"]["default"], params["exclude"]["default"]) == (["*"], [])
    params = {p["name"]: p for p in methods["merge/linear"]["params"]}
    assert params["weight"]["per_input"] is True and params["normalize"]["default"] is True


def test_openapi(client):
    doc = client.ok("/v1/openapi.json")
    assert doc["openapi"].startswith("3.1")
    shapes = {re.sub(r"\{[^}]*\}", "{}", p): set(v) for p, v in doc["paths"].items()}
    for path, methods in {
        "/v1/models": {"get", "post"},
        "/v1/models/{}/{}": {"get"},
        "/v1/models/{}/{}/versions": {"get", "post"},
        "/v1/models/{}/{}/versions/{}": {"get"},
        "/v1/models/{}/{}/versions/{}/files": {"get"},
        "/v1/models/{}/{}/versions/{}/files/{}": {"get"},
        "/v1/models/{}/{}/versions/{}/files/{}/content": {"get"},
        "/v1/models/{}/{}/versions/{}/tensors": {"get"},
        "/v1/models/{}/{}/versions/{}/recipe": {"get"},
        "/v1/models/{}/{}/refs": {"get"},
        "/v1/models/{}/{}/lineage": {"get"},
        "/v1/jobs": {"get", "post"},
        "/v1/jobs/{}": {"get"},
        "/v1/jobs/{}/cancel": {"post"},
        "/v1/jobs/{}/log": {"get"},
        "/livez": {"get"},
        "/readyz": {"get"},
        "/healthz": {"get"},
        "/v1": {"get"},
        "/v1/version": {"get"},
        "/v1/methods": {"get"},
        "/v1/methods/{}/{}": {"get"},
        "/v1/openapi.json": {"get"},
        "/v1/problems": {"get"},
        "/v1/problems/{}": {"get"},
    }.items():
        assert methods <= shapes.get(path, set()), f"{path} is not described"
    text = json.dumps(doc)
    for name in METHODS:
        assert name.split("/")[1] in text
    for pointer in set(re.findall(r'"\$ref": "#/([^"]*)"', text)):
        at = doc
        for part in pointer.split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
    for path, item in doc["paths"].items():
        for method, op in item.items():
            if method in ("get", "post", "put", "delete", "patch", "head"):
                assert op["responses"], f"{method} {path} describes no answer"


def test_problems(client):
    found = (
        {p["code"]: p for p in client.all("/v1/problems?limit=100")}
        if "limit" in client.get("/v1/openapi.json").text and client.get("/v1/problems?limit=100").status_code == 200
        else {p["code"]: p for p in client.ok("/v1/problems")["data"]}
    )
    for code, status in (
        ("not-found", 404),
        ("shape-mismatch", 422),
        ("insufficient-disk", 507),
        ("host-refused", 421),
        ("name-taken", 409),
    ):
        assert found[code]["status"] == status and found[code]["title"]
    for code in found:
        assert client.ok("/v1/problems/" + code)["title"] == found[code]["title"]


def test_head_wherever_get(models):
    uid = models.submit(body())
    models.wait(uid)
    for path in (
        "/livez",
        "/v1",
        "/v1/version",
        "/v1/methods",
        "/v1/methods/merge/linear",
        "/v1/problems",
        "/v1/models",
        "/v1/models/s/in-0",
        "/v1/models/s/in-0/versions",
        "/v1/models/s/in-0/versions/v1",
        "/v1/models/s/in-0/versions/v1/files",
        "/v1/models/s/in-0/refs",
        "/v1/models/s/in-0/versions/v1/files/model.safetensors/content",
        "/v1/jobs/" + uid,
        "/v1/openapi.json",
    ):
        head, got = models.head(path), models.get(path)
        assert head.status_code == got.status_code == 200, path
        assert head.headers["Content-Type"] == got.headers["Content-Type"], path
        assert head.headers["Content-Length"] == str(len(got.content)), path
    assert models.head("/v1/models/s/none").status_code == 404


def test_answers_carry_what_is_promised(models):
    for path in ("/v1/models/s/in-0", "/v1/jobs", "/v1/methods"):
        h = models.get(path).headers
        assert h["Content-Type"] == "application/json; charset=utf-8" and h["Cache-Control"], path
    ids = {models.get("/livez").headers["X-Request-Id"] for _ in range(20)}
    assert len(ids) == 20


def test_a_job(models):
    uid = models.submit({**body("s/job"), "metadata": {"pipeline": "nightly"}, "priority": 7})
    job = models.wait(uid)
    assert (job["object"], job["type"], job["method"], job["priority"], job["metadata"]) == (
        "job",
        "merge",
        "linear",
        7,
        {"pipeline": "nightly"},
    )
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] and re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", job["created_at"]
    )
    assert job["error"] is None and job["attempt"] == 1 and job["warnings"] == []
    assert job["spec"]["inputs"] == body()["inputs"], "spec is what was submitted"
    resolved = job["resolved"]
    assert resolved["params"]["normalize"] is True
    assert [(i["role"], i["model"], i["commit"]) for i in resolved["inputs"]] == [
        ("model", f"s/in-{n}", models.version(f"s/in-{n}@v1")["commit"]) for n in range(2)
    ]
    result = job["result"]
    version = models.version(f"s/job@{result['version']['commit']}")
    assert (result["published"], result["version"]["number"], version["job"]) == (True, 1, uid)
    assert result["refs"][0]["ref"] == "main" and result["refs"][0]["to"] == version["commit"]
    plan = job["plan"]
    assert (
        plan["tensors"] == 1
        and plan["write_bytes"] == models.files(f"s/job@{result['version']['commit']}")["model.safetensors"]["bytes"]
        and plan["read_bytes"] == 72
        and plan["peak_memory_bytes"] > 0
    )
    assert models.ok(job["links"]["self"])["id"] == uid
    problem(models.post(f"/v1/jobs/{uid}/cancel"), 409, "job-terminal")
    log = models.get(f"/v1/jobs/{uid}/log")
    assert log.status_code == 200 and log.headers["Content-Type"].startswith("text/plain")


def test_same_recipe_same_spec_sha256(models):
    one, two = (models.wait(models.submit(body(f"s/same-{i}"))) for i in range(2))
    assert one["resolved"]["spec_sha256"] == two["resolved"]["spec_sha256"]
    other = body("s/same-2")
    other["inputs"]["models"][0]["params"]["weight"] = 2
    assert models.wait(models.submit(other))["resolved"]["spec_sha256"] != one["resolved"]["spec_sha256"]
    for same in ({"seed": 5}, {"threads": 2}):
        job = models.wait(models.submit({**body("s/same-3"), "options": computed(same)}))
        assert job["resolved"]["spec_sha256"] == one["resolved"]["spec_sha256"], f"{same} does not determine the bytes"


def test_polling_is_cheap(models):
    uid = models.submit(body("s/poll"))
    models.wait(uid)
    answer = models.get("/v1/jobs/" + uid)
    again = models.get("/v1/jobs/" + uid, headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    version = "/v1/models/s/poll/versions/v1"
    assert models.get(version, headers={"If-None-Match": models.get(version).headers["ETag"]}).status_code == 304
    model = models.get("/v1/models/s/poll")
    models.run(body("s/poll"))
    changed = models.get("/v1/models/s/poll", headers={"If-None-Match": model.headers["ETag"]})
    assert changed.status_code == 200 and changed.json()["head"]["number"] == 2


def test_list_of_jobs(models):
    ids = [models.submit(body(f"s/list-{i}")) for i in range(5)]
    for uid in ids:
        models.wait(uid)
    listed = [j["id"] for j in models.all("/v1/jobs?limit=2")]
    assert len(listed) == len(set(listed)) and [j for j in listed if j in ids] == ids[::-1], "newest first"
    assert {j["status"] for j in models.all("/v1/jobs?status=succeeded")} == {"succeeded"}
    assert {j["type"] for j in models.all("/v1/jobs?type=merge")} == {"merge"}
    assert [j["id"] for j in models.all("/v1/jobs?model=s/list-3")] == [ids[3]]
    assert "task" not in {j["type"] for j in models.all("/v1/jobs?limit=100")}, "work of the store is not shown"
    assert models.get("/v1/jobs?status=done").status_code in (400, 422)


def test_publish_conflicts(launch, roots):
    """Three jobs wait behind a long one and all start from the same head. append lands on whatever is there, detach
    keeps its
    version off a head that moved, fail does as it says."""
    c = launch("--workers.count=1", name="conflict").client
    c.register(ref.write(roots / "small", {"w": ref.tensor("F32", np.arange(9))}), "s/small")
    c.register(ref.write(roots / "large", {"w": ref.tensor("F32", np.ones(6_000_000))}), "s/large")
    small = merge("linear", [("s/small", {"weight": 1.0})], "s/conflict")
    c.run(small)
    head = c.version("s/conflict")["commit"]
    c.submit(merge("linear", [("s/large", {"weight": 1.0 / 3})], "s/slow", params={"normalize": False}))
    ids = {}
    for kind in ("first", "append", "detach", "fail"):
        asked = {"if_head": head} | ({"on_conflict": kind} if kind != "first" else {})
        ids[kind] = c.submit(small | {"publish": {"model": "s/conflict", **asked}})
    jobs = {kind: c.wait(uid) for kind, uid in ids.items()}

    def version(kind):
        return c.version(f"s/conflict@{jobs[kind]['result']['version']['commit']}")

    assert version("first")["parent"] == head and version("append")["parent"] == version("first")["commit"]
    assert jobs["detach"]["status"] == "succeeded" and jobs["detach"]["result"]["published"] is False
    assert jobs["detach"]["result"]["detached_reason"]
    assert version("detach")["number"] is None and version("detach")["refs"] == []
    assert jobs["fail"]["status"] == "failed" and jobs["fail"]["result"] is None
    assert c.version("s/conflict")["number"] == 3
    problem(
        c.post("/v1/jobs", small | {"publish": {"model": "s/conflict", "if_head": head}}), 412, "precondition-failed"
    )


def test_many_merges_into_one_model(models):
    ids = [models.submit(body("s/many")) for _ in range(10)]
    assert all(models.wait(i)["status"] == "succeeded" for i in ids)
    versions = models.all("/v1/models/s/many/versions")
    assert [v["number"] for v in versions] == list(range(10, -1, -1))
    assert all(a["parent"] == b["commit"] for a, b in zip(versions, versions[1:]))


def test_secrets_of_the_store_are_not_told(models, daemon):
    uid = models.submit(body("s/paths"))
    models.wait(uid)
    for path in (
        "/v1/jobs/" + uid,
        "/v1/models/s/paths",
        "/v1/models/s/paths/versions/v1",
        "/v1/models/s/paths/versions/v1/files",
    ):
        assert str(daemon.data) not in models.get(path).text
