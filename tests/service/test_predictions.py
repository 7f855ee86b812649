"""Prediction sets: upload, checks, packing, reading, deleting. The packed files are read here by the safetensors library
and NumPy straight from the store, and the expected columns are made from the rows in Python."""

import concurrent.futures
import gzip
import hashlib
import json
import random
import socket

import numpy as np
import pytest
import safetensors.numpy

import reference as ref
from harness import SANITIZED, amend, problem, until

LINES = {"Content-Type": "application/x-ndjson"}


def header(n, task="classification", **more):
    return {
        "schema": "amend.preds/1",
        "version": {"external": "elsewhere"},
        "dataset": {"external": "holdout-5", "sha256": "ab" * 32},
        "task": task,
        "n": n,
        **more,
    }


def text(head, rows):
    return "".join(json.dumps(r) + "\n" for r in [head, *rows]).encode()


def push(client, body, zipped=False, **headers):
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return client.request("POST", "/v1/predictions", data=body, headers={**LINES, "Prefer": "wait=60", **headers})


def pushed(client, head, rows, zipped=False):
    body = text(head, rows)
    answer = push(client, gzip.compress(body) if zipped else body, zipped)
    assert answer.status_code == 201, answer.text[:2000]
    assert answer.headers["Location"] == "/v1/predictions/" + answer.json()["id"]
    return answer.json()


def blob(daemon, sha256):
    data = (daemon.data / "blobs" / sha256[:2] / sha256).read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256
    return data


def unpack(daemon, answer):
    """(columns, metadata, ids) of a set, read by the reference library."""
    data = blob(daemon, answer["packed"]["sha256"])
    meta = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["amend"])
    names = safetensors.numpy.load(blob(daemon, answer["dictionary"]["sha256"]))
    raw, at = names["bytes"].tobytes(), names["offsets"]
    ids = [raw[a:b].decode() for a, b in zip(at[:-1], at[1:])]
    assert meta["ids_sha256"] == answer["dictionary"]["sha256"] and meta["ids"] == len(ids) == answer["ids"]
    return safetensors.numpy.load(data), meta, ids


def bits(words, n):
    got = np.unpackbits(words.view(np.uint8), bitorder="little")
    assert not got[n:].any(), "dirty bits beyond the rows"
    return got[:n]


def make_rows(seed, n):
    """Rows with everything optional in some of them; expected columns come from make_columns()."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        row = {"id": rng.choice(["", "ü", "sample-"]) + str(i), "y": rng.randrange(10), "p": rng.randrange(-1, 10)}
        if rng.random() < 0.5:
            row["lp"] = -rng.random()
        if rng.random() < 0.5:
            row["w"] = rng.choice([0.5, 2, 3.25])
        if rng.random() < 0.7:
            row["c"] = f"user{rng.randrange(7)}"
        if rng.random() < 0.8:
            row["g"] = {"source": rng.choice("abc"), **({"lang": "de"} if rng.random() < 0.3 else {})}
        if rng.random() < 0.3:
            row["top"] = [[k, round(rng.random(), 3)] for k in rng.sample(range(10), rng.randrange(1, 5))]
        rows.append(row)
    return rows


def make_columns(rows):
    rows = sorted(rows, key=lambda r: (r["id"].encode(), r.get("k", 0)))
    f32 = lambda values: np.array(values, np.float64).astype(np.float32)
    clusters = sorted({r["c"] for r in rows if "c" in r}, key=str.encode)
    want = {
        "y": np.array([r["y"] for r in rows], np.int32),
        "p": np.array([r["p"] for r in rows], np.int32),
        "lp": f32([r.get("lp", np.nan) for r in rows]),
        "w": f32([r.get("w", 1) for r in rows]),
        "cluster": np.array([clusters.index(r["c"]) if "c" in r else -1 for r in rows], np.int32),
        "top_class": np.array([([k for k, _ in r.get("top", [])] + [-1] * 16)[:16] for r in rows], np.int32),
        "top_logit": f32([([v for _, v in r.get("top", [])] + [0] * 16)[:16] for r in rows]),
    }
    slices = {}
    for key in sorted({k for r in rows for k in r.get("g", {})}, key=str.encode):
        values = sorted({r["g"][key] for r in rows if key in r.get("g", {})}, key=str.encode)
        slices[key] = (values, np.array([values.index(r["g"][key]) if key in r.get("g", {}) else -1 for r in rows], np.int32))
    return rows, want, slices


def test_columns_are_what_the_rows_say(daemon, client, seed):
    rows = make_rows(seed, 333)
    answer = pushed(client, header(len(rows), labels=[str(i) for i in range(10)], split="test", seed=7), rows)
    got, meta, ids = unpack(daemon, answer)
    rows, want, slices = make_columns(rows)
    assert ids == [r["id"] for r in rows]
    assert np.array_equal(got["row"], np.arange(len(rows), dtype=np.int64))
    for name, column in want.items():
        assert got[name].dtype == column.dtype and np.array_equal(got[name], column, equal_nan=column.dtype == np.float32), name
    correct = np.array([r["y"] == r["p"] for r in rows])
    assert np.array_equal(bits(got["correct"], len(rows)), correct)
    assert answer["correct"] == correct.sum() and answer["accuracy"] == pytest.approx(correct.mean(), abs=1e-15)
    assert {k: v["values"] for k, v in meta["slices"].items()} == {k: v[0] for k, v in slices.items()}
    for key, (_, column) in slices.items():
        assert np.array_equal(got[meta["slices"][key]["tensor"]], column), key
    assert set(got) == {"row", "correct", *want, *(v["tensor"] for v in meta["slices"].values())}
    assert (answer["split"], answer["header"]["seed"], meta["labels"]) == ("test", 7, [str(i) for i in range(10)])


def test_order_of_lines_and_gzip_change_no_byte(client, seed):
    rows = make_rows(seed, 200)
    first = pushed(client, header(200), rows)
    random.Random(seed).shuffle(rows)
    for zipped in (False, True):
        other = pushed(client, header(200), rows, zipped)
        assert (other["packed"], other["dictionary"]) == (first["packed"], first["dictionary"])
    other = pushed(client, header(200), [{**r, "p": 0} for r in rows])
    assert other["packed"] != first["packed"] and other["dictionary"] == first["dictionary"]


def test_kinds_of_answers(daemon, client):
    """Sets of labels, digests, verdicts, scores, replicates."""
    sha = [hashlib.sha256(w.encode()).hexdigest() for w in ("yes", "no")]
    labels = [f"l{i}" for i in range(70)]
    many = [{"id": "b", "y": [0, 69], "p": [69, 0]}, {"id": "a", "y": [1], "p": []}, {"id": "c", "y": [], "p": []}]
    got, _, _ = unpack(daemon, pushed(client, header(3, "multilabel", labels=labels), many))
    assert bits(got["correct"], 3).tolist() == [0, 1, 1]
    assert got["y_bits"].tolist() == [[2, 0], [1, 1 << 5], [0, 0]] and got["p_bits"].tolist()[0] == [0, 0]

    words = [{"id": "1", "k": k, "y": sha[0], "p": sha[k]} for k in (1, 0)]
    answer = pushed(client, header(2, "generative", metric="em"), words)
    got, _, ids = unpack(daemon, answer)
    assert ids == ["1"] and got["row"].tolist() == [0, 0] and got["k"].tolist() == [0, 1]
    assert bits(got["correct"], 2).tolist() == [1, 0] and answer["rows"] == 2
    assert bytes(got["digest"][1]).hex() == sha[1] and bytes(got["y_digest"][0]).hex() == sha[0]

    scores = [{"id": "x", "s": 0.25}, {"id": "y", "s": 1}]
    answer = pushed(client, header(2, "generative", metric="rouge1"), scores)
    got, _, _ = unpack(daemon, answer)
    assert answer["correct"] is None and answer["accuracy"] is None and "correct" not in got
    assert got["s"].tolist() == [0.25, 1]

    verdicts = [{"id": "x", "y": 1, "ok": 1}, {"id": "y", "y": 1, "ok": 0}]
    answer = pushed(client, header(2, "multiple_choice"), verdicts)
    assert (answer["correct"], answer["accuracy"]) == (1, 0.5)


def test_lines_come_back(client):
    rows = [{"id": "é", "y": 1, "p": 0, "lp": -0.12345678901234567}, {"id": "2", "y": 1, "p": 1, "g": {"a": "b"}}]
    for zipped in (False, True):
        answer = pushed(client, header(2), rows, zipped)
        back = client.get(answer["links"]["content"])
        assert back.headers["Content-Type"] == "application/x-ndjson" and back.content == text(header(2), rows)
        assert client.get(answer["links"]["content"], headers={"If-None-Match": back.headers["ETag"]}).status_code == 304
    two = gzip.compress(text(header(2), rows[:1])) + gzip.compress(text(rows[1], []))  # members, as from `cat a.gz b.gz`
    answer = push(client, two, True)
    assert answer.status_code == 201 and client.get(answer.json()["links"]["content"]).content == text(header(2), rows)


def test_list_filters_pages_and_deleting(daemon, client, roots):
    client.register(ref.write(roots / "preds", {"w": ref.tensor("F32", np.arange(4))}), "p/m")
    commit = client.version("p/m@v1")["commit"]
    rows = [{"id": "a", "y": 1, "p": 1}]
    sets = [pushed(client, header(1, version=v, dataset={"external": "mine"}), rows) for v in ("p/m@v1", "p/m", {"external": "x"})]
    assert [s["version"] for s in sets] == [f"p/m@{commit}", f"p/m@{commit}", None]
    assert sets[0]["submitted_as"] == "p/m@v1" and sets[2]["external"] == {"external": "x", "sha256": None}
    listed = lambda q: [s["id"] for s in client.all("/v1/predictions?" + q)]
    assert listed("dataset=mine&limit=1") == [s["id"] for s in sets[::-1]]
    assert listed(f"version=p/m@{commit}") == listed("version=p/m@main") == [sets[1]["id"], sets[0]["id"]]
    assert listed("version=external:x") == [sets[2]["id"]] and listed("dataset=none") == []
    problem(client.get("/v1/predictions?version=p/m@v9"), 404, "revision-not-found")
    problem(client.get("/v1/predictions?version=p/none"), 404, "not-found")
    at = "/v1/predictions/" + sets[2]["id"]
    etag = client.get(at).headers["ETag"]
    problem(client.request("DELETE", at), 428, "precondition-required")
    problem(client.request("DELETE", at, headers={"If-Match": '"other"'}), 412, "precondition-failed")
    assert client.request("DELETE", at, headers={"If-Match": etag}).json() == sets[2]
    problem(client.get(at), 404, "not-found")
    problem(client.get(at + "/content"), 404, "not-found")
    problem(client.request("DELETE", at, headers={"If-Match": etag}), 404, "not-found")
    events = [(e["type"], e["subject"], e["model"]) for e in client.all("/v1/events?topic=datasets")]
    assert ("prediction.created", sets[0]["id"], "p/m") in events
    assert events[-1] == ("prediction.deleted", sets[2]["id"], None)


def test_gc_keeps_what_a_set_names_and_only_that(launch):
    d = launch("--store.gc_grace=0")
    rows = make_rows(1, 20)
    kept = pushed(d.client, header(20), rows)
    gone = pushed(d.client, header(20), [{**r, "p": 1} for r in rows])
    names = lambda s: {s[k]["sha256"] for k in ("upload", "packed", "dictionary")}
    d.client.request("DELETE", "/v1/predictions/" + gone["id"], headers={"If-Match": f'"{gone["id"]}"'})
    for kind in ("gc", "verify"):
        task = d.client.wait(d.client.post("/v1/admin/tasks", {"kind": kind}).json()["id"])
        assert task["status"] == "succeeded" and not task["result"].get("damaged_total"), task
    assert set(d.blobs()) == names(kept)
    d.kill()
    d.start()
    assert d.client.get(kept["links"]["content"]).content == text(header(20), rows)


GOOD = {"id": "a", "y": 1, "p": 1}
BAD_LINES = [
    (b'{"id":"a","y":1,"p":1e999}', "overflow"),
    (b'{"id":"a","y":1,"p":1,"lp":1e300}', "lp"),
    (b'{"id":"a","id":"b","y":1,"p":1}', "duplicate"),
    (b'{"id":"a","y":1,"p":1,"w":-1}', "w must be above 0"),
    (b'{"id":"a","y":1,"p":1,"w":1e-60}', "w must be above 0"),
    (b'{"id":"a\\u0000b","y":1,"p":1}', "not JSON"),
    (b'{"id":"a\x00b","y":1,"p":1}', "not JSON"),
    (b'{"id":"\xff","y":1,"p":1}', "not JSON"),
    (b'{"id":"' + b"x" * (1 << 20) + b'","y":1,"p":1}', "longer than 65536"),
    (b'{"id":"' + b"x" * 129 + b'","y":1,"p":1}', "1 to 128 bytes"),
    (b'{"id":"a","y":3,"p":1}', "y must be a class from 0 to 2"),
    (b'{"id":"a","y":1,"p":-2}', "p must be a class from -1 to 2"),
    (b'{"id":"a","y":1,"p":true}', "p must be"),
    (b'{"id":"a","y":1,"p":1,"k":-1}', "k must be"),
    (b'{"id":"a","y":1,"p":1,"ok":2}', "ok must be"),
    (b'{"id":"a","y":1,"p":1,"s":2}', "generative"),
    (b'{"id":"a","y":1,"p":1,"q":2}', "unknown member q"),
    (b'{"id":"a","y":1,"p":1,"top":[[1,0],[1,0]]}', "twice"),
    (b'{"id":"a","y":1,"p":1,"g":{"s":4}}', "g must be"),
    (b'{"id":"a","y":1}', "p is missing"),
    (b'{"id":"a","p":1}', "y is missing"),
    (b"[" * 60000, "not JSON"),
    (b"", "empty"),
    (b'["a"]', "object"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory, roots):
    """A daemon whose store stays empty: what is refused leaves nothing."""
    from harness import Daemon

    d = Daemon(tmp_path_factory.mktemp("preds") / "data", [roots], args=["--limits.upload_bytes=8MiB"]).start()
    yield d
    d.stop()


def test_every_bad_line_is_told_with_its_number(own):
    """All of them in one upload; the rest of it is good."""
    lines = [json.dumps(header(2, labels=["x", "y", "z"])).encode()]
    for i, (line, _) in enumerate(BAD_LINES):
        lines += [line, b'{"id":"good%d","y":0,"p":0}' % i]
    errors = problem(push(own.client, b"\n".join(lines)), 422, "malformed-predictions")["errors"]
    for i, (line, words) in enumerate(BAD_LINES):
        at = f"#/{2 * i + 2}"
        told = [e["detail"] for e in errors if e["pointer"] == at or e["pointer"].startswith(at + "/")]
        assert told and told[0].startswith(f"line {2 * i + 2}: ") and any(words in d for d in told), (line[:60], told)
    assert len({e["pointer"].split("/")[1] for e in errors} - {"1"}) == len(BAD_LINES), "a good line is told of"
    own.left_nothing("/v1/predictions")


def test_a_line_of_a_megabyte_and_a_nul_alone(own):
    for line, words in (BAD_LINES[6], BAD_LINES[8]):
        doc = problem(push(own.client, text(header(1), []) + line), 422, "malformed-predictions")
        assert doc["errors"][0]["pointer"] == "#/2" and words in doc["detail"], doc["detail"][:200]
    own.left_nothing("/v1/predictions")


BAD_HEADERS = [  # changes of a good one, and what is said of each
    (
        {"schema": "x", "task": "chess", "n": 0, "labels": ["a", "a"], "metrik": 1, "version": "nobody", "dataset": "holdout@v5"},
        [("schema", "amend.preds/1"), ("task", "chess"), ("n", "n must be"), ("labels", "twice"), ("", "did you mean metric?")]
        + [("version", "namespace/name"), ("dataset", "namespace/name")],
    ),
    ({"task": "generative", "version": {"external": "a", "sha": "b"}}, [("metric", "metric"), ("version", "unknown member sha")]),
    ({"task": "multilabel", "seed": -1, "decode": 4}, [("labels", "labels"), ("seed", "seed"), ("decode", "decode")]),
    ({"n": 2}, [("n", "n says 2, and 1 lines follow")]),
]


def test_bad_headers(own):
    for change, want in BAD_HEADERS:
        doc = problem(push(own.client, text({**header(1), **change}, [GOOD])), 422, "malformed-predictions")
        for member, words in want:
            at = "#/1/" + member if member else "#/1"
            assert any(e["pointer"] == at and words in e["detail"] for e in doc["errors"]), (member, doc["errors"])
        assert len(doc["errors"]) == len(want), doc["errors"]
    own.left_nothing("/v1/predictions")


def test_all_faults_at_once_and_a_hundred_listed(own):
    rows = [{"id": str(i), "y": 0, "p": 0, "w": -1} for i in range(130)] + [GOOD, GOOD]
    doc = problem(push(own.client, text(header(5), rows)), 422, "malformed-predictions")
    assert len(doc["errors"]) == 100 and "and 131 more" in doc["detail"]
    few = problem(push(own.client, text(header(3), [GOOD, {"id": "b", "y": 0, "p": 0.5}, GOOD])), 422, "malformed-predictions")
    assert [e["pointer"] for e in few["errors"]] == ["#/3/p", "#/4/id"] and "line 2 already" in few["errors"][1]["detail"]
    mixed = problem(push(own.client, text(header(2), [GOOD, {"id": "b", "y": 0, "ok": 1}])), 422, "malformed-predictions")
    assert mixed["errors"][0]["pointer"] == "#/3/p"
    own.left_nothing("/v1/predictions")


def test_broken_uploads(own):
    zipped = gzip.compress(text(header(300), make_rows(3, 300)))
    for body in (zipped[:-20], zipped[: len(zipped) // 2], b"\x1f\x8b" + b"no gzip", zipped + b"tail", b""):
        doc = problem(push(own.client, body, True), 422, "malformed-predictions")
        assert "line " in doc["detail"]
    problem(push(own.client, b"\n"), 422, "malformed-predictions")
    problem(push(own.client, text(header(1, version="no/body@v1"), [GOOD])), 404, "not-found")
    problem(push(own.client, b"{}", **{"Content-Type": "application/json"}), 415, "unsupported-media-type")
    problem(push(own.client, b"{}", **{"Content-Encoding": "br"}), 415, "unsupported-media-type")
    problem(push(own.client, b" " * (8 << 20) + b"x"), 413, "payload-too-large")
    chunks = (b"x" * 65536 for _ in range(160))  # nobody says how long it is
    problem(push(own.client, chunks), 413, "payload-too-large")
    own.left_nothing("/v1/predictions")


def test_a_small_body_that_grows_takes_no_memory(own):
    bomb = gzip.compress(json.dumps(header(1)).encode() + b"\n" + b"x" * (16 << 20), 6)
    doc = problem(push(own.client, bomb, True), 422, "malformed-predictions")
    assert "line 2: longer than" in doc["detail"]
    assert SANITIZED or own.status("VmHWM") < 64 << 10
    own.left_nothing("/v1/predictions")


def test_the_same_key_is_one_set(client):
    body = text(header(2, split="key"), [GOOD, {"id": "b", "y": 0, "p": 1}])
    first, again = (push(client, body, **{"Idempotency-Key": "k-1"}) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    problem(push(client, body + b"\n", **{"Idempotency-Key": "k-1"}), 422, "idempotency-key-reused")


def test_uploads_at_once(client):
    rows = [make_rows(100 + i, 150) for i in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: pushed(client, header(150, split=f"at-once-{i}"), rows[i % 4], i % 2 == 0), range(8)))
    for i in range(4):
        assert answers[i]["packed"] == answers[i + 4]["packed"] and answers[i]["id"] != answers[i + 4]["id"]
    assert len({a["packed"]["sha256"] for a in answers}) == 4


def half_an_upload(d):
    """A connection that has sent a part of a body; the part is in staging when this returns."""
    host, port = d.url.removeprefix("http://").split(":")
    s = socket.create_connection((host, int(port)))
    s.sendall(
        b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n"
        + b"x" * 100000
    )
    until(lambda: sum(f.stat().st_size for f in (d.data / "staging").rglob("*") if f.is_file()) >= 100000, 5)
    return s


def test_a_crash_in_an_upload_leaves_nothing(launch):
    d = launch()
    cut = half_an_upload(d)  # held: a socket that nobody holds is closed, and the daemon would clean up
    d.kill()
    assert list((d.data / "staging").iterdir()), "what is to be removed is there"
    d.start()
    d.left_nothing("/v1/predictions")
    half_an_upload(d).close()  # a client that goes away
    d.left_nothing("/v1/predictions")
    held = half_an_upload(d)
    task = d.client.wait(d.client.post("/v1/admin/tasks", {"kind": "gc"}).json()["id"])
    assert task["result"]["staging"] == 0, "a gc takes no upload that is under way"
    cut.close()
    held.close()
    d.stop()  # checks that staging is empty


def test_a_task_that_was_taken_is_done_after_a_crash(launch):
    d = launch()
    rows = make_rows(5, 4000)
    answer = push(d.client, text(header(4000), rows), **{"Prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    d.kill()
    d.start()
    task = d.client.wait(answer.json()["id"])
    assert task["status"] == "succeeded", task
    found = d.client.ok("/v1/predictions")["data"]
    assert [s["id"] for s in found] == [task["result"]["prediction_set"]] and found[0]["rows"] == 4000


def test_client(client, tmp_path, roots):
    rows = make_rows(9, 30)
    plain = tmp_path / "p.ndjson"
    plain.write_bytes(text(header(30, split="cli"), rows))
    first = client.ok("/v1/predictions/" + amend(client, "predictions", "push", plain, "-o", "name").strip())
    assert first["rows"] == 30
    packed = tmp_path / "p.ndjson.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    out = amend(client, "predictions", "push", packed)
    second = client.ok("/v1/predictions/" + out.split()[0])
    assert second["packed"] == first["packed"] and f"{first['correct']} correct: external:elsewhere on holdout-5" in out
    piped = amend(client, "predictions", "push", "-", "--version", "external:other", "--dataset", "d2", "-o", "json", stdin=plain.read_text())
    assert json.loads(piped)["external"]["external"] == "other" and json.loads(piped)["packed"] == first["packed"]
    table = tmp_path / "t.csv"
    table.write_text('index,label,"the, model"\r\n0,1,1\r\n1,2,0\r\n"2",0,0\r\n')
    words = ("--id", "index", "--pred", "the, model", "--version", "external:m", "--dataset", "csv")
    doc = json.loads(amend(client, "predictions", "push", table, *words, "-o", "json"))
    assert (doc["rows"], doc["correct"]) == (3, 2)
    back = amend(client, "predictions", "show", doc["id"], "--lines").splitlines()
    assert [json.loads(line) for line in back[1:]] == [{"id": str(i), "y": y, "p": p} for i, (y, p) in enumerate([(1, 1), (2, 0), (0, 0)])]
    table.write_text("id,label,pred\na,cat,dog\n")
    refused = amend(client, "predictions", "push", table, *words[4:], expect=None)
    assert refused.returncode == 1 and "--labels" in refused.stderr
    doc = json.loads(amend(client, "predictions", "push", table, *words[4:], "--labels", "dog,cat", "-o", "json"))
    assert doc["header"]["labels"] == ["dog", "cat"] and doc["correct"] == 0
    assert doc["id"] in amend(client, "predictions", "list", "--dataset", "csv", "--version", "external:m")
    assert "0.6667" in amend(client, "predictions", "list", "--dataset", "csv")
    assert doc["packed"]["sha256"] in amend(client, "predictions", "show", doc["id"])
    amend(client, "predictions", "rm", doc["id"], "--yes")
    amend(client, "predictions", "show", doc["id"], expect=5)
    plain.write_bytes(text(header(1), [{**GOOD, "w": 0}]))
    refused = amend(client, "predictions", "push", plain, expect=None)
    assert refused.returncode == 1 and "line 2: w must be above 0" in refused.stderr


@pytest.mark.slow
def test_a_million_rows(launch):
    """Memory of daemon and worker, with lines in no order."""
    d = launch()
    rng, n = random.Random(1), 1_000_000
    order = list(range(n))
    rng.shuffle(order)
    lines = [json.dumps(header(n)) + "\n"]
    lines += ['{"id":"s%07d","y":%d,"p":%d,"lp":-0.5,"g":{"source":"v%d"}}\n' % (i, i % 10, i * 7 % 10, i % 5) for i in order]
    answer = push(d.client, "".join(lines).encode())
    assert answer.status_code in (201, 202)
    task = d.client.wait(answer.json()["job"] if answer.status_code == 201 else answer.json()["id"], timeout=120)
    made = d.client.ok("/v1/predictions/" + task["result"]["prediction_set"])
    got, _, ids = unpack(d, made)
    assert ids == ["s%07d" % i for i in range(n)] and np.array_equal(got["p"], np.arange(n) * 7 % 10)
    assert made["correct"] == sum(i % 10 == i * 7 % 10 for i in range(n))
    assert d.status("VmHWM") < 64 << 10 and task["result"]["measured"]["peak_memory_bytes"] < 200 << 20
