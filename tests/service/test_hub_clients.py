"""The Hub's own Python client, an old line and the newest, unchanged against the daemon: HF_ENDPOINT is all that is set.
`make hub-clients` makes the environments; each call runs in a process of its own, behind a proxy that notes requests."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

import hub_feed
import reference as ref
from cutting import Cutter
from harness import REPO, amend, sparsify
from hub_feed import is_lfs, oid, sha256

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PRELUDE = """
import json, sys, os, warnings
warnings.simplefilter("ignore")
from huggingface_hub import *
from huggingface_hub import errors, utils
api, out = HfApi(), None
"""


@pytest.fixture(scope="module")
def feed(daemon, roots):
    return hub_feed.Feed(daemon, roots)


@pytest.fixture(scope="module")
def big(feed, client, roots):
    """demo/big: v1 of 24 MB (the clients write in blocks of 10), v2 an edit of it that is stored as spans."""
    n = 3_000_000
    ref.write(roots / "big", {"w1": ref.tensor("F32", np.arange(n)), "w2": ref.tensor("F32", -np.arange(n)),
                              "small": ref.tensor("F32", np.arange(100))})  # fmt: skip
    client.register(roots / "big", "demo/big")
    client.run(sparsify("demo/big@v1", "demo/big", {"sparsity": 0.5, "include": ["small"]}))
    listed = client.ok("/v1/models/demo/big/versions/v2/files/model.safetensors?layout=true")
    assert listed["storage"] == "assembled"
    commit = client.version("demo/big@v2")["commit"]
    return {"commit": commit, "borders": [s["at"] for s in listed["layout"]][1:], "bytes": client.download("demo/big@v2", "model.safetensors")}


class Hub:
    def __init__(self, line, url, home):
        self.bin = REPO / f"build/venv-hub-{line}/bin"
        if not (self.bin / "python").exists():
            pytest.skip(f"{self.bin} is not there: make hub-clients")
        self.line, self.home, self.url = line, home, url
        self.proxy = Cutter(url)

    def run(self, args, **env):
        base = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        base |= {"HF_ENDPOINT": self.proxy.url, "HF_HOME": str(self.home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1",
                 "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
        return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=150, env=base | env)

    def __call__(self, code, *args, **env):
        """`code` sets `out`; args are in sys.argv[1:]."""
        done = self.run([self.bin / "python", "-c", PRELUDE + code + "\nprint(json.dumps(out, default=str))", *args], **env)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        assert not re.search(r"(?i)xet|warn", done.stderr), done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(params=["old", "new"])
def hub(request, feed, daemon, tmp_path):
    h = Hub(request.param, daemon.url, tmp_path / "home")
    yield h
    asked = [path for _, path, _ in h.proxy.clear()]
    assert not [path for path in asked if "xet" in path], asked
    h.proxy.close()


# ---- metadata ----------------------------------------------------------------------------------------


def test_lists(hub, feed):
    got = hub("""
out = {"all": [m.id for m in list_models()], "search": [m.id for m in list_models(search="net")],
       "author": [m.id for m in list_models(author="demo", limit=3)], "limit": [m.id for m in list_models(limit=2)],
       "full": [[m.id, m.sha, len(m.siblings)] for m in list_models(search="net", full=True)],
       "sorted": [m.id for m in list_models(sort="last_modified")],
       "filter": [m.id for m in list_models(filter="base_model:demo/net")]}
""")
    assert got["all"] == sorted(got["all"]) and len(got["all"]) >= 5
    assert got["search"] == ["demo/net"] and got["author"] == [i for i in got["all"] if i.startswith("demo/")][:3]
    assert got["limit"] == got["all"][:2] and sorted(got["sorted"]) == got["all"]
    assert got["full"] == [["demo/net", feed.commit[2], len(feed.shown(2))]] and got["filter"] == ["demo/mix"]


def test_model_info(hub, feed):
    got = hub("""
i = model_info("demo/net"); b = model_info("demo/net", revision="cand/1", files_metadata=True); x = api.model_info("demo/mix", expand=["sha", "tags", "baseModels"])
out = [i.id, i.sha, i.author, i.private, i.pipeline_tag, i.library_name, i.safetensors.total, sorted(s.rfilename for s in i.siblings),
       b.sha, {s.rfilename: [s.size, s.blob_id, s.lfs and [s.lfs["sha256"], s.lfs["size"], s.lfs["pointer_size"]]] for s in b.siblings},
       str(i.created_at), x.tags]
""")
    assert got[:7] == ["demo/net", feed.commit[2], "demo", False, "text-generation", "transformers", 64 * 64 + 64]
    assert got[7] == sorted(feed.shown(2)) and got[8] == feed.commit["cand"]
    assert got[9] == {
        p: [len(d), oid(p, d), [sha256(d), len(d), len(hub_feed.pointer(d))] if is_lfs(p, d) else None]
        for p, d in feed.shown("cand").items()
    }
    assert got[10].startswith("20") and "base_model:merge:demo/net" in got[11]


def test_files_refs_commits(hub, feed):
    got = hub("""
refs = list_repo_refs("demo/net", include_pull_requests=True)
out = {"files": sorted(list_repo_files("demo/net")), "prod": sorted(list_repo_files("demo/net", revision="prod")),
       "branches": {b.name: [b.ref, b.target_commit] for b in refs.branches}, "tags": {t.name: [t.ref, t.target_commit] for t in refs.tags},
       "converts": refs.converts, "prs": refs.pull_requests,
       "commits": [[c.commit_id, c.title, c.message, c.authors] for c in list_repo_commits("demo/net", revision="v2")],
       "tree": {e.path: getattr(e, "blob_id", None) or "folder" for e in list_repo_tree("demo/net", recursive=True)},
       "inner": sorted(e.path for e in list_repo_tree("demo/net", "sub")),
       "expanded": {e.path: e.last_commit.title for e in list_repo_tree("demo/net", expand=True)},
       "paths": [[e.path, e.size, e.lfs and e.lfs["sha256"]] for e in get_paths_info("demo/net", ["model.safetensors", "none", "config.json"])]}
""")
    c, files = feed.commit, feed.shown(2)
    assert got["files"] == sorted(files) and got["prod"] == sorted(feed.shown(1))
    assert got["branches"] == {"main": ["refs/heads/main", c[2]], "cand/1": ["refs/heads/cand/1", c["cand"]]}
    assert got["tags"] == {"release": ["refs/tags/release", c[2]], "prod": ["refs/aliases/prod", c[1]]}
    assert got["converts"] == [] and got["prs"] == []
    assert [e[0] for e in got["commits"]] == [c[2], c[1], c[0]] and got["commits"][1][1:] == ["first", "with a body", ["local"]]
    assert got["tree"] == {p: oid(p, d) for p, d in files.items()} | {"sub": "folder", "sub/deep": "folder"}
    assert got["inner"] == ["sub/a b+c%.txt", "sub/deep"]
    assert got["expanded"]["README.md"] == "second" and got["expanded"]["config.json"] == got["expanded"]["sub"] == "first"
    weights = files["model.safetensors"]
    assert sorted(got["paths"]) == sorted([["model.safetensors", len(weights), sha256(weights)],
                                           ["config.json", len(hub_feed.CONFIG), None]])  # fmt: skip


def test_existence(hub):
    got = hub("""
out = [repo_exists("demo/net"), repo_exists("demo/none"), repo_exists("demo/net", repo_type="dataset"),
       revision_exists("demo/net", "cand/1"), revision_exists("demo/net", "prod"), revision_exists("demo/net", "none"),
       revision_exists("demo/none", "main"),
       file_exists("demo/net", "config.json"), file_exists("demo/net", "none"), file_exists("demo/net", "config.json", revision="none"),
       file_exists("demo/none", "config.json"), api.auth_check("demo/net")]
""")
    assert got == [True, False, False, True, True, False, False, True, False, False, False, None]


def test_who(hub):
    """The client asks for a token before it asks the service; any will do while there are none."""
    got = hub("w = whoami()\nout = [w['type'], w['name'], [o['name'] for o in w['orgs']]]", HF_TOKEN="amd_any")
    assert got[:2] == ["user", "local"] and "demo" in got[2]
    said = hub.run([hub.bin / "hf", "auth", "whoami"], HF_TOKEN="amd_any")
    assert said.returncode == 0 and "local" in said.stdout


def test_safetensors_metadata(hub, feed):
    got = hub("""
m = get_safetensors_metadata("demo/net", revision="v1"); f = parse_safetensors_file_metadata("demo/net", "model.safetensors")
out = [m.sharded, m.parameter_count, sorted(f.tensors), f.tensors["w"].shape, f.tensors["w"].dtype]
""")
    assert got == [False, {"F32": 64 * 64 + 64}, ["b", "w"], [64, 64], "F32"]
    assert any(span and span.startswith("bytes=0-") for _, path, span in hub.proxy.requests if "safetensors" in path)


# ---- downloads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("xet", ["0", "1"])
def test_hf_hub_download(hub, feed, xet):
    """Of every kind of revision; the second time nothing is downloaded, and by commit nothing even asked."""
    code = """
out = [open(hf_hub_download("demo/net", path, revision=rev), "rb").read().hex() for path, rev in json.loads(sys.argv[1])]
"""
    c, odd = feed.commit, ("sub/a b+c%.txt", "sub/deep/gr\u00f6\u00dfe.txt", "empty.txt")
    wanted = [("model.safetensors", "main", 2), ("model.safetensors", "cand/1", "cand"), ("model.safetensors", "release", 2),
              ("model.safetensors", "prod", 1), ("model.safetensors", "v1", 1), ("model.safetensors", c[1], 1),
              ("model.safetensors", "refs/heads/cand/1", "cand"), *[(path, "main", 2) for path in odd]]  # fmt: skip
    asked = json.dumps([w[:2] for w in wanted])
    for again in (False, True):
        hub.proxy.clear()
        for (path, rev, which), got in zip(wanted, hub(code, asked, HF_HUB_DISABLE_XET=xet), strict=True):
            assert bytes.fromhex(got) == feed.shown(which)[path], (path, rev)
        methods = [m for m, path, _ in hub.proxy.clear() if "/resolve/" in path]
        assert ("GET" in methods) != again
        assert not again or methods == ["HEAD"] * (len(wanted) - 1), "all but the one by commit"


def read(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts}


def test_snapshot_download(hub, feed, tmp_path):
    code = """
out = [snapshot_download("demo/net", revision=rev) for rev in ("main", "cand/1", "prod", sys.argv[1])]
out.append(snapshot_download("demo/net", revision="release", local_dir=sys.argv[2]))
out.append(snapshot_download("demo/other", allow_patterns=["*.json"]))
"""
    got = [tmp_path / folder for folder in hub(code, feed.commit[1], tmp_path / "plain")]
    for folder, which in zip(got, (2, "cand", 1, 1)):
        assert folder.name == feed.commit[which] and read(folder) == feed.shown(which), which
    assert read(got[4]) == feed.shown(2) and set(read(got[5])) == {"config.json"}
    hub.proxy.clear()
    hub('out = snapshot_download("demo/net")')
    assert not [r for r in hub.proxy.clear() if r[0] == "GET" and "/resolve/" in r[1]], "the second time from the cache"


def test_resume_after_a_cut(hub, big, tmp_path):
    """A cut inside the header, at every border between stored pieces and before the last byte; the client goes on where it
    was. Prefixes of one commit tell the downloads apart."""
    code = """
out = []
for rev in sys.argv[2:]:
    for call in range(3):
        try:
            out.append(hf_hub_download("demo/big", "model.safetensors", revision=rev, local_dir=sys.argv[1] + "/" + rev))
            break
        except Exception as e:
            print(call, repr(e))
"""
    data = big["bytes"]
    cuts = [0, 1, 100, *big["borders"], 15_000_000, len(data) - 1]
    revs = [big["commit"][: 12 + i] for i in range(len(cuts))]
    hub.proxy.cuts.update({f"/resolve/{rev}/": k for rev, k in zip(revs, cuts)})
    hub(code, tmp_path / "cut", *revs)
    requests, resumed = hub.proxy.clear(), 0
    for rev, k in zip(revs, cuts):
        target = tmp_path / "cut" / rev / "model.safetensors"
        assert target.exists() and sha256(target.read_bytes()) == sha256(data), f"cut at {k}"
        gets = [span for method, path, span in requests if method == "GET" and f"/resolve/{rev}/" in path]
        assert len(gets) >= 2, f"cut at {k}: {gets}"
        resumed += any(span and not span.startswith("bytes=0-") for span in gets[1:])
    assert not hub.proxy.cuts and resumed >= 2, "the last cuts lie behind a block that the client had written"


RAISES = """
out = []
for call in json.loads(sys.argv[1]):
    try:
        eval(call)
        out.append([["nothing"], ""])
    except Exception as e:
        out.append([[c.__name__ for c in type(e).__mro__], str(e)])
"""


def test_errors(hub):
    expected = {
        'hf_hub_download("demo/none", "config.json")': "RepositoryNotFoundError",
        'hf_hub_download("gpt2", "config.json")': "RepositoryNotFoundError",
        'hf_hub_download("demo/net", "config.json", revision="none")': "RevisionNotFoundError",
        'hf_hub_download("demo/net", "none.json")': "EntryNotFoundError",
        f'hf_hub_download("demo/net", "{hub_feed.HIDDEN}")': "EntryNotFoundError",
        'snapshot_download("demo/none")': "RepositoryNotFoundError",
        'snapshot_download("demo/net", repo_type="dataset")': "RepositoryNotFoundError",
        'list(list_repo_tree("demo/net", "additional_chat_templates"))': "EntryNotFoundError",
        'model_info("demo/net", revision="relase")': "RevisionNotFoundError",
    }
    for (call, want), (classes, text) in zip(expected.items(), hub(RAISES, json.dumps(list(expected))), strict=True):
        assert want in classes and "LocalEntryNotFoundError" not in classes, (call, classes, text)
    assert text.count("did you mean release?") == 1, text


def test_offline(hub):
    """What was fetched is there without the service; what was not is a LocalEntryNotFoundError."""
    code = 'out = hf_hub_download("demo/net", "config.json")'
    first = hub(code)
    assert hub(code, HF_ENDPOINT="http://127.0.0.1:9") == first
    asked = ['hf_hub_download("demo/net", "README.md")', 'snapshot_download("demo/other")']
    *missing, again = hub(RAISES + code.replace("out =", "out +=[") + "]", json.dumps(asked), HF_HUB_OFFLINE="1")
    assert again == first and all("LocalEntryNotFoundError" in classes for classes, _ in missing), missing


def test_commands(hub, feed, tmp_path, daemon):
    """The environment comes from `amend env`, as a person would set it."""
    shell = amend(daemon.url, "env")
    assert f"export HF_ENDPOINT={daemon.url}" in shell
    commands = [["hf", "download"]] + ([["huggingface-cli", "download"]] if hub.line == "old" else [])
    for i, words in enumerate(commands):
        for rev, which in (("prod", 1), ("cand/1", "cand")):
            target = tmp_path / f"{i}-{which}"
            line = f'eval "{shell}" && "{hub.bin}/{words[0]}" {words[1]} demo/net --revision {rev} --local-dir "{target}"'
            done = hub.run(["sh", "-c", line])
            assert done.returncode == 0, done.stderr
            assert read(target) == feed.shown(which)
    done = hub.run([hub.bin / "hf", "download", "demo/net", "none.txt"])
    assert done.returncode != 0 and re.search("(?i)entry not found|not found", done.stdout + done.stderr)


@pytest.mark.parametrize("hub", ["new"], indirect=True)  # the old line has no such command
def test_cache_verify(hub, big, feed):
    """Newer clients compare what they have with the hashes of the tree: also of a file that is stored as spans."""
    hub('out = [snapshot_download("demo/big", revision="v2"), snapshot_download("demo/net", revision="prod")]')
    for model, rev in (("demo/big", "v2"), ("demo/net", "prod")):
        done = hub.run([hub.bin / "hf", "cache", "verify", model, "--revision", rev])
        assert done.returncode == 0, done.stdout + done.stderr
