"""Bad input gets one clear answer: the right status and code, a pointer to each fault, all faults at once, nothing
half done."""

import json
import re
import threading

import numpy as np
import pytest

import harness
import reference as ref
from harness import merge, negation, problem, seg, sparsify


@pytest.fixture(scope="module")
def models(client, roots):
    def put(name, tensors):
        client.register(ref.write(roots / name, tensors), "e/" + name)

    w = np.arange(12, dtype=np.float32).reshape(4, 3)
    put("a", {"w": ref.tensor("F32", w), "b": ref.tensor("F32", [1, 2])})
    put("b", {"w": ref.tensor("F32", w + 1), "b": ref.tensor("F32", [3, 4])})
    put("other-shape", {"w": ref.tensor("F32", w.reshape(3, 4)), "b": ref.tensor("F32", [1, 2])})
    put("fewer", {"w": ref.tensor("F32", w)})
    put("more", {"w": ref.tensor("F32", w), "b": ref.tensor("F32", [1, 2]), "extra": ref.tensor("F32", [1])})
    put("int", {"w": ref.tensor("I32", w), "b": ref.tensor("F32", [1, 2])})
    bad = w.copy()
    bad[2, 1] = np.nan
    put("nan", {"w": ref.tensor("F32", bad), "b": ref.tensor("F32", [1, 2])})
    put("inf", {"w": ref.tensor("F32", w), "b": ref.tensor("F32", [1, -np.inf])})
    put("huge", {"w": ref.tensor("F32", np.full((4, 3), 1e6)), "b": ref.tensor("F32", [1, 2])})
    return client


def two(a="e/a", b="e/b", **more):
    return merge("linear", [(a, {"weight": 0.5}), (b, {"weight": 0.5})], "e/out", **more)


def refused(client, body, status, code, pointer=None, **members):
    """The first fault with that pointer of a job that is refused at submit; nothing is queued."""
    before = client.ok("/v1/jobs?limit=1")["data"]
    doc = problem(client.post("/v1/jobs", body), status, code)
    assert client.ok("/v1/jobs?limit=1")["data"] == before, "a refused job was stored"
    if pointer is None:
        return doc
    found = [e for e in doc["errors"] if e["pointer"] == pointer]
    assert found, f"no fault at {pointer}: {doc}"
    for key, value in members.items():
        assert found[0].get(key) == value, found[0]
    return found[0]


# ---- jobs refused at submit ----------------------------------------------------------------------


def test_unknown_model_and_revision(models):
    refused(models, two(b="e/none"), 404, "not-found", "#/inputs/models/1/version")
    refused(models, two(b="e/b@v9"), 404, "revision-not-found", "#/inputs/models/1/version")
    body = merge("linear", [("e/a", None), ("e/none@main", None)], "e/out", params={"weight": 1})
    fault = refused(models, body, 404, "not-found", "#/inputs/models/1")
    assert "e/none" in fault["detail"]
    refused(models, negation("e/a", "e/none", "e/a@v7", 0.5, "e/out"), 404, "not-found", "#/inputs/task/version")
    fault = refused(models, negation("e/a", "e/none", "e/a@v7", 0.5, "e/out"), 404, "not-found", "#/inputs/task/base")
    assert fault["code"] == "revision-not-found"


def test_unknown_method(models):
    body = two()
    body["method"] = "linaer"
    assert "linear" in refused(models, body, 422, "unknown-method", "#/method")["detail"]
    body["method"] = "merge/task_arithmatic"
    assert "task_arithmetic" in refused(models, body, 422, "unknown-method", "#/method")["detail"]
    body["method"] = "unlearn/task_negation"
    assert models.post("/v1/jobs", body).status_code in (400, 422)
    for kind in ("adapt", "evaluat", "select", "mrege", "task", ""):
        answer = models.post("/v1/jobs", {**two(), "type": kind})
        assert answer.status_code in (400, 422) and "#/type" in [e["pointer"] for e in answer.json()["errors"]], kind


def test_unknown_members_name_the_nearest(models):
    body = two(params={"normalise": False}, treads=2)
    body["publish"]["mesage"] = "x"
    body["metdata"] = {}
    body["inputs"]["models"][0]["params"]["wieght"] = 1
    doc = refused(models, body, 400, "unknown-member")
    near = {e["pointer"]: e["detail"] for e in doc["errors"] if e["code"] == "unknown-member"}
    for pointer, name in (
        ("#/metdata", "metadata"),
        ("#/publish/mesage", "message"),
        ("#/options/treads", "threads"),
        ("#/params/normalise", "normalize"),
        ("#/inputs/models/0/params/wieght", "weight"),
    ):
        assert name in near[pointer], doc


def test_shapes_and_names_that_do_not_line_up(models):
    for other, tensor, reason in (
        ("other-shape", "w", "shape"),
        ("fewer", "b", "tensor-missing"),
        ("more", "extra", "tensor-extra"),
    ):
        doc = refused(models, two(b="e/" + other), 422, "shape-mismatch")
        (fault,) = [e for e in doc["errors"] if e.get("tensor") == tensor]
        assert fault["pointer"].startswith("#/inputs/models/1") and fault["reason"] == reason, fault
    detail = refused(models, two(b="e/other-shape"), 422, "shape-mismatch")["errors"][0]["detail"].replace(" ", "")
    assert "[4,3]" in detail and "[3,4]" in detail, "both shapes are told"
    doc = refused(models, two(b="e/int"), 422, "dtype-unsupported")
    assert doc["errors"][0]["tensor"] == "w"


def test_parameters(models):
    refused(models, merge("linear", [("e/a", None), ("e/b", {"weight": 1})], "e/out"), 422, "invalid-params")
    for wrong in ("yes", 1, None, []):
        answer = models.post("/v1/jobs", two() | {"params": {"normalize": wrong}})
        assert answer.status_code in (400, 422) and [e["pointer"] for e in answer.json()["errors"]] == [
            "#/params/normalize"
        ], wrong
    for weight in (2e6, -1.0e7):
        body = two()
        body["inputs"]["models"][1]["params"]["weight"] = weight
        refused(models, body, 422, "invalid-params", "#/inputs/models/1/params/weight", reason="parameter-range")
    body = merge("linear", [("e/a", {"weight": 1}), ("e/b", {"weight": -1})], "e/out")
    doc = refused(models, body, 422, "invalid-params")
    assert doc["errors"][0]["reason"] == "weights-sum-zero"
    body["params"] = {"normalize": False}
    models.run(body)
    refused(
        models,
        negation("e/a", "e/b", "e/a", 1.0001, "e/out"),
        422,
        "invalid-params",
        "#/params/lambda",
        reason="parameter-range",
    )
    body = negation("e/a", "e/b", "e/a", 0.5, "e/out")
    body["params"] = {}
    refused(models, body, 422, "invalid-params", "#/params/lambda", reason="parameter-missing")
    refused(models, sparsify("e/a", "e/out", {"sparsity": -0.1}), 422, "invalid-params", "#/params/sparsity")
    refused(
        models, sparsify("e/a", "e/out", {"sparsity": 0.5, "scope": "layer"}), 422, "invalid-params", "#/params/scope"
    )
    refused(
        models, sparsify("e/a", "e/out", {"sparsity": 0.5, "include": "w"}), 422, "invalid-params", "#/params/include"
    )


def test_inputs_that_are_missing(models):
    body = merge("task_arithmetic", [("e/a", {"weight": 1})], "e/out")
    refused(models, body, 422, "missing-input", "#/inputs/base", reason="base-required")
    body = two()
    body["inputs"]["models"] = []
    doc = models.post("/v1/jobs", body).json()
    assert doc["status"] in (400, 422) and "#/inputs/models" in [e["pointer"] for e in doc["errors"]]
    body = negation("e/a", "e/b", "e/a", 0.5, "e/out")
    del body["inputs"]["task"]
    answer = models.post("/v1/jobs", body)
    assert answer.status_code in (400, 422) and "#/inputs/task" in [e["pointer"] for e in answer.json()["errors"]]
    body = two()
    del body["publish"]
    answer = models.post("/v1/jobs", body)
    assert answer.status_code in (400, 422) and answer.json()["errors"][0]["pointer"].startswith("#/publish")
    doc = refused(
        models, merge("linear", [("e/a", {"weight": 1}), ("e/a", {"weight": 1})], "e/out"), 422, "invalid-params"
    )
    assert doc["errors"][0]["reason"] == "duplicate-input"


def test_all_faults_at_once(models):
    """Six kinds of faults in one body give one answer with six pointers; its code is that of the most severe."""
    body = {
        "type": "merge",
        "method": "task_arithmetic",
        "surprise": 1,
        "priority": 101,
        "inputs": {
            "models": [{"version": "e/none", "params": {"weight": 1}}, {"version": "e/b", "params": {"weigth": 1}}]
        },
        "params": {"lambda": 1e9},
        "options": {"shard_bytes": -1, "out_dtype": "F7"},
        "publish": {"model": "e/out", "branch": "..", "if_head": "x"},
    }
    doc = models.post("/v1/jobs", body).json()
    pointers = [e["pointer"] for e in doc["errors"]]
    for p in (
        "#/surprise",
        "#/priority",
        "#/inputs/base",
        "#/inputs/models/0/version",
        "#/inputs/models/1/params/weigth",
        "#/params/lambda",
        "#/options/shard_bytes",
        "#/options/out_dtype",
        "#/publish/branch",
        "#/publish/if_head",
    ):
        assert p in pointers, f"{p} is not told: {json.dumps(doc, indent=1)}"
    assert doc["status"] == 422
    assert models.get("/v1/models/e/out2").status_code == 404


def test_a_refused_job_leaves_nothing(models, daemon):
    body = two(b="e/other-shape")
    body["publish"]["model"] = "e/never"
    before = daemon.blobs()
    refused(models, body, 422, "shape-mismatch")
    assert models.get("/v1/models/e/never").status_code == 404
    assert daemon.blobs() == before and not daemon.staging()


# ---- jobs that fail ------------------------------------------------------------------------------


@pytest.mark.parametrize("name,tensor,index", [("nan", "w", 7), ("inf", "b", 1)])
def test_non_finite_input_fails_the_job(models, daemon, name, tensor, index):
    for body in (
        two(b="e/" + name),
        two(a="e/" + name),
        negation("e/a", "e/" + name, "e/b", 0.5, "e/out"),
        sparsify("e/" + name, "e/out", {"sparsity": 0.5}),
    ):
        error = models.fails(body)
        assert error["code"] == "non-finite" and error["tensor"] == tensor, error
        text = json.dumps(error)
        assert re.search(rf"\b{index}\b", text) and "e/" + name in text, f"no index or input told: {text}"
        assert error["retryable"] is False


def test_failure_at_a_long_name_that_is_not_ascii_is_told(models, roots):
    name = "x" + "é" * 400  # a message is cut inside one of these characters
    models.register(ref.write(roots / "long", {name: ref.tensor("F32", [1, np.nan])}), "e/long")
    error = models.fails(merge("linear", [("e/long", {"weight": 1})], "e/out"))
    assert error["code"] == "non-finite" and error["tensor"] == name, error


def test_too_many_shards_are_refused_at_submit(models, roots):
    tensors = {f"t{i}": ref.tensor("F32", [i, 1]) for i in range(1001)}
    models.register(ref.write(roots / "many", tensors), "e/many")
    body = merge("linear", [("e/many", {"weight": 1})], "e/out", shard_bytes=1)
    (error,) = problem(models.post("/v1/jobs", body), 422, "invalid-params")["errors"]
    assert error["pointer"] == "#/options/shard_bytes" and error["reason"] == "too-many-shards", error
    assert "shard_bytes" in error["detail"] and "1000" in error["detail"], error


def test_non_finite_input_passes_when_asked_to(models):
    version = models.run(two(b="e/nan", params={"nonfinite": "propagate"}))
    got = ref.load(models.weights(version)["w"])
    assert np.isnan(got).sum() == 1 and np.isnan(got[2, 1])


def test_the_donor_of_linear_is_not_read(models):
    """A base named for linear gives names, dtypes and config: its NaN is nobody's business."""
    got = models.weights(models.run(two(base="e/nan")))
    assert np.isfinite(ref.load(got["w"])).all()


def test_f16_overflow(models):
    body = two(a="e/huge", b="e/a", out_dtype="F16")
    error = models.fails(body)
    assert error["code"] == "non-finite" and error["tensor"] == "w" and "f16-overflow" in json.dumps(error), error
    for policy, value in (("clamp", 65504.0), ("inf", np.inf)):
        version = models.run(two(a="e/huge", b="e/a", out_dtype="F16", params={"overflow": policy}))
        assert (ref.load(models.weights(version)["w"]) == value).all()


def test_selection_of_nothing_is_refused_with_the_names_that_exist(models):
    body = sparsify("e/a", "e/out", {"sparsity": 0.5, "include": ["*.weight"]})
    (error,) = problem(models.post("/v1/jobs", body), 422, "invalid-params")["errors"]
    assert error["pointer"] == "#/params/include" and error["reason"] == "selection-empty", error
    assert "b, w" in error["detail"], error


def test_failed_job_publishes_nothing_and_the_next_one_works(models, daemon):
    body = two(b="e/nan")
    body["publish"]["model"] = "e/failed"
    before = daemon.blobs()
    models.fails(body)
    assert (
        models.get("/v1/models/e/failed").status_code == 404 or models.ok("/v1/models/e/failed")["head"]["number"] == 0
    )
    assert daemon.blobs() == before and not daemon.staging()
    models.run(two())


# ---- requests that are no good -------------------------------------------------------------------


def test_content_types(client):
    body = json.dumps({"id": "e/typed"})
    for route in ("/v1/models", "/v1/jobs", "/v1/models/e/a/versions"):
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/octet-stream",
            None,
        ):
            headers = {"Content-Type": kind} if kind else {}
            doc = problem(client.post(route, data=body.encode(), headers=headers), 415, "unsupported-media-type")
            assert "application/json" in doc["detail"]
    for kind in ("application/json", "application/json; charset=utf-8", "Application/JSON"):
        answer = client.post("/v1/models", data=b"{}", headers={"Content-Type": kind})
        assert answer.status_code in (400, 422), kind
    assert client.get("/v1/models/e/typed").status_code == 404


def test_bodies_that_are_not_json(client):
    kind = {"Content-Type": "application/json"}
    for body in (
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b'{"id":"e/x"} trailing',
        b"\xff\xfe",
        b'{"id":"e/\xff"}',
        b'{"id":1e999}',
        b"[" * 3000,
    ):
        doc = problem(client.post("/v1/models", data=body, headers=kind), 400, "invalid-request")
        assert doc["detail"], body
    doc = problem(client.post("/v1/models", data=b'{"id":"e/x","id":"e/y"}', headers=kind), 400, "invalid-request")
    assert "id" in doc["detail"] + json.dumps(doc["errors"]), "the duplicate member is named"
    for name in ("x", "y"):
        assert client.get("/v1/models/e/" + name).status_code == 404


def test_body_too_large(client):
    body = json.dumps({"id": "e/large", "description": "x" * (1 << 20)}).encode()
    doc = problem(
        client.post("/v1/models", data=body, headers={"Content-Type": "application/json"}), 413, "payload-too-large"
    )
    assert "1048576" in doc["detail"].replace(",", "") or "1 MiB" in doc["detail"], doc


def test_unknown_routes_and_methods(client):
    for path in (
        "/v1/nothing",
        "/v1/models/e",
        "/v1/jobs/",
        "/v2/models",
        "/v1/models/e/a/nothing",
        "/v1//models",
        "/v1/models/e/a/versions/v1/nothing",
    ):
        assert client.get(path).status_code in (400, 404), path
    problem(client.get("/v1/nothing"), 404, "not-found")
    for method, path, allowed in (
        ("DELETE", "/v1/jobs", {"GET", "HEAD", "POST"}),
        ("PUT", "/v1/models", {"GET", "HEAD", "POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("POST", "/v1/methods", {"GET", "HEAD"}),
        ("DELETE", "/v1/version", {"GET", "HEAD"}),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 405, path
        assert allowed <= set(re.split(r",\s*", answer.headers["Allow"])), answer.headers["Allow"]


def test_unknown_things(client):
    for path in (
        "/v1/models/e/none",
        "/v1/jobs/job_" + "0" * 32,
        "/v1/jobs/nonsense",
        "/v1/methods/merge/none",
        "/v1/problems/none",
        "/v1/jobs/job_" + "0" * 32 + "/log",
    ):
        problem(client.get(path), 404, "not-found")
    problem(client.post("/v1/jobs/job_" + "0" * 32 + "/cancel"), 404, "not-found")
    assert "task_arithmetic" in client.get("/v1/methods/merge/task_arithmetc").text
    for path in ("/v1/jobs?statu=queued", "/v1/methods?typ=merge", "/v1/version?x=1"):
        problem(client.get(path), 400, "unknown-member")


# ---- starts that are refused ---------------------------------------------------------------------


def test_second_daemon_on_the_same_folder(daemon, roots, tmp_path):
    with pytest.raises(harness.StartError) as e:
        harness.Daemon(daemon.data, [roots], log=tmp_path / "second.log").start()
    assert e.value.code == 1 and str(daemon.pid) in e.value.log, e.value.log


@pytest.mark.parametrize(
    "flag,words",
    [
        ("--listen=0.0.0.0:0", "loopback|token|auth"),
        ("--listen=nonsense", "listen"),
        ("--store.min_fre=1", "min_free"),
        ("--workers.count=many", "workers.count"),
        ("--data_dir=", "data_dir"),
    ],
)
def test_settings_that_are_refused(tmp_path, roots, flag, words):
    with pytest.raises(harness.StartError) as e:
        harness.Daemon(tmp_path / "data", [roots], args=[flag]).start()
    assert e.value.code == 1 and re.search(words, e.value.log), e.value.log


# ---- many at once --------------------------------------------------------------------------------


def test_faults_from_many_threads(models, daemon):
    """Sixteen clients that only make mistakes; each gets its own answer."""
    wrong = []

    def work(n):
        c = harness.Client(daemon.url)
        for i in range(25):
            doc = c.post("/v1/jobs", two(b=f"e/none-{n}-{i}")).json()
            if doc["code"] != "not-found" or f"e/none-{n}-{i}" not in json.dumps(doc["errors"]):
                wrong.append(doc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert models.get("/v1/models/" + seg("e") + "/a").status_code == 200
