#!/usr/bin/env python3
"""mutants.py [NAME...] - breaks durability on purpose, one way at a time, and demands that a named test sees it.

Each mutants/<name>.patch is applied to a scratch copy of the tree (sources and objects of the fault build), built, and run
through the test of the table below. A mutant that survives, a patch that no longer applies and a build that fails are each
a failure. Exit 1 then.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CAUGHT_BY = {
    "synchronous-off": "test_log_is_synced_before_the_202",
    "no-file-fsync": "test_file_is_synced_before_its_rename",
    "no-folder-fsync": "test_folder_is_synced_before_the_row",
    "row-before-rename": "test_row_comes_after_the_renames",
    "ignored-short-write": "test_short_write_is_continued",
    "fsync-retried": "test_failed_sync_is_final",
}


def copy_tree(to):
    for name in ("core", "storage", "server", "worker", "cli", "migrations", "tools", "tests", "Makefile"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, to / name)
    for name in ("obj/release", "obj/fault", "fault"):  # the fault build has most of its objects from the release
        shutil.copytree(ROOT / "build" / name, to / "build" / name, ignore=shutil.ignore_patterns("tests", "bench", "libunit.a"))


def run(args, cwd):
    p = subprocess.run(
        args, cwd=cwd, capture_output=True, text=True, env={**os.environ, "AMEND_BUILD": str(cwd / "build/fault")}
    )
    return p.returncode, p.stdout + p.stderr


def build(tree):
    programs = ["build/fault/amendd", "build/fault/amend-worker"]
    code, out = run(["make", "-s", f"-j{os.cpu_count() or 2}", "VARIANT=fault", *programs], tree)
    return "" if code == 0 else "it does not build:\n" + out[-2000:]


def judge(tree, name):
    """A sentence when the mutant is not caught as it should be."""
    patch = ["patch", "-p1", "-s", "--no-backup-if-mismatch", "-i", str(HERE / "mutants" / f"{name}.patch")]
    code, out = run(patch, tree)
    if code:
        return "its patch no longer applies; make it anew:\n" + out[-2000:]
    try:
        wrong = build(tree)
        if wrong:
            return wrong
        code, out = run(
            [sys.executable, "-m", "pytest", "-q", "-x", "tests/faults/test_order.py", "-k", CAUGHT_BY[name]], tree
        )
        if code == 1 and "AssertionError" in out:
            return ""
        return f"{CAUGHT_BY[name]} did not see it (pytest: {code}):\n{out[-2000:]}"
    finally:
        run([*patch, "-R"], tree)


def main(names):
    names = names or list(CAUGHT_BY)
    stray = {p.stem for p in (HERE / "mutants").glob("*.patch")} ^ set(CAUGHT_BY)
    if stray:
        sys.exit(f"patches and the table of mutants.py differ in {sorted(stray)}")
    caught = 0
    scratch = Path(tempfile.mkdtemp(prefix="amend-mutants-"))
    try:
        copy_tree(scratch)
        for name in names:
            began = time.monotonic()
            wrong = judge(scratch, name)
            caught += not wrong
            verdict = f"SURVIVED: {wrong}" if wrong else f"caught by {CAUGHT_BY[name]}"
            print(f"mutant {name}: {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{caught} of {len(names)} mutants caught")
    return 0 if caught == len(names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
