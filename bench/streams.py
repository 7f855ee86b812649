"""512 event streams at once, for bench/run api: all see the same stored events in the same order, the 513th is refused.

One thread reads all streams over plain sockets. The events are the bench's own: jobs that wait for a far day, submitted
and cancelled. Progress events of the merge that runs meanwhile are counted apart: they are not stored and coalesced.
"""

import json
import resource
import selectors
import socket
import time

STREAMS, JOBS, PATIENCE = 512, 20, 30
PATH = "/v1/events/stream?topics=jobs"


class Stream:
    """An open stream: bytes in, (id, event type, data) out."""

    def __init__(self, scene):
        self.socket = socket.create_connection((scene.host, int(scene.port)), timeout=PATIENCE)
        self.socket.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {scene.host}:{scene.port}\r\n\r\n".encode())
        self.pending, self.events, self.progress, self.ended = b"", [], 0, None
        while b"\r\n\r\n" not in self.pending:
            piece = self.socket.recv(4096)
            assert piece, "the daemon closed a stream before its head"
            self.pending += piece
        head, _, body = self.pending.partition(b"\r\n\r\n")
        self.status, self.head = int(head.split()[1]), head.decode().lower()
        self.pending, self.chunked = b"", "transfer-encoding: chunked" in self.head
        self.raw = b""
        self.take(body)

    def take(self, piece):
        """Undoes the chunks, if there are any, then cuts at empty lines."""
        if self.chunked:
            self.raw += piece
            piece = b""
            while b"\r\n" in self.raw:
                size, _, rest = self.raw.partition(b"\r\n")
                n = int(size.split(b";")[0], 16)
                if len(rest) < n + 2:
                    break
                piece, self.raw = piece + rest[:n], rest[n + 2 :]
        self.pending += piece
        while b"\n\n" in self.pending:
            block, _, self.pending = self.pending.partition(b"\n\n")
            fields = dict(line.partition(": ")[::2] for line in block.decode().splitlines() if line[:1] != ":")
            if fields.get("event") == "job.progress":
                self.progress += 1
            elif "data" in fields:
                self.events.append((fields.get("id"), fields.get("event"), json.loads(fields["data"])))

    def ids_of(self, uids):
        return [(i, e) for i, e, data in self.events if data.get("subject") in uids]


def offered(scene):
    """Does this build have streams? HEAD starts none."""
    return scene.daemon.client.request("HEAD", PATH).status_code == 200


def open_all(scene):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    began = time.monotonic()
    streams = [Stream(scene) for _ in range(STREAMS)]
    return streams, time.monotonic() - began


def read(streams, until, enough):
    """Reads whatever comes, until enough(stream) of all; streams remember when that was."""
    with selectors.DefaultSelector() as ready:
        for s in streams:
            s.ended = None
            s.socket.setblocking(False)
            ready.register(s.socket, selectors.EVENT_READ, s)
        left = len(streams)
        while left and time.monotonic() < until:
            for key, _ in ready.select(0.1):
                s = key.data
                piece = s.socket.recv(1 << 16)
                assert piece, "the daemon closed a stream"
                s.take(piece)
                if s.ended is None and enough(s):
                    s.ended, left = time.monotonic(), left - 1
    return left


def later_job(line):
    """The id of a job that waits for a far day."""
    body = {
        "type": "merge",
        "method": "linear",
        "inputs": {"models": [{"version": f"bench/t{i}", "params": {"weight": 0.5}} for i in range(2)]},
        "options": {"not_before": "2099-01-01T00:00:00.000Z"},
        "publish": {"model": "bench/later"},
    }
    status, answer = line.send("POST", "/v1/jobs", json.dumps(body))
    assert status == 202, answer[:2000]
    return json.loads(answer)["id"]


def measure(scene, uid):
    """Numbers of the part; `uid` is the merge that runs."""
    streams, opened = open_all(scene)
    refused = scene.daemon.client.get(PATH, stream=True)
    uids = []
    for _ in range(JOBS):
        uids.append(later_job(scene.line))
        scene.line.send("POST", f"/v1/jobs/{uids[-1]}/cancel")
    written = time.monotonic()
    late = read(streams, written + PATIENCE, lambda s: any(e == "job.cancelled" for _, e in s.ids_of(uids[-1:])))
    seen = {tuple(s.ids_of(uids)) for s in streams}
    lag = max((s.ended or written + PATIENCE) - written for s in streams)
    before = scene.processor()
    read(streams, time.monotonic() + scene.options.seconds, lambda s: False)
    quiet = sum(scene.processor()) - sum(before)
    found = {
        "streams": STREAMS,
        "open": sum(s.status == 200 for s in streams),
        "opened_seconds": opened,
        "refused_status": refused.status_code,
        "refused_code": refused.json().get("code") if refused.status_code == 503 else None,
        "retry_after": refused.headers.get("Retry-After"),
        "jobs": JOBS,
        "late": late,
        "different_orders": len(seen),
        "events_each": len(next(iter(seen))),
        "last_event_id": next(iter(seen))[-1][0] if len(seen) == 1 and late == 0 else None,
        "lag_ms": lag * 1000,
        "progress_each": [min(s.progress for s in streams), max(s.progress for s in streams)],
        "daemon_cpu_share": quiet / scene.options.seconds,
        "resident": scene.daemon.status("VmRSS") * 1024,
    }
    found["same_pass"] = (
        found["open"] == STREAMS and late == 0 and len(seen) == 1 and found["events_each"] == 2 * JOBS
    )
    found["refused_pass"] = found["refused_code"] == "too-many-streams" and found["retry_after"] is not None
    for s in streams:
        s.socket.close()
    return found


def text(found):
    if found is None:
        return "This build has no event streams: that part was left out."
    verdict = {True: "pass", False: "FAIL"}
    return (
        f"{found['open']} of {found['streams']} event streams open while a merge runs: all saw the {2 * found['jobs']}"
        f" events of {found['jobs']} jobs in one order, the last of them {found['last_event_id']}:"
        f" {verdict[found['same_pass']]} ({found['late']} streams without it, {found['different_orders']} orders);"
        f" {found['lag_ms']:.0f} ms from the last answer to the last stream. The next stream: {found['refused_status']}"
        f" {found['refused_code']}, Retry-After {found['retry_after']}: {verdict[found['refused_pass']]}."
        f" {found['progress_each'][0]} to {found['progress_each'][1]} progress events each;"
        f" {found['daemon_cpu_share']:.2f} processors of the daemon for them, {found['resident'] / (1 << 20):.1f} MiB"
        " resident."
    )
