"""The read side of the Hugging Face Hub's protocol as hub.md writes it down, by plain requests. The clients themselves
are in test_hub_clients.py."""

import json
import re
import subprocess

import pytest

import hub_feed
from harness import BUILD, amend, seg
from hub_feed import etag, folder_oid, git_sha1, is_lfs, oid, pointer, sha256


@pytest.fixture(scope="module")
def feed(daemon, roots):
    return hub_feed.Feed(daemon, roots)


@pytest.fixture(scope="module")
def client(feed, daemon):
    """After the feed, which starts the daemon again."""
    return daemon.client


class Get:
    """get(path): the answer, after a check of what hub.md promises of every one."""

    def __init__(self, client):
        self.client = client

    def __call__(self, path, status=200, code=None, method="GET", **kw):
        answer = self.client.request(method, path, allow_redirects=False, **kw)
        h = answer.headers
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:500]}"
        assert "Content-Encoding" not in h and not any(name.lower().startswith("x-xet") for name in h), h
        assert not h.get("ETag", "").startswith("W/")
        assert h.get("X-Error-Code") == code, f"{path}: {h.get('X-Error-Code')}"
        if status >= 400 and method == "GET":
            assert answer.json()["error"] and h["X-Error-Message"].isascii()
        if "/resolve/" in path and status in (200, 206):
            assert re.fullmatch(r'"[0-9a-f]{40,64}"', h["ETag"]) and re.fullmatch("[0-9a-f]{40}", h["X-Repo-Commit"])
            assert h["Content-Length"].isdigit() and h["Accept-Ranges"] == "bytes" and "Link" not in h
        return answer


@pytest.fixture
def get(feed, daemon):
    return Get(daemon.client)


def revisions(feed):
    c = feed.commit
    return {
        c[1]: 1, "v1": 1, "prod": 1, "refs/aliases/prod": 1, c[1][:10]: 1,
        "main": 2, "refs/heads/main": 2, "release": 2, "refs/tags/release": 2, "v2": 2, c[2]: 2,
        "cand/1": "cand", "refs/heads/cand/1": "cand",
    }  # fmt: skip


# ---- resolve ---------------------------------------------------------------------------------------


def test_resolve_of_every_kind_of_revision(feed, get):
    for rev, which in revisions(feed).items():
        for path, data in feed.shown(which).items():
            url = f"/demo/net/resolve/{seg(rev)}/" + "/".join(seg(p) for p in path.split("/"))
            head = get(url, method="HEAD").headers
            assert head["X-Repo-Commit"] == feed.commit[which], rev
            assert head["ETag"] == f'"{etag(path, data)}"' and head["Content-Length"] == str(len(data)), path
            fixed = rev == feed.commit[which]
            assert head["Cache-Control"] == ("public, max-age=31536000, immutable" if fixed else "no-cache")
        assert get(url).content == data


def test_resolve_is_the_content_route(feed, get):
    rev = feed.commit[1]
    for path in feed.shown(1):
        for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=2-"}, {"Range": "bytes=99999-"}, {"If-None-Match": "*"}):
            ours = get.client.get(f"/v1/models/demo/net/versions/{rev}/files/{seg(path)}/content", headers=headers)
            hubs = get.client.get(f"/demo/net/resolve/{rev}/{seg(path)}", headers=headers)
            assert ours.status_code == hubs.status_code
            assert not ours.ok or ours.content == hubs.content
            for name in ("ETag", "Content-Range", "Content-Type", "Cache-Control", "X-Repo-Commit", "Accept-Ranges"):
                assert ours.headers.get(name) == hubs.headers.get(name), (path, headers, name)


def test_the_first_byte_as_the_rust_client_asks(feed, get):
    data = feed.files[2]["model.safetensors"]
    answer = get("/demo/net/resolve/main/model.safetensors", 206, headers={"Range": "bytes=0-0"})
    assert answer.headers["Content-Range"] == f"bytes 0-0/{len(data)}" and answer.content == data[:1]
    assert answer.headers["X-Repo-Commit"] == feed.commit[2] and answer.headers["ETag"] == f'"{sha256(data)}"'
    beyond = get("/demo/net/resolve/main/model.safetensors", 416, headers={"Range": f"bytes={len(data)}-"})
    assert beyond.headers["Content-Range"] == f"bytes */{len(data)}"


def test_raw(feed, get):
    weights = feed.files[2]["model.safetensors"]
    assert get("/demo/net/raw/main/README.md").content == b"# two\n"
    assert get("/demo/net/raw/main/model.safetensors").content == pointer(weights)
    get("/demo/net/raw/main/none", 404, "EntryNotFound")
    get("/demo/net/raw/main/" + hub_feed.HIDDEN, 404, "EntryNotFound")


def test_private_models_are_not_for_shared_caches(feed, get):
    commit = get("/demo/private/resolve/main/config.json").headers["X-Repo-Commit"]
    fixed = get(f"/demo/private/resolve/{commit}/config.json")
    assert fixed.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert get("/api/models/demo/private").json()["private"] is True


# ---- errors ------------------------------------------------------------------------------------------


def test_error_classes(feed, get):
    commit = feed.commit[2]
    for path, code in (
        ("/demo/none/resolve/main/config.json", "RepoNotFound"),
        ("/gpt2/resolve/main/config.json", "RepoNotFound"),
        ("/gpt2/raw/main/config.json", "RepoNotFound"),
        ("/demo/net/resolve/none/config.json", "RevisionNotFound"),
        ("/demo/net/resolve/main/none.json", "EntryNotFound"),
        ("/demo/net/resolve/main/sub", "EntryNotFound"),
        ("/demo/net/resolve/main/" + hub_feed.HIDDEN, "EntryNotFound"),
        ("/datasets/demo/net/resolve/main/config.json", "RepoNotFound"),
        ("/spaces/demo/net/resolve/main/app.py", "RepoNotFound"),
        ("/datasets/squad/resolve/main/config.json", "RepoNotFound"),
        ("/api/models/demo/none", "RepoNotFound"),
        ("/api/models/gpt2", "RepoNotFound"),
        ("/api/models/gpt2/revision/main", "RepoNotFound"),
        ("/api/models/gpt2/tree/main", "RepoNotFound"),
        ("/api/models/gpt2/refs", "RepoNotFound"),
        ("/api/models/demo/none/refs", "RepoNotFound"),
        ("/api/models/demo/none/tree/main", "RepoNotFound"),
        ("/api/models/demo/none/commits/main", "RepoNotFound"),
        ("/api/models/demo/none/auth-check", "RepoNotFound"),
        ("/api/models/demo/none/discussions", "RepoNotFound"),
        ("/api/datasets/demo/net", "RepoNotFound"),
        ("/api/datasets/demo/net/tree/main", "RepoNotFound"),
        ("/api/spaces/demo/net", "RepoNotFound"),
        ("/api/models/demo/net/revision/none", "RevisionNotFound"),
        ("/api/models/demo/net/tree/none", "RevisionNotFound"),
        ("/api/models/demo/net/commits/none", "RevisionNotFound"),
        ("/api/models/demo/net/tree/main/additional_chat_templates", "EntryNotFound"),
        ("/api/models/demo/net/tree/main/amend", "EntryNotFound"),
    ):
        for method in ("GET", "HEAD"):
            answer = get(path, 404, code, method)
            assert (answer.headers.get("X-Repo-Commit") == commit) == (code == "EntryNotFound"), path
    get("/api/datasets/demo/net/paths-info/main", 404, "RepoNotFound", "POST", data={"paths": "a"})


def test_what_is_not_offered_says_what_to_do(feed, get):
    for path, words in (
        ("/api/models/demo/net/xet-read-token/main", "HF_HUB_DISABLE_XET=1"),
        ("/api/models/demo/net/xet-write-token/main", "HF_HUB_DISABLE_XET=1"),
        ("/api/agent-harnesses", "not offered"),
        ("/demo/net.git/info/refs?service=git-upload-pack", "git is not offered"),
        ("/demo/net/info/refs", "git is not offered"),
        ("/api/models/demo/net/discussions", "not offered"),
    ):
        assert words in get(path, 404).json()["error"], path


def test_query_parameters(feed, get):
    """Clients add parameters all the time: unknown ones are ignored here, and refused under /v1."""
    for path in ("/api/models", "/api/models/demo/net", "/api/models/demo/net/tree/main", "/api/models/demo/net/refs",
                 "/demo/net/resolve/main/config.json", "/api/whoami-v2"):  # fmt: skip
        get(path + "?securityStatus=true&nonsense=1")
    get("/v1/models?nonsense=1", 400)
    get("/api/models?limit=x", 400)
    get("/api/models?cursor=x", 400)


def test_switched_off(launch):
    daemon = launch("--hub.enabled=false")
    for path in ("/api/models", "/a/b/resolve/main/x", "/api/datasets/a/b"):
        answer = daemon.client.get(path)
        assert answer.status_code == 404 and "X-Error-Code" not in answer.headers
    assert daemon.client.get("/v1/models").status_code == 200


# ---- the model object ----------------------------------------------------------------------------------


def siblings(files, blobs):
    found = []
    for path, data in sorted(files.items(), key=lambda f: f[0].encode()):
        entry = {"rfilename": path}
        if blobs:
            entry |= {"size": len(data), "blobId": oid(path, data)}
            if is_lfs(path, data):
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": len(pointer(data))}
        found.append(entry)
    return found


def test_model_info(feed, get, client):
    files = feed.shown(2)
    doc = get("/api/models/demo/net").json()
    assert (doc["id"], doc["modelId"], doc["author"], doc["sha"]) == ("demo/net", "demo/net", "demo", feed.commit[2])
    assert (doc["private"], doc["gated"], doc["disabled"], doc["downloads"], doc["likes"]) == (False, False, False, 0, 0)
    assert doc["siblings"] == siblings(files, False)
    assert doc["usedStorage"] == sum(len(d) for d in files.values())
    assert doc["config"] == {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    assert doc["safetensors"] == {"parameters": {"F32": 64 * 64 + 64}, "total": 64 * 64 + 64}
    assert doc["pipeline_tag"] == "text-generation" and doc["library_name"] == "transformers"
    assert "safetensors" in doc["tags"] and "cardData" not in doc and "baseModels" not in doc
    assert "xet" not in str(doc).lower()
    assert doc["lastModified"] == client.version("demo/net@v2")["created_at"]
    assert doc["createdAt"] == client.ok("/v1/models/demo/net")["created_at"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", doc["createdAt"])
    for truth in ("true", "True", "1"):
        assert get(f"/api/models/demo/net?blobs={truth}").json()["siblings"] == siblings(files, True)
    assert get("/api/models/demo/net?blobs=False").json()["siblings"] == siblings(files, False)
    for rev, which in revisions(feed).items():
        assert get(f"/api/models/demo/net/revision/{seg(rev)}").json()["sha"] == feed.commit[which]
    empty = get("/api/models/demo/empty").json()
    assert empty["siblings"] == [] and "safetensors" not in empty and empty["tags"] == [] and len(empty["sha"]) == 40


def test_expand(feed, get):
    for query in ("expand=sha&expand=tags", "expand[]=sha&expand[]=tags", "expand%5B%5D=sha&expand=tags&expand=nonsense"):
        doc = get("/api/models/demo/net?" + query).json()
        assert set(doc) == {"_id", "id", "sha", "tags"} and doc["sha"] == feed.commit[2]
    assert get("/api/models/demo/net?expand=xetEnabled").json()["xetEnabled"] is False
    assert get("/api/models/demo/net/revision/v1?expand=siblings").json()["siblings"] == siblings(feed.shown(1), False)


def test_lineage_is_told_in_the_hubs_words(feed, get):
    doc = get("/api/models/demo/mix").json()
    assert doc["cardData"] == {"base_model": ["demo/net", "demo/other"], "base_model_relation": "merge"}
    for base in ("demo/net", "demo/other"):
        assert f"base_model:{base}" in doc["tags"] and f"base_model:merge:{base}" in doc["tags"]
        children = get(f"/api/models/{base}?expand=childrenModelCount&expand=baseModels").json()
        assert children["childrenModelCount"] == 1 and "baseModels" not in children
    bases = get("/api/models/demo/mix?expand=baseModels").json()["baseModels"]
    assert bases["relation"] == "merge" and [m["id"] for m in bases["models"]] == ["demo/net", "demo/other"]
    assert [m["id"] for m in get("/api/models?filter=base_model:demo/net").json()] == ["demo/mix"]


# ---- lists -----------------------------------------------------------------------------------------------


def pages(get, path, size=None):
    """All entries by following Link as it is; each page but the last has `size`."""
    found, counts = [], []
    while path:
        answer = get(path)
        found += answer.json()
        counts.append(len(answer.json()))
        link = answer.headers.get("Link")
        match = link and re.fullmatch(r'<(http://127\.0\.0\.1:\d+)(/[^>]+)>; rel="next"', link)
        assert match or not link, link
        path = match.group(2) if match else None
    assert size is None or counts[:-1] == [size] * (len(counts) - 1)
    return found


def test_list_models(feed, get):
    ids = [m["id"] for m in get("/api/models").json()]
    assert ids == sorted(ids) and {"demo/net", "demo/other", "demo/mix", "demo/private", "demo/empty"} <= set(ids)
    for query, want in (
        ("search=NET", ["demo/net"]), ("search=demo&search=mix", ["demo/mix"]), ("search=demo%2Fn", ["demo/net"]),
        ("author=dem", []), ("author=none", []), ("search=nothing-like-it", []),
        ("filter=transformers&filter=safetensors&search=other", ["demo/other"]), ("filter=nonsense", []),
        ("pipeline_tag=text-generation&search=net", ["demo/net"]), ("pipeline_tag=fill-mask", []),
    ):  # fmt: skip
        assert [m["id"] for m in get("/api/models?" + query).json()] == want, query
    assert [m["id"] for m in get("/api/models?author=demo").json()] == [i for i in ids if i.startswith("demo/")]
    for sort, key in (("createdAt", "createdAt"), ("created_at", "createdAt"), ("lastModified", "lastModified")):
        times = [m[key] for m in get(f"/api/models?sort={sort}&direction=-1").json()]
        assert times == sorted(times, reverse=True) and len(times) == len(ids)
    for sort in ("", "createdAt", "lastModified"):
        paged = pages(get, f"/api/models?limit=2&sort={sort}&search=e&full=True", 2)
        assert paged == get(f"/api/models?sort={sort}&search=e&full=True").json() and len(paged) > 3
    assert all("siblings" in m and "config" not in m for m in paged)
    assert "config" in get("/api/models?search=net&config=true").json()[0]
    first = get("/api/models?search=net").json()[0]
    assert {"id", "modelId", "tags", "sha", "createdAt", "lastModified", "private"} <= set(first) and "siblings" not in first
    assert set(get("/api/models?search=net&expand=sha").json()[0]) == {"_id", "id", "sha"}
    some = get("/api/models?search=net&expand=childrenModelCount&expand=siblings&expand=config").json()[0]
    assert some["childrenModelCount"] == 1 and some["siblings"] == siblings(feed.shown(2), False) and some["config"]
    filtered = get("/api/models?filter=llama&search=net").json()
    assert [m["id"] for m in filtered] == ["demo/net"] and "config" not in filtered[0]


# ---- trees -------------------------------------------------------------------------------------------------


def file_entry(files, path):
    data = files[path]
    entry = {"type": "file", "oid": oid(path, data), "size": len(data), "path": path}
    if is_lfs(path, data):
        entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": len(pointer(data))}
    return entry


def folder_entry(files, path):
    return {"type": "directory", "oid": folder_oid(files, path), "size": 0, "path": path}


def by_path(entries):
    return sorted(entries, key=lambda e: e["path"])


def test_tree(feed, get):
    files = feed.shown(2)
    folders = ["sub", "sub/deep"]
    tree = "/api/models/demo/net/tree/"
    everything = [file_entry(files, p) for p in files] + [folder_entry(files, f) for f in folders]
    for truth in ("true", "True", "1"):
        assert by_path(get(f"{tree}main?recursive={truth}&expand=false").json()) == by_path(everything)
    top = [e for e in everything if "/" not in e["path"]]
    assert by_path(get(tree + "main?recursive=False").json()) == by_path(top)
    inner = [e for e in everything if e["path"].startswith("sub/") and e["path"].count("/") == 1]
    assert by_path(get(tree + "main/sub").json()) == by_path(inner)
    deep = [file_entry(files, "sub/deep/gr\u00f6\u00dfe.txt")]
    assert get(tree + "main/sub%2Fdeep").json() == get(tree + "main/sub/deep").json() == deep
    assert get(tree + "main/" + seg("sub/a b+c%.txt")).json() == [file_entry(files, "sub/a b+c%.txt")]
    assert get("/api/models/demo/empty/tree/main?recursive=true").json() == []
    listed = get(tree + "main?recursive=true").json()
    assert get(tree + "main?recursive=true&cursor=4").json() == listed[4:] and get(tree + "main?cursor=99").json() == []
    for rev, which in revisions(feed).items():
        have = {e["path"] for e in get(f"{tree}{seg(rev)}?recursive=true").json() if e["type"] == "file"}
        assert have == set(feed.shown(which)), rev


def test_expanded_entries_name_the_commit_that_brought_them(feed, get, client):
    got = {e["path"]: e["lastCommit"] for e in get("/api/models/demo/net/tree/main?recursive=1&expand=1").json()}
    one, two = (client.version(f"demo/net@v{n}") for n in (1, 2))
    changed = {"README.md", "model.safetensors"}
    for path, commit in got.items():
        v, title = (two, "second") if path in changed else (one, "first")
        assert commit == {"id": v["commit"], "title": title, "date": v["created_at"]}, path


def test_paths_info(feed, get):
    files, url = feed.shown(2), "/api/models/demo/net/paths-info/main"
    asked = ["config.json", "none", "sub", "sub/a b+c%.txt", hub_feed.HIDDEN, "sub/deep/gr\u00f6\u00dfe.txt", ""]
    want = [file_entry(files, "config.json"), folder_entry(files, "sub"), file_entry(files, "sub/a b+c%.txt"),
            file_entry(files, "sub/deep/gr\u00f6\u00dfe.txt")]  # fmt: skip
    assert get(url, method="POST", data={"paths": asked, "expand": False}).json() == want
    assert get(url, method="POST", json={"paths": asked, "expand": False}).json() == want
    expanded = get(url, method="POST", data={"paths": ["README.md"], "expand": "True"}).json()
    assert expanded[0]["lastCommit"]["id"] == feed.commit[2]
    assert get(url, method="POST", data={"paths": "none"}).json() == []
    for kw, status in (({"json": {"paths": [1]}}, 400), ({"json": [1]}, 400), ({"data": {"paths": ["x"] * 1001}}, 413),
                       ({"data": "paths=a", "headers": {"Content-Type": "text/plain"}}, 415), ({}, 400),
                       ({"data": "paths=%zz", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 400)):  # fmt: skip
        get(url, status, method="POST", **kw)


@pytest.mark.slow  # some 10 s of registrations
def test_long_trees_come_in_pages(client, roots, get):
    files = {f"d{i % 7}/f{i:04}.txt": b"%d" % i for i in range(1200)}
    client.register(hub_feed.write(roots / "many", 1.0, files, 4) and roots / "many", "demo/many")
    found = pages(get, "/api/models/demo/many/tree/main?recursive=true&expand=false", 1000)
    paths = [e["path"] for e in found]
    assert len(paths) == len(set(paths)) and set(files) <= set(paths) and {f"d{i}" for i in range(7)} <= set(paths)
    small = pages(get, "/api/models/demo/many/tree/main/d1", 1000)
    assert len(small) == len([p for p in files if p.startswith("d1/")])


# ---- refs, commits, the rest -----------------------------------------------------------------------------------


def test_refs(feed, get):
    c = feed.commit
    want = {
        "branches": [{"name": "cand/1", "ref": "refs/heads/cand/1", "targetCommit": c["cand"]},
                     {"name": "main", "ref": "refs/heads/main", "targetCommit": c[2]}],
        "converts": [],
        "tags": [{"name": "prod", "ref": "refs/aliases/prod", "targetCommit": c[1]},
                 {"name": "release", "ref": "refs/tags/release", "targetCommit": c[2]}],
    }  # fmt: skip
    assert get("/api/models/demo/net/refs").json() == want
    assert get("/api/models/demo/net/refs?include_prs=1").json() == want | {"pullRequests": []}


def test_commits(feed, get, client):
    c = feed.commit
    got = get("/api/models/demo/net/commits/main").json()
    assert [e["id"] for e in got] == [c[2], c[1], c[0]]
    assert got[1] == {"id": c[1], "title": "first", "message": "with a body", "authors": [{"user": "local"}],
                      "date": client.version("demo/net@v1")["created_at"]}  # fmt: skip
    assert [e["id"] for e in get("/api/models/demo/net/commits/cand%2F1").json()][:2] == [c["cand"], c[2]]


@pytest.mark.slow  # some 10 s of registrations
def test_long_histories_come_in_pages(client, roots, get):
    for i in range(52):
        hub_feed.write(roots / "long", float(i), {}, 2)
        client.register(roots / "long", "demo/long", message=f"number {i}")
    titles = [e["title"] for e in pages(get, "/api/models/demo/long/commits/main", 50)]
    assert titles[:52] == [f"number {i}" for i in reversed(range(52))] and len(titles) == 53


def test_who_and_whether(feed, get):
    doc = get("/api/whoami-v2").json()
    assert doc["type"] == "user" and doc["id"] and doc["name"] and doc["fullname"]
    assert {"type": "org", "name": "demo"} in doc["orgs"] and doc["auth"]["type"] == "access_token"
    assert doc["auth"]["accessToken"]["role"] in ("read", "write") and doc["auth"]["accessToken"]["displayName"]
    assert get("/api/models/demo/net/auth-check").json() == get("/api/models/demo/net/auth-check/write").json() == {}


def test_validate_yaml(get):
    ask = lambda text, status=200: get("/api/validate-yaml", status, method="POST", json={"content": text, "repoType": "model", "x": 1}).json()
    for good in ("# no front matter", "---\nlicense: mit\ntags:\n  - a\n---\n# x", "---\r\na: b\r\n---\r\n", "", "---\n---"):
        assert ask(good) == {"errors": [], "warnings": []}, good
    for bad, word in (("---\nlicense: mit\n# x", "never closed"), ("---\na:\n\t- b\n---\n", "tab"), ("---\n", "never closed")):
        assert word in ask(bad, 400)["errors"][0]["message"], bad
    get("/api/validate-yaml", 400, method="POST", json={"repoType": "model"})


def test_the_environment_for_clients(client):
    """The shell itself reads what amend env prints."""

    def through(endpoint, *args):
        line = 'eval "$("$0" env "$@")" && printf "%s|%s" "$HF_ENDPOINT" "$HF_HUB_DISABLE_XET"'
        done = subprocess.run(["sh", "-c", line, BUILD / "amend", "--endpoint", endpoint, *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert through(client.url) == client.url + "|1"
    assert through("http://it's $HOME;`x`", "--shell", "bash") == "http://it's $HOME;`x`|1"
    assert amend("http://a'b\\c", "env", "--shell=fish") == "set -gx HF_ENDPOINT 'http://a\\'b\\\\c';\nset -gx HF_HUB_DISABLE_XET 1;\n"
    assert json.loads(amend(client, "env", "-o", "json")) == {"HF_ENDPOINT": client.url, "HF_HUB_DISABLE_XET": "1"}
    amend(client, "env", "--shell", "tcsh", expect=2)


def test_links_name_the_public_address(launch):
    """A foreign host in Link sends clients away."""
    daemon = launch("--public_url=https://models.example/")
    for name in ("a/x", "a/y"):
        daemon.client.post("/v1/models", {"id": name})
    link = daemon.client.get("/api/models?limit=1&search=a").headers["Link"]
    assert link.startswith("<https://models.example/api/models?limit=1&search=a&cursor=") and link.endswith('>; rel="next"')
