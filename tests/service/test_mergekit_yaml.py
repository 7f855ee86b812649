"""mergekit configurations as bodies of jobs (Content-Type application/yaml), as they are: mergekit's own results within
their tolerances, settings against what they mean, and every fault at once with its line."""

import json
import re

import numpy as np
import pytest

import reference as ref
from harness import problem
from test_merge_mergekit import CASES, GOLDENS, compare, name_of, read
from test_merge_mergekit import pytestmark  # noqa: F401

# What cannot be submitted yet, though its method is there. Others wait for their method and come by themselves.
WAITING = {
    "lora-passthrough": "adapters (base+adapter)",
    "tokenizer-union": "inputs of different vocabulary, joined through their tokenizers",
    "passthrough-stack": "slices",
}
PRESETS = {"breadcrumbs_ties": "breadcrumbs", "dare_linear": "dare", "della_linear": "della"}


def post(client, text, path="/v1/jobs", **query):
    return client.request("POST", path, data=text.encode(), params={"model": "mk/out", **query}, headers={"Content-Type": "application/yaml"})


def plan(client, text, **query):
    answer = post(client, text, "/v1/plans", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(client, text, **query):
    answer = post(client, text, **query)
    assert answer.status_code == 202, answer.text
    job = client.wait(answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    return job, "{model}@{commit}".format(**job["result"]["version"])


@pytest.fixture(scope="module")
def there(client):
    return {m["name"] for m in client.all("/v1/methods?type=merge")}


@pytest.fixture(scope="module")
def models(client, roots):
    """Registers what a configuration names and gives it back with the names that it has here."""
    known = set()

    def named(text):
        for path in sorted(set(re.findall(r"inputs/[\w/-]+", text)), key=len, reverse=True):
            if path not in known:
                folder = roots / path.replace("/", "-")
                folder.mkdir()
                for f in (GOLDENS / path).iterdir():
                    (folder / f.name).write_bytes(f.read_bytes())
                client.register(folder, name_of(path))
                known.add(path)
            text = re.sub(re.escape(path) + r"(?![\w/-])", name_of(path), text)
        return text

    return named


# Run by every check; the others are in the slow tier (test_merge_mergekit.py asks for the same results in JSON).
QUICK = {"slerp-gradient-filters", "breadcrumbs", "ties-bf16", "task-arithmetic-lambda", "passthrough-stack", "tokenizer-union"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in sorted(CASES)])
def test_goldens(client, there, models, name):
    case = CASES[name]
    if not {case["method"], PRESETS.get(case["method"])} & there:
        pytest.skip(f"waits for {case['method']}")
    if name in WAITING:
        pytest.skip(f"waits for: {WAITING[name]}")
    text = models((GOLDENS / case["config"]).read_text())
    job, version = run(client, text, model=f"mk/{name}")
    compare(client.weights(version), read(GOLDENS / case["output"]), case)
    config = json.loads(client.download(version, "config.json"))
    assert {k: config.get(k) for k in case["config_expected"]} == case["config_expected"]
    assert client.download(version, "mergekit_config.yml").decode() == text
