"""The command-line client against a real daemon: what it prints, where, and with which exit code."""

import hashlib
import json
import re

import numpy as np
import pytest

import reference as ref
from harness import amend, merge


@pytest.fixture(scope="module")
def cli(client, roots):
    for i, name in enumerate(("base", "one", "two")):
        folder = ref.write(
            roots / f"cli-{name}",
            {"w": ref.tensor("F32", np.arange(600) + i)},
            files={"sub/notes.txt": b"hello", "README.md": b"# x\n"},
        )
        amend(client, "model", "register", folder, f"c/{name}", "--message", f"the {name}")
    return client


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


def test_register_and_look(cli, roots):
    version = cli.version("c/base@v1")
    assert version["message"] == "the base" and version["files"] == 4
    assert {"c/base", "c/one", "c/two"} <= {r[0] for r in rows(amend(cli, "model", "list"))}
    listed = rows(amend(cli, "model", "files", "c/base@v1"))
    assert {r[0] for r in listed} >= {"model.safetensors", "config.json", "sub/notes.txt", "README.md"}
    assert version["commit"][:8] in amend(cli, "model", "versions", "c/base")
    assert "c/base" in amend(cli, "model", "show", "c/base")
    assert json.loads(amend(cli, "model", "show", "c/base", "-o", "json")) == cli.ok("/v1/models/c/base")
    amend(cli, "model", "create", "c/empty")
    assert cli.ok("/v1/models/c/empty")["head"]["number"] == 0


def test_shorthands_run_and_publish(cli):
    out = amend(
        cli,
        "merge",
        "task_arithmetic",
        "--base",
        "c/base",
        "c/one,weight=0.5",
        "c/two,weight=0.25",
        "--lambda",
        "0.75",
        "--into",
        "c/merged",
        "--message",
        "by hand",
        "--wait",
    )
    version = cli.version("c/merged@main")
    assert "c/merged@v1" in out and version["commit"] in out
    models = [cli.weights(f"c/{n}") for n in ("base", "one", "two")]
    want = ref.apply(lambda a: ref.task_arithmetic(a[0], a[1:], [0.5, 0.25], 0.75), models[0], models)
    assert ref.difference(cli.weights("c/merged"), want) is None
    assert version["message"] == "by hand"
    amend(cli, "unlearn", "task_negation", "c/merged", "--task", "c/one,base=c/base", "--lambda", "0.5", "--wait")
    assert cli.version("c/merged@main")["method"] == "task_negation"
    amend(cli, "merge", "port", "--base", "c/base", "c/one,base=c/base", "--scale", "0.5", "--into", "c/ported", "--wait")
    assert cli.version("c/ported@main")["method"] == "port"
    amend(
        cli,
        "edit",
        "sparsify",
        "c/merged",
        "--sparsity",
        "0.5",
        "--include",
        "w*",
        "--include",
        "*.weight",
        "--into",
        "c/sparse",
        "--wait",
    )
    assert int((ref.load(cli.weights("c/sparse")["w"]) == 0).sum()) == 300
    amend(
        cli,
        "merge",
        "linear",
        "c/one",
        "c/two",
        "--weight",
        "0.5",
        "--no-normalize",
        "--threads",
        "2",
        "--into",
        "c/mean",
        "--wait",
    )
    assert (
        ref.difference(
            cli.weights("c/mean"), ref.apply(lambda a: ref.linear(a, [0.5, 0.5], False), models[1], models[1:])
        )
        is None
    )


def test_print_spec_is_what_would_be_submitted(cli):
    before = cli.ok("/v1/jobs?limit=1")["data"]
    spec = json.loads(
        amend(cli, "merge", "linear", "c/one,weight=1", "c/two,weight=2", "--into", "c/spec", "--print-spec")
    )
    assert cli.ok("/v1/jobs?limit=1")["data"] == before
    assert (
        spec["inputs"]["models"][1] == {"version": "c/two", "params": {"weight": 2}}
        and spec["publish"]["model"] == "c/spec"
    )
    uid = amend(cli, "job", "submit", "-f", "-", stdin=json.dumps(spec)).split()[0]
    assert cli.wait(uid)["status"] == "succeeded" and cli.job(uid)["spec"]["inputs"] == spec["inputs"]


def test_jobs(cli, tmp_path):
    file = tmp_path / "job.json"
    file.write_text(json.dumps(merge("linear", [("c/one", {"weight": 1.0})], "c/jobs")))
    uid = amend(cli, "job", "submit", "-f", file).split()[0]
    assert re.fullmatch("job_[0-9a-f]{32}", uid)
    assert "c/jobs@v1" in amend(cli, "job", "watch", uid)
    assert uid in amend(cli, "job", "list") and uid in amend(cli, "job", "get", uid)
    assert json.loads(amend(cli, "job", "get", uid, "-o", "json"))["id"] == uid
    amend(cli, "job", "logs", uid)
    assert amend(cli, "job", "cancel", uid, expect=None).returncode == 7, "ended already: a conflict"


def test_pull_is_verified(cli, tmp_path):
    place = tmp_path / "pulled"
    amend(cli, "model", "pull", "c/base@v1", place)
    files = cli.files("c/base@v1")
    assert {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()} == set(files)
    for path, f in files.items():
        assert hashlib.sha256((place / path).read_bytes()).hexdigest() == f["sha256"]
    # a damaged copy is fetched again, a good one is left alone
    weights, config = place / "model.safetensors", place / "config.json"
    weights.write_bytes(b"damaged")
    config_time = config.stat().st_mtime_ns
    amend(cli, "model", "pull", "c/base@v1", place)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == files["model.safetensors"]["sha256"]
    assert config.stat().st_mtime_ns == config_time
    # and what was pulled registers as the same bytes
    assert amend(cli, "model", "pull", "c/base@v9", tmp_path / "no", expect=None).returncode == 5


def test_lineage(cli):
    cli.run(
        merge("task_arithmetic", [("c/one", {"weight": 0.5}), ("c/two", {"weight": -0.25})], "c/family", base="c/base")
    )
    tree = amend(cli, "model", "lineage", "c/family@v1", env={"LC_ALL": "C.UTF-8"})
    for word in ("c/family", "c/base", "c/one", "c/two", "base", "0.5", "-0.25"):
        assert word in tree, tree
    assert tree.index("c/family") < tree.index("c/base"), "the child is on top"
    mermaid = amend(cli, "model", "lineage", "c/family@v1", "--mermaid")
    assert re.match(r"(graph|flowchart) ", mermaid) and mermaid.count("-->") == 3


def test_methods_and_others(cli):
    listed = amend(cli, "methods")
    for name in ("linear", "task_arithmetic", "task_negation", "sparsify"):
        assert name in listed
    assert "sparsify" not in amend(cli, "methods", "merge")
    shown = amend(cli, "methods", "edit/sparsify")
    for word in ("sparsity", "scope", "include", "exclude", "fraction"):
        assert word in shown
    assert "sparsity" in amend(cli, "edit", "sparsify", "--help") and "linear" in amend(cli, "merge", "--help")
    assert "merge" in amend(cli, "help") and amend(cli, "--help")
    assert re.search(r"\d+\.\d+\.\d+", amend(cli, "version"))
    assert "ok" in amend(cli, "doctor")
    assert json.loads(amend(cli, "api", "GET", "/v1/models/c/base"))["id"] == "c/base"
    assert json.loads(amend(cli, "api", "POST", "/v1/models", "-d", '{"id":"c/by-api"}'))["id"] == "c/by-api"


def test_output_when_piped(cli):
    for args in (["model", "list"], ["model", "versions", "c/base"], ["job", "list"], ["model", "files", "c/base@v1"]):
        out = amend(cli, *args)
        assert "\x1b" not in out and "\t" in out
        assert len({len(r) for r in rows(out)}) == 1, "the same number of columns in every row"
    assert "c/base" in amend(cli, "model", "list", "-o", "name").split()


@pytest.mark.parametrize(
    "args,code,words",
    [
        (["frobnicate"], 2, "frobnicate"),
        (["modle", "list"], 2, "model"),
        (["model", "lst"], 2, "list"),
        (["merge", "linear", "c/one", "--wieght", "1", "--into", "c/x"], 2, "weight"),
        (["model", "show", "c/none"], 5, "c/none"),
        (["model", "show", "c/base@v9"], 5, "v9"),
        (["job", "get", "job_" + "0" * 32], 5, "job_"),
        (["model", "create", "c/base"], 7, "c/base"),
        (["merge", "linaer", "c/one", "--into", "c/x"], None, "linear"),
        (["merge", "task_arithmetic", "c/one,weight=1", "--into", "c/x"], 1, "base"),
        (["model", "register", "/", "c/x"], 1, "import_roots|roots"),
    ],
)
def test_errors(cli, args, code, words):
    done = amend(cli, *args, expect=None)
    assert done.returncode == code if code is not None else done.returncode in (1, 2, 5), (done.returncode, done.stderr)
    assert done.stderr and re.search(words, done.stderr), done.stderr
    assert done.stdout == "" and "\x1b" not in done.stderr


def test_error_names_problem_and_request(cli):
    done = amend(cli, "merge", "linear", "c/one,weight=1", "c/none,weight=1", "--into", "c/x", expect=None)
    assert done.returncode == 5 and "not-found" in done.stderr and "#/inputs/models/1" in done.stderr
    assert re.search(r"request [0-9a-f]{8}", done.stderr), done.stderr


def test_failed_job_is_exit_3(cli, roots):
    amend(
        cli, "model", "register", ref.write(roots / "cli-nan", {"w": ref.tensor("F32", np.full(600, np.nan))}), "c/nan"
    )
    done = amend(cli, "merge", "linear", "c/one,weight=1", "c/nan,weight=1", "--into", "c/x", "--wait", expect=None)
    assert done.returncode == 3 and "non-finite" in done.stderr and "w" in done.stderr, done.stderr


def test_no_daemon_is_exit_8(cli):
    done = amend("http://127.0.0.1:9", "model", "list", expect=None)
    assert done.returncode == 8 and "127.0.0.1:9" in done.stderr and "amendd" in done.stderr, done.stderr
