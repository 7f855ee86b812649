#!/usr/bin/env python3
"""bench/run compare - time and memory of comparing two prediction sets of a million samples.

The sets are made once by the worker's mode `pack` and kept in --dir. Each comparison is the worker's own program in mode
`compare`, measured from outside by wait4, beside a floor: reading its inputs and copying its samples. Pass or fail
against the targets in README.md. --save keeps the numbers in bench/results/.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

from report import table, verdict
from service import ROOT  # puts tests/service on the path
import comparing

MIB = 1 << 20
ROWS = 1_000_000
SECONDS, PEAK_MIB, SLICE_SECONDS = 2.0, 200, 5.0  # the targets
CASES = {  # name: (what it says, slices, weights, texts, seconds at most, peak at most)
    "classes": ("1,000,000 samples of 1,000 classes", 0, False, False, SECONDS, PEAK_MIB),
    "slices": ("the same, and a key with 1,000 values", 1000, False, False, SLICE_SECONDS, None),
    "weights": ("weighted: every interval by the bootstrap", 0, True, False, SECONDS, PEAK_MIB),
    "lp": ("with log-probabilities: means by the bootstrap", 0, False, False, SECONDS, PEAK_MIB),
    "texts": ("scores of texts: means by the bootstrap", 0, False, True, SECONDS, PEAK_MIB),
}


def write(path, rows, side, slices, weights, texts, lp):
    """The upload, by a generator of its own: no two sides agree on every sample."""
    state = 0x9E3779B9 + side
    head = {"task": "generative", "metric": "rougeL"} if texts else {"labels": [f"c{i}" for i in range(1000)]}
    with open(path, "w") as out:
        out.write(json.dumps(comparing.header(rows, **head)) + "\n")
        for i in range(rows):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            draw, y = (state >> 33) / (1 << 31), i % 1000
            row = {"id": f"s{i:08}"}
            if texts:
                row["s"] = round(draw, 4)
            else:
                row.update(y=y, p=y if draw < 0.8 + 0.02 * side else (y + 1 + int(1e4 * draw) % 7) % 1000)
            if slices:
                row["g"] = {"region": f"r{i * 7919 % slices}"}
            if lp:
                row["lp"] = -round(3 * draw, 3)
            if weights:
                row["w"] = 0.5 + i % 5
            out.write(json.dumps(row, separators=(",", ":")) + "\n")


def pack(folder, name, side, rows):
    _, slices, weights, texts, _, _ = CASES[name]
    place = folder / f"{name}{side}"
    done = place / "done"
    if done.exists():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    write(place / "upload", rows, side, slices, weights, texts, name == "lp")
    spec = {"upload": {"fd": 5, "bytes": (place / "upload").stat().st_size, "gzip": False}}
    ended = comparing.run("pack", place / "set", spec, [place / "upload"], memory=2048 * MIB)
    assert ended.code == 0, (ended.log, ended.faults)
    (place / "upload").unlink()
    done.write_text("")


class Set:
    def __init__(self, place):
        ended = comparing.Ended(place / "set", 0, [], "", None)
        self.packed, self.ids = ended.path("packed.safetensors"), ended.path("ids.safetensors")
        self.header = json.loads(ended.path("header.json").read_bytes())

    spec = comparing.Packed.spec


COLUMNS = {"classes": 2, "slices": 3, "weights": 3, "lp": 3, "texts": 1}  # of four bytes
COUNTED = {"classes": 6, "slices": 6, "weights": 48, "lp": 56, "texts": 104}  # bytes a sample while the values are found


def planned(name, sets, rows):
    """core/table/plan_compare.h, for these cases: sets of the same ids"""
    return rows * (8 * COLUMNS[name] + COUNTED[name] + 2) + sets[0].ids.stat().st_size + 2000 * 320 + 9 * MIB


def floor_of(sets, samples, folder):
    """In parts: what this program holds at its most is the least that wait4 tells of the next worker."""
    start, part = time.perf_counter(), bytearray(MIB)
    for s in sets:
        for path in (s.packed, s.ids):
            with open(path, "rb", buffering=0) as f:
                while f.readinto(part):
                    pass
    shutil.copyfile(samples, folder / "copy")
    return time.perf_counter() - start


def measure(folder, name, rows, rounds, threads):
    sets = [Set(folder / f"{name}{side}") for side in (0, 1)]
    plan, taken, cpu, peak, floor, slices = planned(name, sets, rows), [], [], [], [], 0
    for _ in range(rounds + 1):
        place = folder / "run"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        start = time.perf_counter()
        ended = comparing.compare(place / "compare", *sets, threads=threads, memory=plan)
        taken.append(time.perf_counter() - start)
        assert ended.code == 0, (ended.log, ended.faults)
        cpu.append(ended.usage.ru_utime + ended.usage.ru_stime)
        peak.append(ended.usage.ru_maxrss * 1024)
        floor.append(floor_of(sets, ended.path("samples.safetensors"), place))
        slices = ended.report()["slices"]
    shutil.rmtree(folder / "run", ignore_errors=True)
    middle = lambda v: statistics.median(v[1:])  # the first round warms the page cache
    return {"seconds": middle(taken), "floor": middle(floor), "cpu": middle(cpu), "peak": max(peak[1:]), "plan": plan, "slices": slices}


def small_enough():
    """What wait4 calls the peak of a worker is at least what this program, which started it, has ever held."""
    with open("/proc/self/status") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1]) * 1024


def lines_of(found):
    head = ["comparison", "s", "target", "", "floor s", "ratio", "cpu s", "peak MiB", "target", "", "plan MiB", "slices"]
    rows = []
    for name, r in found.items():
        what, _, _, _, seconds, peak = CASES[name]
        rows.append([what, f"{r['seconds']:.2f}", seconds or "", verdict(r["seconds"] < seconds) if seconds else "", f"{r['floor']:.2f}",
                     f"{r['seconds'] / r['floor']:.1f}", f"{r['cpu']:.2f}", f"{r['peak'] / MIB:.0f}", peak or "",
                     verdict(r["peak"] < peak * MIB) if peak else "", f"{r['plan'] / MIB:.0f}", r["slices"]])
    return table(head, rows)


def main():
    args = argparse.ArgumentParser(prog="bench/run compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--dir", type=Path, default=ROOT / "build" / "bench" / "compare", help="where the sets are kept")
    args.add_argument("--rows", type=int, default=ROWS)
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--only", choices=list(CASES), help="one of the comparisons")
    args.add_argument("--save", action="store_true", help="keep the numbers in bench/results/")
    options = args.parse_args()
    folder = options.dir / str(options.rows)
    names = [options.only] if options.only else list(CASES)
    for name in names:  # in processes of their own: this one stays small
        for side in (0, 1):
            maker = multiprocessing.Process(target=pack, args=(folder, name, side, options.rows))
            maker.start()
            maker.join()
            if maker.exitcode:
                return 2
    found = {name: measure(folder, name, options.rows, options.rounds, options.threads) for name in names}
    text = [f"{options.rows:,} samples, {options.threads} threads, {os.cpu_count()} processors; the program that starts the worker held at most "
            f"{small_enough() / MIB:.0f} MiB", "", *lines_of(found)]
    print("\n".join(text))
    if options.save:
        results = ROOT / "bench" / "results"
        (results / "compare.json").write_text(json.dumps({"rows": options.rows, "threads": options.threads, "found": found}, indent=1) + "\n")
        (results / "compare.md").write_text("\n".join(["# bench/run compare", "", *text]) + "\n")
    missed = [n for n, r in found.items() if (CASES[n][4] and r["seconds"] >= CASES[n][4]) or (CASES[n][5] and r["peak"] >= CASES[n][5] * MIB)]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
