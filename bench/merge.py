#!/usr/bin/env python3
"""bench/run merge - what a merge costs, as ratios to reading its inputs and copying one model.

Three models (1.2 GB each; --small: 60 MB) are made once. Rounds go over all jobs; for each: the floors (cat of the
inputs, cp of one model, sync of the copy), the job with a worker that does not sync ("compute": wall of the worker
process by wait4), and the job through an unmodified daemon ("end to end": POST until a poll says succeeded).
Medians, and pass or fail against the targets in README.md. --save keeps the numbers in bench/results/.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import machine
import models
import report
from service import ROOT, Ground, Tools  # puts tests/service on the path
from harness import Daemon, merge

MIB = 1 << 20
UNSTEADY = 0.25  # a floor further than this from the median floor: measured again
TUNED = ("a", "b")

# method, compute target, end-to-end target, with base, params of a model, params
JOBS = {
    "linear": ("linear", 1.5, 1.5, False, {"weight": 0.5}, {}),
    "slerp": ("slerp", 1.5, 1.5, False, {}, {"t": 0.4}),
    "task_arithmetic": ("task_arithmetic", 1.5, 1.5, True, {"weight": 0.5}, {}),
    "ties": ("ties", 2.0, 2.5, True, {"weight": 1.0, "density": 0.5}, {}),
    "breadcrumbs": ("breadcrumbs", 2.0, 2.5, True, {"weight": 1.0, "density": 0.9, "gamma": 0.01}, {}),
    "breadcrumbs_ties": ("breadcrumbs_ties", 2.0, 2.5, True, {"weight": 1.0, "density": 0.9, "gamma": 0.01}, {}),
    "dare_ties": ("dare_ties", 3.0, 3.5, True, {"weight": 1.0, "density": 0.5}, {}),
    "della": ("della", 3.0, 3.5, True, {"weight": 1.0, "density": 0.5}, {}),
    "consensus": ("consensus", 1.5, 1.5, True, {"lambda_mask": 0.4}, {}),
    "emr": ("emr", 2.0, 2.5, True, {}, {"task": 1}),
    "nuslerp": ("nuslerp", 2.0, 2.5, False, {"weight": 0.5}, {}),
    "multislerp": ("multislerp", 2.0, 2.5, True, {"weight": 0.5}, {}),
    "karcher": ("karcher", 2.0, 2.5, False, {}, {"tol": 1e-5}),
    "model_stock": ("model_stock", 2.0, 2.5, True, {}, {}),
    "sce": ("sce", 2.0, 2.5, True, {}, {"weight_floor": 0.0}),
    "sce_half": ("sce", 3.0, 3.5, True, {}, {"select_topk": 0.5}),
    "arcee_fusion": ("arcee_fusion", 3.0, 3.5, False, {}, {}),
    "nearswap": ("nearswap", 1.5, 1.5, False, {}, {"t": 0.001}),
    "passthrough": ("passthrough", 1.2, 1.5, False, {}, {}),
    "ram": ("ram", 1.5, 1.5, True, {}, {"epsilon": 1e-5}),
    "ramplus_tl": ("ramplus_tl", 2.0, 2.5, True, {}, {"epsilon": 1e-5}),
}
HASHED = ("passthrough",)  # their floor: cat of the input and its SHA-256, for there is nothing to write
USUAL = ("linear", "slerp", "task_arithmetic", "ties", "breadcrumbs_ties")


def body(name, about, number, threads):
    """(request, names of inputs); `number` changes one coefficient a little: no two jobs are the same."""
    method, _, _, with_base, per_model, params = JOBS[name]
    declared = {p["name"]: p for p in about["params"]}
    models_, params = list(TUNED), dict(params)
    base = with_base or about["needs"]["base"] == "required"
    if base and not with_base:  # slerp whose first model is the base
        models_ = models_[1:]
    models_ = models_[: about["needs"]["max_inputs"]]
    beside = {k: v for k, v in per_model.items() if declared[k]["per_input"]}
    params |= {k: v for k, v in per_model.items() if k not in beside}
    varied = beside if "weight" in beside else params
    keys = ("weight", "t", "tol", "epsilon", "weight_floor", "select_topk", "lambda_mask")
    key = next((k for k in keys if k in varied), None)
    if key:
        varied[key] += number * (1e-6 if varied[key] > 1e-4 else 1e-11)
    inputs = [(f"bench/{m}", beside or None) for m in models_]
    names = [*(["base"] if base and with_base else ["a"] if base else []), *models_]
    return merge(method, inputs, "bench/out", f"bench/{names[0]}" if base else None, params, threads=threads), names


def measure(ground, name, about, number, options):
    request, names = body(name, about, number, options.threads)
    load, calm = machine.quiet(options.patience)
    paths = ground.paths(names)
    floor = machine.hash_floor(paths) if name in HASHED else machine.floor(paths, ground.folder / "copy")
    bare = ground.job(request, "nosync")
    machine.quiet(min(2, options.patience))
    whole = ground.job(request)
    if bare.sha256 != whole.sha256:
        raise SystemExit(f"{name}: two runs of one request gave different files ({bare.sha256}, {whole.sha256})")
    worker, job = bare.worker, bare.job
    return {
        **floor,
        "compute": worker["wall"],
        "cpu_user": worker["user"],
        "cpu_sys": worker["sys"],
        "maxrss": worker["maxrss_kb"] * 1024,
        "plan": job["plan"]["peak_memory_bytes"],
        "end_to_end": whole.seconds,
        "worker_with_sync": whole.job["result"]["measured"]["seconds"],
        "daemon_peak": whole.daemon_peak,
        "kernels": job["result"]["measured"]["kernels"],
        "load": load,
        "calm": calm,
    }


def unsteady(samples):
    """Numbers of the rounds whose floor is far from the median floor, or that began on a busy machine."""
    floors = [s["cat"] + s["cp"] for s in samples]
    middle = statistics.median(floors)
    return [i for i, f in enumerate(floors) if abs(f / middle - 1) > UNSTEADY or not samples[i]["calm"]]


def rounds(ground, methods, options):
    samples, number = {name: [] for name in methods}, 0
    for r in range(options.discard + options.rounds):
        for name, about in methods.items():
            number += 1
            s = measure(ground, name, about, number, options)
            if r >= options.discard:
                samples[name].append(s)
            print(
                f"round {r + 1}: {report.brief(name, s)}{'' if r >= options.discard else ' (discarded)'}",
                file=sys.stderr,
            )
    repeated = {name: 0 for name in methods}
    for name, about in methods.items():
        for i in unsteady(samples[name]) * options.repeats:
            if i not in unsteady(samples[name]):
                continue
            number += 1
            samples[name][i] = measure(ground, name, about, number, options)
            repeated[name] += 1
            print(f"repeated: {report.brief(name, samples[name][i])}", file=sys.stderr)
    return samples, repeated


def summarise(name, samples, repeated):
    def middle(key):
        return statistics.median(s[key] for s in samples)

    _, compute_target, whole_target, *_ = JOBS[name]
    compute_floor = statistics.median(s["cat"] + s["cp"] for s in samples)
    whole_floor = statistics.median(s["cat"] + s["cp"] + s["sync"] for s in samples)
    rss, plan = max(s["maxrss"] for s in samples), max(s["plan"] for s in samples)
    row = {k: middle(k) for k in ("cat", "cp", "sync", "compute", "end_to_end", "cpu_user", "cpu_sys")}
    row |= {
        "compute_min": min(s["compute"] for s in samples),
        "end_to_end_min": min(s["end_to_end"] for s in samples),
        "compute_floor": compute_floor,
        "end_to_end_floor": whole_floor,
        "compute_ratio": row["compute"] / compute_floor,
        "compute_target": compute_target,
        "end_to_end_ratio": row["end_to_end"] / whole_floor,
        "end_to_end_target": whole_target,
        "difference": row["end_to_end"] - row["compute"],
        "maxrss": rss,
        "plan": plan,
        "daemon_peak": max(s["daemon_peak"] for s in samples),
        "kernels": samples[0]["kernels"],
        "unsteady": len(unsteady(samples)),
        "repeated": repeated,
    }
    row["compute_pass"] = row["compute_ratio"] <= compute_target
    row["end_to_end_pass"] = row["end_to_end_ratio"] <= whole_target
    row["memory_pass"] = rss <= 256 * MIB
    row["daemon_pass"] = row["daemon_peak"] <= 64 * MIB
    row["plan_pass"] = rss <= plan <= 1.25 * rss
    return row


def memory(ground, methods, rows, options):
    """One job of each method on the large models: the peak must not grow with them."""
    found = {}
    for number, (name, about) in enumerate(methods.items()):
        request, _ = body(name, about, number, options.threads)
        done = ground.job(request, "nosync")
        rss, plan = done.worker["maxrss_kb"] * 1024, done.job["plan"]["peak_memory_bytes"]
        grown = rss - rows[name]["maxrss"]
        found[name] = {
            "seconds": done.worker["wall"],
            "daemon_peak": done.daemon_peak,
            "maxrss": rss,
            "plan": plan,
            "grown": grown,
            "memory_pass": rss <= 256 * MIB and grown <= 32 * MIB,
            "plan_pass": rss <= plan <= 1.25 * rss,
        }
        print(f"large: {name} {rss / MIB:.0f} MiB in {done.worker['wall']:.1f} s", file=sys.stderr)
    return found


def scaling(ground, methods, options):
    """{job: {threads: median compute seconds}}, the thread counts interleaved."""
    found, number = {}, 0
    for name, about in methods.items():
        seconds = {n: [] for n in (1, 2, 4, 8)}
        for _ in range(options.scaling):
            for n in seconds:
                number += 1
                machine.quiet(options.patience)
                seconds[n].append(ground.job(body(name, about, number, n)[0], "nosync").worker["wall"])
        found[name] = {n: statistics.median(s) for n, s in seconds.items()}
        print(f"threads: {name} {found[name]}", file=sys.stderr)
    return found


def available_methods(folder, wanted):
    """{name of job: description of its method}; those that this build lacks are told."""
    shutil.rmtree(folder / "look", ignore_errors=True)
    d = Daemon(folder / "look", [folder]).start()
    known = {m["id"]: m for m in d.client.ok("/v1/methods?type=merge")["data"]}
    d.stop()
    shutil.rmtree(folder / "look")
    lacking = [name for name in wanted if f"merge/{JOBS[name][0]}" not in known]
    if lacking:
        print(f"not in this build, left out: {', '.join(lacking)}", file=sys.stderr)
    return {name: known[f"merge/{JOBS[name][0]}"] for name in wanted if name not in lacking}


def arguments():
    p = argparse.ArgumentParser(
        prog="bench/run merge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--dir", type=Path, default=ROOT / "build/bench", help="models are made and kept here (build/bench)")
    p.add_argument("--small", action="store_true", help="60 MB models, to try the bench out; its numbers mean nothing")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--discard", type=int, default=2, help="rounds before those that count")
    p.add_argument("--repeats", type=int, default=2, help="how often an unsteady round is tried again")
    p.add_argument(
        "--patience", type=float, default=30, help="seconds to wait for a quiet machine before each job (30)"
    )
    p.add_argument("--threads", type=int, default=None, help="of a job (as many as processors)")
    p.add_argument("--methods", default=",".join(USUAL), help="comma-separated, of: " + " ".join(JOBS))
    p.add_argument(
        "--touch", type=int, default=None, metavar="GiB", help="memory touched before the rounds (18; small: 1)"
    )
    p.add_argument(
        "--no-memory", action="store_true", help="without the jobs on 9.7 GB models (they take 45 GB of disk)"
    )
    p.add_argument("--scaling", type=int, default=0, metavar="N", help="also N rounds with 1, 2, 4 and 8 threads")
    p.add_argument("--save", action="store_true", help="write bench/results/merge.json and merge.md")
    options = p.parse_args()
    options.methods = options.methods.split(",")
    for name in options.methods:
        if name not in JOBS:
            p.error(f"--methods: no job {name!r}; there are {', '.join(JOBS)}")
    return options


def main():
    options = arguments()
    options.threads = options.threads or os.cpu_count()
    size, large = ("60MB", "480MB") if options.small else ("1.2GB", "9.7GB")
    touch = options.touch if options.touch is not None else 1 if options.small else 18
    options.dir.mkdir(parents=True, exist_ok=True)
    about = machine.describe(options.dir) | {
        "size": size,
        "elements": models.elements(size),
        "threads": options.threads,
    }
    about |= {
        "rounds": options.rounds,
        "discarded": options.discard,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    tools = Tools(options.dir / "tools")
    methods = available_methods(options.dir, options.methods)
    ground = Ground(options.dir / size, tools)
    ground.prepare(lambda folder: models.write(folder, size, TUNED))
    about["touched_gib"] = machine.touch(touch)
    machine.run("cat", *ground.paths(ground.inputs))
    samples, repeated = rounds(ground, methods, options)
    rows = {name: summarise(name, samples[name], repeated[name]) for name in methods}
    about["load_after"] = machine.load()
    result = {"machine": about, "jobs": rows, "samples": samples}
    if options.scaling:
        result["scaling"] = scaling(ground, methods, options)
    if not options.no_memory:
        big = Ground(options.dir / large, tools)
        big.prepare(
            lambda folder: models.write(folder, large, TUNED, lambda n: "layers" not in n or ".0." in n), sparse=True
        )
        result["large"] = {
            "size": large,
            "elements": models.elements(large),
            "jobs": memory(big, methods, rows, options),
        }
    report.show(result, options.save, ROOT / "bench/results")
    return 0


if __name__ == "__main__":
    sys.exit(main())
