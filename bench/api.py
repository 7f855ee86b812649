#!/usr/bin/env python3
"""bench/run api - how the service answers while it works.

64 kept-open connections ask for one job for some seconds (load.c): while a merge runs that lasts longer than the
measurement, while it runs and somebody also writes, and without a merge. Then 512 event streams are opened while a merge
runs, and must all see the same events; the 513th must get 503. Pass or fail against the targets in README.md.
--save keeps the numbers in bench/results/.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import machine
import models
import streams
from report import table, verdict
from service import CC, ROOT, Ground, Line, Tools  # puts tests/service on the path
from harness import merge

MIB = 1 << 20
CLIENTS = 64
WRITES = 20  # a second, beside the reads of one row
PACE = 8500  # requests a second of one row: what the target's rate takes from the merge
PER_SECOND, P99_MS, PEAK_MIB = 8000, 50, 64  # the targets, while a merge runs

# name: what it says in the table, does a merge run, conditional, writes beside it, requests a second (0: all that go)
ROWS = {
    "running": ("the running job", True, False, False, 0),
    "running_writes": (f"the running job, {WRITES} jobs submitted a second", True, False, True, 0),
    "running_paced": (f"the running job, {PACE:,} times a second", True, False, False, PACE),
    "running_304": ("the running job, If-None-Match", True, True, False, 0),
    "idle": ("a job that has ended, no merge", False, False, False, 0),
    "idle_304": ("the same, If-None-Match", False, True, False, 0),
}


def tuned(inputs):
    return [f"t{i}" for i in range(inputs)]


def request(number, inputs):
    """A merge of the first inputs; `number` changes a coefficient: no two jobs are the same."""
    chosen = [(f"bench/{name}", {"weight": 1.0 + number * 1e-6, "density": 0.5}) for name in tuned(inputs)]
    return merge("ties", chosen, "bench/out", "bench/base")


class Scene:
    """One daemon, the line that asks it now and then, and the merge that runs in it."""

    def __init__(self, daemon, options):
        self.daemon, self.options = daemon, options
        self.line, self.number = Line(daemon.url), 0
        self.host, self.port = daemon.url.removeprefix("http://").split(":")

    def job(self, uid):
        return json.loads(self.line.send("GET", f"/v1/jobs/{uid}")[1])

    def submit(self, inputs):
        self.number += 1
        status, answer = self.line.send("POST", "/v1/jobs", json.dumps(request(self.number, inputs)))
        assert status == 202, answer[:2000]
        return json.loads(answer)["id"]

    def wait(self, uid, good):
        """Until good(job); a job that has failed ends the bench."""
        while not good(job := self.job(uid)):
            assert job["status"] != "failed", job["error"]
            time.sleep(0.02)
        return job

    @contextlib.contextmanager
    def merge_runs(self):
        """The id of a merge that is at work, and still is when the block ends; then it is cancelled."""
        self.line.http.close()  # the daemon closes it after 30 s without a request; it is opened anew by itself
        uid = self.submit(self.options.inputs)
        self.wait(uid, lambda j: j["progress"] and j["progress"]["bytes_done"] > 0)
        yield uid
        job = self.job(uid)
        if job["status"] != "running":
            raise SystemExit(f"the merge was {job['status']} before the measurement ended: give it more --inputs")
        self.line.send("POST", f"/v1/jobs/{uid}/cancel")
        self.wait(uid, lambda j: j["status"] == "cancelled")

    def merge_read(self):
        """Bytes that the worker has read so far: its progress is told too seldom for a few seconds."""
        (worker,) = self.daemon.workers()
        io = dict(line.split(": ") for line in Path(f"/proc/{worker}/io").read_text().splitlines())
        return int(io["rchar"])

    def processor(self):
        """Seconds of the daemon so far: user, system."""
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return [int(f) / os.sysconf("SC_CLK_TCK") for f in fields[11:13]]

    def load(self, uid, rate, *headers):
        """64 clients ask for the job; what load.c says, and what it cost the daemon."""
        before = self.processor()
        command = [self.options.load, self.host, self.port, f"/v1/jobs/{uid}", CLIENTS, self.options.seconds, rate]
        said = json.loads(subprocess.run([*map(str, command), *headers], stdout=subprocess.PIPE, check=True).stdout)
        user, system = (a - b for a, b in zip(self.processor(), before))
        answers = max(1, said["full"] + said["not_modified"])
        return said | {
            "daemon_user": user,
            "daemon_system": system,
            "cpu_per_10000": (user + system) / answers * 1e4,
        }


@contextlib.contextmanager
def writer(scene):
    """Submits jobs for a far day, WRITES a second; the list gets each one's id. Each commit ends what is kept."""
    line, done, made = Line(scene.daemon.url), threading.Event(), []

    def submit():
        while not done.wait(1 / WRITES):
            made.append(streams.later_job(line))

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield made
    finally:
        done.set()
        thread.join()
    assert made, "nothing could be written meanwhile"


def measure(scene, uid, conditional, writes, rate):
    headers = []
    if conditional:  # progress gives the running job another ETag each second: those answers are full ones
        headers = [f"If-None-Match: {scene.daemon.client.get(f'/v1/jobs/{uid}').headers['ETag']}"]
    with writer(scene) if writes else contextlib.nullcontext([]) as made:
        found = scene.load(uid, rate, *headers)
    return found | {"writes": len(made)}


def row(scene, name, ended):
    _, merging, conditional, writes, rate = ROWS[name]
    machine.quiet(scene.options.patience)
    if not merging:
        return measure(scene, ended, conditional, writes, rate)
    with scene.merge_runs() as uid:
        before, began = scene.merge_read(), time.monotonic()
        found = measure(scene, uid, conditional, writes, rate)
        return found | {"merge_bytes_per_second": (scene.merge_read() - before) / (time.monotonic() - began)}


def merge_alone(scene):
    """Bytes a second of the merge while nobody asks: what the others take from it."""
    with scene.merge_runs():
        before, began = scene.merge_read(), time.monotonic()
        time.sleep(scene.options.seconds)
        return (scene.merge_read() - before) / (time.monotonic() - began)


def judge(rows):
    for name, r in rows.items():
        r["clean"] = r["failed"] == 0 and r["closed"] == 0
        if name == "running":  # the target
            r["rate_pass"] = r["per_second"] >= PER_SECOND and r["clean"]
            r["p99_pass"] = r["p99_ms"] < P99_MS


def answers_table(rows, alone):
    head = ["asked for", "200 a second", f">= {PER_SECOND}", "304 a second", "p50 ms", "p99 ms", f"< {P99_MS}", "max ms",
            "failed or closed", "daemon s / 10,000", "speed of the merge"]  # fmt: skip
    return table(
        head,
        [
            [
                ROWS[name][0],
                f"{r['per_second']:,.0f}",
                verdict(r["rate_pass"]) if "rate_pass" in r else "",
                f"{r['not_modified_per_second']:,.0f}",
                f"{r['p50_ms']:.2f}" if r["full"] else "",
                f"{r['p99_ms']:.2f}" if r["full"] else "",
                verdict(r["p99_pass"]) if "p99_pass" in r else "",
                f"{r['max_ms']:.1f}" if r["full"] else "",
                r["failed"] + r["closed"],
                f"{r['cpu_per_10000']:.3f}",
                f"{r['merge_bytes_per_second'] / alone:.0%}" if "merge_bytes_per_second" in r else "",
            ]
            for name, r in rows.items()
        ],
    )


def text(result):
    m, peak = result["machine"], result["daemon_peak"] / MIB
    lines = [
        f"{m['time']}: {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['file_system']}, Linux {m['kernel']}."
        f" Load {m['load_before']} before, {m['load_after']} after.",
        f"{CLIENTS} connections, {m['seconds']} s each; ties of {m['inputs']} inputs of {2 * m['elements'] / 1e9:.2f} GB;"
        f" an answer of the ended job has {result['answer_bytes']:,} bytes. The clients, the merge and the daemon share the {m['cores']}"
        " cores.",
        "",
        *answers_table(result["rows"], result["merge_alone"]),
        "",
        "Where no rate is said the clients ask as fast as they are answered, and take all that from the merge: the last"
        " column is its speed as a share of that with nobody asking.",
        f"Peak of amendd: {peak:.1f} MiB (<= {PEAK_MIB}: {verdict(result['peak_pass'])}).",
        "",
        streams.text(result["streams"]),
    ]
    return "\n".join(lines) + "\n"


def arguments():
    p = argparse.ArgumentParser(
        prog="bench/run api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--dir", type=Path, default=ROOT / "build/bench", help="models are made and kept here (build/bench)")
    p.add_argument("--small", action="store_true", help="60 MB models and 2 s, to try the bench out")
    p.add_argument("--seconds", type=float, default=None, help="of each measurement (10; small: 2)")
    p.add_argument("--inputs", type=int, default=None, help="of the merge, so that it lasts (12; small: 40)")
    p.add_argument("--rows", default=",".join(ROWS), help="comma-separated, of: " + " ".join(ROWS))
    p.add_argument("--patience", type=float, default=30, help="seconds to wait for a quiet machine before each (30)")
    p.add_argument("--save", action="store_true", help="write bench/results/api.json and api.md")
    options = p.parse_args()
    options.rows = options.rows.split(",")
    for name in options.rows:
        if name not in ROWS:
            p.error(f"--rows: no row {name!r}; there are {', '.join(ROWS)}")
    options.seconds = options.seconds or (2 if options.small else 10)
    options.inputs = options.inputs or (40 if options.small else 12)
    return options


def run(scene, options):
    ended = scene.submit(2)
    scene.wait(ended, lambda j: j["status"] == "succeeded")
    result = {"answer_bytes": len(scene.line.send("GET", f"/v1/jobs/{ended}")[1]), "rows": {}}
    result["merge_alone"] = merge_alone(scene)
    for name in options.rows:
        result["rows"][name] = r = row(scene, name, ended)
        print(f"{name}: {r['per_second']:,.0f} a second, p99 {r['p99_ms']:.2f} ms", file=sys.stderr)
    judge(result["rows"])
    if streams.offered(scene):
        with scene.merge_runs() as uid:
            result["streams"] = streams.measure(scene, uid)
    else:
        result["streams"] = None
    result["daemon_peak"] = scene.daemon.status("VmHWM") * 1024
    result["peak_pass"] = result["daemon_peak"] <= PEAK_MIB * MIB
    return result


def main():
    options = arguments()
    size = "60MB" if options.small else "1.2GB"
    options.dir.mkdir(parents=True, exist_ok=True)
    about = machine.describe(options.dir) | {
        "size": size,
        "elements": models.elements(size),
        "seconds": options.seconds,
        "inputs": options.inputs,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    options.load = options.dir / "load"
    subprocess.run([*CC, ROOT / "bench/load.c", "-o", options.load], check=True)
    # mostly holes: a merge reads and computes zeros like numbers, and twelve of them take little of the disk
    ground = Ground(options.dir / f"{size}-api-{options.inputs}", Tools(options.dir / "tools"))
    ground.prepare(
        lambda folder: models.write(folder, size, tuned(options.inputs), lambda n: ".0." in n), sparse=True
    )
    machine.run("cat", *ground.paths(ground.inputs))
    daemon = ground.fresh()
    result = {"machine": about} | run(Scene(daemon, options), options)
    daemon.stop(60)
    ground.reset()
    about["load_after"] = machine.load()
    print(text(result))
    if options.save:
        folder = ROOT / "bench/results"
        (folder / "api.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "api.md").write_text(text(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
