"""The statistics of core/compat on every ordered pair of 30 published CIFAR-10 networks, held to the same quantities
computed here from the predictions: counts with NumPy, ratios as fractions, binomials as whole numbers, score intervals by
putting each bound into the score equation with 40 digits. No daemon: a small program of tests/unit prints the C side.
"""

import csv
import json
import math
import os
import subprocess
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from harness import BUILD, REPO

DATA = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data")) / "paired-predictions" / "cifar10"
ABSENT = not (DATA / "original_predictions.csv").exists()
if ABSENT and os.environ.get("REQUIRE_DATA") == "1":
    raise RuntimeError(f"REQUIRE_DATA=1, but there is no {DATA}; set AMEND_DATA")
pytestmark = pytest.mark.skipif(ABSENT, reason=f"no {DATA}; set AMEND_DATA to the folder that has it")

getcontext().prec = 40
Z_TWO, Z_ONE = Decimal("1.959963984540054"), Decimal("1.6448536269514722")
EPS = Decimal("1e-9")


class Set:
    def __init__(self, name):
        with open(DATA / name, newline="") as f:
            header, *rows = csv.reader(f)
        table = np.array(rows, dtype=np.int32)
        self.names, self.label, self.said = header[2:], table[:, 1], np.ascontiguousarray(table[:, 2:].T)
        self.n, self.k = len(self.label), len(self.names)
        self.ok = self.said == self.label

    def bytes(self):
        return np.int32([self.n, self.k]).tobytes() + self.label.tobytes() + self.said.tobytes()

    def cells(self, i, j):
        o, w, differ = self.ok[i], self.ok[j], self.said[i] != self.said[j]
        masks = [o & w, o & w & differ, o & ~w, w & ~o, ~(o | w) & ~differ, ~(o | w) & differ]
        return [int(np.count_nonzero(m)) for m in masks]


@pytest.fixture(scope="module")
def cli():
    variant = "release" if BUILD.name == "build" else BUILD.name
    made = subprocess.run(["make", "-C", str(REPO), "-s", f"VARIANT={variant}", f"{BUILD.relative_to(REPO)}/unit/compat_cli"],
                          capture_output=True, text=True, timeout=240, check=False)
    assert made.returncode == 0, made.stderr

    def run(*args, data=b""):
        p = subprocess.run([BUILD / "unit" / "compat_cli", *map(str, args)], input=data, capture_output=True, timeout=60, check=False)
        assert p.returncode == 0, p.stderr
        return [json.loads(line) for line in p.stdout.splitlines()]

    return run


@pytest.fixture(scope="module", params=["original_predictions.csv", "v6_predictions.csv"])
def run(request, cli):
    s = Set(request.param)
    return s, cli("pairs", data=s.bytes())


def ratio(top, bottom):
    return Fraction(top, bottom) if bottom else None


def metrics(a, _, b, c, same, different):
    d = same + different
    n = a + b + c + d
    return {
        "accuracy_old": ratio(a + b, n), "accuracy_new": ratio(a + c, n), "accuracy_delta": ratio(c - b, n),
        "nfr": ratio(b, n), "pfr": ratio(c, n), "nfr_mc": ratio(b + different, n),
        "relative_nfr": ratio(b * n, (a + b) * (b + d)), "nfi": ratio(b, b + d), "btc": ratio(a, a + b),
        "bec_new": ratio(d, b + d), "bec_old": ratio(d, c + d), "churn": ratio(b + c + different, n),
        "churn_good": ratio(c, n), "churn_bad": ratio(b, n), "churn_neutral": ratio(different, n),
    }


def test_counts_and_metrics(run):
    s, rows = run
    assert len(rows) == s.k * (s.k - 1) == 870
    for r in rows:
        want = s.cells(r["old"], r["new"])
        assert r["cells"] == want and sum(want) - want[1] == s.n and r["sound"]
        for name, value in metrics(*want).items():
            if value is None:
                assert r[name] is None, (r["old"], r["new"], name)
            else:  # the nearest double, or its neighbour
                assert math.isclose(r[name], value, rel_tol=3e-16), (r["old"], r["new"], name)


def brackets(statistic, bound, target):
    """The bound is within 1e-9 of where a falling statistic passes the target."""
    x = Decimal(bound)
    return statistic(x - EPS) >= target >= statistic(x + EPS)


def tango(b, c, n):
    b, c, n = Decimal(b), Decimal(c), Decimal(n)

    def statistic(delta):
        qa, qb, qc = 2 * n, -(b + c) + (2 * n - c + b) * delta, -b * delta * (1 - delta)
        q = ((qb * qb - 4 * qa * qc).sqrt() - qb) / (2 * qa)
        return (c - b - n * delta) / (n * (2 * q + delta * (1 - delta))).sqrt()

    return statistic


def wilson(k, n, z):
    """The two rates p at which |k/n - p| = z sqrt(p (1-p) / n): roots of the quadratic that this is."""
    p, n = Decimal(k) / Decimal(n), Decimal(n)
    qa, qb, qc = 1 + z * z / n, -(2 * p + z * z / n), p * p
    root = (qb * qb - 4 * qa * qc).sqrt()
    return (-qb - root) / (2 * qa), (-qb + root) / (2 * qa)


def newcombe(a, b, c, d):
    n = Decimal(a + b + c + d)
    p_old, p_new = (a + b) / n, (a + c) / n
    (l_o, u_o), (l_n, u_n) = wilson(a + b, n, Z_TWO), wilson(a + c, n, Z_TWO)
    top = Decimal(a * d - b * c)
    if top > 0:
        top = max(top - n / 2, Decimal(0))
    product = Decimal((a + b) * (c + d) * (a + c) * (b + d))
    phi = top / product.sqrt() if product else Decimal(0)
    spread = lambda x, y: (x * x - 2 * phi * x * y + y * y).sqrt()
    return p_new - p_old - spread(p_new - l_n, u_o - p_old), p_new - p_old + spread(u_n - p_new, p_old - l_o)


def test_intervals(run):
    s, rows = run
    for r in rows:
        a, _, b, c, same, different = r["cells"]
        statistic, where = tango(b, c, s.n), (r["old"], r["new"])
        for name, z in (("tango_two", Z_TWO), ("tango_one", Z_ONE)):
            assert brackets(statistic, r[name][0], z) and brackets(statistic, r[name][1], -z), where
        for name, z in (("wilson_two", Z_TWO), ("wilson_one", Z_ONE)):
            for got, want in zip(r[name], wilson(b, s.n, z)):
                assert abs(Decimal(got) - want) < EPS, where
        for got, want in zip(r["newcombe"], newcombe(a, b, c, same + different)):
            assert abs(Decimal(got) - want) < EPS, where


def binomials(b, c):
    """Exact, mid-p and one-sided mid-p as fractions over 2^(n+1)."""
    n, m = b + c, min(b, c)
    if n == 0:
        return (Fraction(1),) * 3
    term, below = 1, 0  # C(n, i), sum of C(n, 0..m-1)
    for i in range(m):
        below += term
        term = term * (n - i) // (i + 1)
    whole = 1 << (n + 1)
    exact = Fraction(min(4 * (below + term), whole), whole)
    mid = Fraction(4 * below + 2 * term, whole) if b != c else 1 - Fraction(term, whole)
    lower = Fraction(2 * below + term, whole)  # P(X < m) + P(X = m)/2
    return exact, mid, lower if b >= c else 1 - lower


def log10(x):
    """Of the fraction scaled to some 200 bits: the logs of its two parts would cancel, and its double may be 0."""
    shift = max(0, x.denominator.bit_length() - x.numerator.bit_length() + 200)
    return math.log10((x.numerator << shift) // x.denominator / 2**200) - (shift - 200) * math.log10(2)


def check(r, b, c):
    for name, want in zip(("exact", "mid", "regression"), binomials(b, c)):
        p, log10_p = r[name]
        assert abs(p - float(want)) < 1e-9 and math.isclose(log10_p, log10(want), rel_tol=1e-12, abs_tol=1e-12), (b, c, name)
        if log10_p > -300:
            assert math.isclose(p, float(want), rel_tol=1e-9), (b, c, name)


def test_mcnemar(run):
    for r in run[1]:
        check(r, r["cells"][2], r["cells"][3])


@pytest.mark.parametrize("b, c", [(0, 0), (1, 0), (5, 0), (10, 10), (1870, 112), (4000, 6000), (3, 20000)])
def test_mcnemar_edges(cli, b, c):
    check(cli("mcnemar", b, c)[0], b, c)
    check(cli("mcnemar", c, b)[0], c, b)


@pytest.mark.slow
@pytest.mark.parametrize("b, c", [(40000, 60000), (50000, 50000), (30000, 29500)])
def test_mcnemar_large(cli, b, c):
    check(cli("mcnemar", b, c)[0], b, c)


GOLDEN_CLASSES = """930 939 24 33 .237047 .592618 .881476 3.334
966 965 20 19 .874629 .940198 .437315 2.868
916 911 32 27 .518958 .940198 .259479 4.249
838 836 77 75 .871618 .940198 .435809 9.204
941 940 28 27 .893853 .940198 .446927 3.794
874 901 34 61 .005573 .055730 .997214 4.475
945 957 16 28 .072454 .362271 .963773 2.395
941 943 26 28 .787706 .940198 .606147 3.564
954 954 22 22 .940198 .940198 .500000 3.102
947 955 15 23 .199591 .592618 .900205 2.276"""


def test_by_class(cli):
    s = Set("original_predictions.csv")
    old, new, other = (s.names.index(f"resnet_basic_{k}") for k in (32, 44, 56))
    (r,) = cli("detail", old, new, data=s.bytes())
    for got, line in zip(r["slices"], GOLDEN_CLASSES.splitlines(), strict=True):
        want = [float(x) for x in line.split()]
        assert got[0] == 1000 and got[1:5] == want[:4]
        assert got[5:8] == pytest.approx(want[4:7], abs=5.1e-7) and 100 * got[8] == pytest.approx(want[7], abs=5.1e-4)
    assert r["pairs"][:4] == [[3, 5, 38], [5, 3, 20], [3, 2, 14], [0, 8, 12]]
    assert sorted(r["pairs"][4:6]) == [[1, 9, 11], [8, 0, 11]] and len(r["pairs"]) == 20
    assert r["shown"] == [2, 15, 35, 37, 47, 61, 125, 128, 169, 192]
    # Two candidates for the same place: flips of one and not of the other.
    first, second = s.ok[old] & ~s.ok[new], s.ok[old] & ~s.ok[other]
    assert (first.sum(), second.sum()) == (294, 274)
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    (m,) = cli("mcnemar", b, c)
    assert (b, c) == (190, 170) and m["exact"][0] == pytest.approx(0.316639, abs=5e-7) and m["mid"][0] == pytest.approx(0.292498, abs=5e-7)
