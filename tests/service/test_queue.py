"""The queue and the engine end to end: attempts and their pauses, workers that hang, refuse to stop or take too long,
times before which nothing runs, the slot for short jobs, ageing, the bound of the queue.

The daemon is given a worker that does what the name of the published model says ("q/crash") before or instead of being
the real one; everything else of it is the real one.
"""

import datetime
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import harness
import reference as ref
from harness import merge, problem, until

ODD = """#!{python} -IS
import json, os, signal, sys, time
if sys.argv[1] != "run":
    os.execv({real!r}, sys.argv)
text = sys.stdin.buffer.read()
spec = json.loads(text)
deed, _, number = spec["model"].partition("/")[2].partition("-")
number = int(number or 0)
notes = os.path.join({notes!r}, spec["job"] + "." + str(spec["attempt"]))

def say(record, **more):
    os.write(3, json.dumps({{"record": record, **more}}).encode() + b"\\n")

def hello():
    say("hello", proto=1, pid=os.getpid(), program="odd", registry={registry!r}, kernels="generic", threads=1)

def be_real():
    fd = os.memfd_create("spec")
    os.write(fd, text)
    os.lseek(fd, 0, 0)
    os.dup2(fd, 0)
    os.execv({real!r}, sys.argv)

def note(*pids):
    with open(notes + ".part", "w") as f:
        f.write(" ".join(map(str, pids)))
    os.rename(notes + ".part", notes)

def beat():
    while True:
        say("heartbeat")
        time.sleep(0.1)

def leave(*_):
    os._exit(75)

def child(session):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if session:
            os.setsid()
        time.sleep(60)
        os._exit(0)
    return pid

if deed == "wait":  # until the gate is open
    note(os.getpid())
    while not os.path.exists(os.path.join({notes!r}, "gate")):
        time.sleep(0.01)
elif deed == "crash" and (not number or spec["attempt"] <= number):
    hello()
    os.kill(os.getpid(), signal.SIGSEGV)
elif deed == "tell":  # fails with the code and the word on retrying that the message of the test holds
    hello()
    code, again = open(os.path.join({notes!r}, "tell")).read().split()
    say("failed", code=code, detail="so told", retryable=again == "true")
    sys.exit(70)
elif deed == "silent":
    hello()
    time.sleep(60)
elif deed == "polite":  # silent, and ends as asked
    signal.signal(signal.SIGTERM, leave)
    hello()
    time.sleep(60)
elif deed == "deaf":  # silent, and does not even stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hello()
    time.sleep(60)
elif deed == "busy" and (not number or spec["attempt"] <= number):  # works for ever, and stops when asked
    signal.signal(signal.SIGTERM, leave)
    hello()
    note(os.getpid())
    beat()
elif deed == "family":  # does not stop, nor do its children and grandchildren
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hello()
    read, write = os.pipe()
    first = os.fork()
    if first == 0:
        os.write(write, str(child(False)).encode())
        time.sleep(60)
        os._exit(0)
    note(os.getpid(), first, int(os.read(read, 20)), child(False))
    beat()
elif deed == "orphan":  # crashes, and leaves a child behind in its group
    hello()
    note(os.getpid(), child(False))
    os.kill(os.getpid(), signal.SIGSEGV)
elif deed == "escape":  # crashes, and leaves a child that left the group and holds all descriptors
    hello()
    note(os.getpid(), child(True))
    os.kill(os.getpid(), signal.SIGSEGV)
be_real()
"""


class Odd:
    """The odd worker of a test: its path, and what its processes told."""

    def __init__(self, folder):
        self.notes = folder / "notes"
        self.notes.mkdir()
        self.path = folder / "odd-worker"
        real = harness.BUILD / "amend-worker"
        told = subprocess.run([real, "describe"], capture_output=True, check=True).stdout
        self.path.write_text(
            ODD.format(
                python=sys.executable,
                real=str(real),
                notes=str(self.notes),
                registry=hashlib.sha256(told).hexdigest(),
            )
        )
        self.path.chmod(0o755)

    def flag(self):
        return f"--workers.program={self.path}"

    def open(self):
        (self.notes / "gate").touch()

    def tell(self, code, again):
        (self.notes / "tell").write_text(f"{code} {'true' if again else 'false'}")

    def pids(self, uid, attempt=1, timeout=10):
        """The processes of an attempt, once it has told them."""
        path, deadline = self.notes / f"{uid}.{attempt}", time.monotonic() + timeout
        while not path.exists():
            assert time.monotonic() < deadline, f"{path.name} never came so far"
            time.sleep(0.01)
        return [int(p) for p in path.read_text().split()]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids, within=2):
    deadline = time.monotonic() + within
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(alive, pids))


@pytest.fixture
def odd(tmp_path):
    return Odd(tmp_path)


@pytest.fixture
def start(launch, odd, roots):
    """A daemon with the odd worker and a small model in it."""

    def go(*flags, name="data"):
        d = launch(odd.flag(), "--jobs.retry_pause=50", "--jobs.cancel_grace=400", *flags, name=name)
        d.client.register(ref.write(roots / f"in-{os.urandom(4).hex()}", {"w": ref.tensor("F32", [1.0, 2.0])}), "q/in")
        return d

    return go


def body(deed, priority=50, **options):
    return {
        **merge("linear", [("q/in", {"weight": 1.0})], f"q/{deed}", params={"normalize": False}, **options),
        "priority": priority,
    }


def events(d, uid):
    """[(ms, type, data)] of a job, as the database has them."""
    with sqlite3.connect(f"file:{d.data / 'amendd.db'}?mode=ro", uri=True) as db:
        rows = db.execute(
            "SELECT at, e.type, data FROM event e JOIN job ON job.id = e.job"
            " WHERE uid = ? AND e.type LIKE 'job.%' ORDER BY seq",
            [uid],
        ).fetchall()
    return [(at, kind, json.loads(data)) for at, kind, data in rows]


def wait_status(client, uid, status, timeout=10):
    deadline = time.monotonic() + timeout
    while True:
        job = client.job(uid)
        if job["status"] == status:
            return job
        assert time.monotonic() < deadline and job["status"] not in harness.TERMINAL, job
        time.sleep(0.01)


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# ---- attempts --------------------------------------------------------------------------------------------------------


def test_a_crash_is_tried_again_after_a_growing_pause(start):
    d = start()
    job = d.client.wait(d.client.submit(body("crash-2")))
    assert job["status"] == "succeeded" and job["attempt"] == 3 and job["restarts"] == 0, job
    story = events(d, job["id"])
    assert [kind for _, kind, _ in story] == [
        "job.queued",
        "job.running",
        "job.requeued",
        "job.running",
        "job.requeued",
        "job.running",
        "job.succeeded",
    ]
    for i, pause in ((2, 50), (4, 250)):
        assert story[i][2]["code"] == "worker-crashed" and "SIGSEGV" in story[i][2]["detail"], story[i]
        assert pause <= story[i + 1][0] - story[i][0] < pause + 1000, story
    assert len(d.client.all("/v1/models/q/crash-2/versions")) == 2  # v0 and v1: published once


def test_attempts_come_to_an_end(start):
    d = start()
    c = d.client
    error = c.fails(body("crash"))
    assert error["code"] == "attempts-exhausted" and error["retryable"] is False
    assert "3 times" in error["detail"] and "SIGSEGV" in error["detail"] and "worker-crashed" in error["detail"]
    assert error["errors"][0]["code"] == "worker-crashed" and "SIGSEGV" in error["errors"][0]["detail"]
    error = c.fails(body("crash", max_attempts=1))
    assert error["code"] == "worker-crashed" and error["retryable"] is True and error["errors"] == []
    job = c.wait(c.submit(body("crash-4", max_attempts=5)))
    assert job["status"] == "succeeded" and (job["attempt"], job["max_attempts"]) == (5, 5)
    for wrong in (0, 11, "many"):
        answer = c.post("/v1/jobs", body("x", max_attempts=wrong))
        assert answer.status_code in (400, 422) and answer.json()["errors"][0]["pointer"] == "#/options/max_attempts"


def test_the_setting_counts_where_the_job_says_nothing(start):
    d = start("--jobs.max_attempts=2")
    job = d.client.wait(d.client.submit(body("crash")))
    assert job["max_attempts"] == 2 and job["attempt"] == 2 and "2 times" in job["error"]["detail"], job


@pytest.mark.parametrize(
    "code, again, tried",
    [
        ("cannot-write", True, 2),
        ("out-of-memory", True, 2),
        ("cannot-write", False, 1),
        ("bad-input", True, 1),  # the word of a worker does not make bad input good
        ("bad-spec", True, 1),
        ("non-finite", True, 1),
    ],
)
def test_what_may_pass_is_tried_again_and_nothing_else(start, odd, code, again, tried):
    d = start()
    odd.tell(code, again)
    job = d.client.wait(d.client.submit(body("tell", max_attempts=2)))
    assert job["status"] == "failed" and job["attempt"] == tried, job
    assert job["error"]["code"] == ("attempts-exhausted" if tried == 2 else code)
    assert tried == 1 or job["error"]["errors"][0] == {"pointer": "", "code": code, "detail": "so told"}
    assert "so told" in job["error"]["detail"]


def test_a_pause_outlives_the_daemon(start):
    """While it waits the job says why; killed and started again, the daemon keeps the pause and the count."""
    d = start("--jobs.retry_pause=1500")
    uid = d.client.submit(body("crash-1"))
    reason = until(lambda: (r := d.client.job(uid)["status_reason"] or {}).get("cause") and r)
    assert reason["code"] == "requeued" and reason["cause"] == "worker-crashed" and "SIGSEGV" in reason["detail"]
    assert d.client.job(uid)["queue_position"] is None, "it is in no line while it waits"
    d.kill()
    d.start()
    job = d.client.wait(uid)
    assert job["status"] == "succeeded" and job["attempt"] == 2 and job["restarts"] == 0
    assert at(job["started_at"]) >= at(reason["not_before"]) - 0.001


def test_a_worker_stopped_by_somebody_else_is_tried_again(start, odd):
    d = start()
    uid = d.client.submit(body("busy-1"))
    os.kill(odd.pids(uid)[0], signal.SIGTERM)
    job = d.client.wait(uid)
    assert job["status"] == "succeeded" and job["attempt"] == 2, job
    assert "somebody else" in events(d, uid)[2][2]["detail"]


# ---- workers that do not end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["silent", "polite", "deaf"])
def test_silence_is_a_hang_however_the_worker_ends_then(start, deed):
    d = start("--jobs.heartbeat_timeout=1000")
    began = time.monotonic()
    error = d.client.fails(body(deed, max_attempts=1))
    took = time.monotonic() - began
    assert error["code"] == "worker-hung" and error["retryable"] is True and "1 seconds" in error["detail"], error
    assert 1.0 <= took < 4 and (took >= 1.4) == (deed == "deaf"), f"{deed} took {took:.2f} s"
    assert not d.workers()


def test_a_hang_is_tried_again(start):
    d = start("--jobs.heartbeat_timeout=1000")
    error = d.client.fails(body("silent", max_attempts=2))
    assert error["code"] == "attempts-exhausted" and error["errors"][0]["code"] == "worker-hung", error


def test_time_limit(start):
    """A job that works on and on ends at its limit, at its first attempt; one that is quick does not notice."""
    d = start()
    began = time.monotonic()
    job = d.client.wait(d.client.submit(body("busy", time_limit_seconds=1)))
    assert job["status"] == "failed" and job["error"]["code"] == "time-limit" and job["attempt"] == 1, job
    assert job["error"]["retryable"] is False and "time_limit_seconds = 1" in job["error"]["detail"]
    assert 1.0 <= time.monotonic() - began < 4
    assert d.client.wait(d.client.submit(body("real", time_limit_seconds=60)))["status"] == "succeeded"


def test_limits_are_no_part_of_the_recipe(start):
    """When and how often a job runs changes no byte of it."""
    d = start()
    plain = d.client.wait(d.client.submit(body("plain")))
    later = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)).isoformat()
    extra = d.client.wait(
        d.client.submit(body("plain", time_limit_seconds=60, max_attempts=2, not_before=later, seed=0))
    )
    assert plain["resolved"]["spec_sha256"] == extra["resolved"]["spec_sha256"]
    assert extra["status"] == "succeeded" and extra["spec"]["options"]["max_attempts"] == 2
    one, two = (d.client.files(f"q/plain@{j['result']['version']['commit']}") for j in (plain, extra))
    assert {p: f["sha256"] for p, f in one.items()} == {p: f["sha256"] for p, f in two.items()}


# ---- cancel ----------------------------------------------------------------------------------------------------------


def test_cancel_ends_a_whole_family_that_does_not_listen(start, odd):
    """Asked, then killed after the grace: the worker, its children and grandchildren. Cancelled only when all is gone.
    """
    d = start("--workers.count=1")
    uid = d.client.submit(body("family"))
    pids = odd.pids(uid)
    assert len(pids) == 4 and all(map(alive, pids))
    began = time.monotonic()
    assert d.client.post(f"/v1/jobs/{uid}/cancel").json()["status"] == "cancelling"
    time.sleep(0.2)
    assert d.client.job(uid)["status"] == "cancelling" and all(map(alive, pids)), "the grace is not over"
    job = d.client.wait(uid)
    took = time.monotonic() - began
    assert job["status"] == "cancelled" and 0.4 <= took < 2, f"{job['status']} after {took:.2f} s"
    assert gone(pids, 0.5), [p for p in pids if alive(p)]
    assert not d.staging()
    d.client.run(body("real"))
    assert [kind for _, kind, _ in events(d, uid)] == ["job.queued", "job.running", "job.cancelling", "job.cancelled"]


def test_cancel_of_a_worker_that_listens_needs_no_grace(start, odd):
    d = start("--jobs.cancel_grace=30000")
    uid = d.client.submit(body("busy"))
    odd.pids(uid)
    began = time.monotonic()
    d.client.post(f"/v1/jobs/{uid}/cancel")
    assert d.client.wait(uid)["status"] == "cancelled" and time.monotonic() - began < 3


def test_what_a_dead_worker_left_goes_with_it(start, odd):
    d = start()
    uid = d.client.submit(body("orphan", max_attempts=1))
    assert d.client.wait(uid)["error"]["code"] == "worker-crashed"
    assert gone(odd.pids(uid)), "a child of the dead worker lives on"


def test_a_child_that_left_the_group_holds_up_nothing(start, odd):
    """It keeps the pipes of the worker open: the job ends all the same, two seconds later."""
    d = start()
    uid = d.client.submit(body("escape", max_attempts=1))
    pids = odd.pids(uid)
    try:
        assert d.client.wait(uid, 8)["error"]["code"] == "worker-crashed"
        d.client.run(body("real"))
    finally:
        os.kill(pids[1], signal.SIGKILL)
    assert gone(pids)


def test_a_job_that_waits_for_another_attempt_is_cancelled_at_once(start):
    d = start("--jobs.retry_pause=60000")
    uid = d.client.submit(body("crash"))
    until(lambda: (d.client.job(uid)["status_reason"] or {}).get("code") == "requeued")
    assert d.client.post(f"/v1/jobs/{uid}/cancel").json()["status"] == "cancelled"


# ---- when and in which order -----------------------------------------------------------------------------------------


def test_not_before(start):
    d = start()
    c = d.client
    when = time.time() + 1.5
    zone = datetime.timezone(datetime.timedelta(hours=2))
    uid = c.submit(body("later", not_before=datetime.datetime.fromtimestamp(when, zone).isoformat()))
    job = c.job(uid)
    assert job["status"] == "queued" and job["status_reason"]["code"] == "not_before"
    assert abs(at(job["status_reason"]["not_before"]) - when) < 0.002 and job["queue_position"] is None
    c.run(body("now"))
    job = c.wait(uid)
    assert job["status"] == "succeeded" and -0.002 <= at(job["started_at"]) - when < 1, job["started_at"]
    past = c.job(c.submit(body("past", not_before="2001-01-01T00:00:00Z")))
    assert (past["status_reason"] or {"code": "waiting_for_slot"})["code"] == "waiting_for_slot"
    doc = problem(c.post("/v1/jobs", body("x", not_before="soon")), 422, "invalid-params")
    assert doc["errors"][0]["pointer"] == "#/options/not_before" and "RFC 3339" in doc["errors"][0]["detail"]


def test_a_short_job_does_not_wait_behind_long_ones(start, odd):
    """Two slots: one is kept for jobs planned below workers.short_seconds. With 0 every job is long."""
    d = start("--workers.count=2", "--workers.short_seconds=0")
    c = d.client
    long = [c.submit(body("wait")) for _ in range(3)]
    odd.pids(long[0])
    time.sleep(0.5)
    assert [c.job(u)["status"] for u in long] == ["running", "queued", "queued"], "the other slot is kept"
    assert c.job(long[1])["status_reason"] == {"code": "waiting_for_slot"}
    assert [c.job(u)["queue_position"] for u in long] == [None, 1, 2]
    d.stop()
    d.args[-1] = "--workers.short_seconds=60"
    d.start()
    c = d.client
    odd.pids(long[0], attempt=2)
    c.run(body("real"))
    assert [c.job(u)["status"] for u in long] == ["running", "queued", "queued"]
    odd.open()
    assert [c.wait(u)["status"] for u in long] == ["succeeded"] * 3


def test_both_slots_take_short_jobs(start, odd):
    d = start("--workers.count=2")
    jobs = [d.client.submit(body("wait")) for _ in range(3)]
    for uid in jobs[:2]:
        odd.pids(uid)
    assert [d.client.job(u)["status"] for u in jobs] == ["running", "running", "queued"]
    odd.open()
    assert [d.client.wait(u)["status"] for u in jobs] == ["succeeded"] * 3


def test_waiting_counts_as_priority(start, odd):
    """One point a second here: what waits 3 s overtakes what is 2 points better, not what is 40 points better."""
    d = start("--workers.count=1", "--jobs.ageing_seconds=1")
    c = d.client
    first = c.submit(body("wait"))
    odd.pids(first)
    old = c.submit(body("old", priority=52))
    time.sleep(3.1)
    new, best = c.submit(body("new", priority=50)), c.submit(body("best", priority=12))
    assert [c.job(u)["queue_position"] for u in (best, old, new)] == [1, 2, 3]
    odd.open()
    began = [at(c.wait(u)["started_at"]) for u in (first, best, old, new)]
    assert began == sorted(began)


def test_a_full_queue_says_so(start, odd):
    d = start("--workers.count=1", "--limits.queue=3")
    c = d.client
    first = c.submit(body("wait"))
    odd.pids(first)
    queued = [c.submit(body(f"n{i}")) for i in range(3)]
    answer = c.post("/v1/jobs", body("more"))
    doc = problem(answer, 503, "queue-full")
    assert answer.headers["Retry-After"].isdigit() and doc["retryable"] is True and "limits.queue" in doc["detail"]
    assert len(c.all("/v1/jobs")) == 4, "a refusal stores nothing"
    assert c.post(f"/v1/jobs/{queued[0]}/cancel").json()["status"] == "cancelled"
    queued[0] = c.submit(body("more"))
    problem(c.post("/v1/jobs", body("more")), 503, "queue-full")
    odd.open()
    assert [c.wait(u)["status"] for u in [first, *queued]] == ["succeeded"] * 4
