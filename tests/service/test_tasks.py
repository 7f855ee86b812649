"""Work of the store: gc, verify, backup, check as tasks; amendd backup and restore; what damage costs, and what not."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import merge, problem, sparsify


def task(c, kind, **more):
    answer = c.post("/v1/admin/tasks", {"kind": kind, **more})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["type"], job["method"]) == ("task", kind)
    assert answer.headers["Location"] == "/v1/jobs/" + job["id"]
    return job["id"]


def run(c, kind, **more):
    job = c.wait(task(c, kind, **more))
    assert job["status"] == "succeeded", job
    assert job["result"]["kind"] == kind
    return job


def amendd(*args, expect=0):
    done = subprocess.run(
        [str(harness.BUILD / "amendd"), *map(str, args)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout if expect == 0 else done.stderr


def blob_of(d, c, version, path="model.safetensors"):
    sha = c.files(version)[path]["sha256"]
    return d.data / "blobs" / sha[:2] / sha


def flip(path, at):
    os.chmod(path, 0o640)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x40]))


def model(roots, name, seed=0, n=1000):
    values = np.random.default_rng(seed).standard_normal(n).astype("<f4")
    return ref.write(roots / name, {"a.weight": ref.tensor("F32", values), "b.weight": ref.tensor("F32", values * 2)})


# ---- the routes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, status, pointer",
    [
        ({}, 400, "#/kind"),
        ({"kind": "purge"}, 422, "#/kind"),
        ({"kind": "gc", "target": "a/b@v1"}, 422, "#/target"),
        ({"kind": "verify", "target": "no/such@v1"}, 404, "#/target"),
        ({"kind": "verify", "target": "words"}, 400, "#/target"),
        ({"kind": "backup", "target": "relative.db"}, 422, "#/target"),
        ({"kind": "backup", "target": "/no/such/folder/x.db"}, 404, "#/target"),
        ({"kind": "check", "more": 1}, 400, "#/more"),
    ],
)
def test_refused(client, body, status, pointer):
    answer = client.post("/v1/admin/tasks", body)
    doc = answer.json()
    assert answer.status_code == status, doc
    assert pointer in [e["pointer"] for e in doc["errors"]], doc


def test_tasks_are_rows_of_their_own(client):
    before = client.ok("/v1/queue")["counts"]["succeeded"]
    job = run(client, "check")
    assert job["id"] not in [j["id"] for j in client.all("/v1/jobs?limit=100")]
    assert job["id"] in [j["id"] for j in client.all("/v1/jobs?type=task&limit=100")]
    assert client.ok("/v1/queue")["counts"]["succeeded"] == before
    assert client.post("/v1/jobs", {"type": "task", "method": "gc", "inputs": {}}).status_code in (400, 422)


def test_check(client):
    job = run(client, "check")
    assert job["result"]["findings"] == [] and job["result"]["tables"] >= 15 and job["warnings"] == []
    ready = client.ok("/readyz")
    assert ready["checks"]["integrity"]["status"] == "ok" and "checked at" in ready["checks"]["integrity"]["detail"]


# ---- verify -----------------------------------------------------------------------------------------------------------


def test_verify_finds_marks_and_forgets(launch, roots):
    d = launch(name="verify")
    c = d.client
    c.register(model(roots, "v1", 1), "t/one")
    c.register(model(roots, "v2", 2), "t/two")
    c.register(roots / "v1", "t/same")
    sound = run(c, "verify")["result"]
    assert sound["damaged"] == [] and sound["damaged_total"] == 0 and sound["blobs"] >= 2 and sound["scope"] == "all"
    assert sound["bytes"] == sum(p.stat().st_size for p in (d.data / "blobs").rglob("*") if p.is_file())
    path = blob_of(d, c, "t/one@v1")
    whole = path.read_bytes()
    flip(path, len(whole) - 5)
    # the other version is sound, by itself and by name
    assert run(c, "verify", target="t/two@v1")["result"]["damaged"] == []
    answer = c.post("/v1/models/t/one/versions/v1/verify")
    assert answer.status_code == 202
    job = c.wait(answer.json()["id"])
    assert job["status"] == "succeeded" and job["warnings"][0]["code"] == "store-damaged", job
    (found,) = job["result"]["damaged"]
    commits = {f"{m}@{c.version(m + '@v1')['commit']}" for m in ("t/one", "t/same")}
    assert found["blob"] == path.name and found["reason"] == "sha256" and set(found["versions"]) == commits
    assert found["versions_total"] == 2 and job["result"]["damaged_total"] == 1
    # refused by what would read it
    doc = problem(c.post("/v1/jobs", merge("linear", [("t/one", {"weight": 1})], "t/out")), 500, "store-damaged")
    assert doc["errors"][0]["pointer"].startswith("#/inputs") and "t/one" in doc["errors"][0]["detail"]
    problem(c.get("/v1/models/t/one/versions/v1/files/model.safetensors/content"), 500, "store-damaged")
    assert c.get("/t/same/resolve/v1/model.safetensors").status_code == 500
    assert c.run(merge("linear", [("t/two", {"weight": 1})], "t/out")), "the sound version is used as ever"
    # it survives a restart, and ends when the bytes are back
    d.stop()
    d.start()
    c = d.client
    problem(c.post("/v1/jobs", merge("linear", [("t/one", {"weight": 1})], "t/out")), 500, "store-damaged")
    path.write_bytes(whole)
    again = run(c, "verify")["result"]
    assert again["damaged_total"] == 0 and again["repaired"] == 1
    assert c.download("t/one@v1", "model.safetensors") == whole
    c.run(merge("linear", [("t/one", {"weight": 1})], "t/out2"))


def test_the_same_bytes_again_cure(launch, roots):
    """What is registered again takes the place of its damaged blob, for every version that names it."""
    d = launch(name="cure")
    c = d.client
    c.register(model(roots, "c", 4), "t/first")
    path = blob_of(d, c, "t/first@v1")
    whole = path.read_bytes()
    flip(path, len(whole) - 9)
    assert run(c, "verify")["result"]["damaged_total"] == 1
    c.register(roots / "c", "t/second")
    assert path.read_bytes() == whole
    assert c.download("t/first@v1", "model.safetensors") == whole
    c.run(merge("linear", [("t/first", {"weight": 1})], "t/out"))
    result = run(c, "verify")["result"]
    assert result["damaged_total"] == 0 and result["repaired"] == 0


def test_missing_and_short(launch, roots):
    d = launch(name="missing")
    c = d.client
    for i in range(3):
        c.register(model(roots, f"m{i}", 10 + i), f"t/m{i}")
    paths = [blob_of(d, c, f"t/m{i}@v1") for i in range(3)]
    os.rename(paths[0], paths[0].with_name("away"))
    os.chmod(paths[1], 0o640)
    os.truncate(paths[1], 100)
    # found while a job prepares, before any verify
    for i in range(2):
        error = c.fails(merge("linear", [(f"t/m{i}", {"weight": 1})], "t/out"))
        assert error["code"] == "store-damaged", error
        answer = c.get(f"/v1/models/t/m{i}/versions/v1/files/model.safetensors/content")
        problem(answer, 500, "store-damaged")
    found = {x["blob"]: x["reason"] for x in run(c, "verify")["result"]["damaged"]}
    assert found == {paths[0].name: "missing", paths[1].name: "size"}


def test_a_changed_header_fails_the_job(launch, roots):
    d = launch(name="header")
    c = d.client
    c.register(model(roots, "h", 20), "t/h")
    flip(blob_of(d, c, "t/h@v1"), 12)  # inside the header, the size is as it was
    error = c.fails(merge("linear", [("t/h", {"weight": 1})], "t/out"))
    assert error["code"] in ("store-damaged", "bad-input"), error
    assert c.get("/v1/models/t/out").status_code == 404, "nothing was published"


def test_verify_of_assembled_files(launch, roots):
    d = launch(name="assembled")
    c = d.client
    rng = np.random.default_rng(3)
    tensors = {f"l{i}.weight": ref.tensor("F32", rng.standard_normal(4000).astype("<f4")) for i in range(8)}
    c.register(ref.write(roots / "many", tensors), "t/many")
    version = c.run(sparsify("t/many", "t/many", {"sparsity": 0.5, "include": ["l3.weight"]}))
    file = c.files(version)["model.safetensors"]
    if file["storage"] != "assembled":
        pytest.fail(f"the edit of one tensor of eight was stored {file['storage']}")
    result = run(c, "verify", target=version)["result"]
    assert result["assembled"] >= 1 and result["damaged"] == []
    flip(blob_of(d, c, "t/many@v1"), 20000)
    result = run(c, "verify")["result"]
    (found,) = result["damaged"]
    assert found["versions_total"] == 2, "both the parent and what is assembled from it"


def running(c, uid):
    """Waits until the task runs and has read something."""
    deadline = time.monotonic() + 30
    while True:
        job = c.job(uid)
        if job["status"] == "running" and job["progress"] and job["progress"]["bytes_done"] > 0:
            return job["progress"]
        assert job["status"] in ("queued", "running") and time.monotonic() < deadline, job
        time.sleep(0.001)


@pytest.mark.timeout(120)
def test_long_tasks(launch, roots):
    """One verify at a time, progress, cancel; kill -9 and a clean stop in the middle of one."""
    d = launch(name="long")
    c = d.client
    rng = np.random.default_rng(5)
    ref.write(roots / "big", {"w": ref.tensor("F32", rng.random(50_000_000, dtype="<f4"))})
    c.register(roots / "big", "t/big")
    first, second = task(c, "verify"), task(c, "verify")
    progress = running(c, first)
    assert progress["bytes_total"] >= 200_000_000 and progress["phase"] == "hash"
    assert c.job(second)["status"] == "queued", "a second verify waits for the first"
    assert c.post(f"/v1/jobs/{first}/cancel").status_code == 202
    assert c.wait(first)["status"] == "cancelled"
    # the second has begun by itself; another kind runs beside it
    running(c, second)
    assert run(c, "check") and c.job(second)["status"] in ("running", "succeeded")
    assert c.wait(second)["status"] == "succeeded"

    ids = [task(c, "verify"), task(c, "verify"), task(c, "gc")]
    running(c, ids[0])
    d.kill()
    d.start()
    c = d.client
    jobs = [c.wait(i) for i in ids]
    assert [j["status"] for j in jobs] == ["succeeded"] * 3
    assert jobs[0]["restarts"] == 1 and jobs[0]["result"]["damaged_total"] == 0

    last = task(c, "verify")
    running(c, last)
    began = time.monotonic()
    d.stop()
    assert time.monotonic() - began < 5
    d.start()
    job = d.client.wait(last)
    assert job["status"] == "succeeded" and job["restarts"] == 1


# ---- gc ---------------------------------------------------------------------------------------------------------------


def test_gc(launch, roots):
    d = launch("--store.gc_grace=0", "--jobs.keep_logs=1h", name="gc")
    c = d.client
    c.register(model(roots, "g", 30), "t/g")
    version = c.run(merge("linear", [("t/g", {"weight": 0.5})], "t/out"))
    kept = d.blobs()
    orphan = hashlib.sha256(b"orphan").hexdigest()
    folder = d.data / "blobs" / orphan[:2]
    folder.mkdir(exist_ok=True)
    (folder / orphan).write_bytes(b"orphan")
    (d.data / "staging" / "job_0.1").mkdir()
    logs = sorted((d.data / "logs").iterdir())
    assert len(logs) >= 2
    os.utime(logs[0], (1, 1))
    result = run(c, "gc")["result"]
    assert (result["orphans"], result["orphan_bytes"], result["blobs"]) == (1, 6, 0), result
    assert result["logs"] == 1 and not logs[0].exists() and logs[1].exists()
    assert result["staging"] == 1 and result["grace_seconds"] == 0 and result["keep_logs_seconds"] == 3600
    assert d.blobs() == kept and c.download(version, "model.safetensors")
    assert run(c, "verify")["result"]["damaged_total"] == 0


def test_gc_grace(launch, roots):
    d = launch(name="grace")
    orphan = hashlib.sha256(b"orphan").hexdigest()
    folder = d.data / "blobs" / orphan[:2]
    folder.mkdir(exist_ok=True)
    (folder / orphan).write_bytes(b"orphan")
    assert run(d.client, "gc")["result"]["orphans"] == 0
    old = time.time() - 73 * 3600
    os.utime(folder / orphan, (old, old))
    assert run(d.client, "gc")["result"]["orphans"] == 1


def test_gc_while_jobs_publish(launch, roots):
    """With no grace at all, nothing that is being published is collected."""
    d = launch("--store.gc_grace=0", name="busy")
    c = d.client
    c.register(model(roots, "busy", 31), "t/busy")
    stop, rounds, errors = threading.Event(), [], []

    def collect():
        own = harness.Client(d.url)
        while not stop.is_set():
            job = own.wait(task(own, "gc"))
            if job["status"] != "succeeded":
                errors.append(job["error"])
            rounds.append(job["result"])

    collector = threading.Thread(target=collect)
    collector.start()
    versions = [
        c.run(merge("linear", [("t/busy", {"weight": 0.001 * (i + 1)})], f"t/out{i % 3}")) for i in range(30)
    ]
    stop.set()
    collector.join()
    assert not errors, errors
    assert len(rounds) > 3
    assert run(c, "verify")["result"]["damaged_total"] == 0
    assert all(c.download(v, "model.safetensors") for v in versions)


# ---- damage of the database -------------------------------------------------------------------------------------------


def test_a_damaged_database(launch, roots, tmp_path):
    d = launch(name="db")
    c = d.client
    c.register(model(roots, "db", 40), "t/db")
    d.stop()
    db = sqlite3.connect(d.data / "amendd.db")
    db.execute("PRAGMA foreign_keys=OFF")
    db.execute("INSERT INTO edge (child, parent, role) VALUES (999, 998, 'base')")
    db.commit()
    db.close()
    d.start()
    c = d.client
    assert d.started_in < 2
    deadline = time.monotonic() + 10
    while (ready := c.get("/readyz")).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    doc = ready.json()
    assert ready.status_code == 503 and doc["checks"]["integrity"]["code"] == "store-damaged", doc
    problem(c.post("/v1/jobs", merge("linear", [("t/db", {"weight": 1})], "t/out")), 500, "store-damaged")
    problem(c.register_raw(roots / "db", "t/again"), 500, "store-damaged")
    assert c.download("t/db@v1", "model.safetensors"), "reading goes on"
    job = run(c, "check")
    assert job["result"]["findings_total"] == 2 and "edge" in job["result"]["findings"][0]
    assert job["warnings"][0]["code"] == "store-damaged"
    assert "the database is damaged" in d.log()


# ---- backup and restore -----------------------------------------------------------------------------------------------


def test_backup_default_place_and_refusal(launch, tmp_path):
    d = launch(name="place")
    c = d.client
    result = run(c, "backup")["result"]
    path = result["target"]
    assert path.startswith(str(d.data / "backup") + "/") and path.endswith(".db")
    assert os.path.getsize(path) == result["bytes"]
    assert os.listdir(d.data / "backup") == [os.path.basename(path)]
    problem(c.post("/v1/admin/tasks", {"kind": "backup", "target": path}), 409, "conflict")
    inside = str(d.data / "blobs" / "x.db")
    problem(c.post("/v1/admin/tasks", {"kind": "backup", "target": inside}), 422, "path-not-allowed")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def test_commands(launch, roots, tmp_path):
    d = launch(name="commands")
    d.client.register(model(roots, "cmd", 50), "t/cmd")
    flag = f"--data_dir={d.data}"
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    said = amendd("backup", one, flag)
    assert said.startswith(f"backup written to {one} bytes={one.stat().st_size}") and said.count("\n") == 1
    assert str(d.pid) in amendd("restore", one, flag, expect=1), "a restore under a daemon names its pid"
    assert "exists" in amendd("backup", one, flag, expect=1)
    d.client.register(roots / "cmd", "t/later")
    d.stop()
    assert not (d.data / "url").exists()
    assert amendd("backup", two, flag).startswith(f"backup written to {two} ")
    assert amendd("restore", one, flag).startswith(f"restored {one} jobs=0 versions=1 blobs=2 missing=0")
    assert (d.data / "amendd.db.before-restore").exists()
    d.start()
    assert [m["id"] for m in d.client.all("/v1/models")] == ["t/cmd"]
    d.stop()
    amendd("restore", two, flag)
    d.start()
    assert [m["id"] for m in d.client.all("/v1/models")] == ["t/cmd", "t/later"]
    d.kill()  # leaves a stale url
    d.url = None
    assert amendd("backup", tmp_path / "three.db", flag).startswith("backup written")
    assert "usage" in amendd("backup", flag, expect=1)
    assert "unknown setting" in amendd("backup", "x.db", "--data_dri=x", expect=1)


def test_restore_without_a_blob(launch, roots, tmp_path):
    d = launch(name="bare")
    d.client.register(model(roots, "bare", 60), "t/bare")
    path = blob_of(d, d.client, "t/bare@v1")
    flag, backup = f"--data_dir={d.data}", tmp_path / "bare.db"
    amendd("backup", backup, flag)
    d.stop()
    os.rename(path, tmp_path / "blob")
    said = amendd("restore", backup, flag, expect=1)
    assert path.name in said and "--force" in said and "Nothing was changed" in said
    assert "missing=1" in amendd("restore", backup, flag, "--force")
    os.rename(tmp_path / "blob", path)
    assert "missing=0" in amendd("restore", backup, flag)
    d.start()
    assert d.client.download("t/bare@v1", "model.safetensors")


@pytest.mark.timeout(120)
def test_backup_under_load_restores(launch, roots, tmp_path):
    """Eight clients submit and publish while a backup runs; every job acknowledged before its mark is in it, and a copy
    of the folder with it serves."""
    d = launch(name="load")
    c = d.client
    c.register(model(roots, "load", 70, n=20000), "l/base")
    acknowledged, stop, errors = [], threading.Event(), []

    def submit(n):
        own = harness.Client(d.url)
        i = 0
        try:
            while not stop.is_set():
                i += 1
                body = merge("linear", [("l/base", {"weight": 0.01 * n + 1e-5 * i})], f"l/out{n}")
                body["metadata"] = {f"k{k}": "x" * 500 for k in range(8)}
                uid = own.submit(body)
                acknowledged.append((time.time(), uid))
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    deadline = time.monotonic() + 30
    while len(acknowledged) < 400 and time.monotonic() < deadline and not errors:
        time.sleep(0.02)
    backup = tmp_path / "load.db"
    result = run(c, "backup", target=str(backup))["result"]
    ended = time.time()
    time.sleep(0.3)
    stop.set()
    for t in threads:
        t.join()
    assert not errors, errors
    mark = time.mktime(time.strptime(result["committed_until"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    mark += int(result["committed_until"][20:23]) / 1000
    before = {uid for at, uid in acknowledged if at < mark}
    during = {uid for at, uid in acknowledged if mark <= at <= ended}
    assert len(before) > 100, len(before)
    assert result["bytes"] > 2 << 20, "too small to be copied in several steps"
    d.kill()
    copy = tmp_path / "copy"
    shutil.copytree(d.data, copy, ignore=shutil.ignore_patterns("url"))
    said = amendd("restore", backup, f"--data_dir={copy}")
    assert "missing=0" in said
    db = sqlite3.connect(f"file:{copy / 'amendd.db'}?mode=ro", uri=True)
    there = {uid for (uid,) in db.execute("SELECT uid FROM job")}
    blobs = db.execute(
        "SELECT lower(hex(sha256)), bytes FROM blob WHERE sha256 IN (SELECT blob FROM span)"
    ).fetchall()
    db.close()
    assert not before - there, f"{len(before - there)} acknowledged jobs are not in the backup"
    for sha, size in blobs:
        path = copy / "blobs" / sha[:2] / sha
        assert path.stat().st_size == size and hashlib.sha256(path.read_bytes()).hexdigest() == sha
    print(f"acknowledged before the mark {len(before)}, until the task's end {len(during)}, blobs {len(blobs)}")
    again = harness.Daemon(copy, [roots], log=tmp_path / "copy.log").start()
    try:
        assert again.started_in < 2
        assert again.client.job(sorted(before)[0])["status"] in ("queued", "running", "succeeded")
        assert again.client.ok("/readyz")["status"] == "ok"
        # the backup's own row was running in it: it ends as what it was, a backup that is there
        rows = again.client.all("/v1/jobs?type=task&method=backup&limit=100")
        assert len(rows) == 1 and again.client.wait(rows[0]["id"])["status"] == "succeeded"
    finally:
        again.kill()
