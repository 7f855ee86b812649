"""A release line as its users would write it: a shell script over the client, real models (examples/digits), predictions by
NumPy. What the gate says of each candidate is worked out here from the predictions: 0.3 -> 1.0 reads more digits and forgets
too many that were read before, 0.3 -> 0.5 does not."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

from harness import BUILD, REPO, amend, problem

DIGITS = REPO / "examples" / "digits"
REFS = "/v1/models/demo/reader/refs/"

PREDICT = """
import gzip, sys
import numpy as np
from safetensors.numpy import load_file

model, images, out = load_file(sys.argv[1] + "/model.safetensors"), np.load(sys.argv[2]), sys.argv[3]
h = images["x"]
for i in (1, 2):
    h = np.maximum(h @ model[f"fc{i}.weight"].T + model[f"fc{i}.bias"], 0)
said = (h @ model["fc3.weight"].T + model["fc3.bias"]).argmax(1)
with open(out, "w") as f:
    print("id,label,pred", file=f)
    for i, (y, p) in enumerate(zip(images["y"], said)):
        print(f"s{i:04d},{y},{p}", file=f)
"""

# try.sh W: the merge with lambda W on a branch of its own, and what it says about the images
TRY = """
set -eu
recipe="--base demo/base demo/rot90,weight=1 demo/inverted,weight=1 demo/shifted,weight=1 --lambda $1 --into demo/reader"
amend merge task_arithmetic $recipe --branch "try-$1" --wait --quiet > /dev/null
amend model pull "demo/reader@try-$1" "made-$1" --quiet > /dev/null
"$PYTHON" predict.py "made-$1" images.npz "said-$1.csv"
amend predictions push "said-$1.csv" --version "demo/reader@try-$1" --dataset four-digits --quiet -o name
"""

# release.sh W: the same merge again, which gets to main and prod when the gate says promote; else exit code 4
RELEASE = """
set -eu
recipe="--base demo/base demo/rot90,weight=1 demo/inverted,weight=1 demo/shifted,weight=1 --lambda $1 --into demo/reader"
old=$(amend predictions list --version demo/reader@prod --dataset four-digits --limit 1 -o name)
new=$(sh try.sh "$1")
amend merge task_arithmetic $recipe --gate default --old-predictions "$old" --new-predictions "$new" --move prod --wait -o json
"""


def images():
    rows = np.loadtxt(gzip.open(DIGITS / "digits.csv.gz", "rt"), delimiter=",", dtype=np.float32)[1297:]
    plain = (rows[:, :64] * np.float32(0.125) - 1).reshape(-1, 8, 8)
    shifted = np.full_like(plain, -1)
    shifted[:, :, 2:] = plain[:, :, :-2]
    tasks = (plain, np.rot90(plain, 1, (1, 2)), -plain, shifted)
    return np.concatenate(tasks).reshape(-1, 64), np.tile(rows[:, 64].astype(int), 4)


class Line:
    def __init__(self, client, at, models):
        self.client, self.at = client, at
        for name, text in (("predict.py", PREDICT), ("try.sh", TRY), ("release.sh", RELEASE)):
            (at / name).write_text(text)
        x, y = images()
        np.savez(at / "images.npz", x=x, y=y)
        for name in ("base", "rot90", "inverted", "shifted"):
            amend(client, "model", "register", models / name, f"demo/{name}")

    def sh(self, script, *args):
        env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "PYTHON": sys.executable, "AMEND_ENDPOINT": self.client.url,
               "XDG_CONFIG_HOME": "/nonexistent", "AMEND_CONTEXT": "", "NO_COLOR": "1"}  # fmt: skip
        return subprocess.run(["sh", script, *args], cwd=self.at, env=env, capture_output=True, text=True, timeout=60)

    def prod(self):
        return self.client.ok(REFS + "prod")

    def right(self, weight):
        """Which images the merge with that weight reads, out of what was uploaded."""
        rows = np.loadtxt(self.at / f"said-{weight}.csv", delimiter=",", skiprows=1, usecols=(1, 2), dtype=int)
        return rows[:, 0] == rows[:, 1]


@pytest.fixture(scope="module")
def line(client, roots, tmp_path_factory):
    shutil.copytree(DIGITS, roots / "digits")
    made = Line(client, tmp_path_factory.mktemp("line"), roots / "digits")
    done = made.sh("try.sh", "0.3")
    assert done.returncode == 0, done.stderr
    amend(client, "ref", "set", "demo/reader", "prod", "try-0.3")
    return made


def test_release_line(client, line):
    first = line.prod()["commit"]
    # more digits are read, and too many are not read any more that were
    held = line.sh("release.sh", "1.0")
    old, new = line.right("0.3"), line.right("1.0")
    assert new.mean() > old.mean() + 0.05 and (old & ~new).sum() / len(old) / ((1 - new.mean()) * old.mean()) > 0.6
    assert held.returncode == 4, held.stderr
    assert "the gate says hold" in held.stderr, held.stderr
    result = json.loads(held.stdout)["result"]
    decision = client.ok("/v1/decisions/" + result["decision"]["id"])
    assert [r["id"] for r in decision["rules"] if r["outcome"] == "fail"] == ["flips"]
    assert (result["decision"]["verdict"], result["published"], result["detached_reason"]) == ("hold", False, "gate")
    report = client.ok("/v1/reports/" + result["reports"][0])
    assert report["cells"]["b"] == (old & ~new).sum() and report["cells"]["c"] == (~old & new).sum()
    assert line.prod()["commit"] == first
    # half of it is better and forgets little
    good = line.sh("release.sh", "0.5")
    assert good.returncode == 0, good.stderr
    result = json.loads(good.stdout)["result"]
    commit = result["version"]["commit"]
    assert result["decision"]["verdict"] == "promote" and result["published"]
    assert line.prod()["commit"] == commit == client.ok(REFS + "main")["commit"]
    move = client.ok(REFS + "prod/history")["data"][0]
    assert (move["decision"], move["from"], move["to"]) == (result["decision"]["id"], first, commit)
    assert result["decision"]["id"] in amend(client, "ref", "history", "demo/reader", "prod", "-o", "json")
    # and back, in one call, no gate asked
    amend(client, "rollback", "demo/reader", "prod", "--reason", "readers complain")
    assert line.prod()["commit"] == first

    # from here on prod asks its gate: what was decided about this step holds, for one of those who try at once
    ref = line.prod()
    assert client.request("PATCH", REFS + "prod", json={"policy": {"protected": True, "gate": "default"}},
                          headers={"If-Match": f'"{ref["revision"]}"'}).status_code == 200  # fmt: skip
    seen, answers = f'"{line.prod()["revision"]}"', []

    def promote():
        answers.append(client.request("PUT", REFS + "prod", json={"to": commit}, headers={"If-Match": seen}).status_code)

    threads = [threading.Thread(target=promote) for _ in range(20)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert sorted(answers) == [200] + [412] * 19 and line.prod()["commit"] == commit
    assert client.ok(REFS + "prod/history")["data"][0]["decision"] == result["decision"]["id"]

    # another step was never decided about: the answer has the job that does, and it moves the ref
    assert line.sh("try.sh", "0.6").returncode == 0
    other = client.version("demo/reader@try-0.6")["commit"]
    said = line.at / "said-0.5.csv"
    amend(client, "predictions", "push", said, "--version", f"demo/reader@{commit}", "--dataset", "four-digits")
    refused = problem(client.request("PUT", REFS + "prod", json={"to": other},
                                     headers={"If-Match": f'"{line.prod()["revision"]}"'}), 409, "gate-required")  # fmt: skip
    job = client.wait(client.submit(refused["job"]))
    assert job["result"]["decision"]["verdict"] == "promote" and line.prod()["commit"] == other
