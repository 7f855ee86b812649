"""evaluate/continual over HTTP: prediction sets of a line of versions in, a matrix and its metrics out. Expected numbers are
those of the specification's golden matrices, or computed here with NumPy from the rows by the metrics' definitions."""

import concurrent.futures
import json

import numpy as np
import pytest

import reference as ref
from harness import SANITIZED, amend, problem, seg, sparsify
from test_evaluate import upload

VERSIONS = 4


@pytest.fixture(scope="module")
def line(client, roots):
    """Commits of ct/m v1..v4: v3 is v2 with another config and the same weights."""
    for i in range(1, VERSIONS + 1):
        folder = ref.write(roots / f"ct{i}", {"w": ref.tensor("F32", np.full(8, 2 if i == 3 else i))})
        (folder / "config.json").write_text(json.dumps({"model_type": "toy", "step": i}))
        client.register(folder, "ct/m")
    return [client.version(f"ct/m@v{i}")["commit"] for i in range(1, VERSIONS + 1)]


def rows_of(right, **columns):
    """Rows of a version that has these samples right; columns are lists beside it."""
    return [{"id": f"s{i:05d}", "y": 1, "p": int(ok), **{k: v[i] for k, v in columns.items()}} for i, ok in enumerate(right)]


def first(n, share):
    return [i < round(n * share) for i in range(n)]


def body(versions, tasks, **more):
    return {"type": "evaluate", "method": "continual", "inputs": {"versions": versions, "tasks": tasks}, **more}


def names(n):
    return [f"ct/m@v{i + 1}" for i in range(n)]


def report_of(client, doc, **more):
    job = client.wait(client.submit({**doc, **more}))
    assert job["status"] == "succeeded", json.dumps(job, indent=1)
    return client.ok("/v1/reports/" + job["result"]["reports"][0]), job


def external(prefix, n, random=None):
    return [{"external": f"{prefix}-{j + 1}", **({"random": random} if random is not None else {})} for j in range(n)]


def put_all(client, sets):
    """Uploads (rows, version, dataset), several at a time."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda s: upload(client, *s), sets))


def put_matrix(client, prefix, matrix, n=20):
    """Uploads sets for every number of the matrix: the first samples are right. None: nothing."""
    put_all(client, [(rows_of(first(n, score)), f"ct/m@v{i + 1}", f"{prefix}-{j + 1}") for i, row in enumerate(matrix)
                     for j, score in enumerate(row) if score is not None])


def values(report):
    return {k: v["value"] for k, v in report["values"].items()}


def test_the_golden_matrices(client, line):
    golden = [[0.9, 0.3, None], [0.6, 0.8, 0.2], [0.5, 0.7, 0.9]]
    put_matrix(client, "gold", golden)
    report, _ = report_of(client, body(names(3), external("gold", 3, 0.1)))
    v = values(report)
    assert v["average_incremental"] == pytest.approx((0.9 + 0.7 + 0.7) / 3, abs=1e-12)
    assert v["final_average"] == pytest.approx(0.7) and v["bwt"] == pytest.approx(-0.25) and v["forgetting"] == pytest.approx(0.25)
    assert v["fwt"] == pytest.approx(((0.3 - 0.1) + (0.2 - 0.1)) / 2)
    # update to v2 breaks .3 of task 1; update to v3 breaks .1 of tasks 1 and 2
    assert v["nfr_per_update"] == pytest.approx((0.3 + 0.1) / 2)
    assert [(u["version"], u["flips"], u["samples"]) for u in report["updates"]] == [(2, 6, 20), (3, 4, 40)]
    got = [[c and c["value"] for c in row] for row in report["matrix"]]
    assert got == golden and report["missing"] == [{"version": 1, "task": 3}], "what no metric needs may be missing"
    cell = report["matrix"][2][0]
    assert (cell["n"], cell["right"], cell["method"]) == (20, 10, "wilson")
    assert cell["interval"] == pytest.approx([0.299298, 0.700702], abs=1e-6), "Wilson of 10 in 20"
    put_matrix(client, "gold", [[], [], [0.95]])  # R[3][1], the newest set counts
    v = values(report_of(client, body(names(3), external("gold", 3)))[0])
    assert v["bwt"] == pytest.approx(-0.025) and v["forgetting"] == pytest.approx(0.05)
    assert v["fwt"] is None, "no score of an untrained model"


def test_what_is_missing_stays_missing_and_zero_is_zero(client, line):
    """mammoth pads the matrix with 0 in place; iamcl2r skips exact zeros (compat.md 19)."""
    put_matrix(client, "miss", [[0.9, None, None], [0.0, 0.8, None], [None, 0.7, 0.9]])
    report, _ = report_of(client, body(names(3), external("miss", 3, 0.5)))
    v = report["values"]
    for name in ("average_incremental", "final_average", "bwt", "forgetting", "nfr_per_update"):
        assert (v[name]["value"], v[name]["reason"], v[name]["missing"]) == (None, "missing", [{"version": 3, "task": 1}]), name
        assert "interval" not in v[name]
    assert v["fwt"]["missing"] == [{"version": 1, "task": 2}, {"version": 2, "task": 3}]
    assert report["matrix"][2][0] is None and report["matrix"][1][0]["value"] == 0 and report["matrix"][1][0]["right"] == 0
    put_matrix(client, "miss", [[], [], [0.0]])
    v = values(report_of(client, body(names(3), external("miss", 3)))[0])
    assert v["average_incremental"] == pytest.approx((0.9 + 0.4 + 1.6 / 3) / 3) and v["forgetting"] == pytest.approx((0.9 + 0.1) / 2)


def test_one_task(client, line):
    put_matrix(client, "one", [[0.5]])
    report, _ = report_of(client, body(names(1), external("one", 1, 0.1)))
    v = report["values"]
    assert v["final_average"]["value"] == v["average_incremental"]["value"] == 0.5
    for name in ("bwt", "forgetting", "fwt", "nfr_per_update"):
        assert v[name] == {"value": None, "reason": "one_task"}


class Reference:
    """The metrics from rows [version][task] of right or wrong, with weights and clusters, in NumPy."""

    def __init__(self, ok, weight, cluster, random):
        self.ok, self.weight, self.cluster, self.random, self.t = ok, weight, cluster, random, len(ok)

    def metrics(self, times):
        t = self.t
        w = [self.weight[j] * times[j] for j in range(t)]
        r = np.array([[(w[j] * self.ok[i][j]).sum() / w[j].sum() for j in range(t)] for i in range(t)])
        flips = []
        for i in range(1, t):
            broken = sum((w[j] * (self.ok[i - 1][j] & ~self.ok[i][j])).sum() for j in range(i))
            flips.append(broken / sum(w[j].sum() for j in range(i)))
        return {
            "average_incremental": np.mean([r[i, : i + 1].mean() for i in range(t)]),
            "final_average": r[-1].mean(),
            "bwt": np.mean([r[-1, j] - r[j, j] for j in range(t - 1)]),
            "forgetting": np.mean([r[j:, j].max() - r[-1, j] for j in range(t - 1)]),
            "fwt": np.mean([r[j - 1, j] - self.random[j] for j in range(1, t)]),
            "nfr_per_update": np.mean(flips),
        }

    def drawn(self, seed, replicates=500):
        """Units of each task are drawn again, the same for all versions."""
        rng, found = np.random.default_rng(seed), []
        for _ in range(replicates):
            times = []
            for c in self.cluster:
                count = np.bincount(rng.integers(0, c.max() + 1, c.max() + 1), minlength=c.max() + 1)
                times.append(count[c])
            found.append(self.metrics(times))
        return {k: np.quantile([f[k] for f in found], (0.025, 0.975)) for k in found[0]}


@pytest.fixture(scope="module")
def random_line(client, line):
    """Four tasks: plain, weighted, clustered, plain; each version forgets some of what was there."""
    rng = np.random.default_rng(12)
    sizes, weight, cluster, ok = (200, 160, 180, 120), [], [], [[] for _ in range(VERSIONS)]
    for j, n in enumerate(sizes):
        weight.append(np.float64(np.float32(rng.uniform(0.2, 3, n))) if j == 1 else np.ones(n))
        cluster.append(np.arange(n) // 4 if j == 2 else np.arange(n))
        hard = rng.random(n)
        for i in range(VERSIONS):
            skill = 0.15 if i < j else 0.9 - 0.12 * (i - j)
            ok[i].append(hard + rng.normal(0, 0.1, n) < skill)
    columns = [{}, {"w": [float(x) for x in weight[1]]}, {"c": [f"c{x}" for x in cluster[2]]}, {}]
    put_all(client, [(rows_of(ok[i][j], **columns[j]), f"ct/m@v{i + 1}", f"rand-{j + 1}") for i in range(VERSIONS) for j in range(VERSIONS)])
    return Reference(ok, weight, cluster, [0.1] * VERSIONS)


def test_numpy_finds_the_same(client, line, random_line):
    report, job = report_of(client, body(names(4), external("rand", 4, 0.1)))
    want, spread = random_line.metrics([1] * 4), random_line.drawn(3)
    for name, value in want.items():
        got = report["values"][name]
        assert got["value"] == pytest.approx(value, abs=1e-12), name
        assert got["interval"] == pytest.approx(spread[name], abs=0.008), (name, got, spread[name])
        assert got["interval"][0] < got["lower95"] < got["value"] < got["upper95"] < got["interval"][1] and got["method"] == "percentile"
    assert [t["unit"] for t in report["tasks"]] == ["sample", "sample", "cluster", "sample"]
    assert [report["matrix"][0][j]["method"] for j in range(4)] == ["wilson", "percentile", "percentile", "wilson"]
    assert SANITIZED or job["plan"]["peak_memory_bytes"] >= job["result"]["measured"]["peak_memory_bytes"] > 0
    assert job["plan"]["read_bytes"] == job["result"]["measured"]["read_bytes"]
    # the bytes that each version adds to the one before it
    files = [client.files(v) for v in names(4)]
    before = [{}] + files[:-1]
    grown = [sum(f["bytes"] for p, f in now.items() if f["sha256"] not in {g["sha256"] for g in was.values()}) for now, was in zip(files, before)]
    assert [v["memory_bytes"] for v in report["versions"]] == report["values"]["memory_bytes"]["versions"] == grown
    assert grown[2] < grown[1], "v3 has the weights of v2"


def test_the_same_bytes_whoever_asks(client, line, random_line):
    by_name = body(names(4), external("rand", 4, 0.1))
    report, job = report_of(client, by_name)
    by_branch = {**by_name, "inputs": {"model": "ct/m", "tasks": external("rand", 4, 0.1)}}
    sets = [[c["predictions"] for c in column] for column in zip(*report["matrix"])]
    by_set = body(names(4), [{**t, "predictions": s} for t, s in zip(external("rand", 4, 0.1), sets)])
    for doc, options in ((by_branch, {"reuse": False}), (by_set, {"reuse": False}), (by_name, {"reuse": False, "threads": 1})):
        assert report_of(client, doc, options=options)[0]["sha256"] == report["sha256"]
    assert report_of(client, by_name, options={"seed": 5})[0]["sha256"] != report["sha256"]
    again = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert again["result"]["reproduced"] is True, again["result"]
    assert client.job(client.submit(by_name))["result"]["reused_from"], "made before"
    recipe = client.wait(client.submit(job["resolved"]))
    assert recipe["result"]["reproduced"] is True, recipe["result"]


def test_the_line_is_no_comparison(client, line, random_line):
    """A report about a line stands in no edge of the lineage, and in the list under its own method."""
    report, _ = report_of(client, body(names(4)[:2], external("rand", 2)))
    graph = client.ok("/v1/models/ct/m/lineage?rev=v4")
    assert all(e["report"] is None for e in graph["edges"])
    assert "compatibility" not in client.version("ct/m@v2") or client.version("ct/m@v2")["compatibility"] == []
    listed = client.all("/v1/reports?method=continual")
    assert report["id"] in [r["id"] for r in listed] and all(r["method"] == "continual" for r in listed)
    assert (report["old"], report["new"]) == (line[0], line[1]) and report["new_version"]["number"] == 2
    for rows in ("slices", "samples"):
        assert client.all(f"/v1/reports/{report['id']}/{rows}") == []


def test_refusals(client, line):
    bad = body(["ct/m@v1", 7], [{"name": "x", "random": 2, "predictions": ["prd_1"]}, {"nam": "y"}, "z"], gate="default",
               publish={"move": [{"ref": "prod", "when": "always"}]})
    doc = client.post("/v1/jobs", bad).json()
    assert [e["pointer"] for e in doc["errors"]] == [
        "#/inputs/versions/1", "#/inputs/tasks", "#/inputs/tasks/0/random", "#/inputs/tasks/0/predictions",
        "#/inputs/tasks/0/predictions/0", "#/inputs/tasks/1/nam", "#/inputs/tasks/1/name", "#/gate", "#/publish/move"], doc["errors"]
    for inputs in ({"tasks": ["a"]}, {"versions": ["ct/m@v1"], "model": "ct/m", "tasks": ["a"]}):
        doc = client.post("/v1/jobs", {"type": "evaluate", "method": "continual", "inputs": inputs}).json()
        assert [e["pointer"] for e in doc["errors"]] == ["#/inputs"], doc
    problem(client.post("/v1/jobs", body(names(1), external("nowhere", 1))), 409, "predictions-missing")
    short = {"type": "evaluate", "method": "continual", "inputs": {"model": "ct/m", "tasks": external("long", 9)}}
    assert "4 versions and there are 9 tasks" in client.post("/v1/jobs", short).json()["errors"][0]["detail"]
    # not the same samples: refused at once; not the same labels: the worker finds it
    upload(client, rows_of(first(20, 0.5)), "ct/m@v1", "other-1")
    upload(client, rows_of(first(21, 0.5)), "ct/m@v2", "other-1")
    doc = problem(client.post("/v1/jobs", body(names(2), external("other", 2))), 409, "dataset-mismatch")
    assert doc["errors"][0]["pointer"] == "#/inputs/tasks/0" and "20 lines" in doc["errors"][0]["detail"]
    upload(client, [{**r, "y": 0} if i == 3 else r for i, r in enumerate(rows_of(first(20, 0.5)))], "ct/m@v2", "other-1")
    error = client.fails(body(names(2), external("other", 2)))
    assert error["code"] == "dataset-mismatch" and "s00003" in json.dumps(error), error
    mine = upload(client, rows_of(first(20, 0.5)), "ct/m@v1", "other-2")["id"]
    doc = client.post("/v1/jobs", body(names(2), [{"external": "other-2", "predictions": [None, mine]}, "t"])).json()
    assert doc["errors"][0]["pointer"] == "#/inputs/tasks/0/predictions/1" and "ct/m@v2" in doc["errors"][0]["detail"]


def test_pages_and_the_client(client, line):
    put_matrix(client, "page", [[0.9, None], [0.6, 0.8]])
    out = amend(client, "compat", "continual", "ct/m@v1", "ct/m@v2", "--task", "external:page-1", "--task", "external:page-2=0.1", "--bootstrap", "200")
    assert "90.00 %   -" in out and "60.00 %   80.00 %" in out and "-30.00 points" in out, out
    report = json.loads(amend(client, "compat", "continual", "ct/m@v1", "ct/m@v2", "--task", "external:page-1", "--task",
                              "external:page-2=0.1", "--bootstrap", "200", "-o", "json"))
    text = client.get("/v1/reports/" + report["id"], headers={"Accept": "text/markdown"}).text
    assert "not measured" in text and "90.00 %" in text and "backward transfer (BWT)" in text and "-30.00 points" in text
    page = client.get("/v1/reports/" + report["id"], headers={"Accept": "text/html"}).text
    assert "not measured" in page and "What each update broke" in page
    assert amend(client, "compat", "report", report["id"]).count("80.00 %") >= 1
    assert report["id"] in amend(client, "compat", "list", "--method", "continual")
    amend(client, "compat", "continual", "ct/m", expect=2)


def test_shared_spans_are_no_growth(client, roots, line):
    """An edit that keeps most tensors adds only the bytes that no span of the version before covers."""
    rng = np.random.default_rng(4)
    client.register(ref.write(roots / "grown", {k: ref.tensor("F32", rng.normal(size=4096)) for k in "abcdefgh"}), "ct/grow")
    client.run(sparsify("ct/grow@v1", "ct/grow", {"sparsity": 0.5, "include": ["c"]}))
    spans = []
    for i in (1, 2):
        for path in client.files(f"ct/grow@v{i}"):
            for s in client.ok(f"{client.at(f'ct/grow@v{i}')}/files/{seg(path)}?layout=true").get("layout", []):
                spans.append((i, s["blob"], s["offset"], s["length"]))
    assert len([s for s in spans if s[0] == 2]) > 3, "assembled of spans"
    covered = {b: np.zeros(1 << 20, bool) for _, b, _, _ in spans}
    for i, blob, offset, length in spans:
        if i == 1:
            covered[blob][offset : offset + length] = True
    new = sum(int((~covered[b][o : o + n]).sum()) for b, o, n in {s[1:] for s in spans if s[0] == 2})
    for i in (1, 2):
        upload(client, rows_of(first(20, 0.5)), f"ct/grow@v{i}", "grown-1")
    report, _ = report_of(client, body(["ct/grow@v1", "ct/grow@v2"], external("grown", 2)))
    first_bytes = sum(f["bytes"] for f in client.files("ct/grow@v1").values())
    assert [v["memory_bytes"] for v in report["versions"]] == [first_bytes, new] and 16384 <= new < first_bytes / 4
