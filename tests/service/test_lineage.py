"""Where versions came from and what came of them, as the API tells it, against what the test itself submitted."""

import random
import re

import numpy as np
import pytest

import reference as ref
from harness import merge, negation, problem, sparsify


def lineage(client, version, **query):
    model, _, rev = version.partition("@")
    text = "&".join(f"{k}={v}" for k, v in {"rev": rev or "main", **query}.items())
    doc = client.ok(f"/v1/models/{model}/lineage?{text}")
    assert doc["object"] == "lineage"
    return doc


def names(client, doc):
    """{node id: "model vN"}"""
    return {n["id"]: f"{n['model']} v{n['number']}" for n in doc["nodes"]}


def edges(client, doc):
    """{(parent, child, role, weight)} with readable ends; no edge points outside the nodes."""
    known = names(client, doc)
    return {(known[e["from"]], known[e["to"]], e["role"], e["weight"]) for e in doc["edges"]}


@pytest.fixture(scope="module")
def models(client, roots):
    for i, name in enumerate(("base", "one", "two")):
        client.register(ref.write(roots / name, {"w": ref.tensor("F32", np.arange(20) + i)}), "l/" + name)
    client.run(
        merge("task_arithmetic", [("l/one", {"weight": 0.3}), ("l/two", {"weight": -0.5})], "l/merged", base="l/base")
    )
    client.run(negation("l/merged@v1", "l/one", "l/base", 0.5, "l/merged"))
    client.run(sparsify("l/merged@v2", "l/sparse", {"sparsity": 0.5}))
    client.run(merge("linear", [("l/one", {"weight": 1.0}), ("l/sparse", {"weight": 3.0})], "l/mean"))
    return client


ALL = {
    ("l/base v1", "l/merged v1", "base", None),
    ("l/one v1", "l/merged v1", "model", 0.3),
    ("l/two v1", "l/merged v1", "model", -0.5),
    ("l/merged v1", "l/merged v2", "input", None),
    ("l/merged v1", "l/merged v2", "commit", None),
    ("l/one v1", "l/merged v2", "patch", None),
    ("l/base v1", "l/merged v2", "old_base", None),
    ("l/merged v2", "l/sparse v1", "input", None),
    ("l/one v1", "l/mean v1", "model", 1.0),
    ("l/sparse v1", "l/mean v1", "model", 3.0),
}


def plain(found):
    """Weights of roles that have none may be told for a negation (its -lambda): left out of the comparison."""
    return {(a, b, r, w if r == "model" else None) for a, b, r, w in found}


def test_parents_of_every_method(models):
    doc = lineage(models, "l/mean@main", direction="up", depth="all")
    assert plain(edges(models, doc)) == ALL and doc["truncated"] is False
    assert doc["root"] == models.version("l/mean")["commit"]
    assert {n["kind"] for n in doc["nodes"]} == {"version"}
    merged = next(n for n in doc["nodes"] if (n["model"], n["number"]) == ("l/merged", 1))
    version = models.version("l/merged@v1")
    assert merged["job"] == version["job"] and merged["created_at"] == version["created_at"]
    by_job = {(e["type"], e["method"]) for e in doc["edges"] if e["to"] == version["commit"]}
    assert by_job == {("merge", "task_arithmetic")}


def test_inputs_of_the_version_object(models):
    version = models.version("l/merged@v1")
    assert [(i["role"], i["model"], i.get("weight")) for i in version["inputs"]] == [
        ("base", "l/base", None),
        ("model", "l/one", 0.3),
        ("model", "l/two", -0.5),
    ]
    assert [i["commit"] for i in version["inputs"]] == [
        models.version(f"l/{n}@v1")["commit"] for n in ("base", "one", "two")
    ]
    roles = {i["role"]: i["model"] for i in models.version("l/merged@v2")["inputs"]}
    assert roles == {"input": "l/merged", "patch": "l/one", "old_base": "l/base"}


def test_directions(models):
    down = edges(models, lineage(models, "l/base@v1", direction="down", depth="all"))
    assert plain(down) >= {e for e in ALL if e[0] == "l/base v1"}
    assert {b for _, b, _, _ in down} == {"l/merged v1", "l/merged v2", "l/sparse v1", "l/mean v1"}
    up = lineage(models, "l/base@v1", direction="up", depth="all")
    assert up["edges"] == [] and list(names(models, up).values()) == ["l/base v1"]
    both = names(models, lineage(models, "l/merged@v1", direction="both", depth="all")).values()
    assert set(both) == {"l/base v1", "l/one v1", "l/two v1", "l/merged v1", "l/merged v2", "l/sparse v1", "l/mean v1"}


def test_depth(models):
    for depth, want in (
        (0, {"l/mean v1"}),
        (1, {"l/mean v1", "l/one v1", "l/sparse v1"}),
        (2, {"l/mean v1", "l/one v1", "l/sparse v1", "l/merged v2"}),
    ):
        if depth == 0 and models.get("/v1/models/l/mean/lineage?rev=main&depth=0").status_code in (400, 422):
            continue
        assert set(names(models, lineage(models, "l/mean@main", direction="up", depth=depth)).values()) == want, depth
    for bad in ("depth=-1", "depth=101", "depth=x", "direction=sideways", "format=pdf"):
        assert models.get("/v1/models/l/mean/lineage?rev=main&" + bad).status_code in (400, 406, 422), bad
    problem(models.get("/v1/models/l/mean/lineage?rev=v9"), 404, "revision-not-found")
    problem(models.get("/v1/models/l/none/lineage"), 404, "not-found")


def test_mermaid(models):
    answer = models.get("/v1/models/l/mean/lineage?rev=main&depth=all&direction=up&format=mermaid")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/")
    text = answer.text
    assert re.match(r"(graph|flowchart) (LR|TB|TD|BT|RL)", text)
    labels = dict(re.findall(r'([\w]+)\["([^"]*)"\]', text))
    shown = {
        (labels[a], labels[b], label.split()[0])
        for a, label, b in re.findall(r'([\w]+)(?:\["[^"]*"\])? *-->\|"?([^|"]*)"?\| *([\w]+)', text)
    }

    def matches(want, got):
        return all(g == w or g.startswith(w + " ") for w, g in zip(want[:2], got[:2])) and want[2] == got[2]

    for parent, child, role, _ in ALL:
        assert any(matches((parent, child, role), s) for s in shown), f"{parent} -{role}-> {child} is not in\n{text}"
    assert len(shown) == len({e[:3] for e in ALL})


def test_dot(models):
    """The same picture for Graphviz: every node and edge of the Mermaid text, in its own words."""
    url = "/v1/models/l/mean/lineage?rev=main&depth=all&direction=up&format="
    answer, mermaid = models.get(url + "dot"), models.get(url + "mermaid").text
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/vnd.graphviz; charset=utf-8"
    lines = answer.text.splitlines()
    assert lines[:2] == ["digraph lineage {", "    rankdir=LR;"] and lines[-1] == "}" and answer.text.endswith("}\n")
    nodes = [re.fullmatch(r' {4}"([0-9a-f]{12})" \[label="([^"]*)"\];', line) for line in lines[2:-1]]
    edges = [re.fullmatch(r' {4}"([0-9a-f]{12})" -> "([0-9a-f]{12})" \[label="([^"]*)"\];', line) for line in lines[2:-1]]
    assert all(bool(n) != bool(e) for n, e in zip(nodes, edges)), answer.text
    assert [(n[1], n[2].replace("\\n", " ")) for n in nodes if n] == re.findall(r' {4}c([0-9a-f]{12})\["([^"]*)"\]\n', mermaid)
    assert [(e[1], e[3], e[2]) for e in edges if e] == re.findall(
        r" {4}c([0-9a-f]{12}) -->\|([^|]*)\| c([0-9a-f]{12})\n", mermaid
    )
    assert sum(map(bool, nodes)) + sum(map(bool, edges)) == mermaid.count("\n") - 1


def test_random_graph(client, roots, seed):
    """Forty random merges: ancestors and descendants of every version as the test computes them."""
    rng = random.Random(seed)
    client.register(ref.write(roots / "root", {"w": ref.tensor("F32", [1.0, 2.0])}), "g/n0")
    parents = {"g/n0 v1": set()}
    for i in range(1, 41):
        chosen = rng.sample(range(max(0, i - 8), i), k=min(i, rng.randint(1, 3)))
        client.run(merge("linear", [(f"g/n{j}", {"weight": 1.0 + j}) for j in chosen], f"g/n{i}"))
        parents[f"g/n{i} v1"] = {f"g/n{j} v1" for j in chosen}

    def closure(start, step):
        found, todo = {start}, [start]
        while todo:
            for n in step(todo.pop()) - found:
                found.add(n)
                todo.append(n)
        return found

    for name in rng.sample(sorted(parents), 12):
        version = name.replace(" ", "@")
        up = lineage(client, version, direction="up", depth="all")
        ancestors = closure(name, lambda n: parents[n])
        assert set(names(client, up).values()) == ancestors
        assert {(a, b) for a, b, _, _ in edges(client, up)} == {(p, n) for n in ancestors for p in parents[n]}
        down = lineage(client, version, direction="down", depth="all")
        assert set(names(client, down).values()) == closure(name, lambda n: {c for c, ps in parents.items() if n in ps})
