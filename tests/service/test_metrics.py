"""GET /metrics held to the text format of Prometheus and to what was done; traces; the lines of the log."""

import re
import time

import numpy as np
import pytest
from safetensors.numpy import save_file

import harness
from harness import merge, problem, until

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def parse(text):
    """{(name, frozenset of labels): value}, after everything that version 0.0.4 of the format asks for."""
    assert text.endswith("\n")
    kinds, helped, samples, order = {}, set(), {}, []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in helped and len(line.split(" ", 3)) == 4, line
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in kinds and kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == name.endswith("_total"), line
            kinds[name] = kind
            order.append(name)
        else:
            m = SAMPLE.fullmatch(line)
            assert m, line
            family = m[1] if m[1] in kinds else re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert family == order[-1], f"{line}: not below its family"
            assert family == m[1] or kinds[family] == "histogram", line
            key = (m[1], frozenset(LABEL.findall(m[2] or "")))
            assert key not in samples, f"twice: {line}"
            samples[key] = float(m[3])
            assert samples[key] >= 0
    check_histograms(kinds, samples)
    return samples


def check_histograms(kinds, samples):
    for name in (n for n, kind in kinds.items() if kind == "histogram"):
        series = {}
        for (sample, labels), value in samples.items():
            if sample == name + "_bucket":
                bound = dict(labels)["le"]
                series.setdefault(frozenset(l for l in labels if l[0] != "le"), []).append((float(bound), value))
        for labels, buckets in series.items():
            buckets.sort()
            assert buckets[-1][0] == float("inf") and buckets[-1][1] == samples[name + "_count", labels], name
            assert [v for _, v in buckets] == sorted(v for _, v in buckets), name
            assert (name + "_sum", labels) in samples


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, roots):
    d = harness.Daemon(tmp_path_factory.mktemp("store") / "data", [roots], args=["--log.level=debug"]).start()
    for name in ("a", "b"):
        (roots / name).mkdir()
        save_file({"w": np.ones((4, 4), np.float32)}, roots / name / "model.safetensors")
        d.client.register(roots / name, f"x/{name}")
    yield d
    d.stop()


@pytest.fixture
def metrics(client):
    def read():
        answer = client.get("/metrics")
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        samples = parse(answer.text)
        return lambda name, **labels: samples.get((name, frozenset(labels.items())), 0)

    return read


def body(**weight):
    return merge("linear", [("x/a", {"weight": 1.0, **weight}), ("x/b", {"weight": 0.5})], "x/m")


def lines(daemon, *words):
    """Lines of the log that hold all of these, once they are there."""
    until = time.monotonic() + 5
    while True:
        found = [l for l in daemon.log().splitlines() if all(w in l for w in words)]
        if found or time.monotonic() > until:
            return found
        time.sleep(0.02)


def test_jobs_are_counted(client, metrics, roots):
    before = metrics()
    (roots / "nan").mkdir()
    save_file({"w": np.full((4, 4), np.nan, np.float32)}, roots / "nan" / "model.safetensors")
    client.register(roots / "nan", "x/nan")
    of_nan = merge("linear", [("x/nan", {"weight": 1.0})], "x/m")  # the worker refuses that
    for expected, job in (("succeeded", body()), ("succeeded", body(weight=2.0)), ("failed", of_nan)):
        assert client.wait(client.submit(job))["status"] == expected
    failed = lambda read: read("amendd_jobs_finished_total", type="merge", status="failed")
    assert until(lambda: failed(metrics()) > failed(before))  # counted right behind the commit that a poll sees
    after = metrics()
    more = lambda name, **labels: after(name, **labels) - before(name, **labels)
    assert more("amendd_jobs_finished_total", type="merge", status="succeeded") == 2
    assert more("amendd_jobs_finished_total", type="merge", status="failed") == 1
    assert more("amendd_job_queue_wait_seconds_count", type="merge") == 3
    assert more("amendd_job_duration_seconds_count", type="merge") == 3
    assert more("amendd_worker_exits_total", reason="done") == 3  # two merges, one import
    assert more("amendd_worker_exits_total", reason="non-finite") == 1
    assert more("amendd_tensor_bytes_processed_total", op="read") > 2 * 2 * 64
    assert more("amendd_tensor_bytes_processed_total", op="write") > 2 * 64
    assert more("amendd_jobs", type="merge", status="succeeded") == 2
    assert after("amendd_jobs", type="task", status="succeeded") == 3
    assert more("amendd_writer_commit_seconds_count") >= 9  # each of three jobs is stored, claimed and ended
    queue = client.ok("/v1/queue")
    assert after("amendd_store_bytes", kind="logical") == queue["store"]["logical_bytes"] > 0
    assert after("amendd_store_bytes", kind="physical") == queue["store"]["physical_bytes"] > 0


def test_requests_are_counted_by_pattern(client, metrics):
    uid = client.submit(body())
    client.wait(uid)
    before = metrics()
    for _ in range(3):
        client.job(uid)
    client.head(f"/v1/jobs/{uid}")
    problem(client.get("/v1/jobs/none"), 404, "not-found")
    client.get("/v1/jobs?no=1")
    client.get("/nowhere")
    after = metrics()
    more = lambda name, **labels: after(name, **labels) - before(name, **labels)
    total, route = "amendd_http_requests_total", "/v1/jobs/{id}"
    assert more(total, route=route, method="GET", code="200") == 3
    assert more(total, route=route, method="HEAD", code="200") == 1
    assert more(total, route=route, method="GET", code="404") == 1
    assert more(total, route="/v1/jobs", method="GET", code="400") == 1
    assert more(total, route="none", method="other", code="404") == 1
    assert more(total, route="/metrics", method="GET", code="200") == 1
    assert more("amendd_http_request_duration_seconds_count", route=route) == 5
    assert uid not in client.get("/metrics").text


def test_queue_backup_and_process(client, daemon, metrics):
    assert metrics()("amendd_last_backup_timestamp_seconds") == 0
    held = [client.submit(body() | {"priority": p, "options": {"not_before": "2126-01-01T00:00:00Z"}}) for p in (10, 60, 60)]
    began = time.time()
    task = client.post("/v1/admin/tasks", {"kind": "backup"}).json()["id"]
    assert client.wait(task)["status"] == "succeeded"
    # the writer and the worker may be at something for a moment after the task's end
    assert until(lambda: metrics()("amendd_writer_queue_depth") == 0 == metrics()("amendd_workers", state="busy"))
    now = metrics()
    assert now("amendd_queue_depth", priority="0-24") == 1 and now("amendd_queue_depth", priority="50-74") == 2
    assert now("amendd_jobs", type="merge", status="queued") == 3
    assert now("amendd_workers", state="busy") == 0 and now("amendd_workers", state="idle") == 4
    assert now("amendd_sse_connections") == 0
    assert began - 1 <= now("amendd_last_backup_timestamp_seconds") <= time.time() + 1
    assert abs(now("process_resident_memory_bytes") / 1024 - daemon.status("VmRSS")) < 4096
    assert 3 < now("process_open_fds") <= now("process_max_fds") and now("process_cpu_seconds_total") > 0
    assert 0 <= time.time() - now("process_start_time_seconds") < 600
    assert now("amendd_build_info", **labels_of(client.get("/metrics").text, "amendd_build_info")) == 1
    for uid in held:
        assert client.post(f"/v1/jobs/{uid}/cancel").status_code == 202
    after = metrics()
    assert after("amendd_jobs_finished_total", type="merge", status="cancelled") == 3
    assert after("amendd_queue_depth", priority="50-74") == 0


def labels_of(text, name):
    return dict(LABEL.findall(next(l for l in text.splitlines() if l.startswith(name + "{"))))


def test_counts_outlive_a_restart(launch, roots):
    """What is a row stays counted; what is a counter begins anew."""
    d = launch(name="again")
    (roots / "c").mkdir()
    save_file({"w": np.ones((4, 4), np.float32)}, roots / "c" / "model.safetensors")
    d.client.register(roots / "c", "x/c")
    d.kill()
    d.start()
    samples = parse(d.client.get("/metrics").text)
    assert samples["amendd_jobs", frozenset({("type", "task"), ("status", "succeeded")})] == 1
    assert not any(name == "amendd_jobs_finished_total" for name, _ in samples)


def test_they_can_be_switched_off(launch):
    d = launch("--metrics.public=false", "--log.format=text", name="private")
    problem(d.client.get("/metrics"), 403, "forbidden")
    assert re.search(r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ready url=http://", d.log())
    for flag in ("--metrics.public=maybe", "--log.format=xml"):
        with pytest.raises(harness.StartError) as e:
            launch(flag, name="wrong")
        assert flag.split("=")[1] in e.value.log


# ---- traces and lines of the log -------------------------------------------------------------------------------------


def test_a_trace_goes_with_the_job(client, daemon):
    answer = client.post("/v1/jobs", body(), headers={"traceparent": PARENT})
    job = answer.json()
    assert job["trace_id"] == PARENT[3:35]
    request = answer.headers["X-Request-Id"]
    assert re.fullmatch(r"00-" + PARENT[3:35] + r"-[0-9a-f]{16}-01", answer.headers["traceresponse"])
    assert client.wait(job["id"])["trace_id"] == PARENT[3:35]
    started = lines(daemon, "worker started", job["id"])[0]
    assert f"request={request}" in started and f"trace={PARENT[3:35]}" in started
    for words in ("worker ended", "job published"):
        assert f"request={request}" in lines(daemon, words, job["id"])[0]
    plain = client.post("/v1/jobs", body())
    assert plain.json()["trace_id"] == plain.json()["id"][4:] and "traceresponse" not in plain.headers
    client.wait(plain.json()["id"])


def test_a_worker_is_told_its_trace(launch, tmp_path, roots):
    """A worker that writes down its environment before it becomes the real one."""
    for name in ("e",):
        (roots / name).mkdir()
        save_file({"w": np.ones((4, 4), np.float32)}, roots / name / "model.safetensors")
    worker = tmp_path / "amend-worker"
    real = harness.BUILD / "amend-worker"
    worker.write_text(f'#!/bin/sh\n[ "$1" = describe ] || echo "$TRACEPARENT" >> {tmp_path}/seen\nexec {real} "$@"\n')
    worker.chmod(0o755)
    d = launch(f"--workers.program={worker}", name="traced")
    answer = d.client.post(
        "/v1/models/x/e/versions", {"from": {"path": str(roots / "e")}}, headers={"traceparent": PARENT}
    )
    assert answer.status_code == 201, answer.text
    seen = (tmp_path / "seen").read_text().split()
    assert len(seen) == 1 and re.fullmatch(r"00-" + PARENT[3:35] + r"-[0-9a-f]{16}-01", seen[0]), seen
    assert seen[0][36:52] != PARENT[36:52]


@pytest.mark.parametrize(
    "header, kept",
    [
        ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01", False),
        (PARENT.upper(), False),
        (PARENT + "-more", False),
        ("ff" + PARENT[2:], False),
        ("cc" + PARENT[2:], True),
        ("cc" + PARENT[2:] + "-what.comes", True),
        ("cc" + PARENT[2:] + ".what", False),
        (PARENT[:-1], False),
        ("", False),
        ("x" * 5000, False),
    ],
)
def test_trace_parents_that_are_none(client, header, kept):
    answer = client.get("/livez", headers={"traceparent": header})
    assert answer.status_code == 200 and ("traceresponse" in answer.headers) == kept


def test_one_line_a_request(client, daemon):
    answer = client.get("/v1/jobs/none", headers={"traceparent": PARENT})
    line = lines(daemon, "request=" + answer.headers["X-Request-Id"])
    assert len(line) == 1 and line[0].startswith("<7>request ")
    for word in ("method=GET", "route=/v1/jobs/{id}", "status=404", "ms=", "trace=" + PARENT):
        assert word in line[0], line
