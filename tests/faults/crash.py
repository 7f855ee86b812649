#!/usr/bin/env python3
"""crash.py [--rounds N] [--seed N] - kills the daemon, its worker, or both, again and again, while clients work.

Every second kill (in runs of up to 20 rounds: each) is forced into a phase by a failpoint, the others come at a random moment. Clients write down what they
asked and what they were told; history.py checks it at the end, store.py the data folder on the way and at the end. Prints a
histogram of the phases that were hit. Exit 1 when a promise was broken, or a phase was hit too rarely.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter

import scene
from history import Client, History, Mover, verify
from recording import read, struck
from store import check, files_of

FORCED = {  # phase -> failpoints of the daemon, or (worker.*) of the worker
    "queued": ["engine.before_claim"],
    "claim": ["engine.claimed"],
    "spawn": ["engine.spawned", "worker.begin"],
    "compute": ["engine.progress", "worker.compute"],
    "settle": ["engine.worker_ended", "worker.settle", "worker.settled"],
    "rename": ["blobs.before_rename", "blobs.after_rename"],
    "before row": ["publish.before_row"],
    "after row": ["publish.after_row"],
    "cancel": ["engine.cancelling", "engine.cancelled"],
}
PHASE_OF = {point: phase for phase, points in FORCED.items() for point in points}
PHASE_OF["engine.ended"] = "after row"
COMPUTE_MS = 40  # what the test's small models need longer


class Round:
    """One life of the daemon and its end."""

    def __init__(self, crash, phase, point):
        self.crash, self.phase, self.point = crash, phase, point
        self.trace = crash.place.folder(f"trace-{os.urandom(4).hex()}")

    def environment(self):
        points = [f"worker.compute:sleep:{COMPUTE_MS}"]
        if self.point and self.point.startswith("worker."):
            points.insert(0, f"{self.point}:once")
        elif self.point:
            passage = self.crash.rng.randint(2, 5) if self.phase in ("queued", "rename") else 1
            points.append(f"{self.point}:kill:{passage}")
        return {"AMEND_FAILPOINT": ",".join(points), "AMEND_FAILPOINT_TRACE": str(self.trace)}

    def wait_for_failpoint(self, d, seconds=6):
        """True: it struck."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if d.process.poll() is not None or struck(self.trace):
                return True
            time.sleep(0.002)
        return False

    def last_point(self):
        """The last passage of a point that says where the job was."""
        known = [r.name for r in read(self.trace) if r.name in PHASE_OF and r.name != "engine.before_claim"]
        return known[-1] if known else None


class Crash:
    def __init__(self, place, args):
        self.place, self.args, self.rng = place, args, random.Random(args.seed)
        self.history, self.violations = History(), []
        self.phases, self.targets = Counter(), Counter()
        self.running = self.kills = self.worker_kills = self.checks = 0
        self.slowest = 0.0
        self.daemon = place.daemon("data", "--workers.count=1", "--jobs.cancel_grace=2000")

    def start(self, env):
        self.daemon.env = env
        self.daemon.start(timeout=30)
        self.slowest = max(self.slowest, self.daemon.started_in)
        self.history.up(self.daemon.url)

    def down(self):
        self.history.down()
        if self.daemon.process.poll() is None:
            self.daemon.process.send_signal(signal.SIGKILL)
        self.daemon.process.wait()
        self.daemon._closed()
        if not scene.wait_gone(self.daemon.data):
            self.violations.append("a worker outlived its daemon by 3 s")

    def states(self):
        """Job states in a copy of the dead daemon's database; the original is for the next daemon to recover."""
        copy = self.place.path / "copy.db"
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{self.daemon.data}/amendd.db{end}", f"{copy}{end}")
        with contextlib.closing(sqlite3.connect(copy)) as db:
            return Counter(dict(db.execute("SELECT state, count(*) FROM job GROUP BY state")))

    def check_store(self):
        self.states()
        self.checks += 1
        self.violations += check(self.place.path / "copy.db", files_of(self.daemon.data / "blobs"), self.history.promises())

    def kill_somehow(self, r):
        """Who died: daemon, worker or both."""
        d = self.daemon
        if r.point and r.wait_for_failpoint(d):
            if not r.point.startswith("worker."):
                return "daemon"
            if self.rng.random() < 0.5:  # the daemon sees it and goes on
                time.sleep(0.1)
                return "worker"
            return "both"
        time.sleep(self.rng.uniform(0.02, 0.3))
        target = self.rng.choice(["daemon", "daemon", "worker", "both"])
        workers = d.workers()
        if target == "daemon" or not workers:
            d.process.send_signal(signal.SIGKILL)
            return "daemon"
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[0], signal.SIGKILL)
        return target

    def round(self, number):
        every = 1 if self.args.rounds <= 20 else 2  # a short run forces each kill, so that it sees each phase
        forced = number % every == 0
        phase = list(FORCED)[number // every % len(FORCED)] if forced else None
        point = self.rng.choice(FORCED[phase]) if forced else None
        r = Round(self, phase, point)
        self.start(r.environment())
        self.history.cancel_more = phase == "cancel"
        target = self.kill_somehow(r)
        self.worker_kills += target != "daemon"
        if target == "worker":
            state = {"running": 1}
            self.history.down()
            self.daemon.client.session.close()
            self.daemon.stop()  # in good order: it must end with 0 and leave nothing behind
        else:
            self.down()
            state = self.states()
        self.kills += 1
        self.targets[target] += 1
        runs = state.get("running", 0) + state.get("cancelling", 0)
        self.running += runs > 0
        last = r.last_point()
        where = PHASE_OF.get(last, "claim") if runs or (point and PHASE_OF[point] == "after row") else ("queued" if state.get("queued") else "idle")
        if point and (target != "daemon" or self.ended_there(r)):
            where = phase if phase != "queued" or state.get("queued") else "idle"
        self.phases[where] += 1
        if number % 10 == 9:
            self.check_store()
        shutil.rmtree(r.trace)

    def ended_there(self, r):
        """The failpoint's own passage was the last of the daemon."""
        mine = [p.name for p in read(r.trace) if p.pid == self.daemon.process.pid]
        return bool(mine) and mine[-1] == r.point

    def finish(self):
        """All jobs end; what is left is checked against everything that was said."""
        self.start({})
        final = self.history.settle(self.daemon.client)
        self.daemon.stop()
        self.states()
        self.check_store()
        self.violations += verify(self.history, final, self.worker_kills)
        with contextlib.closing(sqlite3.connect(self.place.path / "copy.db")) as db:
            (failures,) = db.execute("SELECT ifnull(sum(failures), 0) FROM job").fetchone()
        if failures > self.worker_kills:
            self.violations.append(f"{failures} failures are counted, and only {self.worker_kills} workers were killed")
        return final


def prepare(crash):
    crash.start({})
    for name in ("a", "b"):
        crash.daemon.client.register(crash.place.models / name, f"t/{name}")
        crash.daemon.client.register(crash.place.models / name, Mover.MODEL)
    crash.history.learn(crash.daemon.client)
    crash.history.down()
    crash.daemon.stop()


def report(crash, final, seconds):
    width = 40 / max(crash.phases.values())
    for phase in [*FORCED, "idle"]:
        n = crash.phases[phase]
        print(f"{phase:>11} {n:4d} {'#' * round(n * width)}")
    print(
        json.dumps(
            {
                "kills": crash.kills,
                "while_a_job_ran": round(crash.running / crash.kills, 3),
                "targets": dict(crash.targets),
                "jobs": len(final),
                "ended": dict(Counter(j["status"] for j in final.values())),
                "history": len(crash.history.log),
                "ref_moves": len(crash.history.promises().moves),
                "idempotency_keys": crash.history.keys_used,
                "answers_lost_and_asked_again": crash.history.repeated,
                "store_checks": crash.checks,
                "slowest_start_s": round(crash.slowest, 3),
                "violations": len(crash.violations),
                "seed": crash.args.seed,
                "seconds": round(seconds, 1),
            }
        )
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    args = parser.parse_args(argv)
    began = time.monotonic()
    with scene.Place() as place:
        crash = Crash(place, args)
        prepare(crash)
        clients = [Client(crash.history, i, random.Random(f"{args.seed}/{i}")) for i in range(3)]
        clients.append(Mover(crash.history, random.Random(f"{args.seed}/mover")))
        for c in clients:
            c.start()
        for number in range(args.rounds):
            crash.round(number)
        crash.history.over()
        for c in clients:
            c.join()
        final = crash.finish()
        report(crash, final, time.monotonic() - began)
    floor = 10 if args.rounds >= 300 else 5 if args.rounds >= 100 else 0
    rare = [p for p in FORCED if crash.phases[p] < floor]
    if rare:
        crash.violations.append(f"phases hit less than {floor} times: {', '.join(rare)}")
    if args.rounds >= 20 and crash.running < 0.6 * crash.kills:
        crash.violations.append("less than 60 % of the kills hit a running job")
    if crash.slowest >= 2:
        crash.violations.append(f"a start took {crash.slowest:.2f} s")
    for v in crash.violations[:20]:
        print("VIOLATION", v)
    return 1 if crash.violations else 0


if __name__ == "__main__":
    sys.exit(main())
