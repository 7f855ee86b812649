"""Runs the worker's own program in the modes `pack` and `compare`, as the daemon does: spec on descriptor 0, records on 3,
the staging folder on 4, inputs from 5 (worker/contract.md). What a comparison should say is the business of the tests.
"""

import fcntl
import json
import os
import struct
from pathlib import Path

from harness import BUILD

MIB = 1 << 20
PARAMS = {"slices": ["*"], "groups": [], "bootstrap": 2000, "noise_floor": None, "noise_floor_source": "", "epsilon": 0.0, "tau": 0.5,
          "multilabel": "exact", "exemplars": 100, "allow_partial": False, "find_slices": False}
ABOUT = {"old": "o" * 40, "new": "n" * 40, "dataset": "acme/holdout", "old_predictions": "prd_" + "0" * 32,
         "new_predictions": "prd_" + "1" * 32}


def high(fd):
    """The same file above the numbers that the worker's descriptors get."""
    other = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
    os.close(fd)
    return other


def inherited():
    """What a child would get from whoever started the tests, beside the first three."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.get_inheritable(int(name)):
                found.add(int(name))
        except OSError:
            continue
    return found - {0, 1, 2}


class Ended:
    def __init__(self, staging, code, records, log, usage):
        self.staging, self.code, self.records, self.log, self.usage = staging, code, records, log, usage
        self.faults = [r for r in records if r["record"] == "fault"]
        self.failed = next((r for r in records if r["record"] == "failed"), None)

    def result(self):
        lines = [json.loads(line) for line in (self.staging / "result.ndjson").read_text().splitlines()]
        return {r["path"]: self.staging / r["staged"] for r in lines if r["record"] == "file"}, lines

    def path(self, name):
        return self.result()[0][name]

    def report(self):
        return json.loads(self.path("report.json").read_bytes())

    def slices(self):
        return [json.loads(line) for line in self.path("slices.ndjson").read_text().splitlines()]


def run(mode, staging, spec, inputs, memory=512 * MIB):
    """Starts amend-worker MODE and waits for its end. `inputs` are paths, from descriptor 5 on."""
    staging.mkdir(parents=True)
    doc = {"proto": 1, "job": "job_" + "0" * 32, "attempt": 1, "staging": 4,
           "limits": {"memory_bytes": memory, "file_bytes": 1 << 32, "descriptors": 100}, **spec}
    names = {n: staging.parent / f"{staging.name}.{n}" for n in ("spec", "records", "log")}
    names["spec"].write_text(json.dumps(doc))
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [(names["spec"], os.O_RDONLY, 0), ("/dev/null", os.O_WRONLY, 1), (names["log"], write, 2), (names["records"], write, 3),
             (staging, os.O_RDONLY | os.O_DIRECTORY, 4)] + [(p, os.O_RDONLY, 5 + i) for i, p in enumerate(inputs)]
    opened = [(high(os.open(p, flags, 0o600)), number) for p, flags, number in files]
    taken = {number for _, number in opened}
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for fd, number in opened] + [(os.POSIX_SPAWN_CLOSE, fd) for fd in inherited() - taken]
    pid = os.posix_spawn(BUILD / "amend-worker", ["amend-worker", mode], {"OPENBLAS_NUM_THREADS": "1"}, file_actions=actions)
    for fd, _ in opened:
        os.close(fd)
    _, status, usage = os.wait4(pid, 0)
    records = [json.loads(line) for line in names["records"].read_text().splitlines()]
    return Ended(staging, os.waitstatus_to_exitcode(status), records, names["log"].read_text(), usage)


def header(n, **more):
    return {"schema": "amend.preds/1", "version": {"external": "m"}, "dataset": {"external": "d"}, "task": "classification", "n": n, **more}


class Packed:
    """A prediction set packed by mode `pack`: its two files and its header."""

    def __init__(self, folder, name, rows, **head):
        upload = folder / f"{name}.ndjson"
        lines = [header(len(rows), **head), *rows]
        upload.write_bytes(b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines))
        ended = run("pack", folder / name, {"upload": {"fd": 5, "bytes": upload.stat().st_size, "gzip": False}}, [upload],
                    memory=1024 * MIB)
        assert ended.code == 0, (ended.log, ended.faults)
        self.packed, self.ids = ended.path("packed.safetensors"), ended.path("ids.safetensors")
        self.header = json.loads(ended.path("header.json").read_bytes())

    def spec(self, first):
        return {"packed": {"fd": first, "bytes": self.packed.stat().st_size}, "ids": {"fd": first + 1, "bytes": self.ids.stat().st_size},
                "header": self.header}


def compare(staging, old, new, threads=2, seed=0, memory=512 * MIB, gate=None, about=None, **params):
    spec = {"method": "compare", "params": {**PARAMS, **params}, "options": {"threads": threads, "seed": seed},
            "old": old.spec(5), "new": new.spec(7), "about": about or ABOUT, "gate": gate}
    return run("compare", staging, spec, [old.packed, old.ids, new.packed, new.ids], memory)


def tensors(path):
    """name -> (dtype, shape, bytes), and the metadata."""
    raw = Path(path).read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + size])
    meta = head.pop("__metadata__", {})
    return {k: (v["dtype"], v["shape"], raw[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]]) for k, v in head.items()}, meta
