"""Contexts of the client, and what a shell completes: neither needs to know more than its tables and the daemon."""

import http.server
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

import reference as ref
from harness import BUILD, amend


@pytest.fixture(scope="module")
def cli(client, roots):
    client.register(ref.write(roots / "ctx", {"w": ref.tensor("F32", np.arange(10))}), "lab/one")
    return client


@pytest.fixture
def conf(tmp_path):
    """env for a configuration of this test's own; .file is where it lies"""

    class Conf(dict):
        file = tmp_path / "amend" / "config.toml"

        def write(self, text):
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(text)

    return Conf(XDG_CONFIG_HOME=str(tmp_path), AMEND_ENDPOINT="")


def test_life_of_contexts(cli, conf):
    amend(cli, "context", "set", "lab", "--endpoint", cli.url, "--namespace", "lab", env=conf)
    amend(cli, "context", "set", "dead", "--endpoint", "127.0.0.1:9", env=conf)
    assert conf.file.stat().st_mode & 0o77 == 0
    rows = [r.split("\t") for r in amend(cli, "context", "list", env=conf).splitlines()]
    assert rows == [["lab", "*", cli.url, "lab", "-"], ["dead", "-", "127.0.0.1:9", "-", "-"]]
    assert "lab/one" in amend(cli, "model", "list", env=conf), "the first one is the current one"
    amend(cli, "context", "use", "dead", env=conf)
    assert "amendd" not in amend(cli, "version", env=conf)
    # flags > environment > context
    assert "lab/one" in amend(cli, "model", "list", "--context", "lab", env=conf)
    assert "lab/one" in amend(cli, "model", "list", env={**conf, "AMEND_CONTEXT": "lab"})
    assert "lab/one" in amend(cli, "model", "list", "--context", "lab", env={**conf, "AMEND_CONTEXT": "dead"})
    assert "lab/one" in amend(cli, "model", "list", env={**conf, "AMEND_ENDPOINT": cli.url})
    both = {**conf, "AMEND_ENDPOINT": "http://127.0.0.1:9"}
    assert "amendd" not in amend(cli, "version", "--context", "lab", env=both)
    assert "lab/one" in amend(cli, "model", "list", "--endpoint", cli.url, env=both)
    # mistakes
    done = amend(cli, "model", "list", "--context", "lba", env=conf, expect=None)
    assert done.returncode == 2 and "did you mean lab" in done.stderr
    assert amend(cli, "context", "use", "nobody", env=conf, expect=None).returncode == 5
    assert amend(cli, "context", "set", "a b", "--endpoint", "x", env=conf, expect=None).returncode == 2
    assert amend(cli, "context", "set", "new", env=conf, expect=None).returncode == 2, "a new one needs an endpoint"
    amend(cli, "context", "rm", "dead", env=conf)
    assert conf.file.read_text() == f'[context.lab]\nendpoint = "{cli.url}"\nnamespace = "lab"\n'


def test_namespace_of_the_context(cli, conf):
    amend(cli, "context", "set", "lab", "--endpoint", cli.url, "--namespace", "lab", env=conf)
    assert amend(cli, "model", "show", "one", "-o", "name", env=conf) == "lab/one\n"
    assert amend(cli, "model", "show", "one@v1", "-o", "name", env=conf) == "lab/one@v1\n"
    spec = amend(cli, "merge", "linear", "one@v1,weight=1", "other/x,weight=2", "--into", "out", "--print-spec", "--jq",
                 ".inputs.models[].version, .publish.model", env=conf) if shutil.which("jq") else None  # fmt: skip
    assert spec in (None, "lab/one@v1\nother/x\nlab/out\n")
    assert amend(cli, "merge", "linear", "one,weight=1", "--into", "out", "--wait", env=conf).startswith("lab/out@v1 ")
    done = amend(cli, "model", "show", "one", expect=None)
    assert done.returncode == 2 and "NAMESPACE/one" in done.stderr


def test_what_a_person_wrote_stays(cli, conf):
    conf.write(
        '# mine\n\n[context.a]   # first\n  endpoint = \'http://a:1\' # old\n\n# between\n[context.b]\nendpoint = "b\\"\\\\"\n'
    )
    amend(cli, "context", "set", "a", "--endpoint", "http://a:2", "--namespace", "n", env=conf)
    amend(cli, "context", "use", "b", env=conf)
    assert conf.file.read_text() == (
        'current = "b"\n# mine\n\n[context.a]   # first\nendpoint = "http://a:2"\nnamespace = "n"\n\n# between\n'
        '[context.b]\nendpoint = "b\\"\\\\"\n'
    )
    assert amend(cli, "context", "list", "-o", "tsv", env=conf).splitlines()[1].split("\t")[2] == 'b"\\'


def test_file_behind_a_link(cli, conf, tmp_path):
    conf.write("")
    conf.file.rename(tmp_path / "real.toml")
    conf.file.symlink_to(tmp_path / "real.toml")
    amend(cli, "context", "set", "a", "--endpoint", "http://a:2", env=conf)
    assert conf.file.is_symlink() and "http://a:2" in (tmp_path / "real.toml").read_text()


@pytest.mark.parametrize(
    "text,line",
    [
        ("endpoint = 'x'\n", 1),
        ("[server]\n", 1),
        ("[context.a]\nendpiont = 'x'\n", 2),
        ("[context.a]\nendpoint = x\n", 2),
        ("[context.a]\nendpoint = 'x' y\n", 2),
        ('[context.a]\nendpoint = "x\\n"\n', 2),
        ("\n[context.a]\n[context.a]\n", 3),
        ("[context.a]\nendpoint = 'x'\nendpoint = 'y'\n", 3),
        ("[context.a b]\n", 1),
    ],
)
def test_broken_file_is_told_with_its_line(cli, conf, text, line):
    conf.write(text)
    done = amend(cli, "model", "list", env=conf, expect=None)
    assert done.returncode == 2 and f"{conf.file}, line {line}:" in done.stderr, done.stderr
    assert amend(cli, "context", "set", "b", "--endpoint", "x", env=conf, expect=None).returncode == 2
    assert conf.file.read_text() == text


def test_token_goes_to_its_endpoint_only(conf, tmp_path):
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"object":"list","data":[],"has_more":false,"next":null}')

        def log_message(self, *_):
            pass

    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    own, other = (f"http://127.0.0.1:{s.server_port}" for s in servers)
    (tmp_path / "token").write_text("amd_secret\n")
    amend(own, "context", "set", "t", "--endpoint", own, "--token-file", tmp_path / "token", env=conf)
    hub = {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": own}
    for want, args, env in [
        ("Bearer amd_secret", [], {}),
        (None, ["--endpoint", other], {}),
        (None, [], {"AMEND_ENDPOINT": other}),
        ("Bearer env", [], {"AMEND_TOKEN": "env"}),
        ("Bearer hf_secret", ["--endpoint", own], {**hub, "XDG_CONFIG_HOME": "/nonexistent"}),
        (None, ["--endpoint", other], {**hub, "XDG_CONFIG_HOME": "/nonexistent"}),
    ]:
        seen.clear()
        amend(own, "model", "list", *args, env={**conf, **env})
        assert seen == [want], (args, env)
    (tmp_path / "token").write_text("two words\n")
    assert amend(own, "model", "list", env=conf, expect=None).returncode == 2
    for s in servers:
        s.shutdown()


# ---- completion ------------------------------------------------------------------------------------------------------


def bash_completes(cli, lines):
    """What bash would put in the place of the last word of each line."""
    script = "compopt() { :; }\nsource <(amend completion bash)\n" + "".join(
        f'COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; _amend; echo "${{COMPREPLY[*]}}"\n' for line in lines
    )
    env = {**os.environ, "AMEND_ENDPOINT": cli.url, "XDG_CONFIG_HOME": "/nonexistent", "AMEND_CONTEXT": ""}
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_bash_completes_words_flags_and_names(cli):
    lines = {
        "amend mode": {"model"},
        "amend model regis": {"register"},
        "amend model show lab/on": {"lab/one"},
        "amend model show lab/one@": {"main", "v0", "v1"},  # bash cuts words at @
        "amend merge task_ar": {"task_arithmetic"},
        "amend merge linear --no-such lab/on": {"lab/one"},
        "amend merge ties --dens": {"--density"},
        "amend merge linear --base lab/on": {"lab/one"},
        "amend job list --status canc": {"cancelling", "cancelled"},
        "amend -o y": {"yaml"},
        "amend --colo": {"--color"},
        "amend methods edit/spar": {"edit/sparsify"},
        "amend completion f": {"fish"},
        "amend nonsense x": set(),
    }
    for (line, want), got in zip(lines.items(), bash_completes(cli, lines)):
        assert got == want, line


def test_completion_is_quick_and_silent_without_a_daemon(tmp_path):
    done = subprocess.run(
        [BUILD / "amend", "__complete", "--endpoint", "http://127.0.0.1:9", "model", "show", "x"],
        capture_output=True, text=True, timeout=5, env={"XDG_CONFIG_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_completion_gives_up_on_a_daemon_that_hangs():
    """Many requests, one second in all: the server takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as dead:
        url = f"http://127.0.0.1:{dead.getsockname()[1]}"
        words = ["merge", "ties", "--a", "1", "--b", "2", "--c", "3", "x/y", "--"]
        began = time.monotonic()
        done = subprocess.run(
            [BUILD / "amend", "__complete", *words], capture_output=True, text=True, timeout=20,
            env={"AMEND_ENDPOINT": url, "XDG_CONFIG_HOME": "/nonexistent"},
        )  # fmt: skip
        assert time.monotonic() - began < 3 and "--into\t" in done.stdout and not done.stderr


def commands(cli):
    """Every command of --help, as words."""
    text = amend(cli, "--help").split("commands:\n")[1].split("\n\n")[0]
    return [re.match(r"  (\S+(?: \S+)?)  ", line).group(1).split() for line in text.splitlines()]


@pytest.mark.slow
def test_every_completed_flag_is_one_that_the_command_takes(cli):
    """The flags are read out of the help texts; none may be one that the command then refuses."""
    tried, everywhere = 0, {
        w for line in amend(cli, "help", "help").split("every command:")[1].splitlines() for w in line.split()
    }
    for words in commands(cli):
        lines = subprocess.run([BUILD / "amend", "__complete", *words, "--"], capture_output=True, text=True).stdout
        more = ["linear"] if words[0] == "merge" else ["task_negation"] if words[0] == "unlearn" else []
        more = ["sparsify"] if words[0] == "edit" else more
        for flag in {line.split("\t")[0] for line in lines.splitlines()} - everywhere:
            for value in ([], ["1"]):
                done = amend(cli, *words, *more, flag, *value, "--zzz", expect=None)
                assert not re.search(rf"(unknown option|no parameter or option) {flag}\b", done.stderr), done.stderr
            tried += 1
    assert tried > 60


def test_man_pages_name_everything(cli):
    page = subprocess.run([BUILD / "amend", "__man"], capture_output=True, text=True, check=True).stdout
    plain = page.replace("\\-", "-")
    for words in commands(cli):
        assert f".B amend {' '.join(words)}" in plain, words
    for code in (0, 1, 2, 3, 5, 6, 7, 8, 124, 130):
        assert f".B {code}\n" in plain
    daemon = subprocess.run([BUILD / "amendd", "--dump-man"], capture_output=True, text=True, check=True).stdout
    keys = re.findall(
        r"^  --(\S+?)=", subprocess.run([BUILD / "amendd", "--help"], capture_output=True, text=True).stdout, re.M
    )
    assert len(keys) > 30
    for key in keys:
        assert f".B \\-\\-{key}\\fR=" in daemon, key


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
@pytest.mark.parametrize("program,flag", [("amend", "__man"), ("amendd", "--dump-man")])
def test_man_pages_have_no_warnings(tmp_path, program, flag):
    page = tmp_path / f"{program}.1"
    page.write_text(subprocess.run([BUILD / program, flag], capture_output=True, text=True, check=True).stdout)
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, env=env)
    assert done.returncode == 0 and done.stderr == "" and program in done.stdout
