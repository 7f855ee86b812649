"""A worker that SIGKILL does not end costs its job and no more: the job fails with the reason, the slot goes on, the
attempt's staging is left alone, and the daemon can still stop.

In state D a process is out of reach of a test. What a daemon sees of one, a child that was killed and is not reaped,
a tracer can make: the kernel tells the parent of a traced child's death only when its tracer has seen it.
"""

import ctypes
import os
import stat
import time

import numpy as np
import pytest

import reference as ref
from harness import BUILD, merge, until

PTRACE_SEIZE, WALL = 0x4206, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return None


class Held:
    """Worker processes whose death nobody is told of before let_go()."""

    def __init__(self):
        self.pids = []

    def hold(self, d):
        (pid,) = until(lambda: [p for p in d.workers() if p not in self.pids and name_of(p) == "sleep"])
        if libc.ptrace(PTRACE_SEIZE, pid, 0, 0) != 0:
            pytest.skip(f"no process can be traced here: {os.strerror(ctypes.get_errno())}")
        self.pids.append(pid)
        return pid

    def let_go(self):
        for pid in self.pids:
            os.waitpid(pid, WALL)
        self.pids = []


@pytest.fixture
def held():
    h = Held()
    yield h
    h.let_go()


@pytest.fixture
def start(launch, tmp_path, roots):
    """start(*flags): a daemon with one slot, whose worker sleeps in the place of a job as often as there are files
    `stuck` to take away."""
    script = tmp_path / "worker.sh"
    script.write_text(
        "#!/bin/sh\nif [ $1 = run ] && rmdir %s/stuck$(ls %s | sed -n s/stuck//p | head -n 1) 2>/dev/null; then\n"
        "exec /bin/sleep 300\nfi\nexec %s $1\n" % (tmp_path, tmp_path, BUILD / "amend-worker")
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)

    def make(*args, stuck=1):
        d = launch(
            f"--workers.program={script}",
            "--workers.count=1",
            "--workers.helpers=1",
            "--jobs.cancel_grace=200",
            "--jobs.kill_wait=500",
            *args,
        )
        d.client.register(ref.write(roots / f"u{len(os.listdir(roots))}", {"w": ref.tensor("F32", np.arange(64))}), "u/in")
        for i in range(stuck):
            (tmp_path / f"stuck{i}").mkdir()
        return d

    return make


def submit(d, **options):
    return d.client.submit({**merge("linear", [("u/in", {"weight": 1.0})], "u/out", **options)})


def staging(d):
    return sorted(p.name for p in (d.data / "staging").iterdir())


def workers_check(d):
    return d.client.ok("/readyz")["checks"]["workers"]


def test_a_cancelled_job_fails_and_the_next_runs(start, held):
    d = start()
    c = d.client
    stuck, waiting = submit(d), submit(d)
    pid = held.hold(d)
    began = time.monotonic()
    assert c.post(f"/v1/jobs/{stuck}/cancel").json()["status"] == "cancelling"
    job = c.wait(stuck)
    assert 0.7 <= time.monotonic() - began < 5  # SIGTERM, 200 ms, SIGKILL, 500 ms
    assert (job["status"], job["error"]["code"]) == ("failed", "worker-hung"), job
    assert "was cancelled and was killed, but has not ended 0.5 seconds later (jobs.kill_wait)" in job["error"]["detail"]
    assert job["error"]["retryable"] and job["result"] is None
    # the slot goes on; what the lost worker may still write to is left alone, by a gc too
    assert c.wait(waiting)["status"] == "succeeded"
    until(lambda: staging(d) == [stuck + ".1"])  # the folder of a published attempt goes after its row is there
    gc = c.wait(c.post("/v1/admin/tasks", {"kind": "gc"}).json()["id"])
    assert gc["result"]["staging"] == 0 and staging(d) == [stuck + ".1"]
    check = workers_check(d)
    assert check["status"] == "warn" and "1 were killed and do not end" in check["detail"], check
    assert c.get("/readyz").status_code == 200
    assert f"worker was killed and does not end, it is given up job={stuck} attempt=1 pid={pid}" in d.log()
    held.let_go()
    until(lambda: workers_check(d) == {"status": "ok", "detail": "0 running"})
    assert f"has ended after all job={stuck}" in d.log() and c.job(stuck) == job
    (d.data / "staging" / (stuck + ".1")).rmdir()  # the next start would, or a gc after store.gc_grace


def test_a_silent_one_is_not_tried_again(start, held):
    d = start("--jobs.heartbeat_timeout=1000", "--store.gc_grace=0")
    uid = submit(d, max_attempts=3)
    held.hold(d)
    job = d.client.wait(uid)
    assert (job["status"], job["error"]["code"], job["attempt"]) == ("failed", "worker-hung", 1), job
    assert "said nothing any more and was killed" in job["error"]["detail"]
    held.let_go()
    d.client.wait(d.client.post("/v1/admin/tasks", {"kind": "gc"}).json()["id"])
    assert d.staging() == []


def test_the_daemon_stops_without_it_and_the_job_runs_again(start, held):
    d = start()
    uid = submit(d)
    pid = held.hold(d)
    d.process.terminate()
    assert d.process.wait(10) == 0
    assert "stopped" in d.log().splitlines()[-1] and os.path.exists(f"/proc/{pid}")
    held.let_go()
    d.start()
    job = d.client.wait(uid)
    assert job["status"] == "succeeded" and job["restarts"] == 1, job
    assert d.staging() == []


def test_they_cannot_pile_up(start, held):
    d = start(stuck=2)
    c = d.client
    for _ in range(2):  # as many as there are slots, of jobs and of imports
        uid = submit(d)
        held.hold(d)
        c.post(f"/v1/jobs/{uid}/cancel")
        assert c.wait(uid)["error"]["code"] == "worker-hung"
    waiting = submit(d)
    time.sleep(0.5)
    assert c.job(waiting)["status"] == "queued" and "so no other is started" in workers_check(d)["detail"]
    held.let_go()
    assert c.wait(waiting)["status"] == "succeeded"
    for name in staging(d):
        if not name.startswith(waiting):  # that one goes by itself
            (d.data / "staging" / name).rmdir()
