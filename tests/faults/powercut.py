#!/usr/bin/env python3
"""powercut.py [--limit N] [--starts N] [--seed N] - what is left when the power is cut, at every point of a real trace.

A daemon with the recorder registers models, takes jobs, publishes, cancels, checkpoints. Then, for every operation of the
trace, every legal state of the disk (disk.py says what is legal) is built and checked: Python over SQLite and hashes looks
at all of them (store.py), the real daemon starts on a sample. States of a cut with at most log2(limit) open questions are
all built; of others the extremes and a seeded sample. Exit 1 when a state breaks a promise.
"""

import argparse
import json
import random
import shutil
import sys
import time

import requests

import scene
from disk import Disk, answers
from recording import read
from scene import np, ref
from store import Promises, check


def play(place):
    """The life that is recorded; returns the folder of records, the data folder and [(time, what was promised)]."""
    records, told = place.folder("records"), []
    d = place.daemon("data", "--workers.count=1", env={"AMEND_RECORD": str(records)}).start()
    c = d.client

    def tell(kind, value):
        told.append((scene.now(), kind, value))

    def register(name):
        v = c.register(place.models / name, f"t/{name}")
        tell("versions", (v["model"], v["commit"]))

    def run(body):
        uid = c.submit(body)
        tell("jobs", uid)
        job = c.wait(uid)
        assert job["status"] == "succeeded", job
        tell("succeeded", uid)
        tell("versions", (job["result"]["version"]["model"], job["result"]["version"]["commit"]))

    def idle():  # the writer empties the log when nothing comes for a second
        time.sleep(1.3)

    for name in ("a", "s", "b"):
        register(name)
        idle()
    run(scene.blend("t/out"))
    run(scene.prune("t/pruned"))
    idle()
    many = [c.submit(scene.blend("t/out", 2.0 + i)) for i in range(3)]
    for uid in many:
        tell("jobs", uid)
    answer = c.post(f"/v1/jobs/{many[2]}/cancel")
    if answer.status_code == 202:
        tell("cancelled", many[2])
    for uid in many:
        if c.wait(uid)["status"] == "succeeded":
            tell("succeeded", uid)
    idle()
    run(scene.blend("t/out", 9.0))
    prod = "/v1/models/t/out/refs/prod"
    for method, path, body in (("PUT", prod, {"to": "v1"}), ("PUT", prod, {"to": "v2"}), ("POST", prod + "/rollback", {"steps": 1})):
        new = {"If-None-Match": "*"} if body == {"to": "v1"} else {"If-Match": "*"}
        doc = c.request(method, path, json={"reason": "r", **body}, headers=new).json()
        tell("moves", ("t/out", "prod", doc["revision"], doc["commit"]))
    # what is purged was read by an edit, so its blob is packed anew
    c.register(place.write("p", {f"l{i}.weight": ref.tensor("F32", np.arange(2000) + i) for i in range(4)}), "t/p")
    run(scene.prune("t/p", "t/p", 0.9, include=["l1.weight"]))
    old = c.at("t/p@v1")
    match = {"If-Match": c.get(old).headers["ETag"]}
    commit = c.version("t/p@v1")["commit"]
    uid = c.request("DELETE", old, params={"purge": "true"}, headers=match).json()["id"]
    tell("jobs", uid)
    tell("deleted", ("t/p", commit))
    assert c.wait(uid)["status"] == "succeeded"
    tell("purged", ("t/p", commit))
    idle()
    d.kill()
    scene.wait_gone(d.data)
    return records, d.data, told


class Cutter:
    """Builds and checks the states of one trace."""

    def __init__(self, place, args):
        self.place, self.args, self.rng = place, args, random.Random(args.seed)
        self.seen, self.violations, self.samples = set(), [], []
        self.states = self.points = self.whole = self.most = 0
        self.folder = place.folder("state")

    def cut(self, disk, promises, label):
        """All states of a cut here."""
        bits = disk.bits()
        self.points += 1
        self.most = max(self.most, bits)
        self.whole += 2**bits <= self.args.limit
        for answer in answers(bits, self.args.limit, self.rng):
            key = (disk.key(answer), len(promises))
            if key in self.seen:
                continue
            self.seen.add(key)
            state = disk.state(answer)
            self.states += 1
            found = self.look(state, promises)
            if found:
                self.violations.append((label, found))
            # reservoir sampling of what the daemon starts on
            if len(self.samples) < self.args.starts:
                self.samples.append((state, promises, label))
            elif self.rng.random() < self.args.starts / self.states:
                self.samples[self.rng.randrange(self.args.starts)] = (state, promises, label)

    def look(self, state, promises):
        for name in ("amendd.db", "amendd.db-wal", "amendd.db-journal", "amendd.db-shm"):
            path = self.folder / name
            path.unlink(missing_ok=True)
            if name in state:
                path.write_bytes(state[name])
        if "amendd.db" not in state:
            return ["the database is missing"] if len(promises) else []
        return check(
            self.folder / "amendd.db", lambda sha: state.get(f"blobs/{sha[:2]}/{sha}"), promises, deep=self.args.deep
        )

    def start(self, state, promises, label, number):
        """The real daemon on a state: ready within 2 s, keeps the promises, and takes a job."""
        data = self.place.folder(f"start-{number}")
        for name, content in state.items():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_bytes(content)
        d = self.place.daemon(data.name).start()
        found = [] if d.started_in < 2 else [f"the start took {d.started_in:.1f} s"]
        c = d.client
        found += [f"job {j} is lost" for j in promises.jobs if c.get(f"/v1/jobs/{j}").status_code != 200]
        found += [f"{m}@{v} is lost" for m, v in promises.versions if c.get(c.at(f"{m}@{v}")).status_code != 200]
        for uid in promises.jobs:
            if c.get(f"/v1/jobs/{uid}").status_code == 200 and c.wait(uid)["status"] == "failed":
                found.append(f"job {uid} failed after the start: {c.job(uid)['error']}")
        d.kill()
        scene.wait_gone(data)
        found += check(data / "amendd.db", lambda s: self._blob(data, s), promises)
        if found:
            self.violations.append((label + " (started)", found))
        shutil.rmtree(data)
        return d.started_in

    @staticmethod
    def _blob(data, sha):
        path = data / "blobs" / sha[:2] / sha
        return path.read_bytes() if path.exists() else None


def walk(cutter, args, records, data, told):
    disk, promises, at = Disk(data), Promises(), 0
    for i, r in enumerate(records):
        until = records[i + 1].time if i + 1 < len(records) else told[-1][0] + 1
        disk.feed(r)
        before = at
        while at < len(told) and told[at][0] < until:
            getattr(promises, told[at][1]).add(told[at][2])
            at += 1
        if args.coarse and at == before and (i + 1 == len(records) or "sync" not in records[i + 1].op):
            continue
        if disk.bits() or at > before:  # something is open, or something was promised
            cutter.cut(disk, promises.copy(), f"after {r.op} {r.name or r.inode} ({i} of {len(records)})")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=64, help="states of one cut")
    parser.add_argument("--starts", type=int, default=100, help="states that the real daemon starts on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deep", action="store_true", help="integrity_check on every state")
    parser.add_argument("--coarse", action="store_true", help="cuts only before syncs and after answers")
    args = parser.parse_args(argv)
    began = time.monotonic()
    with scene.Place() as place:
        folder, data, told = play(place)
        records, cutter = read(folder), Cutter(place, args)
        if not told or not any(r.op == "sync" for r in records):
            sys.exit("nothing was recorded: is this the fault build?")
        walk(cutter, args, records, data, told)
        slowest = 0.0
        for i, (state, promises, label) in enumerate(cutter.samples):
            try:
                slowest = max(slowest, cutter.start(state, promises, label, i))
            except (scene.harness.StartError, requests.RequestException, AssertionError) as e:
                cutter.violations.append((label + " (started)", [str(e)[:500]]))
    for label, found in cutter.violations[:10]:
        print(f"VIOLATION {label}: {'; '.join(found[:3])}")
    print(
        json.dumps(
            {
                "records": len(records),
                "promises": len(told),
                "cuts": cutter.points,
                "cuts_exhaustive": cutter.whole,
                "most_open_questions": cutter.most,
                "states": cutter.states,
                "daemon_starts": len(cutter.samples),
                "slowest_start_s": round(slowest, 3),
                "violations": len(cutter.violations),
                "seed": args.seed,
                "limit": args.limit,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    )
    return 1 if cutter.violations else 0


if __name__ == "__main__":
    sys.exit(main())
