"""What people see of a comparison: the report as Markdown and HTML over HTTP, and the client's commands about it. The
expected numbers are counted from the rows in Python; the page is read by Python's own parser."""

import html.parser
import json
import re

import numpy as np
import pytest

import reference as ref
from harness import amend
from test_predictions import header, pushed

NASTY = '<script>alert("x")</script>\u202e'
N = 360


def rows(new):
    """360 samples of 3 classes: the old model has 0..299 right, the new one all but every 25th and those above 330."""
    out = []
    for i in range(N):
        right = i % 25 != 0 and i <= 330 if new else i < 300
        out.append({"id": f"s{i:03d}", "y": i % 3, "p": i % 3 if right else (i + 1) % 3, "g": {"from": NASTY if i % 2 else "اب"}})
    return out


def count(old_right, new_right):
    return sum((a["y"] == a["p"]) == old_right and (b["y"] == b["p"]) == new_right for a, b in zip(rows(False), rows(True)))


class Page(html.parser.HTMLParser):
    """Tags with their attributes, the text of each element that is open, and whether all of them were closed in order."""

    VOID = {"meta", "br", "rect", "path", "circle"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.numbers, self.attributes = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], self.open

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag == "data":
            self.numbers.append(float(dict(attrs)["value"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "style" not in self.open:
            self.words.append(text)


@pytest.fixture(scope="module")
def sets(client, roots):
    for i in (1, 2):
        client.register(ref.write(roots / f"cp{i}", {"w": ref.tensor("F32", np.arange(4) * i)}), "cp/m")
    for i, new in ((1, False), (2, True)):
        pushed(client, header(N, version=f"cp/m@v{i}", dataset={"external": "pages"}), rows(new))
    return client


@pytest.fixture(scope="module")
def report(sets):
    """The id of a report, made by the client."""
    out = amend(sets, "compat", "run", "cp/m@v1", "cp/m@v2", "--data", "external:pages", "--bootstrap", "200", "-o", "json")
    return json.loads(out)


def test_run_prints_what_the_rows_say(sets, report):
    b, c = count(True, False), count(False, True)
    assert (report["cells"]["b"], report["cells"]["c"], report["n"]) == (b, c, N)
    out = amend(sets, "compat", "report", report["id"])
    lines = dict(l.split("\t") for l in out.splitlines())
    assert (lines["old"], lines["new"], lines["dataset"]) == ("cp/m@v1", "cp/m@v2", "pages")
    assert (lines["samples"], lines["negative flips"], lines["positive flips"]) == (str(N), str(b), str(c))
    assert lines["NFR"].startswith(f"{100 * b / N:.2f} % [") and lines["report"] == report["id"]
    assert amend(sets, "compat", "report", report["id"], "-o", "name") == report["id"] + "\n"
    listed = [l.split("\t") for l in amend(sets, "compat", "list", "--version", "cp/m@v2").splitlines()]
    assert [l[:6] for l in listed] == [[report["id"], "cp/m@v1", "cp/m@v2", "pages", str(N), f"{100 * b / N:.2f} %"]]
    slices = [l.split("\t") for l in amend(sets, "compat", "slices", report["id"]).splitlines()]
    assert len(slices) == report["slices"] and sum(int(s[2]) for s in slices if s[0] == "label") == N
    samples = [l.split("\t")[0] for l in amend(sets, "compat", "samples", report["id"]).splitlines()]
    assert samples == [a["id"] for a, n in zip(rows(False), rows(True)) if a["y"] == a["p"] and n["y"] != n["p"]]
    one = amend(sets, "compat", "samples", report["id"], "--cell", "positive", "--slice", "label=1", "--limit", "5")
    assert [l.split("\t")[1:3] for l in one.splitlines()] == [["positive", "1"]] * 5


def test_the_page_over_http(sets, report):
    at = "/v1/reports/" + report["id"]
    for accept, kind in (
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/markdown", "text/markdown; charset=utf-8"),
        ("application/json, text/html", "application/json"),
        ("*/*", "application/json"),
    ):
        r = sets.get(at, headers={"Accept": accept})
        assert (r.status_code, r.headers["Content-Type"]) == (200, kind), r.text[:300]
    r = sets.get(at, headers={"Accept": "text/html"})
    assert "default-src 'none'" in r.headers["Content-Security-Policy"]
    page = Page(r.text)
    words = "".join(page.words)
    assert NASTY.replace("\u202e", "U+202E") in words and "\u202e" not in r.text and "script" not in page.tags
    assert {"src", "href", "style"}.isdisjoint(name for name, _ in page.attributes)
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.tags.count("svg") == 1 + report["slices"] and f"negative flips{count(True, False)} (" in words
    known = {v["value"] for v in report["values"].values() if v["value"] is not None}
    assert known <= set(page.numbers) and {float(v) for v in report["cells"].values() if v} <= set(page.numbers)
    etag = r.headers["ETag"]
    assert etag != sets.get(at).headers["ETag"]
    md = sets.get(at, headers={"Accept": "text/markdown"}).text
    assert "\\<script\\>" in md and "<script" not in md
    widths = {len(re.findall(r"(?<!\\)\|", l)) for l in md[md.index("## Slices") :].splitlines() if l.startswith("|")}
    assert widths == {12, 4}, "a name broke a row of a table"


def test_report_writes_files(sets, report, tmp_path):
    for name, begins in (("r.html", "<!doctype html>"), ("r.md", "# cp/m@v1"), ("r.json", "{")):
        assert amend(sets, "compat", "report", report["id"], "--out", tmp_path / name) == ""
        assert (tmp_path / name).read_text().startswith(begins)
    assert amend(sets, "compat", "report", report["id"], "--format", "md") == (tmp_path / "r.md").read_text()
    none = tmp_path / "none.html"
    amend(sets, "compat", "report", "rep_" + "0" * 32, "--out", none, expect=5)
    assert not none.exists()
    amend(sets, "compat", "report", report["id"], "--format", "htm", expect=2)


@pytest.mark.parametrize(
    "words",
    [
        ["cp/m@v1", "cp/m@v2"],
        ["cp/m@v1", "--data", "d"],
        ["--old-predictions", "prd_x"],
        ["a", "b", "--data", "d", "--old-predictions", "x", "--new-predictions", "y"],
        ["a", "b", "--data", "d", "--move", "prod"],
        ["a", "b", "--data", "d", "--slice"],
    ],
)
def test_run_says_how_it_is_called(sets, words):
    assert "usage: amend compat run" in amend(sets, "compat", "run", *words, expect=None).stderr


def test_run_says_what_is_missing(sets):
    done = amend(sets, "compat", "run", "cp/m@v1", "cp/m@v2", "--data", "external:nowhere", expect=None)
    assert done.returncode == 7 and "amend predictions push" in done.stderr and "predictions-missing" in done.stderr
