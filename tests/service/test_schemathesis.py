"""Requests made from the OpenAPI document by Schemathesis, good and bad ones: no 5xx, and no answer that the document
does not describe. Schemathesis has an environment of its own, made by `make build/venv-slow/ok` (make check-full does)."""

import json
import re
import subprocess

import numpy as np
import pytest
from safetensors.numpy import save_file

import harness

PROGRAM = harness.REPO / "build/venv-slow/bin/schemathesis"
CASES = 2000
LINES = "postV1Predictions"  # its body is lines of JSON, which Schemathesis cannot make: test_predictions.py
ENDLESS = "/v1/events/stream"  # a good request of it has no end: test_events.py
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PROGRAM.exists(), reason="no build/venv-slow: make build/venv-slow/ok"),
]


def schemathesis(where, folder, seed, *more):
    return subprocess.run(
        [PROGRAM, "run", *where, "--checks", ",".join(CHECKS), "--seed", str(seed % 2**32), "--no-color", "--warnings", "off"]
        + ["--suppress-health-check", "filter_too_much,too_slow", "--request-timeout", "60", *more],
        capture_output=True,
        text=True,
        cwd=folder,
    )


@pytest.fixture
def served(launch, roots):
    """The model that the document's examples name, so that some requests find something."""
    d = launch("--jobs.keep_logs=0")
    folder = roots / "base"
    folder.mkdir(exist_ok=True)
    save_file({"w": np.ones((4, 4), np.float32)}, folder / "model.safetensors")
    d.client.register(folder, "demo/base")
    return d


def test_nothing_undocumented(served, tmp_path, seed):
    doc = served.client.ok("/v1/openapi.json")
    operations = sum(len(item) for item in doc["paths"].values())
    each = CASES // operations + 10
    done = schemathesis(
        [served.url + "/v1/openapi.json"], tmp_path, seed, "--phases", "examples,fuzzing", "-n", str(each), "--continue-on-failure",
        "--exclude-path", ENDLESS,
        "--exclude-operation-id", LINES
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    cases = int(re.search(r"(\d+) generated, \1 passed", done.stdout)[1])
    assert cases >= CASES, f"only {cases} cases"
    assert served.client.ok("/readyz")["status"] == "ok"


def test_it_would_be_seen(served, tmp_path, seed):
    """The same run with a document that leaves out a member: the check is not blind."""
    doc = served.client.ok("/v1/openapi.json")
    version = doc["components"]["schemas"]["ServiceVersion"]
    del version["properties"]["libraries"]
    version["required"].remove("libraries")
    (tmp_path / "openapi.json").write_text(json.dumps(doc))
    done = schemathesis(
        ["openapi.json", "--url", served.url], tmp_path, seed, "--phases", "fuzzing", "-n", "5", "--include-path", "/v1/version"
    )
    assert done.returncode == 1 and "libraries" in done.stdout, done.stdout[-4000:]
