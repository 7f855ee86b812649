"""Feeds for merge methods that nobody here knows: from GET /v1/methods to jobs that the method must accept.

A method that cannot be fed is a failure of its tests: teach this file what its parameter wants.
"""

import zlib

from harness import merge

COMMON = ("nonfinite", "overflow", "missing", "extra", "vocab", "shape", "unrelated", "compat", "compat_dtype")
# What a required parameter of that name gets; per-input ones take their turn.
REQUIRED = {"weight": (0.7, 0.45, 0.9, 0.3, 0.55, 0.8, 0.65), "t": 0.3, "f": 1}
# What an optional parameter of that name gets in the variant "probe", so that its code is reached.
PROBE = {"density": 0.5, "gamma": 0.02, "lambda": 0.7, "alpha": 0.7, "scale": 0.7, "iterations": 4, "select_topk": 0.4, "nuslerp_flatten": False}


# Switches that refuse some of the shapes here by definition: {(method, parameter): reason}.
NOT_FED = {
    ("model_stock", "clamp"): "unclamped ratios are infinite for tensors of one element where as many go up as down",
}


class Feed:
    """One way to run one method."""

    def __init__(self, method, label, params, per_input, count):
        self.method, self.label, self.params, self.per_input, self.count = method, label, params, per_input, count
        self.name = method["name"]

    def __repr__(self):
        return f"{self.name}, {self.label}"

    @property
    def takes_base(self):
        return self.method["needs"]["base"] in ("required", "optional")

    @property
    def with_old_bases(self):
        return self.method["needs"]["task"] == "required"

    def weights(self):
        return [p.get("weight", 1) for p in self.per_input]

    def job(self, models, into, base, old, order=None, params=None, **options):
        """models: names; order: in which order they (with their parameters) are given."""
        order = list(order or range(self.count))
        given = [(models[i], self.per_input[i]) for i in order]
        body = merge(
            self.name, given, into, base if self.takes_base else None, {**self.params, **(params or {})}, **options
        )
        if self.with_old_bases:
            for entry, i in enumerate(order):
                m = {"version": models[i], "base": old}
                body["inputs"]["models"][entry] = {**m, "params": self.per_input[i]} if self.per_input[i] else m
        return body


def required_value(method, param, i):
    known = REQUIRED.get(param["name"])
    if known is not None:
        return known[i % len(known)] if isinstance(known, tuple) else known
    if param["kind"] == "bool":
        return True
    if param["kind"] == "choice":
        return param["choices"][0]
    if param["kind"] in ("real", "int") and "min" in param and "max" in param:
        low, high = param["min"], param["max"]
        value = low + (high - low) * (0.5 if high - low <= 1 else 0.1)
        return value if param["kind"] == "real" else max(int(low), min(int(high), 1))
    raise AssertionError(
        f"merge/{method['name']}: the tests do not know what to give for its required parameter {param['name']!r} "
        f"({param['kind']}); add it to REQUIRED in tests/service/merge_feed.py"
    )


def count_of(method):
    """How many models it gets: enough for one faulty contributor under every known rule, else four."""
    needs = method["needs"]
    want = 7 if any(p["name"] == "f" for p in method["params"]) else 4
    return min(max(want, needs["min_inputs"]), needs["max_inputs"] or want)


def feed(method, label, chosen):
    """chosen: values of optional parameters."""
    count = count_of(method)
    params, per_input = dict(chosen), [{} for _ in range(count)]
    for p in method["params"]:
        if not p["required"] or p["name"] in COMMON:
            continue
        if p["per_input"]:
            for i in range(count):
                per_input[i][p["name"]] = required_value(method, p, i)
        else:
            params[p["name"]] = required_value(method, p, 0)
    return Feed(method, label, params, per_input, count)


def feeds(method):
    """As it is; with the optional numbers set; and from there each choice and switch in turn."""
    own = [p for p in method["params"] if p["name"] not in COMMON]
    probe = {p["name"]: PROBE[p["name"]] for p in own if not p["required"] and p["name"] in PROBE}
    found = [feed(method, "defaults", {})]
    if probe:
        found.append(feed(method, "probe", probe))
    for p in own:
        if p["required"] or (method["name"], p["name"]) in NOT_FED:
            continue
        others = []
        if p["kind"] == "choice":
            others = [c for c in p["choices"] if c != p["default"]]
        elif p["kind"] == "bool":
            others = [not p["default"]]
        for value in others:
            found.append(feed(method, f"{p['name']} {value}", {**probe, p["name"]: value}))
    return found


def methods(client):
    """The merge methods that there are, with their parameters."""
    listed = client.all("/v1/methods?type=merge")
    found = [m if "params" in m and "needs" in m else client.ok(f"/v1/methods/merge/{m['name']}") for m in listed]
    found = [m for m in found if not m["needs"]["adapter"]]  # their result is no model
    assert len(found) >= 2, found
    return {m["name"]: m for m in found}


def number(text):
    """The same small number for the same text in every process."""
    return zlib.crc32(text.encode()) % 1000
