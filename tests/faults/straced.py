#!/usr/bin/env python3
"""straced.py [--runs N] - the cross-check of enumerate.py: the same kind of fault, injected by strace from outside.

Reaches the calls that go around the door (the loader, libuv, libmicrohttpd) as well. Each run: a daemon under strace with one
fault, a merge, a kill, a start without faults, the invariants. A start that the fault prevents must say so and exit. Prints
how many faults fired; exit 1 on a violation.
"""

import argparse
import contextlib
import json
import random
import sys
import time

import requests

import scene
from store import Promises, check_folder

CALLS = "openat write pwrite64 fsync fdatasync close rename,renameat,renameat2 fallocate ftruncate unlink,unlinkat mkdir,mkdirat".split()
ERRORS = ["error=EIO", "error=ENOSPC", "signal=SIGKILL"]


def life(d, promises):
    """A merge, as far as it comes; a sentence when the start ended without one of its own."""
    try:
        d.start(timeout=20)
    except scene.harness.StartError as e:
        return [] if e.log.strip() or e.code else [f"it did not start and said nothing (exit {e.code})"]
    with contextlib.suppress(requests.RequestException, AssertionError):
        uid = d.client.submit(scene.blend("t/out", 2.0))
        promises.jobs.add(uid)
        job = d.client.wait(uid, 15)
        if job["status"] == "succeeded":
            promises.succeeded.add(uid)
    return []


def end(d):
    if d.process.poll() is None:
        d.process.kill()
    d.process.wait()
    if not d.log_file.closed:
        d._closed()
    scene.wait_gone(d.data)


def one(place, number, call, error, k):
    """(fired, violations)"""
    data, trace = f"data-{number}", place.path / f"trace-{number}"
    d = place.daemon(data)
    d.start()
    for name in ("a", "b"):
        d.client.register(place.models / name, f"t/{name}")
    d.stop()
    promises = Promises()
    d.prefix = ["strace", "-D", "-f", "-qq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:{error}:when={k}"]
    found = life(d, promises)
    seen = trace.read_text(errors="replace")  # before the kill that is ours
    fired = "(INJECTED)" in seen or "killed by SIGKILL" in seen
    end(d)
    d.prefix = []
    d.start()
    for uid in promises.jobs:
        if d.client.get(f"/v1/jobs/{uid}").status_code != 200:
            found.append(f"job {uid} is lost")
        else:
            d.client.wait(uid)
    end(d)
    return fired, [f"{call} {error} k={k}: {v}" for v in found + check_folder(d.data, promises)]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=66)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    rng, began, fired, violations = random.Random(args.seed), time.monotonic(), 0, []
    with scene.Place() as place:
        for number in range(args.runs):
            call = CALLS[number % len(CALLS)]
            hit, found = one(place, number, call, rng.choice(ERRORS), rng.randint(1, 12))
            fired += hit
            violations += found
    for v in violations[:20]:
        print("VIOLATION", v)
    summary = {"runs": args.runs, "fired": fired, "violations": len(violations), "seed": args.seed}
    print(json.dumps({**summary, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if violations or not fired else 0


if __name__ == "__main__":
    sys.exit(main())
