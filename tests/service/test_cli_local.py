"""amend verify of directories and versions, and amend model import from a made-up Hugging Face cache."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save

from harness import amend


def weights(seed, names=("w", "b")):
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal((4, 3)).astype(np.float32) for n in names}


def put(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def sharded(seed=0):
    a, b = weights(seed, ("x", "y")), weights(seed + 1, ("z",))
    index = {
        "metadata": {"total_size": 3 * 48},
        "weight_map": {"x": "m-1.safetensors", "y": "m-1.safetensors", "z": "m-2.safetensors"},
    }
    return {
        "m-1.safetensors": save(a),
        "m-2.safetensors": save(b),
        "model.safetensors.index.json": json.dumps(index).encode(),
        "config.json": b"{}",
    }


def sums(files):
    return "".join(f"{hashlib.sha256(d).hexdigest()}  {p}\n" for p, d in files.items()).encode()


def verify(folder, code, *args):
    done = amend("http://127.0.0.1:9", "verify", folder, *args, expect=None)  # no daemon is asked
    assert done.returncode == code, done.stderr
    return done


def test_sound_directory(tmp_path):
    files = sharded()
    put(tmp_path, {**files, "SHA256SUMS": sums(files), ".hidden": b"x", "sub/readme.md": b"hello"})
    rows = {r.split("\t")[0]: r.split("\t")[1:] for r in verify(tmp_path, 0).stdout.splitlines()}
    assert set(rows) == set(files) | {"SHA256SUMS", "sub/readme.md"} and all(r[0] == "ok" for r in rows.values())
    assert "2 tensors" in rows["m-1.safetensors"][2] and "SHA-256 as in SHA256SUMS" in rows["m-1.safetensors"][2]
    assert "3 tensors in 2 files" in rows["model.safetensors.index.json"][2]
    assert "nothing to compare" in rows["sub/readme.md"][2], "what cannot be checked is said"
    assert rows["config.json"][1] == "2"


def swap_index(files, change):
    index = json.loads(files["model.safetensors.index.json"])
    change(index["weight_map"])
    return {**files, "model.safetensors.index.json": json.dumps(index).encode()}


FAULTS = {
    "truncated": (lambda f: {**f, "m-1.safetensors": f["m-1.safetensors"][:-5]}, "m-1.safetensors", "file_size"),
    "header": (lambda f: {**f, "m-2.safetensors": b"\xff" * 30}, "m-2.safetensors", "header"),
    "missing shard": (lambda f: {k: v for k, v in f.items() if k != "m-2.safetensors"}, "model.safetensors.index.json", "index-missing-file"),
    "wrong shard": (lambda f: swap_index(f, lambda m: m.update(x="m-2.safetensors")), "model.safetensors.index.json", "index-wrong-file"),
    "unlisted": (lambda f: swap_index(f, lambda m: m.pop("y")), "model.safetensors.index.json", "index-unlisted-tensor"),
    "up and out": (lambda f: swap_index(f, lambda m: m.update(x="../m-1.safetensors")), "model.safetensors.index.json", "index-file-name"),
    "json": (lambda f: {**f, "config.json": b"{"}, "config.json", "json"),
    "flipped bit": (lambda f: {**f, "SHA256SUMS": sums({**f, "m-1.safetensors": f["m-1.safetensors"] + b"x"})}, "m-1.safetensors", "hash"),
    "listed and gone": (lambda f: {**f, "SHA256SUMS": sums({**f, "gone.bin": b""})}, "SHA256SUMS", "manifest"),
    "by amend.json": (lambda f: {**f, "amend.json": json.dumps({"files": [{"path": "config.json", "sha256": "0" * 64}]}).encode()}, "config.json", "hash"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_found_and_named(tmp_path, fault):
    change, file, rule = FAULTS[fault]
    put(tmp_path, change(sharded()))
    done = verify(tmp_path, 1, "-o", "json")
    entries = {e["path"]: e for e in json.loads(done.stdout)["data"]}
    assert [p for p, e in entries.items() if e["status"] == "fail"] == [file]
    rules = {f["rule"] for f in entries[file]["faults"]}
    assert any(r.startswith(rule) for r in rules), rules
    assert f"at {file}: " in done.stderr


def test_what_is_no_directory(tmp_path):
    assert verify(tmp_path / "none", 5).stderr
    assert verify(tmp_path, 1).stderr, "an empty one"


def test_version_is_verified_by_the_daemon(client, daemon, roots):
    folder = put(roots / "v", {"model.safetensors": save(weights(3))})
    version = client.register(folder, "loc/v")
    assert "\t0 damaged" in amend(client, "verify", "loc/v@v1") and "\t0 damaged" in amend(client, "verify", "loc/v")
    file = client.files(f"loc/v@{version['commit']}")["model.safetensors"]
    blob = next(p for p in (daemon.data / "blobs").rglob(file["sha256"]))
    whole = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = amend(client, "verify", "loc/v@v1", expect=None)
    assert done.returncode == 1 and file["sha256"] in done.stderr, done.stderr
    assert amend(client, "verify", "loc/v@v9", expect=None).returncode == 5


# ---- import ----------------------------------------------------------------------------------------------------------


def snapshot(hub, name, commit, files, refs=("main",)):
    """As huggingface_hub lays it out: weights named by SHA-256, small files by git's blob id, links between."""
    base = hub / ("models--" + name.replace("/", "--"))
    for path, data in files.items():
        lfs = path.endswith(".safetensors")
        blob = hashlib.sha256(data) if lfs else hashlib.sha1(b"blob %d\0" % len(data) + data)
        put(base / "blobs", {blob.hexdigest(): data})
        link = base / "snapshots" / commit / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../" * (2 + path.count("/")) + f"blobs/{blob.hexdigest()}")
    for ref in refs:
        put(base / "refs", {ref: commit.encode()})
    return base


@pytest.fixture
def hub(roots):
    """A cache below the import roots: two revisions of one model, one of the old kind, one that was cut short."""
    shutil.rmtree(roots / "hub", ignore_errors=True)
    folder = roots / "hub"
    files = {"model.safetensors": save(weights(1)), "config.json": b'{"model_type":"x"}', "sub/notes.txt": b"n"}
    snapshot(folder, "acme/tiny", "a" * 40, files)
    snapshot(folder, "acme/tiny", "b" * 40, {**files, "model.safetensors": save(weights(2))}, refs=("pr/1",))
    snapshot(folder, "old", "c" * 40, files)
    cut = snapshot(folder, "acme/cut", "d" * 40, files)
    next((cut / "blobs").iterdir()).unlink()
    (folder / "datasets--acme--set").mkdir()
    return folder


def test_import_from_a_cache(client, hub):
    env = {"HF_HUB_CACHE": str(hub)}
    rows = [r.split("\t") for r in amend("http://127.0.0.1:9", "model", "import", "--list", env=env).splitlines()]
    assert [(r[0], r[1], r[2][0], r[5]) for r in rows] == [
        ("acme/cut", "main", "d", "no"),
        ("acme/tiny", "main", "a", "yes"),
        ("acme/tiny", "pr/1", "b", "yes"),
        ("old", "main", "c", "yes"),
    ]
    assert amend(client, "model", "import", "acme/tiny", env=env).startswith("acme/tiny@v1\t")
    got, files = client.weights("acme/tiny@v1"), client.files("acme/tiny@v1")
    assert {n: np.frombuffer(t.data, "<f4").tolist() for n, t in got.items()} == {
        n: w.ravel().tolist() for n, w in weights(1).items()
    }
    assert {"model.safetensors", "config.json", "sub/notes.txt"} <= set(files)
    job = client.all("/v1/jobs?type=task&method=import&model=acme/tiny")[0]
    assert (job["metadata"]["hub_id"], job["metadata"]["hub_commit"]) == ("acme/tiny", "a" * 40)
    # again: the same version; another revision and a new name: new ones
    assert amend(client, "model", "import", "acme/tiny@main", env=env).startswith("acme/tiny@v1\t")
    assert amend(client, "model", "import", "acme/tiny@bbbbbbbb", env=env).startswith("acme/tiny@v2\t")
    made = amend(client, "model", "import", "old", "--as", "mine/old", "--json", "version,hub_id", env=env)
    assert json.loads(made) == [{"version": "mine/old@v1", "hub_id": "old"}]
    assert len(client.all("/v1/models/acme/tiny/versions")) == 3, "v2, v1 and the empty v0"


@pytest.mark.parametrize(
    "args,code,words",
    [
        (["acme/cut"], 1, "hf download acme/cut --revision " + "d" * 40),
        (["acme/none"], 5, "hf download acme/none"),
        (["acme/tiny@zz"], 5, "aaaaaaaaaaaa, bbbbbbbbbbbb"),
        (["old"], 2, "--as NAMESPACE/NAME"),
        ([], 2, "--all or --list"),
        (["acme/tiny", "old", "--as", "x/y"], 2, "--as names one"),
    ],
)
def test_import_refuses(client, hub, args, code, words):
    done = amend(client, "model", "import", *args, env={"HF_HUB_CACHE": str(hub)}, expect=None)
    assert done.returncode == code and words in done.stderr, done.stderr


def test_import_outside_the_roots(client, tmp_path, roots):
    files = {"model.safetensors": save(weights(1))}
    snapshot(tmp_path / "hub", "far/away", "e" * 40, files)
    done = amend(client, "model", "import", "far/away", env={"HF_HOME": str(tmp_path)}, expect=None)
    assert done.returncode == 1 and "path-not-allowed" in done.stderr, done.stderr
    # the snapshots are inside, what they link to is not: nobody gets a model without weights and an exit code of 0
    base = snapshot(roots / "half", "far/half", "f" * 40, {**files, "x.txt": b""})
    (base / "snapshots" / ("f" * 40) / "x.txt").unlink()
    put(base / "snapshots" / ("f" * 40), {"x.txt": b"here"})
    shutil.move(base / "blobs", tmp_path / "blobs")
    (base / "blobs").symlink_to(tmp_path / "blobs")
    done = amend(client, "model", "import", "far/half", env={"HF_HUB_CACHE": str(roots / "half")}, expect=None)
    assert done.returncode == 1 and "left out by the daemon" in done.stderr, done.stderr
