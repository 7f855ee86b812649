"""Versions as folders: export writes them, mode `move` takes them. Read by safetensors and NumPy, not by amend."""

import hashlib
import json
import os
import threading
import time

import numpy as np
import pytest
import reference as ref
import requests
from harness import Daemon, amend, problem, sparsify
from safetensors.numpy import load_file

NOTE = ".amend-export.json"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, roots, out):
    d = Daemon(tmp_path_factory.mktemp("store") / "data", [roots], args=[f"--store.export_roots={out}"]).start()
    yield d
    d.stop()


@pytest.fixture(scope="module")
def assembled(client, roots):
    """A version whose weights are read from two stored files."""
    rng = np.random.default_rng(3)
    tensors = ref.fill(rng, {n: ("F32", (32, 32)) for n in "abcdef"})
    files = {"sub/deep/notes.txt": b"hello", "empty.txt": b"", "README.md": b"# mine\n"}
    client.register(ref.write(roots / "ex", tensors, files=files), "ex/m")
    version = client.run(sparsify("ex/m", "ex/m", {"sparsity": 0.5, "include": ["c"]}))
    assert client.files(version)["model.safetensors"]["storage"] == "assembled"
    return version


def export(client, version, path, **more):
    return client.post(client.at(version) + "/export", {"path": str(path), **more})


def exported(client, version, path, **more):
    answer = export(client, version, path, **more)
    assert answer.status_code == 202, answer.text
    task = client.wait(answer.json()["id"])
    assert (task["type"], task["method"], task["status"]) == ("task", "export", "succeeded"), task
    return task["result"]


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def hidden(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_an_export_is_an_ordinary_folder(client, out, roots, assembled):
    result = exported(client, assembled, out / "plain")
    got = tree(out / "plain")
    note = json.loads(got.pop(NOTE))
    files = client.files(assembled)
    assert got == {p: client.download(assembled, p) for p in files}
    assert result["files"] == len(files) and result["bytes"] == sum(map(len, got.values())) and not result["replaced"]
    assert f"{note['model']}@{note['commit']}" == assembled
    truth = {n: ref.load(t) for n, t in client.weights(assembled).items()}
    read = load_file(out / "plain" / "model.safetensors")
    assert read.keys() == truth.keys() and all(np.array_equal(read[n], truth[n]) for n in read)
    assert (read["c"] == 0).sum() == 512
    assert hidden(out) == []
    # registered again it is the same files, and the note is none of them
    again = client.register_raw(out / "plain", "ex/again")
    problem(again, 422, "path-not-allowed")  # export roots are not import roots
    os.rename(out / "plain", roots / "plain")
    back = client.register(roots / "plain", "ex/again")
    assert back["manifest_sha256"] == client.version(assembled)["manifest_sha256"] and back["warnings"] == []


def test_what_is_there_is_replaced_only_when_asked_and_ours(client, out, assembled):
    place = out / "again"
    exported(client, "ex/m@v1", place)
    first = tree(place)
    doc = problem(export(client, assembled, place), 409, "conflict")
    assert doc["errors"][0]["pointer"] == "#/path" and "overwrite" in doc["detail"]
    assert tree(place) == first
    assert exported(client, assembled, place, overwrite=True)["replaced"]
    assert (place / "amend.json").exists() and hidden(out) == []
    # a folder that is not an export stays, whatever is said
    foreign = out / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    doc = problem(export(client, assembled, foreign, overwrite=True), 409, "conflict")
    assert NOTE in doc["detail"] and (foreign / "thesis.txt").read_text() == "years of work"
    (out / "file").write_text("x")
    problem(export(client, assembled, out / "file", overwrite=True), 409, "conflict")
    (out / "link").symlink_to(place)
    problem(export(client, assembled, out / "link", overwrite=True), 409, "conflict")
    (out / "bare").mkdir()
    problem(export(client, assembled, out / "bare"), 409, "conflict")
    assert exported(client, assembled, out / "bare", overwrite=True)["replaced"]


def test_paths(client, daemon, out, tmp_path, assembled):
    for path in ("relative/x", "/etc/x", f"{out}/../x", "/no/such/place", f"{tmp_path}/x"):
        doc = problem(export(client, assembled, path), 422, "path-not-allowed")
        assert path == "relative/x" or str(out) in doc["detail"], doc["detail"]
    problem(export(client, assembled, out / ".hidden"), 422, "path-not-allowed")
    problem(export(client, assembled, out), 422, "path-not-allowed")  # the root itself
    problem(export(client, assembled, f"{out}/a/.."), 422, "path-not-allowed")
    problem(export(client, assembled, out / "missing" / "x"), 404, "not-found")
    (out / "leads-out").symlink_to(tmp_path)
    problem(export(client, assembled, out / "leads-out" / "x"), 422, "path-not-allowed")
    assert not (tmp_path / "x").exists()
    doc = problem(client.post(client.at(assembled) + "/export", {"overwrite": "yes", "pth": "/x"}), 400, "unknown-member")
    assert {e["pointer"] for e in doc["errors"]} == {"#/pth", "#/path", "#/overwrite"}
    problem(export(client, "ex/m@nope", out / "x"), 404, "revision-not-found")
    problem(client.post("/v1/admin/tasks", {"kind": "export"}), 422, "invalid-params")


def test_the_data_folder_is_no_target_and_a_full_disk_is_told(launch, tmp_path, roots):
    d = launch(f"--store.export_roots={tmp_path}", "--store.min_free=900TiB", name="own")
    roots_of = ref.write(roots / "own", {"w": ref.tensor("F32", np.ones(4))})
    doc = d.client.register_raw(roots_of, "own/m")
    problem(doc, 507, "insufficient-disk")
    d.stop()
    d.args = [f"--store.export_roots={tmp_path}"]
    d.start()
    d.client.register(roots_of, "own/m")
    for path in (d.data, d.data / "x", d.data / "blobs" / "x"):
        answer = export(d.client, "own/m", path, overwrite=True)
        assert answer.status_code in (409, 422), answer.text
    doc = problem(export(d.client, "own/m", d.data / "blobs" / "x"), 422, "path-not-allowed")
    assert "data folder" in doc["detail"]
    d.stop()
    d.args = [f"--store.export_roots={tmp_path}", "--store.min_free=900TiB"]
    d.start()
    doc = problem(export(d.client, "own/m", tmp_path / "x"), 507, "insufficient-disk")
    assert "min_free" in doc["detail"] and not (tmp_path / "x").exists()


def test_killed_in_the_middle(launch, out, roots):
    """Until all is there the target is not; the next start goes on and leaves nothing else behind."""
    d = launch(f"--store.export_roots={out}", name="killed")
    files = {f"part{i:03d}.txt": b"x" * 4096 for i in range(60)}
    d.client.register(ref.write(roots / "many", {"w": ref.tensor("F32", np.ones(4))}, files=files), "k/m")
    task = export(d.client, "k/m", out / "killed").json()["id"]
    deadline = time.monotonic() + 10
    while not hidden(out) and not (out / "killed").exists() and time.monotonic() < deadline:
        pass
    d.kill()
    left = hidden(out)
    assert (out / "killed").exists() != bool(left), "either all of it under its name, or none"
    assert left in ([], [".amend-export-" + task])
    if left:
        assert len(list((out / left[0]).iterdir())) <= len(files) + 2
    d.start()
    done = d.client.wait(task)
    assert done["status"] == "succeeded", done
    got = tree(out / "killed")
    assert got.pop(NOTE) and got == {p: d.client.download("k/m", p) for p in d.client.files("k/m")}
    assert files.items() <= got.items() and hidden(out) == []


def test_what_a_cancelled_export_left_the_next_one_removes(client, out, roots):
    files = {f"part{i:03d}.txt": b"x" for i in range(40)}
    client.register(ref.write(roots / "cut", {"w": ref.tensor("F32", np.ones(4))}, files=files), "c/m")
    task = export(client, "c/m", out / "cut").json()["id"]
    client.post(f"/v1/jobs/{task}/cancel")
    ended = client.wait(task)
    # who asks too late for the end of work that is done gets the work and the status `cancelled`
    assert ended["status"] in ("cancelled", "succeeded")
    if (out / "cut").exists():
        assert len(tree(out / "cut")) == len(client.files("c/m")) + 1
    assert hidden(out) == []
    stale, foreign = out / f".amend-export-{task}", out / ".amend-export-job_00000000000000000000000000000000"
    for folder in (stale, foreign):
        folder.mkdir()
        (folder / "half").write_text("half")
    exported(client, "c/m", out / "cut2")
    assert hidden(out) == [foreign.name], "another daemon's is left alone"
    (foreign / "half").unlink()
    foreign.rmdir()


def test_the_client_exports(client, out, assembled):
    assert amend(client, "model", "export", assembled, out / "cli").strip() == str(out / "cli")
    assert (out / "cli" / "model.safetensors").read_bytes() == client.download(assembled, "model.safetensors")
    refused = amend(client, "model", "export", assembled, out / "cli", expect=None)
    assert refused.returncode == 7 and "overwrite" in refused.stderr
    amend(client, "model", "export", assembled, out / "cli", "--overwrite")


# ---- mode move ----


def gone(path):
    """The files go right after the version is there."""
    deadline = time.monotonic() + 5
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


def blob_of(daemon, sha):
    return daemon.data / "blobs" / sha[:2] / sha


def test_move_takes_the_files_themselves(client, daemon, roots, seed):
    rng = np.random.default_rng(seed)
    folder = ref.write(roots / "mv", ref.fill(rng, {"w": ("F32", (64, 64))}), files={"sub/a.txt": b"a", "b.txt": b"b"})
    (roots / "elsewhere.txt").write_text("target of a link")
    (folder / "linked.txt").symlink_to(roots / "elsewhere.txt")
    (folder / ".hidden").write_text("left out")
    (roots / "second-name").unlink(missing_ok=True)
    os.link(folder / "b.txt", roots / "second-name")
    before, inode = tree(folder), (folder / "model.safetensors").stat().st_ino
    v = client.register(folder, "mv/m", mode="move", metadata={"ticket": "T-9", "by": "vendor"})
    assert v["metadata"] == {"ticket": "T-9", "by": "vendor"}
    for path in ("model.safetensors", "sub/a.txt", "b.txt", "linked.txt"):
        assert client.download("mv/m", path) == before[path]
    assert gone(folder / "sub") and sorted(p.name for p in folder.iterdir()) == [".hidden", "linked.txt"]
    told = {w["code"]: w["detail"] for w in v["warnings"]}
    assert "linked.txt" in told["file-left-in-place"] and ".hidden" in told["file-left-out"]
    sha = client.files("mv/m")
    stored = blob_of(daemon, sha["model.safetensors"]["sha256"]).stat()
    assert stored.st_ino == inode and stored.st_nlink == 1 and stored.st_mode & 0o222 == 0, "renamed, not copied"
    # a file with a second name could be changed through it: it is copied
    assert blob_of(daemon, sha["b.txt"]["sha256"]).stat().st_ino != (roots / "second-name").stat().st_ino
    (roots / "second-name").write_text("changed")
    assert client.download("mv/m", "b.txt") == b"b"


def test_move_of_a_file_that_is_open_for_writing_is_a_copy(client, daemon, roots, seed):
    rng = np.random.default_rng(seed)
    folder = ref.write(roots / "mvw", ref.fill(rng, {"w": ("F32", (64,))}), files={"log.txt": b"first"})
    with open(folder / "log.txt", "r+b") as writer:
        client.register(folder, "mv/w", mode="move")
        assert gone(folder), "all was taken, so the folder went too"  # a moment later; what changes before that stays
        writer.write(b"OTHER")
        writer.flush()
        assert client.download("mv/w", "log.txt") == b"first"


def test_move_of_a_bad_folder_takes_nothing(client, roots, seed):
    rng = np.random.default_rng(seed)
    folder = ref.write(roots / "mvbad", ref.fill(rng, {"w": ("F32", (8,))}), files={"bad.safetensors": b"\xff" * 40})
    (folder / "model.safetensors").chmod(0o640)
    before = tree(folder)
    error = client.refused(folder, "mv/bad", mode="move")
    assert error["code"] == "malformed-safetensors"
    assert tree(folder) == before and (folder / "model.safetensors").stat().st_mode & 0o777 == 0o640
    assert (folder / "model.safetensors").stat().st_nlink == 1
    doc = problem(client.register_raw(folder, "mv/bad", mode="reference"), 422, "invalid-params")
    assert doc["errors"][0]["pointer"] == "#/mode"


def test_the_client_moves(client, roots, seed):
    folder = ref.write(roots / "mvcli", ref.fill(np.random.default_rng(seed), {"w": ("F32", (8,))}))
    amend(client, "model", "register", folder, "mv/cli", "--mode", "move")
    assert gone(folder) and client.version("mv/cli")["number"] == 1


def test_a_move_that_is_killed_loses_nothing(launch, roots, tmp_path):
    d = launch(name="mvkill")
    files = {f"part{i:03d}.txt": f"{i}".encode() * 50 for i in range(60)}
    folder = ref.write(roots / "mvkill", {"w": ref.tensor("F32", np.ones(4))}, files=files)
    before = tree(folder)
    url = f"{d.url}/v1/models/mv/k/versions"
    body = {"from": {"path": str(folder)}, "mode": "move"}

    def ask():
        with pytest.raises(requests.RequestException):  # the daemon dies under it
            requests.post(url, json=body, timeout=30)

    waiter = threading.Thread(target=ask)
    waiter.start()
    deadline = time.monotonic() + 10
    while not list((d.data / "staging").iterdir()) and time.monotonic() < deadline:
        pass
    d.kill()
    waiter.join()
    stored = {p.name: p.read_bytes() for p in (d.data / "blobs").rglob("*") if p.is_file()}
    left = tree(folder)
    assert all(left.get(p) == b or hashlib.sha256(b).hexdigest() in stored for p, b in before.items())
    d.start()
    tasks = d.client.ok("/v1/jobs?type=task")["data"]
    if not tasks:  # killed before the 202: nothing was asked, nothing was touched
        assert left == before
        return
    assert d.client.wait(tasks[0]["id"])["status"] == "succeeded"
    assert {p: d.client.download("mv/k", p) for p in d.client.files("mv/k")} == before
    task = d.client.post(d.client.at("mv/k") + "/verify").json()
    assert d.client.wait(task["id"])["result"]["damaged_total"] == 0
