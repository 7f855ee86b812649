"""Several mergekit documents in one body: a job for each, which wait for each other; all of it or nothing."""

import json

import numpy as np
import pytest

import reference as ref
from harness import amend, problem

NAMES = ("a", "b", "base")


@pytest.fixture(scope="module")
def llama(client, roots):
    rng = np.random.default_rng(3)
    made = {}
    for who in NAMES:
        made[who] = rng.standard_normal((3, 4)).astype(np.float32)
        folder = roots / f"c-{who}"
        folder.mkdir()
        ref.write(folder, {"w": ref.tensor("F32", made[who])})
        client.register(folder, f"c/{who}")
    ref.write(roots / "c-nan", {"w": ref.tensor("F32", np.full((3, 4), np.nan, np.float32))})
    client.register(roots / "c-nan", "c/nan")
    return made


def post(client, text, path="/v1/jobs", headers={}, **query):
    headers = {"Content-Type": "application/yaml", **headers}
    return client.request("POST", path, data=text.encode(), params={"model": "c/out", **query}, headers=headers)


def weights(client, job):
    return ref.load(client.weights("{model}@{commit}".format(**job["result"]["version"]))["w"])


# the result first, and a stage that two take: the order in the text is none of their business
CHAIN = """# größer
merge_method: linear
models:
- {model: left, parameters: {weight: 1}}
- {model: c/base, parameters: {weight: 2}}
- {model: {model: {path: right}}, parameters: {weight: 4}}
parameters: {normalize: false, int8_mask: true}
---
name: right
merge_method: task_arithmetic
base_model: shared
models: [{model: c/a, parameters: {weight: 2}}]
--- # on the way
name: left
merge_method: passthrough
models: [{model: shared, parameters: {scale: 3}}]
---
name: shared
merge_method: linear
models: [{model: c/a, parameters: {weight: 1}}, {model: c/b, parameters: {weight: 1}}]
parameters: {normalize: no}
"""


def stages(client, job, into):
    """Every job that the spec of `job` leads to, by the model that it publishes to."""
    for text in json.dumps(job["spec"]["inputs"]).split('"'):
        if text.startswith("job_") and text not in {j["id"] for j in into.values()}:
            other = client.job(text)
            into[other["spec"]["publish"]["model"]] = other
            stages(client, other, into)
    return into


def test_a_chain_is_computed(client, llama):
    answer = post(client, CHAIN, seed="5", branch="main", tag="done", message="all of it", **{"metadata.k": "v"})
    assert answer.status_code == 202, answer.text
    job = client.wait(answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    shared = llama["a"] + llama["b"]
    right = shared + 2 * (llama["a"] - shared)
    np.testing.assert_allclose(weights(client, job), 3 * shared + 2 * llama["base"] + 4 * right, rtol=1e-5, atol=1e-5)
    all_of = stages(client, job, {})
    assert sorted(all_of) == ["c/out-left", "c/out-right", "c/out-shared"]  # the shared one once
    assert all(j["metadata"] == {"k": "v"} and j["spec"]["options"]["seed"] == 5 for j in [job, *all_of.values()])
    # a tag, a branch and a message are those of the result
    assert job["spec"]["publish"] == {"model": "c/out", "branch": "main", "tags": ["done"], "message": "all of it"}
    assert all_of["c/out-left"]["spec"]["publish"] == {"model": "c/out-left"}
    # each version has its own document, with every byte of it; what was said of it stays
    kept = [client.download(m + "@main", "mergekit_config.yml").decode() for m in ("c/out", "c/out-right", "c/out-left", "c/out-shared")]
    assert "".join(kept) == CHAIN
    assert [(w["code"], w["pointer"]) for w in job["warnings"]] == [("int8-mask-ignored", "#/0/parameters/int8_mask"), ("weights-sum-not-one", "#/0/models")]


def run(client, text, **query):
    """The jobs of a chain, by the model that they publish to."""
    job = client.wait(post(client, text, **query).json()["id"])
    assert job["status"] == "succeeded", job["error"]
    return {"c/out": job, **stages(client, job, {})}


@pytest.mark.slow
def test_multi_stage_stale(client, llama):
    """What changed is computed again, and so is what takes it; the rest is the version that it was."""
    first = run(client, CHAIN)
    same = run(client, CHAIN)
    assert {m: j["result"]["reused_from"] for m, j in same.items()} == {m: j["result"]["reused_from"] or j["id"] for m, j in first.items()}
    np.testing.assert_array_equal(weights(client, same["c/out"]), weights(client, first["c/out"]))
    changed = run(client, CHAIN.replace("scale: 3", "scale: 5"))
    assert {m for m, j in changed.items() if j["result"]["reused_from"]} == {"c/out-shared", "c/out-right"}
    shared = llama["a"] + llama["b"]
    want = 5 * shared + 2 * llama["base"] + 4 * (shared + 2 * (llama["a"] - shared))
    np.testing.assert_allclose(weights(client, changed["c/out"]), want, rtol=1e-5, atol=1e-4)
    changed = run(client, CHAIN.replace("c/b, parameters: {weight: 1}", "c/b, parameters: {weight: 7}"))
    assert not any(j["result"]["reused_from"] for j in changed.values())
    shared = llama["a"] + 7 * llama["b"]
    want = 3 * shared + 2 * llama["base"] + 4 * (shared + 2 * (llama["a"] - shared))
    np.testing.assert_allclose(weights(client, changed["c/out"]), want, rtol=1e-5, atol=1e-4)


LINK = "merge_method: linear\nmodels: [{model: %s, parameters: {weight: 1}}, {model: c/b, parameters: {weight: 1}}]\n"


def link(takes, name=None):
    return (f"name: {name}\n" if name else "") + LINK % takes


REFUSED = {
    "circle": ([link("two"), link("one", "two"), link("two", "one")],
               [("invalid-params", "stage-cycle", "#/1/name", 4, "two, one in a circle")]),
    "itself": ([link("two"), link("two", "two")], [("invalid-params", "stage-cycle", "#/1/name", 4, "two in a circle")]),
    "unknown": ([link("shred"), link("c/a", "shared"), link("shared", "x")],
                [("not-found", "ref-unknown", "#/0/models/0/model", 2, "did you mean shared?"),
                 ("invalid-params", "stage-unused", "#/2/name", 8, "no other document takes x")]),
    "twice": ([link("s"), link("c/a", "s"), link("c/base", "s")],
              [("invalid-params", "stage-name", "#/2/name", 8, "document 2 is named s too")]),
    "nameless": ([link("s"), link("c/a", "s"), link("s")],
                 [("invalid-params", "stage-unused", "#/0/name", 1, "document 3 has no name either")]),
    "bad names": ([link("c/a", "a/b"), link("c/a", "7"), link("x@v1"), link("c/a", "x")],
                  [("invalid-params", "stage-name", "#/0/name", 1, "1 to 40 letters"),
                   ("invalid-params", "stage-name", "#/1/name", 5, "1 to 40 letters"),
                   ("invalid-params", "ref-syntax", "#/2/models/0/model", 10, "x is a document of this file"),
                   ("invalid-params", "stage-unused", "#/3/name", 12, "no other document takes x")]),
    "not one": (["just text\n", link("c/a")], [("invalid-request", None, "#/0", 1, "expected a configuration"),

                                               ("invalid-params", "stage-unused", "#/0/name", 1, "document 2 has no name either")]),
    "each its own": ([link("s").replace("linear", "lineer"), link("c/a", "s").replace("weight: 1}}]", "weight: x}}]\nfoo: 1"), link("c/nobody", "t")],
                     [("unknown-method", "unknown-method", "#/0/merge_method", 1, "did you mean linear?"),
                      ("unknown-member", "unknown-key", "#/1/foo", 7, "unknown key foo"),
                      ("invalid-params", "setting-shape", "#/1/models/1/parameters/weight", 6, "weight"),
                      ("not-found", "ref-unknown", "#/2/models/0/model", 11, "no model c/nobody"),
                      ("invalid-params", "stage-unused", "#/2/name", 9, "no other document takes t")]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(client, llama, name):
    documents, want = REFUSED[name]
    before = client.ok("/v1/jobs?limit=1")["data"]
    text = "---\n".join(documents)
    got = post(client, text).json()["errors"]
    assert sorted((e["code"], e.get("reason"), e["pointer"], e.get("line")) for e in got) == sorted((w[:4] for w in want), key=lambda w: (w[0], w[1] or "", w[2])), got
    for w in want:
        assert any(e["pointer"] == w[2] and w[4] in e["detail"] for e in got), (w, got)
    assert client.ok("/v1/jobs?limit=1")["data"] == before
    planned = post(client, text, "/v1/plans")
    assert (planned.json()["refusals"] if planned.status_code == 200 else planned.json()["errors"]) == got


def test_a_query_is_checked_once(client, llama):
    answer = client.request("POST", "/v1/jobs?priority=x", data=CHAIN.encode(), headers={"Content-Type": "application/yaml"})
    assert sorted(e["pointer"] for e in answer.json()["errors"]) == ["?model", "?priority"], answer.text


def test_it_is_planned_and_sent_twice(client, llama):
    plan = post(client, CHAIN, "/v1/plans").json()
    assert plan["ok"] and plan["resolved"] is None and [(w["code"], w["pointer"]) for w in plan["warnings"]] == [
        ("int8-mask-ignored", "#/0/parameters/int8_mask"), ("weights-sum-not-one", "#/0/models"), ("weights-sum-not-one", "#/3/models")]
    jobs = len(client.all("/v1/jobs"))
    keyed = {"Idempotency-Key": "the-chain"}
    first, again = (post(client, CHAIN, headers=keyed, model="c/keyed") for _ in range(2))
    assert first.json()["id"] == again.json()["id"] and again.headers["Idempotency-Replayed"] == "true"
    assert len(client.all("/v1/jobs")) == jobs + 4
    problem(post(client, CHAIN + "# more", headers=keyed, model="c/keyed"), 422, "idempotency-key-reused")
    assert client.wait(first.json()["id"])["status"] == "succeeded"


def test_a_stage_that_fails_ends_those_behind_it(client, llama):
    """What could not be known before: the weights of a stage are not finite."""
    job = client.wait(post(client, "---\n".join([link("two"), link("one", "two"), link("c/nan", "one")])).json()["id"])
    assert job["status"] == "failed" and job["error"]["code"] == "dependency-failed", job
    two = client.job(job["error"]["job"])
    one = client.job(two["error"]["job"])
    assert (two["error"]["code"], one["error"]["code"]) == ("dependency-failed", "non-finite"), (two, one)


@pytest.mark.slow
def test_the_client_waits_for_all(client, llama, tmp_path):
    (tmp_path / "shared").mkdir()  # a directory of that name is none of the file's models
    ref.write(tmp_path / "shared", {"w": ref.tensor("F32", llama["a"])})
    (tmp_path / "chain.yml").write_text(CHAIN)
    out = amend(client.url, "merge", tmp_path / "chain.yml", "--into", "c/client", "--wait", expect=None)
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith("c/client@v1 ") and out.stderr.count(" made c/client-") == 3, (out.stdout, out.stderr)
    dry = amend(client.url, "merge", tmp_path / "chain.yml", "--into", "c/dry", "--dry-run", expect=None)
    assert dry.returncode == 0 and "would be accepted" in dry.stderr and dry.stdout == "", dry
    bad = tmp_path / "bad.yml"
    bad.write_text("---\n".join([link("two"), link("one", "two"), link("c/nan", "one")]))
    out = amend(client.url, "merge", bad, "--into", "c/client", "--wait", expect=None)
    assert out.returncode == 3 and "problem: non-finite" in out.stderr, (out.returncode, out.stderr)
