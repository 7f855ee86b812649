"""Datasets by the client: real files and made ones, read back by independent readers. The routes are test_datasets.py."""

import gzip
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from harness import REPO, amend, problem
from test_datasets import digest, lines, make

DATA = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data"))


def idx(array, code=0x08):
    big = array.astype(array.dtype.newbyteorder(">"))
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + big.tobytes()


def read_idx(path):
    raw = gzip.decompress(path.read_bytes())
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4 : 4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def fetched(client, made):
    return safetensors.numpy.load(client.get(made["links"]["content"]).content)


def pushed(client, *words):
    return json.loads(amend(client, "dataset", "push", *words, "-o", "json"))


def equal(got, want):
    assert set(got) == set(want)
    for name, array in want.items():
        assert got[name].dtype == array.dtype and np.array_equal(got[name], array), name


def test_client_converts(client, tmp_path):
    rng = np.random.default_rng(5)
    images, labels = rng.integers(0, 256, (20, 4, 3)).astype(np.uint8), rng.integers(0, 10, 20).astype(np.uint8)
    (tmp_path / "i").write_bytes(idx(images))
    (tmp_path / "l.gz").write_bytes(gzip.compress(idx(labels)))
    made = pushed(client, "c/idx", tmp_path / "l.gz", tmp_path / "i", "--label", "raw", "--description", "numbers")
    equal(fetched(client, made), {"inputs": images, "labels": labels})
    assert (made["ids"], made["labels"], made["classes"]) == ("row", ["raw"], len(set(labels)))
    floats = rng.standard_normal((5, 2)).astype(np.float32)
    (tmp_path / "f").write_bytes(idx(floats, 0x0D))
    equal(fetched(client, pushed(client, "c/idx", tmp_path / "f")), {"inputs": floats})

    planes = rng.integers(0, 256, (6, 3, 32, 32)).astype(np.uint8)
    fine, coarse = np.arange(6, dtype=np.uint8) * 16, np.arange(6, dtype=np.uint8) % 3
    records = [bytes([f]) + p.tobytes() for f, p in zip(fine, planes)]
    (tmp_path / "b1.bin").write_bytes(b"".join(records[:4]))
    (tmp_path / "b2.bin").write_bytes(b"".join(records[4:]))
    made = pushed(client, "c/cifar", tmp_path / "b1.bin", tmp_path / "b2.bin", "--format", "cifar10")
    equal(fetched(client, made), {"inputs": planes, "labels": fine})
    (tmp_path / "h.bin").write_bytes(b"".join(bytes([c]) + r for c, r in zip(coarse, records)))
    made = pushed(client, "c/cifar", tmp_path / "h.bin", "--format", "cifar100")
    equal(fetched(client, made), {"inputs": planes, "labels": fine, "groups": coarse})
    assert client.post(made["links"]["self"] + "/resolve", {"where": {"groups": 2}}).json()["count"] == 2

    np.save(tmp_path / "x.npy", rng.standard_normal((7, 2, 2)))
    np.save(tmp_path / "y.npy", np.arange(7))
    made = pushed(client, "c/npy", tmp_path / "x.npy", "--labels", tmp_path / "y.npy")
    equal(fetched(client, made), {"inputs": np.load(tmp_path / "x.npy"), "labels": np.arange(7)})

    (tmp_path / "t.csv").write_text('key,text,kind\r\nb,"one, ""two""\nthree",1\r\na,é,0\r\n')
    made = pushed(client, "c/csv", tmp_path / "t.csv", "--ids", "key", "--class", "kind")
    rows = [{"id": "b", "text": 'one, "two"\nthree', "label": 1}, {"id": "a", "text": "é", "label": 0}]
    assert [json.loads(line) for line in client.get(made["links"]["content"]).text.splitlines()] == rows
    printed = amend(client, "dataset", "push", "c/csv", tmp_path / "t.csv", "--ids", "row", "--print")
    assert [json.loads(line) for line in printed.splitlines()] == [{"key": "b", "text": rows[0]["text"], "kind": "1"}, {"key": "a", "text": "é", "kind": "0"}]
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines(rows)))
    assert "2 rows" in amend(client, "dataset", "push", "c/lines", tmp_path / "t.jsonl.gz")


def test_client_reads(client, tmp_path):
    rows = [{"id": str(i), "label": i % 2} for i in range(30)]
    made = make(client, "c/read", lines(rows), query="?label=old")
    make(client, "c/read", lines(rows[:3]))
    assert "c/read" in amend(client, "dataset", "list") and "old" in amend(client, "dataset", "list", "c/read")
    assert made["sha256"] in amend(client, "dataset", "show", "c/read@old") and "fields" in amend(client, "dataset", "show", "c/read@v1")
    assert json.loads(amend(client, "dataset", "show", "c/read", "-o", "json"))["versions"] == 2
    some = amend(client, "dataset", "samples", "c/read@v1", "--limit", "25").splitlines()
    assert [json.loads(s) for s in some] == rows[:25]
    assert json.loads(amend(client, "dataset", "samples", "c/read@old", "--id", "7")) == rows[7]
    amend(client, "dataset", "get", "c/read@v1", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == lines(rows) and amend(client, "dataset", "get", "c/read") == lines(rows[:3]).decode()
    amend(client, "dataset", "get", "c/read@v9", tmp_path / "none", expect=5)
    assert not (tmp_path / "none").exists()
    preds = tmp_path / "p.csv"
    preds.write_text("id,label,pred\n" + "".join(f"{r['id']},{r['label']},1\n" for r in rows))
    out = amend(client, "predictions", "push", preds, "--version", "external:m", "--dataset", "c/read@old")
    assert "external:m on c/read@v1" in out and "c/read@v1" in amend(client, "predictions", "list", "--dataset", "c/read")
    preds.write_text("id,label,pred\n0,1,1\n")
    amend(client, "predictions", "push", preds, "--version", "external:m", "--dataset", "c/read", expect=7)
    amend(client, "dataset", "rm", "c/read@v2", "--yes")
    amend(client, "dataset", "show", "c/read@v2", expect=5)
    assert "c/read" in amend(client, "__complete", "dataset", "show", "c/re") and "--format" in amend(client, "__complete", "dataset", "push", "--f")


def test_client_refuses_what_is_broken(client, tmp_path):
    np.save(tmp_path / "f.npy", np.asfortranarray(np.ones((3, 2))))
    np.save(tmp_path / "b.npy", np.ones(3, ">f4"))
    files = {
        "short": idx(np.ones((5, 4), np.uint8))[:-1], "long": idx(np.ones((5, 4), np.uint8)) + b"x", "odd.bin": b"x" * 3074, "none": b"what",
        "huge": struct.pack(">BBBB8I", 0, 0, 8, 8, *[2**32 - 1] * 8), "cut.gz": gzip.compress(idx(np.ones((50, 4), np.uint8)))[:-9],
        "a.npz": b"PK", "c.csv": b'id,x\na,"b\n', "d.csv": b"id,x\na,b,c\n", "e.csv": b"key\nx\n", "g.csv": b"id,x\na,\xff\n", "h.csv": b"id,x\na\n", "i.csv": b'id,x\n1,"' + b"y" * 70000 + b'"',
        "empty.csv": b"", "deep.npy": b"\x93NUMPY\x01\0\xff\xff{'descr': '<f4'",
    }
    want = {
        "short": "ends too early", "long": "goes on behind", "odd.bin": "no multiple", "none": "--format", "huge": "too large", "cut.gz": "cut off",
        "a.npz": "unzip", "c.csv": "quote", "d.csv": "more cells", "e.csv": "--ids", "g.csv": "UTF-8", "h.csv": "too few cells", "empty.csv": "head line", "i.csv": "quote",
        "deep.npy": "too early", "f.npy": "Fortran", "b.npy": "astype", "missing": "cannot read",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name, words in want.items():
        more = ("--format", "cifar10") if name.endswith(".bin") else ()
        done = amend(client, "dataset", "push", "c/broken", tmp_path / name, *more, expect=None)
        assert done.returncode in (1, 2) and words in done.stderr and "c/broken" not in done.stdout, (name, done.stderr)
    problem(client.get("/v1/datasets/c/broken"), 404, "not-found")


@pytest.mark.skipif(not (DATA / "mnist").exists(), reason="no MNIST: set AMEND_DATA")
def test_real_mnist(client):
    images, labels = (DATA / "mnist" / f"t10k-{k}-ubyte.gz" for k in ("images-idx3", "labels-idx1"))
    made = pushed(client, "real/mnist-test", images, labels)
    assert (made["rows"], made["classes"]) == (10000, 10)
    got, truth = fetched(client, made), read_idx(labels)
    equal(got, {"inputs": read_idx(images), "labels": truth})
    sevens = client.post(made["links"]["self"] + "/resolve", {"classes": [7]}).json()
    assert (sevens["count"], sevens["ids_sha256"]) == (1028, digest(str(i) for i in np.flatnonzero(truth == 7)))


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason="no CIFAR-10: set AMEND_DATA")
def test_real_cifar10_and_all_of_mnist(client):
    batch = DATA / "cifar10" / "test_batch.bin.gz"
    made = pushed(client, "real/cifar10", batch, "--format", "cifar10")
    raw = np.frombuffer(gzip.decompress(batch.read_bytes()), np.uint8).reshape(-1, 3073)
    equal(fetched(client, made), {"inputs": raw[:, 1:].reshape(-1, 3, 32, 32), "labels": raw[:, 0]})
    assert (made["rows"], made["classes"]) == (10000, 10)
    images, labels = (DATA / "mnist" / f"train-{k}-ubyte.gz" for k in ("images-idx3", "labels-idx1"))
    made = pushed(client, "real/mnist-train", images, labels)
    equal(fetched(client, made), {"inputs": read_idx(images), "labels": read_idx(labels)})
    assert made["rows"] == 60000
