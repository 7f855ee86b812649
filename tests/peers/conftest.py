"""Fixtures of the peers' tests: one daemon, one folder of models for both programs, one table of times at the end.

Both programs get the same text of a recipe: its names are names of models here, and paths from the current folder for
mergekit."""

import os
import shutil
import sys
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "service"))

import pytest
import yaml

import harness

TIMES = {}  # recipe: {program: seconds, summed over families}
IMPORTING = time.monotonic()
import families
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions

IMPORTED = time.monotonic() - IMPORTING


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    before = os.getcwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="session")
def daemon(tmp_path_factory, root):
    d = harness.Daemon(tmp_path_factory.mktemp("store") / "data", [root]).start()
    yield d
    d.stop()


@pytest.fixture(scope="session")
def client(daemon):
    return daemon.client


@pytest.fixture(scope="session")
def models(client, root):
    """models(family): made and registered, once."""
    there = set()

    def get(model):
        if model not in there:
            families.make(root, model)
            for name in ("base", "a", "b", "a16", "b16"):
                client.register(root / families.path(model, name), families.path(model, name))
            there.add(model)

    return get


class Peers:
    """One recipe through both programs; their seconds go into the table of this run."""

    def __init__(self, client, root):
        self.client, self.root, self.count = client, root, 0

    def mergekit(self, text, label=None, **options):
        self.count += 1
        out = self.root / f"mergekit-{self.count}"
        config = MergeConfiguration.model_validate(yaml.safe_load(text))
        began = time.monotonic()
        # the card asks a hub for each model
        run_merge(config, str(out), options=MergeOptions(quiet=True, write_model_card=False, copy_tokenizer=False, **options))
        self._note(label, "mergekit", began)
        return out

    def amend(self, text, label=None, **query):
        """The version that the recipe makes, posted as it is."""
        self.count += 1
        began = time.monotonic()
        answer = self.post(text, **query)
        assert answer.status_code == 202, answer.text
        job = self.client.wait(answer.json()["id"], timeout=600)
        self._note(label, "amend", began)
        assert job["status"] == "succeeded", job["error"]
        return "{model}@{commit}".format(**job["result"]["version"])

    def post(self, text, path="/v1/jobs", **query):
        self.count += 1
        query = {"model": f"out/n{self.count}", **query}
        return self.client.request("POST", path, data=text.encode(), params=query, headers={"Content-Type": "application/yaml"})

    def pull(self, version):
        """The version as a directory, by the client."""
        self.count += 1
        out = self.root / f"pulled-{self.count}"
        harness.amend(self.client, "model", "pull", version, out, "--quiet")
        return out

    @staticmethod
    def _note(label, program, began):
        if label:
            row = TIMES.setdefault(label, {})
            row.setdefault(program, []).append(time.monotonic() - began)


@pytest.fixture(scope="session")
def peers(client, root):
    return Peers(client, root)


@pytest.fixture(autouse=True)
def tidy(request):
    """What a test wrote goes when it passed: the models stay, their merges do not."""
    yield
    root = request.node.funcargs.get("root")
    for folder in root.glob("[mp]*-*[0-9]") if root else ():
        shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter):
    if not TIMES:
        return
    write = terminalreporter.write_line
    terminalreporter.section("seconds, mergekit's and amend's, of this run")
    write(f"mergekit: run_merge() in a warm process (importing it and torch took {IMPORTED:.1f} s more); amend: POST to succeeded, by its client")
    write(f"{'recipe':<28}{'merges':>7}{'mergekit':>10}{'amend':>8}{'ratio':>7}")
    for label, row in TIMES.items():
        both = [sum(row.get(p, [])) for p in ("mergekit", "amend")]
        ratio = f"{both[0] / both[1]:.1f}" if all(both) else "-"
        write(f"{label:<28}{len(row.get('amend', [])):>7}{both[0]:>10.2f}{both[1]:>8.2f}{ratio:>7}")
