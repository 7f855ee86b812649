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
        ("application/json, text/html", "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
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
    assert sets.get(at, headers={"Accept": "text/html", "If-None-Match": etag}).status_code == 304
    md = sets.get(at, headers={"Accept": "text/markdown"}).text
    assert "\\<script\\>" in md and not re.search(r"(?<!\\)<", md)
    widths = {len(re.findall(r"(?<!\\)\|", l)) for l in md[md.index("## Slices") :].splitlines() if l.startswith("|")}
    assert widths == {11, 4}, "a name broke a row of a table"


def test_a_version_tells_what_it_was_compared_with(sets, report):
    b = count(True, False)
    shown = amend(sets, "model", "show", "cp/m@v2")
    assert f"against\tcp/m@v1: NFR {100 * b / N:.2f} %, accuracy " in shown and report["id"] in shown
    edges = [l.split("\t") for l in amend(sets, "model", "lineage", "cp/m@v2").splitlines()]
    assert all(len(e) == 5 for e in edges)


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


# ---- gates ----------------------------------------------------------------------------------------------------------

PASSES = {"description": "lenient", "min_samples": 10, "rules": [{"id": "flips", "value": "nfr", "bound": "upper", "op": "<=", "limit": 0.5}]}
HOLDS = {"rules": [{"id": "flips", "value": "nfr", "bound": "upper", "op": "<=", "limit": 0.01}], "min_samples": 10}
OPEN = {"rules": [{"id": "flips", "value": "nfr", "bound": "upper", "op": "<=", "limit": 0.04}], "min_samples": 10}


@pytest.fixture(scope="module")
def gates(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gates")
    for name, policy in (("lenient", PASSES), ("strict", HOLDS), ("between", OPEN)):
        (folder / name).write_text(json.dumps(policy))
        assert amend(sets, "gate", "put", name, folder / name) == f"{name}@1\n"
    return folder


@pytest.mark.parametrize("gate,verdict,code", [("lenient", "promote", 0), ("strict", "hold", 4), ("between", "inconclusive", 4)])
def test_check_exits_by_its_verdict(sets, report, gates, gate, verdict, code):
    """3.3 % of 360: its bounds are 2.1 % and 5.3 %, so a limit of 4 % is open."""
    lines = [l.split("\t") for l in amend(sets, "gate", "check", gate, report["id"], expect=code).splitlines()]
    assert ["verdict", f"{verdict} by {gate}@1"] in lines
    assert [l[1].split(":")[0] for l in lines if l[0] == "  flips"] == [{"promote": "pass", "hold": "fail"}.get(verdict, verdict)]
    assert ["report", report["id"]] in lines and ["new", "cp/m@" + report["new"][:12]] in lines
    assert amend(sets, "gate", "check", gate, "cp/m@v1", "cp/m@v2", "-o", "name", expect=code).startswith("gdc_")
    listed = [l.split("\t") for l in amend(sets, "decision", "list", "--verdict", verdict).splitlines()]
    assert len(listed) >= 2 and {l[1] for l in listed} == {verdict}
    assert "flips" in amend(sets, "decision", "show", listed[0][0])


def test_gates_are_read_changed_and_deleted(sets, gates):
    shown = json.loads(amend(sets, "gate", "show", "lenient"))
    assert (shown["description"], shown["min_samples"], len(shown["rules"])) == ("lenient", 10, 1)
    again = gates / "again"
    again.write_text(json.dumps({**shown, "description": "as it was shown"}))
    amend(sets, "gate", "put", "passing", again)
    assert amend(sets, "gate", "put", "passing", again) == "passing@2\n"
    assert [l.split("\t")[:2] for l in amend(sets, "gate", "revisions", "passing").splitlines()] == [["passing", "2"], ["passing", "1"]]
    assert {"default", "lenient", "passing", "strict"} <= {l.split("\t")[0] for l in amend(sets, "gate", "list").splitlines()}
    amend(sets, "gate", "rm", "passing", expect=2)
    assert amend(sets, "gate", "rm", "passing", "--yes") == "deleted passing\n"
    amend(sets, "gate", "show", "passing", expect=5)
    (gates / "bad").write_text('{"rules":[{"id":"x","value":"nfr","bund":"upper"}],"min_sample":1}')
    said = amend(sets, "gate", "put", "bad", gates / "bad", expect=None)
    assert said.returncode == 1 and "bund" in said.stderr and "min_sample" in said.stderr


def test_promote_asks_the_gate(sets, report, gates):
    amend(sets, "ref", "set", "cp/m", "prod", "v1")
    amend(sets, "ref", "policy", "cp/m", "prod", "--protected", "--gate", "lenient")
    amend(sets, "gate", "put", "lenient", gates / "lenient")  # a new revision: what the old one decided is stale
    refused = amend(sets, "promote", "cp/m", "prod", "v2", "--reason", "ticket 512", expect=None)
    assert refused.returncode == 7 and "gate-required" in refused.stderr
    command = re.search(r"ask the gate: amend (compat run \S+ \S+ --data \S+ --gate \S+)", refused.stderr).group(1)
    out = amend(sets, *command.split(), "--bootstrap", "200")
    assert "verdict\tpromote by lenient@2\n" in out
    assert amend(sets, "promote", "cp/m", "prod", "v2", "--reason", "ticket 512").startswith("prod\talias\tv2\t")
    last = amend(sets, "ref", "history", "cp/m", "prod").splitlines()[0].split("\t")
    assert last[1:4] == ["move", "v1", "v2"] and last[6].startswith("gdc_") and last[7] == "ticket 512"
    amend(sets, "rollback", "cp/m", "prod", "--reason", "errors")
    amend(sets, "ref", "policy", "cp/m", "prod", "--gate", "strict")
    done = amend(sets, "compat", "run", "cp/m@prod", "cp/m@v2", "--data", "external:pages", "--gate", "strict", "--move", "prod", "--bootstrap", "200", expect=None)
    assert done.returncode == 4 and "verdict\thold by strict@1\n" in done.stdout and "decision show" in done.stderr
    held = amend(sets, "promote", "cp/m", "prod", "v2", expect=None)
    assert held.returncode == 7 and "gate-refused" in held.stderr and "flips" in held.stderr
    amend(sets, "promote", "cp/m", "prod", "v2", "--force", "--reason", "now")
    assert "(forced) now" in amend(sets, "ref", "history", "cp/m", "prod").splitlines()[0]


def test_the_page_shows_the_gate(sets, gates):
    """Its banner has the verdict and a line a rule; waiting for the job exits 4."""
    body = {"type": "evaluate", "method": "compare", "inputs": {"old": "cp/m@v1", "new": "cp/m@v2", "data": {"external": "pages"}}, "params": {"bootstrap": 200}, "gate": "strict"}
    out = amend(sets, "job", "submit", "-f", "-", "--wait", stdin=json.dumps(body), expect=4)
    words = "".join(Page(sets.get("/v1/reports/" + out.strip(), headers={"Accept": "text/html"}).text).words)
    assert "✘ HOLD by the gate strict@1" in words and "flips: ✘ fails: nfr is 0.0333" in words
