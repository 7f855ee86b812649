"""Answers that are given again (kept by the daemon while nothing changes) are never old ones and never another's: what a
write has answered is what every read after it sees, from any connection, and a read never goes back in time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests

import reference as ref
from harness import merge

MOVES = 10  # by each of the writers


@pytest.fixture(scope="module")
def models(client, roots):
    """f/m-0 .. f/m-3 with v1 and v2: the commits."""
    commits = {}
    for k in range(4):
        for i in range(2):
            folder = ref.write(roots / f"fresh-{k}-{i}", {"w": ref.tensor("F32", np.arange(6) + 10 * k + i)})
            commits[k, i] = client.register(folder, f"f/m-{k}")["commit"]
    return commits


class Line:
    """A kept-open connection of its own, without the checks of harness.Client: as many requests as possible."""

    def __init__(self, url):
        self.url, self.session = url, requests.Session()

    def get(self, path, **headers):
        return self.session.get(self.url + path, headers=headers, timeout=30)

    def put(self, path, body):
        return self.session.put(self.url + path, json=body, timeout=30)


def watch(url, path, key, done):
    """Reads one path until told to stop: nothing seen may be older than what was seen before. Number of reads."""
    line, last, n = Line(url), 0, 0
    while not done.is_set():
        answer = line.get(path)
        if answer.status_code == 200:
            now = key(answer.json())
            assert now >= last, f"{path} went back from {last} to {now}"
            last, n = now, n + 1
    return n


def move(url, k, commits):
    """Moves an alias to and fro; each move must be seen by whoever reads next, by whatever path."""
    line, other = Line(url), Line(url)
    ref_path, model = f"/v1/models/f/m-{k}/refs/live", f"/v1/models/f/m-{k}"
    etags = set()
    for n in range(1, MOVES + 1):
        commit = commits[k, n % 2]
        moved = line.put(ref_path, {"to": commit, "from": commits[k, 1 - n % 2] if n > 1 else None})
        assert moved.status_code in (200, 201), moved.text
        for reader in (other, line):
            seen = reader.get(ref_path)
            assert seen.json() == moved.json(), f"move {n} of m-{k} is not what is read after it"
            assert seen.headers["ETag"] == f'"{n}"' and seen.headers["Cache-Control"] == "no-cache"
            assert reader.get(ref_path, **{"If-None-Match": f'"{n - 1}"'}).status_code == 200
            assert reader.get(ref_path, **{"If-None-Match": f'"{n}"'}).status_code == 304
            version = reader.get(f"{model}/versions/live").json()
            assert version["commit"] == commit and "live" in version["refs"]
            assert "live" not in reader.get(f"{model}/versions/{commits[k, 1 - n % 2]}").json()["refs"]
        etags.add(other.get(model).headers["ETag"])
    return len(etags)


def test_what_was_written_is_read(daemon, models):
    done = threading.Event()
    with ThreadPoolExecutor(12) as pool:
        watchers = [
            pool.submit(watch, daemon.url, f"/v1/models/f/m-{k}/refs/live", lambda d: d["revision"], done)
            for k in range(4)
        ] + [pool.submit(watch, daemon.url, "/v1/models/f/m-0/versions/live", lambda d: 0, done) for _ in range(2)]
        movers = [pool.submit(move, daemon.url, k, models) for k in range(4)]
        try:
            assert [m.result() for m in movers] == [MOVES] * 4, "each move gives the model another ETag"
        finally:
            done.set()
        assert all(w.result() > 0 for w in watchers)


def job_body(k, into):
    return merge("linear", [(f"f/m-{k}@v1", {"weight": 1}), (f"f/m-{k}@v2", {"weight": 2})], into)


ORDER = {"queued": 0, "running": 1, "cancelling": 2, "succeeded": 3, "failed": 3, "cancelled": 3}


def test_jobs_do_not_go_back(daemon, models):
    """Submitted, watched by four at once, and its version is there as soon as anybody reads that it succeeded."""

    def follow(uid):
        line, last = Line(daemon.url), 0
        while last < 3:
            job = line.get("/v1/jobs/" + uid).json()
            assert job["id"] == uid and ORDER[job["status"]] >= last
            last = ORDER[job["status"]]
        assert job["status"] == "succeeded", job["error"]
        version = job["result"]["version"]
        path = f"/v1/models/{version['model']}/versions/{version['commit']}"
        assert line.get(path).json()["job"] == uid
        assert line.get(f"/v1/models/{version['model']}").json()["head"]["commit"] == version["commit"]
        return job

    with ThreadPoolExecutor(8) as pool:
        for n in range(3):
            uids = [daemon.client.submit(job_body(k, f"f/out-{n}-{k}")) for k in range(2)]
            ends = [pool.submit(follow, uid) for uid in uids for _ in range(4)]
            assert len({str(e.result()) for e in ends}) == len(uids), "the four of a job saw one and the same end"


def test_cancelled_is_read_as_cancelled(daemon, models):
    line = Line(daemon.url)
    for _ in range(10):
        uid = daemon.client.submit({**job_body(0, "f/never"), "options": {"not_before": "2099-01-01T00:00:00.000Z"}})
        assert [line.get("/v1/jobs/" + uid).json()["status"] for _ in range(3)] == ["queued"] * 3
        assert daemon.client.post(f"/v1/jobs/{uid}/cancel").json()["status"] == "cancelled"
        assert line.get("/v1/jobs/" + uid).json()["status"] == "cancelled"


def test_kept_answers_are_whole_answers(client, models):
    uid = client.submit(job_body(1, "f/whole"))
    client.wait(uid)
    for path in (f"/v1/jobs/{uid}", "/v1/models/f/m-1", "/v1/models/f/m-1/versions/v1", "/v1/models/f/m-1/refs/main"):
        first = client.get(path)
        for _ in range(3):
            again = client.get(path)
            assert again.content == first.content and again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
            own = ("X-Request-Id", "Date")
            assert {k: v for k, v in again.headers.items() if k not in own} == {
                k: v for k, v in first.headers.items() if k not in own
            }
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(first.content)) and head.headers["ETag"] == first.headers["ETag"]
        same = client.get(path, headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert client.get(path, headers={"If-None-Match": '"other"'}).content == first.content
        assert client.get(path + "?x=1").status_code == 400 and client.get(path + "x").status_code == 404


def test_more_paths_than_are_kept(client, models):
    """Hundreds of jobs read in turn: each answer is the job's own, and the daemon does not grow with them."""
    uids = [
        client.submit({**job_body(0, f"f/later-{i}"), "options": {"not_before": "2099-01-01T00:00:00.000Z"}})
        for i in range(100)
    ]
    line = Line(client.url)
    for _ in range(2):
        for i, uid in enumerate(uids):
            job = line.get("/v1/jobs/" + uid).json()
            assert job["id"] == uid and job["spec"]["publish"]["model"] == f"f/later-{i}"


def test_progress_of_a_running_job_moves(client, roots):
    """A job that takes a while is polled without a pause: progress changes in what is read, and never backwards."""
    big = {f"w{i}": ref.tensor("F32", np.full(1 << 20, i)) for i in range(12)}
    for i in range(2):
        client.register(ref.write(roots / f"long-{i}", big), f"f/long-{i}")
    uid = client.submit(merge("ties", [("f/long-1", {"weight": 1, "density": 0.5})], "f/long", "f/long-0", threads=1))
    line, seen, until = Line(client.url), [], time.monotonic() + 40
    while time.monotonic() < until:
        job = line.get("/v1/jobs/" + uid).json()
        if job["progress"]:
            seen.append(job["progress"]["updated_at"])
        if ORDER[job["status"]] == 3:
            break
    assert job["status"] == "succeeded" and job["progress"] is None
    assert seen == sorted(seen) and len(set(seen)) > 1, "progress stood still"
