"""A worker that crashes, hangs, eats, floods or lies costs one job with the right reason, and nothing else.

The misbehaving method edit/debug (tests/debug) is no part of a release; it comes from build/debug, or from the build
under test where that has it. What it cannot do, such as leaving a child behind, a script in the place of the worker
does.
"""

import fcntl
import hashlib
import os
import re
import signal
import stat
import subprocess
import threading
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import BUILD, REPO, merge, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first test may have to build
MIB = 1 << 20
KERNEL = ("rlimits", "oom", "landlock", "seccomp")


def has_debug(build):
    try:
        told = subprocess.run([str(build / "amend-worker"), "describe"], capture_output=True, text=True, check=True)
    except OSError:
        return False
    return '"edit/debug"' in told.stdout


@pytest.fixture(scope="module")
def build():
    if has_debug(BUILD):
        return BUILD
    (REPO / "build").mkdir(exist_ok=True)
    with open(REPO / "build" / "debug.lock", "w") as lock:  # xdist runs this once in each of its processes
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "-C", str(REPO), "-s", "-j2", "VARIANT=debug", "all"], capture_output=True, text=True, timeout=280
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return REPO / "build" / "debug"


@pytest.fixture(scope="module")
def daemon(build, tmp_path_factory, roots):
    d = harness.Daemon(
        tmp_path_factory.mktemp("hostile") / "data",
        [roots],
        args=["--workers.count=3", "--jobs.heartbeat_timeout=4000", "--jobs.cancel_grace=300"],
        build=build,
    ).start()
    big = [ref.tensor("F32", np.random.default_rng(i).standard_normal(2_000_000)) for i in range(2)]
    for i, t in enumerate(big):
        d.client.register(ref.write(roots / f"neighbour-{i}", {"w": t}), f"h/n{i}")
    d.client.register(ref.write(roots / "victim", {"w": ref.tensor("F32", np.arange(64))}), "h/victim")
    d.expected = ref.linear([ref.load(t) for t in big], [1.0, 2.0]).astype("<f4").tobytes()
    d.client.run(neighbour(d))
    d.descriptors = open_files(d)
    yield d
    d.stop()


def open_files(d):
    """How many descriptors are open, but for the database, which each HTTP thread opens when it first needs it."""
    count = 0
    for fd in os.listdir(f"/proc/{d.pid}/fd"):
        try:
            count += "/amendd.db" not in os.readlink(f"/proc/{d.pid}/fd/{fd}")
        except FileNotFoundError:
            continue
    return count


def neighbour(d):
    return merge("linear", [("h/n0", {"weight": 1.0}), ("h/n1", {"weight": 2.0})], f"h/sum{os.urandom(3).hex()}")


def debug(act, **options):
    return {
        "type": "edit",
        "method": "debug",
        "inputs": {"model": "h/victim"},
        "params": {"act": act},
        "options": harness.computed({"max_attempts": 1, **options}),
        "publish": {"model": "h/made"},
    }


def made(d):
    """The newest version of the model that the misbehaving method publishes to."""
    answer = d.client.get("/v1/models/h/made/versions/main")
    return answer.json()["commit"] if answer.status_code == 200 else None


class Watch:
    """Asks the daemon all the time, from its own connection."""

    def __init__(self, d):
        self.d, self.stop, self.worst, self.asked, self.errors = d, False, 0.0, 0, []
        self.thread = threading.Thread(target=self.run)

    def run(self):
        own = harness.Client(self.d.url)
        while not self.stop:
            for path in ("/livez", "/v1/jobs?limit=1"):
                began = time.monotonic()
                try:
                    own.ok(path)
                except Exception as e:  # told by the test, not lost in a thread
                    self.errors.append(repr(e))
                self.worst = max(self.worst, time.monotonic() - began)
                self.asked += 1
            time.sleep(0.02)
        own.session.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()


def beside_a_neighbour(d, body, during=None):
    """Runs `body` beside a good job and checks all that must not be touched; the ended job of `body`."""
    c = d.client
    before = made(d)
    with Watch(d) as watch:
        bad, good = c.submit(body), c.submit(neighbour(d))
        if during:
            during(bad)
        ended, fine = c.wait(bad), c.wait(good)
    assert fine["status"] == "succeeded", fine
    version = fine["result"]["version"]
    assert c.weights(f"{version['model']}@{version['commit']}")["w"].data == d.expected
    assert watch.asked >= 2 and not watch.errors, watch.errors[:3]
    assert watch.worst < 2, f"an answer took {watch.worst:.2f} s"
    resident, peak = d.status("VmRSS"), d.status("VmHWM")
    print(f"VmRSS {resident} kB, peak {peak} kB, slowest of {watch.asked} answers {watch.worst * 1000:.0f} ms")
    assert peak < 64 * 1024, f"{resident} kB resident, {peak} kB at the peak"
    deadline = time.monotonic() + 5
    while (now := open_files(d)) > d.descriptors and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now <= d.descriptors, f"{d.descriptors} descriptors before, {now} after"
    assert not d.workers(), "a worker is left"
    assert not d.staging()
    if ended["status"] != "succeeded":
        assert made(d) == before, "something was published"
    return ended


def log_of(d, uid):
    return d.client.get(f"/v1/jobs/{uid}/log").text


# What each act ends with: the code, and what the detail must say.
CASES = {
    "segv": ("worker-crashed", r"killed by signal 11 \(SIGSEGV\).*/v1/jobs/job_\w+/log"),
    "abort": ("worker-crashed", r"killed by signal 6 \(SIGABRT\)"),
    "silent": ("worker-hung", r"said nothing for 4 seconds \(jobs.heartbeat_timeout\)"),
    "close_records": ("worker-hung", r"said nothing for 4 seconds"),
    "exit_zero": ("worker-crashed", r"ended without a result"),
    "done_then_fail": ("worker-crashed", r"said that it was done, then ended with exit 1"),
    "memory": ("out-of-memory", r"may hold \d+ MiB.*options.threads"),
    "descriptors": ("cannot-write", r"Too many open files"),
    "disk": ("cannot-write", r"File too large"),
    "fork": ("forbidden", r"debug"),
    "exec": ("forbidden", r"debug"),
    "socket": ("forbidden", r"debug"),
    "store_file": ("forbidden", r"debug"),
    "kill_daemon": ("forbidden", r"debug"),
    "garbage": ("worker-crashed", r"a line on descriptor 3 is not a record"),
    "long_line": ("worker-crashed", r"a record of more than 4096 bytes"),
    "many_records": ("worker-crashed", r"\d+ bytes of records in \d+ seconds, more than it can have to say"),
    "result_no_end": ("publish-failed", r"end"),
    "result_outside": ("publish-failed", r"staged name is not a plain name"),
    "result_wrong_hash": ("publish-failed", r"sha256|hash|SHA-256"),
    "result_gaps": ("publish-failed", r"the spans of notes.bin do not tile it: one begins at 11"),
}


@pytest.mark.parametrize("act", CASES)
def test_one_failed_job(daemon, act):
    code, detail = CASES[act]
    job = beside_a_neighbour(daemon, debug(act))
    print(job["error"])
    assert (job["status"], job["error"]["code"]) == ("failed", code), job
    assert re.search(detail, job["error"]["detail"]), job["error"]


def test_every_act_has_a_test(daemon):
    """An act that nobody calls would be a promise that nobody checks."""
    (act,) = [p for p in daemon.client.ok("/v1/methods/edit/debug")["params"] if p["name"] == "act"]
    assert set(act["choices"]) == set(CASES) | {
        "spin",
        "ignore_term",
        "flood_log",
        "result_good",
        "result_other_bytes",
        "result_spans",
        "result_other_spans",
    }


def test_the_lies_are_about_one_thing(daemon):
    """The same hand-made result without a lie is published, so each lie alone is what the daemon refuses."""
    job = beside_a_neighbour(daemon, debug("result_good"))
    assert job["status"] == "succeeded", job
    assert list(daemon.client.files(f"h/made@{job['result']['version']['commit']}")) == ["notes.json"]
    job = beside_a_neighbour(daemon, debug("result_spans"))
    assert job["status"] == "succeeded", job
    version = f"h/made@{job['result']['version']['commit']}"
    assert daemon.client.download(version, "notes.bin") == b"ABCDEFGHIJ0123456789"


def test_a_lie_about_bytes_is_found_by_verify(daemon):
    """What a worker says of the hash of a file is believed at publication, which would else read every file once more;
    a verify reads it, and from then on nobody else gets to."""
    c = daemon.client
    job = beside_a_neighbour(daemon, debug("result_other_bytes"))
    assert job["status"] == "succeeded", job
    version = f"h/made@{job['result']['version']['commit']}"
    task = c.wait(c.post(c.at(version) + "/verify").json()["id"])
    assert task["status"] == "succeeded", task
    (found,) = task["result"]["damaged"]
    assert found["blob"] == hashlib.sha256(b'{"made":"by a liar"}\n').hexdigest(), found
    assert version in found["versions"], found
    harness.problem(c.get(c.at(version) + "/files/notes.json/content"), 500, "store-damaged")


def test_a_lie_about_bytes_is_refused_when_asked_to_look(build, roots, tmp_path):
    """publish.verify=full: the publisher reads what the worker wrote, of assembled files as they will be read."""
    args = ["--workers.count=1", "--publish.verify=full"]
    d = harness.Daemon(tmp_path / "full", [roots], args=args, build=build).start()
    c = d.client
    c.register(ref.write(roots / "full", {"w": ref.tensor("F32", np.arange(64))}), "h/victim")
    lies = {
        "result_other_bytes": r"staged file notes is not what its worker said: its SHA-256 is [0-9a-f]{64}",
        "result_other_spans": r"notes.bin, as its spans put it together, is not what its worker said: its SHA-256 is",
    }
    for act, detail in lies.items():
        job = c.wait(c.submit(debug(act)))
        assert (job["status"], job["error"]["code"]) == ("failed", "publish-failed"), job
        assert re.search(detail, job["error"]["detail"]), job["error"]
        assert made(d) is None and len(d.blobs()) == len(c.files("h/victim@v1")), "something was left"
    for act in ("result_good", "result_spans"):
        assert c.wait(c.submit(debug(act)))["status"] == "succeeded"
    # what an honest worker makes: a file that keeps most of its parent's bytes, and one that is whole
    two = {"w": ref.tensor("F32", np.arange(3_000_000)), "layers.1.x": ref.tensor("F32", np.arange(99) + 1)}
    c.register(ref.write(roots / "full-two", two), "h/two")
    only = harness.sparsify("h/two", "h/two", {"sparsity": 0.5, "include": ["layers.1.x"]})
    for body in (only, merge("linear", [("h/victim", {"weight": 2.0})], "h/w")):
        version = c.run(body)
        assert c.wait(c.post(c.at(version) + "/verify").json()["id"])["result"]["damaged"] == []
    assert c.files("h/two@v2")["model.safetensors"]["storage"] == "assembled"
    d.stop()


def test_a_time_limit_ends_a_lively_worker(daemon):
    began = time.monotonic()
    job = beside_a_neighbour(daemon, debug("spin", time_limit_seconds=1))
    assert job["status"] == "failed" and job["error"]["code"] == "time-limit", job
    assert "time_limit_seconds = 1" in job["error"]["detail"]
    assert time.monotonic() - began < 8


def test_a_worker_deaf_to_sigterm_is_killed(daemon):
    def cancel(uid):
        until(lambda: daemon.client.job(uid)["status"] == "running" and daemon.workers())
        time.sleep(0.3)  # it has read its spec and is deaf by now
        assert daemon.client.post(f"/v1/jobs/{uid}/cancel").status_code in (200, 202)

    job = beside_a_neighbour(daemon, debug("ignore_term"), during=cancel)
    assert job["status"] == "cancelled", job
    assert "worker killed job=" + job["id"] in daemon.log()


def test_a_flooded_log_has_a_ceiling(daemon):
    job = beside_a_neighbour(daemon, debug("flood_log"))
    assert job["status"] == "succeeded", "what it computed is sound; only its log is cut"
    text = log_of(daemon, job["id"])
    assert 16 * MIB <= len(text) < 16 * MIB + 100, len(text)
    assert text.endswith("(the log ends here: more than 16 MiB)\n") and text.startswith("what a method has to say")


@pytest.mark.parametrize(
    "act, holder, said",
    [
        ("fork", "seccomp", "fork: Operation not permitted"),
        ("exec", "seccomp", "exec: (Operation not permitted|Permission denied)"),
        ("socket", "seccomp", "socket: Operation not permitted"),
        ("kill_daemon", "seccomp", "kill the daemon: Operation not permitted"),
        ("store_file", "landlock", "store file: Permission denied"),
    ],
)
def test_the_kernel_refuses(daemon, act, holder, said):
    checks = daemon.client.ok("/readyz")["checks"]["confinement"]
    assert holder in checks["holds"], f"this kernel lacks {holder}, so nothing stops {act}: {checks}"
    job = daemon.client.wait(daemon.client.submit(debug(act)))
    assert re.search(said, log_of(daemon, job["id"])), log_of(daemon, job["id"])


def test_readyz_names_what_holds(launch, build, roots):
    d = harness.Daemon(roots / "ready-data", [roots], build=build).start()
    checks = d.client.ok("/readyz")["checks"]["confinement"]
    assert checks == {"status": "ok", "detail": "no worker has run yet", "holds": []}
    d.client.register(ref.write(roots / "ready", {"w": ref.tensor("F32", np.arange(4))}), "h/ready")
    checks = d.client.ok("/readyz")["checks"]["confinement"]
    assert [k for k in KERNEL if k in checks["holds"]] == checks["holds"] and "rlimits" in checks["holds"]
    assert checks["status"] == ("ok" if len(checks["holds"]) == len(KERNEL) else "warn")
    d.stop()


def number(text, pattern):
    found = re.search(pattern, text)
    assert found, text
    return int(found.group(1))


def test_how_much_it_got(daemon):
    """Not more than planned and the margin; and the failed job says so."""
    c = daemon.client
    jobs = {act: c.wait(c.submit(debug(act, threads=1))) for act in ("memory", "disk", "descriptors")}
    plan = jobs["memory"]["plan"]
    got = number(log_of(daemon, jobs["memory"]["id"]), r"memory: (\d+) bytes")
    print(f"planned {plan['peak_memory_bytes']}, got {got}")
    assert got <= plan["peak_memory_bytes"] + (64 + 4 * 8) * MIB
    wrote = number(log_of(daemon, jobs["disk"]["id"]), r"disk: (\d+) bytes")
    assert 63 * MIB < wrote <= 65 * MIB, "result.ndjson may have 64 MiB, so every file may"
    assert number(log_of(daemon, jobs["descriptors"]["id"]), r"descriptors: (\d+)") < 100


def limits_of(pid):
    lines = open(f"/proc/{pid}/limits").read().splitlines()[1:]
    return {line[:25].strip(): tuple(line[25:].split()[:2]) for line in lines}


def test_limits_seen_from_outside(daemon):
    c = daemon.client
    uid = c.submit(debug("spin", threads=2, time_limit_seconds=30))
    (pid,) = until(daemon.workers)
    until(lambda: "Seccomp:\t2" in open(f"/proc/{pid}/status").read() or not has_seccomp(c))
    lim, plan = limits_of(pid), c.job(uid)["plan"]
    assert lim["Max core file size"] == ("0", "0")
    assert lim["Max data size"] == (str(plan["peak_memory_bytes"] + (64 + 5 * 8) * MIB),) * 2
    assert lim["Max file size"] == (str(65 * MIB),) * 2
    assert int(lim["Max open files"][1]) < 100 and lim["Max cpu time"] == ("180", "180")
    assert open(f"/proc/{pid}/oom_score_adj").read() == "800\n"
    assert os.getpgid(pid) == pid and os.getsid(pid) == pid
    # nothing of the daemon's environment: one thread of BLAS, and the trace of the job
    blas, trace = open(f"/proc/{pid}/environ").read().split("\0")[:-1]
    assert blas == "OPENBLAS_NUM_THREADS=1"
    assert re.fullmatch(rf"TRACEPARENT=00-{c.job(uid)['trace_id']}-[0-9a-f]{{16}}-01", trace), trace
    c.post(f"/v1/jobs/{uid}/cancel")
    assert c.wait(uid)["status"] == "cancelled"


def has_seccomp(c):
    return "seccomp" in c.ok("/readyz")["checks"]["confinement"]["holds"]


def test_workers_die_with_the_daemon(build, roots, tmp_path):
    d = harness.Daemon(tmp_path / "orphan", [roots], build=build).start()
    d.client.register(ref.write(roots / "orphan", {"w": ref.tensor("F32", np.arange(4))}), "h/victim")
    d.client.submit(debug("ignore_term"))
    (pid,) = until(d.workers)
    time.sleep(0.3)
    d.kill()
    until(lambda: not os.path.exists(f"/proc/{pid}"), 3)


def test_a_release_has_no_such_method(build):
    """The check of `make lint` sees the method where it is."""
    done = subprocess.run([str(REPO / "tools" / "check-links"), str(build)], capture_output=True, text=True)
    assert done.returncode == 1 and "tests/debug" in done.stderr, done.stdout + done.stderr


# ---- a script in the place of the worker -------------------------------------------------------------------------


@pytest.fixture
def scripted(tmp_path, roots):
    """scripted(lines of sh for `run`, lines for `import`) starts a daemon whose worker they come before."""
    started = []

    def start(run="", imports=""):
        script = tmp_path / "worker.sh"
        script.write_text(
            "#!/bin/sh\ncase $1 in\nrun)\n%s\n;;\nimport)\n%s\n;;\nesac\nexec %s $1\n"
            % (run.replace("TMP", str(tmp_path)), imports.replace("TMP", str(tmp_path)), BUILD / "amend-worker")
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        args = [f"--workers.program={script}", "--jobs.cancel_grace=300"]
        d = harness.Daemon(tmp_path / "data", [roots], args=args)
        started.append(d.start())
        folder = roots / f"s{len(os.listdir(roots))}"
        d.client.register(ref.write(folder, {"w": ref.tensor("F32", np.arange(64))}), "h/in")
        return d

    yield start
    for d in started:
        d.stop()


def gone(pid):
    """Dead, or a zombie whose new parent has not looked yet."""
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


CHILDREN = {
    "holds the pipes": "/bin/sleep 60 & echo $! > TMP/child",
    "holds nothing": "/bin/sleep 60 </dev/null >/dev/null 2>&1 3>&- 4>&- & echo $! > TMP/child",
}


@pytest.mark.parametrize("how", CHILDREN)
def test_children_end_with_their_worker(scripted, tmp_path, how):
    d = scripted(CHILDREN[how])
    began = time.monotonic()
    d.client.run(merge("linear", [("h/in", {"weight": 1.0})], "h/out"))
    assert time.monotonic() - began < 1.9, "an open pipe must not hold the job for the whole grace"
    child = int((tmp_path / "child").read_text())
    until(lambda: gone(child), 2)


def test_a_cancel_reaches_grandchildren(scripted, tmp_path):
    d = scripted("trap '' TERM\n/bin/sh -c 'trap \"\" TERM; /bin/sleep 60 & echo $! > TMP/child; wait' &\nwait")
    uid = d.client.submit(merge("linear", [("h/in", {"weight": 1.0})], "h/out"))
    child = int(until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text()))
    d.client.post(f"/v1/jobs/{uid}/cancel")
    assert d.client.wait(uid, 5)["status"] == "cancelled"
    until(lambda: gone(child), 2)


def test_a_pipe_held_from_outside_the_group_does_not_hold_the_job(scripted, tmp_path):
    d = scripted("/usr/bin/setsid /bin/sleep 60 & echo $! > TMP/child")
    began = time.monotonic()
    d.client.run(merge("linear", [("h/in", {"weight": 1.0})], "h/out"))
    assert time.monotonic() - began < 6, "the job waited for somebody else's child"
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)  # the real worker cannot make one (seccomp)


def test_imports_have_limits_too(scripted, tmp_path):
    scripted(imports="/bin/cat > TMP/spec.json\nexec < TMP/spec.json")
    spec = harness.json.loads((tmp_path / "spec.json").read_text())
    assert spec["limits"] == {
        "memory_bytes": 256 * MIB,
        "file_bytes": 65 * MIB,
        "descriptors": 5 + len(spec["files"]) + 64,
        "header_bytes": 25000000,
        "tensors": 200000,
    }
