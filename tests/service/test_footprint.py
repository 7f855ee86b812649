"""The daemon stays small: no linear algebra linked in, memory flat under a thousand jobs, no descriptor left open."""

import os
import re
import subprocess
import threading
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import merge

JOBS = 1000
CLIENTS = 16


def libraries(program):
    return subprocess.run(["ldd", str(harness.BUILD / program)], capture_output=True, text=True, check=True).stdout


def test_the_daemon_links_no_blas():
    found = libraries("amendd")
    assert "libsqlite3" in found and "libmicrohttpd" in found, "ldd told nothing"
    assert not re.search(r"blas|lapack|atlas|mkl|gfortran", found, re.I), found


def test_the_worker_links_no_database_and_no_http():
    assert not re.search(r"sqlite|microhttpd|curl", libraries("amend-worker"), re.I)


def test_the_client_links_neither():
    assert not re.search(r"sqlite|microhttpd|blas", libraries("amend"), re.I)


def descriptors(pid):
    """How many are open, without the readers' own connections: each thread opens its one when it first reads."""
    folder, n = f"/proc/{pid}/fd", 0
    for fd in os.listdir(folder):
        try:
            n += "/amendd.db" not in os.readlink(f"{folder}/{fd}")
        except FileNotFoundError:
            pass
    return n


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_thousand_jobs(launch, roots):
    d = launch(name="footprint")
    c = d.client
    for i in range(2):
        c.register(ref.write(roots / f"small-{i}", {"w": ref.tensor("F32", np.arange(64) + i)}), f"f/in-{i}")
    c.run(merge("linear", [("f/in-0", {"weight": 1.0})], "f/warm"))
    before = descriptors(d.pid)
    ids, errors = [], []

    def submit(n):
        own = harness.Client(d.url)
        try:
            for i in range(n, JOBS, CLIENTS):
                body = merge("linear", [("f/in-0", {"weight": 1.0 + i}), ("f/in-1", {"weight": 1.0})], f"f/out-{i % 8}")
                ids.append(own.submit(body))
        except AssertionError as e:
            errors.append(str(e))
        own.session.close()

    began = time.monotonic()
    threads = [threading.Thread(target=submit, args=(n,)) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    submitted = time.monotonic() - began
    assert not errors and len(set(ids)) == JOBS, errors[:3]
    deadline = time.monotonic() + 120
    while True:
        counts = c.ok("/v1/queue")["counts"]
        waiting = counts["queued"] + counts["running"]
        if waiting == 0:
            break
        assert time.monotonic() < deadline, f"{waiting} jobs have not ended"
        time.sleep(0.5)
    seconds = time.monotonic() - began
    resident, peak = d.status("VmRSS"), d.status("VmHWM")
    print(f"{JOBS} jobs: submitted in {submitted:.1f} s, done in {seconds:.1f} s; VmRSS {resident} kB, peak {peak} kB")
    assert len([j for j in c.all("/v1/jobs?status=succeeded&limit=100")]) == JOBS + 1
    assert sum(c.ok(f"/v1/models/f/out-{i}")["head"]["number"] for i in range(8)) == JOBS
    if not harness.SANITIZED:
        assert resident < 64 * 1024 and peak < 64 * 1024, f"{resident} kB resident, {peak} kB at the peak"
    time.sleep(0.5)
    after = descriptors(d.pid)
    assert after <= before + CLIENTS, f"{before} descriptors before, {after} after"
