"""GET M/diff and the origin of tensors: what an independent reader (safetensors, NumPy) sees in the bytes is the measure.

`identical` must never be said of bytes that differ; `changed` may be said of equal bytes that were stored twice (basis
"spans"), and the tests know which those are.
"""

import json
import time

import harness
import numpy as np
import pytest
import reference as ref
from harness import amend, merge, problem, seg, sparsify

CLASSES = ("added", "removed", "reshaped", "changed", "identical")


def diff(client, model, query="", status=200):
    answer = client.get(f"/v1/models/{model}/diff{query}")
    assert answer.status_code == status, answer.text
    return answer.json()


def counts(doc):
    return {k: doc["tensors"][k]["count"] for k in CLASSES}


def by_bytes(client, a, b):
    """The classes that two versions' bytes show, read by the real library."""
    x, y = client.weights(a), client.weights(b)
    found = {k: set() for k in CLASSES}
    for name in x.keys() | y.keys():
        if name not in x:
            found["added"].add(name)
        elif name not in y:
            found["removed"].add(name)
        elif x[name][:2] != y[name][:2]:
            found["reshaped"].add(name)
        else:
            found["identical" if x[name].data == y[name].data else "changed"].add(name)
    return found


def listed(client, model, query):
    """All pages: {class: names}, with the page's own promises checked."""
    found, after = {k: set() for k in CLASSES}, None
    while True:
        page = diff(client, model, query + (f"&after={seg(after)}" if after else ""))
        assert (page["tensors"] is None) == (page["files"] is None) == (after is not None)
        names = [d["name"] for d in page["data"]]
        assert names == sorted(names) and (after is None or not names or names[0] > after)
        for d in page["data"]:
            assert (d["from"] is None) == (d["class"] == "added") and (d["to"] is None) == (d["class"] == "removed")
            found[d["class"]].add(d["name"])
        if not page["has_more"]:
            return found
        after = page["next"]


@pytest.fixture(scope="module")
def line(client, roots):
    """A line of three: a registered version and two edits of different tensors."""
    rng = np.random.default_rng(7)
    shapes = {n: ("F32", (16, 16)) for n in ("a", "b", "c", "d", "e")}
    tensors = {**ref.fill(rng, shapes), "empty": ref.tensor("F32", np.zeros((0, 3)))}
    client.register(ref.write(roots / "line", tensors, files={"notes.txt": b"1"}), "diff/line")
    first = client.version("diff/line")["commit"]
    second = client.run(sparsify("diff/line", "diff/line", {"sparsity": 0.5, "include": ["b"]})).split("@")[1]
    third = client.run(sparsify("diff/line", "diff/line", {"sparsity": 0.9, "include": ["d"]})).split("@")[1]
    return first, second, third


def test_an_edit_changes_what_it_changed(client, line):
    for a, b in ((line[0], line[1]), (line[1], line[2]), (line[0], line[2]), (line[2], line[0])):
        doc = diff(client, "diff/line", f"?from={a}&to={b}")
        truth = by_bytes(client, f"diff/line@{a}", f"diff/line@{b}")
        assert counts(doc) == {k: len(v) for k, v in truth.items()}
        assert doc["basis"] == "spans" and (doc["from"]["commit"], doc["to"]["commit"]) == (a, b)
        assert {d["name"] for d in doc["data"]} == truth["changed"]
        assert doc["tensors"]["changed"]["bytes"] == 1024 * len(truth["changed"])
    # to itself: the same version under two names
    same = diff(client, "diff/line", f"?from=v3&to={line[2]}")
    assert counts(same)["identical"] == 6 and not same["data"] and not same["files"]["data"]


def test_without_words_it_is_main_against_what_it_was_made_on(client, line):
    doc = diff(client, "diff/line")
    assert (doc["from"]["commit"], doc["to"]["commit"]) == (line[1], line[2])
    assert doc["from"]["number"] == 2 and doc["to"]["number"] == 3
    assert doc["report"]["path"] == "amend/report.json" and client.get(doc["report"]["content_url"]).ok
    first = diff(client, "diff/line", "?to=v1")  # made on the empty v0
    assert counts(first)["added"] == 6 and first["report"] is None


def test_each_class_across_models_and_pages(client, roots, seed):
    rng = np.random.default_rng(seed)
    one = ref.fill(rng, {n: ("F32", (4, 4)) for n in ("gone", "dtype", "shape", "same", "value")})
    two = {
        "new": ref.tensor("F32", rng.standard_normal((2, 2))),
        "dtype": ref.tensor("F16", rng.standard_normal((4, 4))),
        "shape": ref.tensor("F32", rng.standard_normal((2, 8))),
        "same": one["same"],
        "value": ref.tensor("F32", rng.standard_normal((4, 4))),
    }
    client.register(ref.write(roots / "one", one, files={"x.txt": b"x", "y.txt": b"y"}), "diff/one")
    client.register(ref.write(roots / "two", two, files={"y.txt": b"Y", "z.txt": b"z"}), "diff/two")
    query = "?from=diff%2Fone@v1&to=v1"
    truth = by_bytes(client, "diff/one", "diff/two")
    # stored in two whole files: equal bytes cannot be told from spans, and are not claimed
    truth["changed"] |= truth.pop("identical")
    truth["identical"] = set()
    assert truth["added"] == {"new"} and truth["removed"] == {"gone"} and truth["reshaped"] == {"dtype", "shape"}
    doc = diff(client, "diff/two", query)
    assert counts(doc) == {k: len(v) for k, v in truth.items()} == dict(zip(CLASSES, (1, 1, 2, 2, 0)))
    assert listed(client, "diff/two", query) == truth
    assert listed(client, "diff/two", query + "&limit=1") == truth
    assert listed(client, "diff/two", query + "&limit=2&class=reshaped,added") == {
        **{k: set() for k in CLASSES},
        "reshaped": truth["reshaped"],
        "added": truth["added"],
    }
    files = {f["path"]: f["class"] for f in doc["files"]["data"]}
    assert files == {"x.txt": "removed", "y.txt": "changed", "z.txt": "added", "model.safetensors": "changed"}
    row = next(d for d in doc["data"] if d["name"] == "dtype")
    assert row["from"]["dtype"] == "F32" and row["to"]["dtype"] == "F16" and row["to"]["shape"] == [4, 4]


def test_one_file_in_two_models_is_identical(client, roots, seed):
    rng = np.random.default_rng(seed)
    tensors = ref.fill(rng, {"w": ("BF16", (8, 8)), "v": ("F32", (3,))})
    client.register(ref.write(roots / "twin1", tensors), "diff/twin1")
    client.register(ref.write(roots / "twin2", tensors, files={"more.txt": b"m"}), "diff/twin2")
    doc = diff(client, "diff/twin2", "?from=diff%2Ftwin1@main")
    assert counts(doc) == {**{k: 0 for k in CLASSES}, "identical": 2}
    assert [d["name"] for d in diff(client, "diff/twin2", "?from=diff%2Ftwin1@main&class=identical")["data"]] == ["v", "w"]


def test_a_merge_stores_everything_anew(client, line):
    out = client.run(merge("linear", [("diff/line@v1", {"weight": 0.5}), ("diff/line@v3", {"weight": 0.5})], "diff/m"))
    doc = diff(client, "diff/m", "?from=diff%2Fline@v1")
    truth = by_bytes(client, "diff/line@v1", out)
    got = listed(client, "diff/m", "?from=diff%2Fline@v1&class=" + ",".join(CLASSES))
    assert got["identical"] <= truth["identical"] and truth["changed"] <= got["changed"], "never a false identical"
    assert sum(counts(doc).values()) == 6


def test_tensors_name_the_version_that_last_wrote_them(client, line):
    """The rule, recomputed from bytes: the newest version of the line whose tensor differs from its parent's."""
    bytes_of = [client.weights(f"diff/line@{c}") for c in line]
    for upto in range(3):
        rows = {t["name"]: t for t in client.all(client.at(f"diff/line@{line[upto]}") + "/tensors")}
        for name, row in rows.items():
            if name == "empty":
                assert row["from_version"] is None  # no byte of it lies anywhere
                continue
            last = max(i for i in range(upto + 1) if i == 0 or bytes_of[i][name] != bytes_of[i - 1][name])
            assert row["from_version"] == f"diff/line@{line[last]}", name
    page = client.ok(client.at("diff/line") + "/tensors?limit=2&after=b&prefix=")
    assert [t["name"] for t in page["data"]] == ["c", "d"]


def test_the_client_tells_differences(client, line):
    done = amend(client, "model", "diff", f"diff/line@{line[0]}", "diff/line@v2", expect=None)
    rows = [r.split("\t") for r in done.stdout.splitlines()]
    assert ["changed", "tensor", "b", "F32 [16,16]", "F32 [16,16]"] in rows and done.returncode == 0
    assert {r[2] for r in rows if r[1] == "tensor"} == {"b"} and "5 identical" in done.stderr
    doc = json.loads(amend(client, "-o", "json", "model", "diff", "diff/line@v1", "diff/line@v2", "--class", "identical"))
    assert len(doc["data"]) == 5
    amend(client, "model", "diff", "diff/line", expect=2)


def test_bad_requests(client, line):
    assert "class" in problem(client.get("/v1/models/diff/line/diff?class=odd"), 400, "invalid-request")["detail"]
    assert "to" in problem(client.get("/v1/models/diff/line/diff?to=nope"), 404, "revision-not-found")["detail"]
    problem(client.get("/v1/models/diff/line/diff?from=diff%2Fnobody@main"), 404, "not-found")
    problem(client.get("/v1/models/diff/line/diff?from=@"), 400, "invalid-request")
    problem(client.get("/v1/models/diff/line/diff?sideways=1"), 400, "unknown-member")
    problem(client.get("/v1/models/diff/none/diff"), 404, "not-found")
    problem(client.get("/v1/models/diff/line/diff?to=main&from=" + line[0] + "&limit=0"), 400, "invalid-request")


@pytest.mark.slow
def test_two_hundred_thousand_tensors(launch, roots):
    """The most that a file may have: a page, the counts and the memory stay bounded."""
    n = 200_000
    values = np.arange(n, dtype=np.float32)
    tensors = {f"layer.{i:06d}.w": ref.tensor("F32", values[i : i + 1]) for i in range(n)}
    d = launch(name="huge")
    client = d.client
    client.register(ref.write(roots / "huge", tensors), "diff/huge")
    client.run(sparsify("diff/huge", "diff/huge", {"sparsity": 1.0, "include": ["layer.*7.w"]}))
    d.stop()  # what the publication took is not to be measured
    client = d.start().client
    before, began = d.status("VmHWM"), time.monotonic()
    doc = diff(client, "diff/huge")
    whole = time.monotonic() - began
    assert counts(doc)["changed"] + counts(doc)["identical"] == n and doc["has_more"]
    began = time.monotonic()
    page = diff(client, "diff/huge", f"?after={seg(doc['next'])}")
    part = time.monotonic() - began
    grown = (d.status("VmHWM") - before) / 1024
    print(f"200,000 tensors: counts and first page {whole:.2f} s, a further page {part:.2f} s, {grown:.0f} MiB")
    assert len(page["data"]) == 1000 and whole < 5 and part < 2
    assert harness.SANITIZED or d.status("VmHWM") < 64 << 10
