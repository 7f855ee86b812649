#!/usr/bin/env python3
"""bench/run tasks - how merges of 2 to 8 fine-tunes hold up: breadcrumbs, task arithmetic, TIES and the plain average.

Eight tasks made from MNIST (digits.py) and one MLP fine-tuned on each. Every merge is a job of the service, over
HTTP. The tasks are taken in several orders. For each order the hyper-parameters are chosen on its first two tasks,
on training images, and then fixed for 3 to 8 tasks. Measured is the normalised accuracy on test images: accuracy of
the merge on a task / accuracy of that task's own fine-tune, mean over the tasks. --save keeps tables and plot in
bench/results/.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: small products, and the machine is shared

import argparse  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
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

CHOOSE = 2000  # training images of each task on which hyper-parameters are chosen


def grid(**axes):
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


METHODS = {  # name: (method, with base, grid)
    "average": ("linear", False, [{}]),
    "task_arithmetic": (
        "task_arithmetic",
        True,
        grid(**{"lambda": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]}),
    ),
    "ties": ("ties", True, grid(density=[0.1, 0.2, 0.5, 0.8], **{"lambda": [0.3, 0.5, 0.7, 1.0, 1.3, 1.6]})),
    "breadcrumbs": (
        "breadcrumbs",
        True,
        grid(drop_low=[0.2, 0.5, 0.7, 0.85], drop_high=[0.002, 0.01], **{"lambda": [0.3, 0.5, 0.7, 1.0, 1.4]}),
    ),
}


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
            method, with_base, _ = METHODS[name]
            models = [(f"tasks/{t}", {"weight": 1.0}) for t in tasks]
            request = merge(method, models, "tasks/merged", "tasks/base" if with_base else None, params)
            self.versions[key] = self.client.run(request)
            self.merges += 1
        found = self.client.weights(self.versions[key])
        return {n: np.frombuffer(t.data, np.float32).reshape(t.shape) for n, t in found.items()}

    def normalised(self, model, tasks, part):
        return [digits.accuracy(model, *self.data[part][t]) / self.own[part][t] for t in tasks]

    def score(self, name, tasks, params, part):
        return statistics.fmean(self.normalised(self.weights(name, tasks, params), tasks, part))

    def choose(self, name, tasks):
        """The point of the grid that is best on training images of the tasks; of equals the first."""
        return max(METHODS[name][2], key=lambda params: self.score(name, tasks, params, "choose"))


def orders(count, tasks):
    """Different ones, also in the two tasks that they begin with."""
    rng, found, pairs = np.random.default_rng(2024), [list(tasks)], [set(tasks[:2])]
    while len(found) < count:
        order = [tasks[i] for i in rng.permutation(len(tasks))]
        if set(order[:2]) not in pairs:
            found.append(order)
            pairs.append(set(order[:2]))
    return found


def measure(bench, names, options):
    """{"curves": {method: {T: [score in each order]}}, "chosen": {method: [of each order]}, "tuned": at all tasks}"""
    curves, chosen, tasks = {}, {}, list(digits.TASKS)
    for order in orders(options.orders, tasks):
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


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def say(params):
    return " ".join(f"{k} {v}" for k, v in params.items()) or "-"


def text(result):
    counts = sorted(next(iter(result["curves"].values())))
    last = counts[-1]
    lines = [
        "Normalised accuracy on test images, mean ± standard deviation over "
        f"{result['orders']} orders of the tasks; hyper-parameters chosen on the first two tasks of each, then fixed.",
        "",
        row(["tasks", *counts, f"{last}, tuned on all {last}"]),
        row(["---"] * (len(counts) + 2)),
    ]
    for name, curve in result["curves"].items():
        cells = [f"{statistics.fmean(curve[c]):.3f} ± {deviation(curve[c]):.3f}" for c in counts]
        lines.append(row([name, *cells, f"{result['tuned'][name]['score']:.3f}"]))
    cells = [f"{statistics.fmean(v):.3f} ± {deviation(v):.3f}" for v in result["base"].values()]
    lines += [row(["base, not merged", *cells, ""]), ""]
    lines += [row(["method", "chosen on two tasks, one for each order", f"tuned on all {last}"]), row(["---"] * 3)]
    for name, found in result["chosen"].items():
        lines.append(row([name, "; ".join(map(say, found)), say(result["tuned"][name]["params"])]))
    lines += ["", row(["task", "own fine-tune", "base"]), row(["---"] * 3)]
    lines += [row([t, f"{own:.3f}", f"{result['base_accuracy'][t]:.3f}"]) for t, own in result["own"].items()]
    if "breadcrumbs" in result["curves"] and "task_arithmetic" in result["curves"]:
        ours, theirs = result["curves"]["breadcrumbs"], result["curves"]["task_arithmetic"]
        lines += [
            "",
            "Breadcrumbs minus task arithmetic, order by order: " + "; ".join(paired(c, ours, theirs) for c in counts),
        ]
    return "\n".join(lines) + "\n"


def paired(count, ours, theirs):
    d = [a - b for a, b in zip(ours[count], theirs[count])]
    return (
        f"{count} tasks {statistics.fmean(d):+.3f} ± {deviation(d):.3f} (ahead in {sum(x > 0 for x in d)} of {len(d)})"
    )


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
    p.add_argument("--orders", type=int, default=6, choices=range(1, 29), metavar="N", help="orders of the tasks (6)")
    p.add_argument("--save", action="store_true", help="write bench/results/tasks.json, tasks.md and tasks.svg")
    p.add_argument("--no-plot", action="store_true")
    options = p.parse_args()
    options.data = Path(os.environ.get("AMEND_DATA", ROOT.parent / "shared" / "data"))
    for name in ("mnist", "fashion-mnist"):
        if not (options.data / name / "train-images-idx3-ubyte.gz").exists():
            p.error(f"{options.data} holds no {name}; set AMEND_DATA to the folder that has both (IDX, gzip)")
    return options


def run(client, models, options):
    choose = {t: digits.load(options.data, "train", t, CHOOSE) for t in digits.TASKS}
    test = {t: digits.load(options.data, "t10k", t) for t in digits.TASKS}

    def accuracies(data):
        return {t: digits.accuracy(models[t], *data[t]) for t in digits.TASKS}

    own = {"choose": accuracies(choose), "test": accuracies(test)}
    for name in models:
        client.register(options.dir / "digits" / name, f"tasks/{name}")
    bench = Bench(client, choose, test, own)
    known = {m["id"] for m in client.ok("/v1/methods?type=merge")["data"]}
    names = [n for n, (method, *_) in METHODS.items() if f"merge/{method}" in known]
    for n in METHODS.keys() - set(names):
        print(f"not in this build, left out: {n}", file=sys.stderr)
    result = measure(bench, names, options)
    alone = {t: bench.normalised(models["base"], [t], "test")[0] for t in digits.TASKS}
    found = orders(options.orders, list(digits.TASKS))
    result["base"] = {c: [statistics.fmean(alone[t] for t in o[:c]) for o in found] for c in range(2, len(alone) + 1)}
    result["base_accuracy"] = {t: digits.accuracy(models["base"], *test[t]) for t in digits.TASKS}
    return result | {"own": own["test"], "orders": options.orders, "tasks": found, "merges": bench.merges}


def main():
    options = arguments()
    began = time.monotonic()
    options.dir.mkdir(parents=True, exist_ok=True)
    models = digits.models(options.dir / "digits", options.data)
    state = options.dir / "tasks-state"
    shutil.rmtree(state, ignore_errors=True)
    tools = Tools(options.dir / "tools")
    daemon = Daemon(state, [options.dir / "digits"], args=tools.args("nosync"), env=tools.env()).start()
    try:
        result = run(daemon.client, models, options)
    finally:
        daemon.stop()
        shutil.rmtree(state, ignore_errors=True)
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
