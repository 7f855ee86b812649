"""What stands between the network and the routes: Host, Origin, paths, and the framing of requests, over raw
sockets."""

import re
import socket
import time
import urllib.parse

import pytest

import reference as ref
from harness import problem


@pytest.fixture(scope="module", autouse=True)
def model(client, roots):
    client.register(ref.write(roots / "a", {"w": ref.tensor("F32", [1.0])}), "e/a")


def test_host_and_origin(client, daemon):
    port = urllib.parse.urlsplit(daemon.url).port
    for host in (
        "evil.example",
        "evil.example:80",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "169.254.169.254",
    ):
        for path in ("/v1/models", "/livez", "/e/a/resolve/main/config.json"):
            assert client.get(path, headers={"Host": host}).status_code == 421, host
    assert client.get("/v1/models", headers={"Host": "evil.example"}).json()["code"] == "host-refused"
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost", f"[::1]:{port}", f"LocalHost:{port}"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200, host
    for origin in ("http://evil.example", "https://localhost.evil.example", "null", f"http://127.0.0.1:{port + 1}"):
        problem(client.get("/v1/models", headers={"Origin": origin}), 403, "origin-refused")
        problem(client.post("/v1/models", {"id": "e/origin"}, headers={"Origin": origin}), 403, "origin-refused")
    problem(
        client.post("/v1/models", {"id": "e/origin"}, headers={"Sec-Fetch-Site": "cross-site"}), 403, "origin-refused"
    )
    assert client.get("/v1/models/e/origin").status_code == 404
    own = client.get("/v1/models", headers={"Origin": daemon.url, "Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 200
    assert not [h for h in own.headers if h.lower().startswith("access-control-")]


def test_paths_are_compared_whole(client, daemon):
    for path in (
        "/v1/models/e%2Fa",
        "/v1/models/e/a%00",
        "/v1/models/e/a%00/versions",
        "/v1/models/%2e%2e/a",
        "/v1/models/e/%zz",
        "/v1/models/e/a%",
        "/v1/models/e/%ff",
        "/v1/models/../models",
        "/e/a/resolve/main/../../../../etc/passwd",
        "/e/a/resolve/main/%2e%2e/config.json",
    ):
        answer = raw(daemon, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert answer.split(b" ")[1] in (b"400", b"404"), (path, answer[:200])


# ---- framing, over raw sockets -------------------------------------------------------------------


def raw(daemon, data, wait=5):
    """Everything that comes back until the server closes or is silent."""
    where = urllib.parse.urlsplit(daemon.url)
    with socket.create_connection((where.hostname, where.port), timeout=wait) as s:
        s.sendall(data)
        got = b""
        try:
            while True:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
                if got.startswith((b"HTTP/1.1 413", b"HTTP/1.1 431")) and b"\r\n\r\n" in got:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return got


def statuses(answer):
    return re.findall(rb"HTTP/1\.1 (\d{3})", answer)


HEAD = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SECOND = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes,want",
    [
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, b"400"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + SECOND, b"400"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SECOND, b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, b"400"),
        (b"GET /livez HTTP/1.1\r\n\r\n" + SECOND, b"400"),
        (b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n" + SECOND, b"400"),
        (HEAD + b"Content-Length: -1\r\n\r\n" + SECOND, b"400"),
        (HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + SECOND, b"413"),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 200_000 + b"\r\n\r\n" + SECOND, b"431"),
    ],
    ids=[
        "CL and TE",
        "two CL",
        "two equal CL",
        "two TE",
        "no Host",
        "space before colon",
        "negative CL",
        "overflowing CL",
        "200 kB header",
    ],
)
def test_framing_that_is_refused(daemon, request_bytes, want):
    """Refused, then the connection is closed: what follows in the same bytes is never taken for a second request.

    libmicrohttpd 0.9.75 writes the head of its own refusals twice; that cannot be changed here, so repeats are allowed.
    """
    began = time.monotonic()
    answer = raw(daemon, request_bytes)
    assert set(statuses(answer)) == {want}, answer[:600]
    assert b"connection: close" in answer.lower() and time.monotonic() - began < 3


@pytest.mark.parametrize(
    "request_bytes,want",
    [
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + SECOND, [b"200", b"200"]),
        (b"GET /livez HTTP/1.1\nHost: localhost\n\n" + SECOND, [b"200", b"200"]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;ext=1\r\n{}\r\n0\r\n\r\n" + SECOND, [b"400", b"200"]),
    ],
    ids=["pipelined", "bare LF", "chunk extension"],
)
def test_framing_that_is_answered(daemon, request_bytes, want):
    assert statuses(raw(daemon, request_bytes)) == want


def test_slow_and_broken_clients_do_not_disturb(client, daemon):
    where = urllib.parse.urlsplit(daemon.url)
    held = [socket.create_connection((where.hostname, where.port)) for _ in range(40)]
    for i, s in enumerate(held):
        s.sendall(HEAD[: 20 + i])
    assert client.ok("/livez")["status"] == "ok"
    for s in held:
        s.close()
    assert client.ok("/livez")["status"] == "ok"


def test_announced_body_is_refused_before_it_arrives(daemon):
    answer = raw(
        daemon,
        HEAD + b"Content-Length: 5000000000\r\n\r\n{",
    )
    assert answer.startswith(b"HTTP/1.1 413")
