"""Events: lists, streams, waiting requests and followed logs, over plain sockets.

What must come is what the test itself did, in that order; a list and a stream are also held against each other. Jobs
whose length matters run in a worker that does what the test tells it, line by line.
"""

import contextlib
import datetime
import hashlib
import http.client
import json
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest

import harness
import reference as ref
from harness import merge, problem, until
from streams import Stream

TOLD = """#!{python} -IS
import json, os, sys, time
if sys.argv[1] != "run":
    os.execv({real!r}, sys.argv)
text = sys.stdin.buffer.read()
spec = json.loads(text)

def say(record, **more):
    os.write(3, json.dumps({{"record": record, **more}}).encode() + b"\\n")

if spec["model"] == "e/told":
    orders, done = os.path.join({notes!r}, spec["job"] + "." + str(spec["attempt"])), 0
    while True:
        lines = open(orders).read().splitlines() if os.path.exists(orders) else []
        for line in lines[done:]:
            word, _, rest = line.partition(" ")
            if word == "hello":  # said once: who has said it cannot become the real one
                what = dict(program="told", registry={registry!r}, kernels="generic", threads=1)
                say("hello", proto=1, pid=os.getpid(), **what)
            elif word == "log":
                os.write(2, rest.encode() + b"\\n")
            elif word == "progress":
                n = int(rest)
                say("progress", phase="merge", done=n, total=10, unit="tensors", bytes_done=n, bytes_total=10)
            elif word == "fail":
                say("failed", code="non-finite", detail=rest, retryable=False)
                sys.exit(70)
            elif word == "crash":
                os.kill(os.getpid(), 11)
        done = len(lines)
        if lines and lines[-1] == "end":
            break
        time.sleep(0.01)
fd = os.memfd_create("spec")
os.write(fd, text)
os.lseek(fd, 0, 0)
os.dup2(fd, 0)
os.execv({real!r}, sys.argv)
"""


class Told:
    """Jobs of the model e/told of one daemon, and what their worker is to do."""

    def __init__(self, folder, start):
        self.notes = folder / "notes"
        self.notes.mkdir(parents=True)
        path, real = folder / "told-worker", harness.BUILD / "amend-worker"
        described = subprocess.run([real, "describe"], capture_output=True, check=True).stdout
        registry = hashlib.sha256(described).hexdigest()
        path.write_text(
            TOLD.format(python=sys.executable, real=str(real), notes=str(self.notes), registry=registry)
        )
        path.chmod(0o755)
        self.daemon = start(f"--workers.program={path}", "--jobs.retry_pause=50", "--workers.count=4")
        self.client = self.daemon.client

    def submit(self, into="e/told", **kw):
        answer = self.client.post("/v1/jobs", merge("linear", [("e/in", {"weight": 1.0})], into), **kw)
        assert answer.status_code == 202, answer.text
        return answer

    def order(self, uid, *lines, attempt=1):
        with open(self.notes / f"{uid}.{attempt}", "a") as f:
            f.write("".join(line + "\n" for line in lines))

    def run(self, *lines):
        uid = self.submit().json()["id"]
        self.order(uid, *lines)
        return self.client.wait(uid)

    def running(self):
        uid = self.submit().json()["id"]
        until(lambda: self.client.job(uid)["status"] == "running")
        return uid


def fill(client, roots):
    folder = roots / "e-in"
    if not folder.exists():
        ref.write(folder, {"w": ref.tensor("F32", [1.0, 2.0])})
    client.register(folder, "e/in")


@pytest.fixture(scope="module")
def told(tmp_path_factory, roots):
    folder = tmp_path_factory.mktemp("told")
    d = None

    def start(*flags):
        nonlocal d
        d = harness.Daemon(folder / "data", [roots], args=flags).start()
        fill(d.client, roots)
        return d

    yield Told(folder, start)
    d.stop()


def stored(client, path="/v1/events", after=0):
    sep = "&" if "?" in path else "?"
    found = []
    while True:
        page = client.ok(f"{path}{sep}limit=100&after={after}")
        found += page["data"]
        if not page["has_more"]:
            return found
        after = page["next"]


def newest(client):
    return (stored(client) or [{"seq": 0}])[-1]["seq"]


def types(events):
    return [e.get("event", e.get("type")) for e in events]


JOB = ["job.queued", "job.running", "model.version_created", "model.ref_moved", "job.succeeded"]


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_lists(told):
    c = told.client
    before = newest(c)
    job = told.run("end")
    assert job["status"] == "succeeded"
    failed = told.run("hello", "fail NaN in w")
    new = stored(c, after=before)
    got = [e["type"] for e in new if e["type"] != "model.created"]  # the first job makes the model
    assert got == JOB + ["job.queued", "job.running", "job.failed"]
    assert [e["seq"] for e in new] == list(range(before + 1, before + 1 + len(new)))
    mine = stored(c, f"/v1/jobs/{job['id']}/events")
    assert [e["job_seq"] for e in mine] == list(range(1, len(mine) + 1))
    assert mine == [e for e in new if e["id"].startswith("evt_" + job["id"][4:])]
    assert mine[0]["id"] == f"evt_{job['id'][4:]}_1" and mine[0]["subject"] == job["id"]
    assert {e["model"] for e in mine} == {"e/told"}
    end = new[-1]
    assert (end["level"], end["message"], end["data"]["code"]) == ("error", "failed: NaN in w", "non-finite")
    assert end["subject"] == failed["id"] and end["revision"] == 3  # queued, running, failed
    made = next(e for e in mine if e["type"] == "model.version_created")
    version = job["result"]["version"]
    assert made["subject"] == f"e/told@{version['commit']}" and made["data"]["number"] == version["number"]
    moved = next(e for e in mine if e["type"] == "model.ref_moved")
    assert moved["subject"] == "e/told@main" and moved["data"]["to"] == version["commit"]

    some = stored(c, "/v1/events?topic=models,tasks&topic=queue", before)
    assert some == [e for e in new if e["topic"] in ("models", "tasks")] and some
    assert stored(c, "/v1/events?model=e/told", before) == new
    assert stored(c, "/v1/events?model=e/none", before) == []
    page = c.ok(f"/v1/events?after={before}&limit=2")
    assert page["data"] == new[:2] and page["has_more"] and page["next"] == str(new[1]["seq"])
    problem(c.get("/v1/events?topic=job"), 400, "invalid-request")
    problem(c.get("/v1/events?after=-1"), 400, "invalid-request")
    problem(c.get("/v1/jobs/job_none/events"), 404, "not-found")
    assert job["links"]["events"] == f"/v1/jobs/{job['id']}/events"


def test_tasks_have_a_topic_of_their_own(told, roots):
    c = told.client
    before = newest(c)
    fill(c, roots)
    tasks = stored(c, "/v1/events?topic=tasks", before)
    assert types(tasks) == ["task.queued", "task.started", "task.finished"]
    assert tasks[-1]["data"]["status"] == "succeeded" and tasks[-1]["message"] == "succeeded"


# ---- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_is_the_list_as_it_happens(told):
    c = told.client
    before = newest(c)
    with Stream(c, "/v1/events/stream") as s, Stream(c, "/v1/events/stream?topics=models") as models:
        assert s.status == 200 and s.headers["Content-Type"] == "text/event-stream"
        assert s.headers["Cache-Control"] == "no-store" and s.headers["X-Accel-Buffering"] == "no"
        assert s.headers["X-Request-Id"]
        with Stream(c, "/v1/events/stream?model=e/none") as none:
            job = told.run("end")
            got = s.until("job.succeeded")
            assert s.retry == 3000
            assert [e["data"] for e in got] == stored(c, after=before)
            assert [int(e["id"]) for e in got] == [e["data"]["seq"] for e in got]
            assert [e["event"] for e in got] == [e["data"]["type"] for e in got]
            wanted = stored(c, "/v1/events?topic=models", before)
            assert [models.next()["data"] for _ in wanted] == wanted
            none.connection.sock.settimeout(0.05)
            with pytest.raises(TimeoutError):
                none.next()
    assert job["status"] == "succeeded"


def test_progress_is_told_twice_a_second_and_not_kept(told):
    c = told.client
    uid = told.running()
    told.order(uid, "hello")
    with Stream(c, f"/v1/jobs/{uid}/events/stream") as s:
        for i in range(1, 8):
            told.order(uid, f"progress {i}")
            time.sleep(0.2)
        told.order(uid, "fail enough")
        got = s.until("end", progress=True)
    progress = [e for e in got if e["event"] == "job.progress" and e["data"]["data"]["phase"] == "merge"]
    assert 2 <= len(progress) <= 4  # in 1.4 s
    done = [e["data"]["data"]["done"] for e in progress]
    assert done == sorted(done) and set(done) <= set(range(11))
    first = progress[0]["data"]
    assert first["id"] is None and first["job_seq"] is None and first["message"].startswith("merge: ")
    assert all(e["type"] != "job.progress" for e in stored(c, f"/v1/jobs/{uid}/events"))
    ids = [int(e["id"]) for e in got]
    assert ids == sorted(ids)


def test_a_job_stream_ends_with_the_job(told):
    c = told.client
    uid = told.running()
    path = f"/v1/jobs/{uid}/events/stream"
    with Stream(c, path) as s:
        assert [s.next()["event"] for _ in range(2)] == JOB[:2]
        told.order(uid, "end")
        s.until("end")
        assert s.next() is None  # closed
    all_of_it = stored(c, f"/v1/jobs/{uid}/events")
    with Stream(c, path) as s:  # from the start, though it is over
        got = s.rest()
    assert [e["data"] for e in got[:-1]] == all_of_it and got[-1]["event"] == "end"
    last = got[-1]["id"]
    assert last == str(all_of_it[-1]["seq"])
    with Stream(c, path, {"Last-Event-ID": str(all_of_it[1]["seq"])}) as s:
        assert [e["data"] for e in s.rest()[:-1]] == all_of_it[2:]
    with Stream(c, path, {"Last-Event-ID": last}) as s:
        assert s.status == 204
    with Stream(c, path + f"?last_event_id={last}") as s:
        assert s.status == 204
    problem(c.get("/v1/jobs/job_none/events/stream"), 404, "not-found")


def test_forms(told):
    c = told.client
    job = told.run("end")
    path = f"/v1/jobs/{job['id']}/events/stream"
    answer = c.get(path, headers={"Accept": "application/x-ndjson"})
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[:-1] == stored(c, f"/v1/jobs/{job['id']}/events")
    assert (lines[-1]["object"], lines[-1]["type"]) == ("control", "end")
    for accept in ("*/*", "text/event-stream", "text/html, */*;q=0.1", "TEXT/EVENT-STREAM"):
        assert c.get(path, headers={"Accept": accept}).headers["Content-Type"] == "text/event-stream"
    problem(c.get(path, headers={"Accept": "application/json"}), 406, "not-acceptable")
    problem(c.get("/v1/events/stream?topics=x"), 400, "invalid-request")
    problem(c.get("/v1/events/stream", headers={"Last-Event-ID": "evt_1"}), 400, "invalid-request")
    head = c.head("/v1/events/stream")
    assert head.status_code == 200 and head.headers["Content-Type"] == "text/event-stream"


def test_no_gap_over_a_cut_connection(told):
    c = told.client
    before = newest(c)
    got, last = [], before
    for _ in range(2):
        told.run("end")
        with Stream(c, f"/v1/events/stream?last_event_id={last}") as s:
            for _ in range(4):  # cut in the middle of a job's events
                event = s.next()
                if not event["event"].endswith(".progress"):
                    got.append(event["data"])
                    last = event["id"]
    with Stream(c, "/v1/events/stream", {"Last-Event-ID": last}) as s:
        told.run("hello", "fail last")
        got += [e["data"] for e in s.until("job.failed")]
    assert got == stored(c, after=before)


def test_no_gap_over_a_crash_and_reset_after_pruning(launch, roots):
    d = launch()
    fill(d.client, roots)
    with Stream(d.client, "/v1/events/stream?last_event_id=0") as s:
        got = [e["data"] for e in s.until("task.finished")]
        d.kill()
        with contextlib.suppress(OSError, http.client.HTTPException):
            s.rest()
    last = got[-1]["seq"]
    d.start()
    d.client.run(merge("linear", [("e/in", {"weight": 1.0})], "e/out"))
    with Stream(d.client, "/v1/events/stream", {"Last-Event-ID": str(last)}) as s:
        got += [e["data"] for e in s.until("job.succeeded")]
    assert got == stored(d.client) and [e["seq"] for e in got] == list(range(1, len(got) + 1))

    d.stop()
    with sqlite3.connect(d.data / "amendd.db") as db:  # as the housekeeping does after events.keep_days
        db.execute("DELETE FROM event WHERE seq <= ?", [last + 1])
    d.start()
    for since, reset in ((last, True), (last + 1, False), (got[-1]["seq"] + 1000, True)):
        with Stream(d.client, f"/v1/events/stream?last_event_id={since}") as s:
            first = s.next()
            assert first["event"] == ("reset" if reset else got[last + 1]["type"]), since
            if reset:  # and on from now
                assert first["id"] == str(newest(d.client))
                fill(d.client, roots)
                assert s.next()["data"]["type"] == "task.queued"


@pytest.mark.slow
def test_a_slow_reader_is_reset_and_nobody_else(launch, roots):
    d = launch()
    slow = Stream(d.client, "/v1/events/stream?topics=queue", receive=4096)
    fast = Stream(d.client, "/v1/events/stream?topics=queue")
    count, steps = 0, 0
    db = sqlite3.connect(d.data / "amendd.db", timeout=10, isolation_level=None)
    data, seen = json.dumps({"fill": "x" * 8000}), []
    for steps in range(1, 81):  # more than the kernel takes for a reader that does not read
        db.execute("BEGIN IMMEDIATE")
        for _ in range(12):
            db.execute(
                "INSERT INTO event (at, topic, type, subject, data) VALUES (?, 'queue', 'queue.depth', 'queue', ?)",
                [steps, data],
            )
        db.execute("COMMIT")
        count += 12
        d.client.post("/v1/models", {"id": f"e/m{steps}"})  # a commit of the daemon's own: it looks
        seen += [fast.next() for _ in range(12)]
    db.close()
    assert [e["event"] for e in seen] == ["queue.depth"] * count
    got = []
    while not got or got[-1]["event"] != "reset":
        got.append(slow.next())
    assert len(got) - 1 < count  # it has lost some, and knows
    assert [e["data"]["seq"] for e in got[:-1]] == [e["data"]["seq"] for e in seen[: len(got) - 1]]
    began = time.monotonic()
    d.stop()
    assert time.monotonic() - began < 3
    slow.close()
    fast.close()


def test_a_bounded_number_of_streams(launch):
    d = launch("--limits.streams=3")
    streams = [Stream(d.client, "/v1/events/stream") for _ in range(3)]
    answer = d.client.get("/v1/events/stream")
    problem(answer, 503, "too-many-streams")
    assert int(answer.headers["Retry-After"]) >= 1
    assert d.client.head("/v1/events/stream").status_code == 200  # opens none
    began = time.monotonic()
    d.stop()
    assert time.monotonic() - began < 2
    for s in streams:
        assert s.rest() == []  # a clean end, not a cut
        s.close()


# ---- waiting ---------------------------------------------------------------------------------------------------------


def test_waiting_for_the_end(told):
    c = told.client
    uid = told.running()
    answers = {}

    def wait(name, **headers):
        answer = harness.Client(c.url).get(f"/v1/jobs/{uid}", headers=headers)
        answers[name] = answer, time.time()

    etag = c.get(f"/v1/jobs/{uid}").headers["ETag"]
    threads = [
        threading.Thread(target=wait, args=["end"], kwargs={"Prefer": "respond-async, wait=30"}),
        threading.Thread(target=wait, args=["change"], kwargs={"Prefer": "wait=30", "If-None-Match": etag}),
        threading.Thread(target=wait, args=["limit"], kwargs={"Prefer": "wait=1"}),
    ]
    began = time.time()
    for t in threads:
        t.start()
    threads[2].join(5)
    limited, at = answers["limit"]
    assert 1.0 <= at - began < 1.5 and limited.json()["status"] == "running"
    assert limited.headers["Preference-Applied"] == "wait=1" and set(answers) == {"limit"}
    told.order(uid, "end")
    for t in threads:
        t.join(10)
    for name in ("end", "change"):
        answer, at = answers[name]
        assert answer.json()["status"] == "succeeded" and answer.headers["Preference-Applied"] == "wait=30"
        finished = stored(c, f"/v1/jobs/{uid}/events")[-1]["created_at"]
        late = at - ms_of(finished)
        assert late < 0.1 + 0.05, f"{name}: {late:.3f} s after the change"  # and the row's own commit
    again = c.get(f"/v1/jobs/{uid}", headers={"Prefer": "wait=99"})
    assert again.headers["Preference-Applied"] == "wait=60"  # at once: it is over
    assert "Preference-Applied" not in c.get(f"/v1/jobs/{uid}").headers
    problem(c.get("/v1/jobs/job_none", headers={"Prefer": "wait=30"}), 404, "not-found")


def ms_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_submitting_and_waiting(told):
    answer = told.submit(into="e/quick", headers={"Prefer": "wait=30"})
    job = answer.json()
    assert job["status"] == "succeeded" and answer.headers["Preference-Applied"] == "wait=30"
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    uid = told.submit(headers={"Idempotency-Key": "same"}).json()["id"]
    told.order(uid, "end")
    same = told.submit(headers={"Idempotency-Key": "same", "Prefer": "wait=30"})
    assert same.headers["Idempotency-Replayed"] == "true"
    assert (same.json()["id"], same.json()["status"]) == (uid, "succeeded")
    other = told.client.post("/v1/admin/tasks", {"kind": "check"}, headers={"Prefer": "wait=30"})
    assert other.status_code == 202 and other.json()["status"] == "succeeded"


# ---- logs ------------------------------------------------------------------------------------------------------------


def test_a_followed_log(told):
    c = told.client
    uid = told.running()
    told.order(uid, "log one")
    path = f"/v1/jobs/{uid}/log?follow=true"
    with Stream(c, path) as s, Stream(c, path + "&attempt=1") as one:
        assert s.answer.readline() == b"one\n"
        told.order(uid, "log two")
        assert s.answer.readline() == b"two\n"
        told.order(uid, "hello", "crash")  # a second attempt, whose log comes next
        told.order(uid, "log three", "end", attempt=2)
        assert s.answer.read() == b"three\n"
        assert one.answer.read() == b"one\ntwo\n"
    whole = c.get(f"/v1/jobs/{uid}/log?attempt=1")
    assert whole.content == b"one\ntwo\n"
    assert c.get(f"/v1/jobs/{uid}/log?attempt=1&offset=4").content == b"two\n"
    assert c.get(f"/v1/jobs/{uid}/log?attempt=1&offset=400").content == b""
    assert c.get(f"/v1/jobs/{uid}/log?follow=true&attempt=1").content == b"one\ntwo\n"  # it is over
    problem(c.get(f"/v1/jobs/{uid}/log?follow=1"), 400, "invalid-request")
    problem(c.get("/v1/jobs/job_none/log?follow=true"), 404, "not-found")


def test_the_client_shows_them(told):
    c = told.client
    uid = told.running()
    with subprocess.Popen(
        [harness.BUILD / "amend", "job", "logs", uid, "-f"],
        stdout=subprocess.PIPE,
        env={"AMEND_ENDPOINT": c.url},
    ) as follow:
        told.order(uid, "log one")
        assert follow.stdout.readline() == b"one\n"
        told.order(uid, "log two", "hello", "fail so told")
        assert follow.stdout.read() == b"two\n" and follow.wait(5) == 0
    assert harness.amend(c, "job", "logs", uid) == "one\ntwo\n"
    rows = [line.split("\t") for line in harness.amend(c, "job", "events", uid).splitlines()]
    events = stored(c, f"/v1/jobs/{uid}/events")
    assert [(r[0], r[2], r[3]) for r in rows] == [(e["id"], e["level"], e["type"]) for e in events]
    assert rows[-1][4] == "failed: so told"
    assert harness.amend(c, "job", "logs", "job_none", "-f", expect=5) == ""


# ---- slow ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_heartbeat(told):
    with Stream(told.client, "/v1/events/stream?topics=queue", timeout=20) as s:
        began = time.monotonic()
        assert s.answer.readline() == b"retry: 3000\n" and s.answer.readline() == b"\n"
        assert s.answer.readline() == b": hb\n"
        assert 14 < time.monotonic() - began < 16


@pytest.mark.slow
def test_old_events_go(launch, roots):
    d = launch("--events.keep_days=1")
    fill(d.client, roots)
    d.stop()
    n = 2600
    with sqlite3.connect(d.data / "amendd.db") as db:
        last = db.execute("SELECT max(seq) FROM event").fetchone()[0]
        db.executemany(
            "INSERT INTO event (at, topic, type, subject, data) VALUES (?, 'queue', 'queue.depth', 'queue', '{}')",
            [[1000 + i] for i in range(n)],
        )
        db.execute("UPDATE event SET at = 999 WHERE seq <= ?", [last])
    d.start()
    fill(d.client, roots)
    deadline = time.monotonic() + 15
    while stored(d.client)[0]["seq"] != last + n + 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_hundreds_of_streams_and_waiters(launch, roots):
    d = launch()
    fill(d.client, roots)
    later = {"not_before": "2100-01-01T00:00:00Z"}
    uid = d.client.submit(merge("linear", [("e/in", {"weight": 1.0})], "e/later", **later))
    streams = [Stream(d.client, "/v1/events/stream", timeout=30) for _ in range(512)]
    assert {s.status for s in streams} == {200}
    problem(d.client.get("/v1/events/stream"), 503, "too-many-streams")
    where = urllib.parse.urlsplit(d.client.url)
    waiters = []
    for _ in range(500):
        w = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        w.request("GET", f"/v1/jobs/{uid}", headers={"Prefer": "wait=60"})
        waiters.append(w)
    time.sleep(1)
    began = time.monotonic()
    assert d.client.get("/v1/queue").status_code == 200  # others are served meanwhile
    assert time.monotonic() - began < 1
    d.client.run(merge("linear", [("e/in", {"weight": 1.0})], "e/out"))
    d.client.post(f"/v1/jobs/{uid}/cancel")
    asked = time.monotonic()
    for w in waiters:
        answer = w.getresponse()
        assert json.loads(answer.read())["status"] == "cancelled"
    waited = time.monotonic() - asked
    ends = [s.until("job.cancelled")[-1]["id"] for s in streams]
    assert len(set(ends)) == 1
    resident = d.status("VmRSS")
    print(f"resident {resident} kB with 512 streams and 500 waiters, all answered in {waited:.3f} s")
    if not harness.SANITIZED:
        assert resident < 64 * 1024
    began = time.monotonic()
    d.stop()
    print(f"stopped in {time.monotonic() - began:.2f} s")
    for s in streams:
        s.close()
    for w in waiters:
        w.close()
