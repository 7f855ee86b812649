"""Datasets: upload, checks, versions, bytes, samples, selections, and the prediction sets that are about them. Files are
made here by the safetensors library and NumPy, and expected values come from the rows in Python. What the client does is
test_dataset_client.py."""

import gzip
import hashlib
import json
import random
import struct
import time

import numpy as np
import pytest
import safetensors.numpy

import reference as ref
from harness import problem

JSONL, TENSORS = "application/jsonl", "application/vnd.safetensors"


def lines(rows):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()


def upload(client, name, body, kind=JSONL, query="", zipped=False, **headers):
    if zipped:
        headers["Content-Encoding"] = "gzip"
    headers = {"Content-Type": kind, "Prefer": "wait=60", **headers}
    return client.request("POST", f"/v1/datasets/{name}/versions{query}", data=body, headers=headers)


def make(client, name, body, kind=JSONL, query="", zipped=False):
    if client.get(f"/v1/datasets/{name}").status_code == 404:
        client.post("/v1/datasets", {"id": name})
    answer = upload(client, name, body, kind, query, zipped)
    assert answer.status_code == 201, answer.text[:2000]
    assert answer.headers["Location"] == answer.json()["links"]["self"]
    return answer.json()


def dictionary(ids):
    """The dictionary of ids as the reference library writes it."""
    raw = [i.encode() for i in sorted(ids, key=str.encode)]
    at = np.cumsum([0] + [len(r) for r in raw]).astype(np.uint64)
    text = np.frombuffer(b"".join(raw), np.uint8)
    return safetensors.numpy.save({"bytes": text, "offsets": at}, {"amend": "ids/1"})


def digest(ids):
    return hashlib.sha256(dictionary(ids)).hexdigest()


def test_lines_come_back_and_are_told_of(client):
    rows = [
        {"id": "b", "text": "zwei\n", "label": 1, "src": "v1", "x": 1.50},
        {"id": "a", "text": "é", "label": 0, "src": "v2"},
        {"id": "c", "label": 1, "ok": True, "list": [1]},
    ]
    body = lines(rows)[:-1]  # without the last line feed
    made = make(client, "d/lines", body, query="?label=first")
    assert (made["number"], made["rows"], made["classes"], made["format"], made["ids"]) == (1, 3, 2, "jsonl", "own")
    assert made["sha256"] == hashlib.sha256(body).hexdigest() and made["bytes"] == len(body) and made["labels"] == ["first"]
    assert made["ids_sha256"] == digest("abc")
    fields = {f["name"]: (f["kind"], f["rows"], f["values"]) for f in made["fields"]}
    assert fields == {
        "text": ("text", 2, 2), "label": ("int", 3, 2), "src": ("text", 2, 2), "x": ("real", 1, None), "ok": ("bool", 1, 1),
        "list": ("list", 1, None),
    }
    for rev in ("v1", "latest", "first", made["sha256"], made["sha256"][:8]):
        assert client.ok(f"/v1/datasets/d/lines/versions/{rev}") == made
    for rev in ("v2", "none", made["sha256"][:7]):
        problem(client.get(f"/v1/datasets/d/lines/versions/{rev}"), 404, "revision-not-found")
    back = client.get(made["links"]["content"])
    assert back.content == body and back.headers["ETag"] == f'"{made["sha256"]}"' and back.headers["Content-Type"] == JSONL
    part = client.get(made["links"]["content"], headers={"Range": "bytes=5-9"})
    assert part.status_code == 206 and part.content == body[5:10]
    at = made["links"]["samples"]
    assert client.ok(at)["data"] == rows
    page = client.get(at + "?limit=2")
    assert body.splitlines()[1] in page.content, "a line goes out as it came in"
    assert page.json()["data"] == rows[:2] and page.json()["has_more"]
    assert client.ok(at + f"?limit=2&after={page.json()['next']}") == {
        "object": "list", "data": rows[2:], "has_more": False, "next": None,
    }
    assert client.ok(at + "?id=c&id=b")["data"] == [rows[2], rows[0]]
    assert problem(client.get(at + "?id=c&id=nobody"), 404, "not-found")["errors"][0]["detail"] == "there is no sample nobody"


def test_the_same_bytes_are_the_same_version(client):
    body = lines([{"id": "1", "text": "x"}])
    made = make(client, "d/same", body)
    again = upload(client, "d/same", body, query="?label=again")
    assert again.status_code == 200 and again.json() == {**made, "labels": ["again"]}
    zipped = upload(client, "d/same", gzip.compress(body[:5]) + gzip.compress(body[5:]), zipped=True)
    assert zipped.status_code == 200 and zipped.json() == again.json()
    answer = upload(client, "d/same", gzip.compress(lines([{"id": "1", "text": "y"}])), zipped=True, query="?label=new")
    assert answer.status_code == 201 and answer.json()["number"] == 2 and answer.json()["ids_sha256"] == made["ids_sha256"]
    assert client.get(answer.json()["links"]["content"]).content == lines([{"id": "1", "text": "y"}])
    problem(upload(client, "d/same", body, query="?label=new"), 409, "conflict")
    problem(upload(client, "d/same", body, query="?label=v7"), 400, "invalid-request")
    problem(upload(client, "d/same", body, query="?ids=some"), 400, "invalid-request")
    problem(upload(client, "d/none", body), 404, "not-found")
    assert [v["number"] for v in client.all("/v1/datasets/d/same/versions?limit=1")] == [2, 1]
    one = client.ok("/v1/datasets/d/same")
    assert (one["versions"], one["latest"]["number"]) == (2, 2)


def test_tensors_come_back(client):
    rng = np.random.default_rng(1)
    ids = np.array([b"s%03d" % i for i in range(50)], "S4")
    cols = {
        "inputs": rng.integers(0, 256, (50, 3, 4)).astype(np.uint8),
        "labels": rng.integers(0, 5, 50).astype(np.int64),
        "ids": ids.view(np.uint8).reshape(50, 4),
        "weights": rng.random(50).astype(np.float32) + 0.1,
        "groups": rng.integers(-3, 3, 50).astype(np.int16),
        "extra": np.zeros((2, 2), np.float32),
    }
    made = make(client, "d/tensors", safetensors.numpy.save(cols), TENSORS)
    assert (made["rows"], made["classes"], made["ids_sha256"]) == (50, len(set(cols["labels"])), digest(i.decode() for i in ids))
    shapes = {f["name"]: (f["kind"], f["shape"], f["values"]) for f in made["fields"]}
    assert shapes["inputs"] == ("U8", [50, 3, 4], None) and shapes["groups"] == ("I16", [50], len(set(cols["groups"])))
    back = safetensors.numpy.load(client.get(made["links"]["content"]).content)
    assert all(np.array_equal(back[k], v) and back[k].dtype == v.dtype for k, v in cols.items())
    sample = client.ok(made["links"]["samples"] + "?id=s007")["data"]
    assert sample == [{"id": "s007", "row": 7, "label": int(cols["labels"][7]), "shape": [3, 4]}]
    assert [s["id"] for s in client.all(made["links"]["samples"] + "?limit=20")] == [i.decode() for i in ids]
    count = client.post(made["links"]["self"] + "/resolve", {"where": {"groups": [-3, 2]}}).json()
    want = [i.decode() for i, g in zip(ids, cols["groups"]) if g in (-3, 2)]
    assert (count["count"], count["ids_sha256"]) == (len(want), digest(want))
    del cols["ids"]
    numbered = make(client, "d/tensors", safetensors.numpy.save(cols), TENSORS, "?ids=row")
    assert numbered["ids"] == "row" and numbered["ids_sha256"] == digest(str(i) for i in range(50))
    numbers = {**cols, "ids": np.arange(50, dtype=np.int64) - 10}
    assert make(client, "d/tensors", safetensors.numpy.save(numbers), TENSORS)["ids_sha256"] == digest(str(i - 10) for i in range(50))


# ---- selections ----


def draw(n, of, seed):
    """Algorithm S of Knuth over SplitMix64, as exact whole numbers."""
    mask, state, got = 2**64 - 1, seed, []
    for i in range(of):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        if z * (of - i) < (n - len(got)) << 64:
            got.append(i)
    return got


def test_selections(client, seed):
    rng = random.Random(seed)
    rows = [
        {"id": rng.choice(["", "ü", "x-"]) + str(i), "label": rng.choice(["cat", "dog", "eel"]), "n": rng.randrange(5), "src": rng.choice("ab")}
        for i in range(3000)
    ]
    rows[0]["flag"] = True
    at = make(client, "d/select", lines(rows))["links"]["self"] + "/resolve"
    everything = client.post(at, {}).json()
    assert (everything["count"], everything["rows"], everything["ids_sha256"]) == (3000, 3000, digest(r["id"] for r in rows))

    some = [rows[i]["id"] for i in (5, 2999, 17, 5)]
    cases = [
        ({"ids": some}, lambda i, r: r["id"] in some),
        ({"classes": ["cat", "yak"]}, lambda i, r: r["label"] == "cat"),
        ({"where": {"n": [1, 4, 77], "src": "a"}}, lambda i, r: r["n"] in (1, 4) and r["src"] == "a"),
        ({"where": {"flag": True}}, lambda i, r: i == 0),
        ({"rows": [[10, 20], [2990, 3000]]}, lambda i, r: 10 <= i < 20 or i >= 2990),
        ({"rows": [[700, 900], [8, 8], [0, 3], [5, 6], [710, 720], [6, 8], [850, 1000]]}, lambda i, r: i < 3 or 5 <= i < 8 or 700 <= i < 1000),
        ({"rows": [[0, 1000]], "classes": ["dog"]}, lambda i, r: i < 1000 and r["label"] == "dog"),
        ({"except": {"classes": ["eel"], "where": {"src": "b"}}}, lambda i, r: not (r["label"] == "eel" and r["src"] == "b")),
        ({"ids": [], "dataset": "d/select@v1"}, lambda i, r: False),
    ]
    for body, rule in cases:
        got = client.post(at, body).json()
        want = [r["id"] for i, r in enumerate(rows) if rule(i, r)]
        assert (got["count"], got["ids_sha256"], got["unknown"]) == (len(want), digest(want), []), body
    for n in (1, 100, 999):
        want = sorted((r["id"] for r in rows if r["label"] != "cat"), key=str.encode)
        want = [want[i] for i in draw(n, len(want), seed)]
        got = client.post(at, {"except": {"classes": ["cat"]}, "sample": {"n": n, "seed": seed}}).json()
        assert (got["count"], got["ids_sha256"]) == (n, digest(want))
    unknown = client.post(at, {"ids": [rows[1]["id"], *(f"no{i:03d}" for i in range(150))]}).json()
    assert (unknown["count"], unknown["unknown_total"], unknown["unknown"]) == (1, 150, [f"no{i:03d}" for i in range(100)])
    refused = [
        ({"classes": [1]}, "#/classes"), ({"where": {"id": "x"}}, "#/where"), ({"where": {"src": 4}}, "#/where"),
        ({"rows": [[5, 3001]]}, "#/rows"), ({"sample": {"n": 3001}}, "#/sample/n"), ({"ids": [4]}, "#/ids"),
        ({"except": {}}, "#/except/"), ({"dataset": "d/other"}, "#/dataset"), ({"sample": {"seed": 1}}, "#/sample/n"),
    ]
    for body, pointer in refused:
        doc = problem(client.post(at, body), 422, "invalid-params")
        assert doc["errors"][0]["pointer"] == pointer, (body, doc)
    problem(client.post(at, {"clases": [1]}), 400, "unknown-member")


def test_long_samples_come_in_pages(client):
    rows = [{"id": f"long{i}", "text": "x" * 900_000} for i in range(7)]
    at = make(client, "d/long", lines(rows))["links"]["samples"]
    page = client.get(at).json()
    assert (page["data"], page["has_more"]) == (rows[:5], True)
    assert client.get(f"{at}?after={page['next']}").json()["data"] == rows[5:]
    assert client.get(at + "?id=long6&id=long0").json()["data"] == [rows[6], rows[0]]
    doc = problem(client.get(at + "?" + "&".join(f"id=long{i}" for i in range(7))), 413, "payload-too-large")
    assert "fewer" in doc["detail"]


# ---- what is refused ----

BAD_LINES = [
    (b'{"id":"a","x":1e999}', "overflow"),
    (b'{"id":"a","x":NaN}', "not JSON"),
    (b'{"id":"a","id":"b"}', "duplicate"),
    (b'{"id":"a\\u0000b"}', "not JSON"),
    (b'{"id":"\xff"}', "not JSON"),
    (b'{"id":"' + b"x" * 129 + b'"}', "129 bytes"),
    (b'{"id":"' + b"x" * (1 << 20) + b'"}', "longer than 1048576"),
    (b'{"id":7}', "id must be a text"),
    (b'{"id":""}', "empty"),
    (b'{"text":"a"}', "id is missing"),
    (b'{"id":"L","label":"cat"}', "label is a text here and a whole number in row 0"),
    (b'{"id":"M","label":-2}', "from -1"),
    (b'{"id":"n","' + b"k" * 300 + b'":1}', "longer than 256"),
    (b'["a"]', "object"),
    (b"", "empty"),
    (b'{"id":"first"}', "that of row 0 already"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory, roots):
    """A daemon whose store stays empty: what is refused leaves nothing."""
    from harness import Daemon

    d = Daemon(tmp_path_factory.mktemp("sets") / "data", [roots], args=["--limits.upload_bytes=4MiB", "--store.gc_grace=0"]).start()
    d.client.post("/v1/datasets", {"id": "d/own"})
    yield d
    d.stop()


def refused(d, body, kind=JSONL, zipped=False, query=""):
    doc = problem(upload(d.client, "d/own", body, kind, query, zipped), 422, "malformed-dataset")
    d.left_nothing("/v1/datasets/d/own/versions")
    return doc["errors"]


def test_every_bad_line_is_told_with_its_row(own):
    body = [b'{"id":"first","label":1}']
    for i, (line, _) in enumerate(BAD_LINES):
        body += [line, b'{"id":"good%d","label":0}' % i]
    errors = refused(own, b"\n".join(body))
    for i, (_, words) in enumerate(BAD_LINES):
        row = 2 * i + 1
        told = [e["detail"] for e in errors if e["pointer"] == f"#/{row}" or e["pointer"].startswith(f"#/{row}/")]
        assert told and told[0].startswith(f"row {row} (line {row + 1}): ") and words in told[0], (BAD_LINES[i], told)
    assert len(errors) == len(BAD_LINES), "a good row is told of"
    assert "id is missing" in refused(own, b'{"text":"a"}\n')[0]["detail"]
    assert len(refused(own, b'{"id":"a"}\n' * 130)) == 100


def tensors_of(**change):
    cols = {"inputs": np.ones((4, 2), np.float32), "labels": np.arange(4, dtype=np.int64), "ids": np.arange(4, dtype=np.uint64)}
    return safetensors.numpy.save({k: v for k, v in {**cols, **change}.items() if v is not None})


def raw_tensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_value(at, value):
    x = np.ones((4, 2), np.float32)
    x[at] = value
    return x


U = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
BAD_TENSORS = [
    (tensors_of(inputs=None), "#/inputs", "there is no tensor inputs"),
    (tensors_of(ids=None), "#/ids", "there is no tensor ids"),
    (tensors_of(inputs=with_value((2, 1), np.nan)), "#/2/inputs", "row 2: inputs has a number that is NaN or infinite (number 1"),
    (tensors_of(inputs=with_value((3, 0), -np.inf).astype(np.float16)), "#/3/inputs", "row 3"),
    (tensors_of(labels=np.array([0, np.nan, 1, 1])), "#/1/labels", "row 1"),
    (tensors_of(labels=np.array([0, 1, 2**31, 1])), "#/2/labels", "row 2: a class is a number"),
    (tensors_of(labels=np.arange(3)), "#/labels", "labels has 3 rows and inputs has 4"),
    (tensors_of(ids=np.array([5, 6, 5, 7], np.uint64)), "#/2/id", 'the id "5" is that of row 0 already'),
    (tensors_of(ids=np.ones(4, np.float32)), "#/ids", "U64 or I64"),
    (tensors_of(ids=np.zeros((4, 3), np.uint8)), "#/0/id", "row 0: the id is empty"),
    (tensors_of(ids=np.array([[97, 0, 97]] * 4, np.uint8)), "#/0/ids", "goes on behind a NUL"),
    (tensors_of(ids=np.array([[98, 255]] * 4, np.uint8)), "#/0/id", "not UTF-8"),
    (tensors_of(ids=np.full((4, 200), 97, np.uint8)), "#/0/id", "200 bytes"),
    (tensors_of(weights=np.array([1, 0, 1, 1], np.float32)), "#/1/weights", "above 0"),
    (tensors_of(groups=np.ones(4, np.float32)), "#/groups", "whole numbers"),
    (tensors_of(inputs=np.ones((0, 2), np.float32)), "#/inputs", "holds no sample"),
    (tensors_of()[:-1], "#", "the tensors end after 96 bytes"),
    (b"\x08\0\0\0\0\0\0\0{}      ", "#/inputs", "no tensor inputs"),
    (b"no tensors at all", "#", ""),
    (raw_tensors({"inputs": U, "ids": {**U, "data_offsets": [2, 6]}}, b"\0" * 6), "#", ""),
    (raw_tensors({"inputs": {**U, "shape": [5]}}, b"\0" * 4), "#", ""),
    (raw_tensors({"inputs": {**U, "dtype": "F8_E4M3"}}, b"\0" * 4), "#/inputs", "F8_E4M3"),
]


def test_bad_tensors(own):
    for body, pointer, words in BAD_TENSORS:
        first = problem(upload(own.client, "d/own", body, TENSORS), 422, "malformed-dataset")["errors"][0]
        assert first["pointer"] == pointer and words in first["detail"], first
    own.left_nothing("/v1/datasets/d/own/versions")


def test_broken_uploads(own):
    zipped = gzip.compress(lines([{"id": str(i), "x": i * 0.37} for i in range(500)]))
    for body in (zipped[:-20], zipped[:40], b"\x1f\x8b no gzip", zipped + b"tail"):
        assert "gzip stream is broken" in refused(own, body, zipped=True)[0]["detail"]
    assert "empty" in refused(own, b"")[0]["detail"]
    assert "empty" in refused(own, gzip.compress(b""), zipped=True)[0]["detail"]
    assert refused(own, b"\n")
    bomb = gzip.compress(b'{"id":"a","x":"' + b"x" * (8 << 20))
    assert "unpacks to more than" in problem(upload(own.client, "d/own", bomb, zipped=True), 413, "payload-too-large")["detail"]
    problem(upload(own.client, "d/own", b" " * (4 << 20) + b"x"), 413, "payload-too-large")
    problem(upload(own.client, "d/own", b"{}", "text/csv"), 415, "unsupported-media-type")
    own.left_nothing("/v1/datasets/d/own/versions")


# ---- prediction sets about a dataset ----


def push(client, dataset, rows, **more):
    head = {"schema": "amend.preds/1", "version": {"external": "m"}, "dataset": dataset, "task": "classification", "n": len(rows), **more}
    headers = {"Content-Type": "application/x-ndjson", "Prefer": "wait=60"}
    return client.request("POST", "/v1/predictions", data=lines([head, *rows]), headers=headers)


def test_prediction_sets_are_joined_with_their_dataset(client):
    truth = {f"s{i:02d}": i % 3 for i in range(40)}
    made = make(client, "d/joined", lines([{"id": k, "label": v} for k, v in truth.items()]))
    rows = [{"id": k, "y": v, "p": 0} for k, v in truth.items()]
    random.Random(3).shuffle(rows)
    whole = push(client, "d/joined", rows).json()
    assert whole["dataset"] == {"external": None, "name": "d/joined", "number": 1, "sha256": made["sha256"]}
    assert whole["dictionary"]["sha256"] == made["ids_sha256"]
    part = push(client, "d/joined@v1", rows[:7]).json()
    got = client.post(made["links"]["self"] + "/resolve", {"ids": [r["id"] for r in rows[:7]]}).json()
    assert part["dictionary"]["sha256"] == got["ids_sha256"], "a selection has the digest of the set about it"
    again = [{**r, "k": k} for r in rows for k in (0, 1)]
    assert push(client, "d/joined@latest", again).status_code == 201

    wrong = [{**r, "y": (r["y"] + (i > 9)) % 3} for i, r in enumerate(rows)]
    doc = problem(push(client, "d/joined", wrong), 409, "dataset-mismatch")
    other = sorted(r["id"] for r in rows[10:])
    assert "30 of 40 rows have another y than d/joined@v1" in doc["detail"]
    assert [e["detail"].split(":")[0] for e in doc["errors"]] == other[:20]
    assert doc["errors"][0]["detail"] == f"{other[0]}: y is {(truth[other[0]] + 1) % 3}, and the dataset says {truth[other[0]]}"
    strange = [{**r, "id": "z" + r["id"]} if i < 25 else r for i, r in enumerate(rows)]
    doc = problem(push(client, "d/joined", strange), 422, "samples-unknown")
    assert "25 of 40 ids are not in d/joined@v1" in doc["detail"] and len(doc["errors"]) == 20
    problem(push(client, "d/nobody", rows), 404, "not-found")
    problem(push(client, "d/joined@v2", rows), 404, "revision-not-found")

    names = make(client, "d/names", lines([{"id": "1", "label": "cat"}, {"id": "2", "label": "ant"}, {"id": "3"}]))
    rows = [{"id": "1", "y": 0, "p": 0}, {"id": "2", "y": 1, "p": 0}, {"id": "3", "y": 1, "p": 0}]
    assert push(client, "d/names", rows, labels=["cat", "ant"]).status_code == 201
    assert "y is ant, and the dataset says cat" in problem(push(client, "d/names", rows, labels=["ant", "cat"]), 409, "dataset-mismatch")["errors"][0]["detail"]
    assert push(client, {"external": "d/names"}, rows).status_code == 201

    listed = lambda q: [s["dataset"]["number"] for s in client.all("/v1/predictions?dataset=" + q)]
    assert listed("d/joined") == listed("d/joined@v1") == [1, 1, 1] and listed("d/names") == [None, 1]
    problem(client.get("/v1/predictions?dataset=d/joined@v9"), 404, "revision-not-found")
    at = names["links"]["self"]
    refused = problem(client.request("DELETE", at, headers={"If-Match": f'"{names["sha256"]}"'}), 409, "conflict")
    assert "1 prediction sets are about" in refused["detail"]


def test_two_versions_are_compared_on_a_dataset(client, roots):
    for i in (1, 2):
        client.register(ref.write(roots / f"cmp{i}", {"w": ref.tensor("F32", np.arange(4) * i)}), "d/net")
    truth = {f"s{i:03d}": i % 2 for i in range(60)}
    make(client, "d/compared", lines([{"id": k, "label": v} for k, v in truth.items()]))
    body = {"type": "evaluate", "method": "compare", "inputs": {"old": "d/net@v1", "new": "d/net@v2", "data": "d/compared"}}
    doc = problem(client.post("/v1/jobs", body), 409, "predictions-missing")
    assert '"dataset": "d/compared"' in doc["errors"][0]["detail"]
    for i, wrong in ((1, 6), (2, 3)):
        rows = [{"id": k, "y": v, "p": v ^ (k < f"s{wrong:03d}" if i == 1 else k >= f"s{60 - wrong:03d}")} for k, v in truth.items()]
        assert push(client, "d/compared", rows, version=f"d/net@v{i}").status_code == 201
    job = client.wait(client.submit(body))
    report = client.ok("/v1/reports/" + job["result"]["reports"][0])
    assert report["dataset"] == "d/compared@v1" and (report["cells"]["b"], report["cells"]["c"], report["n"]) == (3, 6, 60)
    make(client, "d/compared", lines([{"id": "other"}]))
    problem(client.post("/v1/jobs", body), 409, "predictions-missing")  # nobody spoke about the newest version yet


# ---- life ----


def test_changing_and_deleting(launch):
    d = launch("--store.gc_grace=0")
    c = d.client
    made = c.post("/v1/datasets", {"id": "d/life", "description": "x", "labels": {"team": "a"}})
    assert made.status_code == 201 and made.headers["Location"] == "/v1/datasets/d/life"
    problem(c.post("/v1/datasets", {"id": "d/life"}), 409, "conflict")
    problem(c.post("/v1/datasets", {"id": "D/Life"}), 409, "name-taken")
    problem(c.post("/v1/datasets", {"id": "d"}), 400, "invalid-request")
    etag = c.get("/v1/datasets/d/life").headers["ETag"]
    problem(c.request("PATCH", "/v1/datasets/d/life", json={"description": "y"}), 428, "precondition-required")
    changed = c.request("PATCH", "/v1/datasets/d/life", json={"description": "y", "labels": {"team": None, "k": "v"}}, headers={"If-Match": etag})
    assert (changed.json()["description"], changed.json()["labels"]) == ("y", {"k": "v"})
    problem(c.request("PATCH", "/v1/datasets/d/life", json={"description": "z"}, headers={"If-Match": etag}), 412, "precondition-failed")
    assert [x["id"] for x in c.all("/v1/datasets?search=LIF&label.k=v&namespace=d")] == ["d/life"] and c.all("/v1/datasets?label.k=w") == []

    rows = [{"id": str(i), "label": i % 2} for i in range(9)]
    first, second = make(c, "d/life", lines(rows)), make(c, "d/life", lines(rows[:5]))
    about = push(c, "d/life@v1", [{"id": r["id"], "y": r["label"], "p": 1} for r in rows]).json()
    gone = c.request("DELETE", second["links"]["self"], headers={"If-Match": f'"{second["sha256"]}"'})
    assert gone.status_code == 200 and gone.json() == second
    assert make(c, "d/life", lines(rows[:6]))["number"] == 3, "a number is never given twice"
    problem(c.request("DELETE", "/v1/datasets/d/life", headers={"If-Match": c.get("/v1/datasets/d/life").headers["ETag"]}), 409, "conflict")
    for kind in ("gc", "verify"):
        task = c.wait(c.post("/v1/admin/tasks", {"kind": kind}).json()["id"])
        assert task["status"] == "succeeded" and not task["result"].get("damaged_total"), task
    assert second["sha256"] not in d.blobs() and first["sha256"] in d.blobs()
    c.request("DELETE", "/v1/predictions/" + about["id"], headers={"If-Match": f'"{about["id"]}"'})
    d.kill()
    c = d.start().client
    assert c.get(first["links"]["content"]).content == lines(rows), "the ids that the set shared with the dataset are there"
    assert c.post(first["links"]["self"] + "/resolve", {}).json()["ids_sha256"] == digest(str(i) for i in range(9))
    deleted = c.request("DELETE", "/v1/datasets/d/life", headers={"If-Match": c.get("/v1/datasets/d/life").headers["ETag"]})
    assert deleted.status_code == 200 and deleted.json()["versions"] == 2
    assert c.wait(c.post("/v1/admin/tasks", {"kind": "gc"}).json()["id"])["status"] == "succeeded" and d.blobs() == []
    c.post("/v1/datasets", {"id": "d/life", "description": "another one of that name"})
    assert c.request("GET", "/v1/datasets/d/life", headers={"If-None-Match": etag}).status_code == 200
    problem(c.request("DELETE", "/v1/datasets/d/life", headers={"If-Match": etag}), 412, "precondition-failed")
    types = [e["type"] for e in c.all("/v1/events?topic=datasets")]
    assert types[:4] == ["dataset.created", "dataset.changed", "dataset.version_created", "dataset.version_created"]
    assert types[-3:] == ["prediction.deleted", "dataset.deleted", "dataset.created"] and "dataset.version_deleted" in types


@pytest.mark.slow
def test_a_task_that_was_taken_is_done_after_a_crash(launch):
    d = launch()
    d.client.post("/v1/datasets", {"id": "d/crash"})
    body = lines([{"id": str(i), "x": i} for i in range(4000)])
    answer = upload(d.client, "d/crash", gzip.compress(body), zipped=True, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    d.kill()
    d.start()
    task = d.client.wait(answer.json()["id"])
    assert task["status"] == "succeeded" and task["result"]["rows"] == 4000, task
    assert d.client.get("/v1/datasets/d/crash/versions/v1/content").content == body


@pytest.mark.slow
def test_a_million_rows(launch):
    """Memory of daemon and worker, in no order of ids."""
    d = launch()
    n, order = 1_000_000, list(range(1_000_000))
    random.Random(1).shuffle(order)
    body = "".join('{"id":"s%07d","label":%d,"src":"v%d"}\n' % (i, i % 10, i % 7) for i in order).encode()
    d.client.post("/v1/datasets", {"id": "d/many"})
    answer = upload(d.client, "d/many", body)
    task = d.client.wait(answer.json()["job"] if answer.status_code == 201 else answer.json()["id"], timeout=120)
    assert task["status"] == "succeeded", task
    at = "/v1/datasets/d/many/versions/v1/resolve"
    began = time.monotonic()
    got = d.client.post(at, {"classes": [3], "where": {"src": ["v1", "v4"]}, "except": {"rows": [[0, 1000]]}}).json()
    seconds = time.monotonic() - began
    want = sorted("s%07d" % i for k, i in enumerate(order) if i % 10 == 3 and i % 7 in (1, 4) and k >= 1000)
    assert (got["count"], got["ids_sha256"]) == (len(want), digest(want))
    print("resolve", seconds, "peak", task["result"]["measured"], "daemon", d.status("VmHWM"))
    assert seconds < 2 and d.status("VmHWM") < 64 << 10 and task["result"]["measured"]["peak_memory_bytes"] < 300 << 20
