"""The examples of the documents as programs: the fenced blocks of a Markdown file, and a session that runs them in order.

What a block is stands after its three backquotes; any other word is an error, so that no example can be skipped unseen:

    sh               run; all share one shell, and a command that fails ends it. curl fails on an error status here
    sh daemon        one command that stays: started beside the session, which goes on when it says `amendd ready at`
    sh walk: why     run by tools/walk only (it builds, or needs the network)
    sh not-run: why  never run (it needs root, systemd ...)
    python           run with python3, in the session's folder
    json             the body of a job: POST /v1/plans must say that it would be accepted
    text output      what the block before it prints (json output: the same). `…` is any text, a line of `…` alone any
                     lines; runs of spaces are one; ids, hashes, times and seconds are equal to any other
    text             not an example of something to run: a form, a drawing

The session's folder looks like the top of the source tree. Its standard output is a terminal, because people see that.
Nothing here knows a document; test_documents.py and tools/walk say which ones run, and how many blocks may stay unrun.
"""

import collections
import fcntl
import os
import re
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

PORT = "127.0.0.1:8420"  # what the documents say; replaced when the daemon of a session listens elsewhere
MARK = "\x1e"
PRELUDE = """set -eo pipefail
curl() { command curl --fail-with-body --max-time 60 "$@"; }
step() { printf '\\036%s\\n' "$1"; AT=$1; }
trap 'printf "\\036end\\n"; if [ -n "${DAEMON-}" ]; then kill $DAEMON && wait $DAEMON; fi' EXIT
"""
WAIT = """DAEMON=$!
until grep -q '^amendd ready at' {out}; do kill -0 $DAEMON || { cat {out} >&2; exit 1; }; sleep 0.05; done
"""
PLAN = """curl -sS "${AMEND_ENDPOINT:-http://127.0.0.1:8420}/v1/plans" -H 'Content-Type: application/json' \\
  -d @{file} | tee {file}.plan
grep -q '"ok":true' {file}.plan
"""


class Block(collections.namedtuple("Block", "file line kind text")):
    def __str__(self):
        return f"{self.file}:{self.line} ({self.kind})"

    @property
    def role(self):
        """run, daemon, walk, plan, output, none; a kind that nobody knows is an error of the document."""
        for pattern, role in (
            ("sh|python", "run"),
            ("sh daemon", "daemon"),
            (r"sh walk: \S.*", "walk"),
            (r"sh not-run: \S.*|text", "none"),
            ("json", "plan"),
            ("(text|json) output", "output"),
        ):
            if re.fullmatch(pattern, self.kind):
                return role
        raise AssertionError(f"{self}: not a kind of block; tests/service/documents.py lists them")


def blocks(path, name=None):
    """The fenced blocks of a Markdown file, in order."""
    found, start, kind, lines = [], None, None, []
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        fence = re.fullmatch(r"```(.*)", line)
        if start is None and fence:
            start, kind, lines = number, fence.group(1).strip(), []
        elif fence:
            assert line == "```", f"{path}:{number}: a fence inside the block of line {start}"
            found.append(Block(name or Path(path).name, start, kind, "\n".join(lines) + "\n"))
            start = None
        elif start is not None:
            lines.append(line)
    assert start is None, f"{path}:{start}: the block has no end"
    return found


def script(found, folder, address=PORT, walk=False):
    """The shell script that runs the blocks; their texts are put into `folder`. Returns (script, blocks that run)."""
    out, ran = PRELUDE, []
    for n, block in enumerate(found):
        role = block.role
        if role not in ("run", "daemon", "plan") and not (walk and role == "walk"):
            continue
        ran.append(n)
        text = block.text.replace(PORT, address)
        path = folder / f"{n}.{block.kind.split()[0]}"
        path.write_text(("exec " if role == "daemon" else "") + text)
        file = shlex.quote(str(path))
        out += f"step {n}\n"
        if role == "daemon":
            said = shlex.quote(str(folder / "daemon.out"))
            out += f"bash {file} > {said} 2>&1 </dev/null &\n" + WAIT.replace("{out}", said)
        elif role == "plan":
            out += PLAN.replace("{file}", file)
        elif block.kind == "python":
            out += f"python3 {file}\n"
        else:
            out += f". {file}\n"
    return out, ran


class Result(collections.namedtuple("Result", "code said errors last seconds")):
    """code of the session; said: {number of a block: its output}; errors: standard error; last: where it ended."""


def run(found, folder, cwd, env, address=PORT, walk=False, timeout=120, tell=None):
    """Runs the blocks in one bash with a terminal of 120 columns; `tell` is called with each block as it begins."""
    folder.mkdir(parents=True, exist_ok=True)
    text, _ = script(found, folder, address, walk)
    (folder / "session.bash").write_text(text)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    said, seconds, state = collections.defaultdict(str), {}, {"at": None, "since": None, "rest": ""}

    def begin(at):
        now = time.monotonic()
        if state["at"] is not None:
            seconds[state["at"]] = now - state["since"]
        state["at"], state["since"] = at, now
        if tell and at is not None:
            tell(found[at])

    def take(data):
        lines = (state["rest"] + data).replace("\r\n", "\n").split("\n")
        state["rest"] = lines.pop()
        for line in lines:
            text, mark, at = line.partition(MARK)
            if not mark:
                said[state["at"]] += line + "\n"
                continue
            said[state["at"]] += text + ("\n" if text else "")
            if at != "end":
                begin(int(at))

    def read():
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # the last of the terminal's other side is closed
                break
            if not data:
                break
            take(data.decode(errors="replace"))

    with open(folder / "errors", "wb") as errors:
        p = subprocess.Popen(
            ["bash", str(folder / "session.bash")],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=errors,
            start_new_session=True,
        )
    os.close(slave)
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        code = p.wait(timeout)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        code = f"not ended after {timeout} s"
    reader.join(5)
    last = state["at"]
    begin(None)
    os.close(master)
    return Result(code, dict(said), (folder / "errors").read_text(errors="replace"), last, seconds)


RULES = (
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?", "<time>"),
    (r"\b(job_|prd_|rep_|gdc_)?([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})\b", "<id>"),
    (r"\b\d+(\.\d+)? s\b", "<seconds>"),
    (r"[ \t]+", " "),
)


def plain(text):
    for pattern, word in RULES:
        text = re.sub(pattern, word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def same(shown, said):
    """Is what the document shows what was printed, as far as it can be told beforehand?"""
    pattern = ""
    for line in plain(shown).splitlines():
        parts = (re.escape(part) for part in line.split("…"))
        pattern += r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(parts) + r"\n"
    return re.fullmatch(pattern, plain(said)) is not None


def differences(found, result):
    """Faults of a finished session, as text: where it ended, and outputs that are not those shown."""
    faults = []
    if result.code != 0:
        at = found[result.last] if result.last is not None else "the start"
        faults.append(f"{at} failed ({result.code}):\n{result.said.get(result.last, '')}\n{result.errors[-3000:]}")
    before = None
    for n, block in enumerate(found):
        if block.role != "output":
            before = n
        elif before in result.said and (result.code == 0 or before != result.last):
            if not same(block.text, result.said[before]):
                faults.append(f"{block}: shows\n{block.text}\nbut what was printed is\n{result.said[before]}")
        elif result.code == 0:
            faults.append(f"{block}: shows the output of a block that was not run, or printed nothing")
    return faults
