"""Versions assembled from spans: what they add to the store, and that nobody who reads them can tell.

The expected bytes are a plain writer's: the parent's file with the changed tensors put in their places by NumPy.
AMEND_SPANS_MB sets the size of the large model (1024 for the whole gigabyte; see test_two_of_sixty_tensors).
"""

import fnmatch
import glob
import hashlib
import json
import os
import re
import shutil
import time

import numpy as np
import pytest
import requests
import safetensors

import harness
import reference as ref
from harness import StartError, merge, negation, problem, seg, sparsify

MB = int(os.environ.get("AMEND_SPANS_MB", "192"))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def header_of(raw):
    """(8 + N, {name: (dtype, shape, begin, end)}) with places in the file."""
    start = 8 + int.from_bytes(raw[:8], "little")
    entries = json.loads(bytes(raw[8:start]))
    entries.pop("__metadata__", None)
    return start, {
        n: (e["dtype"], e["shape"], start + e["data_offsets"][0], start + e["data_offsets"][1])
        for n, e in entries.items()
    }


def sparsified(raw, sparsity, include):
    """The file with the smallest magnitudes of the tensors that match set to zero, in place."""
    out = bytearray(raw)
    for name, (dtype, shape, begin, end) in header_of(raw)[1].items():
        if not fnmatch.fnmatchcase(name, include) or end == begin:
            continue
        kind = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}[dtype]
        values = np.frombuffer(raw, dtype=kind, count=(end - begin) // np.dtype(kind).itemsize, offset=begin).copy()
        key = values & 0x7FFF if dtype == "BF16" else np.abs(values)
        values[np.argsort(key, kind="stable")[: ref.zeros_wanted(sparsity, values.size)]] = 0
        out[begin:end] = values.tobytes()
    return bytes(out)


def edit(model, into, include, sparsity=0.5, **options):
    return sparsify(model, into, {"sparsity": sparsity, "include": [include]}, **options)


def file_of(client, version, path="model.safetensors"):
    return client.ok(f"{client.at(version)}/files/{seg(path)}?layout=true")


def blobs_behind(entry):
    return {s["blob"] for s in entry["layout"]}


def check_layout(entry):
    at = 0
    for span in entry["layout"]:
        assert span["at"] == at and span["length"] > 0, entry
        at += span["length"]
    assert at == entry["bytes"] and entry["spans"] == len(entry["layout"])
    for a, b in zip(entry["layout"], entry["layout"][1:]):
        assert a["blob"] != b["blob"] or a["offset"] + a["length"] != b["offset"], "not coalesced"


def check_bytes(client, version, want, path="model.safetensors"):
    entry = file_of(client, version, path)
    check_layout(entry)
    digest = sha(want)
    assert entry["sha256"] == entry["etag"] == digest
    model, _, commit = version.partition("@")
    for url in (f"{client.at(version)}/files/{seg(path)}/content", f"/{model}/resolve/{commit}/{path}"):
        same_bytes(client, url, want, digest)
    return entry


def same_bytes(client, url, want, digest):
    """Piece by piece: a gigabyte need not be there twice."""
    at, view = 0, memoryview(want)
    with client.session.get(client.url + url, stream=True, timeout=60) as answer:
        assert answer.status_code == 200 and answer.headers["ETag"] == f'"{digest}"'
        for part in answer.iter_content(1 << 20):
            assert view[at : at + len(part)] == part, f"{url} differs after byte {at}"
            at += len(part)
    assert at == len(want)


def model_bytes(client, model):
    doc = client.ok(f"/v1/models/{model}")
    return doc["logical_bytes"], doc["physical_bytes"]


def check_statistics(client, daemon):
    """The store says what lies on the disk."""
    on_disk = sum(p.stat().st_size for p in (daemon.data / "blobs").rglob("*") if p.is_file())
    store = client.ok("/v1/queue")["store"]
    assert store["physical_bytes"] == on_disk
    models = client.all("/v1/models")
    assert store["logical_bytes"] == sum(m["logical_bytes"] for m in models)
    # the shares of all models add up to what is there, but for a rounded byte each
    assert abs(store["physical_bytes"] - sum(m["physical_bytes"] for m in models)) <= len(models)
    return on_disk


def random_bf16(rng, n):
    """Finite values of all magnitudes, some of them equal."""
    return (rng.integers(0, 1 << 16, n, dtype=np.uint16) & 0xBFFF).tobytes()


def ranges_to_try(rng, entry, count):
    """Ranges anywhere, and ranges that begin or end within a few bytes of a border."""
    size, borders = entry["bytes"], [s["at"] for s in entry["layout"]] + [entry["bytes"]]
    for i in range(count):
        near = int(rng.choice(borders)) + int(rng.integers(-20, 20))
        length = int(rng.choice([1, 7, 40, 5000, 70_000, 900_000]))
        first = near - int(rng.integers(0, length)) if i % 3 else int(rng.integers(0, size))
        first = min(max(first, 0), size - 1)
        yield first, min(first + length, size) - 1


def check_ranges(client, version, want, entry, rng, count):
    url = f"{client.at(version)}/files/{seg(entry['path'])}/content"
    crossed = 0
    for first, last in ranges_to_try(rng, entry, count):
        answer = client.get(url, headers={"Range": f"bytes={first}-{last}"})
        assert answer.status_code == 206, (first, last, answer.status_code)
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(want)}"
        assert answer.content == want[first : last + 1], (first, last)
        crossed += sum(first < s["at"] <= last for s in entry["layout"])
    assert client.get(url, headers={"Range": "bytes=-1"}).content == want[-1:]
    assert client.get(url, headers={"Range": "bytes=0-0"}).content == want[:1]
    problem(client.get(url, headers={"Range": f"bytes={len(want)}-"}), 416, "range-not-satisfiable")
    return crossed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_of_sixty_tensors(launch, roots, seed, tmp_path):
    """An edit of 2 of 60 tensors adds less than 5 % of the model, whose bytes are a plain writer's."""
    rng = np.random.default_rng(seed)
    n = MB * (1 << 20) // 60 // 2 // 4096 * 4096
    tensors = {
        f"layers.{i:02d}.weight": ref.Tensor("BF16", (n // 4096, 4096), random_bf16(rng, n)) for i in range(60)
    }
    ref.write(roots / "sixty", tensors)
    del tensors
    raw = (roots / "sixty" / "model.safetensors").read_bytes()
    d = launch()
    c = d.client
    began = time.monotonic()
    c.register(roots / "sixty", "s/sixty")
    before, (logical, physical) = check_statistics(c, d), model_bytes(c, "s/sixty")
    version = c.run(edit("s/sixty", "s/sixty", "layers.1[37].weight"))
    took = time.monotonic() - began
    added = check_statistics(c, d) - before
    print(f"{MB} MB: {added} bytes added, {100 * added / len(raw):.2f} %; register and edit took {took:.1f} s")
    assert 0 < added < 0.05 * len(raw)
    assert c.version(version)["new_bytes"] == added
    logical_now, physical_now = model_bytes(c, "s/sixty")
    assert physical_now - physical == added and logical_now - logical == c.version(version)["bytes"] >= len(raw)
    want = sparsified(raw, 0.5, "layers.1[37].weight")
    began = time.monotonic()
    entry = check_bytes(c, version, want)
    print(f"two downloads took {time.monotonic() - began:.1f} s")
    assert entry["storage"] == "assembled" and entry["spans"] == 6
    assert [s["from_version"].partition("@")[0] for s in entry["layout"]] == ["s/sixty"] * 6
    assert {s["from_version"].partition("@")[2] for s in entry["layout"]} == {
        c.version("s/sixty@v1")["commit"],
        version.partition("@")[2],
    }
    began = time.monotonic()
    assert check_ranges(c, version, want, entry, rng, 1000) > 300
    print(f"1,000 ranges took {time.monotonic() - began:.1f} s")
    assert harness.SANITIZED or d.status("VmHWM") < 65536
    with open(tmp_path / "copy.safetensors", "wb") as f:
        f.write(want)  # the same bytes, as was seen
    with safetensors.safe_open(tmp_path / "copy.safetensors", framework="np") as f:
        assert len(f.keys()) == 60
    shutil.rmtree(roots / "sixty")


def test_every_tensor_alone(client, roots, seed):
    """Edits at the first, a middle and the last tensor, with empty and 0-d ones between; every tensor fetched alone by
    its data_offsets; a change blob is a safetensors file."""
    rng = np.random.default_rng(seed)
    shapes = ref.layout(rng, ["F32", "F16", "BF16"], count=12)
    tensors = ref.fill(rng, shapes)
    order = list(tensors)
    rng.shuffle(order)
    tensors = {n: tensors[n] for n in order}
    raw = ref.write(roots / "alone", tensors) / "model.safetensors"
    raw = raw.read_bytes()
    client.register(roots / "alone", "s/alone")
    computed = [n for n in order if tensors[n].dtype in ref.COMPUTED and 0 < len(tensors[n].data)]
    total = sum(len(t.data) for t in tensors.values())
    for name in (computed[0], computed[len(computed) // 2], computed[-1]):
        version = client.run(edit("s/alone@v1", "s/alone-out", re.sub(r"([\\*?[])", r"\\\1", name)))
        want = sparsified(raw, 0.5, glob.escape(name))
        if 2 * len(tensors[name].data) > total:
            assert file_of(client, version)["storage"] == "whole"
            continue
        if want == raw:
            assert client.version(version)["new_bytes"] < 2000
            continue
        entry = check_bytes(client, version, want)
        assert entry["storage"] == "assembled"
        url = f"{client.at(version)}/files/model.safetensors/content"
        for dtype, shape, begin, end in header_of(want)[1].values():
            if end > begin:
                got = client.get(url, headers={"Range": f"bytes={begin}-{end - 1}"}).content
                assert got == want[begin:end]
        listed = {t["name"]: t for t in client.all(f"{client.at(version)}/tensors")}
        assert {n: (t["dtype"], t["shape"], t["begin"], t["begin"] + t["bytes"]) for n, t in listed.items()} == header_of(
            want
        )[1]


def test_change_blob_is_a_file_of_its_own(launch, roots, seed):
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.tensor("F32", rng.standard_normal(1000)) for i in range(8)}
    raw = (ref.write(roots / "own", tensors) / "model.safetensors").read_bytes()
    d = launch()
    d.client.register(roots / "own", "s/own")
    known = set(d.blobs())
    version = d.client.run(edit("s/own", "s/own", "w[62]"))
    want = sparsified(raw, 0.5, "w[62]")
    entry = check_bytes(d.client, version, want)
    start = header_of(raw)[0]
    header, change = entry["layout"][0]["blob"], (blobs_behind(entry) - known - {entry["layout"][0]["blob"]}).pop()
    read = lambda name: (d.data / "blobs" / name[:2] / name).read_bytes()
    assert read(header) == raw[:start], "the header is the parent's, verbatim"
    assert entry["layout"][0] == {**entry["layout"][0], "at": 0, "offset": 0, "length": start}
    found = {n: bytes(t["data"]) for n, t in safetensors.deserialize(read(change))}
    places = header_of(want)[1]
    assert found == {n: want[places[n][2] : places[n][3]] for n in ("w2", "w6")}
    assert b"__metadata__" not in read(change)
    assert list(header_of(read(change))[1]) == ["w2", "w6"]


def test_shards_keep_their_files(client, roots, seed):
    """One tensor of one of three shards: two shards stay, one is assembled, the index maps as before."""
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.tensor("F16", rng.standard_normal(500)) for i in range(9)}
    ref.write(roots / "three", tensors, shards=3)
    client.register(roots / "three", "s/three")
    version = client.run(edit("s/three", "s/three", "w4"))  # in the second shard
    old, new = client.files("s/three@v1"), client.files(version)
    paths = [f"model-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    assert [p for p in new if p.endswith(".safetensors")] == paths
    for path in (paths[0], paths[2]):
        assert new[path]["etag"] == old[path]["etag"]
        assert file_of(client, version, path)["layout"] == file_of(client, "s/three@v1", path)["layout"]
    want = sparsified((roots / "three" / paths[1]).read_bytes(), 0.5, "w4")
    assert check_bytes(client, version, want, paths[1])["storage"] == "assembled"
    maps = [json.loads(client.download(v, "model.safetensors.index.json")) for v in ("s/three@v1", version)]
    assert maps[0] == maps[1]
    # more than half of one shard, less than half of another
    version = client.run(edit("s/three@v1", "s/three-more", "w[014]"))  # w0, w3, w6 | w1, w4, w7 | w2, w5, w8
    new = client.files(version)
    assert [new[p]["storage"] for p in paths] == ["assembled", "whole", "whole"]
    assert new[paths[2]]["etag"] == old[paths[2]]["etag"] and new[paths[1]]["etag"] != old[paths[1]]["etag"]
    want = ref.sparsify({n: ref.load(t) for n, t in tensors.items()}, 0.5, include=["w[014]"])
    got = client.weights(version)
    for name, values in want.items():
        assert np.array_equal(ref.load(got[name]), values), name
    assert all(got[n] == tensors[n] for n in tensors if n not in want)
    # an output cut anew is written whole
    version = client.run(edit("s/three@v1", "s/three-anew", "w4", shard_bytes=0))
    assert client.files(version)["model.safetensors"]["storage"] == "whole"


def test_what_comes_out_equal_is_kept(client, daemon, roots, seed):
    """lambda 0, sparsity 0, and an edit that changes no byte: the donor's file, and nothing added but texts."""
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.tensor("F32", np.where(np.arange(4000) % 2, rng.standard_normal(4000), 0)) for i in range(4)}
    other = {n: ref.tensor("F32", rng.standard_normal(4000)) for n in tensors}
    client.register(ref.write(roots / "equal", tensors), "s/equal")
    client.register(ref.write(roots / "other", other), "s/other")
    etag = client.etags("s/equal")
    for body in (
        sparsify("s/equal", "s/equal-0", {"sparsity": 0}),
        edit("s/equal", "s/equal-1", "w1", 0.5),  # half of it is zero already
        merge("task_arithmetic", [("s/other", {"weight": 1})], "s/equal-2", base="s/equal", params={"lambda": 0}),
        merge("passthrough", [("s/equal", None)], "s/equal-5"),
        negation("s/equal", "s/other", "s/equal", 0, "s/equal-3"),
    ):
        before = check_statistics(client, daemon)
        version = client.run(body)
        assert client.etags(version) == etag
        assert client.files(version)["model.safetensors"]["storage"] == "whole"
        assert check_statistics(client, daemon) - before == client.version(version)["new_bytes"] < 8000
    # all the same, another dtype is another file
    version = client.run(sparsify("s/equal", "s/equal-4", {"sparsity": 0}, out_dtype="BF16"))
    assert {t.dtype for t in client.weights(version).values()} == {"BF16"}


def test_integers_are_compared_though_not_written(client, roots, seed):
    rng = np.random.default_rng(seed)
    models = []
    for i in range(2):
        tensors = {
            "steps": ref.Tensor("I64", (), (i).to_bytes(8, "little")),
            "w": ref.tensor("F32", rng.standard_normal(10)),
            "ids": ref.Tensor("U8", (5000,), bytes(5000)),
        }
        client.register(ref.write(roots / f"ints-{i}", tensors), f"s/ints-{i}")
        models.append((f"s/ints-{i}", {"weight": 0.5}))
    job = client.wait(client.submit(merge("linear", models, "s/ints-out")))
    assert job["status"] == "succeeded", job
    assert [w["code"] for w in job["warnings"]] == ["integer-differs"] and "steps (I64)" in job["warnings"][0]["detail"]
    assert client.files("s/ints-out")["model.safetensors"]["storage"] == "assembled"


@pytest.mark.parametrize("most", [256, 6])
def test_chain(launch, roots, seed, most):
    """Twenty edits, each the input of the next: every version reads back as it was, over at most `most` blobs."""
    rng = np.random.default_rng(seed)
    tensors = {f"w{i:02d}": ref.tensor("F16", rng.standard_normal(1500)) for i in range(24)}
    raw = (ref.write(roots / f"chain-{most}", tensors) / "model.safetensors").read_bytes()
    d = launch(f"--store.max_blobs_per_file={most}")
    c = d.client
    c.register(roots / f"chain-{most}", "s/chain")
    wants, counts, headers = [raw], [], set()
    for i in range(20):
        name = f"w{int(rng.integers(24)):02d}"
        sparsity = 0.1 + 0.04 * i
        wants.append(sparsified(wants[-1], sparsity, name))
        c.run(edit("s/chain", "s/chain", name, sparsity))
        entry = file_of(c, "s/chain")
        check_layout(entry)
        counts.append(len(blobs_behind(entry)))
        if entry["storage"] == "assembled":
            headers.add(entry["layout"][0]["blob"])
    print(f"blobs behind each version: {counts}")
    assert max(counts) <= most and len(headers) == 1
    assert max(counts) > 10 if most == 256 else any(b < a for a, b in zip(counts, counts[1:])), counts
    for i, want in enumerate(wants):
        assert sha(c.download(f"s/chain@v{i + 1}", "model.safetensors")) == sha(want), f"v{i + 1}"
    entry = check_bytes(c, "s/chain@v21", wants[-1])
    check_ranges(c, "s/chain@v21", wants[-1], entry, rng, 200)
    check_statistics(c, d)
    # consolidating copies what is small
    grown = sum(c.version(f"s/chain@v{i}")["new_bytes"] for i in range(2, 22))
    texts = sum(f["bytes"] for i in range(2, 22) for p, f in c.files(f"s/chain@v{i}").items() if f["class"] == "regular")
    often = 2 if most == 256 else 3  # a tensor is copied once more when every third edit consolidates
    assert grown - texts <= often * 20 * 3000 + 20 * 1024 + 2048


def test_settings(launch, roots, seed):
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.tensor("F32", rng.standard_normal(1000)) for i in range(10)}
    ref.write(roots / "settings", tensors)
    for fraction, storage in (("0", "whole"), ("0.29", "whole"), ("0.3", "assembled"), ("1", "assembled")):
        d = launch(f"--store.assemble_fraction={fraction}", name=f"data-{fraction}")
        d.client.register(roots / "settings", "s/settings")
        version = d.client.run(edit("s/settings", "s/settings", "w[123]"))
        assert d.client.files(version)["model.safetensors"]["storage"] == storage, fraction
        d.stop()
    with pytest.raises(StartError, match="a number from 0 to 1"):
        launch("--store.assemble_fraction=1.5", name="bad")
    c = d.start().client
    problem(c.get(c.at("s/settings") + "/files?layout=yes"), 400, "invalid-request")
    assert all("layout" in f for f in c.ok(c.at("s/settings") + "/files?layout=true")["data"])
    assert not any("layout" in f for f in c.ok(c.at("s/settings") + "/files")["data"])


def test_damage_is_no_short_success(launch, roots, seed):
    """A blob that shrinks under a download cuts the connection; before one, it is a clear error."""
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.Tensor("BF16", (6 << 20,), random_bf16(rng, 6 << 20)) for i in range(4)}
    ref.write(roots / "damage", tensors)
    d = launch()
    c = d.client
    c.register(roots / "damage", "s/damage")
    version = c.run(edit("s/damage", "s/damage", "w1"))
    entry = file_of(c, version)
    url = f"{c.at(version)}/files/model.safetensors/content"
    big = max(entry["layout"], key=lambda s: s["length"])["blob"]
    path = d.data / "blobs" / big[:2] / big
    size = path.stat().st_size
    path.chmod(0o600)
    keep = path.read_bytes()
    with c.session.get(c.url + url, stream=True, timeout=30) as answer:
        assert answer.status_code == 200 and int(answer.headers["Content-Length"]) == entry["bytes"]
        got = len(answer.raw.read(1 << 20))
        os.truncate(path, size // 2)
        with pytest.raises((requests.exceptions.RequestException, Exception)) as caught:
            while True:
                part = answer.raw.read(1 << 20)
                got += len(part)
                if not part:
                    assert got < entry["bytes"], "the damaged file came whole"
                    raise EOFError
        assert got < entry["bytes"], caught
    doc = problem(c.get(url), 500, "store-damaged")
    assert big in doc["detail"]
    assert c.ok("/livez")["status"] == "ok"
    path.write_bytes(keep)
    assert sha(c.download(version, "model.safetensors")) == entry["sha256"]
    assert "cannot be read" in d.log()


@pytest.mark.traced
def test_one_span_goes_out_by_sendfile(launch, roots, seed, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not here")
    rng = np.random.default_rng(seed)
    tensors = {f"w{i}": ref.tensor("F32", rng.standard_normal(200_000)) for i in range(4)}
    ref.write(roots / "sendfile", tensors)
    d = launch()
    d.client.register(roots / "sendfile", "s/sendfile")
    version = d.client.run(edit("s/sendfile", "s/sendfile", "w2"))
    entry = file_of(d.client, version)
    want = d.client.download(version, "model.safetensors")
    d.stop()
    trace = tmp_path / "trace"
    d.prefix = ["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", "trace=sendfile", "-e", "signal=none"]
    d.start()
    url = f"{d.client.at(version)}/files/model.safetensors/content"
    span = max(entry["layout"], key=lambda s: s["length"])
    first, last = span["at"], span["at"] + span["length"] - 1
    got = d.client.get(url, headers={"Range": f"bytes={first}-{last}"}).content
    assert got == want[first : last + 1]
    time.sleep(0.2)  # strace writes on for a moment
    calls = trace.read_text().count("sendfile(")
    assert calls > 0
    first -= 1
    got = d.client.get(url, headers={"Range": f"bytes={first}-{last}"}).content
    assert got == want[first : last + 1]
    time.sleep(0.2)
    assert trace.read_text().count("sendfile(") == calls, "a range over two spans is read"
