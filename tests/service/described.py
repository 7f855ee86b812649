"""Holds every answer to the OpenAPI document of the program that gave it.

described.check(build, method, url path, answer) fails when a status, a content type, a member or a value is not in the
document. It is read once a process and program (`amendd --dump-openapi`, which tests/service/test_openapi.py holds to
what the service serves); validators are compiled when first needed. It costs some 100 microseconds a request,
a twentieth of what the client itself costs.
"""

import functools
import json
import re
import subprocess
import urllib.parse

import jsonschema_rs

PROBLEM = "application/problem+json"


class Document:
    def __init__(self, doc):
        self.doc = doc
        self.registry = jsonschema_rs.Registry([("urn:amend", doc)])
        self.validators = {}
        # in the order of the route table, as the service looks for them
        self.routes = [(self._pattern(p), p, operations) for p, operations in doc["paths"].items()]

    @staticmethod
    def _pattern(path):
        """A segment each; the last {path} of the Hub's routes takes slashes."""
        text = re.sub(r"\\\{\w+\\\}", "[^/]*", re.escape(path))
        return re.compile(text[: -len("[^/]*")] + ".+" if re.search(r"/(resolve|raw|tree)/\{rev\}/\{path\}$", path) else text)

    def resolve(self, node):
        """A node, or what its $ref names, with the pointer to it."""
        pointer, node = node
        while "$ref" in node:
            pointer = node["$ref"][1:]
            node = self.at(pointer)
        return pointer, node

    def at(self, pointer):
        node = self.doc
        for part in pointer.split("/")[1:]:
            node = node[part.replace("~1", "/").replace("~0", "~")]
        return node

    def validator(self, pointer):
        if pointer not in self.validators:
            self.validators[pointer] = jsonschema_rs.validator_for(
                {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "urn:amend#" + urllib.parse.quote(pointer, safe="/~")},
                registry=self.registry,
            )
        return self.validators[pointer]

    @functools.cache
    def route(self, path):
        return next(((p, ops) for pattern, p, ops in self.routes if pattern.fullmatch(path)), (None, {}))

    @functools.cache
    def answer(self, path, method, status):
        """The response object of an operation with its pointer; None: not described."""
        responses = self.doc["paths"][path][method]["responses"]
        if str(status) not in responses:
            return None
        where = f"/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}/responses/{status}"
        return self.resolve((where, responses[str(status)]))


@functools.cache
def document(build):
    text = subprocess.run([str(build / "amendd"), "--dump-openapi"], check=True, capture_output=True).stdout
    return Document(json.loads(text))


def fail(method, url, answer, why):
    raise AssertionError(f"{method} {url}: {answer.status_code}: {why}\n{answer.text[:3000]}")


def check(build, method, url, answer):
    d = document(build)
    path, operations = d.route(urllib.parse.urlsplit(url).path)
    verb = "get" if method == "HEAD" else method.lower()
    kind = answer.headers.get("Content-Type", "").split(";")[0]
    if verb not in operations:
        # no such route, no such method, or refused before the route was looked for
        if method == "OPTIONS" and answer.status_code == 204:
            return
        if answer.status_code not in (400, 403, 404, 405, 413, 421) or (path and answer.status_code == 404):
            fail(method, url, answer, "an answer to what is not described")
        if method != "HEAD":
            validate(d, "/components/schemas/Problem", method, url, answer)
        return
    found = d.answer(path, verb, answer.status_code)
    if found is None:
        fail(method, url, answer, f"this status of {path} is not described")
    pointer, described = found
    content = described.get("content")
    if not content:
        if answer.headers.get("Content-Length", "0") != "0":
            fail(method, url, answer, "a body where none is described")
        return
    media = kind if kind in content else "*/*"
    if media not in content:
        fail(method, url, answer, f"the content type {kind!r} is not described")
    if method != "HEAD" and "schema" in content[media] and kind.endswith("json"):
        validate(d, f"{pointer}/content/{media.replace('/', '~1')}/schema", method, url, answer)


def validate(d, pointer, method, url, answer):
    try:
        body = json.loads(answer.content)
    except ValueError as e:
        fail(method, url, answer, f"the body is not JSON: {e}")
    validator = d.validator(pointer)
    if not validator.is_valid(body):
        faults = [f"{'/'.join(map(str, e.instance_path))}: {e.message[:300]}" for e in validator.iter_errors(body)]
        fail(method, url, answer, f"not as described by {pointer}: " + "; ".join(faults[:5]))
