"""What the client prints in each form, where it goes, what watching and waiting do, and each exit code once."""

import http.server
import json
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

import reference as ref
from harness import BUILD, REPO, amend, merge


@pytest.fixture(scope="module")
def cli(client, roots):
    for name in ("one", "two"):
        folder = ref.write(
            roots / f"forms-{name}", {"w": ref.tensor("F32", np.arange(600)), "b": ref.tensor("F32", [1])}
        )
        client.register(folder, f"f/{name}")
    client.run(merge("linear", [("f/one", {"weight": 1.0}), ("f/two", {"weight": 0.5})], "f/m"))
    return client


class Fake:
    """A peer that answers every GET with one JSON text, and remembers the headers that it got."""

    def __init__(self):
        fake, self.body, self.headers = self, b"{}", []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                fake.headers.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(fake.body)))
                self.end_headers()
                self.wfile.write(fake.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture(scope="module")
def fake():
    f = Fake()
    yield f
    f.server.shutdown()


# ---- YAML: a reader of the block style alone, written from the YAML specification ------------------------------------


def yaml_unescape(text):
    """YAML's \\xNN, which JSON does not have."""
    return re.sub(r"(\\\\)|\\x", lambda m: m.group(1) or "\\u00", text)


def yaml_scalar(text):
    if text.startswith('"'):
        return json.loads(yaml_unescape(text))
    if text in ("[]", "{}", "null", "true", "false"):
        return json.loads(text)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def yaml_key(text):
    if text.startswith('"'):
        text = yaml_unescape(text)
        key, end = json.JSONDecoder().raw_decode(text)
        return key, text[end + 1 :].strip()
    key, _, rest = text.partition(":")
    return key, rest.strip()


def yaml_block(lines, at, depth):
    """The block whose lines are indented by `depth` spaces: its value and the line after it."""
    out = None
    while at < len(lines) and len(lines[at]) - len(lines[at].lstrip(" ")) == depth:
        text = lines[at][depth:]
        if text.startswith("- "):
            out = [] if out is None else out
            if (
                text[2:].startswith("- ")
                or (":" in text and not text[2:].startswith(('"', "{", "[")))
                or '": ' in text
                or text.endswith('":')
            ):
                lines[at] = " " * (depth + 2) + text[2:]
                value, at = yaml_block(lines, at, depth + 2)
            else:
                value, at = yaml_scalar(text[2:]), at + 1
            out.append(value)
        else:
            out = {} if out is None else out
            key, rest = yaml_key(text)
            if rest:
                out[key], at = yaml_scalar(rest), at + 1
            else:
                inner = len(lines[at + 1]) - len(lines[at + 1].lstrip(" "))
                assert inner > depth, lines[at]
                out[key], at = yaml_block(lines, at + 1, inner)
    return out, at


def yaml_read(text):
    lines = text.rstrip("\n").split("\n")
    value, at = yaml_block(lines, 0, 0)
    assert at == len(lines), lines[at]
    return value


LISTS = [
    (["model", "list"], "/v1/models?limit=100"),
    (["job", "list"], "/v1/jobs?limit=100"),
    pytest.param(["model", "versions", "f/m"], "/v1/models/f/m/versions?limit=100", marks=pytest.mark.slow),
    pytest.param(["model", "tensors", "f/m"], "/v1/models/f/m/versions/main/tensors?limit=100", marks=pytest.mark.slow),
    pytest.param(["model", "files", "f/m"], "/v1/models/f/m/versions/main/files", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("args,path", LISTS)
def test_lists_in_every_form(cli, args, path):
    want = cli.ok(path)["data"]
    assert json.loads(amend(cli, *args, "-o", "json"))["data"] == want
    assert yaml_read(amend(cli, *args, "-o", "yaml"))["data"] == want
    rows = [line.split("\t") for line in amend(cli, *args).splitlines()]
    wide = [line.split("\t") for line in amend(cli, *args, "-o", "wide").splitlines()]
    assert len(rows) == len(want) and all(len(r) == len(rows[0]) for r in rows)
    assert all(w[: len(r)] == r for r, w in zip(rows, wide)), "wide adds columns at the end"
    assert amend(cli, *args, "-o", "name").splitlines() == [r[0] for r in rows]
    table = amend(cli, *args, "-o", "table").splitlines()
    assert len(table) == len(want) + 1 and table[0].isupper()
    key = "id" if "id" in want[0] else "commit" if "commit" in want[0] else "path" if "path" in want[0] else "name"
    assert json.loads(amend(cli, *args, "--json", key)) == [{key: e[key]} for e in want]
    if shutil.which("jq"):
        assert amend(cli, *args, "--jq", f".data[].{key}").splitlines() == [e[key] for e in want]


def test_wide_shows_more(cli):
    assert len(amend(cli, "job", "list", "-o", "wide").splitlines()[0].split("\t")) == 12
    assert len(amend(cli, "job", "list").splitlines()[0].split("\t")) == 6


def test_members_by_path_and_misspelt(cli):
    job = cli.ok("/v1/jobs?limit=1")["data"][0]
    got = json.loads(amend(cli, "job", "get", job["id"], "--json", "id,result.version.commit"))
    assert got == {"id": job["id"], "result.version.commit": job["result"]["version"]["commit"]}
    done = amend(cli, "job", "get", job["id"], "--json", "statsu", expect=None)
    assert done.returncode == 2 and done.stdout == "" and "status" in done.stderr
    done = amend(cli, "job", "get", job["id"], "--json", "id,", expect=None)
    assert done.returncode == 2


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
def test_jq(cli, tmp_path):
    assert amend(cli, "model", "show", "f/one", "--jq", ".id") == "f/one\n", "texts without quotes"
    assert json.loads(amend(cli, "model", "list", "--json", "id", "--jq", "length")) >= 3
    assert amend(cli, "model", "list", "--jq", "-1") == "-1\n", "no expression is taken for an option"
    done = amend(cli, "model", "list", "--jq", ".[", expect=None)
    assert done.returncode == 2 and "fix:" in done.stderr
    done = amend(cli, "model", "list", "--jq", ".", env={"PATH": str(tmp_path)}, expect=None)
    assert done.returncode == 1 and "install jq" in done.stderr


TEXTS = ["", "yes", "No", "null", "~", "1e3", "0x10", "1_000", "a: b", "- x", "# no", "x # y", "'", '"', "a\nb", " lead",
         "\u00e9\u4e2d\U0001f600", "\x7f\x9b\ufeff", "%TAG", "&a", "*a", "!x", "|", ">", "@a", "`", "{", "2026-01-01",
         "=", "-", "\\x41", "a\\", "plain", "ns/name@v1"]  # fmt: skip


def test_yaml_keeps_every_text(fake):
    doc = {"texts": TEXTS, "deep": [[v, {"a": [], "b": {}, v: [[1, v], [{}]]}] for v in TEXTS], **{v: v for v in TEXTS}}
    fake.body = json.dumps(doc).encode()
    out = amend(fake.url, "job", "get", "x", "-o", "yaml")
    assert yaml_read(out) == doc, out
    assert "\x7f" not in out and "\x9b" not in out


def test_yaml_numbers_stay_numbers(fake):
    doc = {"a": 1e-7, "b": 1e21, "c": 5.0, "d": 9007199254740993, "e": -0.5, "f": True, "g": None}
    fake.body = json.dumps(doc).encode()
    out = amend(fake.url, "job", "get", "x", "-o", "yaml")
    assert yaml_read(out) == doc
    assert "1.0e-7" in out and "c: 5.0" in out, "YAML 1.1 readers take 1e-7 for a text"


def test_data_and_notes_are_apart(cli):
    done = amend(cli, "merge", "linear", "f/one,weight=1", "--into", "f/apart", "--wait", expect=None)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 1 and "succeeded" in done.stderr
    done = amend(cli, "merge", "linear", "f/one,weight=1", "--into", "f/apart", "--wait", "--quiet", "--no-reuse", expect=None)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("f/apart@v2 ")


def test_colors(cli):
    assert "\x1b[1m" in amend(cli, "model", "list", "-o", "table", "--color", "always"), "even under NO_COLOR"
    assert "\x1b" not in amend(cli, "model", "list", "-o", "table", "--color", "auto", env={"NO_COLOR": ""})
    assert "\x1b" not in amend(cli, "model", "list", "-o", "table", "--color=never")
    assert amend(cli, "model", "list", "--color", "red", expect=None).returncode == 2


def test_recipe_tensors_queue(cli):
    assert json.loads(amend(cli, "model", "recipe", "f/m")) == cli.ok("/v1/models/f/m/versions/main/recipe")
    assert amend(cli, "model", "recipe", "f/one", expect=None).returncode in (0, 5)
    assert amend(cli, "tensors", "f/m", "--prefix", "w") == "w\tF32\t[600]\t2400\tmodel.safetensors\n"
    counts = dict(line.split("\t") for line in amend(cli, "queue").splitlines())
    assert counts["succeeded"] == str(cli.ok("/v1/queue")["counts"]["succeeded"]) and counts["running"] == "0"
    assert json.loads(amend(cli, "queue", "--json", "paused")) == {"paused": False}


def start(cli, *args):
    env = {
        "AMEND_ENDPOINT": cli if isinstance(cli, str) else cli.url,
        "XDG_CONFIG_HOME": "/nonexistent",
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.Popen(
        [str(BUILD / "amend"), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def test_watching_tells_each_change_once(cli):
    watch = start(cli, "job", "list", "-w", "--model", "f/watched")
    time.sleep(0.3)
    uid = cli.submit(merge("linear", [("f/one", {"weight": 1.0})], "f/watched"))
    cli.wait(uid)
    seen = []
    while not seen or seen[-1][2] != "succeeded":
        seen.append(watch.stdout.readline().rstrip("\n").split("\t"))
        assert seen[-1][0] == uid, seen
    watch.send_signal(signal.SIGINT)
    rest, _ = watch.communicate(timeout=10)
    assert rest == "" and watch.returncode == 130
    assert [s[2] for s in seen] == sorted({s[2] for s in seen}, key=["queued", "running", "succeeded"].index)


def test_watching_one_job_ends_with_it(cli):
    uid = cli.ok("/v1/jobs?limit=1")["data"][0]["id"]
    out = amend(cli, "job", "get", uid, "-w", "-o", "json")
    assert json.loads(out)["status"] == "succeeded" and out.count("\n") == 1


def test_waits_end_by_time_and_by_interrupt(fake):
    fake.body = b'{"object":"job","id":"job_1","status":"running","attempt":1}'
    began = time.monotonic()
    done = amend(fake.url, "job", "watch", "job_1", "--timeout", "0.3s", expect=None)
    assert done.returncode == 124 and time.monotonic() - began < 5 and "amend job watch job_1" in done.stderr
    assert amend(fake.url, "job", "get", "job_1", "-w", "--timeout", "0.2", expect=None).returncode == 124
    watch = start(fake.url, "job", "watch", "job_1")
    watch.stderr.readline()
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=10)
    assert watch.returncode == 130 and "amend job watch job_1" in err
    for good in ("90", "30m", "2h", "1d"):
        assert amend(fake.url, "version", "--timeout", good)
    for bad in ("2w", "-1", "h", "0"):
        assert amend(fake.url, "version", "--timeout", bad, expect=None).returncode == 2


@pytest.mark.parametrize(
    "code,args",
    [
        (0, ["model", "list"]),
        (1, ["model", "register", "/", "f/x"]),
        (2, ["model", "lst"]),
        (3, ["merge", "linear", "f/nan,weight=1", "--into", "f/x", "--wait"]),
        (5, ["model", "show", "f/none"]),
        (6, ["api", "POST", "/v1/models", "-d", '{"id":"f/evil"}', "-H", "Origin: http://evil.example"]),
        (7, ["model", "create", "f/one"]),
    ],
)  # 124 and 130: above; 8: test_no_daemon_is_exit_8
def test_exit_codes(cli, roots, code, args):
    if code == 3:
        cli.register(ref.write(roots / "forms-nan", {"w": ref.tensor("F32", np.full(600, np.nan))}), "f/nan")
    done = amend(cli, *args, expect=None)
    assert done.returncode == code, done.stderr
    if code not in (0,):
        assert done.stderr.startswith("amend: ") or "\namend: " in done.stderr
        assert "\n  fix: " in done.stderr, "every error says what to do: " + done.stderr
    if code in (1, 3, 5, 6, 7):
        assert "\n  problem: " in done.stderr
    if code in (1, 5, 6, 7):
        assert "(request " in done.stderr


def test_every_problem_code_has_a_fix(cli):
    """A peer that answers with each code that the daemon knows: the client names something to do."""
    codes = [p["code"] for p in cli.ok("/v1/problems")["data"]]
    source = (REPO / "cli/problem.c").read_text()
    assert len(codes) > 30 and not [c for c in codes if not re.search(rf'\{{"{c}",\s+"', source)]


class Cutter:
    """A proxy that hands a request on whole and, the first time, drops the answer."""

    def __init__(self, url, cut=1):
        self.to = int(url.rsplit(":", 1)[1])
        self.requests = []
        self.cut = cut
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                ours, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(ours,), daemon=True).start()

    @staticmethod
    def read(sock):
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = sock.recv(65536)
            if not chunk:
                return data
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")]
        while length and len(body) < length[0]:
            body += sock.recv(65536)
        return head + b"\r\n\r\n" + body

    def one(self, ours):
        with ours, socket.create_connection(("127.0.0.1", self.to)) as theirs:
            while request := self.read(ours):
                self.requests.append(request)
                theirs.sendall(request.replace(self.url[7:].encode(), f"127.0.0.1:{self.to}".encode()))
                answer = self.read(theirs)
                if request.startswith(b"POST") and self.cut:
                    self.cut -= 1
                    return
                ours.sendall(answer)


def test_lost_answer_of_a_submit_gives_one_job(cli):
    proxy = Cutter(cli.url)
    out = amend(proxy.url, "merge", "linear", "f/one,weight=1", "--into", "f/lost", "--wait")
    posts = [r for r in proxy.requests if r.startswith(b"POST /v1/jobs")]
    assert len(posts) == 2 and posts[0] == posts[1], "sent again as it was, with its Idempotency-Key"
    assert b"idempotency-key:" in posts[0].lower()
    assert len(cli.all("/v1/jobs?model=f/lost")) == 1 and out.startswith("f/lost@v1 ")
    proxy.server.close()


@pytest.mark.parametrize(
    "words",
    [
        ["merge", "task_arithmetic", "--base", "f/one", "f/two,weight=0.5", "--lambda", "0.75", "--into", "f/spec", "--seed", "7", "--tag", "t1", "--metadata", "k=v", "--priority", "3"],
        ["unlearn", "task_negation", "f/m", "--task", "f/one,base=f/two", "--lambda", "0.5", "--message", "less"],
        ["edit", "sparsify", "f/m", "--sparsity", "0.5", "--include", "w*", "--into", "f/spec"],
    ],
)  # fmt: skip
def test_print_spec_is_the_body_that_is_sent(cli, words):
    proxy = Cutter(cli.url, cut=0)
    spec = json.loads(amend(proxy.url, *words, "--print-spec"))
    assert not [r for r in proxy.requests if r.startswith(b"POST")]
    amend(proxy.url, *words)
    sent = [r for r in proxy.requests if r.startswith(b"POST /v1/jobs ")]
    assert len(sent) == 1 and json.loads(sent[0].partition(b"\r\n\r\n")[2]) == spec
    proxy.server.close()
