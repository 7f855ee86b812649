"""A method is one file: a copy of the tree gets core/merge/toy.c and nothing else, is built, and the service knows
the method
everywhere; without the file it is gone again."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

import harness
import reference as ref
from harness import BUILD, REPO, merge

TOY = """/*
 * toy.c - element-wise minimum of models. Made by a test.
 */
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "shift",
     .kind = AM_REAL,
     .min = -10,
     .max = 10,
     .def = "0.0",
     .unit = "factor",
     .doc = "added to the minimum"},
    {0},
};

static void prepare(const struct am_scope_info *s, void *local)
{
    *(float *)local = (float)am_arg_real(s->args, "shift");
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    float shift = *(const float *)w->local;
    am_copy_f32(w->out, w->x[0], w->n);
    for (size_t i = 1; i < w->inputs; i++)
        for (size_t j = 0; j < w->n; j++)
            if (w->x[i][j] < w->out[j])
                w->out[j] = w->x[i][j];
    for (size_t j = 0; j < w->n; j++)
        w->out[j] += shift;
    return 0;
}

const struct am_method am_method_merge_toy = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "toy",
    .since = "0.1",
    .paper = "",
    .summary = "element-wise minimum of models",
    .needs = {.min_inputs = 2, .base = AM_NO, .local_bytes = sizeof(float), .symmetric = true},
    .params = params,
    .common = am_policies,
    .prepare = prepare,
    .apply = apply,
};
"""


def copy_tree(target):
    """The sources as git knows them (without git: all but build/), and the build folder with its times, so that make
    has little to do."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(REPO), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
        ).stdout
        files = [f for f in listed.decode().split("\0") if f and (REPO / f).is_file()]
    except (OSError, subprocess.CalledProcessError):
        files = [
            str(p.relative_to(REPO))
            for p in REPO.rglob("*")
            if p.is_file() and p.relative_to(REPO).parts[0] not in ("build", ".git")
        ]
    for f in files:
        (target / f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / f, target / f)
    variant = "release" if BUILD.name == "build" else BUILD.name
    (target / "build" / "obj").mkdir(parents=True)
    subprocess.run(["cp", "-a", str(REPO / "build" / "obj" / variant), str(target / "build" / "obj")], check=True)
    out = target / BUILD.relative_to(REPO)
    out.mkdir(exist_ok=True)
    for program in ("amendd", "amend-worker", "amend"):
        shutil.copy2(BUILD / program, out / program)
    return out, variant


def make(tree, variant):
    done = subprocess.run(
        ["make", "-C", str(tree), f"VARIANT={variant}", "all"],
        env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"},  # of a make around this one, which may be -s
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(300)
def test_one_file_is_a_method(tmp_path, monkeypatch):
    if not BUILD.is_relative_to(REPO) or not (REPO / "Makefile").exists():
        pytest.skip(f"{BUILD} was not built in this tree")
    tree = tmp_path / "tree"
    out, variant = copy_tree(tree)
    roots = tmp_path / "roots"
    roots.mkdir()
    monkeypatch.setattr(harness, "BUILD", out)

    make(tree, variant)  # so that what follows is the doing of one file
    (tree / "core" / "merge" / "toy.c").write_text(TOY)
    built = make(tree, variant)
    compiled = set(re.findall(r"-c (\S+\.c)", built))
    assert "core/merge/toy.c" in compiled and not {
        c for c in compiled if c.startswith(("server/", "storage/", "cli/", "worker/"))
    }, f"one new method rebuilt {sorted(compiled)}"

    d = harness.Daemon(tmp_path / "data", [roots]).start()
    c = d.client
    assert "merge/toy" in [m["id"] for m in c.all("/v1/methods")]
    method = c.ok("/v1/methods/merge/toy")
    (shift,) = [p for p in method["params"] if p["name"] == "shift"]
    assert (shift["default"], shift["min"], shift["max"], shift["doc"]) == (0.0, -10, 10, "added to the minimum")
    assert "toy" in harness.amend(c, "methods") and "added to the minimum" in harness.amend(c, "methods", "merge/toy")
    assert "toy" in c.get("/v1/openapi.json").text
    models = [{"w": ref.tensor("F32", np.random.default_rng(i).standard_normal((30, 7)))} for i in range(3)]
    for i, m in enumerate(models):
        c.register(ref.write(roots / f"toy-{i}", m), f"toy/in-{i}")
    body = merge("toy", [(f"toy/in-{i}", None) for i in range(3)], "toy/out", params={"shift": 0.5})
    got = c.weights(c.run(body))["w"]
    assert np.array_equal(ref.load(got), np.minimum.reduce([ref.load(m["w"]) for m in models]) + np.float32(0.5))
    body["params"] = {"shift": 11}
    assert c.post("/v1/jobs", body).status_code == 422
    d.stop()

    (tree / "core" / "merge" / "toy.c").unlink()
    make(tree, variant)
    d.start()
    assert "merge/toy" not in [m["id"] for m in d.client.all("/v1/methods")]
    assert d.client.get("/v1/methods/merge/toy").status_code == 404
    body["params"] = {}
    assert d.client.post("/v1/jobs", body).json()["code"] == "unknown-method"
    assert d.client.version("toy/out@main")["method"] == "toy", "what it made stays"
    d.stop()
