"""The OpenAPI document: whole and true. What it says of answers is held by the client of every test (described.py); here
are the document itself, methods and parameters that no route takes, and bodies made from its schemas."""

import copy
import json
import re
import subprocess
import time

import jsonschema_rs
import numpy as np
import pytest
from safetensors.numpy import save_file

import harness
from harness import merge, problem, seg

VERBS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def doc(client):
    return client.ok("/v1/openapi.json")


@pytest.fixture(scope="module")
def models(client, roots):
    """o/a, o/b and o/base have one tensor of the same shape, o/wide another one."""
    for name, shape in (("a", (8, 8)), ("b", (8, 8)), ("base", (8, 8)), ("wide", (8, 16))):
        (roots / name).mkdir()
        save_file({"w": np.full(shape, len(name), np.float32)}, roots / name / "model.safetensors")
        client.register(roots / name, f"o/{name}")
    VALUES["id"] = client.submit(merge("linear", [("o/a", {"weight": 1}), ("o/b", {"weight": 1})], "o/m"))
    client.wait(VALUES["id"])
    return client


VALUES = {"ns": "o", "name": "a", "rev": "v1", "path": "model.safetensors", "slug": "conflict", "schema": "Job.json"}
VALUES |= {"type": "merge", "method": "linear"}


def url(path):
    return re.sub(r"\{(\w+)\}", lambda m: seg(VALUES.get(m[1], "none")), path)


def refs(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for v in node.values():
            yield from refs(v)
    elif isinstance(node, list):
        for v in node:
            yield from refs(v)


def test_it_is_the_one_that_the_program_prints(doc):
    printed = subprocess.run([harness.BUILD / "amendd", "--dump-openapi"], capture_output=True, check=True)
    assert json.loads(printed.stdout) == doc


def test_it_is_well_formed(doc):
    assert doc["openapi"] == "3.1.0" and doc["info"]["version"] and doc["info"]["title"] == "amend"
    for ref in set(refs(doc)):
        at = doc
        for part in ref.removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
    for name, schema in doc["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": doc["jsonSchemaDialect"], **schema}), name
    seen = set()
    for path, operations in doc["paths"].items():
        for verb, op in operations.items():
            where = f"{verb} {path}"
            assert verb in VERBS and op["operationId"] not in seen, where
            seen.add(op["operationId"])
            assert op["summary"] and op["tags"], where
            assert {p["name"] for p in op["parameters"] if p["in"] == "path"} == set(re.findall(r"\{(\w+)\}", path)), where
            for p in op["parameters"]:
                assert p["schema"] and p["description"], (where, p)
                assert p["required"] is True or p["in"] != "path", (where, p)
                if "example" in p:
                    assert jsonschema_rs.is_valid(p["schema"], p["example"]), (where, p)
            assert any(s.startswith("2") for s in op["responses"]) and "default" not in op["responses"], where
            assert {"400", "403", "421", "500"} <= set(op["responses"]), where
            if "requestBody" in op:
                assert {"413", "415", "503"} <= set(op["responses"]), where


def test_answers_are_closed(doc):
    """A member that nobody described is a fault of the service: the schemas of answers say so."""
    for name in ("Job", "Model", "Version", "Plan", "Queue", "Lineage", "Problem", "Progress", "JobResult", "JobError"):
        schema = doc["components"]["schemas"][name]
        assert schema["additionalProperties"] is False and schema["required"], name


def test_job_bodies_are_told_by_type_then_method(doc, client):
    schemas = doc["components"]["schemas"]
    jobs = schemas["JobRequest"]
    assert jobs["discriminator"]["propertyName"] == "type"
    for row in client.ok("/v1/methods")["data"]:
        of_type = schemas[jobs["discriminator"]["mapping"][row["type"]].rpartition("/")[2]]
        assert of_type["discriminator"]["propertyName"] == "method"
        body = schemas[of_type["discriminator"]["mapping"][row["name"]].rpartition("/")[2]]
        assert body["properties"]["type"]["const"] == row["type"] and row["name"] in body["properties"]["method"]["enum"]
        assert set(body["properties"]["params"]["properties"]) == {p["name"] for p in row["params"]}


def test_schemas_one_by_one(doc, models):
    names = list(doc["components"]["schemas"])
    for name in [n for n in names if "." not in n] + [n for n in names if n == "merge.ties"]:
        schema = models.ok(f"/v1/schemas/{name}.json")
        assert schema["$id"] == f"/v1/schemas/{name}.json" and "#/components" not in json.dumps(schema), name
        assert jsonschema_rs.meta.is_valid(schema), name
    job = models.ok("/v1/jobs?type=task")["data"][0]
    validator = jsonschema_rs.validator_for(models.ok("/v1/schemas/Job.json"))
    assert validator.is_valid(job)
    assert not validator.is_valid({**job, "status": "resting"}) and not validator.is_valid({**job, "more": 1})
    for bad in ("Job", "None.json", ".json"):
        problem(models.get("/v1/schemas/" + bad), 404, "not-found")


def test_an_answer_without_a_body_has_no_content(doc):
    empty = [a for item in doc["paths"].values() for op in item.values() for s, a in op["responses"].items() if s == "204"]
    assert empty and not any("content" in a for a in empty), empty


# ---- every route -----------------------------------------------------------------------------------------------------


def test_methods_that_a_path_does_not_take(doc, models):
    for path, operations in doc["paths"].items():
        allowed = {v.upper() for v in operations} | {"OPTIONS"} | ({"HEAD"} if "get" in operations else set())
        options = models.request("OPTIONS", url(path))
        assert options.status_code == 204 and not options.content, path
        assert set(options.headers["Allow"].split(", ")) == allowed, path
        for verb in VERBS:
            if verb not in operations:
                answer = models.request(verb.upper(), url(path))
                problem(answer, 405, "method-not-allowed")
                assert set(answer.headers["Allow"].split(", ")) == allowed, path
        stream = "text/event-stream" in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "get" in operations and not stream:
            got, head = models.get(url(path)), models.head(url(path))
            assert got.status_code == head.status_code, path
            assert got.headers["Content-Type"] == head.headers["Content-Type"], path


def test_query_parameters_that_a_route_does_not_take(doc, models):
    for path, operations in doc["paths"].items():
        for verb, op in operations.items():
            if "Hub" in op["tags"][0]:
                continue  # its clients send what they like, and the Hub ignores it
            found = problem(models.request(verb.upper(), url(path) + "?no_such_word=1"), 400, "unknown-member")
            assert found["errors"][0]["pointer"] == "?no_such_word", (verb, path)


# ---- bodies made from the schemas ------------------------------------------------------------------------------------


class Maker:
    """Values that a schema allows, everything optional included."""

    def __init__(self, doc):
        self.schemas = doc["components"]["schemas"]

    def look(self, schema):
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def value(self, schema):
        schema = self.look(schema)
        if "const" in schema or "enum" in schema or schema.get("default") is not None:
            return schema.get("const", schema.get("default", schema.get("enum", [None])[0]))
        if "oneOf" in schema:
            return self.value(schema["oneOf"][-1])
        kind = schema.get("type", "string")
        kind = kind[0] if isinstance(kind, list) else kind
        if kind == "object":
            return {k: self.value(v) for k, v in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.value(schema["items"]) for _ in range(max(1, schema.get("minItems", 0)))]
        if kind in ("integer", "number"):
            return schema.get("minimum", schema.get("exclusiveMinimum", 0) + (1 if kind == "integer" else 0.001))
        return "boolean" != kind and "text"

    def objects(self, schema, value, at="#"):
        """Pointers to the objects of a value whose schema takes no other members."""
        schema = self.look(schema)
        if "oneOf" in schema:
            forms = [s for s in map(self.look, schema["oneOf"]) if s.get("type") == "object"]
            keys = value.keys() if isinstance(value, dict) else set()
            schema = next((s for s in forms if keys <= s.get("properties", {}).keys()), forms[0])
        if isinstance(value, dict):
            if schema.get("additionalProperties") is False:
                yield at
            for name, entry in value.items():
                yield from self.objects(schema.get("properties", {}).get(name, {}), entry, f"{at}/{name}")
        elif isinstance(value, list):
            for i, entry in enumerate(value):
                yield from self.objects(schema["items"], entry, f"{at}/{i}")


def with_member(body, pointer):
    body = copy.deepcopy(body)
    at = body
    for part in pointer.split("/")[1:]:
        at = at[int(part) if isinstance(at, list) else part]
    at["no_such_word"] = 1
    return body


def bodies(doc):
    """(url, schema, body) of every route that takes JSON; of jobs one of every method."""
    maker = Maker(doc)
    for path, operations in doc["paths"].items():
        for verb, op in operations.items():
            content = op.get("requestBody", {}).get("content", {})
            if "application/json" not in content or path == "/v1/plans" or "Hub" in op["tags"][0]:
                continue
            schema = content["application/json"]["schema"]
            some = [schema]
            if schema["$ref"].endswith("/JobRequest"):
                some = [maker.look(m) for t in maker.look(schema)["oneOf"] for m in maker.look(t)["oneOf"]]
            for s in some:
                yield verb.upper(), url(path), s, maker.value(s)


def test_unknown_members_of_every_object(doc, models):
    """One more member in each object of each body: refused, and the pointer leads to it."""
    maker, tried = Maker(doc), 0
    for verb, path, schema, body in bodies(doc):
        for pointer in maker.objects(schema, body):
            answer = models.request(verb, path, json=with_member(body, pointer), headers={"If-Match": "*"})
            assert 400 <= answer.status_code < 500, (path, pointer, answer.text)
            found = [e for e in answer.json()["errors"] if e["pointer"] == f"{pointer}/no_such_word"]
            assert found and found[0]["code"] == "unknown-member", (path, pointer, answer.text)
            tried += 1
    assert tried > 80


def test_seven_faults_at_once(models, daemon):
    """Each of another kind, told in one answer from headers alone, whichever input is the one that cannot be found."""

    def state():
        rows = [models.all("/v1/jobs"), models.all("/v1/jobs?type=task"), models.all("/v1/models")]
        return json.dumps(rows), sorted(p for p in daemon.data.rglob("*") if "amendd.db" not in p.name)

    before = state()
    for lost in range(3):
        names = ["o/a@v1", "o/wide@v1"]
        names.insert(lost, "o/b@v99")
        inputs = [{"version": v, "params": {"weight": 1.0}} for v in names]
        inputs[lost]["params"]["density"] = 2.0
        body = {
            "type": "merge",
            "method": "ties",
            "unknwon": 1,
            "inputs": {"models": inputs},
            "params": {"lambda": 1e9},
            "publish": {"model": "o/out", "brnch": "x"},
        }
        shape = f"#/inputs/models/{max(i for i in range(3) if i != lost)}/version"
        expected = {
            ("#/unknwon", "unknown-member"),
            (f"#/inputs/models/{lost}/params/density", "invalid-params"),
            ("#/params/lambda", "invalid-params"),
            (f"#/inputs/models/{lost}/version", "revision-not-found"),
            (shape, "shape-mismatch"),
            ("#/inputs/base", "missing-input"),
            ("#/publish/brnch", "unknown-member"),
        }
        began = time.monotonic()
        answer = models.post("/v1/jobs", body)
        took = time.monotonic() - began
        found = answer.json()["errors"]
        assert answer.status_code == 422 and len(found) == 7, answer.text
        assert {(e["pointer"], e["code"]) for e in found} == expected
        assert took < 0.1 or harness.SANITIZED, f"{took:.3f} s"
        plan = models.post("/v1/plans", body).json()
        assert plan["ok"] is False and plan["refusals"] == found
    assert state() == before


def test_faults_of_the_target_hide_each_other_no_more(models):
    """A member that is not known says nothing of the others."""
    models.wait(models.submit(harness.merge("linear", [("o/a", {"weight": 1.0})], "o/target")))
    body = harness.merge("linear", [("o/a", {"weight": 1.0})], "o/target")
    body["publish"] |= {"if_head": "0" * 40, "brnch": "x"}
    found = {(e["pointer"], e["code"]) for e in models.post("/v1/jobs", body).json()["errors"]}
    assert found == {("#/publish/brnch", "unknown-member"), ("#/publish/if_head", "precondition-failed")}
