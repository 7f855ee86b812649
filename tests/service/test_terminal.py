"""The client on a terminal: one live line for each job that stays full at the end, and texts that cannot steer the
terminal."""

import http.server
import os
import pty
import subprocess
import threading

import numpy as np
import pytest

import reference as ref
from harness import BUILD, amend


def on_terminal(url, *args, timeout=60):
    """What a terminal would get, and the exit code."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "AMEND_ENDPOINT": url, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    child = subprocess.Popen(
        [str(BUILD / "amend"), *map(str, args)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        start_new_session=True,
    )
    os.close(theirs)
    out = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        out += chunk
    os.close(ours)
    return out.decode(errors="replace"), child.wait(timeout)


@pytest.fixture(scope="module")
def two(client, roots):
    for name in ("one", "two"):
        folder = ref.write(roots / f"tty-{name}", {"w": ref.tensor("F32", np.arange(600))})
        amend(client, "model", "register", folder, f"tty/{name}")
    return client


def test_small_job_leaves_a_full_line(two):
    out, code = on_terminal(
        two.url, "merge", "linear", "tty/one,weight=1", "tty/two,weight=1", "--into", "tty/m", "--wait"
    )
    assert code == 0, out
    last = out.rstrip().split("\r\n")[-2:]
    assert "█ 100%" in last[0] and "succeeded in" in last[0], out
    assert last[1].startswith("tty/m@v1 "), out
    assert out.count("\x1b[?7l") <= out.count("\x1b[?7h"), "the terminal wraps again"


def test_no_escapes_under_quiet(two):
    out, code = on_terminal(
        two.url, "merge", "linear", "tty/one,weight=1", "--into", "tty/q", "--wait", "-q", "--no-color"
    )
    assert code == 0 and "\x1b" not in out and out.startswith("tty/q@v1 "), out


def test_errors_have_no_stray_escapes(two):
    out, code = on_terminal(two.url, "model", "show", "tty/none", "--no-color")
    assert code == 5 and "\x1b" not in out, out


def test_watching_draws_over_itself(two):
    uid = two.ok("/v1/jobs?type=task&limit=1")["data"][0]["id"]  # a registration: the fixture made no other job
    out, code = on_terminal(two.url, "job", "get", uid, "-w")
    assert code == 0 and out.startswith("\x1b[2J\x1b[H") and "succeeded" in out, out


EVIL = b"\\u001b]0;x\\u0007\xc2\x9b2J\x7f"  # as JSON: escape sequences of a hostile or broken peer
ANSWERS = {
    "lineage": b'{"root":"' + EVIL + b'","nodes":[{"id":"' + EVIL + b'"}],"edges":[]}',
    "jobs": b'{"id":"' + EVIL + b'","status":"' + EVIL + b'"}',
}


@pytest.fixture(scope="module")
def evil():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = ANSWERS["lineage" if "lineage" in self.path else "jobs"]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("form", ["table", "json", "name", "yaml"])
@pytest.mark.parametrize("args", [("model", "lineage", "a/b"), ("job", "get", "x")])
def test_texts_of_the_peer_are_clean(evil, args, form):
    out, code = on_terminal(evil, *args, "-o", form, "--no-color")
    assert code == 0, out
    stray = [c for c in out.replace("\x1b[1m", "").replace("\x1b[0m", "") if ord(c) < 32 and c not in "\r\n\t"]
    assert not stray and "\x7f" not in out and "\x9b" not in out, repr(out)


def test_revision_is_main_by_default(two, tmp_path):
    amend(two, "model", "pull", "tty/one", tmp_path / "here")
    assert (tmp_path / "here" / "model.safetensors").stat().st_size


def test_whole_job_parameter_beside_a_model_is_told_how(two):
    done = amend(two, "merge", "linear", "tty/one,weight=1,normalize=false", "--into", "tty/x", expect=None)
    assert done.returncode == 2 and "--normalize=false" in done.stderr, done.stderr


def test_type_without_methods_is_not_found(two):
    done = amend(two, "methods", "mrege", expect=None)
    assert done.returncode == 5 and "mrege" in done.stderr, done.stderr
