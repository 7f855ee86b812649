"""Models for the tests of the Hub's protocol, and what hub.md says of them, computed here from the bytes alone."""

import hashlib
import json
import sqlite3

import numpy as np

import reference as ref
from harness import merge

CONFIG = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}).encode()
FIRST = {
    "README.md": b"---\nlicense: mit\n---\n# one\n",
    "config.json": CONFIG,
    "empty.txt": b"",
    "sub/a b+c%.txt": b"plus and percent\n",
    "sub/deep/gr\u00f6\u00dfe.txt": "gr\u00f6\u00dfe\n".encode(),
    "sub-x.txt": b"sorts between sub and what is in it\n",
    "vocab.model": b"not really",
    "amend/state.json": b'{"rows": ["secret"]}',
}
HIDDEN = "amend/state.json"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_lfs(path, data):
    """hub.md 2.3, as far as these files go."""
    return path.endswith((".safetensors", ".model")) or len(data) > 5_000_000 or b"\0" in data[:512]


def pointer(data):
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(data)}\nsize {len(data)}\n"
    return text.encode()


def etag(path, data):
    return sha256(data) if is_lfs(path, data) else git_sha1(data)


def oid(path, data):
    return git_sha1(pointer(data)) if is_lfs(path, data) else git_sha1(data)


def folder_oid(files, folder):
    """hub.md 6.2: the first 40 hex of SHA-256 over the sorted lines "<oid> <name>"."""
    lines, prefix = set(), folder + "/"
    for path, data in files.items():
        if path.startswith(prefix):
            name, slash, _ = path[len(prefix) :].partition("/")
            lines.add(f"{folder_oid(files, prefix + name) if slash else oid(path, data)} {name}\n".encode())
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()[:40]


def write(folder, value, files, n=64):
    ref.write(folder, {"w": ref.tensor("F32", np.full((n, n), value)), "b": ref.tensor("F32", np.arange(n))}, files=files)
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return found


class Feed:
    """demo/net: v1, v2 on main, branch cand/1, tag release (of v2), alias prod (of v1); demo/other; demo/mix, merged from
    both; demo/private; demo/empty."""

    def __init__(self, daemon, roots):
        client = daemon.client
        self.files = {1: write(roots / "net1", 1.0, FIRST), 2: write(roots / "net2", 2.0, FIRST | {"README.md": b"# two\n"})}
        self.files["cand"] = write(roots / "net3", 3.0, {"only.txt": b"on the branch\n"})
        v1 = client.register(roots / "net1", "demo/net", message="first\n\nwith a body")
        v2 = client.register(roots / "net2", "demo/net", message="second")
        cand = client.register(roots / "net3", "demo/net", branch="cand/1", message="candidate")
        self.commit = {1: v1["commit"], 2: v2["commit"], "cand": cand["commit"]}
        self.commit[0] = client.version("demo/net@v0")["commit"]
        client.register(write(roots / "other", 5.0, {"config.json": CONFIG}) and roots / "other", "demo/other")
        self.mix = client.run(merge("linear", [("demo/net@v2", {"weight": 1}), ("demo/other@v1", {"weight": 1})], "demo/mix"))
        client.post("/v1/models", {"id": "demo/private", "private": True})
        client.register(roots / "other", "demo/private")
        client.post("/v1/models", {"id": "demo/empty"})
        daemon.stop()
        with sqlite3.connect(daemon.data / "amendd.db") as db:  # the daemon is down: refs as others have made them
            for name, kind, version in (("release", "tag", v2), ("prod", "alias", v1)):
                db.execute(
                    "INSERT INTO ref (model, name, kind, version, moved_at, moved_by, reason)"
                    " SELECT model, ?, ?, id, created_at, 'test', '' FROM version WHERE oid = ?",
                    (name, kind, bytes.fromhex(version["commit"])),
                )
        db.close()
        daemon.start()

    def shown(self, rev):
        return {p: d for p, d in self.files[rev].items() if p != HIDDEN}
