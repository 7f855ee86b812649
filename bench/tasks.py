#!/usr/bin/env python3
"""bench/run tasks - how merges of 2 to 8 fine-tunes hold up, by method.

Eight tasks made from MNIST (digits.py) and one MLP fine-tuned on each, once for each seed. Every merge is a job of the
service, over HTTP. The tasks are taken in several orders. For each order the hyper-parameters are chosen on its first
two tasks, on training images, and then fixed for 3 to 8 tasks. Measured is the normalised accuracy on test images:
accuracy of the merge on a task / accuracy of that task's own fine-tune, mean over the tasks. Methods that make a model
for each task (emr, tall_masks) are told the task; all others make one model. --save keeps tables and plot in
bench/results/.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: small products, and the machine is shared

import argparse  # noqa: E402
import collections  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import math  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

import digits  # noqa: E402
from service import ROOT, Tools  # noqa: E402
from harness import Daemon, merge  # noqa: E402

WEIGHED = ("linear", "task_arithmetic", "ties", "breadcrumbs")  # the others take no weights
CHOOSE = 2000  # training images of each task on which hyper-parameters are chosen


def grid(**axes):
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


Method = collections.namedtuple("Method", "name base grid own", defaults=(False,))  # own: one model for each task

METHODS = {
    "average": Method("linear", False, [{}]),
    "task_arithmetic": Method(
        "task_arithmetic",
        True,
        grid(**{"lambda": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]}),
    ),
    "ties": Method("ties", True, grid(density=[0.1, 0.2, 0.5, 0.8], **{"lambda": [0.3, 0.5, 0.7, 1.0, 1.3, 1.6]})),
    "breadcrumbs": Method(
        "breadcrumbs",
        True,
        grid(drop_low=[0.2, 0.5, 0.7, 0.85], drop_high=[0.002, 0.01], **{"lambda": [0.3, 0.5, 0.7, 1.0, 1.4]}),
    ),
    "consensus": Method("consensus", True, grid(lambda_mask=[0.2, 0.4, 0.6], alpha=[0.3, 0.5, 0.7, 1.0, 1.4])),
    "knots": Method("knots", True, grid(density=[0.2, 0.5, 1.0], alpha=[0.3, 0.6, 1.0, 1.4])),
    "iso_c": Method("iso_c", True, grid(alpha=[0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6])),
    "tsv_m": Method("tsv_m", True, grid(alpha=[0.3, 0.5, 0.7, 1.0, 1.4])),
    "tall_masks": Method("tall_masks", True, grid(lambda_mask=[0.2, 0.3, 0.4, 0.5, 0.6]), own=True),
    "emr": Method("emr", True, [{}], own=True),
}
CLAIMS = [  # the first is ahead of the second at all tasks, as published or as its authors' design has it
    ("tsv_m", "ties"),
    ("ties", "average"),
    ("tsv_m", "average"),
    ("breadcrumbs", "task_arithmetic"),
    ("iso_c", "task_arithmetic"),
    ("emr", "tsv_m"),
    ("emr", "tall_masks"),
]
# 97.5 % of Student's t, 1 to 29 degrees of freedom
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
STUDENT += (2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045)


class Bench:
    """The service with base and fine-tunes in it, and the accuracies of what it merged."""

    def __init__(self, client, choose, test, own):
        self.client, self.data, self.own = client, {"choose": choose, "test": test}, own
        self.versions, self.merges = {}, 0

    def weights(self, name, tasks, params):
        """The merged model, made by a job the first time."""
        tasks = sorted(tasks)  # the methods do not depend on the order beyond rounding
        key = (name, *tasks, json.dumps(params, sort_keys=True))
        if key not in self.versions:
            how = METHODS[name]
            models = [(f"tasks/{t}", {"weight": 1.0} if how.name in WEIGHED else None) for t in tasks]
            request = merge(how.name, models, "tasks/merged", "tasks/base" if how.base else None, params)
            self.versions[key] = self.client.run(request)
            self.merges += 1
        found = self.client.weights(self.versions[key])
        return {n: np.frombuffer(t.data, np.float32).reshape(t.shape) for n, t in found.items()}

    def normalised(self, model, task, part):
        return digits.accuracy(model, *self.data[part][task]) / self.own[part][task]

    def score(self, name, tasks, params, part):
        if not METHODS[name].own:
            model = self.weights(name, tasks, params)
            return statistics.fmean(self.normalised(model, t, part) for t in tasks)
        place = {t: i + 1 for i, t in enumerate(sorted(tasks))}
        return statistics.fmean(
            self.normalised(self.weights(name, tasks, params | {"task": place[t]}), t, part) for t in tasks
        )

    def choose(self, name, tasks):
        """The point of the grid that is best on training images of the tasks; of equals the first."""
        return max(METHODS[name].grid, key=lambda params: self.score(name, tasks, params, "choose"))


def orders(count, tasks):
    """Different ones, also in the two tasks that they begin with as long as there are other two."""
    rng, found, pairs = np.random.default_rng(2024), [list(tasks)], [set(tasks[:2])]
    while len(found) < count:
        if len(pairs) == math.comb(len(tasks), 2):  # all of them were first once: they may be so again
            pairs.clear()
        order = [tasks[i] for i in rng.permutation(len(tasks))]
        if set(order[:2]) not in pairs:
            found.append(order)
            pairs.append(set(order[:2]))
    return found


def measure(bench, names, found):
    """{"curves": {method: {T: [score in each order]}}, "chosen": {method: [of each order]}, "tuned": at all tasks}"""
    curves, chosen, tasks = {}, {}, list(digits.TASKS)
    for order in found:
        for name in names:
            params = bench.choose(name, order[:2])
            chosen.setdefault(name, []).append(params)
            for count in range(2, len(order) + 1):
                score = bench.score(name, order[:count], params, "test")
                curves.setdefault(name, {}).setdefault(count, []).append(score)
            print(f"{' '.join(order[:2])}: {name} {params}: {score:.3f} at {len(order)} tasks", file=sys.stderr)
    tuned = {}
    for name in names:
        params = bench.choose(name, tasks)
        tuned[name] = {"params": params, "score": bench.score(name, tasks, params, "test")}
    return {"curves": curves, "chosen": chosen, "tuned": tuned}


def joined(results):
    """What measure() found for each seed, in one: every list goes on, seed after seed."""
    first = results[0]
    together = {"seeds": len(results), "orders": len(first["tasks"]), "merges": sum(r["merges"] for r in results)}
    together["tasks"] = [order for r in results for order in r["tasks"]]
    together["curves"] = {
        name: {c: [v for r in results for v in r["curves"][name][c]] for c in curve}
        for name, curve in first["curves"].items()
    }
    together["base"] = {c: [v for r in results for v in r["base"][c]] for c in first["base"]}
    together["chosen"] = {name: [p for r in results for p in r["chosen"][name]] for name in first["chosen"]}
    together["tuned"] = {name: [r["tuned"][name] for r in results] for name in first["tuned"]}
    for kind in ("own", "base_accuracy"):
        together[kind] = {t: [r[kind][t] for r in results] for t in first[kind]}
    return together


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def say(params):
    return " ".join(f"{k} {v}" for k, v in params.items()) or "-"


def mean_and_spread(values):
    return f"{statistics.fmean(values):.3f} ± {deviation(values):.3f}"


def commonest(found):
    """Each set of parameters once, with how often it was chosen."""
    return "; ".join(f"{p} ({n})" if p != "-" else p for p, n in collections.Counter(map(say, found)).most_common())


def text(result):
    counts, seeds = sorted(next(iter(result["curves"].values()))), result["seeds"]
    last = counts[-1]
    lines = [
        f"Normalised accuracy on test images, mean ± standard deviation over {seeds} seeds of base and fine-tunes and "
        f"{result['orders']} orders of the tasks each; hyper-parameters chosen on the first two tasks of each order, "
        "then fixed. With * the method is told the task and makes a model for it.",
        "",
        row(["tasks", *counts, f"{last}, tuned on all {last}"]),
        row(["---"] * (len(counts) + 2)),
    ]
    for name, curve in result["curves"].items():
        tuned = statistics.fmean(t["score"] for t in result["tuned"][name])
        star = " *" if METHODS[name].own else ""
        lines.append(row([name + star, *[mean_and_spread(curve[c]) for c in counts], f"{tuned:.3f}"]))
    lines += [row(["base, not merged", *map(mean_and_spread, result["base"].values()), ""]), ""]
    lines += claims(result, counts)
    lines += [row(["method", "chosen on two tasks (how often)", f"tuned on all {last}"]), row(["---"] * 3)]
    for name, found in result["chosen"].items():
        lines.append(row([name, commonest(found), commonest(t["params"] for t in result["tuned"][name])]))
    lines += ["", row(["task", "own fine-tune", "base"]), row(["---"] * 3)]
    for task, own in result["own"].items():
        lines.append(row([task, mean_and_spread(own), mean_and_spread(result["base_accuracy"][task])]))
    return "\n".join(lines) + "\n"


def paired(ours, theirs, per):
    """Mean and half width (95 %, Student's t over the seeds) of the difference; a seed's is the mean of its `per` values."""
    d = [a - b for a, b in zip(ours, theirs)]
    seeds = [statistics.fmean(d[i : i + per]) for i in range(0, len(d), per)]
    n = len(seeds)
    return statistics.fmean(seeds), STUDENT[n - 2] * deviation(seeds) / n**0.5


def reading(mean, half):
    return "ahead" if mean - half > 0 else "behind" if mean + half < 0 else "not decided"


def claims(result, counts):
    known = [c for c in CLAIMS if set(c) <= result["curves"].keys()]
    if not known or result["seeds"] < 2:
        return []
    last = counts[-1]
    lines = [
        "Differences seed by seed, mean ± half of the 95 % interval (Student's t over the seeds), and what that says of "
        f"{last} tasks: with hyper-parameters fixed at two tasks, and tuned on all {last} as the papers do.",
        "",
        row(["difference", *counts, "so", f"{last}, tuned on all {last}", "so"]),
        row(["---"] * (len(counts) + 4)),
    ]
    for ours, theirs in known:
        found = [paired(*(result["curves"][m][c] for m in (ours, theirs)), result["orders"]) for c in counts]
        tuned = paired(*([t["score"] for t in result["tuned"][m]] for m in (ours, theirs)), 1)
        cells = [f"{m:+.3f} ± {h:.3f}" for m, h in (*found, tuned)]
        lines.append(row([f"{ours} - {theirs}", *cells[:-1], reading(*found[-1]), cells[-1], reading(*tuned)]))
    return lines + [""]


def plot(result, folder, target):
    """By matplotlib in a virtual environment of its own, made here; without it there is no picture."""
    python = folder / "plot-venv/bin/python"
    try:
        if not (folder / "plot-venv/ok").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "plot-venv"], check=True)
            pip = [
                python,
                "-m",
                "pip",
                "install",
                "-q",
                "--disable-pip-version-check",
                "-r",
                ROOT / "bench/requirements.txt",
            ]
            subprocess.run(pip, check=True)
            (folder / "plot-venv/ok").touch()
        env = {**os.environ, "MPLCONFIGDIR": str(folder / "plot-venv")}
        subprocess.run(
            [python, ROOT / "bench/plot.py", target], input=json.dumps(result), text=True, check=True, env=env
        )
        print(f"plot: {target}", file=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"no plot: {e}", file=sys.stderr)


def arguments():
    p = argparse.ArgumentParser(
        prog="bench/run tasks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--dir", type=Path, default=ROOT / "build/bench", help="fine-tunes are made and kept here (build/bench)"
    )
    many = range(1, len(STUDENT) + 2)
    p.add_argument("--seeds", type=int, default=5, choices=many, metavar="N", help="bases and fine-tunes (5)")
    p.add_argument("--orders", type=int, default=2, choices=range(1, 3), metavar="N", help="of the tasks, a seed (2)")
    p.add_argument(
        "--methods", type=lambda names: names.split(","), default=list(METHODS), metavar="NAME,...", help="all of them"
    )
    p.add_argument("--save", action="store_true", help="write bench/results/tasks.json, tasks.md and tasks.svg")
    p.add_argument("--no-plot", action="store_true")
    options = p.parse_args()
    if options.save and set(options.methods) != METHODS.keys():
        p.error("--save keeps the results of all methods; leave --methods out")
    if unknown := set(options.methods) - METHODS.keys():
        p.error(f"no such method: {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    options.data = Path(os.environ.get("AMEND_DATA", ROOT.parent / "shared" / "data"))
    for name in ("mnist", "fashion-mnist"):
        if not (options.data / name / "train-images-idx3-ubyte.gz").exists():
            p.error(f"{options.data} holds no {name}; set AMEND_DATA to the folder that has both (IDX, gzip)")
    return options


def run(client, models, folder, found, options):
    """One seed: its models are below the folder, `found` are its orders of the tasks."""
    choose = {t: digits.load(options.data, "train", t, CHOOSE) for t in digits.TASKS}
    test = {t: digits.load(options.data, "t10k", t) for t in digits.TASKS}

    def accuracies(data):
        return {t: digits.accuracy(models[t], *data[t]) for t in digits.TASKS}

    own = {"choose": accuracies(choose), "test": accuracies(test)}
    for name in models:
        client.register(folder / name, f"tasks/{name}")
    bench = Bench(client, choose, test, own)
    known = {m["id"] for m in client.ok("/v1/methods?type=merge")["data"]}
    names = [n for n, method in METHODS.items() if n in options.methods and f"merge/{method.name}" in known]
    for n in set(options.methods) - set(names):
        print(f"not in this build, left out: {n}", file=sys.stderr)
    result = measure(bench, names, found)
    alone = {t: bench.normalised(models["base"], t, "test") for t in digits.TASKS}
    result["base"] = {c: [statistics.fmean(alone[t] for t in o[:c]) for o in found] for c in range(2, len(alone) + 1)}
    result["base_accuracy"] = {t: digits.accuracy(models["base"], *test[t]) for t in digits.TASKS}
    return result | {"own": own["test"], "tasks": found, "merges": bench.merges}


def run_seed(seed, found, tools, options):
    folder = options.dir / ("digits" if seed == 0 else f"digits-{seed}")
    models = digits.models(folder, options.data, seed)
    state = options.dir / "tasks-state"
    shutil.rmtree(state, ignore_errors=True)
    daemon = Daemon(state, [folder], args=tools.args("nosync"), env=tools.env()).start()
    try:
        return run(daemon.client, models, folder, found, options)
    finally:
        daemon.stop()
        shutil.rmtree(state, ignore_errors=True)


def main():
    options = arguments()
    began = time.monotonic()
    options.dir.mkdir(parents=True, exist_ok=True)
    tools, per = Tools(options.dir / "tools"), options.orders
    found = orders(options.seeds * per, list(digits.TASKS))
    results = []
    for seed in range(options.seeds):
        results.append(run_seed(seed, found[seed * per : (seed + 1) * per], tools, options))
        print(f"seed {seed}: {time.monotonic() - began:.0f} s so far", file=sys.stderr)
    result = joined(results)
    print(text(result))
    print(f"{result['merges']} merges by the service, {time.monotonic() - began:.0f} s in all", file=sys.stderr)
    target = options.dir / "tasks.svg"
    if options.save:
        folder = ROOT / "bench/results"
        folder.mkdir(exist_ok=True)
        (folder / "tasks.json").write_text(json.dumps(result, indent=1) + "\n")
        (folder / "tasks.md").write_text(text(result))
        target = folder / "tasks.svg"
    if not options.no_plot:
        plot(result, options.dir, target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
