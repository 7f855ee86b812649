"""Too little space is told before anything is half done, and a disk that fills up under the service costs jobs, not
the service."""

import os
import shutil
import subprocess
import time

import numpy as np
import pytest

import reference as ref
from harness import merge, problem, sparsify


def test_min_free(launch, roots):
    d = launch()
    d.client.register(ref.write(roots / "free", {"w": ref.tensor("F32", [1.0])}), "e/free")
    d.stop()
    usage = shutil.disk_usage(d.data)
    d.args.append(f"--store.min_free={usage.total}")
    d.start()
    doc = problem(
        d.client.post("/v1/jobs", merge("linear", [("e/free", {"weight": 1})], "e/out")), 507, "insufficient-disk"
    )
    assert doc["retryable"] is True
    answer = d.client.register_raw(roots / "free", "e/again")
    assert answer.status_code == 507 or d.client.wait(answer.json()["id"])["error"]["code"] == "insufficient-disk"
    ready = d.client.get("/readyz")
    assert ready.status_code == 503 and ready.json()["status"] == "fail"
    assert d.client.ok("/livez")["status"] == "ok"
    assert d.client.version("e/free@v1")["number"] == 1, "reading goes on"


def own_mounts():
    """The command prefix that gives a process mounts of its own, or None."""
    for flags in (["-m"], ["-Urm"]):
        test = (
            subprocess.run(
                ["unshare", *flags, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
            )
            if shutil.which("unshare")
            else None
        )
        if test is not None and test.returncode == 0:
            return ["unshare", *flags]
    return None


def test_full_disk(launch, roots, tmp_path):
    """The data folder is a tmpfs of 48 MiB. Jobs that fitted when they were planned find it full; nothing is half
    done; after space
    returns the service works on."""
    prefix = own_mounts()
    if prefix is None:
        pytest.skip("a small file system cannot be mounted here (unshare -m and -Urm are refused)")
    store = tmp_path / "small"
    store.mkdir()
    shell = f"mount -t tmpfs -o size=48m,mode=700 none {store} && exec \"$0\" \"$@\""
    d = launch("--store.min_free=1", "--workers.count=2", "--jobs.retry_pause=50", name="small", prefix=[*prefix, "sh", "-c", shell])
    c, inside = d.client, f"/proc/{d.pid}/root{store}"
    rng = np.random.default_rng(1)
    for name in ("x", "y"):
        c.register(
            ref.write(roots / f"full-{name}", {"w": ref.tensor("F32", rng.standard_normal(1 << 21))}), f"e/full-{name}"
        )

    c.register(ref.write(roots / "little", {"w": ref.tensor("F32", [1.0, 2.0])}), "e/little")

    def body(weight):  # every second one is tried once only and says its own code
        models = [("e/full-x", {"weight": weight}), ("e/full-y", {"weight": 1.0})]
        return merge("linear", models, f"e/full-{weight}", max_attempts=1 + weight % 2)

    first = c.run(body(2))  # 8 MiB each: 24 of 48 MiB are used now
    jobs = []
    for weight in range(3, 9):  # each fits alone; together they do not
        answer = c.post("/v1/jobs", body(weight))
        if answer.status_code == 202:
            jobs.append(answer.json()["id"])
        else:
            problem(answer, 507, "insufficient-disk")
    ended = [c.wait(j) for j in jobs]
    failed = [j for j in ended if j["status"] == "failed"]
    good = [j for j in ended if j["status"] == "succeeded"]
    assert len(good) <= 3 and {j["status"] for j in ended} <= {"failed", "succeeded"}
    for j in failed:
        error = j["error"]["errors"][0] if j["error"]["code"] == "attempts-exhausted" else j["error"]
        assert error["code"] in ("insufficient-disk", "cannot-write", "publish-failed"), j["error"]
        assert error is j["error"] or j["attempt"] == j["max_attempts"] == 2
    # full to the last byte: requests that write are refused, requests that read are answered
    with open(f"{inside}/ballast", "wb", buffering=0) as f:  # buffered, what is left over fails again at the close
        try:
            while True:
                f.write(b"\0" * 65536)
        except OSError:
            pass
    problem(c.post("/v1/jobs", body(9)), 507, "insufficient-disk")
    assert c.post("/v1/models", {"id": "e/no-room"}).status_code in (201, 507)
    assert c.ok("/livez")["status"] == "ok"
    assert c.get("/readyz").status_code == 503
    for j in good:
        v = j["result"]["version"]
        c.weights(f"{v['model']}@{v['commit']}")
    c.weights(first)
    assert os.listdir(f"{inside}/staging") == []
    # space returns
    os.unlink(f"{inside}/ballast")
    deadline = time.monotonic() + 10
    while c.get("/readyz").status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert c.get("/readyz").status_code == 200
    c.run(sparsify("e/little", "e/after", {"sparsity": 0.5}))
    assert not failed or c.ok("/v1/jobs?status=failed")["data"]
