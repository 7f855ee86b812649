"""What was acknowledged is there, whatever dies: the order of syncs read from system calls, and kills at random
moments."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter

import numpy as np
import pytest
import requests

import harness
import reference as ref
from harness import TERMINAL, Client, merge

# ---- the order of system calls -------------------------------------------------------------------

CALLS = (
    "openat,rename,renameat,renameat2,fsync,fdatasync,fallocate,"
    "sendto,sendmsg,write,writev,pwrite64,pwritev,recvfrom,recvmsg,read"
)
LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))")


class Call:
    """One system call: began and ended are line numbers of the trace; a call is finished when its result is known."""

    def __init__(self, pid, name, args, began):
        self.pid, self.name, self.args, self.began, self.ended, self.result = pid, name, args, began, None, None

    def __repr__(self):
        return f"{self.name}({self.args[:90]}) = {self.result} [{self.began}..{self.ended}]"


def parse(path):
    calls, open_calls = [], {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines()):
        match = LINE.match(line)
        if not match:
            continue
        pid, resumed, rest, name, args = match.groups()
        if resumed:
            call = open_calls.pop(pid, None)
            if call is None:
                continue
            call.args += rest
        else:
            call = Call(pid, name, args, number)
            calls.append(call)
            if args.endswith("<unfinished ...>"):
                call.args = args[: -len("<unfinished ...>")]
                open_calls[pid] = call
                continue
        body, equals, result = call.args.rpartition(" = ")
        if equals:
            call.args, call.result, call.ended = body, result.split(" ")[0], number
    return [c for c in calls if c.ended is not None]


def is_sync(call, ending):
    """A successful fsync or fdatasync of a file whose path ends so."""
    return call.name in ("fsync", "fdatasync") and call.result == "0" and re.search(rf"<[^>]*{ending}>", call.args)


def traced(launch, roots, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    d = launch(
        "--workers.count=1",
        name="traced",
        prefix=["strace", "-D", "-f", "-y", "-qq", "-s", "96", "-o", str(trace), "-e", "trace=" + CALLS],
    )
    d.client.register(
        ref.write(roots / f"traced-{os.urandom(3).hex()}", {"w": ref.tensor("F32", np.arange(300))}), "d/in"
    )
    return d, trace


def stopped(d, trace):
    d.stop()
    deadline, size = time.monotonic() + 5, -1
    while time.monotonic() < deadline and trace.stat().st_size != size:  # strace writes on for a moment
        size = trace.stat().st_size
        time.sleep(0.2)
    return parse(trace)


@pytest.fixture
def trace_of_jobs(launch, roots, tmp_path):
    """Five jobs, one after the other, each after a pause, so that a call belongs to one job only."""
    d, trace = traced(launch, roots, tmp_path)
    for i in range(5):
        time.sleep(0.15)
        d.client.run(merge("linear", [("d/in", {"weight": 1.0 + i})], "d/out", params={"normalize": False}))
    return stopped(d, trace), str(d.data)


@pytest.mark.traced
def test_order_of_syncs(trace_of_jobs):
    calls, data = trace_of_jobs
    sends = [c for c in calls if c.name in ("sendto", "sendmsg", "write", "writev") and "HTTP/1.1 202" in c.args]
    assert len(sends) == 5, f"{len(sends)} answers 202 in the trace"

    # a 202 leaves only after the WAL that holds the job was synced
    for send in sends:
        asked = [
            c
            for c in calls
            if c.name in ("recvfrom", "recvmsg", "read") and "POST /v1/jobs" in c.args and c.ended < send.began
        ]
        assert asked, "the request of this answer is not in the trace"
        begin = asked[-1].ended
        written = [
            c
            for c in calls
            if c.name in ("pwrite64", "pwritev") and "amendd.db-wal" in c.args and begin < c.began < send.began
        ]
        assert written, "nothing was written to the WAL between a submit and its 202"
        synced = [
            c for c in calls if is_sync(c, r"amendd\.db-wal") and c.began > written[0].ended and c.ended < send.began
        ]
        assert synced, f"no sync of the WAL between the submit at line {begin} and its 202 at line {send.began}"

    # staged file synced < renamed into blobs < folder synced < WAL synced
    moves = []
    for c in calls:
        if c.name.startswith("rename") and c.result == "0":
            parts = re.findall(r'(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, "([^"]*)"', c.args) or [
                ("", p) for p in re.findall(r'"([^"]*)"', c.args)
            ]
            source, target = (os.path.normpath(os.path.join(folder, name)) for folder, name in parts[:2])
            if "/blobs/" in target:
                moves.append((c, source, target))
    digests = [t for _, _, t in moves]
    assert (
        len(set(digests)) == len(digests) >= 6
    ), "each job's weights and the registered files are moved into the store"
    for move, source, target in moves:
        assert source.startswith(data + "/staging/"), source
        assert re.fullmatch(re.escape(data) + r"/blobs/([0-9a-f]{2})/\1[0-9a-f]{62}", target), target
        before = [c for c in calls if is_sync(c, re.escape(source)) and c.ended < move.began]
        assert before, f"{source} was not synced before it was renamed"
        folder = os.path.dirname(target)
        after = [c for c in calls if is_sync(c, re.escape(folder)) and c.began > move.ended]
        assert after, f"{folder} was not synced after the rename"
        wal = [c for c in calls if is_sync(c, r"amendd\.db-wal") and c.began > move.began]
        assert wal, "no transaction after the rename"
        assert (
            wal[0].began > after[0].ended
        ), f"the WAL was synced at line {wal[0].began}, before {folder} at line {after[0].ended}"
        writes = [
            c
            for c in calls
            if c.name in ("write", "pwrite64", "writev") and f"<{source}>" in c.args and c.began > before[-1].began
        ]
        assert not writes, "the staged file was written after its last sync"


# ---- kills ---------------------------------------------------------------------------------------

ROUNDS = 20


class Submitter(threading.Thread):
    """Submits small jobs as fast as the daemon answers, until it does not answer any more. `acknowledged`: ids of
    every 202."""

    def __init__(self, url, acknowledged, start):
        super().__init__(daemon=True)
        self.client, self.acknowledged, self.weight = Client(url), acknowledged, start
        self.halt, self.wrong = threading.Event(), None

    def run(self):
        try:
            while not self.halt.is_set():
                self.weight += 1
                body = merge("linear", [("k/in", {"weight": float(self.weight)})], "k/out", params={"normalize": False})
                self.acknowledged[self.client.submit(body)] = self.weight
                time.sleep(0.02)
        except (requests.RequestException, ConnectionError):
            pass
        except AssertionError as e:
            self.wrong = e


def check_store(data):
    """Every blob is what its name says; the database is sound."""
    for folder in (data / "blobs").iterdir():
        for blob in folder.iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    with sqlite3.connect(f"file:{data / 'amendd.db'}?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_kill_it_anywhere(launch, roots, seed):
    rng = random.Random(seed)
    values = np.arange(5000, dtype=np.float32)
    d = launch("--workers.count=2", name="kills")
    d.client.register(ref.write(roots / "kills", {"w": ref.tensor("F32", values)}), "k/in")
    acknowledged, killed_workers, slowest, phases = {}, 0, 0.0, Counter()
    for round_number in range(ROUNDS):
        thread = Submitter(d.url, acknowledged, round_number * 1000)
        thread.start()
        time.sleep(rng.uniform(0.05, 0.4))
        if round_number % 4 == 3:
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                workers = d.workers()
                if workers:
                    try:
                        os.kill(rng.choice(workers), signal.SIGKILL)
                        killed_workers += 1
                        break
                    except ProcessLookupError:
                        continue
                time.sleep(0.001)
            time.sleep(0.05)
        statuses = Counter(j["status"] for j in d.client.ok("/v1/jobs?limit=100")["data"])
        phases.update(statuses)
        d.kill()
        thread.halt.set()
        thread.join()
        assert thread.wrong is None, thread.wrong
        left = time.monotonic() + 2
        while harness.processes_with(d.data) and time.monotonic() < left:
            time.sleep(0.01)
        assert not harness.processes_with(d.data), "a worker outlived its daemon"
        d.start()
        slowest = max(slowest, d.started_in)
    print(
        f"{len(acknowledged)} jobs acknowledged, {killed_workers} workers killed, "
        f"statuses at the kills {dict(phases)}, slowest start {slowest:.2f} s"
    )
    assert len(acknowledged) >= ROUNDS and killed_workers > 0
    if not harness.SANITIZED:
        assert slowest < 2.0, f"start-up took {slowest:.2f} s"

    c = d.client
    ended = {uid: c.wait(uid, 90) for uid in acknowledged}  # a 404 here is a lost job
    failed = [j for j in ended.values() if j["status"] == "failed"]
    # a job fails only when its worker was killed three times
    assert 3 * len(failed) <= killed_workers and {j["error"]["code"] for j in failed} <= {"attempts-exhausted"}, failed
    assert {j["status"] for j in ended.values()} <= {"succeeded", "failed"}

    versions = c.all("/v1/models/k/out/versions?limit=100")
    per_job = Counter(v["job"] for v in versions if v["number"] != 0)
    assert not [j for j, n in per_job.items() if n > 1], "a job published twice"
    for uid, job in ended.items():
        assert (per_job[uid] == 1) == (job["status"] == "succeeded"), uid
        if job["status"] == "succeeded":
            assert job["result"]["version"]["commit"] in {v["commit"] for v in versions if v["job"] == uid}
    numbers = sorted(v["number"] for v in versions)
    assert numbers == list(range(len(numbers))), "numbers on main have no gap"
    by_number = {v["number"]: v for v in versions}
    assert all(
        by_number[n]["parent"] == by_number[n - 1]["commit"] for n in numbers[1:]
    ), "each stands on the one before it"
    for uid in rng.sample(sorted(acknowledged), 25 if len(acknowledged) > 25 else len(acknowledged)):
        if ended[uid]["status"] != "succeeded":
            continue
        version = f"k/out@{ended[uid]['result']['version']['commit']}"
        for path, f in c.files(version).items():
            assert hashlib.sha256(c.download(version, path)).hexdigest() == f["sha256"]
        assert np.array_equal(ref.load(c.weights(version)["w"]), np.float32(acknowledged[uid]) * values)
    d.stop()
    check_store(d.data)


def test_worker_that_is_killed_costs_one_attempt(launch, roots):
    """The job of a killed worker runs again; the daemon and the other jobs go on."""
    d = launch("--workers.count=1", name="worker")
    d.client.register(ref.write(roots / "worker", {"w": ref.tensor("F32", np.ones(4_000_000))}), "k/large")
    uid = d.client.submit(merge("linear", [("k/large", {"weight": 2.0})], "k/large-out", params={"normalize": False}))
    other = d.client.submit(merge("linear", [("k/large", {"weight": 3.0})], "k/large-out", params={"normalize": False}))
    deadline = time.monotonic() + 10
    while not d.workers() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(d.workers()[0], signal.SIGSEGV)
    job = d.client.wait(uid)
    assert job["status"] == "succeeded" and job["attempt"] == 2, job
    assert d.client.wait(other)["status"] == "succeeded"
    assert d.process.poll() is None


def test_stop_while_jobs_run_and_start_again(launch, roots):
    """SIGTERM in the middle of work: exit 0, and after the next start every job ends well."""
    d = launch("--workers.count=2", name="stop")
    d.client.register(ref.write(roots / "stop", {"w": ref.tensor("F32", np.ones(1_000_000))}), "k/stop")
    ids = [
        d.client.submit(merge("linear", [("k/stop", {"weight": 1.0 + i})], "k/stop-out", params={"normalize": False}))
        for i in range(12)
    ]
    d.stop()
    d.start()
    jobs = [d.client.wait(i) for i in ids]
    assert all(j["status"] == "succeeded" for j in jobs), json.dumps([j["error"] for j in jobs])
    assert len(d.client.all("/v1/models/k/stop-out/versions?limit=100")) == 13


def test_cancel_against_finish(launch, roots):
    """Cancelled at every moment of their lives: each job ends once, and a version exists exactly when it
    succeeded."""
    d = launch("--workers.count=2", name="cancel")
    c = d.client
    c.register(ref.write(roots / "cancel", {"w": ref.tensor("F32", np.ones(200_000))}), "k/cancel")
    answers, ids = Counter(), []
    for i in range(60):
        uid = c.submit(
            merge("linear", [("k/cancel", {"weight": 1.0 + i})], "k/cancel-out", params={"normalize": False})
        )
        ids.append(uid)
        if i % 3:
            time.sleep((i % 12) * 0.004)
        answer = c.post(f"/v1/jobs/{uid}/cancel")
        answers[answer.status_code] += 1
        assert answer.status_code == 202 or harness.problem(answer, 409, "job-terminal")
    jobs = [c.wait(i) for i in ids]
    print(answers, Counter(j["status"] for j in jobs))
    assert {j["status"] for j in jobs} <= {"succeeded", "cancelled"} and all(j["status"] in TERMINAL for j in jobs)
    versions = (
        Counter(v["job"] for v in c.all("/v1/models/k/cancel-out/versions?limit=100") if v["number"] != 0)
        if c.get("/v1/models/k/cancel-out").status_code == 200
        else Counter()
    )
    for j in jobs:
        assert versions[j["id"]] == (1 if j["status"] == "succeeded" else 0), j
    assert not d.staging()
