"""Refs: creating, moving, protecting, deleting, rolling back; what was seen is compared with what is; the history is kept.
What must be at a ref, and what its stack holds, comes from a model of a few lines in this file."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

import reference as ref
from harness import amend, merge, problem, seg

N = 5  # versions of r/m


@pytest.fixture(scope="module")
def commits(client, roots):
    """r/m with v1..v5 on main: the commits, by number; [0] is the empty commit."""
    found = [None]
    for i in range(1, N + 1):
        folder = ref.write(roots / f"ref-{i}", {"w": ref.tensor("F32", np.full(4, i))})
        found.append(client.register(folder, "r/m", message=f"v{i}")["commit"])
    found[0] = client.version("r/m@v0")["commit"]
    return found


def at(name, model="r/m"):
    return f"/v1/models/{model}/refs/{seg(name)}"


def put(client, name, to, *, model="r/m", match=None, new=False, **more):
    headers = ({"If-Match": match} if match else {}) | ({"If-None-Match": "*"} if new else {})
    return client.request("PUT", at(name, model), json={"to": to, **more}, headers=headers)


def back(client, name, *, match="*", key=None, model="r/m", **body):
    headers = {"If-Match": match} | ({"Idempotency-Key": key} if key else {})
    return client.post(at(name, model) + "/rollback", {"reason": "night", **body}, headers=headers)


def good(answer, status=200):
    assert answer.status_code == status, answer.text
    doc = answer.json()
    assert doc["object"] == "ref" and answer.headers["ETag"] == f'"{doc["revision"]}"'
    return doc


def history(client, name, model="r/m"):
    """Oldest first."""
    return client.all(at(name, model) + "/history?limit=7")[::-1]


# ---- making and moving --------------------------------------------------------------------------


def test_make_read_and_move(client, commits):
    made = good(put(client, "prod", "v1", new=True, reason="first"), 201)
    assert made.items() >= {
        "model": "r/m", "name": "prod", "kind": "alias", "commit": commits[1], "number": 1, "revision": 1,
        "policy": {"protected": False, "gate": None}, "reason": "first",
    }.items()  # fmt: skip
    answer = client.get(at("prod"))
    assert answer.json() == made and answer.headers["ETag"] == '"1"'
    assert client.get(at("prod"), headers={"If-None-Match": '"1"'}).status_code == 304
    moved = good(put(client, "prod", "v2", match='"1"', reason="ticket 512"))
    assert (moved["commit"], moved["revision"], moved["reason"]) == (commits[2], 2, "ticket 512")
    assert client.get(at("prod"), headers={"If-None-Match": '"1"'}).status_code == 200
    moved = good(put(client, "prod", commits[3], **{"from": "v2"}))
    assert (moved["commit"], moved["revision"], moved["reason"]) == (commits[3], 3, "")
    assert client.version("r/m@prod")["commit"] == commits[3]
    assert "prod" in client.version("r/m@v3")["refs"] and "prod" not in client.version("r/m@v2")["refs"]
    # to where it is already: no move, and the precondition holds all the same
    assert good(put(client, "prod", "v3", match='"3"'))["revision"] == 3
    problem(put(client, "prod", "v3", match='"2"'), 412, "precondition-failed")
    assert [(h["kind"], h["from"], h["to"], h["from_number"], h["to_number"]) for h in history(client, "prod")] == [
        ("create", None, commits[1], None, 1),
        ("move", commits[1], commits[2], 1, 2),
        ("move", commits[2], commits[3], 2, 3),
    ]


def test_what_was_seen_must_be_said_and_be_so(client, commits):
    problem(put(client, "seen", "v1"), 428, "precondition-required")
    good(put(client, "seen", "v1", **{"from": None}), 201)
    doc = problem(put(client, "seen", "v2"), 428, "precondition-required")
    assert commits[1] in doc["detail"], "tells what to send"
    for wrong in (
        dict(new=True),
        dict(match='"2"'),
        dict(match='"1"', **{"from": "v2"}),  # both are given, one is wrong
        {"from": None},
        {"from": "v2"},
    ):
        problem(put(client, "seen", "v2", **wrong), 412, "precondition-failed")
    problem(put(client, "unseen", "v1", match="*"), 412, "precondition-failed")
    problem(put(client, "unseen", "v1", **{"from": "v1"}), 412, "precondition-failed")
    assert client.ok(at("seen"))["revision"] == 1 and client.get(at("unseen")).status_code == 404
    good(put(client, "seen", "v2", match='"0", "1"', **{"from": "v1"}))


def test_bad_requests(client, commits):
    before = client.all("/v1/models/r/m/refs?limit=3")
    doc = problem(
        client.request("PUT", at("bad"), json={"kind": "label", "reason": 7, "force": "yes", "form": None}),
        400,
        "unknown-member",
    )
    assert {e["pointer"] for e in doc["errors"]} == {"#/kind", "#/reason", "#/force", "#/to", "#/form"}
    assert "from" in str(doc), "names the member that was meant"
    problem(put(client, "bad", "v1", new=True, reason="x" * 4097), 400, "invalid-request")
    problem(put(client, "bad", "v77", new=True), 404, "revision-not-found")
    problem(put(client, "bad", "v1", **{"from": "v77"}), 404, "revision-not-found")
    problem(put(client, "bad", "v1", new=True, model="r/none"), 404, "not-found")
    for name in ("HEAD", "refs/heads/x", "a" * 40, "a b", "-x", "a..b", "ü", "x" * 201, "a//b", "x."):
        doc = problem(put(client, name, "v1", new=True), 400, "invalid-request")
        assert any(w in doc["detail"] for w in ("reserved", "ref name")), doc["detail"]
    problem(put(client, "bad", "v0", new=True), 409, "version-incomplete")
    problem(client.get(at("maim")), 404, "not-found")
    assert "did you mean main?" in client.get(at("maim")).json()["detail"]
    assert client.all("/v1/models/r/m/refs?limit=3") == before


def test_names_of_versions(client, commits):
    good(put(client, "v2", "v2", new=True, kind="tag"), 201)
    for name, to in (("v3", "v2"), ("v99", "v2"), ("v0", "v1")):
        problem(put(client, name, to, new=True), 409, "ref-shadows-version")
    problem(put(client, "v3", "v3", new=True, kind="branch"), 409, "ref-shadows-version")
    problem(put(client, "v2", "v3", match="*", force=True, reason="r"), 409, "ref-shadows-version")
    good(put(client, "v02", "v3", new=True), 201)  # names no version
    assert client.version("r/m@v2")["commit"] == commits[2]


def test_kinds(client, commits):
    good(put(client, "cand/1", "v1", new=True, kind="tag", reason="x"), 201)
    problem(put(client, "cand/1", "v2", match="*"), 409, "conflict")
    problem(put(client, "cand/1", "v2", match="*", force=True), 409, "conflict")
    problem(put(client, "cand/1", "v2", match="*", reason="typo"), 409, "conflict")
    problem(put(client, "cand/1", "v2", match="*", kind="alias", force=True, reason="typo"), 409, "conflict")
    assert good(put(client, "cand/1", "v2", match="*", kind="tag", force=True, reason="typo"))["number"] == 2
    problem(back(client, "cand/1"), 409, "conflict")
    assert good(back(client, "cand/1", force=True))["number"] == 1
    assert client.ok("/v1/models/r/m/refs/cand%2F1")["kind"] == "tag"
    assert good(put(client, "line", "v0", new=True, kind="branch"), 201)["number"] == 0
    assert good(put(client, "line", "v4", match='"1"'))["kind"] == "branch"
    kinds = {k: {r["name"] for r in client.all(f"/v1/models/r/m/refs?limit=2&kind={k}")} for k in ("branch", "tag")}
    assert {"main", "line"} <= kinds["branch"] and "cand/1" in kinds["tag"] and not kinds["branch"] & kinds["tag"]
    names = [r["name"] for r in client.all("/v1/models/r/m/refs?limit=1")]
    assert names == sorted(names) and kinds["branch"] | kinds["tag"] <= set(names)
    problem(client.get("/v1/models/r/m/refs?kind=label"), 400, "invalid-request")


def test_jobs_commit_on_a_moved_branch(client, commits):
    """A branch that was moved by hand gets the next commit of a job on top, and the history has both."""
    good(put(client, "work", "v2", new=True, kind="branch"), 201)
    good(put(client, "work", "v4", match='"1"'))
    body = merge("linear", [("r/m@v1", {"weight": 1.0})], "r/m")
    body["publish"].update(branch="work", tags=["from-job"])
    made = client.version(client.run(body))
    assert made["parent"] == commits[4]
    moves = history(client, "work")
    assert [(h["kind"], h["to"]) for h in moves] == [
        ("create", commits[2]), ("move", commits[4]), ("move", made["commit"])]  # fmt: skip
    assert moves[-1]["job"] == made["job"] and moves[0]["job"] is None
    assert good(back(client, "work"))["commit"] == commits[4]
    assert history(client, "from-job")[0]["job"] == made["job"]


# ---- protecting, deleting -----------------------------------------------------------------------


def patch(client, name, match, **policy):
    headers = {"If-Match": match} if match else {}
    return client.request("PATCH", at(name), json={"policy": policy}, headers=headers)


def delete(client, name, match="*", query=""):
    return client.request("DELETE", at(name) + query, headers={"If-Match": match} if match else {})


def test_protected(client, commits):
    good(put(client, "live", "v1", new=True), 201)
    problem(patch(client, "live", None, protected=True), 428, "precondition-required")
    problem(patch(client, "live", '"9"', protected=True), 412, "precondition-failed")
    problem(patch(client, "live", '"1"'), 400, "invalid-request")
    problem(patch(client, "live", '"1"', protected="yes"), 400, "invalid-request")
    problem(patch(client, "live", '"1"', protected=True, gate="nightly"), 404, "not-found")
    problem(patch(client, "nowhere", '"1"', protected=True), 404, "not-found")
    doc = good(patch(client, "live", '"1"', protected=True))
    assert doc["policy"] == {"protected": True, "gate": None} and doc["revision"] == 2
    assert good(patch(client, "live", '"2"', protected=True))["revision"] == 2, "nothing changed"
    problem(put(client, "live", "v2", match='"1"'), 412, "precondition-failed")  # the policy is part of what was seen
    problem(put(client, "live", "v2", match='"2"'), 409, "conflict")
    problem(put(client, "live", "v2", match='"2"', force=True), 409, "conflict")
    problem(put(client, "live", "v2", match='"2"', reason="because"), 409, "conflict")
    problem(put(client, "live", "v2", match='"2"', reason="", force=True), 400, "invalid-request")
    problem(delete(client, "live"), 409, "conflict")
    problem(delete(client, "live", query="?force=true"), 409, "conflict")
    problem(delete(client, "live", query="?force=maybe&reason=x"), 400, "invalid-request")
    assert client.ok(at("live"))["number"] == 1
    assert good(put(client, "live", "v2", match='"2"', reason="fire", force=True))["policy"] == {"protected": True, "gate": None}
    assert good(back(client, "live"))["number"] == 1, "going back needs no force: it has been there"
    assert good(delete(client, "live", query="?force=true&reason=gone%20for%20good"))["number"] == 1
    assert client.get(at("live")).status_code == 404
    assert [(h["kind"], h["reason"]) for h in history(client, "live")][-2:] == [
        ("rollback", "night"), ("delete", "gone for good")]  # fmt: skip


def test_delete_and_make_anew(client, commits):
    good(put(client, "twice", "v1", new=True), 201)
    seen = good(put(client, "twice", "v2", match='"1"'))
    problem(delete(client, "twice", match=None), 428, "precondition-required")
    problem(delete(client, "twice", match='"1"'), 412, "precondition-failed")
    problem(delete(client, "main"), 409, "conflict")
    etag = client.get("/v1/models/r/m").headers["ETag"]
    assert good(delete(client, "twice", match='"2"')) == seen, "the ref as it was"
    assert client.get("/v1/models/r/m").headers["ETag"] != etag
    problem(client.get("/v1/models/r/m/versions/twice"), 404, "revision-not-found")
    problem(delete(client, "twice"), 404, "not-found")
    problem(back(client, "twice"), 404, "not-found")
    gone = history(client, "twice")
    assert [(h["kind"], h["to"]) for h in gone] == [
        ("create", commits[1]), ("move", commits[2]), ("delete", None)]  # fmt: skip
    again = good(put(client, "twice", "v3", new=True, kind="tag"), 201)
    assert again["kind"] == "tag" and again["revision"] > 3, "what was seen of the old one fits the new one never"
    assert history(client, "twice")[:3] == gone
    problem(back(client, "twice", force=True), 409, "stack-empty")


# ---- history, going back ------------------------------------------------------------------------


def test_history_pages_and_times(client, commits):
    marks = []
    for i, to in enumerate((1, 2, 3, 4)):
        time.sleep(0.003)
        good(put(client, "timed", f"v{to}", **{"from": f"v{to - 1}" if i else None}), 200 if i else 201)
        marks.append(client.ok(at("timed"))["moved_at"])
    time.sleep(0.003)
    good(delete(client, "timed"))
    end = client.ok(at("timed") + "/history?limit=1")["data"][0]["at"]
    moves = history(client, "timed")
    assert [h["to_number"] for h in moves] == [1, 2, 3, 4, None] and [h["at"] for h in moves] == marks + [end]
    assert len({h["seq"] for h in moves}) == 5 and moves == sorted(moves, key=lambda h: h["seq"])
    page = client.ok(at("timed") + "/history?limit=2")
    assert page["has_more"] and [h["to_number"] for h in page["data"]] == [None, 4]
    page = client.ok(at("timed") + f"/history?limit=2&after={page['next']}")
    assert [h["to_number"] for h in page["data"]] == [3, 2]
    for i, mark in enumerate(marks):
        (entry,) = client.ok(at("timed") + f"/history?at={mark}")["data"]
        assert entry == moves[i]
        plus = mark.replace("Z", "+00:00")
        assert client.ok(at("timed") + f"/history?at={seg(plus)}")["data"] == [moves[i]]
    for nobody in ("2020-01-01T00:00:00Z", end, "2999-01-01T00:00:00Z"):
        assert client.ok(at("timed") + f"/history?at={nobody}")["data"] == []
    problem(client.get(at("timed") + "/history?at=yesterday"), 400, "invalid-request")
    problem(client.get(at("timed") + f"/history?at={end}&after=3"), 400, "invalid-request")
    problem(client.get(at("never") + "/history"), 404, "not-found")
    problem(client.get(at("never") + f"/history?at={end}"), 404, "not-found")


def test_rollback(client, commits):
    for i, to in enumerate((1, 2, 1, 3)):
        good(put(client, "roll", f"v{to}", match="*" if i else None, new=not i), 200 if i else 201)
    url = at("roll") + "/rollback"
    problem(client.post(url, {"reason": "x"}), 428, "precondition-required")
    problem(back(client, "roll", match='"3"'), 412, "precondition-failed")
    problem(client.post(url, {"reason": "x", "from": "v2"}), 412, "precondition-failed")
    problem(client.post(url, {"from": "v3"}), 400, "invalid-request")
    problem(back(client, "roll", reason=""), 400, "invalid-request")
    problem(back(client, "roll", steps=0), 422, "invalid-params")
    problem(back(client, "roll", steps=1, to="v2"), 400, "invalid-request")
    problem(back(client, "roll", steps=4), 409, "stack-empty")
    problem(back(client, "roll", to="v4"), 409, "stack-empty")
    problem(back(client, "roll", to="v44"), 404, "revision-not-found")
    assert client.ok(at("roll"))["revision"] == 4, "nothing of that moved it"
    doc = good(client.post(url, {"reason": "3 a.m.", "from": commits[3]}))
    assert (doc["number"], doc["revision"], doc["reason"]) == (1, 5, "3 a.m.")
    assert good(back(client, "roll"))["number"] == 2, "two do not swing"
    assert good(put(client, "roll", "v5", match="*"))["number"] == 5
    assert good(back(client, "roll", to=commits[1]))["number"] == 1
    assert good(back(client, "roll", to="v1"))["revision"] == 8, "it is there already: no move"
    problem(back(client, "roll"), 409, "stack-empty")
    assert [(h["kind"], h["to_number"], h["steps"]) for h in history(client, "roll")] == [
        ("create", 1, None), ("move", 2, None), ("move", 1, None), ("move", 3, None),
        ("rollback", 1, 1), ("rollback", 2, 1), ("move", 5, None), ("rollback", 1, 2)]  # fmt: skip


def test_rollback_is_done_once_for_a_key(client, commits):
    for i in (1, 2, 3):
        good(put(client, "keyed", f"v{i}", match="*" if i > 1 else None, new=i == 1), 200 if i > 1 else 201)
    first = back(client, "keyed", match='"3"', key="once-1")
    again = back(client, "keyed", match='"3"', key="once-1")
    assert good(first) == good(again) and again.headers["Idempotency-Replayed"] == "true"
    assert good(first)["number"] == 2 and len(history(client, "keyed")) == 4
    problem(back(client, "keyed", match='"4"', key="once-1", steps=2), 422, "idempotency-key-reused")


def test_random_walks_against_a_model(client, commits, seed):
    """The service against a list and the words of the specification."""
    draw = random.Random(seed)
    for walk in range(2):
        name, stack, made = f"walk-{walk}", [], 0
        for _ in range(60):
            what = draw.choice(("move", "move", "steps", "to"))
            to = draw.randint(1, N)
            if not stack or what == "move":
                answer = put(client, name, f"v{to}", match="*" if stack else None, new=not stack)
                made += not stack or to != stack[-1]
                assert answer.status_code == (200 if stack else 201)
                if not stack or to != stack[-1]:
                    stack.append(to)
            elif what == "steps":
                k = draw.randint(1, 3)
                answer = back(client, name, steps=k)
                assert answer.status_code == (200 if k < len(stack) else 409)
                if k < len(stack):
                    del stack[-k:]
                    made += 1
            else:
                answer = back(client, name, to=f"v{to}")
                assert answer.status_code == (200 if to in stack else 409)
                if to in stack:
                    made += stack[-1] != to
                    while stack[-1] != to:
                        stack.pop()
            doc = client.ok(at(name))
            assert (doc["number"], doc["revision"]) == (stack[-1], made)
        # the history alone, read by somebody who knows nothing else, gives the same stack
        replayed = []
        for h in history(client, name):
            assert h["from_number"] == (replayed[-1] if replayed else None)
            if h["kind"] == "rollback":
                del replayed[-h["steps"] :]
                assert replayed[-1] == h["to_number"]
            else:
                replayed.append(h["to_number"])
        assert replayed == stack


def test_one_of_many_at_once(client, commits):
    """Of moves with the same If-Match, or the same `from`, one happens."""
    good(put(client, "race", "v1", new=True), 201)

    def attempt(how):
        def one(to):
            body, headers = {"to": f"v{to}"}, {}
            if how == "match":
                headers["If-Match"] = seen
            else:
                body["from"] = commits[now]
            gate.wait()
            return requests.put(client.url + at("race"), json=body, headers=headers, timeout=30).status_code

        return one

    revision, now = 1, 1
    with ThreadPoolExecutor(4) as pool:
        for turn in range(10):
            gate, seen = threading.Barrier(4), f'"{revision}"'
            others = [n for n in range(1, N + 1) if n != now]
            codes = list(pool.map(attempt("match" if turn % 2 else "from"), others))
            assert sorted(codes) == [200, 412, 412, 412]
            doc = client.ok(at("race"))
            revision, now = revision + 1, others[codes.index(200)]
            assert (doc["revision"], doc["number"]) == (revision, now)
        gate = threading.Barrier(4)

        def make(_):
            gate.wait()
            headers = {"If-None-Match": "*"}
            return requests.put(client.url + at("born"), json={"to": "v1"}, headers=headers, timeout=30).status_code

        assert sorted(pool.map(make, range(4))) == [201, 412, 412, 412]
    assert len(history(client, "race")) == 11 and len(history(client, "born")) == 1


def test_a_move_outlives_a_kill(tmp_path, roots, launch, commits):
    """kill -9 during moves: what was answered is there, and the history says the same as the ref."""
    d = launch()
    c = d.client
    for i in (1, 2):
        c.register(roots / f"ref-{i}", "k/m")
    good(put(c, "prod", "v1", model="k/m", new=True), 201)
    done = [1]

    def move():
        try:
            while put(c, "prod", f"v{1 + done[0] % 2}", model="k/m", match=f'"{done[0]}"').status_code == 200:
                done[0] += 1
        except requests.RequestException:
            pass

    mover = threading.Thread(target=move)
    mover.start()
    time.sleep(0.15)
    d.kill()
    mover.join()
    d.start()
    doc = d.client.ok(at("prod", "k/m"))
    moves = d.client.all(at("prod", "k/m") + "/history?limit=100")
    assert doc["revision"] - done[0] in (0, 1) and done[0] > 1
    assert len(moves) == doc["revision"] and moves[0]["to"] == doc["commit"]


# ---- the command-line client --------------------------------------------------------------------


def test_cli(client, commits):
    assert "cli\talias\tv1" in amend(client, "ref", "set", "r/m", "cli", "v1", "--reason", "try")
    amend(client, "ref", "set", "r/m", "cli", "v2")
    assert "cli\talias\tv3" in amend(client, "ref", "set", "r/m", "cli", "v3", "--from", "v2")
    done = amend(client, "ref", "set", "r/m", "cli", "v4", "--from", "v2", expect=None)
    assert done.returncode == 7 and "points to v3" in done.stderr and "precondition-failed" in done.stderr
    amend(client, "ref", "set", "r/m", "cli/tag", "v1", "--kind", "tag")
    assert amend(client, "ref", "set", "r/m", "cli/tag", "v2", expect=None).returncode == 7
    amend(client, "ref", "set", "r/m", "cli/tag", "v2", "--force", "--reason", "typo")
    listed = [line.split("\t") for line in amend(client, "ref", "list", "r/m").splitlines()]
    assert ["cli/tag", "tag", "v2", commits[2]] in [row[:4] for row in listed]
    assert {row[0] for row in listed} == {r["name"] for r in client.all("/v1/models/r/m/refs")}
    assert "cli\talias\tv2" in amend(client, "rollback", "r/m", "cli", "--reason", "night")
    assert "cli\talias\tv1" in amend(client, "rollback", "r/m", "cli", "--to", "v1", "--reason", "night")
    assert amend(client, "rollback", "r/m", "cli", "--reason", "n", expect=None).returncode == 7
    assert amend(client, "rollback", "r/m", "cli", expect=None).returncode == 2, "no reason"
    rows = [line.split("\t") for line in amend(client, "ref", "history", "r/m", "cli").splitlines()]
    assert [(row[1], row[2], row[3]) for row in rows] == [
        ("rollback", "v2", "v1"), ("rollback", "v3", "v2"), ("move", "v2", "v3"), ("move", "v1", "v2"),
        ("create", "-", "v1")]  # fmt: skip
    amend(client, "ref", "rm", "r/m", "cli")
    assert amend(client, "ref", "rm", "r/m", "cli", expect=None).returncode == 5
    assert amend(client, "ref", "history", "r/m", "cli", "--limit", "1").split("\t")[1] == "delete"
    assert amend(client, "ref", "list", "r/m", "extra", expect=None).returncode == 2
