"""Requests that a well-behaved client never sends, and answers held to the schemas of the OpenAPI document."""

import os
import re
import shutil
import socket
import threading
import time
import urllib.parse

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness import SANITIZED, merge, problem, seg

HEAD = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def connect(daemon):
    where = urllib.parse.urlsplit(daemon.url)
    return socket.create_connection((where.hostname, where.port), timeout=5)


def raw(daemon, data):
    with connect(daemon) as s:
        s.sendall(data)
        got = b""
        while piece := s.recv(65536):
            got += piece
        return got


@pytest.mark.parametrize("query", [b"?=x", b"?&&", b"?=", b"?limit=1&=x"])
def test_query_parameter_without_a_name(daemon, query):
    assert raw(daemon, b"GET /v1/jobs" + query + HEAD + b"\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes,status",
    [
        (b"GET /v1/\xff\xfe" + HEAD, b"404"),
        (b"GET /v1/jobs?\xff=1" + HEAD, b"400"),
        (b"GET /v1/jobs HTTP/1.1\r\nConnection: close\r\nHost: \xffx\r\n", b"421"),
        (b"POST /v1/jobs" + HEAD + b"Content-Type: \xff\r\nContent-Length: 0\r\n", b"415"),
        (b"GET /v1/problems/a" + b"%C3%A9" * 60 + HEAD, b"404"),
    ],
    ids=["path", "query", "host", "content type", "cut in a character"],
)
def test_bytes_that_are_no_text_are_answered(daemon, request_bytes, status):
    answer = raw(daemon, request_bytes + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status) and b'"errors"' in answer, answer[:300]
    answer.split(b"\r\n\r\n", 1)[1].decode()


@pytest.mark.parametrize("coding", [b"identity", b"gzip", b"gzip, chunked"])
def test_transfer_codings_that_are_not_read(daemon, coding):
    head = HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: " + coding
    assert raw(daemon, b"POST /v1/models" + head + b"\r\n\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_endless_body_is_cut(daemon):
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with connect(daemon) as s:
        s.sendall(b"POST /v1/models" + HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(1024):  # 64 MiB
                s.sendall(piece)


def test_slow_body_is_cut(launch):
    d = launch("--limits.request_seconds=1")
    with connect(d) as s:
        s.sendall(b"POST /v1/models" + HEAD + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n")
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 5:
                s.sendall(b" ")
                time.sleep(0.1)
        assert time.monotonic() - began < 3


def test_path_of_many_segments(client):
    assert client.get("/a/b/resolve/main" + "/x" * 200).status_code == 404


def test_more_threads_than_connections_is_refused(launch):
    with pytest.raises(Exception, match="limits.connections must be at least http.threads"):
        launch("--http.threads=64", "--limits.connections=16")


@pytest.mark.parametrize("listen", ["localhost:99999", "localhost:http", "localhost:", ":80", "localhost"])
def test_listen_that_is_no_address_and_port(launch, listen):
    with pytest.raises(Exception, match="listen must be address:port"):
        launch(f"--listen={listen}")


def test_folder_with_a_long_name(client, roots):
    folder = roots / ("é" * 120)
    folder.mkdir()
    save_file({"w": np.ones(3, np.float32)}, folder / "model.safetensors")
    assert client.register(folder, "long/name")["message"] == "register " + folder.name


def test_folder_whose_name_is_not_text(client, roots):
    real = bytes(roots) + b"/\xff"
    os.mkdir(real)
    (roots / "to-bytes").symlink_to(real.decode(errors="surrogateescape"))
    problem(client.register_raw(roots / "to-bytes", "long/bytes"), 422, "path-not-allowed")


def test_idle_connections_are_cheap(launch):
    d = launch()
    held = [connect(d) for _ in range(500)]
    for s in held:
        s.sendall(b"GET /v1/methods HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for s in held:
        s.settimeout(30)  # 50 MB of answers: memory is asked for here, not time
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
    used = d.status("VmRSS")
    for s in held:
        s.close()
    assert used < 64 << 10 or SANITIZED, f"{used} kB with 500 idle connections"


def test_tensors_page_by_page(client, roots):
    folder = roots / "many"
    folder.mkdir()
    names = [f"layer.{i}" for i in range(25)]
    save_file({n: np.ones(1, np.float32) for n in names}, folder / "model.safetensors")
    client.register(folder, "many/tensors")
    path = client.at("many/tensors") + "/tensors"
    assert [t["name"] for t in client.all(path + "?limit=10")] == sorted(names)
    assert [t["name"] for t in client.all(path + "?limit=1&prefix=layer.2")] == sorted(n for n in names if "r.2" in n)
    assert client.ok(path)["next"] is None


# ---- answers, which the client holds to the OpenAPI document (described.py) ----------------------------------------


def test_answers_are_as_described(client, roots):
    """Every GET of the document once, and good answers of the writing routes; the client compares."""
    for name, value in (("sa", 1), ("sb", 2)):
        (roots / name).mkdir()
        save_file({"w": np.full((4, 4), value, np.float32)}, roots / name / "model.safetensors")
    client.post("/v1/models", {"id": "schema/empty"})
    for name in ("sa", "sb"):
        client.register(roots / name, f"schema/{name}")
    body = merge("linear", [("schema/sa", {"weight": 0.5}), ("schema/sb", {"weight": 0.5})], "schema/m")
    uid = client.submit(body)
    client.wait(uid)
    problem(client.post(f"/v1/jobs/{uid}/cancel"), 409, "job-terminal")
    values = {"ns": "schema", "name": "m", "rev": "main", "path": "model.safetensors", "id": uid}
    values |= {"type": "merge", "method": "linear", "slug": "conflict", "schema": "Job.json", "ref": "main", "gate": "default"}
    head = '{"schema":"amend.preds/1","version":"schema/m","dataset":{"external":"d"},"task":"classification","n":1}'
    lines = client.post("/v1/predictions", data=head + '\n{"id":"1","y":1,"p":1}', headers={"Content-Type": "application/x-ndjson"})
    client.post("/v1/datasets", {"id": "schema/m"})
    client.post("/v1/datasets/schema/m/versions?label=main", data='{"id":"1"}', headers={"Content-Type": "application/jsonl"})
    sets = {**values, "id": lines.json()["id"]}
    pair = {"old_predictions": sets["id"], "new_predictions": sets["id"]}
    report = client.wait(client.submit({"type": "evaluate", "method": "compare", "inputs": pair}))["result"]["reports"][0]
    decision = client.post("/v1/gates/default/check", {"report": report}).json()["id"]
    kinds = {"predictions": sets, "reports": {**values, "id": report}, "decisions": {**values, "id": decision}}
    for path, operations in client.ok("/v1/openapi.json")["paths"].items():
        ids = kinds.get(path.split("/")[2] if path.startswith("/v1/") else "", values)
        url = re.sub(r"\{(\w+)\}", lambda m: seg(ids[m[1]]), path)
        if "get" in operations and not path.endswith("/stream"):  # those do not end (test_events.py)
            answer = client.get(url)
            assert answer.status_code == 200, (url, answer.text)
            if "304" in operations["get"]["responses"]:
                same = client.get(url, headers={"If-None-Match": answer.headers["ETag"]})
                assert same.status_code == 304 and not same.content, url
    for form in ("mermaid", "dot"):
        assert client.get(f"/v1/models/schema/m/lineage?format={form}").status_code == 200
    assert client.get("/v1/jobs?type=task").json()["data"]
    url = client.at("schema/m") + "/files/model.safetensors/content"
    assert client.get(url, headers={"Range": "bytes=0-3"}).status_code == 206
    problem(client.get(url, headers={"Range": "bytes=999999999-"}), 416, "range-not-satisfiable")
    for version in ("schema/empty@main", "schema/sa@main"):
        client.version(version)


def knock(port, stop):
    """One connection after the other, each with a request."""
    while not stop.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                s.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                s.recv(100)
        except OSError:
            time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.traced
def test_stop_while_connections_come_in(launch, tmp_path):
    """It ends well: HTTP threads and the one that stops them do not both take the socket from the kernel's set."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    slow = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=epoll_ctl"]  # it makes the moment longer
    d = launch(prefix=slow)
    for _ in range(6):
        stop = threading.Event()
        port = urllib.parse.urlsplit(d.url).port
        clients = [threading.Thread(target=knock, args=(port, stop)) for _ in range(4)]
        for c in clients:
            c.start()
        time.sleep(0.1)
        try:
            d.stop()  # asserts the exit code
        finally:
            stop.set()
            for c in clients:
                c.join()
        d.start()
