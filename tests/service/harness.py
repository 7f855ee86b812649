"""The launcher and the client of the service tests.

Daemon starts a real amendd on a folder of its own and a free port, collects its log and stops it by its own pid.
Client speaks HTTP to it and checks what is true of every answer: request id, content type, shape of problem documents,
and that the OpenAPI document describes it (described.py).
Neither knows anything of a method; expected values are the business of reference.py and of each test.
"""

import atexit
import collections
import json
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

import described
import requests
import safetensors

REPO = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("AMEND_BUILD", REPO / "build")).resolve()
TERMINAL = ("succeeded", "failed", "cancelled")
SANITIZED = BUILD.name == "asan"
BAD_LOG = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|\bBUG\b")

Tensor = collections.namedtuple("Tensor", "dtype shape data")  # data: the bytes, little-endian


class StartError(Exception):
    """The daemon did not come up; .code is its exit code (None: still running), .log what it said."""

    def __init__(self, code, log):
        super().__init__(f"amendd did not start (exit {code}); the end of its log:\n{log[-4000:]}")
        self.code, self.log = code, log


def seg(text):
    """One percent-encoded path segment."""
    return urllib.parse.quote(text, safe="")


def processes_with(folder):
    """Pids (not ours) that hold a descriptor below `folder`: a worker that outlives its daemon does."""
    found, prefix = set(), str(folder) + "/"
    for proc in Path("/proc").iterdir():
        if not proc.name.isdigit() or int(proc.name) == os.getpid():
            continue
        try:
            for fd in (proc / "fd").iterdir():
                if os.readlink(fd).startswith(prefix):
                    found.add(int(proc.name))
        except OSError:
            continue
    return found


started = []  # daemons of this process


@atexit.register
def kill_what_is_left():
    """A test that failed half way leaves no daemon behind."""
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


class Daemon:
    def __init__(self, data_dir, roots, args=(), prefix=(), env=None, log=None, build=None):
        self.data = Path(data_dir)
        self.roots = [Path(r) for r in roots]
        self.args, self.prefix, self.env = list(args), list(prefix), env or {}
        self.log_path = Path(log or str(data_dir) + ".log")
        self.build = build  # None: the build under test
        self.process = self.url = self.client = None
        self.lines = []
        self.started_in = None

    def command(self):
        cmd = self.prefix + [
            str((self.build or BUILD) / "amendd"),
            f"--data_dir={self.data}",
            "--store.import_roots=" + ":".join(str(r) for r in self.roots),
        ]
        for default in ("--listen=127.0.0.1:0", "--store.min_free=1MiB"):
            if not any(a.startswith(default.split("=")[0] + "=") for a in self.args):
                cmd.append(default)
        return cmd + self.args

    def start(self, timeout=20):
        self.log_file = open(self.log_path, "ab")
        self.log_from = self.log_file.tell()
        began = time.monotonic()
        self.process = subprocess.Popen(
            self.command(),
            stdout=subprocess.PIPE,
            stderr=self.log_file,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **self.env},
        )
        started.append(self.process)
        ready = threading.Event()
        threading.Thread(target=self._read_stdout, args=(self.process, ready), daemon=True).start()
        ready.wait(timeout)
        if self.url is None:
            code = self.process.poll()
            if code is None:
                try:  # standard output closed: it is about to exit
                    code = self.process.wait(2)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            raise StartError(code, self.log())
        self.started_in = time.monotonic() - began
        self.client = Client(self.url, self.build or BUILD)
        return self

    def _read_stdout(self, process, ready):
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            self.lines.append(text)
            match = re.fullmatch(r"amendd ready at (http://\S+)", text)
            if match:
                self.url = match.group(1)
                ready.set()
        ready.set()

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def status(self, name):
        """A line of /proc/PID/status in kB, e.g. VmRSS."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def workers(self):
        """Pids of the running worker processes of this daemon."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                found += [int(p) for p in (task / "children").read_text().split()]
            except OSError:
                continue
        return found

    def kill(self):
        """kill -9, as a crash; no checks."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._closed()

    def _closed(self):
        self.log_file.close()
        self.url = None

    def stop(self, timeout=20):
        """SIGTERM, then everything that must be true after a clean end."""
        if self.process is None or self.url is None:
            return
        code = self.process.poll()
        if code is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                code = self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = "no exit within %d s of SIGTERM" % timeout
        self._closed()
        self.client.session.close()
        log = self.log()
        assert code == 0, f"amendd ended with {code}:\n{log[-6000:]}"
        found = BAD_LOG.search(log)
        assert not found, f"the log holds {found.group(0)!r}:\n{log[-6000:]}"
        deadline = time.monotonic() + 2
        while processes_with(self.data) and time.monotonic() < deadline:
            time.sleep(0.02)
        left = processes_with(self.data)
        assert not left, f"processes left after the daemon ended: {sorted(left)}"
        staging = self.data / "staging"
        assert not staging.exists() or not list(staging.iterdir()), f"staging is not empty: {list(staging.iterdir())}"

    def staging(self, seconds=2):
        """What lies in staging/. The folder of a published attempt goes a moment after the job is told to have ended."""
        deadline = time.monotonic() + seconds
        while (left := list((self.data / "staging").iterdir())) and time.monotonic() < deadline:
            time.sleep(0.005)
        return left

    def blobs(self):
        """Names of all files below blobs/."""
        return sorted(p.name for p in (self.data / "blobs").rglob("*") if p.is_file())

    def sql(self, text, *args):
        """One statement on the database, also beside the daemon; its rows."""
        db = sqlite3.connect(self.data / "amendd.db")
        rows = db.execute(text, args).fetchall()
        db.commit()
        db.close()
        return rows

    def left_nothing(self, path):
        """What was refused is gone, or soon will be: no file, and nothing in the list at `path`."""
        deadline = time.monotonic() + 5
        while (self.blobs() or list((self.data / "staging").iterdir())) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.blobs() == [] and list((self.data / "staging").iterdir()) == []
        assert self.client.all(path) == []


class Client:
    def __init__(self, url, build=BUILD):
        self.url, self.build = url, build
        self.session = requests.Session()
        self.session.trust_env = False

    # ---- requests -------------------------------------------------------------------------------------------------

    def request(self, method, path, **kw):
        kw.setdefault("timeout", 60)
        answer = self.session.request(method, self.url + path, **kw)
        self.check(method, path, answer)
        described.check(self.build, method, path, answer)
        return answer

    @staticmethod
    def check(method, path, answer):
        """What api.md promises of every answer."""
        assert answer.headers.get("X-Request-Id"), f"{method} {path}: no X-Request-Id"
        if method == "HEAD":
            assert answer.content == b""
            return
        if answer.status_code >= 400 and path.startswith("/v1"):
            assert answer.headers["Content-Type"].startswith("application/problem+json"), (path, answer.headers)
            doc = answer.json()
            code = doc["code"]
            assert doc["type"] == "/v1/problems/" + code and doc["status"] == answer.status_code, doc
            for member in ("title", "detail", "instance", "request_id", "retryable", "errors", "message", "error"):
                assert member in doc, f"problem without {member}: {doc}"
            assert doc["request_id"] == answer.headers["X-Request-Id"]
            for entry in doc["errors"]:
                assert entry["code"] and entry["detail"] and "pointer" in entry, entry

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def head(self, path, **kw):
        return self.request("HEAD", path, **kw)

    def post(self, path, body=None, **kw):
        if body is not None:
            kw["json"] = body
        return self.request("POST", path, **kw)

    def ok(self, path, status=200):
        answer = self.get(path)
        assert answer.status_code == status, f"GET {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json()

    def all(self, path):
        """Every entry of a list, page by page."""
        found, after = [], None
        while True:
            sep = "&" if "?" in path else "?"
            page = self.ok(path + (f"{sep}after={seg(after)}" if after else ""))
            assert page["object"] == "list"
            found += page["data"]
            if not page["has_more"]:
                return found
            assert page["next"] and page["data"], page
            after = page["next"]

    # ---- models ---------------------------------------------------------------------------------------------------

    @staticmethod
    def at(version):
        """ "ns/name@rev" as the path of the version."""
        model, _, rev = version.partition("@")
        return f"/v1/models/{model}/versions/{seg(rev or 'main')}"

    def register_raw(self, folder, model, **more):
        return self.post(
            f"/v1/models/{model}/versions", {"from": {"path": str(folder)}, **more}, headers={"Prefer": "wait=60"}
        )

    def register(self, folder, model, **more):
        """Registers a directory; the version object, whether the daemon answered 201 or 202 with a task."""
        answer = self.register_raw(folder, model, **more)
        assert answer.status_code in (201, 202), f"{answer.status_code} {answer.text[:3000]}"
        doc = answer.json()
        if answer.status_code == 201:
            assert doc["object"] == "version", doc
            return doc
        task = self.wait(doc["id"])
        assert task["status"] == "succeeded", task
        done = task["result"]["version"]
        return self.ok(self.at(f"{done['model']}@{done['commit']}"))

    def refused(self, folder, model, **more):
        """The problem document with which a registration was refused, at once or by its task."""
        answer = self.register_raw(folder, model, **more)
        doc = answer.json()
        if answer.status_code == 202:
            task = self.wait(doc["id"])
            assert task["status"] == "failed", task
            return task["error"]
        assert answer.status_code >= 400, f"registered, but should be refused: {answer.text[:1000]}"
        return doc

    def version(self, version):
        return self.ok(self.at(version))

    def files(self, version):
        doc = self.ok(self.at(version) + "/files")
        return {f["path"]: f for f in doc["data"]}

    def download(self, version, path):
        answer = self.get(f"{self.at(version)}/files/{seg(path)}/content")
        assert answer.status_code == 200, f"{version} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.content

    def report(self, version):
        """What the merge told of its tensors."""
        return json.loads(self.download(version, "amend/report.json"))

    def weights(self, version):
        """{name: Tensor} of all weight files, parsed by the real safetensors library."""
        found = {}
        for path in self.files(version):
            if path.endswith(".safetensors"):
                for name, t in safetensors.deserialize(self.download(version, path)):
                    assert name not in found, f"{name} in two files"
                    found[name] = Tensor(t["dtype"], tuple(t["shape"]), bytes(t["data"]))
        return found

    def etags(self, version):
        return {p: f["etag"] for p, f in self.files(version).items() if p.endswith(".safetensors")}

    # ---- jobs -----------------------------------------------------------------------------------------------------

    def submit(self, body):
        answer = self.post("/v1/jobs", body)
        assert answer.status_code == 202, f"{answer.status_code} {answer.text[:3000]}"
        job = answer.json()
        assert re.fullmatch(r"job_[0-9a-f]{32}", job["id"]), job["id"]
        assert answer.headers["Location"].endswith("/v1/jobs/" + job["id"])
        assert answer.headers["Retry-After"].isdigit()
        return job["id"]

    def job(self, uid):
        return self.ok(f"/v1/jobs/{uid}")

    def wait(self, uid, timeout=45):
        deadline, pause = time.monotonic() + timeout, 0.005
        while True:
            # the service tells when it is over, unless it has no room for those who wait
            answer = self.get(f"/v1/jobs/{uid}", headers={"Prefer": "wait=5"})
            assert answer.status_code == 200, f"{uid}: {answer.status_code} {answer.text[:2000]}"
            job = answer.json()
            if job["status"] in TERMINAL:
                return job
            assert time.monotonic() < deadline, f"not ended after {timeout} s: {json.dumps(job)}"
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def run(self, body):
        """Submits, waits, requires success: "ns/name@commit" of the new version."""
        job = self.wait(self.submit(body))
        assert job["status"] == "succeeded", json.dumps(job, indent=1)
        version = job["result"]["version"]
        return f"{version['model']}@{version['commit']}"

    def fails(self, body):
        job = self.wait(self.submit(body))
        assert job["status"] == "failed", json.dumps(job, indent=1)
        return job["error"]


def until(true, seconds=10):
    """Asks again and again; the first answer that is not false."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return answer


def problem(answer, status, code):
    """The problem document, after a check of status and code."""
    assert answer.status_code == status, f"{answer.status_code} instead of {status}: {answer.text[:2000]}"
    doc = answer.json()
    assert doc["code"] == code, doc
    return doc


def computed(options):
    """Tests that compare results compute each of them; what is reused on purpose is test_rerun.py's."""
    return {"reuse": False, **options}


def merge(method, models, into, base=None, params=None, **options):
    """The body of a merge job; models: [(version, {per-input parameters})]."""
    inputs = {"models": [{"version": v, "params": p} if p else v for v, p in models]}
    if base:
        inputs["base"] = base
    return {
        "type": "merge",
        "method": method,
        "inputs": inputs,
        "params": params or {},
        "options": computed(options),
        "publish": {"model": into},
    }


def negation(model, version, base, lam, into, **options):
    return {
        "type": "unlearn",
        "method": "task_negation",
        "inputs": {"model": model, "task": {"version": version, "base": base}},
        "params": {"lambda": lam},
        "options": computed(options),
        "publish": {"model": into},
    }


def sparsify(model, into, params, **options):
    return {
        "type": "edit",
        "method": "sparsify",
        "inputs": {"model": model},
        "params": params,
        "options": computed(options),
        "publish": {"model": into},
    }


def amend(client_or_url, *args, expect=0, stdin=None, env=None, timeout=60):
    """Runs the command-line client; standard output as text. expect=None: the finished process whatever the exit
    code."""
    url = client_or_url if isinstance(client_or_url, str) else client_or_url.url
    done = subprocess.run(
        [str(BUILD / "amend"), *map(str, args)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={
            **os.environ,
            "AMEND_ENDPOINT": url,
            "NO_COLOR": "1",
            "XDG_CONFIG_HOME": "/nonexistent",  # no contexts of whoever runs the tests
            "AMEND_CONTEXT": "",
            **(env or {}),
        },
    )
    if expect is None:
        return done
    assert (
        done.returncode == expect
    ), f"amend {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
