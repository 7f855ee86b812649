"""Jobs that take what other jobs make, their place in the queue, and lists of jobs: {"job": "job_..."} as an input,
PATCH, filters. Expected weights are computed here."""

import datetime
import threading
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import amend, merge, problem, sparsify, until
from test_queue import Odd

W = {"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, 20.0, 30.0, 40.0]}


def register(client, roots):
    for name, values in W.items():
        client.register(ref.write(roots / f"g-{name}", {"w": ref.tensor("F32", values)}), f"g/{name}")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, roots):
    """One slot, and a worker that holds jobs into "g/wait" until odd.open()."""
    folder = tmp_path_factory.mktemp("graph")
    odd = Odd(folder)
    args = [odd.flag(), "--workers.count=1", "--jobs.cancel_grace=400"]
    d = harness.Daemon(folder / "data", [roots], args=args).start()
    d.odd = odd
    register(d.client, roots)
    yield d
    d.stop()


@pytest.fixture
def gated(daemon):
    """The same with the gate shut; nothing is left queued."""
    (daemon.odd.notes / "gate").unlink(missing_ok=True)
    yield daemon
    daemon.odd.open()
    for j in daemon.client.all("/v1/jobs?status=queued&status=running"):
        daemon.client.wait(j["id"])


@pytest.fixture
def models(daemon):
    daemon.odd.open()
    return daemon.client


def total(models, into, **options):
    """The sum of the models, unweighted."""
    return merge("linear", [(m, {"weight": 1.0}) for m in models], into, params={"normalize": False}, **options)


def weights(client, job):
    v = job["result"]["version"]
    return np.frombuffer(client.weights(f"{v['model']}@{v['commit']}")["w"].data, "<f4")


def made(uid):
    return {"job": uid}


def patch(client, uid, body, etag=None):
    etag = etag or client.get(f"/v1/jobs/{uid}").headers["ETag"]
    return client.request("PATCH", f"/v1/jobs/{uid}", json=body, headers={"If-Match": etag})


# ---- graphs ----------------------------------------------------------------------------------------------------------


def test_a_chain_computes_what_its_names_would(models):
    first = models.submit(total(["g/a", "g/b"], "g/one"))
    second = models.submit(total([made(first), "g/a"], "g/two"))  # 2a + b
    third = models.submit(total([made(second), made(first)], "g/three"))  # 3a + 2b
    edit = models.submit(
        {**sparsify(made(third), "g/x", {"sparsity": 0.5}), "publish": {}}  # the input's model, known later
    )
    jobs = [models.wait(uid) for uid in (first, second, third, edit)]
    assert [j["status"] for j in jobs] == ["succeeded"] * 4, jobs
    a, b = (np.array(W[k], "f4") for k in "ab")
    assert (weights(models, jobs[1]) == 2 * a + b).all()
    assert (weights(models, jobs[2]) == 3 * a + 2 * b).all()
    assert (weights(models, jobs[3]) == np.where(np.arange(4) < 2, 0, 3 * a + 2 * b)).all()
    # planned when it could be: commits, a hash and a plan like any other job; the spec stays what was submitted
    commit = jobs[0]["result"]["version"]["commit"]
    assert jobs[1]["resolved"]["inputs"][0]["commit"] == commit and jobs[1]["resolved"]["inputs"][0]["model"] == "g/one"
    assert jobs[1]["plan"]["tensors"] == 1 and len(jobs[1]["resolved"]["spec_sha256"]) == 64
    assert jobs[1]["spec"]["inputs"]["models"][0]["version"] == made(first)
    assert jobs[3]["result"]["version"]["model"] == "g/three" and jobs[3]["result"]["published"], jobs[3]["result"]
    assert models.version("g/three@main")["commit"] == jobs[3]["result"]["version"]["commit"]
    # a job that has ended is its version: planned at once, and refused at once
    done = models.post("/v1/plans", total([made(first), "g/b"], "g/four")).json()
    assert done["ok"] and done["resolved"]["inputs"][0]["commit"] == commit


def test_waiting_is_told_and_starts_in_time(gated):
    c = gated.client
    first = c.submit(total(["g/a", "g/b"], "g/wait"))
    second = c.submit(total([made(first), "g/b"], "g/two"))
    job = c.job(second)
    assert job["status"] == "queued" and job["status_reason"] == {"code": "waiting_for_job", "job": first}
    assert job["resolved"] is None and job["plan"] is None and job["queue_position"] is None
    # it holds up nobody: what came later stands before it
    third = c.submit(total(["g/a"], "g/three"))
    until(lambda: c.job(first)["status"] == "running")
    assert c.job(third)["queue_position"] == 1
    plan = c.post("/v1/plans", total([made(first), "g/b"], "g/two")).json()
    assert plan["ok"] and plan["resolved"] is None and plan["tensors"] is None, plan
    gated.odd.open()
    job = c.wait(second)
    assert job["status"] == "succeeded", job
    assert (weights(c, job) == np.array(W["a"], "f4") + 2 * np.array(W["b"], "f4")).all()


@pytest.mark.parametrize("how", ["cancelled", pytest.param("failed", marks=pytest.mark.slow)])
def test_no_result_fails_all_that_wait(gated, how):
    c = gated.client
    options = {"time_limit_seconds": 1} if how == "failed" else {}
    first = c.submit(total(["g/a", "g/b"], "g/wait", **options))
    second = c.submit(total([made(first), "g/b"], "g/two"))
    third = c.submit(total([made(second), "g/b"], "g/three"))
    if how == "cancelled":
        assert c.post(f"/v1/jobs/{first}/cancel").status_code == 202
    else:
        c.wait(first)
    assert c.wait(first)["status"] == how
    for uid, cause, word in ((second, first, how if how == "failed" else "cancelled"), (third, second, "failed")):
        job = c.job(uid)  # in the transaction in which the first ended
        assert job["status"] == "failed" and job["error"]["code"] == "dependency-failed", job
        assert cause in job["error"]["detail"] and word in job["error"]["detail"] and job["error"]["job"] == cause
        assert job["finished_at"] and job["started_at"] is None
    doc = problem(c.post("/v1/jobs", total([made(first)], "g/two")), 422, "dependency-failed")
    assert doc["errors"][0]["pointer"] == "#/inputs/models/0/version" and "retry" in doc["detail"]
    # the way out: retry the first, name the new one
    gated.odd.open()
    again = c.post(f"/v1/jobs/{first}/retry").json()
    assert again["retry_of"] == first and again["rerun_of"] is None
    assert c.wait(c.submit(total([made(again["id"])], "g/two")))["status"] == "succeeded"


@pytest.mark.slow
def test_it_survives_a_crash(gated):
    c = gated.client
    first = c.submit(total(["g/a", "g/b"], "g/wait"))
    second = c.submit(total([made(first), "g/b"], "g/two"))
    gated.kill()
    gated.odd.open()
    c = gated.start().client
    assert c.wait(second)["status"] == "succeeded" and c.job(first)["status"] == "succeeded"
    assert c.job(second)["restarts"] == 0  # it had not begun


def test_what_cannot_be_named(models):
    first = models.submit(total(["g/a"], "g/one"))
    models.wait(first)
    rerun = models.post(f"/v1/jobs/{first}/rerun").json()["id"]
    task = models.all("/v1/jobs?type=task")[0]["id"]
    nobody = "job_" + "0" * 32
    for named, code, status in (
        ({"job": nobody}, "not-found", 404),
        ({"job": task}, "not-found", 404),
        ({"job": rerun}, "invalid-params", 422),
        ({"job": "job_1"}, "invalid-params", 422),
        ({"job": 5}, "invalid-request", 400),
        ({"jobs": first}, "unknown-member", 400),
        ({"job": first, "rev": "main"}, "unknown-member", 400),
    ):
        for answer in (
            models.post("/v1/jobs", total([named], "g/x")),
            models.post("/v1/jobs", sparsify(named, "g/x", {"sparsity": 0.5})),
        ):
            doc = answer.json()
            assert answer.status_code >= 400 and code in [e["code"] for e in doc["errors"]], (named, doc)
            assert all(e["pointer"].startswith("#/inputs/mode") for e in doc["errors"]), doc
    twice = models.post("/v1/jobs", total([made(first), made(first)], "g/x"))
    assert "listed twice" in problem(twice, 422, "invalid-params")["detail"]


def test_a_plan_that_fails_after_the_wait(gated, roots):
    """What could not be known at submit is told by the job."""
    c = gated.client
    c.register(ref.write(roots / "g-odd", {"v": ref.tensor("F32", [1.0])}), "g/odd")
    first = c.submit(total(["g/a"], "g/wait"))
    second = c.submit(total([made(first), "g/odd"], "g/two"))
    third = c.submit(total([made(second)], "g/three"))
    gated.odd.open()
    job = c.wait(second)
    assert job["status"] == "failed" and job["error"]["errors"], job
    assert {e["pointer"] for e in job["error"]["errors"]} == {"#/inputs/models/1/version"}, job["error"]
    assert c.job(third)["error"]["code"] == "dependency-failed"
    assert not any(second in p.name for p in gated.staging())


@pytest.mark.slow
def test_a_row_has_an_end(gated):
    """At most 100 wait for each other in a row; a long one that is allowed fails as one."""
    c = gated.client
    uid = first = c.submit(total(["g/a"], "g/wait"))
    row = []
    for i in range(100):
        uid = c.submit(total([made(uid), "g/b"], "g/x"))
        row.append(uid)
    problem(c.post("/v1/jobs", total([made(uid)], "g/x")), 409, "conflict")
    assert c.post(f"/v1/jobs/{first}/cancel").status_code == 202
    c.wait(first)
    assert {c.job(u)["error"]["code"] for u in row} == {"dependency-failed"}
    assert c.all("/v1/jobs?status=queued") == []


@pytest.mark.slow
def test_races_of_cancel_and_submit(models):
    """A job is cancelled while another that takes its result is submitted or planned: the two agree in the end."""
    seen = set()
    for i in range(150):
        first = models.submit(total(["g/a", "g/b"], "g/one"))
        answers = []
        other = harness.Client(models.url)
        t = threading.Thread(target=lambda: answers.append(other.post(f"/v1/jobs/{first}/cancel")))
        if i % 2:
            t.start()
        answer = models.post("/v1/jobs", total([made(first), "g/a"], "g/two"))
        if not i % 2:
            time.sleep(0.02 * (i % 14))
            t.start()
        t.join()
        end = models.wait(first)["status"]
        if answer.status_code != 202:
            assert end == "cancelled", (end, answer.text)
            problem(answer, 422, "dependency-failed")
            seen.add("refused")
            continue
        job = models.wait(answer.json()["id"])
        if end == "succeeded":
            assert job["status"] == "succeeded", job
        else:
            assert job["status"] == "failed" and job["error"]["code"] == "dependency-failed", job
        seen.add(end)
    print(seen)
    assert {"succeeded", "cancelled"} <= seen, seen  # else nothing was raced


# ---- PATCH and lists -------------------------------------------------------------------------------------------------


def test_patch(gated):
    c = gated.client
    held = c.submit(total(["g/a"], "g/wait"))
    while c.job(held)["status"] != "running":
        time.sleep(0.01)
    one, two = (c.submit({**total(["g/a"], "g/x"), "metadata": {"n": str(i)}}) for i in range(2))
    assert (c.job(one)["queue_position"], c.job(two)["queue_position"]) == (1, 2)
    answer = patch(c, two, {"priority": 10, "metadata": {"n": "3", "why": "urgent"}})
    assert answer.status_code == 200 and answer.json()["priority"] == 10, answer.text
    assert answer.headers["ETag"] == c.get(f"/v1/jobs/{two}").headers["ETag"]
    assert answer.json()["metadata"] == {"n": "3", "why": "urgent"}
    assert (c.job(one)["queue_position"], c.job(two)["queue_position"]) == (2, 1)
    old = c.get(f"/v1/jobs/{one}").headers["ETag"]
    assert patch(c, one, {"priority": 1}).status_code == 200
    problem(patch(c, one, {"priority": 2}, etag=old), 412, "precondition-failed")
    problem(c.request("PATCH", f"/v1/jobs/{one}", json={"priority": 2}), 428, "precondition-required")
    assert c.job(one)["priority"] == 1
    for body, pointer in (
        ({"priority": 101}, "#/priority"),
        ({"priority": "low"}, "#/priority"),
        ({"metadata": {"k": 1}}, "#/metadata/k"),
        ({"archive": True}, "#/archive"),
        ({}, "#"),
        ({"archived": True}, "#/archived"),
    ):
        doc = patch(c, one, body).json()
        assert [e["pointer"] for e in doc["errors"]] == [pointer], doc
    problem(patch(c, held, {"priority": 5}), 409, "conflict")
    problem(patch(c, "job_" + "0" * 32, {"priority": 5}, etag='"1-0-0"'), 404, "not-found")
    # a change that only the place in the line made is no conflict
    etag = c.get(f"/v1/jobs/{two}").headers["ETag"]
    c.post(f"/v1/jobs/{one}/cancel")
    assert patch(c, two, {"metadata": {}}, etag=etag).status_code == 200
    gated.odd.open()
    c.wait(two)
    problem(patch(c, two, {"metadata": {"n": "4"}}), 409, "conflict")
    assert patch(c, two, {"archived": True}).json()["archived"] is True
    listed = [j["id"] for j in c.all("/v1/jobs")]
    assert two not in listed and one in listed
    assert two in [j["id"] for j in c.all("/v1/jobs?archived=true")]
    assert patch(c, two, {"archived": False}).status_code == 200
    assert two in [j["id"] for j in c.all("/v1/jobs")]


def test_filters(models):
    def tag(job, **metadata):
        return {**job, "metadata": metadata}

    began = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    jobs = {
        "one": tag(total(["g/a"], "g/f1"), run="night 1", stage="a"),
        "two": tag(total(["g/b"], "g/f2"), run="night 1", stage="b"),
        "three": tag(sparsify("g/a", "g/f3", {"sparsity": 0.5}), run="n&2"),
    }
    uid = {name: models.submit(body) for name, body in jobs.items()}
    for u in uid.values():
        models.wait(u)

    def found(query):
        names = {u: n for n, u in uid.items()}
        return {names.get(j["id"], "?") for j in models.all(f"/v1/jobs?since={harness.seg(began)}&{query}")}

    assert found("") == {"one", "two", "three"}
    assert found("metadata.run=night%201") == {"one", "two"}
    assert found("metadata.run=night%201&metadata.stage=b") == {"two"}
    assert found("metadata.run=n%262") == {"three"} and found("metadata.run=night") == set()
    assert found("status=succeeded&status=failed") == {"one", "two", "three"} and found("status=failed") == set()
    assert found("status=queued&status=running") == set()
    assert found("method=linear&model=g/f1") == {"one"} and found("type=edit") == {"three"}
    assert found("created_by=local") == {"one", "two", "three"} and found("created_by=other") == set()
    later = harness.seg("2999-01-01T00:00:00Z")
    assert models.ok(f"/v1/jobs?since={later}")["data"] == []
    # pages do not shift
    page = models.ok(f"/v1/jobs?limit=2&since={harness.seg(began)}")
    assert page["has_more"] and [j["id"] for j in page["data"]] == [uid["three"], uid["two"]]
    rest = models.ok(f"/v1/jobs?limit=2&since={harness.seg(began)}&after={page['next']}")
    assert [j["id"] for j in rest["data"]] == [uid["one"]] and not rest["has_more"]
    for query in (
        "status=done",
        "since=yesterday",
        "archived=yes",
        "metadata=x",
        "&".join(f"metadata.k{i}=v" for i in range(5)),
    ):
        answer = models.get(f"/v1/jobs?{query}")
        assert answer.status_code == 400, (query, answer.text)


@pytest.mark.slow
def test_the_client(gated):
    c = gated.client
    held = c.submit({**total(["g/a"], "g/wait"), "metadata": {"k": "v"}})
    while c.job(held)["status"] != "running":
        time.sleep(0.01)
    uid = c.submit({**total(["g/b"], "g/x"), "metadata": {"k": "w"}})
    amend(c, "job", "set", uid, "--priority", "7", "--metadata", "a=b")
    assert c.job(uid)["priority"] == 7 and c.job(uid)["metadata"] == {"a": "b"}
    amend(c, "job", "set", held, "--priority", "7", expect=7)
    amend(c, "job", "set", uid, expect=2)
    amend(c, "job", "set", "job_" + "0" * 32, "--archived", expect=5)
    lines = amend(c, "job", "list", "--status", "queued", "--status", "running", "-o", "name").split()
    assert lines == [uid, held], lines
    assert amend(c, "job", "list", "--metadata", "k=v", "-o", "name").split() == [held]
    assert amend(c, "job", "list", "--method", "linear", "--since", "2999-01-01T00:00:00Z", "-o", "name").split() == []
    gated.odd.open()
    c.wait(uid)
    amend(c, "job", "set", uid, "--archived")
    assert uid not in amend(c, "job", "list", "-o", "name").split()
    assert amend(c, "job", "list", "--archived", "-o", "name").split() == [uid]
    amend(c, "job", "set", uid, "--no-archived")
    assert uid in amend(c, "job", "list", "-o", "name").split()
