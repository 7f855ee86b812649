"""Models, versions, revisions and files: what is registered is what is served, under ids and hashes that the test
computes itself."""

import hashlib
import json
import os

import numpy as np
import pytest

import reference as ref
from harness import merge, problem, seg


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def commit_id(version, files):
    """hub.md 2.2, from what the API says of a version and its files."""
    lines = ["am-commit/1", "model " + version["model"]]
    if version["parent"]:
        lines.append("parent " + version["parent"])
    lines += [
        "time " + version["created_at"],
        "author " + (version["created_by"] or "-"),
        "job " + (version["job"] or "-"),
        "message " + sha256(version["message"].encode()),
    ]
    lines += [f"file {f['etag']} {f['bytes']} {f['path']}" for f in sorted(files, key=lambda f: f["path"].encode())]
    return sha256(("\n".join(lines) + "\n").encode())[:40]


def test_the_rule_of_commit_ids_itself():
    """The published value; guards this file's own arithmetic."""
    version = {
        "model": "demo/mnist-mlp",
        "parent": "1" * 40,
        "created_at": "2026-11-23T01:48:10.123Z",
        "created_by": "ci",
        "job": "job_01a20616d80b7f0a9b1c2d3e4f506172",
        "message": "edit the head",
    }
    files = [
        {
            "etag": "31a12d3d5afd883b97ccf24e5cf2de6066a8fb58a6b543863cec7420217bc6ac",
            "bytes": 941152,
            "path": "model.safetensors",
        },
        {"etag": git_sha1(b'{"model_type":"llama"}'), "bytes": 22, "path": "config.json"},
    ]
    assert commit_id(version, files) == "ce339494f092b0e0cb7394b7007fdbeaefb6471b"


def simple(roots, name, value=1.0, files=None):
    return ref.write(roots / name, {"w": ref.tensor("F32", np.full((4, 3), value))}, files=files)


@pytest.fixture(scope="module")
def model(client, roots):
    """A model with two versions on main and files of every kind."""
    files = {
        "README.md": b"# one\n",
        "sub/a b.txt": "größe\n".encode(),
        "vocab.model": b"not really",
        "empty.txt": b"",
        "binary.dat": b"ab\0cd",
        "late.dat": b"x" * 600 + b"\0",
        "large.txt": b"y" * 5_000_001,
    }
    client.register(simple(roots, "files", 1.0, files), "m/files", message="first")
    client.register(simple(roots, "files2", 2.0, {"README.md": b"# two\n"}), "m/files", message="second")
    return files


# ---- models --------------------------------------------------------------------------------------


def test_create(client):
    answer = client.post("/v1/models", {"id": "m/created", "description": "größe", "labels": {"team": "vision"}})
    assert answer.status_code == 201
    doc = answer.json()
    assert doc == client.ok("/v1/models/m/created")
    assert (doc["object"], doc["id"], doc["description"], doc["labels"]) == (
        "model",
        "m/created",
        "größe",
        {"team": "vision"},
    )
    assert doc["private"] is False and doc["refs"]["branches"] == 1
    assert doc["head"]["number"] == 0 and len(doc["head"]["commit"]) == 40
    v0 = client.version("m/created@v0")
    assert v0["commit"] == doc["head"]["commit"] and v0["parent"] is None and v0["files"] == 0
    assert v0["manifest_sha256"] == sha256(b"") and commit_id(v0, []) == v0["commit"]
    assert client.get("/v1/models/m/created").headers["ETag"]


def test_names_that_exist(client):
    assert client.post("/v1/models", {"id": "m/Taken"}).status_code == 201
    problem(client.post("/v1/models", {"id": "m/Taken"}), 409, "conflict")
    doc = problem(client.post("/v1/models", {"id": "M/taken"}), 409, "name-taken")
    assert "m/Taken" in doc["detail"], "the name in the way is told"
    assert client.get("/v1/models/M/taken").status_code == 404
    # a namespace that only differs in case, with another name, is no clash
    assert client.post("/v1/models", {"id": "m/taken2"}).status_code == 201


@pytest.mark.parametrize(
    "name",
    [
        "one",
        "a/b/c",
        "",
        "/b",
        "a/",
        "-a/b",
        "a/b-",
        ".a/b",
        "a/b.",
        "a/b--c",
        "a/b..c",
        "a/b.git",
        "a b/c",
        "a/ü",
        "a/" + "n" * 97,
        "n" * 97 + "/a",
        "a/b\n",
        "a\\b/c",
    ],
)
def test_names_that_are_none(client, name):
    answer = client.post("/v1/models", {"id": name})
    assert answer.status_code in (400, 422), f"{answer.status_code} {answer.text}"
    assert [e["pointer"] for e in answer.json()["errors"]] == ["#/id"]


@pytest.mark.parametrize("name", ["a/" + "n" * 96, "n" * 96 + "/a", "A_b.c-1/x", "0/0"])
def test_names_at_the_edge(client, name):
    assert client.post("/v1/models", {"id": name}).status_code == 201
    assert client.ok("/v1/models/" + name)["id"] == name


@pytest.mark.parametrize(
    "space", "api v1 ui lfs assets datasets spaces kernels models buckets docs healthz readyz livez metrics".split()
)
def test_reserved_namespaces(client, space):
    answer = client.post("/v1/models", {"id": space + "/x"})
    assert answer.status_code in (400, 409, 422), answer.text
    assert "reserved" in answer.json()["errors"][0]["detail"]


def test_create_refuses_what_it_does_not_know(client):
    doc = problem(
        client.post("/v1/models", {"id": "m/typo", "descripton": "x", "labels": {"a": 1}}), 400, "unknown-member"
    )
    pointers = {e["pointer"]: e for e in doc["errors"]}
    assert "description" in pointers["#/descripton"]["detail"]
    assert any(p.startswith("#/labels") for p in pointers), "all faults at once"
    assert client.get("/v1/models/m/typo").status_code == 404


def test_list_of_models_page_by_page(client):
    for i in range(5):
        client.post("/v1/models", {"id": f"page/m{i}"})
    ids = [m["id"] for m in client.all("/v1/models?limit=2")]
    assert len(ids) == len(set(ids)) and {f"page/m{i}" for i in range(5)} <= set(ids)
    assert {m["id"] for m in client.all("/v1/models?search=page/m")} == {f"page/m{i}" for i in range(5)}
    for bad in ("limit=0", "limit=101", "limit=x", "limit="):
        assert client.get("/v1/models?" + bad).status_code in (400, 422), bad
    doc = problem(client.get("/v1/models?limti=2"), 400, "unknown-member")
    assert "limit" in doc["detail"] or "limit" in json.dumps(doc["errors"])


# ---- versions ------------------------------------------------------------------------------------


def test_register(client, roots):
    version = client.register(simple(roots, "register"), "m/register", message="vendor release 3")
    assert (version["model"], version["number"], version["message"]) == ("m/register", 1, "vendor release 3")
    assert version["state"] == "complete" and version["refs"] == ["main"]
    assert version["parent"] == client.version("m/register@v0")["commit"]
    assert version["tensors"]["count"] == 1 and version["tensors"]["parameters"] == {"F32": 12}
    assert version == client.version("m/register@main") == client.version("m/register@" + version["commit"])
    second = client.register(simple(roots, "register2", 2.0), "m/register")
    assert (second["number"], second["parent"]) == (2, version["commit"])
    listed = client.all("/v1/models/m/register/versions?limit=1")
    assert [v["number"] for v in listed] == [2, 1, 0], "newest first"
    head = client.ok("/v1/models/m/register")["head"]
    assert head == {"commit": second["commit"], "number": 2}


def test_new_bytes_counts_only_what_was_not_there(client, roots):
    first = client.register(simple(roots, "twice", 77.0), "m/twice-a")
    again = client.register(roots / "twice", "m/twice-b")
    assert first["new_bytes"] > 0 and again["new_bytes"] == 0
    assert first["manifest_sha256"] == again["manifest_sha256"] and first["commit"] != again["commit"]


def test_commit_and_manifest_are_what_the_rules_say(client, roots, model):
    versions = [client.version(v) for v in ("m/files@v0", "m/files@v1", "m/files@v2")]
    job = client.run(merge("linear", [("m/files", {"weight": 1.0})], "m/files-merged"))
    versions.append(client.version(job))
    for version in versions:
        files = list(client.files(f"{version['model']}@{version['commit']}").values())
        assert commit_id(version, files) == version["commit"]
        lines = sorted((f["path"].encode(), f"{f['sha256']} {f['bytes']} {f['path']}\n") for f in files)
        assert sha256("".join(line for _, line in lines).encode()) == version["manifest_sha256"]
        assert version["bytes"] == sum(f["bytes"] for f in files) and version["files"] == len(files)
    assert versions[-1]["job"] and (versions[-1]["type"], versions[-1]["method"]) == ("merge", "linear")
    assert [v["parent"] for v in versions[:3]] == [None, versions[0]["commit"], versions[1]["commit"]]


def test_revisions(client, model):
    v1, v2 = client.version("m/files@v1")["commit"], client.version("m/files@v2")["commit"]
    for rev, want in (
        ("main", v2),
        ("refs/heads/main", v2),
        ("v1", v1),
        ("v2", v2),
        (v1, v1),
        (v1[:8], v1),
        (v2[:12], v2),
    ):
        assert client.version("m/files@" + rev)["commit"] == want, rev
    for rev in ("v3", "v01", "v-1", "v", v1[:7], v1.upper(), "f" * 40, "nope", "refs/tags/main", "HEAD"):
        problem(client.get("/v1/models/m/files/versions/" + seg(rev)), 404, "revision-not-found")
    problem(client.get("/v1/models/m/none/versions/main"), 404, "not-found")
    assert "v2" in json.dumps(client.get("/v1/models/m/files/versions/v22").json()), "names a revision that exists"


def test_refs(client, model):
    (main,) = client.all("/v1/models/m/files/refs")
    version = client.version("m/files@main")
    assert (main["object"], main["name"], main["kind"], main["number"]) == ("ref", "main", "branch", 2)
    assert main["commit"] == version["commit"] and main["moved_at"] == version["created_at"]


def test_branches_and_tags_of_jobs(client, roots):
    client.register(simple(roots, "tagged"), "m/tagged")
    body = merge("linear", [("m/tagged", {"weight": 1.0})], "m/tagged-out")
    body["publish"].update(tags=["cand/17", "good"], message="with tags")
    version = client.version(client.run(body))
    assert sorted(version["refs"]) == ["cand/17", "good", "main"] and version["message"] == "with tags"
    for rev in ("cand/17", "refs/tags/good"):
        assert client.version("m/tagged-out@" + rev)["commit"] == version["commit"]
    answer = client.get("/m/tagged-out/resolve/cand%2F17/config.json")
    assert answer.status_code == 200 and answer.headers["X-Repo-Commit"] == version["commit"]


# ---- files ---------------------------------------------------------------------------------------

LFS = {"model.safetensors", "vocab.model", "binary.dat", "large.txt"}


def test_files(client, roots, model):
    on_disk = {str(p.relative_to(roots / "files")): p.read_bytes() for p in (roots / "files").rglob("*") if p.is_file()}
    listed = client.files("m/files@v1")
    assert sorted(listed) == sorted(on_disk)
    for path, data in on_disk.items():
        f = listed[path]
        assert f == client.ok(f"/v1/models/m/files/versions/v1/files/{seg(path)}")
        assert f["class"] == ("lfs" if path in LFS else "regular"), path
        assert (f["bytes"], f["sha256"]) == (len(data), sha256(data)), path
        assert f["git_sha1"] == (None if path in LFS else git_sha1(data)), path
        assert f["etag"] == (sha256(data) if path in LFS else git_sha1(data)), path
        answer = client.get(f["content_url"])
        assert answer.content == data and answer.headers["ETag"] == f'"{f["etag"]}"'
    assert listed["empty.txt"]["etag"] == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    problem(client.get("/v1/models/m/files/versions/v1/files/none.txt"), 404, "not-found")
    problem(client.get("/v1/models/m/files/versions/v1/files/none.txt/content"), 404, "not-found")


def test_equal_bytes_are_one_blob(client, daemon, roots):
    data = os.urandom(1000)
    client.register(simple(roots, "dedupe", files={"a.bin": data, "b.bin": data}), "m/dedupe")
    assert daemon.blobs().count(sha256(data)) == 1
    assert (daemon.data / "blobs" / sha256(data)[:2] / sha256(data)).read_bytes() == data


# ---- the Hub's resolve route ---------------------------------------------------------------------


def test_resolve_headers(client, model):
    v1, v2 = client.version("m/files@v1")["commit"], client.version("m/files@v2")["commit"]
    for rev, commit in ((v1, v1), ("v1", v1), ("main", v2), ("refs/heads/main", v2)):
        for path in ("model.safetensors", "config.json"):
            url = f"/m/files/resolve/{seg(rev)}/{path}"
            head, got = client.head(url), client.get(url)
            want = client.files("m/files@" + rev)[path]
            for answer in (head, got):
                assert answer.status_code == 200
                h = answer.headers
                assert h["ETag"] == f'"{want["etag"]}"' and h["X-Repo-Commit"] == commit
                assert h["Content-Length"] == str(want["bytes"]) and h["Accept-Ranges"] == "bytes"
                assert h["Content-Disposition"] == f'inline; filename="{path}"'
                assert "Content-Encoding" not in h
                assert h["Cache-Control"] == ("public, max-age=31536000, immutable" if rev == v1 else "no-cache"), rev
                for never in ("X-Linked-Etag", "X-Linked-Size", "X-Xet-Hash", "Link", "Location"):
                    assert never not in h
            assert sha256(got.content) == want["sha256"]


def test_resolve_paths(client, model):
    assert client.get("/m/files/resolve/v1/sub/a%20b.txt").content == model["sub/a b.txt"]
    assert client.get("/m/files/resolve/v1/empty.txt").content == b""
    assert client.get("/m/files/resolve/v1/large.txt").content == model["large.txt"]
    assert (
        client.get("/m/files/resolve/v1/config.json?download=true").status_code == 200
    ), "unknown parameters are ignored here"


def test_resolve_not_modified(client, model):
    url = "/m/files/resolve/main/model.safetensors"
    etag = client.head(url).headers["ETag"]
    for value in (etag, f'"abc", {etag}', "W/" + etag, "*"):
        answer = client.get(url, headers={"If-None-Match": value})
        assert (answer.status_code, answer.content) == (304, b""), value
        assert answer.headers["ETag"] == etag
    assert client.get(url, headers={"If-None-Match": '"0000"'}).status_code == 200
    assert client.head(url, headers={"If-None-Match": etag}).status_code == 304


def test_resolve_ranges(client, model):
    url = "/m/files/resolve/v1/model.safetensors"
    whole = client.get(url)
    n, etag = len(whole.content), whole.headers["ETag"]
    for spec, first, last in (
        (f"bytes=0-{n - 1}", 0, n - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("bytes=7-", 7, n - 1),
        ("bytes=-6", n - 6, n - 1),
        (f"bytes=3-{n + 100}", 3, n - 1),
        (f"bytes=-{n + 5}", 0, n - 1),
        (f"bytes={n - 1}-", n - 1, n - 1),
    ):
        answer = client.get(url, headers={"Range": spec})
        assert answer.status_code == 206, spec
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{n}", spec
        assert answer.content == whole.content[first : last + 1], spec
        assert answer.headers["ETag"] == etag and answer.headers["Content-Length"] == str(last - first + 1)
    for spec in (f"bytes={n}-", f"bytes={n + 5}-{n + 9}", "bytes=-0"):
        answer = client.get(url, headers={"Range": spec})
        assert answer.status_code == 416 and answer.headers["Content-Range"] == f"bytes */{n}", spec
    for spec in ("bytes=0-1,4-5", "bytes=9-5", "lines=0-3", "bytes=a-b", "bytes="):
        answer = client.get(url, headers={"Range": spec})
        assert answer.status_code == 200 and answer.content == whole.content, spec
    assert client.get(url, headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
    assert client.get(url, headers={"Range": "bytes=0-3", "If-Range": '"other"'}).status_code == 200
    head = client.head(url, headers={"Range": "bytes=0-3"})
    assert head.status_code in (200, 206)


def test_resolve_not_found(client, model):
    commit = client.version("m/files@v1")["commit"]
    for url, code in (
        ("/m/files/resolve/v1/none.txt", "EntryNotFound"),
        ("/m/files/resolve/nope/config.json", "RevisionNotFound"),
        ("/m/none/resolve/main/config.json", "RepoNotFound"),
        ("/m/files/resolve/v1/sub", "EntryNotFound"),
    ):
        for method in ("GET", "HEAD"):
            answer = client.request(method, url)
            assert answer.status_code == 404 and answer.headers["X-Error-Code"] == code, url
            assert answer.headers["X-Error-Message"].isprintable()
            assert (answer.headers.get("X-Repo-Commit") == commit) == (code == "EntryNotFound"), url
            if method == "GET":
                assert answer.json()["error"]


# ---- registering: shards, links, what is left out ------------------------------------------------


def sharded(roots, name, change):
    place = ref.write(roots / name, {f"t{i}": ref.tensor("F32", [float(i)] * 4) for i in range(4)}, shards=2)
    index = place / "model.safetensors.index.json"
    doc = json.loads(index.read_text())
    text = change(doc, place)
    index.write_text(text if isinstance(text, str) else json.dumps(doc))
    return place


def moved(doc, place):
    doc["weight_map"]["t0"] = "model-00002-of-00002.safetensors"


def unlisted(doc, place):
    del doc["weight_map"]["t1"]


def missing_tensor(doc, place):
    doc["weight_map"]["t9"] = "model-00001-of-00002.safetensors"


def missing_file(doc, place):
    (place / "model-00002-of-00002.safetensors").unlink()


def outside(doc, place):
    doc["weight_map"]["t0"] = "../model-00001-of-00002.safetensors"


def absolute(doc, place):
    doc["weight_map"]["t0"] = "/etc/passwd"


def twice(doc, place):
    (place / "model-00002-of-00002.safetensors").write_bytes(
        ref.pack({f"t{i}": ref.tensor("F32", [float(i)] * 4) for i in (0, 1, 3)})
    )


@pytest.mark.parametrize(
    "change,reasons",
    [
        (moved, {"index-wrong-file"}),
        (unlisted, {"index-unlisted-tensor"}),
        (missing_tensor, {"index-wrong-file", "index-missing-tensor"}),
        (missing_file, {"index-missing-file"}),
        (outside, {"index-file-name"}),
        (absolute, {"index-file-name"}),
        (twice, {"index-duplicate", "duplicate"}),
        (lambda d, p: "{", {"index-syntax"}),
        (lambda d, p: "[]", {"index-syntax"}),
        (lambda d, p: '{"weight_map":{"a":1}}', {"index-syntax"}),
        (lambda d, p: '{"weight_map":{"t0":"x","t0":"y"}}', {"index-syntax"}),
    ],
    ids=[
        "moved",
        "unlisted",
        "missing-tensor",
        "missing-file",
        "outside",
        "absolute",
        "twice",
        "syntax",
        "array",
        "number",
        "duplicate-key",
    ],
)
def test_index_faults(client, daemon, roots, request, change, reasons):
    name = "index-" + request.node.callspec.id
    before = daemon.blobs()
    doc = client.refused(sharded(roots, name, change), "m/" + name)
    assert doc["code"] == "malformed-safetensors", doc
    assert {e.get("reason") for e in doc["errors"]} & reasons, doc
    assert client.get("/v1/models/m/" + name).status_code == 404 and daemon.blobs() == before


def warnings_of(version):
    return json.dumps(version["warnings"], ensure_ascii=False)


def test_wrong_total_size_is_only_a_warning(client, roots):
    def change(doc, place):
        doc["metadata"]["total_size"] = 5

    version = client.register(sharded(roots, "total", change), "m/total")
    assert version["tensors"]["count"] == 4 and "total_size" in warnings_of(version)


def test_index_and_single_file_is_ambiguous(client, roots):
    place = sharded(roots, "both", lambda d, p: None)
    (place / "model.safetensors").write_bytes(ref.pack({"w": ref.tensor("F32", [1.0])}))
    version = client.register(place, "m/both")
    assert "ambiguous_weights" in warnings_of(version)
    out = client.weights(client.run(merge("linear", [("m/both", {"weight": 1.0})], "m/both-out")))
    assert list(out) == ["w"], "jobs use model.safetensors"


def test_a_folder_without_weights(client, roots):
    place = roots / "text"
    place.mkdir()
    (place / "README.md").write_text("nothing else\n")
    version = client.register(place, "m/text")
    assert version["tensors"]["count"] == 0 and version["warnings"]
    answer = client.post("/v1/jobs", merge("linear", [("m/text", {"weight": 1.0})], "m/text-out"))
    assert answer.status_code in (409, 422) and answer.json()["errors"][0]["pointer"].startswith("#/inputs/models/0")


def test_links_and_hidden_files(client, roots, tmp_path):
    """Links that stay inside are followed; links that lead out, hidden files and .git are left out and told."""
    secret = tmp_path / "secret.txt"
    secret.write_text("do not read me")
    place = simple(roots, "links", files={"real.txt": b"real", ".hidden": b"h", ".git/config": b"g"})
    (place / "inside.txt").symlink_to("real.txt")
    (place / "outside.txt").symlink_to(secret)
    (place / "folder").symlink_to(tmp_path)
    (place / "dangling.txt").symlink_to("nowhere")
    (place / "sub").mkdir()
    (place / "sub" / "up.txt").symlink_to("../../../../../../../../etc/passwd")
    os.mkfifo(place / "pipe")
    version = client.register(place, "m/links")
    paths = set(client.files("m/links@v1"))
    assert (
        {"real.txt", "model.safetensors", "config.json"}
        <= paths
        <= {"real.txt", "inside.txt", "model.safetensors", "config.json"}
    )
    for name in ("outside.txt", "folder", ".hidden", "dangling.txt", "sub/up.txt"):
        assert name in warnings_of(version), f"{name} is left out silently"
    if "inside.txt" in paths:
        assert client.download("m/links@v1", "inside.txt") == b"real"


def test_paths_that_may_not_be_registered(client, roots, tmp_path):
    outside = simple(tmp_path, "model")
    (roots / "door").symlink_to(tmp_path)
    for path in (
        outside,
        roots / "door" / "model",
        f"{roots}/../{roots.name}-other",
        "/",
        "/etc",
        f"{roots}/links/../../..",
    ):
        doc = client.refused(path, "m/not-allowed")
        assert doc["code"] == "path-not-allowed", (path, doc)
        assert str(roots) in doc["detail"], "the roots are named"
    for path in ("relative/path", "", "./x"):
        doc = client.refused(path, "m/not-allowed")
        assert doc["code"] in ("path-not-allowed", "invalid-request"), doc
    doc = client.refused(roots / "does-not-exist", "m/not-allowed")
    assert doc["errors"][0]["pointer"] == "#/from/path", doc
    assert client.get("/v1/models/m/not-allowed").status_code == 404
    # a root reached by a roundabout spelling is fine
    assert client.register(f"{simple(roots, 'round')}/../round/./", "m/round")["number"] == 1


def test_register_body_is_checked(client, roots):
    place = str(simple(roots, "body"))
    for body, code, pointer in (
        ({}, "invalid-request", "#/from"),
        ({"from": {}}, "invalid-request", "#/from/path"),
        ({"from": {"path": 5}}, "invalid-request", "#/from/path"),
        ({"from": {"path": place}, "mesage": "x"}, "unknown-member", "#/mesage"),
        ({"from": {"path": place, "x": 1}}, "unknown-member", "#/from/x"),
        ({"from": {"path": place}, "mode": "steal"}, None, "#/mode"),
    ):
        answer = client.post("/v1/models/m/body/versions", body)
        assert answer.status_code in (400, 422), body
        doc = answer.json()
        assert pointer in [e["pointer"] for e in doc["errors"]], (body, doc)
        assert code is None or doc["code"] == code, doc
    assert client.get("/v1/models/m/body").status_code == 404
