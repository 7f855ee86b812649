"""A disk that becomes full, or runs out of inodes, at each step of a job: the job ends with a clear problem, nothing is half
published, the daemon goes on, and the same request succeeds when room returns, with no restart."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import scene
from harness import TERMINAL, problem
from scene import np, ref
from store import Promises, check_copy

CLEAR = ("insufficient-disk", "cannot-write", "publish-failed")
HOLD_MS = 700


def own_mounts():
    """The command prefix that gives a process mounts of its own, or None."""
    for flags in (["-m"], ["-Urm"]):
        test = ["unshare", *flags, "mount", "-t", "tmpfs", "none", "/mnt"]
        if shutil.which("unshare") and subprocess.run(test, capture_output=True, check=False).returncode == 0:
            return ["unshare", *flags]
    return None


class Small:
    """A daemon whose data folder is a tmpfs of 24 MiB and 600 inodes, and the means to use all of either."""

    def __init__(self, place, failpoint):
        prefix = own_mounts()
        if prefix is None:
            pytest.skip("a small file system cannot be mounted here (unshare -m and -Urm are refused)")
        store = place.folder("small")
        shell = f"mount -t tmpfs -o size=24m,nr_inodes=600,mode=700 none {store} && exec \"$0\" \"$@\""
        env = {"AMEND_FAILPOINT": failpoint} if failpoint else {}
        self.daemon = place.daemon(
            "small", "--store.min_free=1", "--workers.count=1", env=env, prefix=[*prefix, "sh", "-c", shell]
        ).start()
        self.inside = Path(f"/proc/{self.daemon.pid}/root{store}")
        self.ballast = self.inside / "ballast"

    def use_up(self, what):
        """Down to the last byte, or to the last inode."""
        self.ballast.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            if what == "bytes":
                with open(self.ballast / "b", "wb", buffering=0) as f:
                    while True:
                        f.write(bytes(1 << 16))
            else:
                for i in range(100000):
                    (self.ballast / str(i)).touch()

    def give_back(self):
        shutil.rmtree(self.ballast)


def until(client, uid, statuses, seconds):
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        job = client.job(uid)
        if job["status"] in statuses:
            return job
        time.sleep(0.01)
    return client.job(uid)


def is_clear(error):
    assert error["code"] in CLEAR or error["code"] == "attempts-exhausted" and "isk" in error["detail"], str(error)
    assert error["detail"], error


STEPS = {  # step -> where the job is held while the disk becomes full
    "submit": None,
    "import": "worker.begin",
    "compute": "worker.compute",
    "publication": "blobs.before_rename",
    "row": "publish.before_row",
}


@pytest.mark.parametrize("what", ["bytes", "inodes"])
@pytest.mark.parametrize("step", STEPS)
def test_no_room(place, step, what):
    small = Small(place, f"{STEPS[step]}:sleep:{HOLD_MS}" if STEPS[step] else "")
    d, c, promises = small.daemon, small.daemon.client, Promises()
    rng = np.random.default_rng(7)
    for name in ("a", "b"):
        c.register(place.write(f"full-{name}", {"w": ref.tensor("F32", rng.standard_normal(200_000))}), f"t/{name}")

    def ask(into):
        if step == "import":
            folder = place.write(f"full-{into}", {"w": ref.tensor("F32", rng.standard_normal(200_000))})
            answer = c.post(f"/v1/models/t/{into}/versions", {"from": {"path": str(folder)}}, headers={"Prefer": "wait=0"})
        else:
            answer = c.post("/v1/jobs", scene.blend(f"t/{into}", rng.standard_normal()))
        return answer

    if step == "submit":
        small.use_up(what)
    if step == "import":
        uid, refused = slow_import(c, ask, small, what)
    else:
        answer = ask("during")
        refused = answer if answer.status_code != 202 else None
        uid = None if refused is not None else answer.json()["id"]
        if step != "submit":
            until(c, uid, ("running",), 5)
            time.sleep(HOLD_MS / 2000)
            small.use_up(what)
    if refused is not None:
        problem(refused, 507, "insufficient-disk")
    elif uid:
        promises.jobs.add(uid)
        until(c, uid, TERMINAL, 4)
    assert c.ok("/livez")["status"] == "ok", "the daemon answers while there is no room"
    assert c.weights("t/a@v1"), "and gives out what it has"
    small.give_back()
    if uid:
        job = c.wait(uid, 20)
        if job["status"] == "failed":
            is_clear(job["error"])
        else:
            fits = what == "inodes" or step in ("publication", "row", "compute")
            assert fits or job["attempt"] > 1, "it fitted although nothing was free"
    limit = time.monotonic() + 10
    while c.get("/readyz").status_code != 200 and time.monotonic() < limit:
        time.sleep(0.05)
    answer = ask("after")
    assert answer.status_code in (201, 202), f"room is back, but: {answer.status_code} {answer.text[:500]}"
    if answer.status_code == 202:
        assert c.wait(answer.json()["id"])["status"] == "succeeded"
    limit = time.monotonic() + 5
    while os.listdir(small.inside / "staging") and time.monotonic() < limit:
        time.sleep(0.02)
    assert os.listdir(small.inside / "staging") == []
    assert check_copy(small.inside, promises) == []
    d.stop()


def slow_import(c, ask, small, what):
    """A registration answers when it has ended: the disk becomes full while its worker is held."""
    import threading

    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask("during")))
    before = {j["id"] for j in c.ok("/v1/jobs?type=task&limit=100")["data"]}
    thread.start()
    limit = time.monotonic() + 5
    new = set()
    while not new and time.monotonic() < limit:
        new = {j["id"] for j in scene.harness.Client(c.url).ok("/v1/jobs?type=task&limit=100")["data"]} - before
        time.sleep(0.01)
    time.sleep(HOLD_MS / 3000)
    small.use_up(what)
    thread.join(30)
    assert answers, "the registration was not answered while the disk was full"
    refused = answers[0] if answers[0].status_code >= 400 else None
    if refused is not None and refused.status_code != 507:
        is_clear(refused.json())
        refused = None
    return (new.pop() if new else None), refused
