#!/usr/bin/env python3
"""enumerate.py [--sample N] [--scenarios A,B] [--calls A,B] [--part I/N] - every system call, made to fail once.

For each scenario, call and error: the k-th call of daemon and workers fails with EIO or ENOSPC, or the process is killed on
entering it, for k = 1, 2, ... until the scenario makes no k-th call. After each fault: the daemon must still take work (unless
it was killed), then it is killed, started again without faults, every acknowledged job must come to an end, and store.py
checks the data folder. The faults are injected inside the programs (core/base/sys_record.h), which is some ten times faster than
strace (straced.py is the cross-check with strace). Exit 1 on a violation.
"""

import argparse
import contextlib
import errno
import json
import random
import shutil
import sys
import time

import requests

import scenarios
import scene
from recording import Inject
from store import Promises, check_running

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "KILL": Inject.KILL}
CALLS = "openat write pwrite64 fsync fdatasync close renameat fallocate ftruncate unlinkat unlink mkdirat".split()
K_MAX = 2000
FRESH = 20  # faults on one data folder, then a new one: a growing store would slow every check down
END_SECONDS = 40


class Bench:
    """One data folder on which the faults of one scenario follow each other."""

    def __init__(self, place, scenario):
        self.place, self.scenario = place, scenario
        self.inject, self.promises = place.inject(), Promises()
        self.env = {"AMEND_INJECT": str(self.inject.path), **scenario.env}
        self.daemon = place.daemon(f"data-{scenario.name}", *scenario.arguments(place), env=self.env)
        self.faults, self.violations, self.n = 0, [], 0
        self.daemon.start(timeout=30)
        for name in ("a", "b"):
            self.daemon.client.register(place.models / name, f"t/{name}")
        scenario.prepare(self)
        self.daemon.stop()
        self.template = shutil.copytree(self.daemon.data, place.path / f"template-{scenario.name}")
        self.daemon.start(timeout=30)

    def renew(self):
        """The folder as it was before the first fault."""
        self.halt()
        shutil.rmtree(self.daemon.data)
        shutil.copytree(self.template, self.daemon.data)
        self.promises = Promises()
        self.daemon.start(timeout=30)

    def once(self, call, error, k):
        """One fault: False when there was no k-th call."""
        self.n += 1
        scenario = self.scenario(self, f"n{self.n}", lambda: self.inject.arm(call, ERRORS[error], k))
        scenario.idle = call in ("fdatasync", "ftruncate")
        with contextlib.suppress(requests.RequestException, AssertionError, scene.harness.StartError, ValueError):
            scenario.run()
        _, fired = self.inject.disarm()
        if not fired:
            return False
        self.faults += 1
        fresh = self.faults % FRESH == 0
        found = list(scenario.wrong)
        found += self.goes_on(error)
        found += self.after_restart(scenario)
        self.violations += [f"{self.scenario.name} {call} {error} k={k}: {f}" for f in found]
        if fresh:
            self.renew()
        return True

    def alive(self):
        return self.daemon.process.poll() is None

    def goes_on(self, error):
        """Without a restart: the next request that writes succeeds."""
        if error == "KILL" or not self.alive() or self.daemon.url is None:
            return [] if error == "KILL" or self.daemon.url is None else ["the daemon ended"]
        until = time.monotonic() + 10
        while True:
            try:
                answer = self.daemon.client.post("/v1/models", {"id": f"t/probe-{self.n}"}, timeout=10)
                if answer.status_code in (201, 409):
                    return []
                said = f"{answer.status_code} {answer.text[:200]}"
            except requests.RequestException as e:
                said = str(e)[:200]
            if time.monotonic() > until:
                return [f"it takes no more work after the fault: {said}"]
            time.sleep(0.1)

    def halt(self):
        if self.alive():
            self.daemon.process.kill()
        self.daemon.process.wait()
        self.daemon._closed()
        scene.wait_gone(self.daemon.data)

    def after_restart(self, scenario):
        self.halt()
        found = scenario.left()
        try:
            self.daemon.start(timeout=30)
        except scene.harness.StartError as e:
            return [f"no start after the fault: {str(e)[-400:]}"]
        c = self.daemon.client
        for uid in sorted(self.promises.jobs):
            answer = c.get(f"/v1/jobs/{uid}")
            if answer.status_code != 200:
                found.append(f"job {uid} is lost: {answer.status_code}")
                continue
            try:
                c.wait(uid, END_SECONDS)
            except AssertionError as e:
                found.append(str(e)[:300])
        found += check_running(self.daemon.data, self.promises)
        found += [f"{f}, when all jobs had ended" for f in scenario.left()]
        self.promises.jobs.clear()  # checked, and at their end; the others stay promised
        return found

    def close(self):
        self.halt()
        shutil.rmtree(self.daemon.data, ignore_errors=True)


def whole(bench, args, table):
    """Every call, every error, every k."""
    for call in args.calls:
        for error in args.errors:
            before, broken, k = bench.faults, len(bench.violations), 1
            while k < K_MAX and bench.once(call, error, k):
                k += args.step
            if k >= K_MAX:
                bench.violations.append(f"{bench.scenario.name} {call} {error}: no end of calls after {K_MAX}")
            table[bench.scenario.name, call, error] = (bench.faults - before, len(bench.violations) - broken)


def sampled(bench, args, rng, table):
    """So many faults, each at a random call, error and k; where there is no k-th call, the first; else another call."""
    pairs, first = [(c, e) for c in args.calls for e in args.errors], bench.faults
    for call, error in rng.sample(pairs, len(pairs)):
        if bench.faults - first == args.sample:
            return
        before, broken, k = bench.faults, len(bench.violations), rng.randint(1, 8)
        if not bench.once(call, error, k):
            bench.once(call, error, 1)
        table[bench.scenario.name, call, error] = (bench.faults - before, len(bench.violations) - broken)


def enumerate_scenario(place, scenario, args, rng, table):
    bench = Bench(place, scenario)
    try:
        if args.sample:
            sampled(bench, args, rng, table)
        else:
            whole(bench, args, table)
    finally:
        bench.close()
    return bench.violations


def show(table, args):
    names = [s.name for s in scenarios.ALL if any(key[0] == s.name for key in table)]
    print(f"{'faults fired / violations':<28}" + "".join(f"{c:>12}" for c in args.calls))
    for name in names:
        for error in args.errors:
            cells = [table.get((name, call, error)) for call in args.calls]
            print(f"{name:<20}{error:>8}" + "".join(f"{f'{c[0]}/{c[1]}' if c else '-':>12}" for c in cells))


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=0, help="this many faults of each scenario, at random; 0: all")
    parser.add_argument("--step", type=int, default=1, help="only every STEP-th k")
    parser.add_argument("--scenarios", default=",".join(s.name for s in scenarios.ALL))
    parser.add_argument("--calls", default=",".join(CALLS))
    parser.add_argument("--errors", default=",".join(ERRORS))
    parser.add_argument("--part", default="1/1", help="I/N: only every N-th scenario, for N runs side by side")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    args.scenarios, args.calls, args.errors = (v.split(",") for v in (args.scenarios, args.calls, args.errors))
    unknown = set(args.scenarios) - {s.name for s in scenarios.ALL} | set(args.calls) - set(CALLS)
    if unknown:
        parser.error(f"unknown: {sorted(unknown)}")
    return args


def main(argv=None):
    args = arguments(argv)
    began, table, violations, rng = time.monotonic(), {}, [], random.Random(args.seed)
    index, parts = (int(n) for n in args.part.split("/"))
    todo = [s for i, s in enumerate(scenarios.ALL) if i % parts == index - 1 and s.name in args.scenarios]
    with scene.Place() as place:
        for s in todo:
            found = enumerate_scenario(place, s, args, rng, table)
            violations += found
            if not args.sample:  # told at once: a long run may be cut short
                fired = sum(n for (name, _, _), (n, _) in table.items() if name == s.name)
                spent = time.monotonic() - began
                print(f"{s.name}: {fired} faults, {len(found)} violations, {spent:.0f} s", file=sys.stderr, flush=True)
                print("\n".join(found), file=sys.stderr, end="\n" if found else "", flush=True)
    if not args.sample:
        show(table, args)
    idle = [s.name for s in todo if not sum(n for (name, _, _), (n, _) in table.items() if name == s.name)]
    if idle:
        violations.append(f"scenarios without a single fault: {idle}")
    for v in violations[:20]:
        print("VIOLATION", v)
    fired = sum(n for n, _ in table.values())
    print(
        json.dumps(
            {
                "scenarios": len(todo),
                "faults": fired,
                "violations": len(violations),
                "sample": args.sample,
                "step": args.step,
                "seed": args.seed,
                "seconds": round(time.monotonic() - began, 1),
            }
        )
    )
    return 1 if violations or not fired else 0


if __name__ == "__main__":
    sys.exit(main())
