"""The daemon under measurement: amendd on a folder that is thrown away after each job, and its worker measured by
wait4.

Ground holds the inputs, registered once in `pristine` and kept between runs. Each job gets a daemon of its own on a
copy of pristine whose blobs are hard links: no job finds the result of another one, and the disk does not fill.
"""

import collections
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.setdefault("AMEND_BUILD", str(ROOT / "build"))).resolve()
sys.path.insert(0, str(ROOT / "tests" / "service"))

import harness  # noqa: E402

CC = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # then harness ends the daemon
POLL, REST = 0.005, 0.1  # seconds between two questions: by a client's clock, and while the worker itself is measured
LONG = 3600  # seconds: no job or import of the bench takes as long
Done = collections.namedtuple("Done", "seconds job sha256 worker daemon_peak")
ENDED = {b'"status":"' + s for s in (b"succeeded", b"failed", b"cancelled")}


class Tools:
    """Programs of the bench, built into a folder: two stand-ins for the worker and the library that does not sync."""

    def __init__(self, folder):
        self.folder = Path(folder)
        for kind in ("plain", "nosync"):
            at = self.folder / kind
            at.mkdir(parents=True, exist_ok=True)
            subprocess.run([*CC, ROOT / "bench/measured.c", "-o", at / "amend-worker"], check=True)
            (at / "real").unlink(missing_ok=True)
            (at / "real").symlink_to(BUILD / "amend-worker")
        self.nosync = self.folder / "nosync" / "nosync.so"
        subprocess.run([*CC, "-shared", "-fPIC", ROOT / "bench/nosync.c", "-o", self.nosync], check=True)

    def args(self, kind):
        return [f"--workers.program={self.folder / kind / 'amend-worker'}"]

    def env(self):
        return {"LD_PRELOAD": str(self.nosync)}

    def forget(self, kind):
        (self.folder / kind / "records").unlink(missing_ok=True)

    def record(self, kind):
        """What wait4 said of the one job since forget()."""
        lines = (self.folder / kind / "records").read_text().splitlines()
        assert len(lines) == 1, f"{len(lines)} workers ran instead of one: {lines}"
        return json.loads(lines[0])


class Line:
    """A kept-open connection that submits and polls at little cost for the processor."""

    def __init__(self, url):
        self.http = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        return answer.status, answer.read()

    def run(self, body, pause=POLL):
        """(seconds from POST to the end, the job)."""
        text = json.dumps(body)
        began = time.monotonic()
        status, answer = self.send("POST", "/v1/jobs", text)
        if status != 202:
            raise RuntimeError(f"POST /v1/jobs: {status} {answer.decode()[:2000]}")
        path = "/v1/jobs/" + json.loads(answer)["id"]
        while True:
            time.sleep(pause)
            _, answer = self.send("GET", path)
            ended = time.monotonic()
            if any(mark in answer for mark in ENDED):
                job = json.loads(answer)
                if job["status"] in harness.TERMINAL:
                    break
            if ended - began > LONG:
                raise RuntimeError(f"{path} has not ended after {LONG} s")
        if job["status"] != "succeeded":
            raise RuntimeError(f"{path}: {json.dumps(job['error'], indent=1)}")
        return ended - began, job


class Ground:
    """Inputs and daemons of one size of models."""

    def __init__(self, folder, tools):
        self.folder, self.tools = Path(folder), tools
        self.pristine, self.state = self.folder / "pristine", self.folder / "state"
        self.note = self.folder / "inputs.json"
        self.inputs = json.loads(self.note.read_text()) if self.note.exists() else None

    def prepare(self, write, sparse=False):
        """write(folder) makes model folders and returns their names; they are registered and removed."""
        if self.inputs:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        raw = self.folder / "raw"
        raw.mkdir(parents=True)
        names = write(raw)
        d = harness.Daemon(self.pristine, [raw], env=self.tools.env()).start()
        found = {}
        for name in names:
            self.register(d.client, raw / name, f"bench/{name}")
            files = d.client.files(f"bench/{name}")
            found[name] = files["model.safetensors"]["sha256"]
            shutil.rmtree(raw / name)
            if sparse:
                dig_holes(self.blob(found[name], self.pristine))
        d.stop(60)
        (self.pristine / "LOCK").unlink(missing_ok=True)
        self.inputs = found
        self.note.write_text(json.dumps(found))
        os.sync()

    @staticmethod
    def register(client, folder, model):
        answer = client.register_raw(folder, model)
        assert answer.status_code in (201, 202), f"{model}: {answer.status_code} {answer.text[:2000]}"
        if answer.status_code == 202:
            task = client.wait(answer.json()["id"], LONG)
            assert task["status"] == "succeeded", task

    @staticmethod
    def blob(sha256, state):
        return state / "blobs" / sha256[:2] / sha256

    def paths(self, names):
        return [self.blob(self.inputs[name], self.pristine) for name in names]

    def reset(self):
        shutil.rmtree(self.state, ignore_errors=True)

    def fresh(self, args=(), env=None):
        """A daemon on a new copy of the inputs; nothing is copied but the database."""
        self.reset()
        shutil.copytree(self.pristine, self.state, copy_function=link_or_copy)
        return harness.Daemon(self.state, [self.folder], args=args, env=env).start()

    def job(self, body, kind=None):
        """Runs one job: kind None is the daemon as it is, else a stand-in for the worker ("plain", "nosync").
        Done: seconds of the client, the job, SHA-256 of the weight files, what wait4 said or None, peak of amendd.
        """
        args, env = [], None
        if kind:
            args = self.tools.args(kind)
            self.tools.forget(kind)
        if kind == "nosync":
            env = self.tools.env()
        d = self.fresh(args, env)
        line = Line(d.url)
        line.send("GET", "/livez")
        seconds, job = line.run(body, REST if kind else POLL)
        line.http.close()
        version = job["result"]["version"]
        files = d.client.files(f"{version['model']}@{version['commit']}")
        sha256 = " ".join(f["sha256"] for path, f in sorted(files.items()) if f["weights"])
        peak = d.status("VmHWM") * 1024
        d.stop(60)
        self.reset()
        return Done(seconds, job, sha256, self.tools.record(kind) if kind else None, peak)


def link_or_copy(source, target):
    """Blobs never change: a link will do."""
    if f"{os.sep}blobs{os.sep}" in str(source):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def dig_holes(path):
    """Gives blocks of zeros back to the disk; the content stays."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    subprocess.run(["fallocate", "--dig-holes", path], check=True)
    path.chmod(mode)
