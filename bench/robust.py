#!/usr/bin/env python3
"""bench/run robust - what the robust merges withstand.

Fifteen contributors send gradients of one MLP (784-32-10, MNIST, batch 16) for 200 steps; up to three of them send
something else. In each step the service registers what they sent as versions and merges them by a job; momentum 0.9
and a rate that falls from 0.05 to 0 in a straight line are this program's, in NumPy. Measured is the accuracy on the
10,000 test images after the last step, for eight rules under nine attacks (gradients.py), and how far it is from the
table that the robust methods were specified with.

Runs that need the same number of faulty ones go side by side: a contributor's version has a tensor for each rule,
attack and seed, its whole gradient, and each rule's job judges each tensor by itself and is believed for its own. In
the first step one of them is also merged alone, as a model of four tensors judged as one, and must come to the same.
--save keeps the tables in bench/results/.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: small products, and two processes

import argparse  # noqa: E402
import collections  # noqa: E402
import concurrent.futures  # noqa: E402
import json  # noqa: E402
import multiprocessing  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from safetensors.numpy import load, save_file  # noqa: E402

import gradients  # noqa: E402
from service import ROOT, Line, Tools  # noqa: E402
from harness import Daemon, merge  # noqa: E402

Rule = collections.namedtuple("Rule", "method params told whole base", defaults=({}, False, True, True))
# told: has to be told how many are faulty; whole: judges contributors, by default over all tensors of a model
RULES = {
    "mean": Rule("linear", whole=False, base=False),
    "median": Rule("median", whole=False),
    "trimmed_mean": Rule("trimmed_mean", told=True, whole=False),
    "krum": Rule("krum", told=True),
    "multi_krum": Rule("multi_krum", told=True),
    "bulyan": Rule("bulyan", told=True),
    "geometric_median": Rule("geometric_median"),
    "flag": Rule("flag", {"m": 8, "lambda": 0, "iterations": 5}),
}
SPECIFIED = {  # one seed, per cent
    "none": (91.2, 89.0, 91.2, 87.0, 90.9, 91.2, 91.0, 90.6),
    "random, 1": (11.3, 88.7, 89.9, 87.2, 91.1, 89.6, 90.8, 90.2),
    "random, 3": (11.3, 80.9, 74.6, 87.7, 91.0, 88.9, 89.7, 89.0),
    "reverse x10, 1": (88.6, 88.7, 90.3, 88.1, 91.3, 89.5, 90.6, 90.7),
    "reverse x10, 3": (9.8, 85.3, 83.4, 88.0, 90.8, 87.4, 88.5, 88.1),
    "ALIE z 1.5, 1": (91.0, 89.2, 90.7, 88.2, 91.3, 89.7, 90.8, 90.4),
    "ALIE z 1.5, 3": (86.9, 86.7, 87.6, 87.7, 90.5, 84.5, 88.5, 90.2),
    "IPM e .5, 1": (91.1, 88.7, 90.6, 81.9, 90.8, 88.8, 90.7, 90.5),
    "IPM e .5, 3": (90.6, 86.6, 88.3, 40.9, 89.5, 78.6, 88.4, 87.7),
}
KEEP = 10  # steps until the store is thrown away and begun anew: nobody asks for old gradients
AFTER = "## Rounds of several local steps"  # from here on robust.md is not written here


class Server:
    """A daemon on a store of its own, and versions in it that are made of flat vectors."""

    def __init__(self, folder, tools):
        self.folder, self.tools, self.daemon, self.own = folder, tools, None, threading.local()
        self.pool = concurrent.futures.ThreadPoolExecutor(2)

    def begin(self):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.sent = self.folder / "sent"
        self.sent.mkdir(parents=True)
        args = ["--log.level=warn"]
        self.daemon = Daemon(self.folder / "data", [self.sent], args=args, env=self.tools.env()).start()
        self.own = threading.local()

    def end(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def line(self):
        """This thread's connection."""
        if not hasattr(self.own, "line"):
            self.own.line = Line(self.daemon.url)
        return self.own.line

    def register(self, name, named):
        at = self.sent / name
        at.mkdir(exist_ok=True)
        save_file(named, at / "model.safetensors")
        body = json.dumps({"from": {"path": str(at)}, "mode": "move"})
        status, answer = self.line().send("POST", f"/v1/models/robust/{name}/versions", body)
        if status != 201:
            raise RuntimeError(f"registering {name}: {status} {answer.decode()[:2000]}")

    def merge(self, rule, params, models, base):
        """One job; {name: array} of what it made."""
        weight = {"weight": 1} if rule.method == "linear" else None
        body = merge(rule.method, [(m, weight) for m in models], "robust/merged", base, {**rule.params, **params})
        _, job = self.line().run(body)
        version = job["result"]["version"]
        path = f"/v1/models/robust/merged/versions/{version['commit']}/files/model.safetensors/content"
        status, content = self.line().send("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status}")
        return load(content)

    def merged(self, names, faulty, sent, kind, apart):
        """{rule: {tensor: aggregate}}. sent[i]: {tensor: what contributor i sent}; apart: each tensor by itself."""
        who = [f"{kind}{i}" for i in range(len(sent))]
        list(self.pool.map(self.register, who, sent))
        found = {}
        for name in names:
            rule = RULES[name]
            params = ({"f": faulty} if rule.told else {}) | ({"scope": "tensor"} if rule.whole and apart else {})
            base = f"robust/{kind}zero" if rule.base else None
            found[name] = self.merge(rule, params, [f"robust/{w}" for w in who], base)
        return found

    def zero(self, kind, named):
        """The base: gradients are changes of nothing."""
        self.register(f"{kind}zero", {n: np.zeros_like(t) for n, t in named.items()})


def groups(names):
    """[(rules, faulty, attacks)]: what may go side by side. Rules that are told nothing take all attacks at once."""
    told, counts = [n for n in names if RULES[n].told], sorted({f for _, f in gradients.ATTACKS.values()})
    found = [([n for n in names if not RULES[n].told], 0, list(gradients.ATTACKS))]
    for count in reversed(counts):
        found.append((told, count, [a for a, (_, f) in gradients.ATTACKS.items() if f == count]))
    return [g for g in found if g[0]]


def same_alone(server, group, sent, made):
    """Largest difference, as a share of the largest element, from the merge of one gradient of each contributor as a
    model of four tensors, by every rule as it is by default. `sent` is that of the first step: the same for all rules.
    """
    names, faulty, attacks = group
    key = f"{attacks[-1]}/1"
    server.zero("a", gradients.tensors(sent[f"{names[0]}/{key}"][0]))
    alone = server.merged(names, faulty, [gradients.tensors(s) for s in sent[f"{names[0]}/{key}"]], "a", False)
    found = 0.0
    for name in names:
        one, other = gradients.flat(alone[name]), made[name][f"{name}/{key}"]
        found = max(found, float(np.abs(one - other).max() / np.abs(one).max()))
    if not found < 1e-6:
        raise RuntimeError(f"{names}: merged beside others and alone differ by {found} of the largest element")
    return found


def measure(task):
    """One group: {"cells": {rule/attack/seed: [accuracy, step of divergence or null]}, "jobs", "seconds", "apart"}."""
    began, (group, folder, data_folder, seeds, steps) = time.monotonic(), task
    names, faulty, attacks = group
    train, test = gradients.load(data_folder)
    cells = {
        f"{n}/{a}/{s}": gradients.Training(train, s, a) for n in names for a in attacks for s in range(1, seeds + 1)
    }
    own = f"robust-{'told-' if RULES[names[0]].told else ''}{faulty}"
    server, jobs, apart = Server(folder / own, Tools(folder / f"{own}-tools")), 0, None
    try:
        for step in range(steps):
            sent = {c: t.contributions() for c, t in cells.items()}
            each = [{c: s[i] for c, s in sent.items()} for i in range(gradients.WORKERS)]
            if step % KEEP == 0:
                server.begin()
                server.zero("c", each[0])
            made = server.merged(names, faulty, each, "c", True)
            jobs += len(names)
            if apart is None:
                apart = same_alone(server, group, sent, made)
            for c, training in cells.items():
                training.step(made[c.split("/")[0]][c])
            if step % 20 == 0:
                print(f"{own}: step {step}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        server.end()
    ended = {c: [gradients.accuracy(t.model, *test), t.diverged] for c, t in cells.items()}
    return {"cells": ended, "jobs": jobs, "seconds": time.monotonic() - began, "apart": apart}


def joined(found, names, seeds):
    """What measure() found for each group: {rule: {"accuracy": {attack: [of each seed]}, "diverged": the same}}."""
    cells = {c: ended for group in found for c, ended in group["cells"].items()}
    return {
        n: {
            kind: {a: [cells[f"{n}/{a}/{s}"][i] for s in range(1, seeds + 1)] for a in gradients.ATTACKS}
            for i, kind in enumerate(("accuracy", "diverged"))
        }
        for n in names
    }


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def percent(values):
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values):.1f}{spread}"


def worst(before, after, loss):
    """(points, attack) where the most is lost against accuracies without attack."""
    return max((100 * loss(before, found), attack) for attack, found in after.items() if attack != "none")


def losses(result):
    rules, lines = result["rules"], []
    for rule in (r for r in ("multi_krum", "geometric_median", "flag") if r in rules):
        for clean in (c for c in (rule, "mean") if c in rules):
            against = (rules[clean]["accuracy"]["none"], rules[rule]["accuracy"])
            mean, at = worst(*against, lambda b, a: statistics.fmean(b) - statistics.fmean(a))
            one, where = worst(*against, lambda b, a: max(x - y for x, y in zip(b, a)))
            lines.append(
                f"- {rule} against {'itself' if clean == rule else clean} without attack: {mean:.1f} points ({at}); "
                f"of a single seed {one:.1f} ({where})"
            )
    return ["Most that is lost under any of the attacks:", "", *lines, ""] if lines else []


def collapse(result):
    if "mean" not in result["rules"]:
        return []
    found = result["rules"]["mean"]["accuracy"]
    before, after = percent(found["none"]), percent(found["random, 1"])
    return [f"One random contributor takes the mean from {before} to {after}.", ""]


def compared(result):
    """Differences from the specified table, in points, by their size."""
    return sorted(
        (
            (100 * statistics.fmean(found["accuracy"][attack]) - specified[list(RULES).index(rule)], rule, attack)
            for rule, found in result["rules"].items()
            for attack, specified in SPECIFIED.items()
        ),
        key=lambda d: -abs(d[0]),
    )


def text(result):
    names, seeds = list(result["rules"]), result["seeds"]
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    lines = [
        "## Gradients, step by step",
        "",
        f"Accuracy in per cent on the 10,000 test images of MNIST after {result['steps']} steps in each of which a job "
        "of the service merges the gradients of 15 contributors (batch 16; momentum .9, rate .05 → 0 in a straight "
        f"line); {spread}. The number after an attack says how many of the 15 send it; `trimmed_mean`, the Krums and "
        "`bulyan` are told it as `f`, the others are not. `flag` with m 8, lambda 0, 5 iterations. Made by "
        "`bench/run robust --save`; the attacks in [README.md](../README.md#robust).",
        "",
        row(["attack, contributors", *names]),
        row(["---"] * (len(names) + 1)),
    ]
    ran_away = False
    for attack in gradients.ATTACKS:
        found = [result["rules"][n] for n in names]
        gone = ["*" if any(d is not None for d in f["diverged"][attack]) else "" for f in found]
        ran_away = ran_away or any(gone)
        lines.append(row([attack, *[percent(f["accuracy"][attack]) + g for f, g in zip(found, gone)]]))
    if ran_away:
        lines += ["", "\\* The gradients of at least one seed passed 1e30; the model is the one before."]
    lines += ["", *collapse(result), *losses(result)]
    apart = compared(result)
    lines += [
        "Against the table that these methods were specified with (one seed of other random numbers): "
        f"{statistics.fmean(abs(d) for d, _, _ in apart):.1f} points of difference on average, median "
        f"{statistics.median(abs(d) for d, _, _ in apart):.1f}; largest: "
        + "; ".join(f"{rule} under {attack} {d:+.1f}" for d, rule, attack in apart[:3])
        + ".",
    ]
    return "\n".join(lines) + "\n"


def arguments():
    p = argparse.ArgumentParser(
        prog="bench/run robust", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--dir", type=Path, default=ROOT / "build/bench", help="stores while it runs, 3 GB (build/bench)")
    p.add_argument("--seeds", type=int, default=3, choices=range(1, 11), metavar="N", help="of weights, batches (3)")
    p.add_argument("--rules", default=",".join(RULES), help="some of: %(default)s")
    p.add_argument("--steps", type=int, default=gradients.STEPS, choices=range(1, gradients.STEPS + 1), metavar="N")
    p.add_argument("--save", action="store_true", help="write bench/results/robust.json and robust.md")
    options = p.parse_args()
    options.rules = options.rules.split(",")
    if set(options.rules) - RULES.keys():
        p.error(f"no such rule: {', '.join(set(options.rules) - RULES.keys())}")
    options.data = Path(os.environ.get("AMEND_DATA", ROOT.parent / "shared" / "data"))
    if not (options.data / "mnist" / "train-images-idx3-ubyte.gz").exists():
        p.error(f"{options.data} holds no mnist; set AMEND_DATA to the folder that has it (IDX, gzip)")
    return options


def save(result):
    """The tables go before what robust.md says of other protocols."""
    folder = ROOT / "bench/results"
    folder.mkdir(exist_ok=True)
    (folder / "robust.json").write_text(json.dumps(result, indent=1) + "\n")
    page = folder / "robust.md"
    old = page.read_text() if page.exists() else ""
    rest = old[old.index(AFTER) :] if AFTER in old else ""
    page.write_text(text(result) + ("\n" + rest if rest else ""))


def main():
    options = arguments()
    began = time.monotonic()
    options.dir.mkdir(parents=True, exist_ok=True)
    tasks = [(g, options.dir, options.data, options.seeds, options.steps) for g in groups(options.rules)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:  # ends its processes when this one is ended
        found = list(pool.imap(measure, tasks))
    result = {"seeds": options.seeds, "steps": options.steps, "seconds": time.monotonic() - began}
    result |= {"jobs": sum(f["jobs"] for f in found), "apart": max(f["apart"] for f in found)}
    result["rules"] = joined(found, options.rules, options.seeds)
    print(text(result))
    print(f"{result['jobs']} jobs, {result['seconds']:.0f} s in all", file=sys.stderr)
    if options.save:
        save(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
