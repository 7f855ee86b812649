"""Every example of the documents runs (documents.py has the kinds of blocks), and docs/pipeline.py does what it says.

Each document gets a daemon and a home of its own and runs from top to bottom, as a reader with a terminal would. A
guide that is not in DOCUMENTS, a block that stays unrun and is not counted there, or a shown output that was not printed
fails.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import documents
import harness
from harness import BUILD, REPO, amend

# how many blocks do not run here, as (walk, not-run and text): a new one has to be counted on purpose
DOCUMENTS = {
    "README.md": (2, 3),
    "api.md": (0, 4),
    "docs/merge.md": (0, 0),
    "docs/unlearn.md": (0, 0),
    "docs/edit.md": (0, 0),
    "docs/compat.md": (0, 0),
    "examples/digits/README.md": (0, 0),
}


def environment(home, **more):
    """Of a person who has just logged in: no settings of amend but those given; python3 is that of the tests."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("AMEND", "HF_", "XDG_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**keep, "HOME": str(home), "PATH": path, "NO_COLOR": "1", "TERM": "dumb", **more}


def tree(folder):
    """A folder that looks like the top of the source, with the build under test; what examples write stays in it."""
    folder.mkdir()
    for entry in REPO.iterdir():
        if entry.name not in ("build", ".git"):
            (folder / entry.name).symlink_to(entry)
    (folder / "build").symlink_to(BUILD)
    return folder


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_all_documents_are_here():
    """A guide without a test is a guide that rots."""
    guides = {str(p.relative_to(REPO)) for p in (REPO / "docs").glob("*.md")}
    assert guides == {name for name in DOCUMENTS if name.startswith("docs/")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_examples_run(name, tmp_path):
    found = documents.blocks(REPO / name, name)
    roles = [b.role for b in found]
    unrun = [str(b) for b in found if b.role in ("walk", "none")]
    assert (roles.count("walk"), roles.count("none")) == DOCUMENTS[name], f"blocks that do not run: {unrun}"
    home, top = tmp_path / "home", tree(tmp_path / "tree")
    home.mkdir()
    daemon = None
    if "daemon" in roles:  # the document starts its own
        address = f"127.0.0.1:{free_port()}"
        env = environment(home, AMENDD_LISTEN=address, AMENDD_STORE__MIN_FREE="1MiB")
    else:
        daemon = harness.Daemon(home / "amend-data", [REPO / "examples", home]).start()
        address = daemon.url.removeprefix("http://")
        env = environment(home)
        env["PATH"] = f"{BUILD}:{env['PATH']}"  # README has said how
    env["AMEND_ENDPOINT"] = "http://" + address
    result = documents.run(found, tmp_path / "blocks", top, env, address, timeout=50)
    faults = documents.differences(found, result)
    assert not faults, "\n\n".join(faults)
    if daemon:
        daemon.stop()
    ran = sum(role in ("run", "daemon", "plan") for role in roles)
    print(f"{name}: {ran} blocks run, {roles.count('output')} outputs compared, {len(unrun)} not run: {unrun}")


def test_the_runner_fails(tmp_path, client, daemon):
    """What can be wrong is found: a failing command, an error status, another output, a refused body, a wrong kind."""
    address = daemon.url.removeprefix("http://")

    def faults(text):
        where = tmp_path / str(len(list(tmp_path.iterdir())))
        where.mkdir()
        (where / "a.md").write_text(text)
        found = documents.blocks(where / "a.md")
        env = environment(tmp_path, AMEND_ENDPOINT=daemon.url)
        return documents.differences(found, documents.run(found, where / "b", where, env, address))

    good = "```sh\nA=http://127.0.0.1:8420/v1\ncurl -s $A/models\n```\n```text output\n{…\"data\":[…],…}\n```\n"
    assert not faults(good)
    assert "failed (1)" in faults("```sh\nfalse\ntrue\n```\n")[0]
    assert "failed (22)" in faults("```sh\ncurl -s http://127.0.0.1:8420/v1/models/no/such\n```\n")[0]
    assert "failed (2)" in faults("```python\nimport sys\nsys.exit(2)\n```\n")[0]
    assert "what was printed is\n2\n" in faults("```sh\necho 2\n```\n```text output\n3\n```\n")[0]
    assert "printed nothing" in faults("```sh not-run: x\necho 2\n```\n```text output\n2\n```\n")[0]
    assert "unknown-method" in faults('```json\n{"type":"merge","method":"nonsense"}\n```\n')[0]
    for wrong in ("", "bash", "sh not-run", "sh walk:", "yaml"):
        with pytest.raises(AssertionError, match="not a kind of block"):
            faults(f"```{wrong}\ntrue\n```\n")


@pytest.mark.parametrize(
    "shown, said, equal",
    [
        ("a  b", "a\tb\n", True),
        ("a b", "a c", False),
        ("a", "a\nb", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc\ne", False),
        (f"x {'0a' * 20} y", f"x {'f3' * 20} y", True),
        ("x 0.1234567890123456 y", "x 0.1234567890123457 y", False),
        ("in 0.03 s", "in 12 s", True),
        ("at 2026-01-02T03:04:05.678Z", "at 2027-11-12T13:14:15.000Z", True),
        ("59.4", "59.5", False),
    ],
)
def test_same(shown, said, equal):
    assert documents.same(shown, said) == equal


@pytest.fixture
def line(client, tmp_path):
    """line(check, ...): runs docs/pipeline.py with a merge and the check, a shell command; (exit code, output)."""
    if client.get("/v1/models/p/one").status_code == 404:
        for name, source in (("p/one", "rot90"), ("p/two", "shifted")):
            folder = REPO / "examples" / "digits" / source
            amend(client, "model", "register", folder, name)

    def run(check, alias="prod", url=None, run_id=None, **change):
        body = {**harness.merge("linear", [("p/one", None), ("p/two", None)], "p/both", params={"weight": 1}), **change}
        (tmp_path / "job.json").write_text(json.dumps(body))
        done = subprocess.run(
            [sys.executable, REPO / "docs/pipeline.py", "job.json", alias, "sh", "-c", check, "sh"],
            cwd=tmp_path,
            env=environment(tmp_path, AMEND_ENDPOINT=url or client.url, RUN_ID=run_id or os.urandom(4).hex()),
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return run


@pytest.fixture(scope="module")
def roots():
    return REPO / "examples"


def test_pipeline(client, line):
    at = lambda: client.ok("/v1/models/p/both/refs/prod")["number"]
    jobs = lambda: len(client.all("/v1/jobs?type=merge"))
    assert line("true", run_id="night-1")[0] == 0 and at() == 1
    before = jobs()
    assert line("true", run_id="night-1")[0] == 0 and at() == 1 and jobs() == before  # the same run: the same job
    assert line("test $1 != p/both@prod", run_id="night-2")[0] == 4 and at() == 1  # good, but not where it serves
    history = client.ok("/v1/models/p/both/refs/prod/history")["data"]
    assert [h["kind"] for h in history] == ["rollback", "move", "create"]
    assert line("false")[0] == 4 and at() == 1
    assert len(client.ok("/v1/models/p/both/refs/prod/history")["data"]) == 3  # nothing was moved
    # Somebody else moves the alias while the second check runs: their move is left alone.
    move = f"{BUILD}/amend ref set p/both prod v1 --reason mine -q"
    code, said = line(f"case $1 in *@prod) {move} >/dev/null; exit 1;; esac")
    assert code == 7 and "precondition-failed" in said, said
    assert client.ok("/v1/models/p/both/refs/prod")["reason"] == "mine"


def test_pipeline_tells_what_failed(client, line):
    code, said = line("true", method="nonsense")
    assert code == 1 and "unknown-method" in said
    code, said = line("true", url=f"http://127.0.0.1:{free_port()}")
    assert code == 8 and "not reached" in said
    assert subprocess.run([sys.executable, REPO / "docs/pipeline.py"], capture_output=True).returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_walk():
    """Ten minutes are enough for someone who has only README: tools/walk clones, builds and follows it literally."""
    done = subprocess.run([REPO / "tools/walk"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
